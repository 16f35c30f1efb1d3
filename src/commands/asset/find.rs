//! From what a person has at hand, a line's id or a few digits, to one asset.

use std::collections::BTreeMap;

use pictor_common::{
    AssetKey,
    batch::BatchId,
    queue::{NamedLine, Queue},
};

use crate::{
    commands::{Context, known_batch},
    exit::refused,
    parts,
    table::table,
};

/// Batches that are looked through, the newest.
pub(super) const BATCHES: usize = 20;
/// Lines, or assets, of them that are looked through.
pub(super) const LINES: usize = 100_000;
/// Fewer digits fit too many assets.
const DIGITS: usize = 8;
/// Candidates that are listed.
const LISTED: usize = 20;

/// What a person said of an asset.
#[derive(Debug)]
pub(in crate::commands) struct Wanted<'a> {
    pub(in crate::commands) text: &'a str,
    pub(in crate::commands) batch: Option<&'a str>,
    pub(in crate::commands) take: Option<usize>,
}

/// Assets that fit, each with the place where it was found.
type Candidates = BTreeMap<AssetKey, [String; 4]>;

impl Wanted<'_> {
    /// The one asset that is meant.
    pub(in crate::commands) async fn find(
        &self,
        context: &Context,
        queue: &Queue,
    ) -> anyhow::Result<AssetKey> {
        Ok(self.look(context, queue).await?.0)
    }

    /// The one asset that is meant, where all that could be was looked through.
    pub(super) async fn find_surely(&self, context: &Context, queue: &Queue) -> anyhow::Result<AssetKey> {
        let (key, bounded) = self.look(context, queue).await?;
        if bounded {
            return Err(refused(format!(
                "{} fits asset {key}, and may fit others: only the first {LINES} lines were looked through; name the batch \
                 with --batch, or give the whole key",
                self.text
            )));
        }
        Ok(key)
    }

    /// The asset, and whether more may fit than were looked at.
    async fn look(&self, context: &Context, queue: &Queue) -> anyhow::Result<(AssetKey, bool)> {
        let digits = self.text.to_ascii_lowercase();
        if let Ok(key) = digits.parse() {
            return Ok((key, false));
        }
        let batches: Vec<BatchId> = match self.batch {
            Some(name) => vec![known_batch(queue, name).await?.id.parse()?],
            None => {
                let newest = queue.batches(BATCHES).await?;
                newest.iter().filter_map(|batch| batch.id.parse().ok()).collect()
            }
        };
        let most = if self.batch.is_some() { usize::MAX } else { LINES };
        let lines = queue.lines_named(self.text, &batches, most).await?;
        let mut bounded = lines.bounded;
        let mut candidates = Candidates::new();
        for named in &lines.found {
            self.add_line(named, &mut candidates);
        }
        if digits.len() >= DIGITS && digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            let keys = queue.keys_starting(&digits, &batches, LINES).await?;
            bounded |= keys.bounded;
            for key in keys.found.into_iter().chain(self.stored(&digits, context).await) {
                candidates.entry(key).or_insert_with(|| ["its key", "", "", ""].map(str::to_owned));
            }
        }
        Ok((self.only(candidates, bounded, batches.len())?, bounded))
    }

    fn add_line(&self, named: &NamedLine, candidates: &mut Candidates) {
        let takes = named.line.keys.iter().enumerate();
        for (take, key) in takes.filter(|(take, _)| self.take.is_none_or(|wanted| wanted == *take)) {
            let place = [
                format!("batch {}", named.batch),
                format!("row {}", named.line.row),
                named.line.id.clone(),
                format!("take {take}"),
            ];
            candidates.entry(key.clone()).or_insert(place);
        }
    }

    /// Images in the store are found by the first digits of their name.
    async fn stored(&self, digits: &str, context: &Context) -> Vec<AssetKey> {
        let url = parts::store_url(&context.settings, None);
        let prefix = format!("assets/{}/{digits}", &digits[..2]);
        let listed = async {
            let store = parts::open_store(&context.settings, url).await?;
            anyhow::Ok(store.list(&prefix, None, LISTED).await?)
        };
        match listed.await {
            Ok(names) => names.iter().filter_map(|name| key_of(name)).collect(),
            Err(error) => {
                tracing::debug!(%error, "the store was not looked through");
                Vec::new()
            }
        }
    }

    fn only(&self, candidates: Candidates, bounded: bool, batches: usize) -> anyhow::Result<AssetKey> {
        let text = self.text;
        let mut keys = candidates.keys();
        match (keys.next(), keys.next()) {
            (Some(key), None) => Ok(key.clone()),
            (Some(_), Some(_)) => {
                let rows = candidates.iter().take(LISTED);
                let rows: Vec<Vec<String>> =
                    rows.map(|(key, place)| [&[key.short().to_owned()], &place[..]].concat()).collect();
                let listed = table(&["key", "found as", "", "id", ""], &[], &rows);
                Err(refused(format!(
                    "{text} fits {} assets; name one by its key, or with --batch and --take\n{}",
                    candidates.len(),
                    listed.trim_end()
                )))
            }
            (None, _) => Err(refused(self.nothing(bounded, batches))),
        }
    }

    fn nothing(&self, bounded: bool, batches: usize) -> String {
        let text = self.text;
        let take = self.take.map(|take| format!(" with a take {take}")).unwrap_or_default();
        let place = match self.batch {
            Some(batch) => format!("in batch {batch}"),
            None => format!("in the newest {batches} batches"),
        };
        let short = text.len() < DIGITS && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        let mut said = format!("no line {place} has the id {text}{take}");
        if short {
            said += &format!(", and of a key at least {DIGITS} digits are needed");
        } else if text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            said += ", and no asset was found whose key begins so";
        }
        if bounded {
            said += &format!(
                "; only the first {LINES} lines were looked through: name the batch with --batch, or give the whole key"
            );
        }
        said
    }
}

fn key_of(name: &str) -> Option<AssetKey> {
    let file = name.rsplit('/').next()?;
    file.split('.').next()?.parse().ok()
}
