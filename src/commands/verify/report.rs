//! Tells what was found: to people in groups with samples, as JSON one by one as they are found.

use std::io::{self, Write};

use pictor_common::MicroUsd;
use serde::Serialize;
use serde_json::json;

use super::{
    Subject,
    finding::{Finding, What},
};
use crate::{commands::Context, output::heard};

/// Findings of a kind that people are shown.
const SAMPLES: usize = 5;

#[derive(Debug, Default)]
struct Group {
    count: u64,
    samples: Vec<Finding>,
}

/// What --remake did.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub(super) struct Changed {
    /// Wait to be made again.
    pub(super) queued: u64,
    /// The most they may cost.
    pub(super) ceiling: MicroUsd,
    /// Nobody knows what was asked: to be submitted again.
    pub(super) forgotten: u64,
    /// Are done by what is in the store; nothing was paid.
    pub(super) settled: u64,
    /// Were left alone, since they are not any more what they were.
    pub(super) left: u64,
}

/// What is told of a batch.
pub(super) struct Report {
    batch: String,
    store: String,
    groups: [Group; What::ALL.len()],
    /// Where JSON goes, and whether a finding is there already.
    out: Option<(Box<dyn Write + Send>, bool)>,
    pub(super) checked: u64,
    /// Images that are done and in the store.
    pub(super) there: u64,
    pub(super) under_way: u64,
    pub(super) waiting: u64,
    pub(super) failed: u64,
    pub(super) parked: u64,
    /// Removed by somebody, and gone.
    pub(super) removed: u64,
    /// Paid for in another namespace's ledger, or before this one's began.
    pub(super) elsewhere: u64,
    pub(super) complete: bool,
    pub(super) changed: Option<Changed>,
}

impl Report {
    /// Begins to tell.
    pub(super) fn begin(subject: &Subject<'_>, store: &str) -> anyhow::Result<Self> {
        let mut report = Self {
            batch: subject.batch.id.clone(),
            store: store.to_owned(),
            groups: Default::default(),
            out: None,
            checked: 0,
            there: 0,
            under_way: 0,
            waiting: 0,
            failed: 0,
            parked: 0,
            removed: 0,
            elsewhere: 0,
            complete: false,
            changed: None,
        };
        if subject.context.output.json {
            let mut out: Box<dyn Write + Send> = Box::new(subject.context.output.stream());
            let (batch, store) = (serde_json::to_string(&report.batch)?, serde_json::to_string(store)?);
            heard(write!(
                out,
                "{{\"batch\":{batch},\"store\":{store},\"deep\":{},\"findings\":[",
                subject.deep
            ))?;
            report.out = Some((out, false));
        }
        Ok(report)
    }

    /// Takes a finding in.
    pub(super) fn find(&mut self, finding: Finding) -> io::Result<()> {
        let group = &mut self.groups[finding.what.place()];
        group.count += 1;
        if let Some((out, more)) = &mut self.out {
            let mut value = json!(finding);
            value["todo"] = json!(finding.what.advice(&self.batch));
            let comma = if *more { "," } else { "" };
            *more = true;
            return heard(write!(out, "{comma}\n{value}"));
        }
        if group.samples.len() < SAMPLES {
            group.samples.push(finding);
        }
        Ok(())
    }

    /// How many of a kind were found.
    pub(super) const fn count(&self, what: What) -> u64 {
        self.groups[what.place()].count
    }

    /// Whether anything was found.
    pub(super) fn found(&self) -> bool {
        self.groups.iter().any(|group| group.count > 0)
    }

    /// Tells the rest.
    pub(super) fn end(&mut self, context: &Context) -> anyhow::Result<()> {
        let Some((mut out, _)) = self.out.take() else { return context.output.line(self.text().trim_end()) };
        let counts: serde_json::Map<String, serde_json::Value> =
            What::ALL.iter().map(|what| (what.as_str().to_owned(), json!(self.count(*what)))).collect();
        let rest = json!({
            "counts": counts, "checked": self.checked, "complete": self.complete, "in_store": self.there,
            "under_way": self.under_way, "waiting": self.waiting, "failed": self.failed, "parked": self.parked,
            "removed": self.removed,
            "paid_elsewhere": self.elsewhere, "remade": self.changed,
        });
        let rest = rest.to_string();
        heard(writeln!(out, "],{}", rest.strip_prefix('{').unwrap_or_default()).and_then(|()| out.flush()))?;
        Ok(())
    }

    fn text(&self) -> String {
        let Self { checked, there, .. } = self;
        let mut text =
            format!("batch {}: {checked} images compared with {} and the ledger\n", self.batch, self.store);
        if self.complete && !self.found() {
            text += &format!("nothing wrong: {there} are done, in the store and in the ledger\n");
        }
        for (what, group) in What::ALL.iter().zip(&self.groups).filter(|(_, group)| group.count > 0) {
            text += &format!("\n{} {}\n", group.count, what.told());
            for Finding { key, row, id, detail, .. } in &group.samples {
                text += &format!("  row {row} ({id})  {}  {detail}\n", key.short());
            }
            let more = group.count - group.samples.len() as u64;
            if more > 0 {
                text += &format!("  and {more} more: --json lists all\n");
            }
            text += &format!("  => {}\n", what.advice(&self.batch));
        }
        text + &self.others() + &self.changes()
    }

    /// What is no finding, and should be known.
    fn others(&self) -> String {
        let parked =
            "parked: a request for each may have been billed, and nobody knows; pictor failed list says more";
        let elsewhere = "paid for under another namespace, or before this ledger began";
        let others = [
            (self.under_way, "on their way just now: not judged"),
            (self.waiting, "not made yet"),
            (self.failed, "failed: pictor failed list"),
            (self.parked, parked),
            (self.removed, "removed by somebody (pictor audit): not made again by itself"),
            (self.elsewhere, elsewhere),
        ];
        let named = others.iter().filter(|(count, _)| *count > 0);
        let lines: String = named.map(|(count, what)| format!("{count} {what}\n")).collect();
        if lines.is_empty() { lines } else { format!("\n{lines}") }
    }

    fn changes(&self) -> String {
        let Some(Changed { queued, ceiling, forgotten, settled, left }) = self.changed else {
            return String::new();
        };
        let mut text = String::from("\n");
        if queued > 0 {
            text += &format!(
                "{queued} wait to be made again, for at most {ceiling}: by workers, or by pictor run of the same file\n"
            );
        }
        if settled > 0 {
            text += &format!("{settled} were taken from the store, for nothing\n");
        }
        if forgotten > 0 {
            text += &format!(
                "{forgotten} are forgotten, since what was asked is kept nowhere: submit the file again, and only they are made\n"
            );
        }
        if left > 0 {
            text += &format!("{left} were left alone: run it again to see why\n");
        }
        text
    }
}
