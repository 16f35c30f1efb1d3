//! Whose derivatives are still to be made.

use std::time::Duration;

use redis::AsyncCommands;
use serde::Serialize;

use super::{Queue, QueueError, connection::micros, read::parse, script};
use crate::{batch::BatchId, derivative::Derivative};

/// How far off lies the time of a batch that is left to those who make all formats: a hundred years.
const ASIDE: Duration = Duration::from_secs(100 * 365 * 86_400);

/// How the derivatives of a batch stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Derived {
    /// They are being made; nobody else is to begin for so long.
    GoesOn(Duration),
    /// They are to be looked at again after so long.
    Later(Duration),
    /// All are made but so many, which cannot be.
    Ended(u64),
    /// What is missing is of a format that not every build makes, but so many, which cannot be made at all.
    Aside(u64),
}

#[derive(Serialize)]
struct Tell<'a> {
    batch: &'a BatchId,
    what: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    after: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    left: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    words: Option<String>,
}

impl Queue {
    /// Takes a batch that has ended and whose derivatives are to be made, for as long as the lease lasts. Who makes all
    /// formats takes what others put aside, too.
    pub async fn take_underived(&self, lease: Duration, all: bool) -> Result<Option<BatchId>, QueueError> {
        let aside = all.then(|| micros(ASIDE / 2));
        let request = serde_json::json!({ "lease": micros(lease), "aside": aside });
        let batch: String = script::DERIVE_TAKE.run(&self.connection, self.keys.prefix(), &request).await?;
        Ok(batch.parse().ok())
    }

    /// Says how the derivatives of a batch stand, and where given what is asked for from now on; false when it is unknown.
    pub async fn tell_derived(
        &self,
        batch: &BatchId,
        derived: Derived,
        words: Option<&[Derivative]>,
    ) -> Result<bool, QueueError> {
        let (what, after, left) = match derived {
            Derived::GoesOn(lease) => ("goes_on", Some(micros(lease)), None),
            Derived::Later(after) => ("later", Some(micros(after)), None),
            Derived::Ended(left) => ("ended", None, Some(left)),
            Derived::Aside(left) => ("aside", Some(micros(ASIDE)), Some(left)),
        };
        let words = words.map(serde_json::to_string).transpose();
        let words = words.map_err(|source| QueueError::Answer { script: "derive_tell", source })?;
        let tell = Tell { batch, what, after, left, words };
        let answer: String = script::DERIVE_TELL.run(&self.connection, self.keys.prefix(), &tell).await?;
        Ok(answer == "ok")
    }

    /// What is derived from every image of a batch; none where nothing is.
    pub async fn derivatives_of(&self, batch: &str) -> Result<Option<Vec<Derivative>>, QueueError> {
        let name = self.keys.batch_named(batch);
        let words: Option<String> = self.connection.clone().hget(name, "derive").await?;
        Ok(parse(words.as_ref()))
    }
}
