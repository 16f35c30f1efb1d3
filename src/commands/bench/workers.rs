//! Worker processes of this binary, which never outlive it.

use std::{
    fs::File,
    os::unix::process::CommandExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail};
use rustix::process::{Pid, Signal, kill_process};

use crate::{config, signals::Signals};

/// How long workers that were told to stop may take.
const PATIENCE: Duration = Duration::from_secs(15);
/// Lines of a log that are told when its worker ended.
const TOLD: usize = 5;

/// This binary with settings of its own and nothing from our environment that could overrule them.
pub(super) fn pictor(settings: &Path, dir: &Path) -> anyhow::Result<Command> {
    let mut command = Command::new(config::own_program().context("cannot find the program that runs")?);
    for variable in config::own_variables() {
        command.env_remove(variable);
    }
    command.env("NO_PROXY", "127.0.0.1").env("no_proxy", "127.0.0.1");
    command.arg("--config").arg(settings).current_dir(dir).stdin(Stdio::null());
    Ok(command)
}

/// Worker processes, each with a log.
#[derive(Debug, Default)]
pub(super) struct Workers {
    running: Vec<(Child, PathBuf)>,
    signals: Signals,
}

impl Workers {
    pub(super) fn none(signals: &Signals) -> Self {
        Self { running: Vec::new(), signals: signals.clone() }
    }

    /// Starts one, with its log in a directory.
    pub(super) fn start(&mut self, mut command: Command, logs: &Path) -> anyhow::Result<()> {
        let log = logs.join(format!("worker-{}.log", self.running.len() + 1));
        let file = File::create(&log).with_context(|| format!("cannot write {}", log.display()))?;
        // Ctrl-C reaches the whole group: they stop when we say so.
        command.stdout(file.try_clone()?).stderr(file).process_group(0);
        let child = command.spawn().context("cannot start a worker")?;
        self.signals.adopt(Pid::from_child(&child));
        self.running.push((child, log));
        Ok(())
    }

    /// Fails when one has ended, with its last words.
    pub(super) fn check(&mut self) -> anyhow::Result<()> {
        for (child, log) in &mut self.running {
            if let Some(status) = child.try_wait()? {
                let text = std::fs::read_to_string(log).unwrap_or_default();
                let lines: Vec<&str> = text.lines().collect();
                let last = lines.get(lines.len().saturating_sub(TOLD)..).unwrap_or_default();
                bail!("a worker ended with {status}: {}", last.join(" | "));
            }
        }
        Ok(())
    }

    /// Stops all in good order; those that take too long are killed.
    pub(super) async fn stop(mut self) {
        self.tell(Signal::TERM);
        let deadline = Instant::now() + PATIENCE;
        while self.running.iter_mut().any(|(child, _)| matches!(child.try_wait(), Ok(None))) {
            if Instant::now() > deadline {
                tracing::warn!("a worker does not stop: it is killed");
                break;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    fn tell(&mut self, signal: Signal) {
        for (child, _) in &mut self.running {
            // A child that was not waited for keeps its id, so this reaches no stranger.
            if matches!(child.try_wait(), Ok(None)) {
                let _gone = kill_process(Pid::from_child(child), signal);
            }
        }
    }
}

impl Drop for Workers {
    fn drop(&mut self) {
        self.tell(Signal::KILL);
        for (child, _) in &mut self.running {
            let pid = Pid::from_child(child);
            let _status = child.wait();
            self.signals.release(pid);
        }
    }
}
