//! Puts batches into the queue.

use serde::{Deserialize, Serialize};

use super::{Queue, QueueError, script};
use crate::batch::{BatchHead, BatchId, Line, NewAsset};

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
    #[error("batch {0} has fewer lines than it was sealed with: submit it again")]
    Short(BatchId),
}

#[derive(Serialize)]
struct AssetArgs<'a> {
    key: &'a str,
    row: u64,
    route: &'a str,
    spec: String,
    ceiling: u64,
    tokens: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    made: Option<String>,
}

#[derive(Serialize)]
struct LineArgs {
    row: u64,
    line: String,
}

#[derive(Serialize)]
struct Request<'a> {
    batch: &'a str,
    tenant: &'a str,
    band: &'a str,
    content: &'a str,
    source: &'a str,
    columns: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    cap: Option<u64>,
    retry_failed: bool,
    assets: Vec<AssetArgs<'a>>,
    lines: Vec<LineArgs>,
}

#[derive(Deserialize)]
struct Answer {
    status: String,
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
    serde_json::to_string(value).map_err(|source| QueueError::Answer { script: "submit", source })
}

impl Queue {
    /// Submits a chunk: at most [`super::CHUNK`] assets, each with the row that asks for it first, and their lines.
    ///
    /// Adds only what is missing; assets that failed for good stay failed unless `retry_failed`.
    pub async fn submit(
        &self,
        head: &BatchHead,
        assets: &[(u64, NewAsset)],
        lines: &[Line],
        retry_failed: bool,
    ) -> Result<Submitted, QueueError> {
        let request = Request {
            batch: head.id.as_str(),
            tenant: &head.tenant,
            band: head.band.as_str(),
            content: &head.content,
            source: &head.source,
            columns: json(&head.columns)?,
            cap: head.cap.map(|cap| cap.0),
            retry_failed,
            assets: assets.iter().map(|(row, asset)| asset_args(*row, asset)).collect::<Result<_, _>>()?,
            lines: lines
                .iter()
                .map(|line| Ok(LineArgs { row: line.row, line: json(line)? }))
                .collect::<Result<_, QueueError>>()?,
        };
        let answer: Answer = script::SUBMIT.ask(&self.connection, self.keys.prefix(), &request).await?;
        match answer.status.as_str() {
            "other_content" => Err(QueueError::OtherContent(head.id.to_string())),
            "cancelled" => Err(QueueError::Cancelled(head.id.to_string())),
            _ => Ok(Submitted {
                new: answer.new,
                made: answer.made,
                queued: answer.queued,
                failed: answer.failed,
            }),
        }
    }

    /// Says that all `total` lines of a batch were submitted; only then can it be complete.
    pub async fn seal(&self, batch: &BatchId, total: u64) -> Result<(), SealError> {
        let request = serde_json::json!({ "batch": batch, "total": total });
        let answer: String = script::SEAL.run(&self.connection, self.keys.prefix(), &request).await?;
        match answer.as_str() {
            "ok" => Ok(()),
            "short" => Err(SealError::Short(batch.clone())),
            _ => Err(SealError::Missing(batch.clone())),
        }
    }
}

fn asset_args(row: u64, asset: &NewAsset) -> Result<AssetArgs<'_>, QueueError> {
    Ok(AssetArgs {
        key: asset.key.as_str(),
        row,
        route: asset.route.as_str(),
        spec: json(&asset.spec)?,
        ceiling: asset.ceiling.0,
        tokens: asset.tokens,
        made: asset.made.as_ref().map(json).transpose()?,
    })
}
