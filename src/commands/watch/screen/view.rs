//! One look at everything that the screen shows, bounded however much there is.

use std::{
    collections::{BTreeMap, HashMap},
    time::{Duration, Instant},
};

use pictor_common::{
    batch::BatchId,
    queue::{
        BatchView, Counter, Drain, FailureGroups, LatestImage, Overview, Queue, QueueError, TENANT_CAP,
        TENANT_DAY_CAP, Which,
    },
};

use crate::commands::watch::{Memory, Moment, NEWEST};

/// How often failures are looked at, while nobody acts on them.
const FAILURES_EVERY: Duration = Duration::from_secs(5);
/// Causes of failures that are shown, the largest first.
const CAUSES: usize = 100;
/// Entries of the ledger among which images are looked for.
const IMAGES: usize = 60;

/// Everything at one moment.
#[derive(Debug)]
pub(super) struct View {
    pub(super) moment: Moment,
    /// Batches that a person holds.
    pub(super) held: BTreeMap<String, String>,
    pub(super) routes: Vec<Route>,
    pub(super) failures: u64,
    pub(super) retries: u64,
    pub(super) today: Counter,
    pub(super) groups: FailureGroups,
    /// Workers that are told to end, by whom and why.
    pub(super) drains: HashMap<String, Drain>,
    pub(super) images: Vec<LatestImage>,
}

/// Where assets wait.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Route {
    pub(super) name: String,
    pub(super) waiting: u64,
    pub(super) lanes: Vec<String>,
}

/// What is looked at besides batches, lanes and workers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Wish {
    pub(super) failures: bool,
    pub(super) images: bool,
    /// Nothing is looked at.
    pub(super) frozen: bool,
    /// What was done so far: after each act it is looked at once more.
    pub(super) done: u32,
}

/// Looks, and remembers what need not be looked at each time.
#[derive(Debug)]
pub(super) struct Looker {
    queue: Queue,
    chosen: Vec<BatchId>,
    memory: Memory,
    groups: FailureGroups,
    grouped: Option<(Instant, u64)>,
}

impl Looker {
    pub(super) fn new(queue: Queue, chosen: Vec<BatchId>) -> Self {
        Self { queue, chosen, memory: Memory::default(), groups: FailureGroups::default(), grouped: None }
    }

    pub(super) async fn look(&mut self, wish: Wish) -> Result<View, QueueError> {
        let mut overview = self.queue.overview(Which::Newest(NEWEST)).await?;
        let seen = |id: &&BatchId| overview.batches.iter().any(|view| view.state.id == id.as_str());
        let old: Vec<BatchId> = self.chosen.iter().filter(|id| !seen(id)).cloned().collect();
        if !old.is_empty() {
            overview.batches.extend(self.queue.overview(Which::These(&old)).await?.batches);
        }
        let (failures, retries, today) = (overview.failures, overview.retries, overview.today);
        let (held, routes) = (held(&overview.batches), routes(&overview));
        let moment = self.memory.told(&self.queue, overview).await?;
        let due = self.grouped.is_none_or(|(at, count)| count != failures || at.elapsed() >= FAILURES_EVERY);
        if wish.failures && due {
            self.groups = self.queue.failure_groups(CAUSES).await?;
            self.grouped = Some((Instant::now(), failures));
        }
        let images = if wish.images { self.queue.latest_images(IMAGES).await? } else { Vec::new() };
        let drains = self.queue.workers().await?.drains;
        let groups = self.groups.clone();
        Ok(View { moment, held, routes, failures, retries, today, groups, drains, images })
    }
}

fn held(batches: &[BatchView]) -> BTreeMap<String, String> {
    let by_a_person = |reason: &&String| !["cap", TENANT_CAP, TENANT_DAY_CAP].contains(&reason.as_str());
    let open = batches.iter().filter(|view| !view.state.ended());
    let held = open.filter_map(|view| Some((&view.state.id, view.state.held.as_ref().filter(by_a_person)?)));
    held.map(|(id, reason)| (id.clone(), reason.clone())).collect()
}

fn routes(overview: &Overview) -> Vec<Route> {
    let mut waiting: BTreeMap<&str, u64> = BTreeMap::new();
    let offered = overview.workers.iter().flat_map(|worker| &worker.beat.lanes).flat_map(|lane| &lane.routes);
    for route in offered {
        waiting.entry(route).or_default();
    }
    for place in overview.batches.iter().flat_map(|view| &view.routes) {
        *waiting.entry(&place.route).or_default() += place.waiting;
    }
    let route = |(name, waiting): (&str, u64)| Route {
        name: name.to_owned(),
        waiting,
        lanes: overview.lanes_of(name).map(|lane| lane.name.clone()).collect(),
    };
    // What a worker could send and nobody asks for is no news.
    waiting.into_iter().filter(|(_, waiting)| *waiting > 0).map(route).collect()
}
