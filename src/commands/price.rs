//! `pictor price`: what images cost, before anything is queued.

mod list;
mod month;
mod monthly;
mod part;

use clap::{Args, Subcommand};
use jiff::civil::Date;
use pictor_common::{
    batch::Band,
    catalogue::{Catalogue, Model},
    price::Terms,
};

use super::Context;
use crate::{
    exit::{Exit, refused},
    parts,
    submission::{BatchArgs, manifest},
};

#[derive(Debug, Subcommand)]
pub(crate) enum PriceCommand {
    /// Price of every model, quality and size
    List(list::ListArgs),
    /// Price a file, as if nothing of it existed
    Estimate(Box<EstimateArgs>),
    /// What so many images a day cost in a month
    Monthly(Box<monthly::MonthlyArgs>),
}

#[derive(Debug, Args)]
pub(crate) struct EstimateArgs {
    /// CSV, XLSX or JSONL; - is stdin
    file: String,
    #[command(flatten)]
    batch: BatchArgs,
}

pub(crate) async fn run(command: PriceCommand, context: &Context) -> anyhow::Result<Exit> {
    match command {
        PriceCommand::List(args) => list::run(&args, context),
        PriceCommand::Estimate(args) => estimate(&args, context),
        PriceCommand::Monthly(args) => monthly::run(&args, context),
    }
}

fn estimate(args: &EstimateArgs, context: &Context) -> anyhow::Result<Exit> {
    let settings = &context.settings;
    let prepared = args.batch.prepare(
        manifest(&args.file, &args.batch.read)?,
        Band::Normal,
        settings,
        &parts::today(),
    )?;
    let rules = prepared.rules(settings)?;
    let plan = tokio::task::block_in_place(|| prepared.request(&rules).price())?;
    context.output.result(&plan, || plan.text())?;
    Ok(if plan.skipped > 0 { Exit::SomeFailed } else { Exit::Done })
}

/// Finds a model; one that is unknown is bad input.
fn known<'c>(catalogue: &'c Catalogue, id: &str) -> anyhow::Result<&'c Model> {
    catalogue.model(id).ok_or_else(|| {
        let near = catalogue.nearest(id).map(|near| format!("; did you mean {near:?}?"));
        refused(format!("unknown model {id:?}{}", near.unwrap_or_default()))
    })
}

/// Reads a day of the command line.
fn day(text: &str) -> Result<Date, String> {
    text.parse::<Terms>().map(|terms| terms.day).map_err(|error| error.to_string())
}

/// The day asked for, else today's.
fn terms(on: Option<Date>) -> anyhow::Result<Terms> {
    Ok(on.map_or_else(|| parts::today().parse(), |day| Ok(Terms::on(day)))?)
}
