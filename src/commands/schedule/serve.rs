//! `pictor schedule serve`: fires what is due. Any number may serve; each time is taken by one.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

use pictor_common::queue::{Firing, Held, Queue, ScheduleState, Step, Taken};
use pictor_producer::schedule::{Decision, MOST, Situation, decide};
use tokio::{
    runtime::Handle,
    task::{Id, JoinError, JoinSet},
};
use ulid::Ulid;

use super::{
    alive::LEASE,
    definition::{Plan, Run, micros, moment},
    runs,
    source::{self, Reach},
    take::{FINISH, Turn, take},
};
use crate::{
    commands::Context,
    exit::{Exit, refused},
    parts,
    private_redis::Use,
};

/// How often it is looked for what is due.
const EVERY: Duration = Duration::from_secs(1);
/// When to look again whether the run before has ended.
const WAITING: u64 = 15_000_000;
/// A schedule that cannot be read is looked at again after this long.
const UNREADABLE: u64 = 600_000_000;
/// So long what may not be read here is left to servers that may.
const LEFT: u64 = 300_000_000;
/// Who did not look for longer than that did not serve meanwhile.
const SILENT: u64 = 3_600_000_000;
/// Schedules looked at in one round.
const A_ROUND: isize = 256;
/// Schedules that are looked at, and fired, at the same time.
const AT_ONCE: usize = 8;

pub(super) async fn serve(context: &Context) -> anyhow::Result<Exit> {
    let settings = &context.settings;
    let places = settings.schedule.read_from.join(", ");
    if places.is_empty() {
        return Err(refused(
            "schedule.read_from (PICTOR_SCHEDULE__READ_FROM) is empty, so that no file of any schedule may be read \
             here: name the directories or s3://BUCKET/PREFIX that hold them",
        ));
    }
    let store = parts::absolute(parts::store_url(settings, None));
    let opened = parts::open_queue(settings, &context.signals, Use::Work(&store)).await?;
    tracing::info!(read_from = places, "serving schedules");
    let stop = &context.signals.stop;
    let mut server = Server::new(context, &opened.queue);
    let mut away = false;
    while !stop.is_cancelled() {
        match server.round().await {
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
    server.finish().await;
    opened.close().await?;
    Ok(Exit::Done)
}

/// What came of a look at one schedule.
#[derive(Debug)]
enum Looked {
    Done,
    /// Its file may not be read here.
    Left(Box<ScheduleState>),
}

/// What one server remembers.
struct Server {
    context: Arc<Context>,
    queue: Queue,
    /// Since when it serves, and when it last looked, µs since 1970.
    served: u64,
    looked: u64,
    tasks: JoinSet<anyhow::Result<Looked>>,
    /// The schedules of those.
    busy: HashMap<Id, (String, u64)>,
    /// What was left to others, as it was, and since when.
    left: HashMap<String, (ScheduleState, u64)>,
    /// Those at which a look failed the last time.
    wrong: HashSet<String>,
}

impl Server {
    fn new(context: &Context, queue: &Queue) -> Self {
        Self {
            context: Arc::new(context.clone()),
            queue: queue.clone(),
            served: 0,
            looked: 0,
            tasks: JoinSet::new(),
            busy: HashMap::new(),
            left: HashMap::new(),
            wrong: HashSet::new(),
        }
    }

    /// Looks once at everything that wants it, each on its own: one that is slow or wrong holds up no other.
    async fn round(&mut self) -> anyhow::Result<()> {
        while let Some(ended) = self.tasks.try_join_next_with_id() {
            self.ended(ended);
        }
        let now = self.queue.clock().await?;
        if self.served == 0 || now < self.looked || now - self.looked > SILENT {
            self.served = now;
        }
        self.looked = now;
        for seen in self.queue.schedules_due(now, A_ROUND).await? {
            if self.busy.values().any(|(name, _)| *name == seen.name) {
                continue;
            }
            while self.tasks.len() >= AT_ONCE {
                let stop = self.context.signals.stop.clone();
                tokio::select! {
                    ended = self.tasks.join_next_with_id() => ended.into_iter().for_each(|ended| self.ended(ended)),
                    () = stop.cancelled() => return Ok(()),
                }
            }
            if self.context.signals.stop.is_cancelled() {
                break;
            }
            self.begin(seen, now);
        }
        Ok(())
    }

    fn begin(&mut self, seen: ScheduleState, now: u64) {
        let left = self.left.get(&seen.name).filter(|(state, _)| *state == seen).map(|(_, since)| *since);
        let (name, context, queue) = (seen.name.clone(), Arc::clone(&self.context), self.queue.clone());
        let moments = Moments { now, served: self.served, left };
        let runtime = Handle::current();
        // A thread of its own: reading a file, and checking its rows, would hold up others.
        let task = self.tasks.spawn_blocking(move || runtime.block_on(look(seen, moments, &context, &queue)));
        self.busy.insert(task.id(), (name, now));
    }

    fn ended(&mut self, ended: Result<(Id, anyhow::Result<Looked>), JoinError>) {
        let (id, looked) = match ended {
            Ok((id, looked)) => (id, looked),
            Err(panicked) => (panicked.id(), Err(panicked.into())),
        };
        let Some((name, begun)) = self.busy.remove(&id) else { return };
        let before = self.left.remove(&name);
        match looked {
            Ok(Looked::Done) => {}
            Ok(Looked::Left(state)) => {
                let since = before.filter(|(before, _)| before == &*state).map(|(_, since)| since);
                if since.is_none() {
                    tracing::info!(schedule = name, "left to others: its file may not be read here");
                }
                self.left.insert(name.clone(), (*state, since.unwrap_or(begun)));
            }
            Err(error) => {
                if self.wrong.insert(name.clone()) {
                    let error = crate::exit::told(&error);
                    tracing::error!(schedule = name, error, "cannot look at it; going on trying");
                }
                return;
            }
        }
        self.wrong.remove(&name);
    }

    /// Lets what is being submitted come to its end.
    async fn finish(&mut self) {
        let rest = async {
            while let Some(ended) = self.tasks.join_next_with_id().await {
                self.ended(ended);
            }
        };
        if tokio::time::timeout(FINISH * 2, rest).await.is_err() {
            tracing::warn!("what is being submitted does not come to an end; another server goes on with it");
        }
    }
}

/// When it is looked at a schedule.
#[derive(Clone, Copy, Debug)]
struct Moments {
    now: u64,
    /// Since when this server serves.
    served: u64,
    /// Since when the schedule is left to others just so.
    left: Option<u64>,
}

async fn look(
    seen: ScheduleState,
    moments: Moments,
    context: &Context,
    queue: &Queue,
) -> anyhow::Result<Looked> {
    let firing = Firing { token: Ulid::generate().to_string(), lease: LEASE };
    let plan = Plan::of(&seen);
    let places = &context.settings.schedule.read_from;
    let reach = plan
        .as_ref()
        .map(|plan| tokio::task::block_in_place(|| source::reach(&plan.definition.file, places)));
    let alone = reach.is_ok_and(|reach| reach != Reach::Here);
    let waited = moments.left.is_some_and(|since| moments.now >= since + LEFT);
    if alone && !waited && seen.paused.is_none() {
        return Ok(Looked::Left(Box::new(seen)));
    }
    match plan {
        _ if seen.firing.is_some() => take_over(&seen, plan, &firing, alone, context, queue).await?,
        _ if seen.paused.is_some() => {}
        Ok(plan) => step(&seen, &plan, &firing, alone, moments, context, queue).await?,
        Err(error) => unreadable(&seen, &error, &firing, moments.now, queue).await?,
    }
    Ok(Looked::Done)
}

async fn step(
    seen: &ScheduleState,
    plan: &Plan,
    firing: &Firing,
    alone: bool,
    moments: Moments,
    context: &Context,
    queue: &Queue,
) -> anyhow::Result<()> {
    let now = moments.now;
    let running = runs::running(seen, queue).await?;
    let (decision, older) = decided(seen, plan, moments, running.as_ref().map(|batch| batch.id.as_str()));
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
    if queue.step_schedule(seen, &step, firing, None).await? != Taken::Ours {
        return Ok(());
    }
    for run in &passed {
        tracing::warn!(schedule = seen.name, due = %plan.shown(run.due), why = run.note, "not fired");
    }
    match step.due {
        Some(due) => take(&Turn { seen, plan, due, tries: 0, firing, alone }, context, queue).await,
        None => Ok(()),
    }
}

fn decided(seen: &ScheduleState, plan: &Plan, moments: Moments, running: Option<&str>) -> (Decision, u64) {
    let Moments { now, served, .. } = moments;
    let (due, older) = plan.cron.between(moment(seen.cursor), moment(now), &plan.zone, MOST);
    let (now, served) = (moment(now), moment(served));
    let situation = Situation { due: &due, now, running, waited: moment(seen.waited), served };
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
    plan: anyhow::Result<Plan>,
    firing: &Firing,
    alone: bool,
    context: &Context,
    queue: &Queue,
) -> anyhow::Result<()> {
    match queue.hold_schedule(&seen.name, firing, true, None).await? {
        Held::Lost => Ok(()),
        Held::Paused => {
            tracing::warn!(schedule = seen.name, "given up: it was paused before it was submitted");
            Ok(())
        }
        Held::Ours { due, tries } => match plan {
            Ok(plan) => take(&Turn { seen, plan: &plan, due, tries, firing, alone }, context, queue).await,
            Err(error) => {
                let run = Run::failed(due, crate::exit::told(&error)).json()?;
                queue.end_schedule(&seen.name, &firing.token, &run, None, None).await?;
                Ok(())
            }
        },
    }
}
