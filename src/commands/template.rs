//! `pictor template`: the templates that ship, and what a row becomes with one.

use std::sync::Arc;

use clap::{Args, Subcommand};
use pictor_common::{MicroUsd, batch::Band};
use pictor_producer::{
    gallery::{self, Shipped},
    manifest::{Format, RowSpecs},
    submit::{Manifest, Source},
    template::Template,
};
use serde_json::{Value, json};

use super::Context;
use crate::{
    exit::{Exit, refused},
    parts,
    submission::{BatchArgs, manifest},
    table::table,
    templates::{self, Chosen},
};

#[derive(Debug, Subcommand)]
pub(crate) enum TemplateCommand {
    /// List the templates that ship with Pictor
    List,
    /// Show a template: its columns, its text and how to use it
    Show {
        /// One that ships, or a file
        name: String,
        /// Print a CSV file with its columns and one row, to start from
        #[arg(long)]
        sample: bool,
    },
    /// Show the prompts of one row, what is asked with them and what they would cost; queues nothing
    Preview(Box<PreviewArgs>),
}

#[derive(Debug, Args)]
pub(crate) struct PreviewArgs {
    /// The manifest; - is stdin. Without one, the sample row of a template that ships
    #[arg(required_unless_present = "template")]
    file: Option<String>,
    /// Which data row, from 1
    #[arg(long, value_name = "NUMBER", default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..))]
    row: u64,
    #[command(flatten)]
    batch: BatchArgs,
}

pub(crate) fn run(command: TemplateCommand, context: &Context) -> anyhow::Result<Exit> {
    match command {
        TemplateCommand::List => list(context),
        TemplateCommand::Show { name, sample } => show(&name, sample, context),
        TemplateCommand::Preview(args) => preview(*args, context),
    }
}

fn list(context: &Context) -> anyhow::Result<Exit> {
    let mut values = Vec::new();
    let mut rows = Vec::new();
    for shipped in gallery::shipped() {
        let cost = cost(&sample_lines(&shipped, context)?);
        values.push(json!({
            "name": shipped.name, "description": shipped.description, "images": shipped.lines(),
            "model": shipped.defaults.get("model"), "expected": cost.0, "ceiling": cost.1,
        }));
        rows.push(vec![
            shipped.name.clone(),
            shipped.lines().to_string(),
            cost.0.to_string(),
            shipped.description.clone(),
        ]);
    }
    context.output.result(&values, || {
        let titles = ["template", "images a row", "cost a row", "makes"];
        let table = table(&titles, &[1, 2], &rows);
        format!("{table}\npictor template show NAME says how to use one.\n")
    })?;
    Ok(Exit::Done)
}

fn show(name: &str, sample: bool, context: &Context) -> anyhow::Result<Exit> {
    match templates::named(name)? {
        Chosen::Own(_) if sample => {
            Err(refused(format!("{name} is a file; only templates that ship have a sample")))
        }
        Chosen::Own(template) => {
            let value =
                json!({ "name": name, "variables": template.variables(), "prompt": template.source() });
            context.output.result(&value, || own_told(name, &template))?;
            Ok(Exit::Done)
        }
        Chosen::Shipped(shipped) if sample => {
            context.output.line(shipped.sample_csv().trim_end())?;
            Ok(Exit::Done)
        }
        Chosen::Shipped(shipped) => {
            let cost = cost(&sample_lines(&shipped, context)?);
            let mut value = serde_json::to_value(&shipped)?;
            value["images"] = json!(shipped.lines());
            value["expected"] = json!(cost.0);
            value["ceiling"] = json!(cost.1);
            context.output.result(&value, || shipped_told(&shipped, cost))?;
            Ok(Exit::Done)
        }
    }
}

fn own_told(name: &str, template: &Template) -> String {
    let columns: String = template.variables().iter().map(|name| format!("  {name}\n")).collect();
    format!(
        "{name}\n\nColumns it reads\n{columns}\nPrompt\n{}\nSee one row\n  pictor template preview FILE --template {name} --row 1\n",
        indented(template.source())
    )
}

fn shipped_told(shipped: &Shipped, cost: (MicroUsd, MicroUsd)) -> String {
    let name = &shipped.name;
    let columns: Vec<Vec<String>> = shipped
        .variables
        .iter()
        .map(|it| {
            let varied = shipped.vary.iter().any(|axis| axis.name == it.name);
            let otherwise = match (&it.default, it.required, varied) {
                (_, true, _) => "needed".to_owned(),
                (_, _, true) => "each in turn".to_owned(),
                (Some(default), ..) => format!("else: {default}"),
                (None, ..) => "may be empty".to_owned(),
            };
            vec![format!("  {}", it.name), it.meaning.clone(), otherwise]
        })
        .collect();
    let mut text = format!("{name}\n{}\n\n", shipped.description);
    text += &table(&["Columns", "", ""], &[], &columns);
    for axis in &shipped.vary {
        text += &format!(
            "\nOf each row it makes {} images, by {}\n  {}\n  A row with a {} of its own gets that one.\n",
            axis.values.len(),
            axis.name,
            axis.values.join(", "),
            axis.name
        );
    }
    let settings: Vec<String> =
        shipped.defaults.iter().map(|(field, value)| format!("{field} {value}")).collect();
    text += &format!("\nUnless you say otherwise\n  {}\n  {} a row\n", settings.join(", "), price(cost));
    text += &format!(
        "\nUse it\n  pictor template show {name} --sample > products.csv\n  \
         pictor template preview products.csv --template {name}\n  \
         pictor run products.csv --template {name} --dry-run\n  {}\n",
        shipped.hint
    );
    text + &format!("\nPrompt\n{}", indented(&shipped.prompt))
}

fn indented(text: &str) -> String {
    text.trim().lines().map(|line| format!("  {line}").trim_end().to_owned() + "\n").collect()
}

/// The sample row of a template, as it would be made.
fn sample_lines(shipped: &Shipped, context: &Context) -> anyhow::Result<Vec<RowSpecs>> {
    let batch = BatchArgs {
        template: Some(shipped.name.clone()),
        tenant: "default".to_owned(),
        ..BatchArgs::default()
    };
    lines(&batch, sample(shipped), 1, context)
}

fn sample(shipped: &Shipped) -> Manifest {
    Manifest {
        name: format!("{} (sample)", shipped.name),
        format: Format::Csv.into(),
        source: Source::Bytes(Arc::from(shipped.sample_csv().into_bytes())),
    }
}

fn preview(args: PreviewArgs, context: &Context) -> anyhow::Result<Exit> {
    let opened = match (&args.file, &args.batch.template) {
        (Some(file), _) => manifest(file, &args.batch.read)?,
        (None, Some(name)) => match templates::chosen(Some(name), None)? {
            Some(Chosen::Shipped(shipped)) => sample(&shipped),
            _ => return Err(refused("give a FILE; only templates that ship have a sample row")),
        },
        (None, None) => return Err(refused("give a FILE")),
    };
    let lines = lines(&args.batch, opened, args.row, context)?;
    let values: Vec<Value> = lines.iter().map(value).collect();
    context.output.result(&values, || told(&lines))?;
    Ok(Exit::Done)
}

fn lines(
    batch: &BatchArgs,
    manifest: Manifest,
    row: u64,
    context: &Context,
) -> anyhow::Result<Vec<RowSpecs>> {
    let prepared = batch.prepare(manifest, Band::Normal, &context.settings, &parts::today())?;
    let rules = prepared.rules(&context.settings)?;
    Ok(prepared.request(&rules).row(row)?)
}

fn value(line: &RowSpecs) -> Value {
    json!({
        "row": line.row, "line": line.line, "id": line.id, "images": line.specs.len(), "spec": line.specs.first(),
        "expected": line.estimate.expected, "ceiling": line.estimate.ceiling,
    })
}

/// What some lines cost, as expected and at most.
fn cost(lines: &[RowSpecs]) -> (MicroUsd, MicroUsd) {
    lines
        .iter()
        .flat_map(|line| line.specs.iter().map(|_| line.estimate))
        .fold((MicroUsd(0), MicroUsd(0)), |(expected, ceiling), it| {
            (expected + it.expected, ceiling + it.ceiling)
        })
}

fn price((expected, ceiling): (MicroUsd, MicroUsd)) -> String {
    if expected == ceiling { expected.to_string() } else { format!("{expected} expected, {ceiling} at most") }
}

fn told(lines: &[RowSpecs]) -> String {
    let mut text = String::new();
    for line in lines {
        let Some(spec) = line.specs.first() else { continue };
        let fields = [
            Some(("model", spec.model.as_str())),
            spec.size.as_deref().map(|value| ("size", value)),
            spec.quality.as_deref().map(|value| ("quality", value)),
            spec.style.as_deref().map(|value| ("style", value)),
            spec.background.as_deref().map(|value| ("background", value)),
            spec.format.as_deref().map(|value| ("format", value)),
        ];
        let fields: Vec<String> =
            fields.into_iter().flatten().map(|(name, value)| format!("{name} {value}")).collect();
        let count = match line.specs.len() {
            1 => String::new(),
            many => format!("{many} images, "),
        };
        text += &format!(
            "{}  {count}{}, {}\n{}\n",
            line.id,
            fields.join(", "),
            price(cost(std::slice::from_ref(line))),
            indented(spec.prompt.as_deref().unwrap_or_default())
        );
    }
    let images = lines.iter().map(|line| line.specs.len()).sum::<usize>();
    let plural = |count: usize, what: &str| format!("{count} {what}{}", if count == 1 { "" } else { "s" });
    let row = lines.first().map_or(0, |line| line.row);
    text + &format!("row {row}: {}, {}; nothing was queued\n", plural(images, "image"), price(cost(lines)))
}
