//! What became of a run: tables, summary, exit code.

use std::{path::Path, sync::Arc};

use anyhow::Context as _;
use pictor_common::{
    MicroUsd,
    queue::{Queue, Submitted},
    store::Store,
};
use pictor_producer::submit::{Checked, Planned};
use serde_json::json;

use crate::{
    commands::{Context, results},
    exit::Exit,
    parts,
    progress::Watched,
    rejected::{self, Rejected},
};

/// Images that are named one by one.
const FEW: u64 = 5;

/// What became of a run.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) exit: Exit,
    pub(crate) summary: serde_json::Value,
    pub(crate) text: String,
}

/// What a report is made from.
#[derive(Debug)]
pub(super) struct Report<'a> {
    pub(super) context: &'a Context,
    pub(super) queue: &'a Queue,
    pub(super) store: &'a Arc<dyn Store>,
    pub(super) url: &'a str,
    pub(super) checked: &'a Checked,
    pub(super) planned: &'a Planned,
    pub(super) sums: Submitted,
    pub(super) spent: MicroUsd,
    pub(super) rejected: Option<&'a Rejected>,
}

impl Report<'_> {
    /// Writes the tables and sums up.
    pub(super) async fn ran(self, watched: Watched) -> anyhow::Result<Ran> {
        let Watched { batch, stuck } = watched;
        // Images in a bucket leave their tables here.
        let local = if self.url.contains("://") { parts::DEFAULT_STORE } else { self.url };
        let tables = Path::new(local);
        std::fs::create_dir_all(tables).with_context(|| format!("cannot create {}", tables.display()))?;
        let table = tables.join("results.csv");
        let settings = &self.context.settings;
        let telling = results::Telling::usual(settings, self.queue, &batch, self.store, self.url).await?;
        let kept = tables.join("results");
        std::fs::create_dir_all(&kept).with_context(|| format!("cannot create {}", kept.display()))?;
        for (path, format, kept) in [
            (&table, results::TableFormat::Csv, kept.join(format!("{}.csv", batch.id))),
            (
                &tables.join("results.jsonl"),
                results::TableFormat::Jsonl,
                kept.join(format!("{}.jsonl", batch.id)),
            ),
        ] {
            telling.write_file(format, path).await?;
            results::keep(path, &kept)?;
        }
        let failed = batch.counts.failed + batch.counts.parked;
        let left = if batch.ended() { 0 } else { batch.open_assets() };
        let reused = self.planned.plan.already_made.min(batch.counts.done);
        let made = batch.counts.done - reused;
        if let Some(why) = stuck.as_ref().filter(|_| made == 0) {
            anyhow::bail!("nothing could be made: {why}");
        }
        let images = self.store.location("assets");
        let few = self.few(batch.assets).await?;
        let mut summary = json!({
            "batch": batch.id, "rows": self.checked.rows, "assets": batch.assets, "made": made, "reused": reused,
            "failed": failed, "substituted": batch.substituted, "left": left, "spent": self.spent, "queued_before": self.sums.queued,
            "stuck": stuck, "images": images, "results": table,
        });
        rejected::add_to(&mut summary, self.rejected);
        let mut text = format!("{made} made, {reused} there before, {failed} failed");
        if let Some(model) = batch.fallback.as_ref().filter(|_| batch.substituted > 0) {
            text += &format!(", {} of all left to {model}", batch.substituted);
        }
        if left > 0 {
            text += &format!(", {left} still to make: run the same command again");
        }
        text += &format!("; {} spent\n", self.spent);
        text += &format!("batch    {}\n", batch.id);
        text.extend(few.iter().map(|place| format!("image    {place}\n")));
        if few.is_empty() {
            text += &format!("images   {images}\n");
        }
        text += &format!("results  {}\n", table.display());
        if failed > 0 {
            text += &format!("failures pictor failed{}\n", at(self.context));
        }
        text.extend(self.rejected.iter().map(|rejected| format!("rejected {}\n", rejected.told())));
        text.extend(stuck.iter().map(|why| format!("stopped  {why}\n")));
        let all = failed == 0 && left == 0 && batch.state != "cancelled";
        let exit = if all { Exit::Done } else { Exit::SomeFailed };
        Ok(Ran { exit: Rejected::exit(self.rejected, exit), summary, text })
    }

    /// Places of the images, when they are few.
    async fn few(&self, assets: u64) -> anyhow::Result<Vec<String>> {
        if assets > FEW {
            return Ok(Vec::new());
        }
        let keys = self.queue.members(&self.checked.head.id, 0, FEW as usize).await?;
        let states = self.queue.assets(&keys).await?;
        let made = states.into_iter().flatten().filter_map(|state| state.made);
        Ok(made.map(|made| self.store.location(&made.object)).collect())
    }
}

/// How other commands find the queue of this run.
fn at(context: &Context) -> String {
    let dir = &context.settings.data_dir;
    if context.settings.redis.url.is_some() || dir == Path::new(".pictor") {
        String::new()
    } else {
        format!(" --data-dir {}", dir.display())
    }
}
