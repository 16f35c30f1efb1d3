//! `pictor watch`: how a batch goes, live, until it has ended.

mod frame;
mod screen;
mod view;

use std::{
    io::IsTerminal as _,
    time::{Duration, Instant},
};

use clap::Args;
use pictor_common::{
    batch::BatchId,
    queue::{QueueError, Which},
};

use super::{Context, known_batch};
use crate::{
    exit::{Exit, refused},
    parts::OpenQueue,
};
use frame::Memory;
pub(crate) use frame::{Frame, Moment};
pub(crate) use screen::shown;
use view::{Live, line};
pub(crate) use view::{cost, time_left};

/// Batches among which the open ones are looked for.
pub(crate) const NEWEST: usize = 200;
const EVERY: Duration = Duration::from_secs(1);
const LINE_EVERY: Duration = Duration::from_secs(5);
/// A server that belongs to a run and does not answer for so long has ended with it.
const GONE: Duration = Duration::from_secs(2);

#[derive(Debug, Args)]
#[command(
    after_help = "Exit codes: 0 all made, 1 some failed, cancelled, or not watched to the end, 2 bad input, 3 environment.\n\
                        With --once an open batch counts as 0. On a terminal it is a screen; ? names its keys. Ctrl-C ends the watching and leaves the batch alone."
)]
pub(crate) struct WatchArgs {
    /// The batch [default: the newest open one]
    batch: Option<String>,
    /// Every open batch
    #[arg(long, conflicts_with = "batch")]
    all: bool,
    /// Look once and stop
    #[arg(long)]
    once: bool,
    /// No full screen, though this is a terminal
    #[arg(long)]
    plain: bool,
    /// On the screen: change nothing
    #[arg(long)]
    read_only: bool,
    /// On the screen: no small pictures of recent images; over ssh, v shows them
    #[arg(long)]
    no_preview: bool,
}

pub(crate) async fn run(args: WatchArgs, context: &Context) -> anyhow::Result<Exit> {
    let opened = context.look().await?;
    let watched = Box::pin(watch(&args, context, &opened)).await;
    opened.close().await?;
    watched
}

async fn watch(args: &WatchArgs, context: &Context, opened: &OpenQueue) -> anyhow::Result<Exit> {
    let batches = chosen(args, opened).await?;
    // A server that this process started is nobody's to stay on: whoever comes to work would lose it.
    if screen::fits(args, context) && !opened.is_ours() {
        return Box::pin(on_screen(args, &batches, context, opened)).await;
    }
    let mut shown = Shown::new(context)?;
    let mut memory = Memory::default();
    let mut answered = Instant::now();
    let mut last = None;
    loop {
        match memory.look(&opened.queue, Which::These(&batches)).await {
            Ok(moment) => {
                answered = Instant::now();
                shown.show(&moment, args.once)?;
                last = Some(moment);
            }
            Err(QueueError::Redis(error)) if last.is_some() => {
                if opened.is_borrowed() && answered.elapsed() > GONE {
                    last = Some(Box::pin(left_behind(&batches, context)).await?);
                    break;
                }
                shown.away(&error);
            }
            Err(error) => return Err(error.into()),
        }
        if args.once || last.as_ref().is_some_and(Moment::all_ended) || context.signals.stop.is_cancelled() {
            break;
        }
        if opened.is_ours() {
            context.output.note("nobody works here now: pictor run makes the rest");
            break;
        }
        tokio::select! {
            () = tokio::time::sleep(EVERY) => {}
            () = context.signals.stop.cancelled() => {}
        }
    }
    shown.finish(last.as_ref())?;
    Ok(last.map_or(Exit::SomeFailed, |moment| exit_of(&moment, args.once)))
}

/// The same, with everything else, on the whole terminal.
async fn on_screen(
    args: &WatchArgs,
    batches: &[BatchId],
    context: &Context,
    opened: &OpenQueue,
) -> anyhow::Result<Exit> {
    let last = match Box::pin(screen::run(args, batches, context, opened)).await? {
        screen::Left::At(moment) => moment,
        screen::Left::Behind => {
            return Box::pin(left_behind(batches, context)).await.map(|last| exit_of(&last, false));
        }
    };
    let Some(moment) = last else { return Ok(Exit::SomeFailed) };
    context.output.line(view::block(&moment).trim_end())?;
    Ok(exit_of(&moment, false))
}

/// What a run that has ended, and its server with it, left behind.
async fn left_behind(batches: &[BatchId], context: &Context) -> anyhow::Result<Moment> {
    let opened = context.look().await?;
    let moment = Memory::default().look(&opened.queue, Which::These(batches)).await;
    opened.close().await?;
    let moment = moment?;
    if !moment.all_ended() {
        context.output.note("the run that was watched has stopped; pictor run makes the rest");
    }
    if context.output.json {
        context.output.line(&serde_json::to_string(&moment)?)?;
    } else {
        for frame in &moment.batches {
            context.output.line(&line(frame))?;
        }
    }
    Ok(moment)
}

fn exit_of(moment: &Moment, once: bool) -> Exit {
    let good = |frame: &Frame| match frame.state.as_str() {
        "complete" => frame.failed + frame.parked == 0,
        "open" => once,
        _ => false,
    };
    if moment.batches.iter().all(good) { Exit::Done } else { Exit::SomeFailed }
}

/// The batch that was named, all that are open, or the newest: one that is open if there is any.
async fn chosen(args: &WatchArgs, opened: &OpenQueue) -> anyhow::Result<Vec<BatchId>> {
    if let Some(name) = &args.batch {
        return Ok(vec![known_batch(&opened.queue, name).await?.id.parse()?]);
    }
    let newest = opened.queue.batches(NEWEST).await?;
    let open: Vec<BatchId> =
        newest.iter().filter(|batch| !batch.ended()).filter_map(|batch| batch.id.parse().ok()).collect();
    if args.all && !open.is_empty() {
        return Ok(open);
    }
    let last = newest.first().and_then(|batch| batch.id.parse().ok());
    match open.into_iter().next().or(last) {
        Some(batch) => Ok(vec![batch]),
        None => Err(refused("there is no batch to watch; pictor submit FILE makes one")),
    }
}

/// How frames are shown: JSON, a live view, or lines.
struct Shown<'a> {
    context: &'a Context,
    live: Option<Live>,
    said: Option<(Instant, String)>,
    away: bool,
}

impl<'a> Shown<'a> {
    fn new(context: &'a Context) -> anyhow::Result<Self> {
        let output = &context.output;
        let watched = !output.json && output.terminal && std::io::stdout().is_terminal() && !screen::dumb();
        Ok(Self { context, live: watched.then(Live::new).transpose()?, said: None, away: false })
    }

    fn show(&mut self, moment: &Moment, once: bool) -> anyhow::Result<()> {
        self.away = false;
        let output = &self.context.output;
        if output.json {
            return output.line(&serde_json::to_string(moment)?);
        }
        if once {
            return output.line(view::block(moment).trim_end());
        }
        if let Some(live) = &self.live {
            live.draw(moment);
            return Ok(());
        }
        let states: Vec<&str> = moment.batches.iter().map(|frame| frame.state.as_str()).collect();
        let mark = states.join(" ");
        let due = self.said.as_ref().is_none_or(|(at, before)| at.elapsed() >= LINE_EVERY || *before != mark);
        if due {
            self.said = Some((Instant::now(), mark));
            for frame in &moment.batches {
                output.line(&line(frame))?;
            }
        }
        Ok(())
    }

    fn away(&mut self, error: &redis::RedisError) {
        if !self.away {
            self.away = true;
            self.context.output.note(&format!("Redis does not answer, still trying: {error}"));
        }
    }

    fn finish(self, last: Option<&Moment>) -> anyhow::Result<()> {
        if let (Some(live), Some(moment)) = (self.live, last) {
            live.finish();
            self.context.output.line(view::block(moment).trim_end())?;
        }
        Ok(())
    }
}
