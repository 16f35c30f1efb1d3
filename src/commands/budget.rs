//! `pictor budget`: the total that may be spent.

use clap::Subcommand;
use pictor_common::{MicroUsd, queue::Totals};

use super::Context;
use crate::exit::{Exit, refused};

#[derive(Debug, Subcommand)]
pub(crate) enum BudgetCommand {
    /// What was spent, and the cap
    Show,
    /// Set the most that may ever be spent
    Set {
        /// US dollars, or `none`
        amount: String,
    },
}

pub(crate) async fn run(command: BudgetCommand, context: &Context) -> anyhow::Result<Exit> {
    let cap: Option<Option<MicroUsd>> = match &command {
        BudgetCommand::Show => None,
        BudgetCommand::Set { amount } if amount == "none" => Some(None),
        BudgetCommand::Set { amount } => {
            Some(Some(amount.parse().map_err(|error| refused(format!("{error}")))?))
        }
    };
    let opened = context.look().await?;
    let work = async {
        if let Some(cap) = cap {
            opened.queue.set_total_cap(cap).await?;
        }
        anyhow::Ok(opened.queue.totals().await?)
    };
    let totals = work.await;
    opened.close().await?;
    let totals = totals?;
    context.output.result(&totals, || told(&totals))?;
    Ok(Exit::Done)
}

fn told(totals: &Totals) -> String {
    let cap = totals.cap.map_or_else(|| "none".to_owned(), |cap| cap.to_string());
    format!(
        "spent      {}\nunknown    {}\nset aside  {}\ncap        {cap}\n",
        totals.spent, totals.unknown, totals.reserved
    )
}
