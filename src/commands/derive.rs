//! `pictor derive`: makes derivatives of images that are there; pays for nothing.

use std::sync::Arc;

use anyhow::Context as _;
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use pictor_common::{
    AssetKey,
    batch::{BatchId, Made},
    derivative::{self, Derivative},
    queue::{BatchState, Derived, Queue},
    store::{Store, sidecar_name},
};
use pictor_worker::derive::{Pass, Pool, Tally, Wanted};
use serde_json::json;

use super::{Context, asset::find, known_batch};
use crate::{
    exit::{Exit, refused},
    output::Output,
    parts, submission,
};

#[derive(Debug, Args)]
#[command(
    after_help = "WORDS are a size (256x256, 1200w, 800h, or 2048 for a square box), cover or contain, #rrggbb behind what is \
    transparent or around what is contained, webp, jpeg, png or avif (in builds with it), q1 to q100, upscale (without it nothing is made larger) and \
    keep (EXIF data; else all metadata is left out). What is there is left as it is, so it can be stopped and run again."
)]
pub(crate) struct DeriveArgs {
    /// The batch
    #[arg(required_unless_present = "image")]
    batch: Option<String>,
    /// One image instead: the id of its line, its asset key, or at least 8 of the key's first digits
    #[arg(long, value_name = "IMAGE", conflicts_with = "batch", requires = "derive")]
    image: Vec<String>,
    /// Make this too; the batch asks for it from now on
    #[arg(long, value_name = "WORDS")]
    derive: Vec<String>,
    /// Say what is missing, and make nothing
    #[arg(long)]
    dry_run: bool,
    /// Make again what is there
    #[arg(long, conflicts_with = "dry_run")]
    again: bool,
    /// Do not count what cannot be made as missing any more
    #[arg(long, requires = "batch")]
    give_up: bool,
    /// The store the images are in, where the settings name none [default: pictor-out]
    #[arg(long, value_name = "DIR|URL")]
    store: Option<String>,
}

pub(crate) async fn run(args: DeriveArgs, context: &Context) -> anyhow::Result<Exit> {
    let words = submission::derivatives(&args.derive)?;
    let opened = context.look().await?;
    let done = async {
        let queue = &opened.queue;
        let url = parts::store_url(&context.settings, args.store.as_deref());
        let store = parts::open_answering_store(&context.settings, url).await?;
        let pool = Pool::new(context.settings.worker.derive_threads());
        let pass = Pass {
            store: &store,
            pool: &pool,
            stop: &context.signals.stop,
            again: args.again,
            dry_run: args.dry_run,
        };
        match &args.batch {
            Some(batch) => of_batch(batch, &words, &args, pass, queue, context).await,
            None => of_images(&args, &words, pass, queue, context).await,
        }
    };
    let done = Box::pin(done).await;
    opened.close().await?;
    done
}

async fn of_batch(
    batch: &str,
    words: &[Derivative],
    args: &DeriveArgs,
    pass: Pass<'_>,
    queue: &Queue,
    context: &Context,
) -> anyhow::Result<Exit> {
    let mut batch = known_batch(queue, batch).await?;
    let id: BatchId = batch.id.parse()?;
    if batch.derive.is_none() && words.is_empty() {
        return Err(refused(format!(
            "batch {id} asks for no derivatives; name some with --derive, such as '256x256 cover webp q80'"
        )));
    }
    let mut all = batch.derive.take().unwrap_or_default();
    derivative::add(&mut all, words.iter().copied())
        .map_err(|wrong| refused(format!("batch {id}: {wrong}")))?;
    let others = (!words.is_empty()).then(|| all.clone());
    batch.derive = Some(all);
    let tally = carried_out(pass, queue, &batch, &context.output).await?;
    if !args.dry_run {
        let derived = match tally.stopped {
            true => Derived::Later(std::time::Duration::ZERO),
            // What is still to come is looked at when it has come.
            false if !batch.ended() => Derived::Later(std::time::Duration::ZERO),
            false if args.give_up => Derived::Ended(0),
            false => tally.derived(),
        };
        queue.tell_derived(&id, derived, others.as_deref()).await?;
    }
    told(Some(&id), &tally, args, context)
}

async fn of_images(
    args: &DeriveArgs,
    words: &[Derivative],
    pass: Pass<'_>,
    queue: &Queue,
    context: &Context,
) -> anyhow::Result<Exit> {
    let mut wanted = Vec::with_capacity(args.image.len());
    for text in &args.image {
        let key = find::Wanted { text, batch: None, take: None }.find(context, queue).await?;
        let made = made_of(&key, queue, pass.store).await?;
        let made = made.ok_or_else(|| refused(format!("{text}: there is no image of asset {key}")))?;
        wanted.push(Wanted { key, made, derivatives: words.to_vec() });
    }
    let mut tally = Tally::default();
    pass.images(queue, wanted, &mut tally, |_| ()).await?;
    told(None, &tally, args, context)
}

/// What is known of the image of an asset; by the store where Redis does not know it.
async fn made_of(key: &AssetKey, queue: &Queue, store: &Arc<dyn Store>) -> anyhow::Result<Option<Made>> {
    let state = queue.assets(std::slice::from_ref(key)).await?.pop().flatten();
    if let Some(made) = state.and_then(|state| state.made) {
        return Ok(Some(made));
    }
    #[derive(serde::Deserialize)]
    struct Beside {
        made: Made,
    }
    let Some(beside) = store.get(&sidecar_name(key)).await? else { return Ok(None) };
    let Beside { made } = serde_json::from_slice(&beside).context("the JSON beside the image")?;
    Ok(Some(made))
}

/// Makes what is missing, and shows how far it is.
async fn carried_out(
    pass: Pass<'_>,
    queue: &Queue,
    batch: &BatchState,
    output: &Output,
) -> anyhow::Result<Tally> {
    let bar = output.terminal.then(|| {
        let style = ProgressStyle::with_template("{bar:24} {pos}/{len} images, {msg}");
        ProgressBar::new(batch.counts.done).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
    });
    let mut tally = Tally::default();
    let show = |tally: &Tally| {
        if let Some(bar) = &bar {
            bar.set_position(tally.images);
            bar.set_message(format!("{} derivatives made", tally.made));
        }
    };
    let ended = pass.batch(queue, batch, &mut tally, show).await;
    if let Some(bar) = bar {
        bar.finish_and_clear();
    }
    ended.context("broke off; run it again to go on")?;
    Ok(tally)
}

/// Makes what is missing of a batch that has ended, for whoever waited for it. What the store does not take now is left
/// for the workers, or for another time.
pub(crate) async fn finish(
    context: &Context,
    queue: &Queue,
    store: &Arc<dyn Store>,
    batch: &BatchState,
) -> anyhow::Result<()> {
    if batch.derive.is_none() || !batch.ended() || context.signals.stop.is_cancelled() {
        return Ok(());
    }
    let id: BatchId = batch.id.parse()?;
    let pool = Pool::new(context.settings.worker.derive_threads());
    let stop = &context.signals.stop;
    let pass = Pass { store, pool: &pool, stop, again: false, dry_run: false };
    match carried_out(pass, queue, batch, &context.output).await {
        Ok(tally) if !tally.stopped => {
            queue.tell_derived(&id, tally.derived(), None).await?;
            if tally.failed + tally.beyond > 0 {
                context.output.note(&format!("{}; pictor derive {id} tries again", text(&tally, false)));
            }
        }
        Ok(_stopped) => context.output.note(&format!("derivatives are missing; pictor derive {id} goes on")),
        Err(error) => context
            .output
            .note(&format!("derivatives are missing: {error:#}; pictor derive {id} makes them later")),
    }
    Ok(())
}

fn told(
    batch: Option<&BatchId>,
    tally: &Tally,
    args: &DeriveArgs,
    context: &Context,
) -> anyhow::Result<Exit> {
    let mut value = serde_json::to_value(tally)?;
    value["batch"] = json!(batch);
    value["dry_run"] = json!(args.dry_run);
    context.output.result(&value, || {
        let mut lines = text(tally, args.dry_run);
        for problem in &tally.problems {
            lines += &format!("\n  {}  {}", problem.key.short(), problem.why);
        }
        if tally.stopped {
            lines += "\nstopped; run it again to go on";
        }
        lines
    })?;
    let left = if args.dry_run { 0 } else { tally.failed + tally.beyond };
    let all = (left == 0 || args.give_up) && !tally.stopped;
    Ok(if all { Exit::Done } else { Exit::SomeFailed })
}

/// `3 images: 2 derivatives made (12 kB), 7 there already, 1 cannot be made`.
fn text(tally: &Tally, dry_run: bool) -> String {
    let Tally { images, made, there, failed, beyond, without_image, bytes, .. } = tally;
    let made = match dry_run {
        true => format!("{made} derivatives would be made"),
        false => format!("{made} derivatives made ({})", size(*bytes)),
    };
    let mut text = format!("{images} images: {made}, {there} there already");
    if *failed > 0 {
        text += &format!(", {failed} cannot be made");
    }
    if *beyond > 0 {
        text += &format!(", {beyond} left to builds that make AVIF (--features avif)");
    }
    if *without_image > 0 {
        text += &format!("; {without_image} assets have no image yet");
    }
    text
}

fn size(bytes: u64) -> String {
    indicatif::BinaryBytes(bytes).to_string()
}
