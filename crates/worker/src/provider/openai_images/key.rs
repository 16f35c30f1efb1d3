//! The key of an account, as it is now: a file or a command may have another at any time.
//!
//! Requests take the key that is at hand and never wait for a newer one. Looks for one run on
//! threads that may block, one at a time; a refusal waits for a look that began after it.

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use reqwest::header::{HeaderName, HeaderValue};
use secrecy::{ExposeSecret as _, SecretString};
use sha2::{Digest as _, Sha256};
use tokio::time::timeout;
use tracing::{info, warn};

use super::account::{Account, AccountError, Auth};
use crate::provider::{answer::RefusedKey, redact::Redactor};

/// How often a file is looked at.
const FILE: Duration = Duration::from_secs(1);
/// How soon a command that failed is run again.
const AGAIN: Duration = Duration::from_secs(30);
/// How long a refusal waits for a look, which may wait for another that is under way.
const PATIENCE: Duration = Duration::from_secs(19);

/// Why there is no key; without secrets.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The file cannot be read.
    #[error("api_key_file {file}: {source}")]
    Read {
        /// The file.
        file: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file holds no key.
    #[error("api_key_file {0} is empty")]
    Empty(PathBuf),
    /// The command cannot be started.
    #[error("key_command {program} cannot be started: {source}")]
    Start {
        /// The program.
        program: String,
        /// Why.
        source: std::io::Error,
    },
    /// The command took too long.
    #[error("key_command {program} did not end within {seconds} s")]
    TimedOut {
        /// The program.
        program: String,
        /// How long it was waited for.
        seconds: u64,
    },
    /// The command says that it failed.
    #[error("key_command {program} ended with {status}{words}")]
    Failed {
        /// The program.
        program: String,
        /// How it ended.
        status: String,
        /// What it wrote to stderr, after a colon.
        words: String,
    },
    /// The command printed nothing that could be a key.
    #[error("key_command {program} printed no key")]
    Silent {
        /// The program.
        program: String,
    },
}

impl Account {
    /// Reads the key from where it comes; blocks while it reads the file or runs the command.
    pub fn read_key(&self) -> Result<Option<SecretString>, KeyError> {
        if self.auth == Auth::None {
            return Ok(None);
        }
        if let Some(file) = &self.api_key_file {
            return read_file(file).map(Some);
        }
        match &self.key_command {
            Some(command) => command.run(&self.without_variables).map(Some),
            None => Ok(self.api_key.clone().filter(|key| !key.expose_secret().is_empty())),
        }
    }

    /// How often another key may come; never, where it is given once for all.
    fn key_interval(&self) -> Option<Duration> {
        let refresh = Duration::from_secs(self.key_refresh_seconds.max(1));
        let command = self.key_command.as_ref().map(|_| refresh);
        self.api_key_file.as_ref().map(|_| FILE).or(command).filter(|_| self.auth != Auth::None)
    }
}

fn read_file(file: &Path) -> Result<SecretString, KeyError> {
    let text =
        std::fs::read_to_string(file).map_err(|source| KeyError::Read { file: file.to_owned(), source })?;
    match text.trim() {
        "" => Err(KeyError::Empty(file.to_owned())),
        key => Ok(SecretString::from(key.to_owned())),
    }
}

/// A key, as requests are sent with it.
#[derive(Debug)]
pub(super) struct Key {
    /// Says nothing of the key, and tells it from others.
    digest: String,
    /// What is added to a request.
    pub(super) header: (HeaderName, HeaderValue),
    /// It came because the one before was refused.
    after_refusal: bool,
    accepted: AtomicBool,
}

impl Key {
    fn new(account: &Account, key: &SecretString, after_refusal: bool) -> Result<Option<Self>, AccountError> {
        let Some(header) = account.key_header(key)? else { return Ok(None) };
        let hash = Sha256::digest(format!("pictor api key: {}", key.expose_secret()));
        let digest = hash.iter().take(6).map(|byte| format!("{byte:02x}")).collect();
        Ok(Some(Self { digest, header, after_refusal, accepted: AtomicBool::new(false) }))
    }

    /// Notes that the API let it in.
    pub(super) fn accept(&self) {
        self.accepted.store(true, Ordering::Relaxed);
    }

    pub(super) fn digest(&self) -> &str {
        &self.digest
    }
}

/// What the last look found.
#[derive(Debug)]
struct Look {
    begun: Instant,
    trouble: Option<String>,
}

/// The key of an account, now and later.
#[derive(Debug)]
pub(super) struct LiveKey {
    account: Arc<Account>,
    redactor: Arc<Redactor>,
    interval: Option<Duration>,
    now: Mutex<Option<Arc<Key>>>,
    last: Mutex<Look>,
    /// One look at a time.
    gate: tokio::sync::Mutex<()>,
}

impl LiveKey {
    /// Reads the first key; blocks.
    pub(super) fn first(account: &Arc<Account>, redactor: &Arc<Redactor>) -> Result<Self, AccountError> {
        let begun = Instant::now();
        let key = match account.read_key()? {
            None if account.auth == Auth::None => None,
            None => return Err(AccountError::NoKey),
            Some(key) => {
                redactor.learn(key.clone());
                Key::new(account, &key, false)?
            }
        };
        Ok(Self {
            account: Arc::clone(account),
            redactor: Arc::clone(redactor),
            interval: account.key_interval(),
            now: Mutex::new(key.map(Arc::new)),
            last: Mutex::new(Look { begun, trouble: None }),
            gate: tokio::sync::Mutex::new(()),
        })
    }

    /// The key to send with; where it is time for a look, one begins beside the request.
    pub(super) fn current(self: &Arc<Self>) -> Option<Arc<Key>> {
        if self.is_due() {
            let this = Arc::clone(self);
            tokio::spawn(async move {
                // Whoever holds the gate looks already.
                if let Ok(gate) = this.gate.try_lock() {
                    this.look(false).await;
                    drop(gate);
                }
            });
        }
        self.key()
    }

    /// Looks for another key after a refusal, unless somebody already has.
    pub(super) async fn refused(&self, used: &Key) -> RefusedKey {
        let asked = Instant::now();
        // A command that makes a key for each call must not be run for ever.
        let untried = used.after_refusal && !used.accepted.load(Ordering::Relaxed);
        let may_run = self.account.api_key_file.is_some() || !untried;
        let mut trouble = None;
        if self.interval.is_some() && may_run && self.is(used) {
            let looked = timeout(PATIENCE, self.look_since(asked, used)).await;
            trouble = looked.unwrap_or_else(|_elapsed| Some("it is still being read".to_owned()));
        }
        RefusedKey { digest: used.digest.clone(), replaced: !self.is(used), trouble }
    }

    fn is(&self, used: &Key) -> bool {
        self.key().is_some_and(|key| key.digest == used.digest)
    }

    fn key(&self) -> Option<Arc<Key>> {
        lock(&self.now).clone()
    }

    fn is_due(&self) -> bool {
        let Some(interval) = self.interval else { return false };
        let last = lock(&self.last);
        let interval = if last.trouble.is_some() { interval.min(AGAIN) } else { interval };
        last.begun.elapsed() >= interval
    }

    async fn look_since(&self, asked: Instant, used: &Key) -> Option<String> {
        let _gate = self.gate.lock().await;
        if !self.is(used) {
            return None;
        }
        {
            let last = lock(&self.last);
            if last.begun > asked {
                return last.trouble.clone();
            }
        }
        self.look(true).await
    }

    /// Reads the key again; whoever calls holds the gate. Says why there is none.
    async fn look(&self, after_refusal: bool) -> Option<String> {
        lock(&self.last).begun = Instant::now();
        let account = Arc::clone(&self.account);
        let trouble = match tokio::task::spawn_blocking(move || account.read_key()).await {
            Ok(Ok(Some(key))) => self.take(key, after_refusal).err().map(|error| error.to_string()),
            Ok(Ok(None)) => Some(AccountError::NoKey.to_string()),
            Ok(Err(error)) => Some(error.to_string()),
            Err(died) => Some(died.to_string()),
        };
        let trouble = trouble.map(|trouble| self.redactor.clean(&trouble));
        let mut last = lock(&self.last);
        if let Some(trouble) = trouble.as_ref().filter(|trouble| Some(*trouble) != last.trouble.as_ref()) {
            warn!(
                account = self.account.name,
                trouble, "cannot read the API key again; the last one stays in use"
            );
        }
        last.trouble.clone_from(&trouble);
        trouble
    }

    fn take(&self, key: SecretString, after_refusal: bool) -> Result<(), AccountError> {
        let new = Key::new(&self.account, &key, after_refusal)?;
        let mut now = lock(&self.now);
        let digest = |key: Option<&Key>| key.map(|key| key.digest.clone());
        if digest(new.as_ref()) != digest(now.as_deref()) {
            self.redactor.learn(key);
            *now = new.map(Arc::new);
            info!(account = self.account.name, "the API key was replaced: new requests use the new one");
        }
        Ok(())
    }
}

/// What a thread that panicked left is as good as any.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
