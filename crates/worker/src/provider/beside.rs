//! What came with an image, in a file beside it: for whoever finds the image of a process that died before it told anybody.

use std::{
    fs, io,
    io::Write as _,
    path::{Path, PathBuf},
};

use pictor_common::price::Usage;
use serde::{Deserialize, Serialize};

/// What an answer says beside its image.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Beside {
    /// The provider's request id.
    pub(crate) request_id: Option<String>,
    /// The prompt as the model rewrote it.
    pub(crate) revised_prompt: Option<String>,
    /// Tokens used.
    pub(crate) usage: Option<Usage>,
}

impl Beside {
    /// What lies beside a sink; nothing where that cannot be read, as after a power cut.
    pub(crate) fn read(sink: &Path) -> Self {
        fs::read(path(sink)).ok().and_then(|text| serde_json::from_slice(&text).ok()).unwrap_or_default()
    }

    /// Outlives the process, and not a power cut: what is needed to find and keep the image is in the journal.
    pub(super) fn write(&self, sink: &Path) -> io::Result<()> {
        super::landing::create(&path(sink))?.write_all(&serde_json::to_vec(self)?)
    }
}

/// Removes what lies beside a sink, if anything does.
pub(crate) fn remove_beside(sink: &Path) -> io::Result<()> {
    match fs::remove_file(path(sink)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed,
    }
}

fn path(sink: &Path) -> PathBuf {
    let mut name = sink.as_os_str().to_owned();
    name.push(".told");
    PathBuf::from(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_torn_or_missing_says_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let sink = dir.path().join("token.img");
        assert_eq!(Beside::read(&sink), Beside::default());
        let usage = Some(Usage { image_output: 200, ..Usage::default() });
        let told = Beside { request_id: Some("req_1".to_owned()), revised_prompt: None, usage };
        told.write(&sink).unwrap();
        assert_eq!(Beside::read(&sink), told);
        fs::write(path(&sink), "{\"request_id\": \"re").unwrap();
        assert_eq!(Beside::read(&sink), Beside::default());
        remove_beside(&sink).unwrap();
        remove_beside(&sink).unwrap();
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    }
}
