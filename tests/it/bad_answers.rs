//! An API that misbehaves in every way we know, and the real binary before it: nothing is lost, everything is paid as
//! the books say, and the worker lives.

mod addresses;
mod front;
mod kinds;
mod pictures;
mod stops;
mod text;
mod wire;

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use pictor_common::{
    AssetKey,
    queue::{AssetState, LedgerEntry},
};
use pictor_simulator::Options;

use self::{front::Front, kinds::Kind};
use crate::world::{API_KEY, MODEL, Worker, World, peak_memory_mib};

const PATIENCE: Duration = Duration::from_secs(150);
/// Less than the pixels of the largest bomb alone would take.
const MOST_MEMORY_MIB: u64 = 250;
const MAX_IMAGE_BYTES: &str = "2097152";

/// A world whose worker talks to the front.
struct Stage {
    world: World,
    front: Front,
    kinds: BTreeMap<&'static str, &'static Kind>,
}

impl Stage {
    async fn start(kinds: impl Iterator<Item = &'static Kind> + Clone) -> Self {
        let world = World::start(Options { latency_ms_p50: Some(20), ..Options::default() });
        let front = Front::start(world.sim.base_url(), kinds.clone()).await;
        let timeout = format!("[models.{MODEL}]\ntimeout_seconds = 8\n");
        fs::write(world.path("models.toml"), timeout).unwrap();
        Self { world, front, kinds: kinds.map(|kind| (kind.name, kind)).collect() }
    }

    fn worker(&self) -> Worker {
        let settings = [
            ("PICTOR_ACCOUNTS__SIM__BASE_URL", self.front.base_url()),
            ("PICTOR_ACCOUNTS__SIM__MAX_IMAGE_BYTES", MAX_IMAGE_BYTES.to_owned()),
            ("PICTOR_CATALOGUE__FILE", self.world.path("models.toml").display().to_string()),
        ];
        let settings = settings.each_ref().map(|(name, value)| (*name, value.as_str()));
        self.world.worker("worker", 48, &settings)
    }

    /// Submits one asset for each kind.
    fn submit(&self, batch: &str, kinds: &[&str]) {
        let row = |name: &&str| format!("{name},a picture [[bad:{name}]],{MODEL},256x256\n");
        let rows: String = kinds.iter().map(row).collect();
        fs::write(self.world.path("rows.csv"), format!("id,prompt,model,size\n{rows}")).unwrap();
        self.world.json(&["submit", "rows.csv", "--run-id", batch]);
    }

    /// What each kind of a batch came to.
    async fn assets(&self, batch: &str) -> Vec<(&'static Kind, AssetKey, AssetState)> {
        let queue = self.world.queue().await;
        let lines = queue.lines(&batch.parse().unwrap(), 1, 1_000).await.unwrap();
        let keys: Vec<AssetKey> = lines.iter().map(|line| line.keys[0].clone()).collect();
        let states = queue.assets(&keys).await.unwrap().into_iter().map(Option::unwrap);
        let named = lines.iter().map(|line| self.kinds[line.id.as_str()]);
        named.zip(keys).zip(states).map(|((kind, key), state)| (kind, key, state)).collect()
    }

    /// Says what is wrong with one asset.
    fn complaints(
        &self,
        kind: &Kind,
        key: &AssetKey,
        state: &AssetState,
        ledger: &[LedgerEntry],
    ) -> Vec<String> {
        let mut wrong = Vec::new();
        let class = state.failure.as_ref().map_or("", |failure| failure.class.as_str());
        let made = state.made.as_ref();
        let stored = made.map(|made| fs::read(self.world.path("images").join(&made.object)).unwrap());
        let seen = self.front.seen(kind.name);
        let is_flagged = made.is_some_and(|made| made.mismatch.is_some());
        let same = stored.as_ref().is_some_and(|bytes| *bytes == seen.png);
        let found = match (state.phase.as_str(), same, is_flagged) {
            ("done", true, false) => "Image".to_owned(),
            ("done", false, false) => "Altered".to_owned(),
            ("done", false, true) => "Mismatch".to_owned(),
            ("failed", ..) => format!("Failed({class:?})"),
            ("parked", ..) => format!("Parked({class:?})"),
            other => format!("{other:?}"),
        };
        if found != format!("{:?}", kind.end) {
            wrong.push(format!("became {found}, not {:?}", kind.end));
        }
        let of_asset = ledger.iter().filter(|entry| entry.key == key.as_str());
        let kinds: Vec<&str> = of_asset.map(|entry| entry.kind.as_str()).collect();
        if kinds != kind.ledger {
            wrong.push(format!("the ledger says {kinds:?}, not {:?}", kind.ledger));
        }
        if seen.requests != kind.requests() {
            wrong.push(format!("{} requests, not {}", seen.requests, kind.requests()));
        }
        if !wrong.is_empty() {
            wrong.push(format!("{:?}", state.failure));
        }
        wrong
    }
}

/// What is settled was billed, and what was billed is settled or called unknown.
async fn assert_paid_as_told(world: &World) {
    let ledger = world.ledger().await;
    let ids = |kind: &str| -> BTreeSet<String> {
        let of_kind = ledger.iter().filter(|entry| entry.kind == kind);
        of_kind.map(|entry| format!("{}:{}", entry.token, entry.attempt)).collect()
    };
    let (settled, unknown) = (ids("settled"), ids("unknown"));
    let invoice = world.sim.invoice().await;
    let billed: BTreeMap<&str, &str> = invoice["images"]
        .as_array()
        .unwrap()
        .iter()
        .map(|image| (image["client_request_id"].as_str().unwrap(), image["request_id"].as_str().unwrap()))
        .collect();
    for id in &settled {
        assert!(billed.contains_key(id.as_str()), "{id} is settled and was not billed");
    }
    for id in billed.keys() {
        assert!(settled.contains(*id) || unknown.contains(*id), "{id} was billed and is in no book");
    }
    for entry in ledger.iter().filter(|entry| !entry.request_id.is_empty()) {
        let id = format!("{}:{}", entry.token, entry.attempt);
        let theirs = billed.get(id.as_str());
        assert!(theirs.is_none_or(|theirs| *theirs == entry.request_id), "{entry:?} is not {theirs:?}");
    }
}

/// All files below a directory.
fn files(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { found.extend(files(&path)) } else { found.push(path) }
    }
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn each_kind_ends_as_it_must() {
    pictures::prepare();
    let stage = Stage::start(kinds::all()).await;
    let names: Vec<&str> = kinds::all().map(|kind| kind.name).collect();
    assert!(names.len() >= 40 && stage.kinds.len() == names.len(), "{} kinds", names.len());
    stage.submit("bad", &names);
    let mut worker = stage.worker();
    stage.world.ended("bad", PATIENCE).await;

    let ledger = stage.world.ledger().await;
    let mut wrong = BTreeMap::new();
    let mut rejected = BTreeSet::new();
    for (kind, key, state) in stage.assets("bad").await {
        let complaints = stage.complaints(kind, &key, &state, &ledger);
        if !complaints.is_empty() {
            wrong.insert(kind.name, complaints);
        }
        if kind.name == "never_an_image" {
            rejected.insert(key.to_string());
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert_paid_as_told(&stage.world).await;

    let kept = files(&stage.world.path("images/rejected"));
    let of_one = kept.iter().filter(|file| rejected.iter().any(|key| file.to_string_lossy().contains(key)));
    assert_eq!(of_one.count(), 2, "what was paid for is kept: {kept:?}");
    let left = files(&stage.world.path("spool"));
    let image = |file: &&PathBuf| fs::metadata(file).is_ok_and(|found| found.len() > 1 << 20);
    let parts = left.iter().filter(|file| file.extension().is_some_and(|end| end == "part") || image(file));
    assert_eq!(parts.count(), 0, "{left:?}");

    // It still works, and is no larger than it should be.
    assert!(worker.proc.exited().is_none(), "{}", worker.proc.told());
    let peak = peak_memory_mib(worker.proc.pid());
    assert!(peak < MOST_MEMORY_MIB, "the worker took {peak} MiB");
    stage.world.catalogue("good.csv", 0..3);
    stage.world.json(&["submit", "good.csv", "--run-id", "good"]);
    assert_eq!(stage.world.ended("good", PATIENCE).await.counts.done, 3);
    let log = worker.proc.stderr();
    assert!(!log.contains("panicked") && !log.contains(API_KEY), "{}", worker.proc.told());
}
