//! A model of a disk that loses its power: of files it keeps what was synced, of names those whose directory was.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Component, Path, PathBuf},
};

use super::trace::Call;
use crate::chaos::dice::Dice;

const ROOT: usize = 0;

type Names = BTreeMap<String, usize>;

/// What it is now, and what a power cut leaves of it.
#[derive(Clone, Debug)]
enum Node {
    File { now: Vec<u8>, kept: Vec<u8> },
    Dir { now: Names, kept: Names },
}

/// What is found once the power is back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum After {
    /// What was synced, and nothing else.
    Synced,
    /// Some of what was not synced as well: names, whole files, and the first part of what was appended.
    Some,
    /// All that was written.
    All,
}

/// Part of a directory tree, as calls change it.
#[derive(Clone, Debug)]
pub(crate) struct Disk {
    root: PathBuf,
    nodes: Vec<Node>,
    /// What calls that sync and have not returned found to sync.
    syncing: BTreeMap<usize, (usize, Node)>,
    /// The call that synced a node last: one that began before it and ends after it saw less.
    synced_by: BTreeMap<usize, usize>,
}

impl Disk {
    /// The subtrees of a directory as they are, all of it durable.
    pub(crate) fn of(root: &Path, subtrees: &[&str]) -> Self {
        let mut disk = Self {
            root: root.to_owned(),
            nodes: vec![dir()],
            syncing: BTreeMap::new(),
            synced_by: BTreeMap::new(),
        };
        for name in subtrees {
            let path = root.join(name);
            if path.exists() {
                disk.load(&path, ROOT, name);
            }
        }
        for node in &mut disk.nodes {
            *node = synced(node);
        }
        disk
    }

    fn load(&mut self, path: &Path, parent: usize, name: &str) {
        if path.is_dir() {
            let node = self.put(parent, name, dir());
            for entry in fs::read_dir(path).unwrap() {
                let entry = entry.unwrap();
                self.load(&entry.path(), node, entry.file_name().to_str().unwrap());
            }
        } else {
            self.put(parent, name, Node::File { now: fs::read(path).unwrap(), kept: Vec::new() });
        }
    }

    fn put(&mut self, parent: usize, name: &str, node: Node) -> usize {
        self.nodes.push(node);
        let number = self.nodes.len() - 1;
        self.names(parent).insert(name.to_owned(), number);
        number
    }

    fn names(&mut self, of: usize) -> &mut Names {
        match &mut self.nodes[of] {
            Node::Dir { now, .. } => now,
            Node::File { .. } => panic!("a file holds names"),
        }
    }

    fn find(&self, path: &Path) -> Option<usize> {
        let within = path.strip_prefix(&self.root).ok()?;
        within.components().try_fold(ROOT, |at, part| match (&self.nodes[at], part) {
            (Node::Dir { now, .. }, Component::Normal(name)) => now.get(name.to_str()?).copied(),
            _ => None,
        })
    }

    /// The directory of a path, and its name there.
    fn place(&self, path: &Path) -> Option<(usize, String)> {
        Some((self.find(path.parent()?)?, path.file_name()?.to_str()?.to_owned()))
    }

    /// A call begins: what it syncs is what is there now.
    pub(crate) fn begins(&mut self, id: usize, call: &Call) {
        if let Call::Sync(path) = call
            && let Some(at) = self.find(path)
        {
            self.syncing.insert(id, (at, self.nodes[at].clone()));
        }
    }

    /// A call has done what it does.
    pub(crate) fn ends(&mut self, id: usize, call: &Call) {
        match call {
            Call::Sync(_) => {
                if let Some((at, then)) = self.syncing.remove(&id)
                    && self.synced_by.get(&at).is_none_or(|other| *other < id)
                {
                    self.keep(at, &then);
                    self.synced_by.insert(at, id);
                }
            }
            Call::Open { path, create, truncate } => self.open(path, *create, *truncate),
            Call::Write { path, at, bytes } => self.write(path, *at, bytes),
            Call::Truncate { path, length } => {
                if let Some(Node::File { now, .. }) = self.file(path) {
                    now.resize(*length, 0);
                }
            }
            Call::MakeDir(path) => {
                if let Some((parent, name)) = self.place(path) {
                    self.put(parent, &name, dir());
                }
            }
            Call::Rename(from, to) => {
                if let (Some(node), Some((parent, name))) = (self.take(from), self.place(to)) {
                    self.names(parent).insert(name, node);
                }
            }
            Call::Link(from, to) => {
                if let (Some(node), Some((parent, name))) = (self.find(from), self.place(to)) {
                    self.names(parent).insert(name, node);
                }
            }
            Call::Remove(path) => {
                self.take(path);
            }
            Call::Copy { from, to, length } => {
                let Some(Node::File { now, .. }) = self.find(from).map(|at| &self.nodes[at]) else { return };
                let bytes = now.iter().copied().take(*length).collect::<Vec<_>>();
                self.write(to, None, &bytes);
            }
            Call::Send { .. } => {}
        }
    }

    fn keep(&mut self, at: usize, then: &Node) {
        match (&mut self.nodes[at], then) {
            (Node::File { kept, .. }, Node::File { now, .. }) => kept.clone_from(now),
            (Node::Dir { kept, .. }, Node::Dir { now, .. }) => kept.clone_from(now),
            _ => panic!("a file became a directory"),
        }
    }

    fn open(&mut self, path: &Path, create: bool, truncate: bool) {
        match (self.find(path), self.place(path)) {
            (Some(at), _) if truncate => {
                if let Node::File { now, .. } = &mut self.nodes[at] {
                    now.clear();
                }
            }
            (None, Some((parent, name))) if create => {
                self.put(parent, &name, Node::File { now: Vec::new(), kept: Vec::new() });
            }
            _ => {}
        }
    }

    fn file(&mut self, path: &Path) -> Option<&mut Node> {
        let at = self.find(path)?;
        Some(&mut self.nodes[at])
    }

    /// Writes at a place, else at the end: nothing here writes anywhere else.
    fn write(&mut self, path: &Path, at: Option<usize>, bytes: &[u8]) {
        let Some(Node::File { now, .. }) = self.file(path) else { return };
        let at = at.unwrap_or(now.len());
        now.resize(now.len().max(at + bytes.len()), 0);
        now[at..at + bytes.len()].copy_from_slice(bytes);
    }

    fn take(&mut self, path: &Path) -> Option<usize> {
        let (parent, name) = self.place(path)?;
        self.names(parent).remove(&name)
    }

    fn find_durable(&self, path: &Path) -> Option<usize> {
        let within = path.strip_prefix(&self.root).ok()?;
        within.components().try_fold(ROOT, |at, part| match (&self.nodes[at], part) {
            (Node::Dir { kept, .. }, Component::Normal(name)) => kept.get(name.to_str()?).copied(),
            _ => None,
        })
    }

    /// A file as a power cut at this moment would leave it.
    pub(crate) fn durable(&self, path: &Path) -> Option<&[u8]> {
        match &self.nodes[self.find_durable(path)?] {
            Node::File { kept, .. } => Some(kept),
            Node::Dir { .. } => None,
        }
    }

    /// All files below a directory as a power cut at this moment would leave them.
    pub(crate) fn durable_below(&self, folder: &Path) -> Vec<&[u8]> {
        let (mut files, mut look) = (Vec::new(), Vec::from_iter(self.find_durable(folder)));
        while let Some(at) = look.pop() {
            match &self.nodes[at] {
                Node::File { kept, .. } => files.push(kept.as_slice()),
                Node::Dir { kept, .. } => look.extend(kept.values()),
            }
        }
        files
    }

    /// A file as it is.
    pub(crate) fn current(&self, path: &Path) -> Option<&[u8]> {
        match &self.nodes[self.find(path)?] {
            Node::File { now, .. } => Some(now),
            Node::Dir { .. } => None,
        }
    }

    /// Makes the subtrees what a power cut leaves of them; the files that are there then.
    pub(crate) fn restore(
        &self,
        subtrees: &[&str],
        after: After,
        dice: &mut Dice,
    ) -> BTreeMap<PathBuf, Vec<u8>> {
        for name in subtrees {
            let path = self.root.join(name);
            if path.exists() {
                fs::remove_dir_all(path).unwrap();
            }
        }
        let mut files = BTreeMap::new();
        self.restore_dir(ROOT, &self.root, after, dice, &mut files);
        files
    }

    fn restore_dir(
        &self,
        at: usize,
        path: &Path,
        after: After,
        dice: &mut Dice,
        files: &mut BTreeMap<PathBuf, Vec<u8>>,
    ) {
        let Node::Dir { now, kept } = &self.nodes[at] else { panic!("not a directory") };
        for name in now.keys().chain(kept.keys()).collect::<BTreeSet<_>>() {
            let (then, before) = (now.get(name), kept.get(name));
            let found = match after {
                After::Synced => before,
                After::All => then,
                After::Some if dice.one_of(2) == 0 => before,
                After::Some => then,
            };
            let Some(&node) = found else { continue };
            let path = path.join(name);
            match &self.nodes[node] {
                Node::Dir { .. } => {
                    fs::create_dir(&path).unwrap();
                    self.restore_dir(node, &path, after, dice, files);
                }
                Node::File { now, kept } => {
                    let bytes = content(now, kept, after, dice);
                    fs::write(&path, &bytes).unwrap();
                    files.insert(path, bytes);
                }
            }
        }
    }
}

fn dir() -> Node {
    Node::Dir { now: Names::new(), kept: Names::new() }
}

fn synced(node: &Node) -> Node {
    match node {
        Node::File { now, .. } => Node::File { now: now.clone(), kept: now.clone() },
        Node::Dir { now, .. } => Node::Dir { now: now.clone(), kept: now.clone() },
    }
}

fn content(now: &[u8], kept: &[u8], after: After, dice: &mut Dice) -> Vec<u8> {
    match after {
        After::Synced => kept.to_vec(),
        After::All => now.to_vec(),
        // A line may be torn anywhere.
        After::Some if now.starts_with(kept) => {
            now[..kept.len() + dice.one_of(now.len() - kept.len() + 1)].to_vec()
        }
        After::Some if dice.one_of(2) == 0 => kept.to_vec(),
        After::Some => now.to_vec(),
    }
}

#[test]
fn what_is_not_synced_is_gone() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    let mut disk = Disk::of(root, &["spool"]);
    let [spool, part, image] = ["spool", "spool/a.part", "spool/a"].map(|name| root.join(name));
    let calls = [
        Call::MakeDir(spool.clone()),
        Call::Sync(root.to_owned()),
        Call::Open { path: part.clone(), create: true, truncate: true },
        Call::Write { path: part.clone(), at: Some(0), bytes: b"hello".to_vec() },
        Call::Sync(part.clone()),
        Call::Write { path: part.clone(), at: None, bytes: b" world".to_vec() },
        Call::Rename(part.clone(), image.clone()),
    ];
    for (id, call) in calls.iter().enumerate() {
        disk.begins(id, call);
        disk.ends(id, call);
    }
    assert_eq!((disk.current(&image), disk.durable(&image)), (Some(&b"hello world"[..]), None));
    let mut dice = Dice::of("disk");
    assert!(disk.restore(&["spool"], After::Synced, &mut dice).is_empty() && spool.is_dir());
    let sync = Call::Sync(spool);
    disk.begins(7, &sync);
    disk.ends(7, &sync);
    let left = disk.restore(&["spool"], After::Synced, &mut dice);
    assert_eq!(left, BTreeMap::from([(image.clone(), b"hello".to_vec())]));
    assert_eq!(disk.restore(&["spool"], After::All, &mut dice)[&image], b"hello world");
    let torn = disk.restore(&["spool"], After::Some, &mut dice);
    assert!(torn.values().all(|bytes| b"hello world".starts_with(bytes) && bytes.len() >= 5));
}
