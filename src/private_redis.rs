//! A Redis or Valkey of our own, for one machine: started in the data directory, and ended with us.
//!
//! ```text
//! <data>/lock           held by the process that owns the server
//! <data>/socket         path of the server's socket
//! <data>/store          the store whose images this server knows
//! <data>/redis/         the server's directory: append-only file, log
//! ```

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context, bail, ensure};
use redis::{Client, ConnectionAddr, IntoConnectionInfo as _};
use rustix::{
    fs::{FlockOperation, flock},
    process::{Pid, Signal, kill_process},
};

use crate::{config, signals::Signals};

const NAMES: [&str; 2] = ["redis-server", "valkey-server"];
const START: Duration = Duration::from_secs(60);
const END: Duration = Duration::from_secs(30);
/// The kernel's limit is 108 on Linux and 104 on macOS, with a closing zero.
const LONGEST_SOCKET: usize = 100;
pub(crate) const HOW_TO_GET: &str = "no redis-server or valkey-server found on PATH; install one (Debian, Ubuntu: apt-get install redis-server; \
                          Fedora: dnf install valkey; macOS: brew install redis; in a checkout: tools/install.sh server), \
                          or name a running one with PICTOR_REDIS__URL";

/// What the server is wanted for.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Use<'a> {
    /// To work, with images in this store; alone.
    Work(&'a str),
    /// To look at, or steer, beside whoever works.
    Look,
}

/// The server, owned or somebody else's.
#[derive(Debug)]
pub(crate) struct PrivateRedis {
    socket: PathBuf,
    owned: Option<Owned>,
}

#[derive(Debug)]
struct Owned {
    data_dir: PathBuf,
    child: Child,
    signals: Signals,
    _lock: File,
}

impl PrivateRedis {
    /// Starts the server, or for [`Use::Look`] joins one that runs.
    pub(crate) async fn open(data_dir: &Path, how: Use<'_>, signals: &Signals) -> anyhow::Result<Self> {
        let told = || format!("cannot use the data directory {}", data_dir.display());
        if matches!(how, Use::Look) && !data_dir.join("redis").is_dir() {
            let demo = data_dir.join("demo");
            let demo = if demo.join("redis").is_dir() {
                format!(" That of the demo is there: --data-dir {}.", demo.display())
            } else {
                String::new()
            };
            bail!(
                "nothing was made here yet: {} holds no queue.{demo} Name another directory with --data-dir, or a Redis with PICTOR_REDIS__URL",
                data_dir.display()
            );
        }
        make_dir(&data_dir.join("redis")).with_context(told)?;
        let data_dir = fs::canonicalize(data_dir).with_context(told)?;
        let Some(lock) = lock(&data_dir).with_context(told)? else {
            return Self::join(&data_dir, how);
        };
        if let Use::Work(store) = how {
            keep_store(&data_dir, store)?;
        }
        let socket = socket_path(&data_dir).with_context(told)?;
        end_leftover(&data_dir, &socket).await?;
        write(&data_dir.join("socket"), socket.display().to_string()).with_context(told)?;
        let child = start(&data_dir, &socket)?;
        let mut owned = Owned { data_dir: data_dir.clone(), child, signals: signals.clone(), _lock: lock };
        signals.set_child(Some(Pid::from_child(&owned.child)));
        wait_until_ready(&mut owned.child, &socket, &data_dir).await?;
        Ok(Self { socket, owned: Some(owned) })
    }

    /// Joins the server of another process.
    fn join(data_dir: &Path, how: Use<'_>) -> anyhow::Result<Self> {
        if matches!(how, Use::Work(_)) {
            bail!(
                "another pictor works in {}: wait for it, or give this one a --data-dir and an --out of its own",
                data_dir.display()
            );
        }
        let socket = fs::read_to_string(data_dir.join("socket"))
            .context("another pictor is just starting here; try again")?;
        Ok(Self { socket: PathBuf::from(socket.trim()), owned: None })
    }

    /// Whether this process started it: then nobody else works here.
    pub(crate) const fn is_ours(&self) -> bool {
        self.owned.is_some()
    }

    /// Where it listens.
    pub(crate) fn socket(&self) -> &Path {
        &self.socket
    }

    pub(crate) fn client(&self) -> anyhow::Result<Client> {
        client(&self.socket)
    }

    /// The data directory, where the server ends with us.
    pub(crate) fn owned_dir(&self) -> Option<&Path> {
        self.owned.as_ref().map(|owned| owned.data_dir.as_path())
    }

    /// Ends the server in good order; it writes what it holds.
    pub(crate) async fn stop(mut self) -> anyhow::Result<()> {
        let Some(mut owned) = self.owned.take() else { return Ok(()) };
        tokio::task::spawn_blocking(move || owned.end()).await.context("cannot end the private Redis")?;
        Ok(())
    }
}

impl Owned {
    fn end(&mut self) {
        if !matches!(self.child.try_wait(), Ok(None)) {
            self.signals.set_child(None);
            return;
        }
        // A child that was not waited for keeps its id, so this reaches no stranger.
        let _ended = kill_process(Pid::from_child(&self.child), Signal::TERM);
        let deadline = Instant::now() + END;
        while matches!(self.child.try_wait(), Ok(None)) {
            if Instant::now() > deadline {
                let _ended = self.child.kill();
                let _status = self.child.wait();
                break;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        self.signals.set_child(None);
    }
}

impl Drop for Owned {
    fn drop(&mut self) {
        self.end();
    }
}

/// The store whose images the server of a data directory knows; below the working directory, from there.
pub(crate) fn known_store(data_dir: &Path) -> Option<String> {
    let store = fs::read_to_string(data_dir.join("store")).ok()?;
    let here = std::env::current_dir().ok();
    let below = here.and_then(|here| Path::new(&store).strip_prefix(here).ok().map(Path::to_owned));
    Some(below.map_or(store, |path| path.display().to_string()))
}

/// The server that runs in a data directory, if one is said to; nothing is started.
pub(crate) fn running(data_dir: &Path) -> Option<Client> {
    let socket = fs::read_to_string(data_dir.join("socket")).ok()?;
    client(Path::new(socket.trim())).ok()
}

pub(crate) fn client(socket: &Path) -> anyhow::Result<Client> {
    Ok(Client::open(ConnectionAddr::Unix(socket.to_owned()).into_connection_info()?)?)
}

/// Creates a directory that is its owner's alone, and those above it.
pub(crate) fn make_dir(dir: &Path) -> io::Result<()> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(dir)
}

/// Creates or empties a file that is its owner's alone.
fn own_file(path: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)
}

/// Writes a file that is its owner's alone, whole or not at all.
pub(crate) fn write(path: &Path, bytes: impl AsRef<[u8]>) -> io::Result<()> {
    let fresh = path.with_extension("new");
    own_file(&fresh)?.write_all(bytes.as_ref())?;
    fs::rename(fresh, path)
}

/// Takes the lock; `None` when another process has it.
fn lock(data_dir: &Path) -> io::Result<Option<File>> {
    let file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .mode(0o600)
        .open(data_dir.join("lock"))?;
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(Some(file)),
        Err(rustix::io::Errno::WOULDBLOCK) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// A queue knows which images exist: with another store it would believe in files that are not there.
fn keep_store(data_dir: &Path, store: &str) -> anyhow::Result<()> {
    let path = data_dir.join("store");
    match fs::read_to_string(&path) {
        Ok(before) if before == store => Ok(()),
        Ok(before) => Err(crate::exit::refused(format!(
            "{} belongs to the images in {before}: use --out {before}, or another --data-dir for {store}",
            data_dir.display()
        ))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            write(&path, store).with_context(|| format!("cannot write {}", path.display()))
        }
        Err(error) => Err(error).with_context(|| format!("cannot read {}", path.display())),
    }
}

/// In the data directory, unless the path would be too long for a socket.
fn socket_path(data_dir: &Path) -> io::Result<PathBuf> {
    let usual = data_dir.join("redis/redis.sock");
    if usual.as_os_str().len() <= LONGEST_SOCKET {
        return Ok(usual);
    }
    let name: u64 =
        data_dir.as_os_str().as_encoded_bytes().iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
            (hash ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3)
        });
    let own = rustix::process::geteuid().as_raw();
    let dir = config::runtime_dir().join(format!("pictor-{own}-{name:016x}"));
    make_dir(&dir)?;
    let found = fs::symlink_metadata(&dir)?;
    let mine = std::os::unix::fs::MetadataExt::uid(&found) == own;
    if found.is_dir() && mine {
        Ok(dir.join("redis.sock"))
    } else {
        Err(io::Error::other(format!("{} is not ours", dir.display())))
    }
}

/// Ends the server of a process that was killed; we hold the lock, so nobody else wants it.
async fn end_leftover(data_dir: &Path, socket: &Path) -> anyhow::Result<()> {
    let recorded = fs::read_to_string(data_dir.join("socket")).map(|path| PathBuf::from(path.trim()));
    for socket in [recorded.unwrap_or_default(), socket.to_owned()] {
        if !socket.exists() {
            continue;
        }
        let deadline = Instant::now() + END;
        while std::os::unix::net::UnixStream::connect(&socket).is_ok() {
            ensure!(
                Instant::now() < deadline,
                "an earlier private Redis at {} does not end",
                socket.display()
            );
            if let Ok(mut connection) = client(&socket)?.get_multiplexed_async_connection().await {
                // It closes the connection instead of answering.
                let _closed: Result<(), _> = redis::cmd("SHUTDOWN").exec_async(&mut connection).await;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
    Ok(())
}

/// The first server there is.
pub(crate) fn program() -> Option<PathBuf> {
    let dirs = config::program_dirs();
    dirs.iter().flat_map(|dir| NAMES.iter().map(move |name| dir.join(name))).find(|path| path.is_file())
}

fn start(data_dir: &Path, socket: &Path) -> anyhow::Result<Child> {
    use std::os::unix::process::CommandExt as _;
    let program = program().context(HOW_TO_GET)?;
    let dir = data_dir.join("redis");
    let log = own_file(&dir.join("redis.log")).context("cannot write the log of the private Redis")?;
    Command::new(&program)
        .args(["--port", "0", "--unixsocketperm", "700", "--daemonize", "no", "--save", ""])
        .args(["--appendonly", "yes", "--appendfsync", "everysec", "--maxmemory-policy", "noeviction"])
        .arg("--unixsocket")
        .arg(socket)
        .arg("--dir")
        .arg(&dir)
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log)
        // Ctrl-C reaches the whole group: the server must outlive our drain.
        .process_group(0)
        .spawn()
        .with_context(|| format!("cannot start {}", program.display()))
}

async fn wait_until_ready(child: &mut Child, socket: &Path, data_dir: &Path) -> anyhow::Result<()> {
    let client = client(socket)?;
    let deadline = Instant::now() + START;
    loop {
        if let Some(status) = child.try_wait()? {
            let log = data_dir.join("redis/redis.log");
            let text = fs::read_to_string(&log).unwrap_or_default();
            let last: Vec<&str> = text.lines().rev().take(3).collect();
            bail!(
                "the private Redis ended with {status}: {}",
                last.into_iter().rev().collect::<Vec<_>>().join(" | ")
            );
        }
        if let Ok(mut connection) = client.get_multiplexed_async_connection().await {
            // A server that still loads its data answers an error.
            if redis::cmd("PING").exec_async(&mut connection).await.is_ok() {
                return Ok(());
            }
        }
        ensure!(
            Instant::now() < deadline,
            "the private Redis does not answer after {} s; see {}",
            START.as_secs(),
            data_dir.join("redis/redis.log").display()
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_data_directory_keeps_to_its_store() {
        let dir = tempfile::tempdir().unwrap();
        keep_store(dir.path(), "/a").unwrap();
        keep_store(dir.path(), "/a").unwrap();
        let error = keep_store(dir.path(), "/b").unwrap_err();
        assert!(error.is::<crate::exit::Refused>());
        assert!(error.to_string().contains("belongs to the images in /a: use --out /a"), "{error}");
    }

    #[test]
    fn one_process_owns_a_data_directory() {
        let dir = tempfile::tempdir().unwrap();
        let first = lock(dir.path()).unwrap();
        assert!(first.is_some() && lock(dir.path()).unwrap().is_none());
        drop(first);
        assert!(lock(dir.path()).unwrap().is_some());
    }

    #[test]
    fn a_socket_has_a_short_path() {
        let short = Path::new("/tmp/x");
        assert_eq!(socket_path(short).unwrap(), Path::new("/tmp/x/redis/redis.sock"));
        let long = PathBuf::from(format!("/tmp/{}", "x".repeat(LONGEST_SOCKET)));
        let (one, again) = (socket_path(&long).unwrap(), socket_path(&long).unwrap());
        assert!(one.as_os_str().len() <= LONGEST_SOCKET && one == again, "{one:?}");
        assert_ne!(one, socket_path(&long.join("y")).unwrap());
        let mode = std::os::unix::fs::PermissionsExt::mode(
            &fs::metadata(one.parent().unwrap()).unwrap().permissions(),
        );
        assert_eq!(mode & 0o777, 0o700);
        for path in [one, socket_path(&long.join("y")).unwrap()] {
            fs::remove_dir(path.parent().unwrap()).unwrap();
        }
    }
}
