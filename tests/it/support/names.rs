//! Host names of one's own, which resolve until a test forgets them: `nss_wrapper`, put before a process.

use std::{
    env, fs,
    path::{Path, PathBuf},
};

use tempfile::TempDir;

/// What the processes that go by it resolve names with.
#[derive(Debug)]
pub(crate) struct Names {
    folder: TempDir,
}

impl Names {
    /// Names that resolve to this machine.
    pub(crate) fn known(names: &[&str]) -> Self {
        let all = Self { folder: tempfile::Builder::new().prefix("pictor-names-").tempdir().unwrap() };
        all.know(names);
        all
    }

    /// From now on these resolve, and no others.
    pub(crate) fn know(&self, names: &[&str]) {
        let lines: String = names.iter().map(|name| format!("127.0.0.1 {name}\n")).collect();
        let fresh = self.folder.path().join("fresh");
        fs::write(&fresh, format!("127.0.0.1 localhost\n{lines}")).unwrap();
        fs::rename(&fresh, self.hosts()).unwrap();
    }

    fn hosts(&self) -> PathBuf {
        self.folder.path().join("hosts")
    }

    /// What makes a process go by it.
    pub(crate) fn variables(&self) -> Vec<(String, String)> {
        [("LD_PRELOAD", library()), ("NSS_WRAPPER_HOSTS", self.hosts())]
            .map(|(name, path)| (name.to_owned(), path.to_str().unwrap().to_owned()))
            .to_vec()
    }
}

/// Finds `nss_wrapper`: the variable if it is set, then where packages put it.
fn library() -> PathBuf {
    if let Some(path) = env::var_os("PICTOR_TEST_NSS_WRAPPER") {
        return path.into();
    }
    let named = |folder: &Path| folder.join("libnss_wrapper.so");
    let below = |folder: &str| fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    let folders = below("/usr/lib").chain(["/usr/lib", "/usr/lib64"].map(PathBuf::from));
    folders
        .map(|folder| named(&folder))
        .find(|path| path.is_file())
        .unwrap_or_else(|| panic!("nss_wrapper not found: run `make tools`, or set PICTOR_TEST_NSS_WRAPPER"))
}
