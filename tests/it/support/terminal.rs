//! A terminal of its own for a program: a pseudo-terminal, and the screen that comes of what is written to it.

use std::{
    fs::File,
    io::{Read as _, Write as _},
    os::fd::OwnedFd,
    process::{Child, Command, ExitStatus, Stdio},
    sync::{Arc, Mutex},
    thread::{self, sleep},
    time::{Duration, Instant},
};

use rustix::{
    process::{Pid, Signal, kill_process},
    pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt},
    termios::{LocalModes, Winsize, tcgetattr, tcsetwinsize},
};

use super::screen::Screen;

/// A program that has a terminal.
pub(crate) struct Terminal {
    master: File,
    slave: File,
    child: Child,
    seen: Arc<Mutex<Seen>>,
}

struct Seen {
    screen: Screen,
    raw: Vec<u8>,
}

impl Terminal {
    /// Starts a program with its environment as the leader of a terminal's session.
    pub(crate) fn start(command: &Command, (columns, rows): (u16, u16)) -> Self {
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&master).unwrap();
        unlockpt(&master).unwrap();
        let name = ptsname(&master, Vec::new()).unwrap().into_string().unwrap();
        let slave = File::options().read(true).write(true).open(name).unwrap();
        let mut leader = Command::new("setsid");
        leader.arg("--ctty").arg(command.get_program()).args(command.get_args()).env_clear();
        leader.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
        leader.current_dir(command.get_current_dir().unwrap());
        let end = || Stdio::from(OwnedFd::from(slave.try_clone().unwrap()));
        resize(&master, columns, rows);
        let child = leader.stdin(end()).stdout(end()).stderr(end()).spawn().unwrap();
        let screen = Screen::new(usize::from(columns), usize::from(rows));
        let seen = Arc::new(Mutex::new(Seen { screen, raw: Vec::new() }));
        let master = File::from(master);
        let mut reader = master.try_clone().unwrap();
        let writing = Arc::clone(&seen);
        thread::spawn(move || {
            let mut buffer = [0; 65_536];
            while let Ok(length @ 1..) = reader.read(&mut buffer) {
                let mut seen = writing.lock().unwrap();
                seen.raw.extend_from_slice(&buffer[..length]);
                seen.screen.feed(&buffer[..length]);
            }
        });
        Self { master, slave, child, seen }
    }

    pub(crate) fn resize(&self, columns: u16, rows: u16) {
        self.seen.lock().unwrap().screen.resize(usize::from(columns), usize::from(rows));
        resize(&self.master, columns, rows);
    }

    pub(crate) fn press(&mut self, keys: &str) {
        self.master.write_all(keys.as_bytes()).unwrap();
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// The lines that are on it now.
    pub(crate) fn lines(&self) -> Vec<String> {
        self.seen.lock().unwrap().screen.lines()
    }

    pub(crate) fn text(&self) -> String {
        self.lines().join("\n")
    }

    /// Everything that was ever written to it.
    pub(crate) fn raw(&self) -> String {
        String::from_utf8_lossy(&self.seen.lock().unwrap().raw).into_owned()
    }

    /// Whether lines are edited and keys echoed, as a shell has left it.
    pub(crate) fn is_cooked(&self) -> bool {
        let modes = tcgetattr(&self.slave).unwrap().local_modes;
        modes.contains(LocalModes::ICANON | LocalModes::ECHO)
    }

    /// Whether the process is stopped.
    pub(crate) fn is_stopped(&self) -> bool {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id())).unwrap();
        stat.rsplit_once(") ").is_some_and(|(_, rest)| rest.starts_with('T'))
    }

    /// Polls until a condition holds of what is seen.
    pub(crate) fn until(&self, what: &str, met: impl Fn(&Self) -> bool) {
        let deadline = Instant::now() + Duration::from_secs(60);
        while !met(self) {
            assert!(Instant::now() < deadline, "not {what}:\n{}", self.text());
            sleep(Duration::from_millis(50));
        }
    }

    /// Polls until a text is seen.
    pub(crate) fn shows(&self, text: &str) {
        self.until(text, |terminal| terminal.text().contains(text));
    }

    /// Waits until it ends by itself.
    pub(crate) fn ended(&mut self) -> ExitStatus {
        let deadline = Instant::now() + Duration::from_secs(60);
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(Instant::now() < deadline, "still runs:\n{}", self.text());
            sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        if self.child.try_wait().unwrap().is_none() {
            self.child.kill().unwrap();
            self.child.wait().unwrap();
        }
    }
}

fn resize(master: impl rustix::fd::AsFd, columns: u16, rows: u16) {
    let size = Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
    tcsetwinsize(master, size).unwrap();
}
