//! Submits a schedule's file now, whatever the clock says; servers leave it alone meanwhile.

use pictor_common::queue::{Firing, Held, Queue, Step, Taken};
use ulid::Ulid;

use super::{
    alive::{Alive, LEASE},
    definition::{Outcome, Plan, Run},
    fire::{Fired, fire},
    known, noted,
};
use crate::{
    commands::Context,
    exit::{Exit, refused},
};

pub(super) async fn run(name: &str, reason: &str, context: &Context, queue: &Queue) -> anyhow::Result<Exit> {
    let state = known(name, queue).await?;
    let (plan, now) = (Plan::of(&state)?, queue.clock().await?);
    let firing = Firing { token: Ulid::generate().to_string(), lease: LEASE };
    let step = Step { due: Some(now), next: state.next, by_hand: true, ..Step::default() };
    let due = match queue.step_schedule(&state, &step, &firing, None).await? {
        Taken::Ours => now,
        Taken::Busy => left(name, &firing, queue).await?,
        _ => return Err(refused(format!("schedule {name} was changed meanwhile; look at it again"))),
    };
    let alive = Alive::of(name, &firing, queue);
    let fired = tokio::select! {
        fired = Box::pin(fire(name, &plan, due, now, context, queue)) => fired,
        () = alive.lost() => return Err(refused(format!(
            "schedule {name} was removed meanwhile, or a server goes on with it; pictor schedule show {name} tells more"
        ))),
    };
    drop(alive);
    let run = match fired {
        Fired::Ended(run) => run,
        // Of a server's night servers try again.
        Fired::Again(why) if due != now => {
            queue.return_schedule(name, &firing.token, None, None).await?;
            return Err(refused(why));
        }
        Fired::Again(why) => Run::failed(due, why),
    };
    queue.end_schedule(name, &firing.token, &run.json()?, run.batch.as_deref(), None).await?;
    if run.outcome == Outcome::Failed {
        return Err(refused(run.note));
    }
    if run.outcome == Outcome::Submitted {
        noted(name, "submitted", reason, queue).await?;
    }
    let batch = run.batch.clone().unwrap_or_default();
    context.output.result(&run, || format!("batch {batch}: {}", run.note))?;
    Ok(Exit::Done)
}

/// Takes over the time that somebody left who died while it was submitted.
async fn left(name: &str, firing: &Firing, queue: &Queue) -> anyhow::Result<u64> {
    match queue.hold_schedule(name, firing, true, None).await? {
        Held::Ours { due, .. } => Ok(due),
        Held::Paused => Err(refused(format!(
            "schedule {name} is paused, and what was being submitted is given up; ask again to submit its file now"
        ))),
        Held::Lost => Err(refused(format!(
            "schedule {name} is being submitted, or tried again, by a server; pictor schedule show {name} tells more"
        ))),
    }
}
