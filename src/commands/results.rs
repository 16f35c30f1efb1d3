//! `pictor results`: what became of every row, and the images under a shop's own names.

mod folder;
mod guard;
mod laying;
pub(crate) mod links;
pub(crate) mod pages;
mod rows;
mod survey;
mod table;
mod target;

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::{Args, ValueEnum};
use pictor_common::{
    derivative::Derivative,
    queue::{BatchState, Queue},
    store::{Body, NewObject},
};
use pictor_producer::{fresh::Fresh, results::Layout};
use serde_json::json;

use super::{Context, newest, retention};
use crate::{
    exit::{Exit, refused},
    output::heard,
    parts, private_redis,
};
use {guard::Guard, laying::Laying, links::Links, target::Target};

pub(crate) use table::Telling;

#[derive(Debug, Args)]
#[command(
    after_help = "Placeholders of --layout: {id} {row} {take} (from 0) {take1} (from 1) {key} {model} {size} {ext} {batch} \
    and any column of the manifest. {id} is that of the row, and its number where the file has no id \
    (see --id-column of run and submit)."
)]
pub(crate) struct ResultsArgs {
    /// The batch
    batch: Option<String>,
    /// Write the table to this file instead of stdout
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Format [default: as the file is named, else csv; jsonl with --json]
    #[arg(long)]
    format: Option<TableFormat>,
    /// The store the images are in, where the settings name none [default: pictor-out]
    #[arg(long, value_name = "DIR|URL")]
    store: Option<String>,
    /// Give URLs that begin so; with --layout, --to is served there [default otherwise: the setting `store.public_base_url`]
    #[arg(long, value_name = "URL")]
    public_base_url: Option<String>,
    /// Give URLs that anybody can follow for so long, such as 36h or 7d (the most); for buckets
    #[arg(long, value_name = "DURATION", conflicts_with = "public_base_url")]
    expires: Option<String>,
    /// Put every image under a name of its own, such as `{id}/{take}.{ext}`
    #[arg(long, value_name = "PATTERN")]
    layout: Option<String>,
    /// Tell of this derivative instead of the images, such as '256x256 cover webp q80'; --layout puts it under its name
    #[arg(long, value_name = "WORDS")]
    derivative: Option<Derivative>,
    /// Where --layout puts images; what is there is kept [default: results-BATCH]
    #[arg(long, value_name = "DIR|URL", requires = "layout")]
    to: Option<String>,
    /// Link files instead of copying them; do not edit linked images in place: the store has the same file
    #[arg(long, requires = "layout")]
    link: bool,
    /// Let --layout replace files that differ
    #[arg(long, requires = "layout")]
    overwrite: bool,
    /// Put the table beside the images, as results.csv or results.jsonl, replacing what is there, and as
    /// results-BATCH.csv or .jsonl, which the table of no other batch replaces
    #[arg(long, requires = "layout", conflicts_with = "out")]
    table: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum TableFormat {
    Csv,
    Jsonl,
}

impl TableFormat {
    /// Names of the table among the images: that of the last batch, and that of this one for good.
    fn file_names(self, batch: &str) -> [String; 2] {
        let extension = match self {
            Self::Csv => "csv",
            Self::Jsonl => "jsonl",
        };
        [format!("results-{batch}.{extension}"), format!("results.{extension}")]
    }
}

pub(crate) async fn run(args: ResultsArgs, context: &Context) -> anyhow::Result<Exit> {
    let opened = context.look().await?;
    let written = Box::pin(write(&args, context, &opened.queue)).await;
    opened.close().await?;
    written
}

async fn write(args: &ResultsArgs, context: &Context, queue: &Queue) -> anyhow::Result<Exit> {
    let batch = match &args.batch {
        Some(name) => retention::kept(name, context, queue).await?,
        None => return Err(refused(format!("name a batch{}", newest(queue).await?))),
    };
    let failed = batch.counts.failed + batch.counts.parked > 0;
    let all = match &args.layout {
        Some(pattern) => Box::pin(lay(args, context, queue, &batch, pattern)).await?,
        None => {
            list(args, context, queue, &batch).await?;
            true
        }
    };
    Ok(if failed || !all { Exit::SomeFailed } else { Exit::Done })
}

fn format(args: &ResultsArgs, context: &Context) -> TableFormat {
    let by_name = args.out.as_ref().and_then(|path| match path.extension()?.to_str()? {
        "jsonl" | "json" | "ndjson" => Some(TableFormat::Jsonl),
        _ => Some(TableFormat::Csv),
    });
    let usual = if context.output.json { TableFormat::Jsonl } else { TableFormat::Csv };
    args.format.or(by_name).unwrap_or(usual)
}

/// Tells where the store has the images.
async fn list(
    args: &ResultsArgs,
    context: &Context,
    queue: &Queue,
    batch: &BatchState,
) -> anyhow::Result<()> {
    let url = parts::store_url(&context.settings, args.store.as_deref());
    let store = parts::open_store(&context.settings, url).await?;
    let usual = context.settings.store.public_base_url.as_ref();
    let (base, expires) = (args.public_base_url.as_deref(), args.expires.as_deref());
    let links = Links::asked(base, expires, usual, url, Some(&*store)).await?;
    let telling = Telling::of_store(queue, batch, &store, links, args.derivative).await?;
    let telling = telling.until(&context.signals.stop);
    print(args, context, &telling).await?;
    telling.warn(&context.output);
    Ok(())
}

async fn print(args: &ResultsArgs, context: &Context, telling: &Telling<'_>) -> anyhow::Result<()> {
    let format = format(args, context);
    match &args.out {
        Some(path) => telling.write_file(format, path).await,
        None => Ok(heard(telling.write(format, context.output.stream()).await?)?),
    }
}

/// Puts every image under its name; whether each has one.
async fn lay(
    args: &ResultsArgs,
    context: &Context,
    queue: &Queue,
    batch: &BatchState,
    pattern: &str,
) -> anyhow::Result<bool> {
    let layout =
        Layout::parse(pattern, &batch.columns).map_err(|error| refused(format!("--layout: {error}")))?;
    let to = args.to.clone().unwrap_or_else(|| format!("results-{}", batch.id));
    let url = parts::store_url(&context.settings, args.store.as_deref());
    let mut guard = Guard::new(url, &to)?;
    if args.table {
        guard.keep(format(args, context).file_names(&batch.id));
    }
    let store = parts::open_store(&context.settings, url).await?;
    let target = Target::open(&context.settings, url, &to, args.link).await?;
    let (base, expires) = (args.public_base_url.as_deref(), args.expires.as_deref());
    let links = Links::asked(base, expires, None, &to, target.store()).await?;
    let laying =
        Laying::new(layout, &batch.id, store, target, links, args.overwrite, args.table).of(args.derivative);
    let telling = Telling::laid(queue, batch, laying, &guard, &context.output).await?;
    let telling = telling.until(&context.signals.stop);
    let laying = telling.laying().context("images are laid out")?;
    laying.target.begin().await?;
    let written = if args.table {
        put_table(args, context, &telling, laying).await
    } else {
        print(args, context, &telling).await
    };
    laying.target.end().await;
    written?;
    telling.warn(&context.output);
    let sums = laying.tally.sums();
    let text = format!("{} in {to}", sums.text());
    if args.table || args.out.is_some() {
        let summary = json!({
            "batch": batch.id, "to": to, "copied": sums.copied, "linked": sums.linked, "there": sums.there,
            "refused": sums.refused, "without_image": sums.without,
        });
        context.output.result(&summary, || text)?;
    } else {
        context.output.note(&text);
    }
    Ok(sums.refused + sums.without == 0)
}

/// Writes the table among the images.
async fn put_table(
    args: &ResultsArgs,
    context: &Context,
    telling: &Telling<'_>,
    laying: &Laying,
) -> anyhow::Result<()> {
    let format = format(args, context);
    let [own, last] = format.file_names(telling.batch());
    let bucket = match &laying.target {
        Target::Folder(folder) => {
            telling.write_file(format, &folder.path(&own)).await?;
            return keep(&folder.path(&own), &folder.path(&last));
        }
        Target::Bucket(bucket) => bucket,
    };
    let told = || format!("cannot write {}", context.settings.data_dir.display());
    private_redis::make_dir(&context.settings.data_dir).with_context(told)?;
    let file = context.settings.data_dir.join(format!("{}.{last}", ulid::Ulid::generate()));
    let content_type = match format {
        TableFormat::Csv => "text/csv; charset=utf-8",
        TableFormat::Jsonl => "application/jsonl",
    };
    let put = async {
        telling.write_file(format, &file).await?;
        for name in [own, last] {
            let object = NewObject {
                name,
                body: Body::File(file.clone()),
                content_type: content_type.to_owned(),
                metadata: std::collections::BTreeMap::new(),
            };
            bucket.put(object).await?;
        }
        anyhow::Ok(())
    };
    let put = put.await;
    // It was only on its way.
    let _gone = std::fs::remove_file(&file);
    put
}

/// Copies the table of a batch, to keep it or to make it the last one.
pub(crate) fn keep(table: &Path, copy: &Path) -> anyhow::Result<()> {
    let copied = || {
        let fresh = Fresh::of(copy)?;
        std::io::copy(&mut std::fs::File::open(table)?, &mut fresh.file()?)?;
        fresh.arrive()
    };
    copied().with_context(|| format!("cannot write {}", copy.display()))
}
