//! Writes the journal on a thread of its own; many records share one fsync.

use std::{
    collections::BTreeMap,
    fs::{self, File, OpenOptions},
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    sync::mpsc,
    thread,
};

use tokio::sync::oneshot;
use tracing::error;

use super::record::Record;

/// Size at which ended intents are left behind.
const COMPACT_AT: u64 = 8 * 1024 * 1024;
const MOST_AT_ONCE: usize = 512;

struct Entry {
    record: Record,
    synced: Option<oneshot::Sender<io::Result<()>>>,
}

/// Takes records for the journal.
#[derive(Clone, Debug)]
pub(crate) struct Journal {
    entries: mpsc::Sender<Entry>,
}

impl Journal {
    /// Opens the journal in a directory and starts its writer, which ends when all handles are gone.
    pub(crate) fn open(dir: &Path) -> io::Result<Self> {
        let path = dir.join("journal");
        let file = new_file(&path)?;
        let (entries, incoming) = mpsc::channel();
        let writer = Writer { path, file, written: 0, torn: false, open: BTreeMap::new() };
        thread::Builder::new().name("journal".to_owned()).spawn(move || writer.run(&incoming))?;
        Ok(Self { entries })
    }

    /// Writes a record and waits until it is on disk.
    pub(crate) async fn sync(&self, record: Record) -> io::Result<()> {
        let (synced, done) = oneshot::channel();
        let gone = || io::Error::other("the journal's writer has ended");
        self.entries.send(Entry { record, synced: Some(synced) }).map_err(|_returned| gone())?;
        done.await.map_err(|_closed| gone())?
    }

    /// Writes a record; it survives the death of the process, and soon that of the machine.
    pub(crate) fn note(&self, record: Record) {
        if self.entries.send(Entry { record, synced: None }).is_err() {
            error!("the journal's writer has ended");
        }
    }
}

pub(super) fn new_file(path: &Path) -> io::Result<File> {
    OpenOptions::new().create(true).append(true).mode(0o600).open(path)
}

struct Writer {
    path: PathBuf,
    file: File,
    written: u64,
    torn: bool,
    open: BTreeMap<String, Vec<String>>,
}

impl Writer {
    fn run(mut self, incoming: &mpsc::Receiver<Entry>) {
        while let Ok(first) = incoming.recv() {
            let mut entries = vec![first];
            while entries.len() < MOST_AT_ONCE {
                let Ok(next) = incoming.try_recv() else { break };
                entries.push(next);
            }
            let result = self.write(&entries);
            if let Err(cause) = &result {
                error!(error = %cause, path = %self.path.display(), "cannot write the journal; nothing is sent without it");
            }
            for synced in entries.into_iter().filter_map(|entry| entry.synced) {
                let copy = result.as_ref().copied().map_err(|e| io::Error::new(e.kind(), e.to_string()));
                // A caller that was cancelled does not wait for the answer.
                let _gone = synced.send(copy);
            }
        }
    }

    fn write(&mut self, entries: &[Entry]) -> io::Result<()> {
        let mut text = String::new();
        for entry in entries {
            let line = serde_json::to_string(&entry.record)?;
            text.push_str(&line);
            text.push('\n');
            if matches!(entry.record, Record::Ended { .. }) {
                self.open.remove(entry.record.token());
            } else {
                self.open.entry(entry.record.token().to_owned()).or_default().push(line);
            }
        }
        let sync = entries.iter().any(|entry| entry.synced.is_some());
        // After a failure the file may end in half a line: it is written anew, from what is open.
        let written = if self.torn { self.compact() } else { self.append(&text, sync) };
        self.torn = written.is_err();
        if written.is_err() {
            for entry in entries.iter().filter(|entry| entry.synced.is_some()) {
                // Whoever waits for it learns that it is not on disk, and does not send.
                self.open.remove(entry.record.token());
            }
            return written;
        }
        if self.written > COMPACT_AT
            && let Err(cause) = self.compact()
        {
            self.torn = true;
            error!(error = %cause, "cannot compact the journal");
        }
        Ok(())
    }

    fn append(&mut self, text: &str, sync: bool) -> io::Result<()> {
        self.file.write_all(text.as_bytes())?;
        if sync {
            self.file.sync_data()?;
        }
        self.written += text.len() as u64;
        Ok(())
    }

    fn compact(&mut self) -> io::Result<()> {
        let fresh = self.path.with_extension("new");
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&fresh)?;
        for line in self.open.values().flatten() {
            writeln!(file, "{line}")?;
        }
        file.sync_all()?;
        fs::rename(&fresh, &self.path)?;
        if let Some(dir) = self.path.parent() {
            super::sync_dir(dir)?;
        }
        self.file = file;
        self.written = 0;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use pictor_common::{AssetKey, MicroUsd, Spec, queue::Attempt};

    use super::{
        super::record::{Image, read_journal},
        *,
    };

    fn intent(token: &str) -> Record {
        let spec = Spec { model: "m".into(), ..Spec::default() };
        Record::Intent {
            attempt: Attempt {
                key: AssetKey::of(&spec),
                token: token.into(),
                attempt: 0,
                payer: "b".into(),
                tenant: "t".into(),
                lane: "l".into(),
                model: "m".into(),
                request_id: None,
            },
            spec: Box::new(spec),
            ceiling: MicroUsd(5),
        }
    }

    #[tokio::test]
    async fn what_has_not_ended_is_read_back() {
        let dir = tempfile::tempdir().unwrap();
        let journal = Journal::open(dir.path()).unwrap();
        for token in ["a", "b", "c"] {
            journal.sync(intent(token)).await.unwrap();
        }
        journal.note(Record::Sent { token: "a".into(), attempt: 3 });
        journal.note(Record::Received { token: "b".into(), image: Image { bytes: 9, ..Image::default() } });
        journal.sync(Record::Ended { token: "c".into() }).await.unwrap();

        let mut cut = OpenOptions::new().append(true).open(dir.path().join("journal")).unwrap();
        cut.write_all(b"{\"intent\":{\"atte").unwrap();

        let open = read_journal(&dir.path().join("journal")).unwrap();
        let seen: Vec<_> = open
            .iter()
            .map(|o| (o.attempt.token.as_str(), o.attempt.attempt, o.sent, o.image.is_some()))
            .collect();
        assert_eq!(seen, [("a", 3, true, false), ("b", 0, false, true)]);
    }

    #[tokio::test]
    async fn a_torn_line_swallows_nothing_that_follows() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("journal");
        let mut writer =
            Writer { file: new_file(&path).unwrap(), path, written: 0, torn: false, open: BTreeMap::new() };
        writer.write(&[Entry { record: intent("a"), synced: None }]).unwrap();
        writer.file.write_all("{\"intent\":{\"é".as_bytes().split_last().unwrap().1).unwrap();
        writer.torn = true;
        writer.write(&[Entry { record: intent("b"), synced: None }]).unwrap();
        let tokens: Vec<_> =
            read_journal(&writer.path).unwrap().into_iter().map(|o| o.attempt.token).collect();
        assert_eq!(tokens, ["a", "b"]);
    }

    #[tokio::test]
    async fn compaction_keeps_what_is_open() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("journal");
        let mut writer =
            Writer { file: new_file(&path).unwrap(), path, written: 0, torn: false, open: BTreeMap::new() };
        let entry = |record| Entry { record, synced: None };
        writer
            .write(&[entry(intent("a")), entry(intent("b")), entry(Record::Ended { token: "a".into() })])
            .unwrap();
        writer.compact().unwrap();
        writer.write(&[entry(Record::Sent { token: "b".into(), attempt: 1 })]).unwrap();
        let open = read_journal(&writer.path).unwrap();
        assert_eq!(open.len(), 1);
        assert!(open[0].sent && open[0].attempt.token == "b");
    }
}
