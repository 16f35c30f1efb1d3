//! Submits a schedule's file for one due time. Safe to repeat: the batch is named after the schedule and the time.

use pictor_common::{
    batch::BatchId,
    queue::{Queue, QueueError},
};
use pictor_producer::{schedule::due_name, submit::SubmitError};

use super::{
    definition::{Outcome, Plan, Run, micros, moment},
    source::{self, Copied},
};
use crate::{commands::Context, exit::code_of, parts, submission, templates};

/// How a try to fire ended.
#[derive(Debug)]
pub(super) enum Fired {
    /// For good.
    Ended(Run),
    /// Something around Pictor is wrong: worth another try.
    Again(String),
}

/// Submits, and tells what became of it.
pub(super) async fn fire(
    name: &str,
    plan: &Plan,
    due: u64,
    now: u64,
    context: &Context,
    queue: &Queue,
) -> Fired {
    let deadline = plan.deadline.as_ref().map(|deadline| micros(deadline.moment(moment(due), &plan.zone)));
    if deadline.is_some_and(|deadline| deadline <= now) {
        return Fired::Ended(Run::passed(due, "its deadline had passed".to_owned()));
    }
    match submitted(name, plan, due, deadline, context, queue).await {
        Ok(run) => Fired::Ended(run),
        Err(error) if code_of(&error) == 2 => Fired::Ended(Run::failed(due, crate::exit::told(&error))),
        Err(error) => Fired::Again(crate::exit::told(&error)),
    }
}

async fn submitted(
    name: &str,
    plan: &Plan,
    due: u64,
    deadline: Option<u64>,
    context: &Context,
    queue: &Queue,
) -> anyhow::Result<Run> {
    let settings = &context.settings;
    let copied = source::copied(&plan.definition.file, &plan.definition.batch.read, settings).await?;
    let id = due_name(name, &plan.shown(due));
    let first = once(&id, plan, deadline, &copied, context, queue).await;
    let Err(error) = first else { return first.map(|note| run(due, id, note)) };
    if !is_other_content(&error) {
        return Err(error);
    }
    // The file was changed after another server had begun, or ended, with it.
    let before = queue.batch(&id.parse::<BatchId>()?).await?;
    if before.is_some_and(|batch| batch.sealed.is_some()) {
        return Ok(run(due, id, "was submitted before the file changed".to_owned()));
    }
    let second = format!("{id}-2");
    let note = once(&second, plan, deadline, &copied, context, queue).await?;
    Ok(run(due, second, format!("{note}; the file changed after {id} was begun")))
}

fn run(due: u64, batch: String, note: String) -> Run {
    Run { due, outcome: Outcome::Submitted, batch: Some(batch), note }
}

fn is_other_content(error: &anyhow::Error) -> bool {
    matches!(error.downcast_ref(), Some(SubmitError::Queue(QueueError::OtherContent(_))))
}

/// Submits under one id; tells what it comes to.
async fn once(
    id: &str,
    plan: &Plan,
    deadline: Option<u64>,
    copied: &Copied,
    context: &Context,
    queue: &Queue,
) -> anyhow::Result<String> {
    let settings = &context.settings;
    let definition = &plan.definition;
    let mut batch = definition.batch.clone();
    batch.run_id = Some(id.to_owned());
    let template = templates::found_again(batch.template.as_deref())?;
    let today = parts::today();
    let prepared = batch
        .prepare_with(template, copied.manifest.clone(), definition.band, settings, &today)?
        .until(deadline);
    let rules = prepared.rules(settings)?;
    let request = prepared.request(&rules);
    let (checked, rejected) = prepared.check(&request, &context.output)?;
    let store = parts::open_answering_store(settings, parts::store_url(settings, None)).await?;
    parts::apply_budget(settings, queue).await?;
    let planned = prepared.plan(&request, &checked, queue, &*store).await?;
    let (_, sums) =
        submission::submit(&prepared, &request, &checked, planned, queue, &*store, context).await?;
    let left_out =
        rejected.map(|rejected| format!(", {} bad rows left out", rejected.rows)).unwrap_or_default();
    Ok(format!("{} rows: {} new, {} made before{left_out}", checked.rows, sums.new + sums.queued, sums.made))
}
