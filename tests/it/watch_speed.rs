//! How long it takes to look at a large queue: the whole process, from its start to its end.

use std::time::{Duration, Instant};

use pictor_common::{
    AssetKey, MicroUsd, Spec,
    batch::{Band, BatchHead, Line, Made, NewAsset, Route},
    keys::Keys,
    ledger::Spend,
    queue::{Attempt, Beat, Begun, Claim, LaneLimits, LaneOffer, Queue},
    spec::Operation,
};
use pictor_simulator::Options;

use crate::world::{MODEL, World, told};

/// What is promised.
const MOST: Duration = Duration::from_millis(100);
const COMMANDS: [&[&str]; 4] =
    [&["status"], &["batch", "list"], &["batch", "show", "b0"], &["watch", "--once"]];
const BATCHES: u64 = 20;
const LANE: &str = "sim.dall-e-2";

fn route() -> Route {
    Route::new(MODEL, Operation::Generate)
}

fn asset(n: u64) -> NewAsset {
    let spec = Spec {
        model: MODEL.to_owned(),
        prompt: Some(format!("a product photograph of thing number {n} on a white table")),
        size: Some("256x256".to_owned()),
        ..Spec::default()
    };
    let ceiling = MicroUsd(16_000);
    NewAsset { key: AssetKey::of(&spec), spec, route: route(), ceiling, tokens: 0, made: None }
}

fn head(batch: u64) -> BatchHead {
    let bands = [Band::Interactive, Band::Normal, Band::Bulk];
    BatchHead {
        id: format!("b{batch}").parse().unwrap(),
        tenant: format!("shop{}", batch % 7),
        band: bands[usize::try_from(batch % 3).unwrap()],
        content: "c".to_owned(),
        source: "large.csv".to_owned(),
        columns: ["id", "prompt", "model", "size"].map(str::to_owned).into(),
        cap: None,
        fallback: None,
        on_unknown: None,
        deadline: None,
        derive: None,
    }
}

/// Fills a queue with as many assets as this, over twenty batches, as a submission does.
async fn fill(queue: &Queue, assets: u64) {
    let each = assets / BATCHES;
    for batch in 0..BATCHES {
        let head = head(batch);
        for first in (0..each).step_by(500) {
            let rows: Vec<u64> = (first..each.min(first + 500)).collect();
            let assets: Vec<(u64, NewAsset)> =
                rows.iter().map(|row| (*row, asset(batch * each + row))).collect();
            let lines: Vec<Line> = assets
                .iter()
                .map(|(row, asset)| Line {
                    row: *row,
                    id: format!("row-{row}"),
                    keys: vec![asset.key.clone()],
                    cells: ["row", "thing", MODEL, "256x256"].map(str::to_owned).into(),
                })
                .collect();
            queue.submit(&head, &assets, &lines, false).await.unwrap();
        }
        queue.seal(&head.id, each).await.unwrap();
    }
}

/// Some of it is made and some is under way, so that there is a pace and a price to tell.
async fn work(queue: &Queue) {
    let offer = LaneOffer { lane: LANE.to_owned(), routes: vec![route().to_string()] };
    let beat = Beat {
        host: "h".to_owned(),
        pid: 1,
        concurrency: 64,
        held: 9,
        lanes: vec![offer.clone()],
        ..Beat::default()
    };
    queue.beat("w", &beat).await.unwrap();
    queue.restore_spend(&queue.begun().await.unwrap(), &Spend::default()).await.unwrap();
    for call in 0..100 {
        let claim = Claim {
            request: format!("r{call}"),
            incarnation: "w".to_owned(),
            sequence: call * 100,
            lease: Duration::from_secs(600),
            horizon: Duration::from_secs(1),
            free: 20,
            lanes: vec![offer.clone()],
        };
        for grant in queue.claim(&claim).await.unwrap().grants {
            let begun =
                queue.begin(&grant.key, &grant.token, Duration::from_secs(600), Duration::from_secs(600));
            assert!(matches!(begun.await.unwrap(), Begun::Go { .. }));
            if call % 10 == 9 {
                continue;
            }
            let made = Made { object: "o".to_owned(), cost: MicroUsd(16_000), ..Made::default() };
            let attempt = Attempt {
                key: grant.key,
                token: grant.token,
                attempt: 1,
                payer: grant.payer,
                tenant: grant.tenant,
                lane: grant.lane,
                model: MODEL.to_owned(),
                request_id: None,
            };
            queue.settle(&attempt, &made).await.unwrap();
        }
    }
}

/// Median time of twenty whole processes, by command.
pub(crate) async fn look_times(assets: u64) -> Vec<(String, Duration)> {
    let world = World::start(Options::default());
    let client = redis::Client::open(world.redis.url()).unwrap();
    let queue = Queue::connect(client, Keys::new("it").unwrap()).await.unwrap().with_grace(Duration::ZERO);
    queue.declare_lane(LANE, &LaneLimits::default()).await.unwrap();
    fill(&queue, assets).await;
    work(&queue).await;
    let mut medians = Vec::new();
    for args in COMMANDS {
        let mut times = Vec::new();
        for _ in 0..20 {
            let begun = Instant::now();
            let output = world.run(args);
            times.push(begun.elapsed());
            assert!(output.status.success(), "{}", told(&output));
            assert!(String::from_utf8_lossy(&output.stdout).contains("shop"), "{}", told(&output));
        }
        times.sort();
        medians.push((args.join(" "), times[times.len() / 2]));
    }
    medians
}

/// Fails where a command took longer than is promised.
pub(crate) fn assert_quick(times: &[(String, Duration)]) {
    for (command, median) in times {
        assert!(*median <= MOST, "pictor {command} took {median:?}: {times:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn looking_is_quick_however_much_waits() {
    assert_quick(&look_times(20_000).await);
}
