//! Asks for another take of a picture that is made and not liked, or goes back to an earlier one.

mod chosen;
mod take;

use std::io::{self, IsTerminal as _};

use clap::Args;
use pictor_common::{
    MicroUsd,
    queue::{Counter, Note, Queue, Redo, Redone},
};
use serde::Serialize;
use take::Next;

use crate::{
    commands::{Context, known_batch},
    config::who,
    exit::{Exit, refused},
    output::Output,
};
use chosen::Chosen;

#[derive(Debug, Args)]
pub(crate) struct RedoArgs {
    /// The id of a line, or the key of the picture that is not liked, or at least 8 of its first digits
    #[arg(required_unless_present = "id", conflicts_with = "id")]
    asset: Option<String>,
    /// The batch whose lines follow; every other batch keeps what it has [default: the one of the newest twenty that fits]
    #[arg(long)]
    batch: Option<String>,
    /// The id of the line
    #[arg(long, value_name = "ROW")]
    id: Option<String>,
    /// Which of several images of the line: 0, 1, 2, …
    #[arg(long, value_name = "NUMBER")]
    take: Option<usize>,
    /// What the line has and is not liked, by at least 8 digits of its key: then the same command again buys nothing more
    #[arg(long, value_name = "KEY")]
    from: Option<String>,
    /// Go back to the last take before that is made, which costs nothing; redo then comes forward again
    #[arg(long)]
    back: bool,
    /// Why, for others to read
    #[arg(long, value_parser = super::super::reason, default_value = "not liked")]
    reason: String,
    /// Say what it would cost, and stop
    #[arg(long)]
    dry_run: bool,
    /// Refuse what may cost more than this many US dollars
    #[arg(long, value_name = "USD")]
    max_cost: Option<String>,
    /// Do not ask
    #[arg(long)]
    yes: bool,
}

/// What came of it.
#[derive(Debug, Serialize)]
struct Told<'a> {
    batch: &'a str,
    id: &'a str,
    row: u64,
    from: String,
    to: String,
    /// Whether nothing is paid, since it is made already.
    made: bool,
    expected: MicroUsd,
    ceiling: MicroUsd,
    did: &'static str,
}

pub(super) async fn run(args: &RedoArgs, context: &Context, queue: &Queue) -> anyhow::Result<Exit> {
    let most = args.max_cost.as_deref().map(str::parse::<MicroUsd>).transpose();
    let most = most.map_err(|error| refused(format!("--max-cost {error}")))?;
    // What is looked up in Redis and the store holds for this epoch only.
    let queue = &queue.within(&queue.epoch().await?);
    let chosen = Chosen::find(args, context, queue).await?;
    if let Some(now) = chosen.moved_on() {
        context.output.result(&serde_json::json!({ "did": "nothing", "stands": now }), || {
            format!("nothing to do: {} has another take already, {now}", chosen.told())
        })?;
        return Ok(Exit::Done);
    }
    let mut next = take::next(&chosen, args.back, context, queue).await?;
    if let Some(most) = most.filter(|most| next.ceiling > *most) {
        return Err(refused(format!(
            "it may cost {}, which is more than {most}: nothing was queued",
            next.ceiling
        )));
    }
    affordable(&chosen, &next, &context.output, queue).await?;
    let mut told = Told {
        batch: chosen.batch.as_str(),
        id: &chosen.line.id,
        row: chosen.line.row,
        from: chosen.current.to_string(),
        to: next.asset.key.to_string(),
        made: next.made,
        expected: next.expected,
        ceiling: next.ceiling,
        did: "would be redone",
    };
    if args.dry_run {
        context.output.result(&told, || next.words(&chosen))?;
        return Ok(Exit::Done);
    }
    if !is_wanted(args, context, &chosen, &next)? {
        return Err(refused("nothing was queued"));
    }
    // Somebody may have had it made while this waited for an answer.
    next.look_again(context).await?;
    told.made = next.made;
    told.did = carry_out(args, context, queue, &chosen, &next).await?;
    context
        .output
        .result(&told, || format!("{}: {}\n{}", chosen.told(), told.did, followed(&chosen, &next)))?;
    Ok(Exit::Done)
}

fn followed(chosen: &Chosen, next: &Next) -> String {
    if next.made {
        "it is there already: nothing is paid".to_owned()
    } else {
        format!("pictor watch {} waits for it", chosen.batch)
    }
}

async fn carry_out(
    args: &RedoArgs,
    context: &Context,
    queue: &Queue,
    chosen: &Chosen,
    next: &Next,
) -> anyhow::Result<&'static str> {
    let most = context.settings.assets.max_takes;
    let redo = Redo {
        asked: chosen.asked.clone(),
        row: chosen.line.row,
        from: chosen.current.clone(),
        to: next.asset.clone(),
        most,
        back: args.back,
        free: next.made,
    };
    let did = match queue.redo(&chosen.batch, &redo).await? {
        Redone::Ok if args.back => "went back to an earlier take",
        Redone::Ok => "has another take now",
        Redone::Again => return Ok("has that take already"),
        Redone::Changed if chosen.is_named() => return Ok("has another take already"),
        Redone::Changed => return Err(refused(format!("{} has another take since just now", chosen.told()))),
        Redone::Unmade => {
            return Err(refused(format!("{} is not made: there is nothing to redo", chosen.told())));
        }
        Redone::Ended => {
            return Err(refused("that take has failed for others since: try again, for the next"));
        }
        Redone::Late => return Err(refused(format!("batch {} is past its deadline", chosen.batch))),
        Redone::Older => {
            return Err(refused(
                "a worker of an older version is at work in the namespace: upgrade it first (pictor workers list)",
            ));
        }
        Redone::Busy => return Err(refused("a request for it is out: wait until it has ended")),
        Redone::Most => return Err(too_many(chosen, most)),
        Redone::Taken => {
            return Err(refused(
                "another row of the batch has that take, or what stands here: try again when it is made",
            ));
        }
        Redone::Cancelled => return Err(refused(format!("batch {} was cancelled", chosen.batch))),
        Redone::Missing => return Err(refused(format!("batch {} is gone", chosen.batch))),
    };
    let of = format!("{} of batch {}: {}", chosen.line.id, chosen.batch, next.asset.key);
    let what = if args.back { "took back" } else { "redid" };
    let noted = queue.note(&Note { who: &who(), what, of: &of, count: 1, why: &args.reason }).await;
    if let Err(error) = noted {
        // It is done: an error would have it done again.
        context.output.note(&format!("done, but not noted for pictor audit: {error}"));
    }
    Ok(did)
}

fn too_many(chosen: &Chosen, most: u32) -> anyhow::Error {
    refused(format!(
        "{} has had {most} takes, as many as assets.max_takes allows: go back with --back, or raise it",
        chosen.told()
    ))
}

/// Refuses what no cap would let go out.
async fn affordable(chosen: &Chosen, next: &Next, output: &Output, queue: &Queue) -> anyhow::Result<()> {
    let totals = queue.totals().await?;
    let all =
        Counter { cap: totals.cap, spent: totals.spent, reserved: totals.reserved, ..Counter::default() };
    let batch = known_batch(queue, chosen.batch.as_str()).await?;
    let tenant = queue.tenant_money(&batch.tenant).await?.total;
    let own = Counter { cap: batch.cap, spent: batch.spent, reserved: batch.reserved, ..Counter::default() };
    let counters = [("the total budget", all), ("its tenant's budget", tenant), ("its batch's budget", own)];
    for (name, counter) in counters {
        if counter.left().is_some_and(|left| next.ceiling > left) {
            return Err(refused(format!(
                "it may cost {}, and {name} has less left: nothing was queued",
                next.ceiling
            )));
        }
    }
    if let Some(held) = batch.held.filter(|_| !next.made) {
        output.note(&format!("batch {} is held ({held}): the take waits until it goes on", chosen.batch));
    }
    Ok(())
}

fn is_wanted(args: &RedoArgs, context: &Context, chosen: &Chosen, next: &Next) -> anyhow::Result<bool> {
    let output = &context.output;
    if next.made {
        return Ok(true);
    }
    let attended = output.terminal && io::stdin().is_terminal();
    if args.yes && !attended && !chosen.is_named() {
        return Err(refused(format!(
            "say what is not liked, so that this command, sent again, buys nothing more: --from {}",
            chosen.current.short()
        )));
    }
    if args.yes {
        return Ok(true);
    }
    let words = next.words(chosen);
    if !attended {
        return Err(refused(format!("{words}: say --yes if that is wanted; nothing was queued")));
    }
    output.note(&format!("{words}. Do it? [y/N]"));
    let mut line = String::new();
    io::stdin().read_line(&mut line)?;
    Ok(matches!(line.trim(), "y" | "Y" | "yes"))
}
