//! From arguments to a checked, planned and queued batch; shared by `run`, `demo` and `submit`.

mod args;
mod file;
mod prepared;

use std::{collections::BTreeSet, time::Duration};

use pictor_common::{
    queue::{CapOf, Queue, QueueError, Setter, Submitted},
    store::Store,
};
use pictor_producer::{
    plan::Plan,
    submit::{Checked, Planned, Request, SubmitError},
};

use crate::{
    commands::{Context, webhooks},
    config::who,
    output::Output,
    parts,
    rejected::{self, Rejected},
};
pub(crate) use args::{BatchArgs, ReadArgs, RejectedArgs};
pub(crate) use file::{manifest, names_a_file, one_prompt};
pub(crate) use prepared::{Prepared, derivatives};

/// Between two looks at an image that is being removed, and how many there are.
const MOMENT: Duration = Duration::from_secs(1);
const MOMENTS: u32 = 5;

/// The model families a checked manifest needs.
pub(crate) fn families(checked: &Checked) -> BTreeSet<String> {
    let names = checked.routes.iter().filter_map(|route| Some(route.as_str().rsplit_once('.')?.0.to_owned()));
    names.collect()
}

/// Submits what was planned. Where Redis has forgotten since, all is looked up and planned again, once; while an image of it is
/// being removed, some times more.
pub(crate) async fn submit(
    prepared: &Prepared,
    request: &Request<'_>,
    checked: &Checked,
    mut planned: Planned,
    queue: &Queue,
    store: &dyn Store,
    context: &Context,
) -> anyhow::Result<(Planned, Submitted)> {
    let output = &context.output;
    if let Some(cap) = checked.head.cap {
        // One that is in already may be held by a lower one. Of a new batch nothing is known yet.
        let cap = (CapOf::Batch(checked.head.id.to_string()), Some(cap));
        queue.set_caps(Setter::Person, &who(), "submitted with --cap", &[cap]).await?;
    }
    webhooks::named(&prepared.webhooks, &checked.head.id, queue, &context.settings).await?;
    let (mut forgot, mut gone) = (0, 0);
    loop {
        let error = match send(request, checked, &planned, queue, store, output).await {
            Err(error) if error.forgot() => error,
            sent => return Ok((planned, sent?)),
        };
        let is_gone = matches!(error, SubmitError::Queue(QueueError::Gone(_)));
        match (is_gone, forgot, gone) {
            (false, 0, _) => output.note(
                "Redis was wiped, replaced or restarted, or forgot old assets, meanwhile: everything is looked up again",
            ),
            (true, _, 0) => output.note("an image was removed meanwhile: everything is looked up again"),
            // It is being removed, which takes a moment.
            (true, _, 1..MOMENTS) => tokio::time::sleep(MOMENT).await,
            _ => return Err(error.into()),
        }
        (forgot, gone) = if is_gone { (forgot, gone + 1) } else { (forgot + 1, gone) };
        queue.belong_to(context.settings.profile.as_deref()).await?;
        parts::apply_budget(&context.settings, queue).await?;
        planned = prepared.plan(request, checked, queue, store).await?;
    }
}

/// Sends all rows, and says so where many take a while.
async fn send(
    request: &Request<'_>,
    checked: &Checked,
    planned: &Planned,
    queue: &Queue,
    store: &dyn Store,
    output: &Output,
) -> Result<Submitted, SubmitError> {
    let mut said = std::time::Instant::now();
    let told = |rows| {
        if said.elapsed().as_secs() >= 5 {
            said = std::time::Instant::now();
            output.note(&format!("submitted {rows} of {} rows", checked.rows));
        }
    };
    request.submit(checked, planned, queue, store, told).await
}

/// The plan, as a result: as a value, and for people.
pub(crate) fn plan_told(
    checked: &Checked,
    plan: &Plan,
    rejected: Option<&Rejected>,
) -> (serde_json::Value, String) {
    let mut value = serde_json::json!({ "batch": checked.head.id, "plan": plan });
    rejected::add_to(&mut value, rejected);
    (value, plan.text())
}
