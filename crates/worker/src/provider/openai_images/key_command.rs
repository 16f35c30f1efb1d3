//! Runs the command that prints an account's key.

use std::{
    fmt,
    io::{self, Read},
    os::unix::process::CommandExt as _,
    process::{Child, Command, ExitStatus, Stdio},
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process_group};
use secrecy::SecretString;
use serde::Deserialize;

use super::KeyError;
use crate::provider::redact::Redactor;

/// How long a command may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// What is kept of its output; a key is far shorter.
const MOST: u64 = 64 * 1024;

/// A program and its arguments; no shell reads them.
///
/// Only the program is ever shown: an argument may be a secret.
#[derive(Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct KeyCommand(pub Vec<String>);

impl fmt::Debug for KeyCommand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("KeyCommand").field(&self.program()).finish()
    }
}

impl KeyCommand {
    /// The program.
    #[must_use]
    pub fn program(&self) -> &str {
        self.0.first().map_or("", String::as_str)
    }

    /// Runs it without these variables, and takes what it prints; blocks until it has ended.
    pub(super) fn run(&self, without: &[String]) -> Result<SecretString, KeyError> {
        self.run_for(PATIENCE, without)
    }

    fn run_for(&self, patience: Duration, without: &[String]) -> Result<SecretString, KeyError> {
        let program = self.program().to_owned();
        let deadline = Instant::now() + patience;
        let mut child =
            self.start(without).map_err(|source| KeyError::Start { program: program.clone(), source })?;
        let (printed, complained) = (listen(child.stdout.take()), listen(child.stderr.take()));
        let status = ended(&mut child, deadline);
        let left = || deadline.saturating_duration_since(Instant::now());
        let printed = status.and_then(|status| Some((status, printed.recv_timeout(left()).ok()?)));
        let Some((status, printed)) = printed else {
            end(&mut child);
            return Err(KeyError::TimedOut { program, seconds: patience.as_secs() });
        };
        let key = String::from_utf8(printed).map(|text| text.trim().to_owned()).unwrap_or_default();
        if !status.success() {
            let words = complained.recv_timeout(left()).unwrap_or_default();
            // What it prints may be the key, and it may print that twice.
            let redactor = Redactor::new([SecretString::from(key)]);
            let words = redactor.clean(&String::from_utf8_lossy(&words));
            let words = if words.is_empty() { words } else { format!(": {words}") };
            return Err(KeyError::Failed { program, status: status.to_string(), words });
        }
        if key.is_empty() {
            return Err(KeyError::Silent { program });
        }
        Ok(SecretString::from(key))
    }

    fn start(&self, without: &[String]) -> io::Result<Child> {
        let mut command = Command::new(self.program());
        command.args(self.0.iter().skip(1)).stdin(Stdio::null());
        for name in without {
            command.env_remove(name);
        }
        // A group of its own, so that what it started ends with it.
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0).spawn()
    }
}

/// Reads a pipe to its end, so that nobody blocks on it, and hands over its beginning.
fn listen(pipe: Option<impl Read + Send + 'static>) -> mpsc::Receiver<Vec<u8>> {
    let (heard, listener) = mpsc::channel();
    thread::spawn(move || {
        let Some(mut pipe) = pipe else { return };
        let mut begin = Vec::new();
        let read = pipe.by_ref().take(MOST).read_to_end(&mut begin);
        if read.and_then(|_| io::copy(&mut pipe, &mut io::sink())).is_ok() {
            // Nobody listens any more once time has run out.
            let _unheard = heard.send(begin);
        }
    });
    listener
}

fn ended(child: &mut Child, deadline: Instant) -> Option<ExitStatus> {
    let mut wait = Duration::from_millis(1);
    loop {
        if let Ok(Some(status)) = child.try_wait() {
            return Some(status);
        }
        if Instant::now() >= deadline {
            return None;
        }
        thread::sleep(wait);
        wait = (wait * 2).min(Duration::from_millis(50));
    }
}

/// Ends the command with all that it started.
fn end(child: &mut Child) {
    // Its group keeps its id while one of it lives; if none does, nobody is reached.
    let _ended = kill_process_group(Pid::from_child(child), Signal::KILL);
    let _status = child.wait();
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret as _;

    use super::*;

    fn shell(script: &str) -> Result<String, String> {
        let command = KeyCommand(["sh", "-c", script].map(str::to_owned).to_vec());
        let key = command.run_for(Duration::from_millis(1500), &["HOME".to_owned()]);
        key.map(|key| key.expose_secret().to_owned()).map_err(|error| error.to_string())
    }

    #[test]
    fn what_it_prints_is_the_key() {
        assert_eq!(shell("echo; echo ' sk-from-vault '; echo warning >&2"), Ok("sk-from-vault".to_owned()));
        assert_eq!(shell("echo \"[$HOME]\""), Ok("[]".to_owned()), "a variable it must not see");
        // More than a pipe holds, on both sides at once.
        let long = shell(
            "i=0; while [ $i -lt 3000 ]; do echo aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa >&2; i=$((i+1)); done; echo k",
        );
        assert_eq!(long, Ok("k".to_owned()));
    }

    #[test]
    fn its_failures_are_told_and_its_output_never_is() {
        assert_eq!(
            shell("echo sk-half-a-key; echo 'permission  denied for sk-half-a-key' >&2; exit 3").unwrap_err(),
            "key_command sh ended with exit status: 3: permission denied for [secret]"
        );
        assert_eq!(shell("exit 1").unwrap_err(), "key_command sh ended with exit status: 1");
        assert_eq!(shell("echo oops >&2").unwrap_err(), "key_command sh printed no key");
        let missing = KeyCommand(vec!["no-such-program-here".to_owned(), "s3cret".to_owned()]);
        let error = missing.run(&[]).unwrap_err().to_string();
        assert!(error.starts_with("key_command no-such-program-here cannot be started: "), "{error}");
        assert!(!format!("{error}{missing:?}").contains("s3cret"));
    }

    #[test]
    fn it_ends_with_all_that_it_started() {
        let dir = tempfile::tempdir().unwrap();
        let pid = dir.path().join("pid");
        let begun = Instant::now();
        let script = format!("sleep 600 & echo $! > {}; wait", pid.display());
        assert_eq!(shell(&script).unwrap_err(), "key_command sh did not end within 1 s");
        assert!(begun.elapsed() < Duration::from_secs(10));
        let pid = std::fs::read_to_string(pid).unwrap();
        let alive = || {
            let stat = std::fs::read_to_string(format!("/proc/{}/stat", pid.trim())).unwrap_or_default();
            !stat.is_empty() && !stat.contains(") Z ")
        };
        let deadline = Instant::now() + Duration::from_secs(10);
        while alive() && Instant::now() < deadline {
            thread::sleep(Duration::from_millis(10));
        }
        assert!(!alive(), "what it started lives on");
    }
}
