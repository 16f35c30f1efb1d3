//! `pictor audit`: who did what, when and why.

use clap::Args;
use pictor_common::queue::{Audited, Noted};
use serde::Serialize;

use super::{Context, when};
use crate::{
    exit::Exit,
    table::{plain, shortened, table},
};

#[derive(Debug, Args)]
pub(crate) struct AuditArgs {
    /// How many, the newest
    #[arg(long, default_value_t = 50)]
    limit: usize,
}

/// Something that somebody did.
#[derive(Debug, Serialize)]
#[serde(untagged)]
enum Deed {
    Noted(Noted),
    Cap(Audited),
}

impl Deed {
    const fn at(&self) -> u64 {
        match self {
            Self::Noted(noted) => noted.at,
            Self::Cap(cap) => cap.at,
        }
    }

    fn cells(&self) -> Vec<String> {
        let (at, who, what, why) = match self {
            Self::Noted(noted) => {
                let count = if noted.count > 1 { format!(", {}", noted.count) } else { String::new() };
                (noted.at, &noted.who, format!("{} {}{count}", noted.what, noted.of), &noted.why)
            }
            Self::Cap(cap) => {
                let to = cap.to.map_or_else(|| "none".to_owned(), |to| to.to_string());
                (cap.at, &cap.who, format!("set the cap of {} to {to}", cap.of), &cap.why)
            }
        };
        vec![when(at), shortened(&plain(who), 30), shortened(&plain(&what), 80), shortened(&plain(why), 60)]
    }
}

pub(crate) async fn run(args: &AuditArgs, context: &Context) -> anyhow::Result<Exit> {
    let opened = context.look().await?;
    let most = args.limit.max(1);
    let read = async { anyhow::Ok((opened.queue.notes(most).await?, opened.queue.audit(most).await?)) };
    let read = read.await;
    opened.close().await?;
    let (notes, caps) = read?;
    // What settings say at every start nobody did.
    let caps = caps.into_iter().filter(|cap| cap.by != "settings").map(Deed::Cap);
    let mut deeds: Vec<Deed> = notes.into_iter().map(Deed::Noted).chain(caps).collect();
    deeds.sort_by_key(|deed| std::cmp::Reverse(deed.at()));
    deeds.truncate(most);
    context.output.result(&deeds, || {
        if deeds.is_empty() {
            return "nobody did anything so far".to_owned();
        }
        let rows: Vec<Vec<String>> = deeds.iter().map(Deed::cells).collect();
        table(&["when", "who", "what", "why"], &[], &rows)
    })?;
    Ok(Exit::Done)
}
