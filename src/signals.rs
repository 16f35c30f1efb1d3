//! Turns signals into a request to stop; the second ends the process at once.

use std::sync::{
    Arc, Mutex, PoisonError,
    atomic::{AtomicI32, Ordering},
};

use rustix::process::{Pid, Signal, kill_process};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// What signals act on.
#[derive(Clone, Debug, Default)]
pub(crate) struct Signals {
    /// Cancelled by the first SIGINT, SIGTERM or SIGHUP.
    pub(crate) stop: CancellationToken,
    /// Id of a server of ours that must not be left behind; 0 while there is none.
    child: Arc<AtomicI32>,
    /// Other processes of ours.
    others: Arc<Mutex<Vec<Pid>>>,
}

impl Signals {
    /// Starts to listen.
    pub(crate) fn listen() -> std::io::Result<Self> {
        let signals = Self::default();
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut terminate = signal(SignalKind::terminate())?;
        let mut hangup = signal(SignalKind::hangup())?;
        let listening = signals.clone();
        tokio::spawn(async move {
            loop {
                tokio::select! {
                    _ = interrupt.recv() => {}
                    _ = terminate.recv() => {}
                    _ = hangup.recv() => {}
                }
                if listening.stop.is_cancelled() {
                    listening.end_child();
                    std::process::exit(130);
                }
                listening.stop.cancel();
            }
        });
        Ok(signals)
    }

    /// Names the server to end when the process ends at once; `None` when it has ended.
    pub(crate) fn set_child(&self, pid: Option<Pid>) {
        self.child.store(pid.map_or(0, |pid| pid.as_raw_nonzero().get()), Ordering::Release);
    }

    /// Names another process to end when this one ends at once.
    pub(crate) fn adopt(&self, pid: Pid) {
        self.others.lock().unwrap_or_else(PoisonError::into_inner).push(pid);
    }

    /// Says that it has ended.
    pub(crate) fn release(&self, pid: Pid) {
        self.others.lock().unwrap_or_else(PoisonError::into_inner).retain(|other| *other != pid);
    }

    fn end_child(&self) {
        for pid in self.others.lock().unwrap_or_else(PoisonError::into_inner).drain(..) {
            let _gone = kill_process(pid, Signal::TERM);
        }
        if let Some(pid) = Pid::from_raw(self.child.load(Ordering::Acquire)) {
            // It may have ended by itself meanwhile; nobody is left to be told.
            let _gone = kill_process(pid, Signal::TERM);
        }
    }
}
