//! `pictor price`: what images cost, before anything is queued.

use clap::{Args, Subcommand};
use pictor_common::{Spec, batch::Band, price};
use serde_json::json;

use super::Context;
use crate::{
    exit::{Exit, refused},
    parts,
    submission::{BatchArgs, manifest},
    table::table,
};

#[derive(Debug, Subcommand)]
pub(crate) enum PriceCommand {
    /// Price of every model, quality and size
    List {
        /// Only this model
        #[arg(long)]
        model: Option<String>,
    },
    /// Price a file, as if nothing of it existed
    Estimate(Box<EstimateArgs>),
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
        PriceCommand::List { model } => list(model.as_deref(), context),
        PriceCommand::Estimate(args) => estimate(&args, context),
    }
}

fn list(only: Option<&str>, context: &Context) -> anyhow::Result<Exit> {
    let catalogue = &context.settings.catalogue;
    if let Some(id) = only.filter(|id| catalogue.model(id).is_none()) {
        let near = catalogue.nearest(id).map(|near| format!("; did you mean {near:?}?"));
        return Err(refused(format!("unknown model {id:?}{}", near.unwrap_or_default())));
    }
    let mut values = Vec::new();
    let mut rows = Vec::new();
    for model in catalogue.models().filter(|model| only.is_none_or(|id| model.id == id)) {
        for quality in model.qualities().iter().filter(|quality| *quality != "auto") {
            for size in model.sizes().iter().filter(|size| *size != "auto") {
                let spec = Spec {
                    model: model.id.clone(),
                    prompt: Some(String::new()),
                    quality: Some(quality.clone()),
                    size: Some(size.clone()),
                    ..Spec::default()
                };
                let Ok(found) = price::estimate(model, &spec) else { continue };
                values.push(json!({
                    "model": model.id, "quality": quality, "size": size, "expected": found.expected, "ceiling": found.ceiling,
                }));
                let cells = [
                    model.id.clone(),
                    quality.clone(),
                    size.clone(),
                    found.expected.to_string(),
                    found.ceiling.to_string(),
                ];
                rows.push(cells.to_vec());
            }
        }
    }
    context
        .output
        .result(&values, || table(&["model", "quality", "size", "expected", "at most"], &[3, 4], &rows))?;
    Ok(Exit::Done)
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
