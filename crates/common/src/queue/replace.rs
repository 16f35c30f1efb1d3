//! Other assets in the place of failed ones, since a person wants them.

use redis::AsyncCommands as _;
use serde::Serialize;

use super::{FailurePlace, Offer, Queue, QueueError, epoch::Looked, script, swap::OfferArgs};
use crate::{
    AssetKey,
    batch::{BatchId, NewAsset},
};

/// Replacements that one call carries, and batches that each of them has there.
const AT_ONCE: usize = 100;
/// Batches that one call moves from one asset to another: a long one would keep all others waiting.
const MOVES: usize = 500;

/// An asset in place of one that failed.
#[derive(Clone, Debug)]
pub struct Replacement {
    /// What failed, and when it was seen to.
    pub original: FailurePlace,
    /// In what the other one is asked for otherwise, in words for people.
    pub how: String,
    /// Also where it is parked, and may be paid for already.
    pub parked: bool,
    /// The batches that get the other one; those that do not ask for what failed are passed over.
    pub batches: Vec<BatchId>,
    /// What they get in its place.
    pub current: NewAsset,
    /// That was found made, or on its way: where it was removed since, nothing is changed.
    pub free: bool,
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
    free: bool,
    how: &'a str,
}

#[derive(Serialize)]
struct Request<'a> {
    #[serde(flatten)]
    looked: Looked<'a>,
    items: &'a [Item<'a>],
}

impl Queue {
    /// Has other assets take the place of failed ones; tells what became of each, in the order given.
    ///
    /// Said twice, also by two people, it is done once: the first takes the failure away. Within another epoch it fails
    /// with [`QueueError::Forgot`].
    pub async fn replace(&self, all: &[Replacement]) -> Result<Vec<Replaced>, QueueError> {
        let mut became: Vec<Option<Replaced>> = vec![None; all.len()];
        for call in calls(all) {
            let mut items = Vec::with_capacity(call.len());
            for (n, batches) in &call {
                items.push(item(&all[*n], batches)?);
            }
            for ((n, _), answer) in call.iter().zip(self.replace_some(&items).await?) {
                if answer == Replaced::Older {
                    return Ok(vec![Replaced::Older; all.len()]);
                }
                became[*n] = Some(both(became[*n], answer));
            }
        }
        Ok(became.into_iter().map(|became| became.unwrap_or(Replaced::Changed)).collect())
    }

    /// In what assets that a person had made in place of others were asked for otherwise; none where nobody did.
    pub async fn replaced_how(
        &self,
        batch: &BatchId,
        keys: &[AssetKey],
    ) -> Result<Vec<Option<String>>, QueueError> {
        if keys.is_empty() {
            return Ok(Vec::new());
        }
        let names: Vec<String> = keys.iter().map(|key| format!("how:{key}")).collect();
        Ok(self.connection.clone().hmget(self.keys.swaps(batch), &names).await?)
    }

    async fn replace_some(&self, items: &[Item<'_>]) -> Result<Vec<Replaced>, QueueError> {
        let request = Request { looked: self.looked(), items };
        let answers: Vec<Vec<redis::Value>> =
            script::REPLACE.run(&self.connection, self.keys.prefix(), &request).await?;
        let mut became = Vec::with_capacity(items.len());
        for answer in answers {
            let (word, count) = told(answer)?;
            became.push(match word.as_str() {
                "forgot" => return Err(QueueError::Forgot),
                "older" => Replaced::Older,
                "replaced" => Replaced::In(count.unwrap_or(0)),
                "parked" => Replaced::Parked,
                "ended" => Replaced::Ended,
                "circle" => Replaced::Circle,
                "crowd" => Replaced::Crowd,
                _ => Replaced::Changed,
            });
        }
        Ok(became)
    }
}

/// Replacements by number, each with as many of its batches that no call moves more than it may.
fn calls(all: &[Replacement]) -> Vec<Vec<(usize, &[BatchId])>> {
    let (mut calls, mut moves) = (vec![Vec::new()], 0);
    for (n, one) in all.iter().enumerate() {
        for batches in one.batches.chunks(AT_ONCE) {
            let full = calls.last().is_none_or(|call: &Vec<_>| call.len() == AT_ONCE);
            if full || moves + batches.len() > MOVES {
                calls.push(Vec::new());
                moves = 0;
            }
            moves += batches.len();
            if let Some(call) = calls.last_mut() {
                call.push((n, batches));
            }
        }
    }
    calls.retain(|call| !call.is_empty());
    calls
}

fn item<'a>(one: &'a Replacement, batches: &'a [BatchId]) -> Result<Item<'a>, QueueError> {
    let offer = Offer { model: one.current.spec.model.clone(), asset: Some(one.current.clone()) };
    let (key, seen, offer) = (&one.original.key, one.original.at.to_string(), OfferArgs::of(&offer)?);
    Ok(Item { key, seen, parked: one.parked, batches, offer, free: one.free, how: &one.how })
}

/// What became of two parts of one replacement.
const fn both(before: Option<Replaced>, then: Replaced) -> Replaced {
    match (before, then) {
        (Some(Replaced::In(some)), Replaced::In(more)) => Replaced::In(some + more),
        (Some(Replaced::In(some)), _) => Replaced::In(some),
        _ => then,
    }
}

fn told(answer: Vec<redis::Value>) -> Result<(String, Option<u64>), redis::RedisError> {
    let mut parts = answer.into_iter();
    let word = parts.next().map(redis::from_redis_value).transpose()?.unwrap_or_default();
    let count = parts.next().map(redis::from_redis_value).transpose()?;
    Ok((word, count))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Spec, batch::Route, spec::Operation};

    fn of_batches(count: usize) -> Replacement {
        let spec = Spec::default();
        let key = AssetKey::of(&spec);
        let (ceiling, route) = (crate::MicroUsd(1), Route::new("f", Operation::Generate));
        let current = NewAsset { key: key.clone(), spec, route, ceiling, tokens: 0, made: None };
        let batches = (0..count).map(|n| format!("b{n}").parse().unwrap()).collect();
        Replacement {
            how: String::new(),
            original: FailurePlace { at: 1, key },
            parked: false,
            batches,
            current,
            free: false,
        }
    }

    #[test]
    fn no_call_moves_more_than_others_can_wait_for_and_none_is_left_out() {
        let all: Vec<Replacement> =
            [100, 100, 100, 100, 99, 2, 250, 1].into_iter().chain([1; 150]).map(of_batches).collect();
        let calls = calls(&all);
        let moves =
            |call: &[(usize, &[BatchId])]| call.iter().map(|(_, batches)| batches.len()).sum::<usize>();
        assert!(calls.iter().all(|call| call.len() <= 100 && moves(call) <= 500));
        assert_eq!(calls.iter().map(|call| moves(call)).collect::<Vec<_>>()[..2], [499, 348]);
        let mut found = vec![0; all.len()];
        for (n, batches) in calls.iter().flatten() {
            found[*n] += batches.len();
        }
        assert_eq!(found, all.iter().map(|one| one.batches.len()).collect::<Vec<_>>());
    }

    #[test]
    fn what_was_done_in_part_is_told() {
        let parts = [Replaced::In(100), Replaced::Circle, Replaced::In(3)];
        assert_eq!(parts.into_iter().fold(None, |all, one| Some(both(all, one))), Some(Replaced::In(103)));
        assert_eq!(both(Some(Replaced::Circle), Replaced::Changed), Replaced::Changed);
    }
}
