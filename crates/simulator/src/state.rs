//! What one simulator knows while it runs.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use anyhow::ensure;
use tokio::sync::Semaphore;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    Limits, Options,
    auth::Keys,
    files::Files,
    gauge::Gauge,
    invoice::Invoice,
    limiter::Limiter,
    picture::{Picture, Recipe},
    seed::Seed,
    triggers::Triggers,
};

#[derive(Debug)]
pub(crate) struct Simulator {
    pub(crate) options: Options,
    pub(crate) keys: Mutex<Keys>,
    pub(crate) limiter: Mutex<Limiter>,
    pub(crate) triggers: Mutex<Triggers>,
    pub(crate) invoice: Mutex<Invoice>,
    pub(crate) files: Mutex<Files>,
    /// Requests admitted and not yet generated or not yet answered.
    pub(crate) in_flight: Gauge,
    pub(crate) bodies_part_sent: Gauge,
    /// Generation requests received.
    pub(crate) requests: AtomicU64,
    /// Generation requests admitted: valid and within the limits.
    pub(crate) admitted: AtomicU64,
    pub(crate) generations: TaskTracker,
    pub(crate) stopped: CancellationToken,
    serial: AtomicU64,
    incarnation: u64,
    drawing: Semaphore,
    started: Instant,
}

impl Simulator {
    pub(crate) fn new(options: Options) -> anyhow::Result<Arc<Self>> {
        ensure!(options.speed > 0.0, "speed must be more than 0");
        check(&options.limits)?;
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        Ok(Arc::new(Self {
            keys: Mutex::new(Keys::new(&options.api_keys)),
            limiter: Mutex::new(Limiter::new(options.limits.clone())),
            triggers: Mutex::new(Triggers::new(&options)?),
            invoice: Mutex::default(),
            files: Mutex::new(Files::new(Duration::from_secs(options.url_seconds))),
            in_flight: Gauge::default(),
            bodies_part_sent: Gauge::default(),
            requests: AtomicU64::new(0),
            admitted: AtomicU64::new(0),
            generations: TaskTracker::new(),
            stopped: CancellationToken::new(),
            serial: AtomicU64::new(0),
            incarnation: now_ms(),
            drawing: Semaphore::new(processors),
            started: Instant::now(),
            options,
        }))
    }

    /// Time since the simulator began.
    pub(crate) fn now(&self) -> Duration {
        self.started.elapsed()
    }

    /// An id that no other of this or an earlier simulator has.
    pub(crate) fn unique(&self) -> String {
        let serial = self.serial.fetch_add(1, Ordering::Relaxed);
        let mut seed = Seed::numbered(self.incarnation, serial);
        format!("{:016x}{:016x}", seed.next(), seed.next())
    }

    /// Draws a picture on a thread that may block, never more at once than there are processors.
    pub(crate) async fn draw(&self, recipe: Recipe) -> anyhow::Result<Picture> {
        let _permit = self.drawing.acquire().await?;
        tokio::task::spawn_blocking(move || recipe.draw()).await?
    }

    /// Forgets everything but its settings and what is in flight.
    pub(crate) fn reset(&self) {
        lock(&self.limiter).reset();
        lock(&self.triggers).reset();
        *lock(&self.invoice) = Invoice::default();
        lock(&self.files).clear();
        self.requests.store(0, Ordering::Relaxed);
        self.admitted.store(0, Ordering::Relaxed);
    }
}

/// Refuses limits that mean nothing.
pub(crate) fn check(limits: &Limits) -> anyhow::Result<()> {
    ensure!(limits.window_seconds > 0.0, "window_seconds must be more than 0");
    ensure!(
        limits.quantum_seconds.is_none_or(|quantum| quantum > 0.0),
        "quantum_seconds must be more than 0"
    );
    Ok(())
}

/// Locks; what a thread that panicked left is as good as any.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Milliseconds since 1970.
pub(crate) fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
