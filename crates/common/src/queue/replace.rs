//! Other assets in the place of failed ones, since a person wants them.

use serde::Serialize;

use super::{FailurePlace, Offer, Queue, QueueError, script, swap::OfferArgs};
use crate::{
    AssetKey,
    batch::{BatchId, NewAsset},
};

/// Replacements that one call carries.
const AT_ONCE: usize = 100;

/// An asset in place of one that failed.
#[derive(Clone, Debug)]
pub struct Replacement {
    /// What failed, and when it was seen to.
    pub failed: FailurePlace,
    /// Also where it is parked, and may be paid for already.
    pub parked: bool,
    /// The batches that get the other one; those that do not ask for what failed are passed over.
    pub batches: Vec<BatchId>,
    /// The other one.
    pub by: NewAsset,
}

/// What became of a replacement.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Replaced {
    /// So many batches have the other one now.
    In(u64),
    /// It is not the failure any more that was seen, or none of the batches asks for it.
    Changed,
    /// It is parked.
    Parked,
    /// The other one has failed, too.
    Ended,
    /// The other one was itself replaced in these batches, or too many stand one for another.
    Circle,
    /// Some who ask have not heard yet how it ended: to be tried again soon.
    Crowd,
    /// A worker of an older version is alive, which would not know of it; nothing was changed.
    Older,
}

#[derive(Serialize)]
struct Item<'a> {
    key: &'a AssetKey,
    seen: String,
    parked: bool,
    batches: &'a [BatchId],
    offer: OfferArgs,
}

impl Queue {
    /// Has other assets take the place of failed ones; tells what became of each, in the order given.
    ///
    /// Said twice, also by two people, it is done once: the first takes the failure away.
    pub async fn replace(&self, all: &[Replacement]) -> Result<Vec<Replaced>, QueueError> {
        let mut became = Vec::with_capacity(all.len());
        for chunk in all.chunks(AT_ONCE) {
            let mut items = Vec::with_capacity(chunk.len());
            for one in chunk {
                let offer = Offer { model: one.by.spec.model.clone(), asset: Some(one.by.clone()) };
                items.push(Item {
                    key: &one.failed.key,
                    seen: one.failed.at.to_string(),
                    parked: one.parked,
                    batches: &one.batches[..one.batches.len().min(AT_ONCE)],
                    offer: OfferArgs::of(&offer)?,
                });
            }
            let request = serde_json::json!({ "items": items });
            let answers: Vec<(String, Option<u64>)> = script::REPLACE
                .run::<Vec<Vec<redis::Value>>>(&self.connection, self.keys.prefix(), &request)
                .await?
                .into_iter()
                .map(told)
                .collect::<Result<_, redis::RedisError>>()?;
            if answers.first().is_some_and(|(word, _)| word == "older") {
                became.resize(all.len(), Replaced::Older);
                return Ok(became);
            }
            became.extend(answers.iter().map(|(word, count)| match word.as_str() {
                "replaced" => Replaced::In(count.unwrap_or(0)),
                "parked" => Replaced::Parked,
                "ended" => Replaced::Ended,
                "circle" => Replaced::Circle,
                "crowd" => Replaced::Crowd,
                _ => Replaced::Changed,
            }));
        }
        Ok(became)
    }
}

fn told(answer: Vec<redis::Value>) -> Result<(String, Option<u64>), redis::RedisError> {
    let mut parts = answer.into_iter();
    let word = parts.next().map(redis::from_redis_value).transpose()?.unwrap_or_default();
    let count = parts.next().map(redis::from_redis_value).transpose()?;
    Ok((word, count))
}
