//! What `/metrics` tells: what this worker counted, how it is now, and what Redis holds.

use pictor_common::{
    metrics::{Page, families},
    queue::{Gauges, LaneState},
};

use super::{REASONS, unready};
use crate::engine::Engine;

/// The whole page; without what Redis holds when it did not answer.
pub(super) fn of(engine: &Engine, saw: Option<&Gauges>) -> String {
    let mut page = Page::default();
    engine.metrics.write(&mut page);
    own(&mut page, engine);
    spool(&mut page, engine);
    let now = engine.health.now();
    let store = engine.health.store_seen(now).map(|(well, _)| (Vec::new(), flag(well)));
    page.gauge(&families::STORE_UP, store);
    page.one(&families::REDIS_UP, flag(saw.is_some()));
    let nothing = Gauges::default();
    queue(&mut page, saw);
    lanes(&mut page, saw.unwrap_or(&nothing));
    money(&mut page, saw.unwrap_or(&nothing));
    let webhooks = saw.map(|gauges| gauges.webhooks.as_slice()).unwrap_or_default();
    page.gauge(
        &families::WEBHOOK_WAITING,
        webhooks.iter().map(|(name, waiting, _)| (vec![name.as_str()], *waiting as f64)),
    );
    page.gauge(
        &families::WEBHOOK_DISABLED,
        webhooks.iter().map(|(name, _, off)| (vec![name.as_str()], flag(*off))),
    );
    let cut = |gauges: &Gauges| {
        Gauges::CUTS.map(|what| (vec![what], flag(gauges.cut.iter().any(|cut| cut == what))))
    };
    page.gauge(&families::CUT, saw.map(cut).into_iter().flatten());
    page.finish()
}

fn flag(is: bool) -> f64 {
    if is { 1.0 } else { 0.0 }
}

fn own(page: &mut Page, engine: &Engine) {
    let health = &engine.health;
    page.gauge(&families::BUILD, [(vec![env!("CARGO_PKG_VERSION")], 1.0)]);
    page.one(&families::START_TIME, health.started_seconds());
    page.one(&families::DRAINING, flag(engine.draining.is_cancelled() || engine.ending.is_told()));
    let reasons = unready(engine);
    let holds = |reason: &str| reasons.iter().any(|line| line.split(':').next() == Some(reason));
    page.gauge(&families::UNREADY, REASONS.map(|reason| (vec![reason], flag(holds(reason)))));
    page.one(&families::CONCURRENCY, engine.settings.concurrency as f64);
    let held = engine.held.summary();
    page.gauge(
        &families::HELD,
        [("claimed", held.claimed), ("sent", held.sent), ("received", held.received)]
            .map(|(phase, count)| (vec![phase], count as f64)),
    );
    let mut in_flight = held.sent_by_lane;
    for lane in engine.lanes.keys() {
        in_flight.entry(lane.clone()).or_default();
    }
    let in_flight = in_flight.iter().map(|(lane, count)| (vec![lane.as_str()], *count as f64));
    page.gauge(&families::IN_FLIGHT, in_flight);
    page.one(&families::CLAIM_AGE, health.claim_age(health.now()) as f64 / 1e3);
}

fn spool(page: &mut Page, engine: &Engine) {
    let usage = engine.spool.usage().ok();
    let one = |number: Option<u64>| number.map(|number| (Vec::new(), number as f64));
    page.gauge(&families::SPOOL_FILES, one(usage.map(|usage| usage.images)));
    page.gauge(&families::SPOOL_BYTES, one(usage.map(|usage| usage.bytes)));
    page.gauge(&families::SPOOL_AVAILABLE, one(usage.map(|usage| usage.available)));
}

fn queue(page: &mut Page, saw: Option<&Gauges>) {
    let ready = saw.map(|gauges| gauges.ready.as_slice()).unwrap_or_default();
    page.gauge(&families::READY, ready.iter().map(|(route, ready)| (vec![route.as_str()], *ready as f64)));
    let phases = |gauges: &Gauges| {
        [
            ("leased", gauges.leased),
            ("retrying", gauges.retrying),
            ("in_doubt", gauges.in_doubt),
            ("failed", gauges.failed),
        ]
        .map(|(phase, count)| (vec![phase], count as f64))
    };
    page.gauge(&families::QUEUE, saw.map(phases).into_iter().flatten());
    let underived = |gauges: &Gauges| {
        [("waiting", gauges.derive), ("failed", gauges.underived)]
            .map(|(state, count)| (vec![state], count as f64))
    };
    page.gauge(&families::DERIVATIVE_BATCHES, saw.map(underived).into_iter().flatten());
}

fn lanes(page: &mut Page, gauges: &Gauges) {
    let lanes = &gauges.lanes;
    page.gauge(
        &families::LANE_IN_FLIGHT,
        lanes.iter().map(|lane| (vec![lane.name.as_str()], lane.in_flight as f64)),
    );
    page.gauge(&families::LANE_LIMIT, lanes.iter().flat_map(limits));
    let granted = lanes.iter().flat_map(|lane| {
        let paced = lane.pace.iter().filter(|dimension| dimension.window > 0);
        paced.map(|dimension| {
            let a_second = dimension.limit as f64 * dimension.part * 1e6 / dimension.window as f64;
            (vec![lane.name.as_str(), dimension.name.as_str()], a_second)
        })
    });
    page.gauge(&families::LANE_GRANTED, granted);
    let states = lanes.iter().flat_map(|lane| {
        let is = gauges.condition(lane);
        Gauges::CONDITIONS.map(|state| (vec![lane.name.as_str(), state], flag(state == is)))
    });
    page.gauge(&families::LANE_STATE, states);
}

fn limits(lane: &LaneState) -> impl Iterator<Item = (Vec<&str>, f64)> {
    let dimensions = lane.pace.iter().map(|dimension| (dimension.name.as_str(), dimension.limit));
    let in_flight = lane.in_flight_limit.map(|limit| ("in_flight", limit));
    dimensions.chain(in_flight).map(|(name, limit)| (vec![lane.name.as_str(), name], limit as f64))
}

fn money(page: &mut Page, gauges: &Gauges) {
    let money = &gauges.money;
    page.gauge(
        &families::SPENT,
        money.iter().map(|(of, counter)| (vec![of.scope(), of.name()], counter.spent.0 as f64)),
    );
    page.gauge(
        &families::RESERVED,
        money.iter().map(|(of, counter)| (vec![of.scope(), of.name()], counter.reserved.0 as f64)),
    );
    let caps =
        money.iter().filter_map(|(of, counter)| Some((vec![of.scope(), of.name()], counter.cap?.0 as f64)));
    page.gauge(&families::CAP, caps);
}
