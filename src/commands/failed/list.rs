//! Failures one by one, a page at a time.

use clap::Args;
use pictor_common::{
    AssetKey,
    queue::{FailurePlace, Queue, group_of},
};
use serde_json::json;

use super::{
    PARKED,
    by_cause::of_parked,
    progress::Progress,
    which::{Failed, Filter},
};
use crate::{
    commands::{Context, when},
    exit::{Exit, refused},
    table::{plain, shortened, table},
};

/// Failures that one look brings, at most.
const PAGE: usize = 500;

#[derive(Debug, Args)]
pub(crate) struct ListArgs {
    #[command(flatten)]
    filter: Filter,
    /// How many
    #[arg(long, default_value_t = 50, conflicts_with = "all")]
    limit: usize,
    /// All of them
    #[arg(long)]
    all: bool,
    /// Those after a place, as the page before named it
    #[arg(long, value_name = "PLACE")]
    after: Option<String>,
}

pub(super) async fn run(args: &ListArgs, context: &Context, queue: &Queue) -> anyhow::Result<Exit> {
    let most = if args.all { usize::MAX } else { args.limit.max(1) };
    let after = args.after.as_deref().map(place).transpose()?;
    let (found, next) = page(args, after, most, context, queue).await?;
    let rows: Vec<_> = found
        .iter()
        .map(|(place, state)| {
            json!({
                "key": place.key, "at": place.at, "phase": state.phase, "group": group_of(state),
                "failure": state.failure,
            })
        })
        .collect();
    let next = next.as_ref().map(|place| format!("{}-{}", place.at, place.key));
    context.output.result(&json!({ "failures": rows, "next": next }), || told(&found, next.as_deref()))?;
    Ok(Exit::Done)
}

async fn page(
    args: &ListArgs,
    mut after: Option<FailurePlace>,
    most: usize,
    context: &Context,
    queue: &Queue,
) -> anyhow::Result<(Vec<Failed>, Option<FailurePlace>)> {
    let (traits, since) = (args.filter.traits(queue).await?, args.filter.since()?);
    let mut progress = Progress::of(&context.output, queue.failure_count().await?);
    let mut found: Vec<Failed> = Vec::new();
    loop {
        let wanted = most.saturating_sub(found.len()).clamp(1, PAGE);
        let size = if args.filter.is_searched() { PAGE } else { wanted };
        let page = queue.failures_with(&traits, since, after.as_ref(), size).await?;
        for failed in queue.failed_assets(&page.found).await? {
            if args.filter.wants(&failed.1) {
                let place = failed.0.clone();
                found.push(failed);
                if found.len() == most {
                    let is_last = page.next.is_none() && page.found.last() == Some(&place);
                    return Ok((found, (!is_last).then_some(place)));
                }
            }
        }
        progress.seen(size, found.len());
        match page.next {
            Some(next) => after = Some(next),
            None => return Ok((found, None)),
        }
    }
}

fn place(text: &str) -> anyhow::Result<FailurePlace> {
    let parts = text.split_once('-');
    let place = parts.and_then(|(at, key)| {
        Some(FailurePlace { at: at.parse().ok()?, key: key.parse::<AssetKey>().ok()? })
    });
    place.ok_or_else(|| {
        refused(format!("--after {text:?} is no place: give the one that the page before ended with"))
    })
}

fn told(found: &[Failed], next: Option<&str>) -> String {
    if found.is_empty() && next.is_none() {
        return "no failure fits".to_owned();
    }
    let rows: Vec<Vec<String>> = found
        .iter()
        .map(|(place, state)| {
            let failure = state.failure.clone().unwrap_or_default();
            let parked = if state.phase == PARKED { " (parked)" } else { "" };
            let time = when(place.at);
            vec![
                place.key.short().to_owned(),
                time.get(5..).unwrap_or_default().to_owned(),
                format!("{}{parked}", failure.class),
                shortened(&plain(&failure.message), 34),
            ]
        })
        .collect();
    let parked = found.iter().filter(|(_, state)| state.phase == PARKED).count() as u64;
    let mut text = table(&["key", "when", "class", "words"], &[], &rows) + &of_parked(parked);
    if let Some(next) = next {
        text += &format!("more: the same with --after {next}\n");
    }
    text
}
