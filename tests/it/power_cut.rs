//! The power of a worker's machine fails, and what it had not synced is gone: no image that was paid for and had
//! arrived is lost, and nothing is paid twice that the ledger does not call unknown.
//!
//! strace tells every call by which a real worker changes its disk or speaks to a peer. A model of the disk, which keeps
//! what was synced and no more, is asked at each of these calls what a power cut would leave; and workers are killed at
//! such calls, their disk made what the model says, and another worker takes it up.

mod disk;
mod trace;

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use pictor_simulator::Options;
use rustix::process::Signal;

use crate::{
    chaos::{dice::Dice, judge::judge},
    support::process::Proc,
    world::World,
};
use disk::{After, Disk};
use trace::{Call, Log, Step, traced};

const PATIENCE: Duration = Duration::from_secs(120);
/// What is on the disk that fails: the spool, and the images in a directory.
const SUBTREES: [&str; 2] = ["spool", "images"];
const CONCURRENCY: &str = "4";

/// How large a proof is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Size {
    pub(crate) assets: u64,
    pub(crate) cuts: usize,
    /// Worlds at once.
    pub(crate) worlds: usize,
}

pub(crate) const SMALL: Size = Size { assets: 8, cuts: 6, worlds: 3 };
pub(crate) const FULL: Size = Size { assets: 16, cuts: 200, worlds: 4 };

/// What was seen of a worker whose power did not fail.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Calm {
    pub(crate) steps: usize,
    pub(crate) sent: usize,
    pub(crate) stored: usize,
    /// Lines of its log that name the disk.
    lines: usize,
}

/// What cuts came to.
#[derive(Clone, Debug, Default)]
pub(crate) struct Cuts {
    pub(crate) seed: u64,
    pub(crate) calm: Calm,
    pub(crate) cuts: usize,
    pub(crate) billed: u64,
    pub(crate) twice: u64,
    pub(crate) unknown: u64,
    /// Images that lay in a spool when its power was back.
    pub(crate) images: usize,
}

/// A world, a worker in it that is watched, and its disk before that.
struct Watched {
    world: World,
    worker: Proc,
    log: Log,
    disk: Disk,
}

impl Watched {
    async fn start(assets: u64) -> Self {
        let options = Options {
            latency_ms_p50: Some(150),
            image_bytes: Some(30_000),
            one_picture: true,
            ..Options::default()
        };
        let world = World::start(options);
        world.catalogue("c.csv", 0..assets);
        world.json(&["submit", "c.csv", "--run-id", "b"]);
        // Nobody looked after this namespace who could need a grace.
        world.queue().await.with_grace(Duration::ZERO).reap(1).await.unwrap();
        let disk = Disk::of(world.dir.path(), &SUBTREES);
        let mut command = world.command(&["worker", "--concurrency", CONCURRENCY]);
        command.env("PICTOR_WORKER__MAX_UNKNOWN", "1000");
        let log = world.path("calls");
        let mut worker = Proc::spawn("watched", &mut traced(&command, &log), world.dir.path());
        worker.wait_until("watched", PATIENCE, |_| log.exists());
        Self { log: Log::open(&log), world, worker, disk }
    }

    /// All that it called, once it has ended.
    fn steps(&mut self) -> Vec<Step> {
        let deadline = Instant::now() + PATIENCE;
        while !self.log.has_ended(self.worker.pid()) {
            assert!(Instant::now() < deadline, "the log has no end");
            std::thread::sleep(Duration::from_millis(10));
        }
        self.log.steps()
    }
}

/// A worker makes all of it in peace; at each of its calls the disk is asked what a power cut would leave.
async fn calm(assets: u64) -> Calm {
    let mut watched = Watched::start(assets).await;
    watched.world.ended("b", PATIENCE).await;
    watched.worker.signal(Signal::TERM);
    watched.worker.wait(PATIENCE);
    let steps = watched.steps();
    let mut order =
        Order { disk: watched.disk.clone(), dir: watched.world.dir.path().to_owned(), ..Order::new() };
    for step in &steps {
        order.take(step);
    }
    assert_eq!((order.sent.len(), order.stored), (assets as usize, assets as usize), "each is seen once");
    let lines = watched.log.lines_of_spool();
    Calm { steps: steps.len(), sent: order.sent.len(), stored: order.stored, lines }
}

/// What must be durable before what.
struct Order {
    disk: Disk,
    dir: PathBuf,
    sent: BTreeSet<String>,
    /// What was said to each peer so far.
    said: Vec<(String, String)>,
    stored: usize,
}

impl Order {
    fn new() -> Self {
        let disk = Disk::of(Path::new("/nowhere"), &[]);
        Self { disk, dir: PathBuf::new(), sent: BTreeSet::new(), said: Vec::new(), stored: 0 }
    }

    fn take(&mut self, step: &Step) {
        match step {
            Step::Begins(id, call) => {
                match call {
                    Call::Send { peer, bytes } => self.sends(peer, bytes),
                    Call::Remove(path) if is_image(path) => self.lets_go(path),
                    _ => {}
                }
                self.disk.begins(*id, call);
            }
            Step::Ends(id, call) => self.disk.ends(*id, call),
        }
    }

    /// Before a request goes out, its intent is durable, and that Redis allowed it.
    fn sends(&mut self, peer: &str, bytes: &[u8]) {
        let text = String::from_utf8_lossy(bytes).into_owned();
        if text.starts_with("POST /v1/images/") {
            let id = header(&text, "x-client-request-id").expect("a request has its id");
            let (token, _attempt) = id.rsplit_once(':').unwrap();
            let spool = self.dir.join("spool").join(incarnation(token));
            let journal = self.disk.durable(&spool.join("journal")).unwrap_or_default();
            let journal = String::from_utf8_lossy(journal).into_owned();
            for record in ["intent", "sent"] {
                let is_there =
                    |line: &str| line.starts_with(&format!("{{\"{record}\"")) && line.contains(token);
                assert!(journal.lines().any(is_there), "{id} goes out and no {record} of it is durable");
            }
            assert!(
                self.disk.durable(&spool.join("lock")).is_some(),
                "nobody could take up the spool of {id}"
            );
            assert!(self.sent.insert(id), "a request goes out twice");
        }
        match self.said.iter_mut().find(|(name, _)| name == peer) {
            Some((_, said)) => said.push_str(&text),
            None => self.said.push((peer.to_owned(), text)),
        }
    }

    /// Before an image leaves the spool, it is durable in the store, and Redis was told.
    fn lets_go(&mut self, image: &Path) {
        let bytes = self.disk.current(image).expect("it is there").to_vec();
        let token = image.file_stem().unwrap().to_str().unwrap();
        let images = self.dir.join("images/assets");
        let durable = self.disk.durable_below(&images).into_iter().any(|file| file == bytes);
        assert!(durable, "{token} leaves the spool and is not durable in the store");
        let settles = |words: &str| words.contains(token) && words.contains("\"made\":");
        let told = self.said.iter().any(|(_, said)| said.split("\r\n").any(settles));
        assert!(told, "{token} leaves the spool before Redis was told");
        self.stored += 1;
    }
}

fn is_image(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "img")
}

/// Tokens begin with the incarnation of their worker.
fn incarnation(token: &str) -> &str {
    &token[..26]
}

fn header(request: &str, name: &str) -> Option<String> {
    let lines = request.lines().take_while(|line| !line.is_empty());
    let mut pairs = lines.filter_map(|line| line.split_once(':'));
    pairs.find(|(named, _)| named.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim().to_owned())
}

/// The power fails when the worker has made so many calls, and another worker takes up what is left.
async fn cut(assets: u64, lines: usize, after: After, dice: &mut Dice, cuts: &mut Cuts) {
    let mut watched = Watched::start(assets).await;
    let deadline = Instant::now() + PATIENCE;
    while watched.log.lines_of_spool() < lines {
        assert!(Instant::now() < deadline, "never {lines} calls: {}", watched.worker.told());
        if watched.world.queue().await.batch(&"b".parse().unwrap()).await.unwrap().unwrap().ended() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    watched.worker.kill();
    for step in watched.steps() {
        match step {
            Step::Begins(id, call) => watched.disk.begins(id, &call),
            Step::Ends(id, call) => watched.disk.ends(id, &call),
        }
    }
    let left = watched.disk.restore(&SUBTREES, after, dice);
    let images: Vec<&PathBuf> = left.keys().filter(|path| is_image(path)).collect();
    let world = &watched.world;
    // A new worker within the grace of one that is still looked after.
    world.queue().await.with_grace(Duration::ZERO).reap(1).await.unwrap();
    let settings = [("PICTOR_WORKER__MAX_UNKNOWN", "1000")];
    let mut second = world.worker("second", 4, &settings);
    let state = world.ended("b", PATIENCE).await;
    let told = || format!("{after:?} at {lines}: {}", second.proc.told());
    assert_eq!((state.counts.done, state.counts.failed + state.counts.parked), (assets, 0), "{}", told());
    let ledger = world.ledger().await;
    for image in &images {
        let token = image.file_stem().unwrap().to_str().unwrap();
        let settled = ledger.iter().any(|entry| entry.kind == "settled" && entry.token == token);
        let whole = left[*image].len() >= 30_000;
        assert!(settled || !whole, "{token} was paid for and had arrived, and is lost; {}", told());
    }
    let judged = judge(world, assets).await;
    let kept = |path: PathBuf| path.file_name().unwrap().to_string_lossy().starts_with(".kept-");
    let spool = fs::read_dir(world.path("spool")).unwrap().map(|entry| entry.unwrap().path());
    assert_eq!(spool.filter(|path| kept(path.clone())).count(), 0, "an image belongs to nobody; {}", told());
    assert!(second.proc.exited().is_none(), "{}", second.proc.told());
    cuts.cuts += 1;
    cuts.billed += judged.billed;
    cuts.twice += judged.twice;
    cuts.unknown += judged.unknown;
    cuts.images += images.len();
}

/// Cuts the power of many workers, some worlds at a time.
pub(crate) async fn power_cuts(size: &Size) -> Cuts {
    let mut dice = Dice::of("power cut");
    let calm = calm(size.assets).await;
    let plans: Vec<(usize, After, u64)> = (0..size.cuts)
        .map(|number| {
            let after = [After::Synced, After::Some, After::Synced, After::Some, After::All][number % 5];
            (1 + dice.one_of(calm.lines), after, dice.one_of(usize::MAX) as u64)
        })
        .collect();
    let seed = dice.seed;
    let share = size.cuts.div_ceil(size.worlds);
    let worlds = plans.chunks(share).map(|plans| {
        let (plans, assets) = (plans.to_vec(), size.assets);
        async move {
            let mut cuts = Cuts::default();
            for (lines, after, seed) in plans {
                let mut dice = Dice::seeded("power cut", seed);
                cut(assets, lines, after, &mut dice, &mut cuts).await;
            }
            cuts
        }
    });
    let all = futures::future::join_all(worlds).await;
    all.into_iter().fold(Cuts { seed, calm, ..Cuts::default() }, |sum, part| Cuts {
        cuts: sum.cuts + part.cuts,
        billed: sum.billed + part.billed,
        twice: sum.twice + part.twice,
        unknown: sum.unknown + part.unknown,
        images: sum.images + part.images,
        ..sum
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_not_synced_is_missed_by_nobody() {
    let cuts = power_cuts(&SMALL).await;
    assert_eq!(cuts.cuts, SMALL.cuts, "{cuts:?}");
}

/// Steps of a worker that does one call after the other.
fn in_order(calls: Vec<Call>) {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().to_owned();
    let mut order = Order { disk: Disk::of(&dir, &SUBTREES), dir, ..Order::new() };
    let own = |path: &Path| order.dir.join(path);
    let placed: Vec<Call> = calls
        .into_iter()
        .map(|call| match call {
            Call::Open { path, create, truncate } => Call::Open { path: own(&path), create, truncate },
            Call::Write { path, at, bytes } => Call::Write { path: own(&path), at, bytes },
            Call::Sync(path) => Call::Sync(own(&path)),
            Call::MakeDir(path) => Call::MakeDir(own(&path)),
            Call::Remove(path) => Call::Remove(own(&path)),
            other => other,
        })
        .collect();
    for (id, call) in placed.into_iter().enumerate() {
        order.take(&Step::Begins(id, call.clone()));
        order.take(&Step::Ends(id, call));
    }
}

/// A spool with a journal that tells of a token, whose names are synced or not, and the request.
fn one_request(names: bool) -> Vec<Call> {
    let incarnation = "01JC0000000000000000000001";
    let dir = PathBuf::from("spool").join(incarnation);
    let (token, open) =
        (format!("{incarnation}-1"), |path: PathBuf| Call::Open { path, create: true, truncate: false });
    let journal = format!("{{\"intent\":\"{token}\"}}\n{{\"sent\":\"{token}\"}}\n").into_bytes();
    let mut calls = vec![
        Call::MakeDir("spool".into()),
        Call::Sync("".into()),
        Call::MakeDir(dir.clone()),
        open(dir.join("lock")),
        open(dir.join("journal")),
        Call::Write { path: dir.join("journal"), at: None, bytes: journal },
        Call::Sync(dir.join("journal")),
        Call::Sync("spool".into()),
    ];
    if names {
        calls.push(Call::Sync(dir));
    }
    let head = format!("POST /v1/images/generations HTTP/1.1\r\nx-client-request-id: {token}:1\r\n\r\n");
    calls.push(Call::Send { peer: "api".to_owned(), bytes: head.into_bytes() });
    calls
}

#[test]
fn a_request_whose_intent_is_durable_may_go_out() {
    in_order(one_request(true));
}

#[test]
#[should_panic(expected = "no intent of it is durable")]
fn a_journal_without_a_durable_name_is_noticed() {
    in_order(one_request(false));
}

#[test]
#[should_panic(expected = "is not durable in the store")]
fn an_image_that_leaves_too_early_is_noticed() {
    let image = PathBuf::from("spool/01JC0000000000000000000001-1.img");
    let calls = vec![
        Call::MakeDir("spool".into()),
        Call::Open { path: image.clone(), create: true, truncate: false },
        Call::Write { path: image.clone(), at: None, bytes: b"image".to_vec() },
        Call::Sync(image.clone()),
        Call::Remove(image),
    ];
    in_order(calls);
}
