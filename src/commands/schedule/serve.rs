//! `pictor schedule serve`: fires what is due. Any number may serve; each time is taken by one.

use std::time::Duration;

use pictor_common::queue::{Firing, Held, Queue, QueueError, ScheduleState, Step, Taken};
use pictor_producer::schedule::{Decision, MOST, Situation, decide};
use tokio_util::sync::CancellationToken;
use ulid::Ulid;

use super::{
    definition::{Plan, Run, micros, moment},
    fire::{Fired, fire},
    runs,
};
use crate::{commands::Context, exit::Exit, parts, private_redis::Use};

/// So long others leave a time to the server that took it; it says every third of that that it lives.
const LEASE: Duration = Duration::from_secs(30);
/// How often it is looked for what is due.
const EVERY: Duration = Duration::from_secs(1);
/// When to look again whether the run before has ended.
const WAITING: u64 = 15_000_000;
/// A schedule that cannot be read is looked at again after this long.
const UNREADABLE: u64 = 600_000_000;
/// When to try again where something around Pictor is wrong, and how often.
const AGAIN: Duration = Duration::from_secs(60);
const TRIES: u64 = 5;
/// How long what is being submitted when a stop is asked for may take.
const FINISH: Duration = Duration::from_secs(30);
/// Schedules looked at in one round.
const A_ROUND: isize = 64;

pub(super) async fn serve(context: &Context) -> anyhow::Result<Exit> {
    let settings = &context.settings;
    let store = parts::absolute(parts::store_url(settings, None));
    let opened = parts::open_queue(settings, &context.signals, Use::Work(&store)).await?;
    let places = settings.schedule.read_from.join(", ");
    if places.is_empty() {
        tracing::warn!("schedule.read_from is empty: no file of any schedule will be read here");
    }
    tracing::info!(read_from = places, "serving schedules");
    let stop = &context.signals.stop;
    let mut away = false;
    while !stop.is_cancelled() {
        match Box::pin(round(context, &opened.queue)).await {
            Ok(()) => away = false,
            Err(error) if !away => {
                away = true;
                tracing::error!(
                    error = crate::exit::told(&error),
                    "cannot look at schedules; going on trying"
                );
            }
            Err(_same) => {}
        }
        tokio::select! {
            () = tokio::time::sleep(EVERY) => {}
            () = stop.cancelled() => {}
        }
    }
    opened.close().await?;
    Ok(Exit::Done)
}

/// Looks once at everything that wants it.
async fn round(context: &Context, queue: &Queue) -> anyhow::Result<()> {
    let now = queue.clock().await?;
    for seen in queue.schedules_due(now, A_ROUND).await? {
        if context.signals.stop.is_cancelled() {
            break;
        }
        look(&seen, now, context, queue).await?;
    }
    Ok(())
}

async fn look(seen: &ScheduleState, now: u64, context: &Context, queue: &Queue) -> anyhow::Result<()> {
    let firing = Firing { token: Ulid::generate().to_string(), lease: LEASE };
    if seen.firing.is_some() {
        return take_over(seen, &firing, now, context, queue).await;
    }
    if seen.paused.is_some() {
        return Ok(());
    }
    let plan = match Plan::of(seen) {
        Ok(plan) => plan,
        Err(error) => return unreadable(seen, &error, &firing, now, queue).await,
    };
    let running = runs::running(seen, queue).await?;
    let (decision, older) = decided(seen, &plan, now, running.as_ref().map(|batch| batch.id.as_str()));
    let mut passed: Vec<Run> =
        decision.passed.iter().map(|time| Run::passed(micros(time.due), time.why.clone())).collect();
    if older > 0 {
        passed
            .insert(0, Run::passed(seen.cursor, format!("missed: {older} times more than are made up for")));
    }
    let told: Vec<String> = passed.iter().map(Run::json).collect::<Result<_, _>>()?;
    let upto = decision.upto().map_or(seen.cursor, micros);
    let waits = decision.waits.map(micros);
    let step = Step {
        due: decision.fire.map(micros),
        upto,
        next: waits.unwrap_or_else(|| plan.next(upto)),
        look: waits.map(|_| now + WAITING),
        waited: waits.map(|_| now).or(Some(seen.waited).filter(|waited| *waited > upto)),
        runs: &told,
        by_hand: false,
    };
    if queue.step_schedule(seen, &step, &firing, None).await? != Taken::Ours {
        return Ok(());
    }
    for run in &passed {
        tracing::warn!(schedule = seen.name, due = %plan.shown(run.due), why = run.note, "not fired");
    }
    match step.due {
        Some(due) => take(seen, &plan, due, 0, &firing, context, queue).await,
        None => Ok(()),
    }
}

fn decided(seen: &ScheduleState, plan: &Plan, now: u64, running: Option<&str>) -> (Decision, u64) {
    let (due, older) = plan.cron.between(moment(seen.cursor), moment(now), &plan.zone, MOST);
    let situation = Situation { due: &due, now: moment(now), running, waited: moment(seen.waited) };
    (decide(plan.policy(), situation), older)
}

/// Says so in its history, and looks again later: another version may have written it.
async fn unreadable(
    seen: &ScheduleState,
    error: &anyhow::Error,
    firing: &Firing,
    now: u64,
    queue: &Queue,
) -> anyhow::Result<()> {
    let run = Run::failed(now, crate::exit::told(error)).json()?;
    let step = Step {
        upto: seen.cursor,
        next: seen.next,
        look: Some(now + UNREADABLE),
        runs: &[run],
        ..Step::default()
    };
    if queue.step_schedule(seen, &step, firing, None).await? == Taken::Ours {
        tracing::error!(schedule = seen.name, error = crate::exit::told(error), "cannot be fired");
    }
    Ok(())
}

/// Goes on with what another server left.
async fn take_over(
    seen: &ScheduleState,
    firing: &Firing,
    now: u64,
    context: &Context,
    queue: &Queue,
) -> anyhow::Result<()> {
    match queue.hold_schedule(&seen.name, firing, true, None).await? {
        Held::Lost => Ok(()),
        Held::Paused => {
            tracing::warn!(schedule = seen.name, "given up: it was paused before it was submitted");
            Ok(())
        }
        Held::Ours { due, tries } => match Plan::of(seen) {
            Ok(plan) => take(seen, &plan, due, tries, firing, context, queue).await,
            Err(error) => {
                let run = Run::failed(now, crate::exit::told(&error)).json()?;
                queue.end_schedule(&seen.name, &firing.token, &run, None).await?;
                Ok(())
            }
        },
    }
}

/// Fires what was taken, and says every few seconds that it is alive.
async fn take(
    seen: &ScheduleState,
    plan: &Plan,
    due: u64,
    tries: u64,
    firing: &Firing,
    context: &Context,
    queue: &Queue,
) -> anyhow::Result<()> {
    let (name, token) = (seen.name.as_str(), firing.token.as_str());
    let lost = CancellationToken::new();
    let alive = tokio::spawn(renewed(queue.own(), name.to_owned(), firing.clone(), lost.clone()));
    let now = queue.clock().await?;
    let stop = &context.signals.stop;
    let ended = tokio::select! {
        fired = Box::pin(fire(name, plan, due, now, context, queue)) => Some(fired),
        () = lost.cancelled() => None,
        () = late(stop) => {
            alive.abort();
            queue.return_schedule(name, token, Duration::ZERO, None).await?;
            tracing::info!(schedule = name, "given back: another server goes on");
            return Ok(());
        }
    };
    alive.abort();
    let shown = plan.shown(due);
    let run = match ended {
        None => {
            tracing::warn!(schedule = name, due = %shown, "another server has it, or it was removed");
            return Ok(());
        }
        Some(Fired::Ended(run)) => run,
        Some(Fired::Again(why)) if tries + 1 < TRIES => {
            tracing::warn!(schedule = name, due = %shown, why, "cannot submit; trying again");
            queue.return_schedule(name, token, AGAIN, None).await?;
            return Ok(());
        }
        Some(Fired::Again(why)) => Run::failed(due, format!("{why} ({TRIES} tries)")),
    };
    if run.outcome == super::definition::Outcome::Failed {
        tracing::error!(schedule = name, due = %shown, why = run.note, "failed");
    } else {
        tracing::info!(schedule = name, due = %shown, batch = run.batch, note = run.note, "done");
    }
    queue.end_schedule(name, token, &run.json()?, None).await?;
    Ok(())
}

async fn late(stop: &CancellationToken) {
    stop.cancelled().await;
    tokio::time::sleep(FINISH).await;
}

async fn renewed(queue: Queue, name: String, firing: Firing, lost: CancellationToken) {
    loop {
        tokio::time::sleep(firing.lease / 3).await;
        match queue.hold_schedule(&name, &firing, false, None).await {
            Ok(Held::Ours { .. }) => {}
            Ok(_) => return lost.cancel(),
            // Whoever takes over meanwhile submits the same batch.
            Err(QueueError::Redis(error)) => tracing::debug!(%error, "cannot say that it lives"),
            Err(_) => return lost.cancel(),
        }
    }
}
