//! A clock that a process goes by and a test can turn: libfaketime, put before the process.

use std::{
    env, fs,
    path::{Path, PathBuf},
};

use tempfile::TempDir;

/// The wall clock of some processes. What counts time that has passed goes on as ever.
#[derive(Debug)]
pub(crate) struct Clock {
    folder: TempDir,
}

impl Clock {
    /// A clock that is so many seconds ahead, or behind.
    pub(crate) fn ahead(seconds: i64) -> Self {
        let clock = Self { folder: tempfile::Builder::new().prefix("pictor-clock-").tempdir().unwrap() };
        clock.turn(seconds);
        clock
    }

    /// Turns it, for all that go by it, at once.
    pub(crate) fn turn(&self, seconds: i64) {
        let fresh = self.folder.path().join("fresh");
        fs::write(&fresh, format!("{seconds:+}\n")).unwrap();
        fs::rename(&fresh, self.file()).unwrap();
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join("clock")
    }

    /// What makes a process go by it.
    pub(crate) fn variables(&self) -> Vec<(String, String)> {
        // A server with an allocator of its own would wait for itself: the C library's comes before that.
        let preload = format!("{} libc.so.6", library().display());
        [
            ("LD_PRELOAD", preload.as_str()),
            ("FAKETIME_TIMESTAMP_FILE", self.file().to_str().unwrap()),
            ("FAKETIME_NO_CACHE", "1"),
            ("FAKETIME_DONT_FAKE_MONOTONIC", "1"),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .to_vec()
    }
}

/// Finds libfaketime: the variable if it is set, then where packages put it.
fn library() -> PathBuf {
    if let Some(path) = env::var_os("PICTOR_TEST_FAKETIME") {
        return path.into();
    }
    let named = |folder: &Path| folder.join("faketime/libfaketime.so.1");
    let below = |folder: &str| fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    let folders = below("/usr/lib").chain(["/usr/lib", "/usr/lib64"].map(PathBuf::from));
    folders
        .map(|folder| named(&folder))
        .find(|path| path.is_file())
        .unwrap_or_else(|| panic!("libfaketime not found: run `make tools`, or set PICTOR_TEST_FAKETIME"))
}

#[test]
fn a_clock_is_turned_while_a_server_goes_by_it() {
    use super::redis_server::RedisServer;

    let clock = Clock::ahead(0);
    let server = RedisServer::start_in(&[], clock.variables());
    let client = redis::Client::open(server.url()).unwrap();
    let mut connection = client.get_connection().unwrap();
    for seconds in [0, 600, -600, 0] {
        clock.turn(seconds);
        let (told, _micros): (i64, i64) = redis::cmd("TIME").query(&mut connection).unwrap();
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
        let off = told - i64::try_from(now.as_secs()).unwrap() - seconds;
        assert!(off.abs() <= 2, "{off} s off at {seconds:+}");
    }
}
