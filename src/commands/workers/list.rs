//! Lists workers.

use std::collections::BTreeMap;

use pictor_common::queue::{Queue, WorkerState, Workers};
use serde::Serialize;

use crate::{
    commands::Context,
    exit::Exit,
    table::{shortened, table},
    waits,
};

/// Digits of a worker's name that tell it from others; the first ones are the time.
const DIGITS: usize = 6;
/// Characters of a host's name that fit beside the rest, and of a state below it.
const HOST: usize = 16;
const STATE: usize = 70;

/// A worker, and what is told of it.
#[derive(Debug, Serialize)]
struct Listed<'a> {
    #[serde(flatten)]
    worker: &'a WorkerState,
    /// When it began, ms since 1970.
    since_ms: Option<u64>,
    /// How long ago it was heard of, s.
    beat_seconds: u64,
    state: String,
    #[serde(skip)]
    word: &'static str,
    /// Who told it to end, and why.
    #[serde(skip_serializing_if = "Option::is_none")]
    drain: Option<&'a pictor_common::queue::Drain>,
}

pub(super) async fn list(context: &Context, queue: &Queue) -> anyhow::Result<Exit> {
    let workers = queue.workers().await?;
    let listed: Vec<Listed<'_>> = workers.workers.iter().map(|worker| listed(worker, &workers)).collect();
    context.output.result(&listed, || told(&listed, workers.now))?;
    Ok(Exit::Done)
}

fn listed<'a>(worker: &'a WorkerState, all: &'a Workers) -> Listed<'a> {
    Listed {
        worker,
        since_ms: worker.since_ms(),
        beat_seconds: all.now.saturating_sub(worker.seen) / 1_000_000,
        state: state(worker, all),
        word: word(worker, all),
        drain: all.drains.get(&worker.incarnation),
    }
}

/// What a worker does, in words.
pub(super) fn state(worker: &WorkerState, all: &Workers) -> String {
    let drain = all.drains.get(&worker.incarnation);
    let who =
        drain.map(|drain| format!(", told by {}: {}", drain.by, drain.why).replace(char::is_control, " "));
    let who = who.unwrap_or_default();
    if all.is_silent(worker) {
        let silent = waits::span(all.now.saturating_sub(worker.seen) / 1_000_000);
        return format!("silent for {silent}{who}");
    }
    match (worker.beat.draining, drain) {
        (true, _) => format!("ending{who}"),
        (false, Some(_)) => format!("is about to hear that it ends{who}"),
        (false, None) => waits::hindered(&worker.beat).unwrap_or_else(|| "working".to_owned()),
    }
}

/// The same in a word.
fn word(worker: &WorkerState, all: &Workers) -> &'static str {
    match (worker.beat.draining, all.drains.contains_key(&worker.incarnation)) {
        _ if all.is_silent(worker) => "silent",
        (true, _) => "ending",
        (false, true) => "to end",
        (false, false) if waits::hindered(&worker.beat).is_some() => "waits",
        (false, false) => "working",
    }
}

/// The end of a worker's name.
pub(super) fn short(worker: &WorkerState) -> String {
    let name = &worker.incarnation;
    name.get(name.len().saturating_sub(DIGITS)..).unwrap_or(name).to_owned()
}

/// Where a worker runs.
pub(super) fn place(worker: &WorkerState) -> String {
    format!("{}:{}", worker.beat.host, worker.beat.pid)
}

fn told(listed: &[Listed<'_>], now: u64) -> String {
    if listed.is_empty() {
        return "no worker is alive\n".to_owned();
    }
    let rows: Vec<Vec<String>> = listed.iter().map(|listed| row(listed, now)).collect();
    let titles = ["worker", "where", "version", "since", "beat", "sent", "held", "state"];
    let mut text = table(&titles, &[3, 4, 5, 6], &rows);
    let mut lanes: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for Listed { worker, .. } in listed {
        let names: Vec<&str> = worker.beat.lanes.iter().map(|lane| lane.lane.as_str()).collect();
        lanes.entry(names.join(", ")).or_default().push(short(worker));
    }
    for Listed { worker, state, .. } in listed.iter().filter(|listed| listed.state != listed.word) {
        text += &format!("{}: {}\n", short(worker), shortened(state, STATE));
    }
    let alike = lanes.len() == 1;
    for (names, workers) in lanes {
        let names = if names.is_empty() { "no lane" } else { &names };
        text +=
            &if alike { format!("\nlanes: {names}") } else { format!("\n{}: {names}", workers.join(", ")) };
    }
    text
}

fn row(listed: &Listed<'_>, now: u64) -> Vec<String> {
    let Listed { worker, since_ms, beat_seconds, word, .. } = listed;
    let beat = &worker.beat;
    let age = since_ms.map(|since| waits::span((now / 1_000).saturating_sub(since) / 1_000));
    let mut host = shortened(&beat.host, HOST);
    host += &format!(":{}", beat.pid);
    let version = if beat.version.is_empty() { "?".to_owned() } else { shortened(&beat.version, 12) };
    vec![
        short(worker),
        host,
        version,
        age.unwrap_or_else(|| "?".to_owned()),
        format!("{beat_seconds} s"),
        beat.sent.map_or_else(|| "?".to_owned(), |sent| sent.to_string()),
        format!("{}/{}", beat.held, beat.concurrency),
        (*word).to_owned(),
    ]
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use pictor_common::queue::{Beat, Drain, LaneOffer};

    use super::*;

    const NOW: u64 = 1_469_922_850_259_000 + 3_700_000_000;

    fn worker(seen: u64) -> WorkerState {
        let lanes = vec![LaneOffer { lane: "openai.gpt-image".into(), routes: vec![] }];
        let beat =
            Beat { host: "a-rather-long-host-name".into(), pid: 12_345, lanes, held: 64, ..Beat::default() };
        let beat = Beat { concurrency: 64, version: "0.1.0".into(), sent: Some(60), ..beat };
        WorkerState { incarnation: "01ARZ3NDEKTSV4RRFFQ69G5FAV".into(), seen, beat }
    }

    #[test]
    fn a_list_fits_80_columns() {
        let all = Workers { now: NOW, workers: vec![worker(NOW - 2_000_000)], drains: HashMap::new() };
        let text = told(&[listed(&all.workers[0], &all)], NOW);
        assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
        assert!(
            text.contains("9G5FAV  a-rather-long-ho…:12345  0.1.0    1 h 1 min   2 s    60  64/64  working"),
            "{text}"
        );
        assert!(text.ends_with("lanes: openai.gpt-image"), "{text}");
    }

    #[test]
    fn who_told_it_to_end_is_said_until_it_has_left() {
        let order = Drain { by: "ann@desk".into(), why: "new kernel".into() };
        let drains = HashMap::from([(worker(0).incarnation, order)]);
        let mut all = Workers { now: NOW, workers: vec![worker(NOW)], drains };
        assert_eq!(
            state(&all.workers[0], &all),
            "is about to hear that it ends, told by ann@desk: new kernel"
        );
        all.workers[0].beat.draining = true;
        assert_eq!(state(&all.workers[0], &all), "ending, told by ann@desk: new kernel");
        all.workers[0].seen = NOW - 20_000_000;
        assert!(state(&all.workers[0], &all).starts_with("silent for 20 s"));
    }
}
