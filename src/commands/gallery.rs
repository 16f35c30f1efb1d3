//! `pictor gallery`: one page that shows what became of a batch, with small pictures in it.

mod card;
mod escape;
mod full;
mod page;
mod picture;
mod place;

use std::{
    collections::VecDeque,
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use anyhow::Context as _;
use clap::{Args, ValueEnum};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use pictor_common::{
    batch::BatchId,
    queue::{BatchState, Queue},
};
use serde::Serialize;
use tokio::task::JoinHandle;

use super::{Context, known_batch, newest, results::pages::Pages};
use crate::{
    exit::{Exit, refused},
    output::Output,
    parts,
};
use {
    card::{Card, State},
    full::FullImages,
    page::{Head, Page},
    picture::{Picture, Pictures},
    place::Place,
};

/// Images on their way at once.
const AT_ONCE: usize = 16;
/// So many images in a row that a store does not give for reasons of its own, and there is no use in asking on.
const AWAY: u32 = 20;
const NOTE_EVERY: Duration = Duration::from_secs(10);

#[derive(Debug, Args)]
pub(crate) struct GalleryArgs {
    /// The batch
    batch: Option<String>,
    /// The page; an earlier gallery there is replaced [default: gallery-BATCH.html]
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// The longer side of the small pictures in the page, in pixels
    #[arg(long, value_name = "PIXELS", default_value_t = 320, value_parser = clap::value_parser!(u32).range(64..=1024))]
    thumb: u32,
    /// Whether the page leads to the images themselves
    #[arg(long, value_name = "HOW", default_value = "links")]
    full: Full,
    /// Images in the page at most: those of the first rows
    #[arg(long, value_name = "N", default_value_t = 5_000, value_parser = clap::value_parser!(u64).range(1..))]
    limit: u64,
    /// The store the images are in, where the settings name none [default: pictor-out]
    #[arg(long, value_name = "DIR|URL")]
    store: Option<String>,
    /// Link to URLs that begin so [default: the setting `store.public_base_url`]
    #[arg(long, value_name = "URL")]
    public_base_url: Option<String>,
    /// Link to URLs that anybody can follow for so long, such as 36h or 7d (the most); for buckets
    #[arg(long, value_name = "DURATION", conflicts_with = "public_base_url")]
    expires: Option<String>,
    /// Replace a file that is no gallery
    #[arg(long)]
    force: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Full {
    /// To each image: as a path beside the page, or as a URL
    Links,
    /// To none: the page can be sent to somebody as it is
    None,
}

/// How it went, for people and programs.
#[derive(Debug, Default, Serialize)]
struct Summary {
    batch: String,
    file: String,
    bytes: u64,
    /// Images told of in the page.
    cards: u64,
    /// Images of rows behind the last one.
    left_out: u64,
    made: u64,
    failed: u64,
    parked: u64,
    removed: u64,
    waiting: u64,
    substituted: u64,
    /// Made, and without a picture: the store does not have it, or it does not decode.
    without_picture: u64,
}

pub(crate) async fn run(args: GalleryArgs, context: &Context) -> anyhow::Result<Exit> {
    let opened = context.look().await?;
    let written = Box::pin(write(&args, context, &opened.queue)).await;
    opened.close().await?;
    written
}

async fn write(args: &GalleryArgs, context: &Context, queue: &Queue) -> anyhow::Result<Exit> {
    let batch = match &args.batch {
        Some(name) => known_batch(queue, name).await?,
        None => return Err(refused(format!("name a batch{}", newest(queue).await?))),
    };
    let path = args.out.clone().unwrap_or_else(|| format!("gallery-{}.html", batch.id).into());
    let place = Place::of(&path, args.force)?;
    let url = parts::store_url(&context.settings, args.store.as_deref());
    let store = parts::open_store(&context.settings, url).await?;
    let full = FullImages::asked(args, context, url, &store, place.folder()).await?;
    let pictures = Arc::new(Pictures::new(Arc::clone(&store), args.thumb, full));
    let head = Head::of(&batch, &pictures.full, SystemTime::now())?;
    let mut page = Page::begin(place, &head)?;
    let showing = Showing { args, context, queue, batch: &batch, pictures: &pictures };
    let mut summary = Box::pin(showing.cards(&mut page)).await?;
    summary.bytes = page.end(&head, summary.left_out)?;
    summary.file = path.display().to_string();
    if let Some(warning) = pictures.full.warning() {
        context.output.note(warning);
    }
    context.output.result(&summary, || summary.text())?;
    let wrong = summary.without_picture + batch.counts.failed + batch.counts.parked > 0;
    Ok(if wrong { Exit::SomeFailed } else { Exit::Done })
}

/// A batch on its way into a page.
struct Showing<'a> {
    args: &'a GalleryArgs,
    context: &'a Context,
    queue: &'a Queue,
    batch: &'a BatchState,
    pictures: &'a Arc<Pictures>,
}

type Begun = JoinHandle<anyhow::Result<(Card, Picture)>>;

impl Showing<'_> {
    /// Writes a card for each image, in the order of rows; some are on their way at once.
    async fn cards(&self, page: &mut Page) -> anyhow::Result<Summary> {
        let mut line = VecDeque::with_capacity(AT_ONCE);
        let written = Box::pin(self.feed(page, &mut line)).await;
        for begun in line {
            begun.abort();
        }
        written
    }

    async fn feed(&self, page: &mut Page, line: &mut VecDeque<Begun>) -> anyhow::Result<Summary> {
        let id: BatchId = self.batch.id.parse()?;
        let all = self.images(&id).await?;
        let mut pages = Pages::new(self.queue, &id, self.batch.sealed);
        let mut tally = Tally::new(&self.batch.id, &self.context.output, all.min(self.args.limit))?;
        let mut begun = 0;
        'pages: while let Some(items) = pages.items().await? {
            for item in items {
                anyhow::ensure!(!self.context.signals.stop.is_cancelled(), "stopped; no page was written");
                if begun == self.args.limit {
                    break 'pages;
                }
                if line.len() == AT_ONCE {
                    tally.next(line, page).await?;
                }
                let pictures = Arc::clone(self.pictures);
                line.push_back(tokio::spawn(async move { pictures.card(item).await }));
                begun += 1;
            }
        }
        while !line.is_empty() {
            tally.next(line, page).await?;
        }
        tally.progress.end();
        tally.summary.left_out = all.saturating_sub(tally.summary.cards);
        Ok(tally.summary)
    }

    /// Images of all lines.
    async fn images(&self, id: &BatchId) -> anyhow::Result<u64> {
        let mut pages = Pages::new(self.queue, id, self.batch.sealed);
        let mut images = 0;
        while let Some(lines) = pages.next().await? {
            images += lines.iter().map(|line| line.keys.len() as u64).sum::<u64>();
        }
        Ok(images)
    }
}

/// What was written so far.
struct Tally<'a> {
    summary: Summary,
    progress: Progress<'a>,
    /// Images in a row that the store did not give.
    away: u32,
}

impl<'a> Tally<'a> {
    fn new(batch: &str, output: &'a Output, of: u64) -> anyhow::Result<Self> {
        let summary = Summary { batch: batch.to_owned(), ..Summary::default() };
        Ok(Self { summary, progress: Progress::new(output, of)?, away: 0 })
    }

    /// Writes the oldest card that is on its way.
    async fn next(&mut self, line: &mut VecDeque<Begun>, page: &mut Page) -> anyhow::Result<()> {
        let Some(begun) = line.pop_front() else { return Ok(()) };
        let (card, picture) = begun.await.context("a picture broke off")??;
        let summary = &mut self.summary;
        summary.cards += 1;
        summary.substituted += u64::from(card.instead_of.is_some());
        match card.state {
            State::Made => summary.made += 1,
            State::Failed => summary.failed += 1,
            State::Parked => summary.parked += 1,
            State::Removed => summary.removed += 1,
            State::Waiting => summary.waiting += 1,
        }
        match &picture {
            Picture::Away(error) => {
                self.away += 1;
                anyhow::ensure!(
                    self.away < AWAY,
                    "the store did not give the last {AWAY} images: {error}; no page was written"
                );
                summary.without_picture += 1;
            }
            Picture::Missing | Picture::Broken(_) => summary.without_picture += 1,
            Picture::Small(_) => self.away = 0,
            Picture::None | Picture::Unseen(_) => {}
        }
        self.progress.at(summary.cards);
        page.card(&card, &picture)
    }
}

impl Summary {
    fn text(&self) -> String {
        let megabytes = self.bytes as f64 / 1e6;
        let mut text = format!("{}: {} images, {megabytes:.1} MB", self.file, self.cards);
        let parts = [
            (self.failed, "failed"),
            (self.parked, "parked"),
            (self.removed, "removed"),
            (self.waiting, "waiting"),
            (self.substituted, "substituted"),
            (self.without_picture, "made, but the store has no picture of it"),
        ];
        for (count, word) in parts.iter().filter(|(count, _)| *count > 0) {
            text += &format!("; {count} {word}");
        }
        if self.left_out > 0 {
            text +=
                &format!("\n{} more were left out: --limit {}", self.left_out, self.cards + self.left_out);
        }
        text
    }
}

/// Tells people how far it is.
struct Progress<'a> {
    output: &'a Output,
    bar: Option<ProgressBar>,
    of: u64,
    said: Instant,
}

impl<'a> Progress<'a> {
    fn new(output: &'a Output, of: u64) -> anyhow::Result<Self> {
        let style = ProgressStyle::with_template("{bar:30} {pos}/{len} images")?;
        let bar = || ProgressBar::with_draw_target(Some(of), ProgressDrawTarget::stderr()).with_style(style);
        Ok(Self { output, bar: output.terminal.then(bar), of, said: Instant::now() })
    }

    fn at(&mut self, cards: u64) {
        if let Some(bar) = &self.bar {
            bar.set_position(cards);
        } else if self.said.elapsed() > NOTE_EVERY {
            self.said = Instant::now();
            self.output.note(&format!("{cards} of {} images", self.of));
        }
    }

    fn end(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
