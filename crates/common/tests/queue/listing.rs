//! How long causes and lists of failures take where there are many.

use std::{sync::Arc, time::Instant};

use pictor_common::queue::{Failure, FailurePlace, Grant, LaneLimits, Trait};

use crate::world::{LANE, World, attempt, id, unmade};

/// How many there are.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sizes {
    pub(crate) assets: u64,
    pub(crate) failures: u64,
}

/// How long a question took, in milliseconds.
#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) what: String,
    pub(crate) median: f64,
    pub(crate) longest: f64,
}

const AT_ONCE: usize = 100;
const TIMES: usize = 100;
const PAGE: usize = 50;
const CLASSES: [&str; 4] = ["moderation", "bad_spec", "server_error", "auth"];
const CAUSES: u64 = 40;

async fn fail(world: &World, grant: &Grant, n: u64) {
    world.begin(grant).await;
    let words = ["is", "was", "may", "not", "be", "seen", "here", "now", "then", "there"];
    let cause = n % CAUSES;
    let failure = Failure {
        class: CLASSES[(cause % 4) as usize].to_owned(),
        message: format!(
            "what {} {}, request req_{n}",
            words[(cause / 4) as usize],
            words[(cause % 10) as usize]
        ),
        model: grant.spec.model.clone(),
        attempt: 1,
        ..Failure::default()
    };
    world.queue.fail(&attempt(grant), &unmade(&failure)).await.unwrap();
}

/// Makes them fail, and asks.
pub(crate) async fn measure(Sizes { assets, failures }: Sizes) -> Vec<Row> {
    let world = Arc::new(World::alone().await);
    let limits = LaneLimits { in_flight: Some(1_000_000), ..LaneLimits::default() };
    world.queue.declare_lane(LANE, &limits).await.unwrap();
    world.submit("few", "shop", 0..3).await;
    world.submit("many", "shop", 3..failures / 2).await;
    world.submit("others", "rival", failures / 2..assets).await;
    let mut failed = 0;
    while failed < failures {
        let free = AT_ONCE.min(usize::try_from(failures - failed).unwrap());
        let grants = world.claim(free).await.grants;
        let count = grants.len() as u64;
        let mut all = tokio::task::JoinSet::new();
        for (grant, n) in grants.into_iter().zip(failed..) {
            let world = Arc::clone(&world);
            all.spawn(async move { fail(&world, &grant, n).await });
        }
        all.join_all().await;
        failed += count;
    }
    let groups = world.queue.failure_groups(CAUSES as usize).await.unwrap();
    assert_eq!((groups.total, groups.unsorted, groups.causes), (failures, 0, CAUSES));
    let mut rows =
        vec![timed("causes", || async { drop(world.queue.failure_groups(20).await.unwrap()) }).await];
    for wanted in [
        None,
        Some(Trait::Group(groups.groups[0].group.clone())),
        Some(Trait::Class("bad_spec".into())),
        Some(Trait::Model("dall-e-2".into())),
        Some(Trait::Lane(LANE.into())),
        Some(Trait::Batch(id("many"))),
        Some(Trait::Batch(id("few"))),
        Some(Trait::Tenant("rival".into())),
    ] {
        let traits: Vec<Trait> = wanted.into_iter().collect();
        let what = traits.first().map_or("all".to_owned(), named);
        let first =
            timed(&format!("{what}, first page"), || async { _ = list(&world, &traits, None).await }).await;
        rows.push(first);
        // Half-way through, by place.
        let middle = groups.groups.iter().map(|group| (group.first + group.last) / 2).max().unwrap();
        let key = groups.groups[0].sample.clone().unwrap();
        let place = FailurePlace { at: middle, key };
        let deep = timed(&format!("{what}, a page in the middle"), || async {
            _ = list(&world, &traits, Some(&place)).await;
        })
        .await;
        rows.push(deep);
    }
    rows
}

/// Which list it is, as `pictor failed list` names it.
fn named(wanted: &Trait) -> String {
    match wanted {
        Trait::Group(group) => format!("--group {group}"),
        Trait::Class(class) => format!("--class {class}"),
        Trait::Model(model) => format!("--model {model}"),
        Trait::Lane(lane) => format!("--lane {lane}"),
        Trait::Batch(batch) => format!("--batch {batch}"),
        Trait::Tenant(tenant) => format!("--tenant {tenant}"),
    }
}

async fn list(world: &World, traits: &[Trait], after: Option<&FailurePlace>) -> usize {
    let page = world.queue.failures_with(traits, 0, after, PAGE).await.unwrap();
    world.queue.failed_assets(&page.found).await.unwrap().len()
}

async fn timed<F: Future<Output = ()>>(what: &str, ask: impl Fn() -> F) -> Row {
    let mut took = Vec::with_capacity(TIMES);
    for _ in 0..TIMES {
        let began = Instant::now();
        ask().await;
        took.push(began.elapsed().as_secs_f64() * 1e3);
    }
    took.sort_by(f64::total_cmp);
    Row { what: what.to_owned(), median: took[TIMES / 2], longest: took[TIMES - 1] }
}

#[tokio::test]
async fn causes_and_lists_take_no_longer_than_a_blink() {
    for row in measure(Sizes { assets: 4_000, failures: 1_000 }).await {
        // The machine of a test may be busy: what grew with the number of failures would take seconds.
        assert!(row.median <= 100.0, "{row:?}");
    }
}
