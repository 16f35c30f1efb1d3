//! What the journal of a spool says, line by line.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    path::Path,
};

use pictor_common::{MicroUsd, Spec, price::Usage, queue::Attempt};
use serde::{Deserialize, Serialize};

/// What is known of an image beside its bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Image {
    /// SHA-256 (hex) of the bytes.
    pub(crate) digest: String,
    /// Length in bytes.
    pub(crate) bytes: u64,
    /// The provider's request id.
    pub(crate) request_id: Option<String>,
    /// The prompt as the model rewrote it.
    pub(crate) revised_prompt: Option<String>,
    /// Tokens used.
    pub(crate) usage: Option<Usage>,
    /// When it came, in ms since 1970: its day decides the price. 0 where that was not written down.
    pub(crate) at_ms: u64,
}

/// One line of the journal.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Record {
    /// A paid request is about to go out.
    Intent {
        /// The attempt, its number not yet known.
        attempt: Attempt,
        /// What is asked for.
        spec: Box<Spec>,
        /// The most it can cost.
        ceiling: MicroUsd,
    },
    /// Redis allowed it: from here on it may have been sent.
    Sent {
        /// Of which intent.
        token: String,
        /// Number of the attempt.
        attempt: u32,
    },
    /// The image is on disk.
    Received {
        /// Of which intent.
        token: String,
        /// What came with it.
        image: Image,
    },
    /// Nothing is left to do.
    Ended {
        /// Of which intent.
        token: String,
    },
}

impl Record {
    /// The token the line is about.
    pub(crate) fn token(&self) -> &str {
        match self {
            Self::Intent { attempt, .. } => &attempt.token,
            Self::Sent { token, .. } | Self::Received { token, .. } | Self::Ended { token } => token,
        }
    }
}

/// An intent that has not ended.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Open {
    /// The attempt; its number is right once it was sent.
    pub(crate) attempt: Attempt,
    /// What was asked for.
    pub(crate) spec: Spec,
    /// The most it can cost.
    pub(crate) ceiling: MicroUsd,
    /// Whether it may have been sent.
    pub(crate) sent: bool,
    /// What came, if anything came whole.
    pub(crate) image: Option<Image>,
}

/// The lines of a journal; a last one cut off by the death of its writer is passed over.
fn records(path: &Path) -> io::Result<Vec<Record>> {
    let bytes = match fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
        Err(error) => return Err(error),
    };
    let text = String::from_utf8_lossy(&bytes);
    Ok(text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect())
}

/// Tokens of which a journal says that nothing is left to do.
pub(super) fn ended(path: &Path) -> io::Result<BTreeSet<String>> {
    let tokens = records(path)?.into_iter().filter_map(|record| match record {
        Record::Ended { token } => Some(token),
        Record::Intent { .. } | Record::Sent { .. } | Record::Received { .. } => None,
    });
    Ok(tokens.collect())
}

/// What a journal tells of and has not ended.
pub(crate) fn read_journal(path: &Path) -> io::Result<Vec<Open>> {
    let mut open: BTreeMap<String, Open> = BTreeMap::new();
    for record in records(path)? {
        match record {
            Record::Intent { attempt, spec, ceiling } => {
                let token = attempt.token.clone();
                open.insert(token, Open { attempt, spec: *spec, ceiling, sent: false, image: None });
            }
            Record::Sent { token, attempt } => {
                if let Some(intent) = open.get_mut(&token) {
                    intent.sent = true;
                    intent.attempt.attempt = attempt;
                }
            }
            Record::Received { token, image } => {
                if let Some(intent) = open.get_mut(&token) {
                    intent.image = Some(image);
                }
            }
            Record::Ended { token } => {
                open.remove(&token);
            }
        }
    }
    Ok(open.into_values().collect())
}
