//! Workers, failures and images.

use pictor_common::queue::{FailureGroup, LatestImage, UNSORTED, WorkerState};

use super::{
    super::{
        sheet::{Column, Row, Sheet, Tone},
        view::View,
    },
    ago, clock,
};
use crate::{
    commands::{failed::advice, when},
    waits::hindered,
};

pub(super) fn workers(view: &View) -> Sheet {
    let columns = vec![
        Column::of("worker", 0).between(12, 44),
        Column::of("version", 2).between(7, 16),
        Column::number("in flight", 0),
        Column::of("last seen", 1),
        Column::of("state", 0).between(12, 60),
        Column::of("lanes", 3).between(12, 100),
    ];
    let row = |worker: &WorkerState| {
        let beat = &worker.beat;
        let lanes: Vec<&str> = beat.lanes.iter().map(|lane| lane.lane.as_str()).collect();
        let (state, tone) = match hindered(beat) {
            _ if beat.draining => ("draining".to_owned(), Tone::Waits),
            _ if view.drains.contains_key(&worker.incarnation) => ("told to end".to_owned(), Tone::Waits),
            Some(why) => (why, Tone::Bad),
            None => ("works".to_owned(), Tone::Plain),
        };
        let cells = vec![
            format!("{} {}", beat.host, beat.pid),
            beat.version.clone(),
            format!("{}/{}", beat.held, beat.concurrency),
            ago(worker.seen, view.moment.at),
            state,
            lanes.join(", "),
        ];
        Row { id: worker.incarnation.clone(), cells, tone }
    };
    let rows = view.moment.workers.iter().map(row).collect();
    Sheet { columns, rows, empty: "no worker is alive: start pictor worker".to_owned() }
}

pub(super) fn of_worker(view: &View, id: &str) -> Vec<(&'static str, String)> {
    let Some(worker) = view.moment.workers.iter().find(|worker| worker.incarnation == id) else {
        return Vec::new();
    };
    let (beat, drain) = (&worker.beat, view.drains.get(id));
    let lanes: Vec<String> =
        beat.lanes.iter().map(|lane| format!("{} ({})", lane.lane, lane.routes.join(", "))).collect();
    vec![
        ("worker", format!("{} {}, {}", beat.host, beat.pid, worker.incarnation)),
        ("state", if beat.draining { "draining: it takes nothing new".to_owned() } else { String::new() }),
        ("told", drain.map_or_else(String::new, |drain| format!("to end, by {}: {}", drain.by, drain.why))),
        ("hindered", hindered(beat).unwrap_or_default()),
        ("places", format!("{} of {} taken", beat.held, beat.concurrency)),
        ("version", beat.version.clone()),
        ("seen", when(worker.seen)),
        ("lanes", lanes.join(", ")),
    ]
}

pub(super) fn failures(view: &View) -> Sheet {
    let columns = vec![
        Column::number("count", 0),
        Column::of("class", 0).between(8, 24),
        Column::of("model", 2).between(8, 24),
        Column::of("last", 3),
        Column::of("the provider's words", 1).between(20, 200),
    ];
    let row = |group: &FailureGroup| Row {
        id: group.group.clone(),
        cells: vec![
            group.count.to_string(),
            class(group),
            group.failure.model.clone(),
            ago(group.last, view.moment.at),
            group.failure.message.clone(),
        ],
        tone: if group.parked { Tone::Bad } else { Tone::Plain },
    };
    let rows = view.groups.groups.iter().map(row).collect();
    let empty = match view.groups.unsorted {
        0 => "nothing failed".to_owned(),
        count => unsorted(count),
    };
    Sheet { columns, rows, empty }
}

fn class(group: &FailureGroup) -> String {
    let parked = if group.parked { ", parked" } else { "" };
    format!("{}{parked}", group.failure.class)
}

fn unsorted(count: u64) -> String {
    format!("{count} of an older version are not sorted yet: pictor failed list --group {UNSORTED}")
}

pub(super) fn of_group(view: &View, id: &str) -> Vec<(&'static str, String)> {
    let groups = &view.groups;
    let Some(group) = groups.groups.iter().find(|group| group.group == id) else { return Vec::new() };
    let failure = &group.failure;
    let code = failure.code.as_ref().map_or_else(String::new, |code| format!(" ({code})"));
    let mut counted = format!("{} of {} failures", group.count, groups.total);
    if group.parked {
        counted += "; a request for each may have been billed, and may be paid twice";
    }
    let example = group.sample.as_ref().map_or_else(String::new, |key| {
        let key = key.short();
        format!("{key}: pictor failed show {key}")
    });
    let left = match groups.causes.saturating_sub(groups.groups.len() as u64) {
        0 => String::new(),
        more => format!("{more} more causes: pictor failed --limit {}", groups.causes),
    };
    vec![
        ("class", format!("{}{code}, of {}", class(group), failure.model)),
        ("words", failure.message.clone()),
        ("to do", advice::words(&failure.class, group.parked, &group.group)),
        ("count", counted),
        ("failed", format!("{} to {}", when(group.first), when(group.last))),
        ("example", example),
        ("and", left),
        ("unsorted", if groups.unsorted > 0 { unsorted(groups.unsorted) } else { String::new() }),
    ]
}

pub(super) fn images(view: &View) -> Sheet {
    let columns = vec![
        Column::of("made", 1),
        Column::of("asset", 0),
        Column::number("size", 2),
        Column::number("cost", 3),
        Column::of("model", 4).between(8, 24),
        Column::of("batch", 0).between(8, 40),
    ];
    let row = |image: &LatestImage| Row {
        id: image.key.to_string(),
        cells: vec![
            clock(image.made.at_ms * 1_000),
            image.key.short().to_owned(),
            format!("{}x{}", image.made.width, image.made.height),
            image.made.cost.to_string(),
            image.model.clone(),
            image.batch.clone(),
        ],
        tone: if image.made.mismatch.is_some() { Tone::Waits } else { Tone::Plain },
    };
    Sheet {
        columns,
        rows: view.images.iter().map(row).collect(),
        empty: "no image was paid for lately".to_owned(),
    }
}

pub(super) fn of_image(view: &View, id: &str) -> Vec<(&'static str, String)> {
    let Some(image) = view.images.iter().find(|image| image.key.as_str() == id) else { return Vec::new() };
    let made = &image.made;
    vec![
        ("asset", image.key.to_string()),
        ("batch", image.batch.clone()),
        ("image", format!("{}x{}, {} bytes, {}", made.width, made.height, made.bytes, made.content_type)),
        ("model", format!("{}, {}", image.model, made.cost)),
        ("differs", made.mismatch.clone().unwrap_or_default()),
        ("made", when(made.at_ms * 1_000)),
        ("object", made.object.clone()),
    ]
}
