//! Which picture of which line of which batch is meant.

use pictor_common::{
    AssetKey,
    batch::{BatchId, Line},
    queue::Queue,
};

use super::{super::find, RedoArgs};
use crate::{
    commands::{Context, known_batch},
    exit::refused,
    table::shortened,
};

/// A picture of a line.
#[derive(Debug)]
pub(super) struct Chosen {
    pub(super) batch: BatchId,
    pub(super) line: Line,
    /// Which of the line's images.
    pub(super) place: usize,
    /// What the line asked for when it was submitted.
    pub(super) asked: AssetKey,
    /// What it has now.
    pub(super) current: AssetKey,
    /// The key that was named, if one was.
    named: Option<AssetKey>,
    /// What it has had, the standing one among them, and what was submitted.
    pub(super) takes: Vec<AssetKey>,
    /// How many of them count as takes.
    pub(super) had: usize,
}

impl Chosen {
    pub(super) async fn find(args: &RedoArgs, context: &Context, queue: &Queue) -> anyhow::Result<Self> {
        let batches: Vec<BatchId> = match &args.batch {
            Some(name) => vec![known_batch(queue, name).await?.id.parse()?],
            None => {
                let newest = queue.batches(find::BATCHES).await?;
                newest.iter().filter_map(|batch| batch.id.parse().ok()).collect()
            }
        };
        let text = args.id.as_deref().or(args.asset.as_deref()).unwrap_or_default();
        let mut found = Vec::new();
        let most = if args.batch.is_some() { usize::MAX } else { find::LINES };
        for named in queue.lines_named(text, &batches, most).await?.found {
            let batch: BatchId = named.batch.parse()?;
            let Some(line) = queue.lines(&batch, named.line.row, 1).await?.pop() else { continue };
            let places = (0..line.keys.len()).filter(|place| args.take.is_none_or(|take| take == *place));
            found.extend(places.map(|place| (batch.clone(), line.clone(), place, None)));
        }
        if found.is_empty() && args.id.is_none() {
            let wanted = find::Wanted { text, batch: args.batch.as_deref(), take: args.take };
            let key = wanted.find(context, queue).await?;
            for batch in &batches {
                let Some(line) = queue.line_having(batch, &key).await? else { continue };
                let now = now(queue, batch, &line).await?;
                let place = now.iter().position(|other| *other == key);
                let place = place.or_else(|| line.keys.iter().position(|asked| *asked == key));
                found.extend(place.map(|place| (batch.clone(), line.clone(), place, Some(key.clone()))));
            }
        }
        let mut chosen = Self::only(text, found, queue).await?;
        if let Some(digits) = &args.from {
            chosen.named = Some(chosen.had_before(digits)?);
        }
        Ok(chosen)
    }

    /// The take that somebody names by its first digits.
    fn had_before(&self, digits: &str) -> anyhow::Result<AssetKey> {
        let digits = digits.to_ascii_lowercase();
        let mut fit =
            self.takes.iter().filter(|take| digits.len() >= 8 && take.as_str().starts_with(&digits));
        let only = fit.next().filter(|_| fit.next().is_none());
        only.cloned().ok_or_else(|| {
            refused(format!("--from: {} has {}, by at least 8 digits", self.told(), self.current.short()))
        })
    }

    async fn only(
        text: &str,
        mut found: Vec<(BatchId, Line, usize, Option<AssetKey>)>,
        queue: &Queue,
    ) -> anyhow::Result<Self> {
        if found.len() > 1 {
            let named = found.iter().take(20).map(|(batch, line, place, _)| {
                format!("  batch {batch}, row {} ({}), take {place}", line.row, shortened(&line.id, 40))
            });
            return Err(refused(format!(
                "{text} fits {} pictures; name one by --batch, --id and --take\n{}",
                found.len(),
                named.collect::<Vec<_>>().join("\n")
            )));
        }
        let Some((batch, line, place, named)) = found.pop() else {
            return Err(refused(format!(
                "no line has {text}; pictor asset show says who asked for a picture"
            )));
        };
        let asked = line.keys[place].clone();
        let current = now(queue, &batch, &line).await?[place].clone();
        let mut takes = queue.takes(&batch, &asked).await?;
        if !takes.contains(&current) {
            takes.push(current.clone());
        }
        let had = takes.len();
        if !takes.contains(&asked) {
            takes.insert(0, asked.clone());
        }
        Ok(Self { batch, line, place, asked, current, named, takes, had })
    }

    /// The take that stands, where it is another one than was named: somebody has redone that already.
    pub(super) fn moved_on(&self) -> Option<&AssetKey> {
        self.named.as_ref().filter(|named| **named != self.current).map(|_| &self.current)
    }

    /// Whether it was said which picture is not liked.
    pub(super) const fn is_named(&self) -> bool {
        self.named.is_some()
    }

    /// The line, for people.
    pub(super) fn told(&self) -> String {
        let of = if self.line.keys.len() > 1 { format!(", image {}", self.place) } else { String::new() };
        format!("{} (row {}{of}) of batch {}", shortened(&self.line.id, 40), self.line.row, self.batch)
    }
}

/// What a line has now.
async fn now(queue: &Queue, batch: &BatchId, line: &Line) -> anyhow::Result<Vec<AssetKey>> {
    let others = queue.stand_ins(batch, &line.keys).await?;
    Ok(line.keys.iter().zip(others).map(|(key, other)| other.unwrap_or_else(|| key.clone())).collect())
}
