//! Every order in which two workers, a reaper and a person can call the real scripts about the same assets, with lost
//! replies, late renewals, deaths and time that passes: nothing is lost, sent twice without an unknown, or counted twice.
//!
//! A state is what Redis holds, freed of clocks, and what each actor remembers. A search takes every step from every
//! state; scripts run on a real server that is given the state's content first. Steps are as the worker crate takes them.
//! A lease, a deadline or a wait ends where the search says so, for each asset alone, also in orders that clocks forbid.
//!
//! Assumed: what a look at the store showed is said before its token is forgotten, two minutes after it has ended.
//! Not part of it: limits, caps, a server that forgets, other models, and a store that fails.

mod calls;
mod content;
mod names;
mod rules;
mod search;
mod state;
mod steps;
mod taking;

use calls::Verdict;
pub(crate) use search::Searched;
use search::{Way, search};
use state::{Bounds, Budget};

const ALL: &[Verdict] = &[Verdict::Refused, Verdict::Later, Verdict::Failed, Verdict::Bad, Verdict::Unknown];
const FEW: &[Verdict] = &[Verdict::Refused, Verdict::Unknown];

const SMALL: Bounds = Bounds {
    assets: 1,
    batches: 1,
    budget: Budget { claims: 2, lost: 0, deaths: 1, cancels: 1, retries: 0 },
    hands: 1,
    verdicts: FEW,
    forgetful: false,
    careless: false,
};

/// Beside the usual: claims, lost replies, deaths, cancellations, retries by a person.
const fn budget([claims, lost, deaths, cancels, retries]: [u8; 5]) -> Budget {
    Budget { claims, lost, deaths, cancels, retries }
}

const WIDE: Bounds = Bounds { hands: 2, ..SMALL };

/// What the proof goes through.
pub(crate) const FULL: &[(&str, Bounds)] = &[
    ("1 asset, 3 claims, a death, a cancellation", Bounds { budget: budget([3, 0, 1, 1, 0]), ..WIDE }),
    (
        "1 asset, 2 claims, a lost reply or late renewal, a death, a cancellation",
        Bounds { budget: budget([2, 1, 1, 1, 0]), ..WIDE },
    ),
    (
        "1 asset, 2 claims, 2 lost replies or late renewals",
        Bounds { budget: budget([2, 2, 0, 0, 0]), ..WIDE },
    ),
    (
        "1 asset, 2 claims, every verdict, a death, a cancellation, a retry by a person",
        Bounds { budget: budget([2, 0, 1, 1, 1]), verdicts: ALL, ..WIDE },
    ),
    (
        "the same without a death, and tokens that ended are forgotten whenever nobody looks for one",
        Bounds { budget: budget([2, 0, 0, 1, 1]), verdicts: ALL, forgetful: true, ..WIDE },
    ),
    (
        "1 asset of 2 batches, 2 claims, a death, 2 cancellations",
        Bounds { batches: 2, budget: budget([2, 0, 1, 2, 0]), ..WIDE },
    ),
    (
        "2 assets, 2 claims, a death, a cancellation",
        Bounds { assets: 2, budget: budget([2, 0, 1, 1, 0]), ..WIDE },
    ),
    (
        "2 assets of 2 batches, 2 claims, a cancellation",
        Bounds { assets: 2, batches: 2, budget: budget([2, 0, 0, 1, 0]), ..WIDE },
    ),
];

fn explain(way: &Way) -> String {
    let steps: Vec<String> = way.steps.iter().map(|step| format!("  {step:?}")).collect();
    format!("{}, after\n{}", way.broken, steps.join("\n"))
}

/// Goes through all orders within bounds.
pub(crate) async fn all(bounds: &Bounds) -> Searched {
    match search(bounds.clone()).await {
        Ok(searched) => searched,
        Err(way) => panic!("{}", explain(&way)),
    }
}

#[tokio::test]
async fn no_order_of_calls_loses_an_asset_or_pays_twice() {
    let searched = all(&SMALL).await;
    assert!(searched.states > 1_000, "{searched:?}");
}

#[tokio::test]
async fn who_comes_back_when_its_end_is_forgotten_leaves_nothing_behind() {
    let bounds = Bounds { budget: budget([1, 0, 0, 1, 0]), forgetful: true, ..SMALL };
    let searched = all(&bounds).await;
    assert!(searched.states > 500, "{searched:?}");
}

#[tokio::test]
async fn a_worker_that_sends_without_leave_is_found() {
    let budget = Budget { cancels: 0, ..SMALL.budget };
    let way = search(Bounds { careless: true, budget, ..SMALL }).await.unwrap_err();
    assert!(way.broken.contains("no unknown says so"), "{}", explain(&way));
}
