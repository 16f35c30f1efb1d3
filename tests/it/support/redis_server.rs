//! A private Redis or Valkey on a loopback port.

use std::{
    io::{Read as _, Write as _},
    net::{Ipv4Addr, SocketAddr, TcpStream},
    path::Path,
    process::Command,
    time::Duration,
};

use rustix::process::Signal;
use tempfile::TempDir;

use super::{
    ports,
    process::{Proc, program},
};

const PATIENCE: Duration = Duration::from_secs(20);

/// A server with an append-only file, which it finds again after a restart.
#[derive(Debug)]
pub(crate) struct RedisServer {
    // Before the folder, so that it is dropped first.
    process: Option<Proc>,
    folder: TempDir,
    port: u16,
    options: Vec<String>,
    variables: Vec<(String, String)>,
}

impl RedisServer {
    pub(crate) fn start() -> Self {
        Self::start_with(&[])
    }

    /// Starts with more options, such as `["--maxmemory", "64mb"]`.
    pub(crate) fn start_with(options: &[&str]) -> Self {
        Self::start_in(options, Vec::new())
    }

    /// Starts in an environment of its own.
    pub(crate) fn start_in(options: &[&str], variables: Vec<(String, String)>) -> Self {
        let mut server = Self {
            process: None,
            folder: tempfile::Builder::new().prefix("pictor-redis-").tempdir().unwrap(),
            port: ports::free(),
            options: options.iter().copied().map(str::to_owned).collect(),
            variables,
        };
        server.spawn();
        server
    }

    pub(crate) fn url(&self) -> String {
        format!("redis://{}", self.address())
    }

    pub(crate) fn address(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.port).into()
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn pid(&self) -> u32 {
        self.process.as_ref().expect("the server runs").pid()
    }

    /// Ends it in good order; it writes what it holds.
    pub(crate) fn stop(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.signal(Signal::TERM);
            process.wait(PATIENCE);
        }
    }

    /// Ends it with SIGKILL.
    pub(crate) fn kill(&mut self) {
        self.process = None;
    }

    /// Starts it again on the same port and data, after stopping it if it still runs.
    pub(crate) fn restart(&mut self) {
        self.stop();
        self.spawn();
    }

    /// Has other options from its next start on.
    pub(crate) fn set_options(&mut self, options: &[&str]) {
        self.options = options.iter().copied().map(str::to_owned).collect();
    }

    fn spawn(&mut self) {
        let mut command = Command::new(program("PICTOR_TEST_REDIS", &["redis-server", "valkey-server"]));
        command
            .args(["--bind", "127.0.0.1", "--port", &self.port.to_string(), "--daemonize", "no"])
            .args(["--appendonly", "yes", "--appendfsync", "everysec", "--save", ""])
            .args(["--maxmemory-policy", "noeviction"])
            .arg("--dir")
            .arg(self.folder.path())
            .args(&self.options)
            .envs(self.variables.iter().map(|(name, value)| (name, value)))
            .current_dir(self.folder.path());
        let mut process = Proc::spawn("redis", &mut command, self.folder.path());
        let address = self.address();
        process.wait_until("answering", PATIENCE, |_| answers(address));
        self.process = Some(process);
    }
}

/// A server that still loads its data answers, but not PONG.
fn answers(address: SocketAddr) -> bool {
    let ping = || {
        let mut stream = TcpStream::connect(address)?;
        stream.set_read_timeout(Some(Duration::from_secs(1)))?;
        stream.write_all(b"PING\r\n")?;
        let mut reply = [0; 5];
        stream.read_exact(&mut reply)?;
        std::io::Result::Ok(reply)
    };
    ping().is_ok_and(|reply| &reply == b"+PONG")
}

#[cfg(test)]
mod tests {
    use redis::Commands as _;

    use super::*;

    #[test]
    fn data_outlives_stop_and_kill() {
        let mut server = RedisServer::start_with(&["--databases", "2"]);
        let client = redis::Client::open(server.url()).unwrap();
        let connect = || client.get_connection().unwrap();
        let _: () = connect().set("a", 1).unwrap();
        server.restart();
        assert_eq!(connect().get::<_, i64>("a").unwrap(), 1);

        let _: () = connect().set("b", 2).unwrap();
        let killed = server.pid();
        server.kill();
        assert!(!Path::new(&format!("/proc/{killed}")).exists());
        assert!(client.get_connection().is_err(), "it still answers");
        server.restart();
        // SIGKILL leaves what was written to the page cache.
        assert_eq!(connect().get::<_, i64>("b").unwrap(), 2);
        let policy: Vec<String> =
            redis::cmd("CONFIG").arg("GET").arg("maxmemory-policy").query(&mut connect()).unwrap();
        assert_eq!(policy[1], "noeviction");
    }

    #[test]
    fn drop_leaves_nothing() {
        let server = RedisServer::start();
        let (pid, folder) = (server.pid(), server.folder().to_owned());
        drop(server);
        assert!(!Path::new(&format!("/proc/{pid}")).exists() && !folder.exists());
    }
}
