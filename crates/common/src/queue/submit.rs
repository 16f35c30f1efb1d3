//! Puts batches into the queue.

use std::collections::HashMap;

use redis::AsyncCommands;
use serde::{Deserialize, Serialize};

use super::{
    Queue, QueueError,
    epoch::Looked,
    packed::{self, pack},
    script,
};
use crate::{
    Spec,
    batch::{BatchHead, BatchId, Line, NewAsset, OnUnknown},
};

/// What became of the assets of one chunk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Submitted {
    /// Created and waiting.
    pub new: u64,
    /// Already made; not paid again.
    pub made: u64,
    /// Already on their way, or taken up again.
    pub queued: u64,
    /// Failed before and left so.
    pub failed: u64,
}

impl std::ops::AddAssign for Submitted {
    fn add_assign(&mut self, other: Self) {
        self.new += other.new;
        self.made += other.made;
        self.queued += other.queued;
        self.failed += other.failed;
    }
}

/// Why a batch could not be sealed.
#[derive(Debug, thiserror::Error)]
pub enum SealError {
    /// Redis failed.
    #[error(transparent)]
    Queue(#[from] QueueError),
    /// The batch is unknown.
    #[error("batch {0} is unknown")]
    Missing(BatchId),
    /// Lines are missing: a chunk did not arrive.
    #[error(
        "batch {0} lacks lines that were submitted; submit under another --run-id, which pays for nothing twice"
    )]
    Short(BatchId),
}

#[derive(Serialize)]
struct Header<'a> {
    batch: &'a str,
    tenant: &'a str,
    band: &'a str,
    content: &'a str,
    source: &'a str,
    columns: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    cap: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    fallback: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    on_unknown: Option<OnUnknown>,
    #[serde(skip_serializing_if = "Option::is_none")]
    deadline: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    derive: Option<String>,
    retry_failed: bool,
    first: u64,
    upto: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    after: Option<u64>,
    #[serde(flatten)]
    looked: Looked<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    relied: Option<String>,
    lines: usize,
    kinds: &'a [Kind<'a>],
    made: HashMap<usize, String>,
}

/// What many assets have in common.
#[derive(PartialEq, Serialize)]
struct Kind<'a>(&'a str, String, String);

/// A chunk ready to be sent, and to be sent again.
#[derive(Clone, Debug)]
pub struct Chunk {
    batch: BatchId,
    command: redis::Cmd,
}

#[derive(Deserialize)]
struct Answer {
    status: String,
    #[serde(default)]
    key: String,
    #[serde(default)]
    new: u64,
    #[serde(default)]
    made: u64,
    #[serde(default)]
    queued: u64,
    #[serde(default)]
    failed: u64,
}

fn json(value: &impl Serialize) -> Result<String, QueueError> {
    serde_json::to_string(value).map_err(unwritable)
}

const fn unwritable(source: serde_json::Error) -> QueueError {
    QueueError::Answer { script: "submit", source }
}

impl Queue {
    /// Packs at most [`super::CHUNK`] assets, each with the row that asks for it first, and their lines.
    ///
    /// `after` is the last row of the chunk before, 0 for none: with it a chunk that overtook another
    /// is refused, whole. `relied` says of each asset whether Redis knew it when that was looked up: where one of
    /// those is forgotten since, the chunk is refused with [`QueueError::Forgot`], where it was removed with [`QueueError::Gone`].
    pub fn chunk(
        &self,
        head: &BatchHead,
        assets: &[(u64, NewAsset)],
        lines: &[Line],
        retry_failed: bool,
        after: Option<u64>,
        relied: &[bool],
    ) -> Result<Chunk, QueueError> {
        let rows = || assets.iter().map(|(row, _)| *row).chain(lines.iter().map(|line| line.row));
        let (mut kinds, mut places, mut made) =
            (Vec::new(), Vec::with_capacity(assets.len()), HashMap::new());
        for (n, (_, asset)) in assets.iter().enumerate() {
            places.push(place_of(asset, &mut kinds));
            if let Some(found) = &asset.made {
                let kept = packed::made(&asset.key, &asset.spec.model, found).map_err(unwritable)?;
                made.insert(n + 1, kept);
            }
        }
        let header = Header {
            batch: head.id.as_str(),
            tenant: &head.tenant,
            band: head.band.as_str(),
            content: &head.content,
            source: &head.source,
            columns: json(&head.columns)?,
            cap: head.cap.map(|cap| cap.0),
            fallback: head.fallback.as_deref(),
            on_unknown: head.on_unknown,
            deadline: head.deadline,
            derive: head.derive.as_ref().map(json).transpose()?,
            retry_failed,
            first: rows().min().unwrap_or(0),
            upto: rows().max().unwrap_or(0),
            after,
            looked: self.looked(),
            relied: relied.contains(&true).then(|| bits(relied)),
            lines: lines.len(),
            kinds: &kinds,
            made,
        };
        let (keys, packed) = pack(assets, lines)?;
        let mut command = script::SUBMIT.command(self.keys.prefix());
        command.arg(json(&header)?).arg(keys).arg(packed);
        for ((row, asset), place) in assets.iter().zip(places) {
            command.arg(asset.key.as_str()).arg(row).arg(place).arg(short_spec(&asset.spec)?);
        }
        Ok(Chunk { batch: head.id.clone(), command })
    }

    /// Submits a chunk: at most [`super::CHUNK`] assets, each with the row that asks for it first, and their lines.
    /// Chunks come in the order of their rows.
    ///
    /// Adds only what is missing; assets that failed for good stay failed unless `retry_failed`.
    pub async fn submit(
        &self,
        head: &BatchHead,
        assets: &[(u64, NewAsset)],
        lines: &[Line],
        retry_failed: bool,
    ) -> Result<Submitted, QueueError> {
        self.send(&self.chunk(head, assets, lines, retry_failed, None, &[])?).await
    }

    /// Sends a packed chunk.
    pub async fn send(&self, chunk: &Chunk) -> Result<Submitted, QueueError> {
        let answer: Answer = script::SUBMIT.send(&self.connection, &chunk.command).await?;
        match answer.status.as_str() {
            "other_content" => Err(QueueError::OtherContent(chunk.batch.to_string())),
            "cancelled" => Err(QueueError::Cancelled(chunk.batch.to_string())),
            "expired" => Err(QueueError::PastDeadline(chunk.batch.to_string())),
            "forgot" => Err(QueueError::Forgot),
            "gone" => Err(QueueError::Gone(answer.key)),
            "gap" => Err(QueueError::Gap(chunk.batch.to_string())),
            _ => Ok(Submitted {
                new: answer.new,
                made: answer.made,
                queued: answer.queued,
                failed: answer.failed,
            }),
        }
    }

    /// The last row of a batch that is in; 0 when none is.
    pub async fn last_row(&self, batch: &BatchId) -> Result<u64, QueueError> {
        let last: Option<u64> = self.connection.clone().hget(self.keys.batch(batch), "last").await?;
        Ok(last.unwrap_or(0))
    }

    /// Says that all `total` lines of a batch were submitted; only then can it be complete.
    pub async fn seal(&self, batch: &BatchId, total: u64) -> Result<(), SealError> {
        let epoch = self.epoch.as_ref().map(|epoch| epoch.name.as_str());
        let request = serde_json::json!({ "batch": batch, "total": total, "epoch": epoch });
        let answer: String = script::SEAL.run(&self.connection, self.keys.prefix(), &request).await?;
        match answer.as_str() {
            "ok" => Ok(()),
            "forgot" => Err(QueueError::Forgot.into()),
            "short" => Err(SealError::Short(batch.clone())),
            _ => Err(SealError::Missing(batch.clone())),
        }
    }
}

fn bits(all: &[bool]) -> String {
    all.iter().map(|bit| if *bit { '1' } else { '0' }).collect()
}

/// Number of an asset's kind, from 1, in a list that grows.
fn place_of<'a>(asset: &'a NewAsset, kinds: &mut Vec<Kind<'a>>) -> usize {
    let NewAsset { route, ceiling, tokens, .. } = asset;
    let kind = Kind(route.as_str(), ceiling.0.to_string(), tokens.to_string());
    let place = kinds.iter().rposition(|known| *known == kind).unwrap_or_else(|| {
        kinds.push(kind);
        kinds.len() - 1
    });
    place + 1
}

/// A spec as JSON without what is at its default; a reader fills that in.
pub(super) fn short_spec(spec: &Spec) -> Result<String, QueueError> {
    let whole = json(spec)?;
    let short = whole.strip_prefix("{\"operation\":\"generate\",").unwrap_or(&whole[1..]);
    let short = short.strip_suffix(",\"take\":0}").unwrap_or_else(|| &short[..short.len() - 1]);
    Ok(format!("{{{short}}}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::Operation;

    #[test]
    fn short_specs_read_as_the_whole_ones() {
        let full = Spec { model: "m".into(), prompt: Some("a \",\"take\":0}".into()), ..Spec::default() };
        assert_eq!(short_spec(&full).unwrap(), r#"{"model":"m","prompt":"a \",\"take\":0}"}"#);
        for spec in [
            full.clone(),
            Spec::default(),
            Spec { operation: Operation::Edit, ..full.clone() },
            Spec { take: 3, verbatim: true, ..full },
        ] {
            let short = short_spec(&spec).unwrap();
            assert_eq!(serde_json::from_str::<Spec>(&short).unwrap(), spec, "{short}");
        }
    }
}
