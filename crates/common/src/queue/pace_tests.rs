//! Ranges and projections, on made-up moments.

use super::*;
use crate::queue::{
    BatchState, Beat, Counts, Dimension, Head, LaneOffer, LaneState, Sample, WorkerState, why,
};

const NOW: u64 = 1_000_000_000;

fn lane(per_minute: Option<u64>) -> LaneState {
    let pace = per_minute.map(|limit| Dimension {
        name: "requests".to_owned(),
        limit,
        window: 60_000_000,
        burst: 1_000_000,
        given_until: 0,
        told: Some(limit),
        part: 1.0,
        ..Dimension::default()
    });
    LaneState { name: "acme.dall-e-2".to_owned(), pace: pace.into_iter().collect(), ..LaneState::default() }
}

fn worker(held: usize) -> WorkerState {
    let offer = LaneOffer { lane: "acme.dall-e-2".to_owned(), routes: vec!["dall-e-2.generate".to_owned()] };
    let beat = Beat { concurrency: 8, held, lanes: vec![offer], ..Beat::default() };
    WorkerState { incarnation: "w".to_owned(), seen: NOW, beat }
}

fn overview(per_minute: Option<u64>) -> Overview {
    Overview { now: NOW, lanes: vec![lane(per_minute)], workers: vec![worker(2)], ..Overview::default() }
}

fn view(waiting: u64) -> BatchView {
    let head = Head { ceiling: MicroUsd(20_000), highest: MicroUsd(20_000), tokens: 0 };
    let place = RouteView {
        route: "dall-e-2.generate".to_owned(),
        waiting,
        head: Some(head),
        share: 1.0,
        sharers: 1,
        ..RouteView::default()
    };
    BatchView {
        state: BatchState {
            state: "open".to_owned(),
            sealed: Some(1),
            assets: waiting + 100,
            counts: Counts { done: 100, ..Counts::default() },
            spent: MicroUsd(1_600_000),
            ..BatchState::default()
        },
        routes: vec![place],
        ..BatchView::default()
    }
}

fn at_pace(ended: u64) -> Recent {
    Recent { ended, seconds: 60.0, mean_cost: Some(MicroUsd(16_000)) }
}

fn range(view: &BatchView, overview: &Overview, recent: Recent) -> (u64, u64) {
    match eta(view, overview, &why(view, overview), Some(&recent)) {
        Eta::Range { low, high } => (low, high),
        Eta::Unknown { because } => panic!("{because}"),
    }
}

#[test]
fn at_its_limit_and_alone_the_range_begins_at_what_the_limit_allows() {
    let (low, high) = range(&view(600), &overview(Some(60)), at_pace(60));
    assert_eq!(low, 600);
    assert!((600..=700).contains(&high), "{high}");
}

#[test]
fn with_others_it_ends_no_later_than_when_all_of_them_have_ended() {
    let mut view = view(600);
    view.routes[0].share = 0.2;
    view.routes[0].rivals = 300;
    view.routes[0].ahead = 60;
    let (low, high) = range(&view, &overview(Some(600)), at_pace(600));
    assert_eq!((low, high), (60, 96));
    view.routes[0].rivals = 1_000_000;
    assert_eq!(range(&view, &overview(Some(600)), at_pace(600)), (60, 330));
}

#[test]
fn without_limits_the_pace_seen_decides_give_or_take_chance() {
    assert_eq!(range(&view(600), &overview(None), at_pace(100)), (327, 400));
    assert_eq!(range(&view(600), &overview(None), at_pace(2)), (9_000, 36_000), "two say little");
}

#[test]
fn with_full_hands_the_limit_says_nothing() {
    let mut overview = overview(Some(6_000));
    assert_eq!(range(&view(600), &overview, at_pace(100)).0, 6);
    overview.workers = vec![worker(8)];
    assert_eq!(range(&view(600), &overview, at_pace(100)).0, 327);
}

#[test]
fn a_pause_that_ends_is_waited_for_and_one_that_does_not_is_unknown() {
    let mut overview = overview(Some(60));
    overview.lanes[0].pause_until = Some(NOW + 30_000_000);
    assert_eq!(range(&view(600), &overview, at_pace(60)).0, 630);
    overview.lanes[0].paused = Some("no money".to_owned());
    let reasons = why(&view(600), &overview);
    let eta = eta(&view(600), &overview, &reasons, Some(&at_pace(60)));
    assert_eq!(eta, Eta::Unknown { because: "it waits for a person" });
}

#[test]
fn when_nothing_has_moved_nothing_is_said() {
    let (view, overview) = (view(600), overview(Some(60)));
    let unknown = Eta::Unknown { because: "nothing has moved in the last minute" };
    assert_eq!(eta(&view, &overview, &[], None), unknown);
    let stands = Recent { ended: 0, ..at_pace(0) };
    assert_eq!(eta(&view, &overview, &[], Some(&stands)), unknown);
}

#[test]
fn what_is_open_costs_what_was_paid_lately_or_its_ceiling() {
    let mut view = view(10);
    let told = projected(&view, Some(&at_pace(60))).unwrap();
    assert_eq!(told, Projected { expected: Some(MicroUsd(1_760_000)), ceiling: MicroUsd(1_800_000) });
    view.state.cap = Some(MicroUsd(1_700_000));
    assert_eq!(projected(&view, None).unwrap().ceiling, MicroUsd(1_700_000));
    // Four more on their way, with their ceilings set aside.
    view.state.cap = None;
    view.state.assets += 4;
    view.state.reserved = MicroUsd(80_000);
    assert_eq!(projected(&view, None).unwrap().ceiling, MicroUsd(1_880_000));
}

#[test]
fn a_worker_a_pause_and_a_cap_are_told_apart() {
    let mut overview = overview(Some(60));
    assert_eq!(why(&view(5), &overview), []);
    overview.workers.clear();
    assert_eq!(why(&view(5), &overview), [Why::NoWorker]);
    overview.workers = vec![worker(8)];
    assert_eq!(why(&view(5), &overview), [Why::WorkersBusy { places: 8 }]);
    let mut capped = view(5);
    capped.state.held = Some("cap".to_owned());
    capped.state.cap = Some(MicroUsd(7));
    assert!(matches!(why(&capped, &overview)[0], Why::BatchCap { cap: MicroUsd(7), .. }));
    let mut retrying = view(0);
    retrying.state.assets = 103;
    retrying.retries = Sample { count: 2, first: Some(NOW + 5), more: false };
    assert_eq!(
        why(&retrying, &overview),
        [Why::Retry { count: 2, more: false, next: NOW + 5 }, Why::InFlight { count: 1 }]
    );
}

#[test]
fn a_permit_that_is_not_free_is_the_reason_and_one_free_lane_is_none() {
    let mut overview = overview(Some(60));
    overview.lanes[0].pace[0].given_until = NOW + 3_000_000;
    let [Why::Limit { next, limit: 60, .. }] = why(&view(5), &overview)[..] else { panic!("no limit") };
    assert_eq!(next, NOW + 2_000_000);
    overview.workers[0]
        .beat
        .lanes
        .push(LaneOffer { lane: "spare.dall-e-2".to_owned(), routes: vec!["dall-e-2.generate".to_owned()] });
    overview.lanes.push(LaneState { name: "spare.dall-e-2".to_owned(), ..lane(Some(60)) });
    assert_eq!(why(&view(5), &overview), []);
}
