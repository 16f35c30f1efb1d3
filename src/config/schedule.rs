//! What schedules may read.

use serde::{Deserialize, Deserializer};

/// What `pictor schedule serve` may do here.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ScheduleSettings {
    /// Directories and `s3://bucket/prefix` whose files schedules may submit.
    #[serde(default, deserialize_with = "several")]
    pub(crate) read_from: Vec<String>,
}

/// A list, or in one text with commas between.
fn several<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Several {
        List(Vec<String>),
        Text(String),
    }
    let list = match Several::deserialize(deserializer)? {
        Several::List(list) => list,
        Several::Text(text) => text.split(',').map(|part| part.trim().to_owned()).collect(),
    };
    Ok(list.into_iter().filter(|part| !part.is_empty()).collect())
}
