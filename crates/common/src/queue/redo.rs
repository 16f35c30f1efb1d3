//! Other takes of pictures that are made and not liked.
//!
//! A take is an asset of its own. The lines of one batch follow to it, as they do to what stands in for a failure; every
//! other batch keeps what it has.

use redis::AsyncCommands as _;
use serde::Serialize;

use super::{Offer, Queue, QueueError, epoch::Looked, script, swap::OfferArgs};
use crate::{
    AssetKey,
    batch::{BatchId, NewAsset},
};

/// What is to stand where a batch asked for an asset.
#[derive(Clone, Debug, PartialEq)]
pub struct Redo {
    /// What the batch asked for when it was submitted.
    pub asked: AssetKey,
    /// The row that asks.
    pub row: u64,
    /// What stands there now, as the caller saw it.
    pub from: AssetKey,
    /// What is to stand there.
    pub to: NewAsset,
    /// So many takes, the first one included, at most.
    pub most: u32,
    /// Whether `to` is an earlier one: then what stands need not be made.
    pub back: bool,
    /// Whether `to` was found made: where it is not any more, nothing is bought, and it fails with [`QueueError::Gone`].
    pub free: bool,
}

/// What became of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Redone {
    /// It stands.
    Ok,
    /// It stood already.
    Again,
    /// Something else stands there than the caller saw.
    Changed,
    /// What stands, or an earlier one that is to stand, is not made.
    Unmade,
    /// What is to stand has failed, for others.
    Ended,
    /// A request for it is out.
    Busy,
    /// There were as many takes as there may be.
    Most,
    /// The batch asks for it already, elsewhere, or for what stands in more than one place.
    Taken,
    /// The batch is past its deadline.
    Late,
    /// An older version works in the namespace.
    Older,
    /// The batch was cancelled.
    Cancelled,
    /// The batch is unknown.
    Missing,
}

#[derive(Serialize)]
struct RedoRequest<'a> {
    batch: &'a BatchId,
    asked: &'a AssetKey,
    row: String,
    from: &'a AssetKey,
    to: OfferArgs,
    most: u32,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    back: bool,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    free: bool,
    #[serde(flatten)]
    looked: Looked<'a>,
}

impl Queue {
    /// Gives the lines of a batch that have an asset another take of it, which is made like anything that is submitted.
    pub async fn redo(&self, batch: &BatchId, redo: &Redo) -> Result<Redone, QueueError> {
        let Redo { asked, row, from, to, most, back, free } = redo;
        let offer = Offer { model: to.spec.model.clone(), asset: Some(to.clone()) };
        let (to, row) = (OfferArgs::of(&offer)?, row.to_string());
        let looked = self.looked();
        let request =
            RedoRequest { batch, asked, row, from, to, most: *most, back: *back, free: *free, looked };
        let answer: String = script::REDO.run(&self.connection, self.keys.prefix(), &request).await?;
        Ok(match answer.as_str() {
            "ok" => Redone::Ok,
            "again" => Redone::Again,
            "changed" => Redone::Changed,
            "unmade" => Redone::Unmade,
            "busy" => Redone::Busy,
            "ended" => Redone::Ended,
            "late" => Redone::Late,
            "older" => Redone::Older,
            "forgot" => return Err(QueueError::Forgot),
            "gone" => return Err(QueueError::Gone(redo.to.key.to_string())),
            "most" => Redone::Most,
            "taken" => Redone::Taken,
            "cancelled" => Redone::Cancelled,
            _ => Redone::Missing,
        })
    }

    /// The takes that an asset has had in a batch that asked for it, in their order; none when there was only it.
    pub async fn takes(&self, batch: &BatchId, asked: &AssetKey) -> Result<Vec<AssetKey>, QueueError> {
        let takes: Option<String> =
            self.connection.clone().hget(self.keys.redos(batch), asked.as_str()).await?;
        Ok(split(&takes.unwrap_or_default()))
    }

    /// For each asset that a batch asked for, the takes it has had there.
    pub async fn takes_of(
        &self,
        batch: &BatchId,
        asked: &[AssetKey],
    ) -> Result<Vec<Vec<AssetKey>>, QueueError> {
        if asked.is_empty() {
            return Ok(Vec::new());
        }
        let names: Vec<&str> = asked.iter().map(AssetKey::as_str).collect();
        let texts: Vec<Option<String>> =
            self.connection.clone().hmget(self.keys.redos(batch), &names).await?;
        Ok(texts.into_iter().map(|text| split(&text.unwrap_or_default())).collect())
    }

    /// A batch's first line that has an asset, now or as it was submitted, among its first two hundred thousand.
    pub async fn line_having(
        &self,
        batch: &BatchId,
        key: &AssetKey,
    ) -> Result<Option<crate::batch::Line>, QueueError> {
        self.line_with(batch, key).await
    }
}

fn split(takes: &str) -> Vec<AssetKey> {
    takes.split_whitespace().filter_map(|key| key.to_owned().try_into().ok()).collect()
}
