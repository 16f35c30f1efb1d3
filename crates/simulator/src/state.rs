//! What one simulator knows while it runs.

use std::{
    collections::HashMap,
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
    Options,
    auth::Keys,
    files::Files,
    gauge::Gauge,
    invoice::Invoice,
    limiter::Limiter,
    options::steps,
    picture::{Look, Picture, Recipe},
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
    /// Pictures that are sent again, where one is enough.
    drawn: Mutex<HashMap<Look, Picture>>,
    started: Instant,
}

impl Simulator {
    pub(crate) fn new(options: Options) -> anyhow::Result<Arc<Self>> {
        ensure!(options.speed > 0.0, "speed must be more than 0");
        options.limits.check()?;
        let changes = steps(&options.limits, &options.changes)?;
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        Ok(Arc::new(Self {
            keys: Mutex::new(Keys::new(&options.api_keys)),
            limiter: Mutex::new(Limiter::new(options.limits.clone(), changes)),
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
            drawn: Mutex::default(),
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
        let look = self.options.one_picture.then(|| recipe.look());
        if let Some(drawn) = look.and_then(|look| lock(&self.drawn).get(&look).cloned()) {
            return Ok(drawn);
        }
        let _permit = self.drawing.acquire().await?;
        let picture = tokio::task::spawn_blocking(move || recipe.draw()).await??;
        if let Some(look) = look {
            lock(&self.drawn).insert(look, picture.clone());
        }
        Ok(picture)
    }

    /// Forgets everything but its settings and what is in flight.
    pub(crate) fn reset(&self) {
        lock(&self.limiter).reset(self.now());
        lock(&self.triggers).reset();
        *lock(&self.invoice) = Invoice::default();
        lock(&self.files).clear();
        self.requests.store(0, Ordering::Relaxed);
        self.admitted.store(0, Ordering::Relaxed);
    }
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
