//! Child processes that never outlive their test.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};

/// A child whose output goes to files, so that it never blocks on a pipe nobody reads.
#[derive(Debug)]
pub(crate) struct Proc {
    name: String,
    child: Child,
    output: PathBuf,
    errors: PathBuf,
}

impl Proc {
    /// Starts `command`, writing to `<folder>/<name>.out` and `<folder>/<name>.err`, after what is there.
    pub(crate) fn spawn(name: &str, command: &mut Command, folder: &Path) -> Self {
        let output = folder.join(format!("{name}.out"));
        let errors = folder.join(format!("{name}.err"));
        let append = |path: &Path| fs::File::options().create(true).append(true).open(path).unwrap();
        let started = command.stdin(Stdio::null()).stdout(append(&output)).stderr(append(&errors)).spawn();
        let child = started.unwrap_or_else(|cause| panic!("cannot start {command:?}: {cause}"));
        Self { name: name.to_owned(), child, output, errors }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn stdout(&self) -> String {
        String::from_utf8_lossy(&fs::read(&self.output).unwrap()).into_owned()
    }

    pub(crate) fn stderr(&self) -> String {
        String::from_utf8_lossy(&fs::read(&self.errors).unwrap()).into_owned()
    }

    /// How it ended, if it did.
    pub(crate) fn exited(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().unwrap()
    }

    /// Sends a signal, unless it has ended.
    pub(crate) fn signal(&mut self, signal: Signal) {
        // An ended child keeps its id until it is waited for, so this reaches no stranger.
        if self.exited().is_none() {
            kill_process(Pid::from_child(&self.child), signal).unwrap();
        }
    }

    /// Kills it outright and reaps it.
    pub(crate) fn kill(&mut self) {
        self.signal(Signal::KILL);
        self.child.wait().unwrap();
    }

    /// Waits until it ends by itself.
    pub(crate) fn wait(&mut self, patience: Duration) -> ExitStatus {
        let deadline = Instant::now() + patience;
        loop {
            if let Some(status) = self.exited() {
                return status;
            }
            assert!(Instant::now() < deadline, "still runs after {patience:?}: {}", self.told());
            sleep(Duration::from_millis(10));
        }
    }

    /// Polls until `met`; panics with its output when it ends first or takes too long.
    pub(crate) fn wait_until(&mut self, what: &str, patience: Duration, mut met: impl FnMut(&Self) -> bool) {
        let deadline = Instant::now() + patience;
        while !met(self) {
            if let Some(status) = self.exited() {
                panic!("ended with {status} before {what}: {}", self.told());
            }
            assert!(Instant::now() < deadline, "not {what} after {patience:?}: {}", self.told());
            sleep(Duration::from_millis(10));
        }
    }

    /// The end of what it wrote, for people who read a failed test.
    pub(crate) fn told(&self) -> String {
        let tail = |text: String| {
            let lines: Vec<_> = text.lines().collect();
            lines[lines.len().saturating_sub(40)..].join("\n")
        };
        format!("{}\n--- stdout\n{}\n--- stderr\n{}", self.name, tail(self.stdout()), tail(self.stderr()))
    }
}

impl Drop for Proc {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Finds a server: the variable if it is set, then PATH, then `target/tools/bin`.
pub(crate) fn program(variable: &str, names: &[&str]) -> PathBuf {
    if let Some(path) = env::var_os(variable) {
        let path = PathBuf::from(path);
        assert!(path.is_file(), "{variable} names {}, which is no file", path.display());
        return path;
    }
    let search = env::var_os("PATH").unwrap_or_default();
    let tools = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/tools/bin");
    let found = env::split_paths(&search)
        .chain([tools])
        .flat_map(|folder| names.iter().map(move |name| folder.join(name)))
        .find(|path| path.is_file());
    found.unwrap_or_else(|| panic!("{} not found: run `make tools`, or set {variable}", names.join(" or ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str, folder: &Path) -> Proc {
        Proc::spawn("sh", Command::new("sh").args(["-c", script]), folder)
    }

    fn runs(pid: u32) -> bool {
        Path::new(&format!("/proc/{pid}")).exists()
    }

    #[test]
    fn output_and_status_are_kept() {
        let folder = tempfile::tempdir().unwrap();
        let mut proc = shell("echo out; echo err >&2; exit 7", folder.path());
        assert_eq!(proc.wait(Duration::from_secs(10)).code(), Some(7));
        assert_eq!((proc.stdout().as_str(), proc.stderr().as_str()), ("out\n", "err\n"));
    }

    #[test]
    fn drop_kills_and_reaps() {
        let folder = tempfile::tempdir().unwrap();
        let mut proc = shell("echo ready; exec sleep 600", folder.path());
        proc.wait_until("ready", Duration::from_secs(10), |proc| proc.stdout() == "ready\n");
        let pid = proc.pid();
        assert!(runs(pid));
        drop(proc);
        assert!(!runs(pid), "the child outlived its guard, perhaps as a zombie");
    }

    #[test]
    #[should_panic(expected = "ended with exit status: 3 before ready")]
    fn an_early_end_is_told() {
        let folder = tempfile::tempdir().unwrap();
        shell("exit 3", folder.path()).wait_until("ready", Duration::from_secs(10), |_| false);
    }

    #[test]
    #[should_panic(expected = "run `make tools`")]
    fn a_missing_program_says_what_to_do() {
        program("PICTOR_TEST_NOTHING", &["no-such-server"]);
    }
}
