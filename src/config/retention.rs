//! How much of what has ended stays in Redis.

use std::time::Duration;

use pictor_common::retention::Retention;
use serde::Deserialize;

/// The shortest time that done assets may be kept.
const DAY: Duration = Duration::from_secs(86_400);

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Fields {
    batches: Option<String>,
    max_batches: Option<u64>,
    failures: Option<String>,
    events: Option<String>,
    assets: Option<String>,
    max_assets: Option<u64>,
}

impl Fields {
    pub(super) fn read(self) -> anyhow::Result<Retention> {
        let age_of = |name: &str, text: Option<String>| {
            let read = text.as_deref().map(|text| {
                age(text).ok_or_else(|| {
                    anyhow::anyhow!(
                        "settings: retention.{name}: {text:?} is no length of time: write 90d, 12w or 36h"
                    )
                })
            });
            read.transpose()
        };
        let assets = age_of("assets", self.assets)?;
        if assets.is_some_and(|age| age < DAY) {
            anyhow::bail!(
                "settings: retention.assets: at least 1d, so that whoever made an image has told so by then"
            );
        }
        Ok(Retention {
            batches: age_of("batches", self.batches)?,
            max_batches: self.max_batches,
            failures: age_of("failures", self.failures)?,
            events: age_of("events", self.events)?,
            assets,
            max_assets: self.max_assets,
        })
    }
}

/// Reads hours, days or weeks; none is too short to be meant.
fn age(text: &str) -> Option<Duration> {
    let text = text.trim();
    let hours = match text.chars().last()? {
        'h' => 1,
        'd' => 24,
        'w' => 7 * 24,
        _ => return None,
    };
    let number: u64 = text[..text.len() - 1].trim().parse().ok().filter(|number| *number > 0)?;
    Some(Duration::from_secs(number.checked_mul(hours * 3_600)?))
}

/// An age as it is written.
pub(super) fn written(age: Duration) -> String {
    let hours = age.as_secs() / 3_600;
    if hours.is_multiple_of(24) { format!("{}d", hours / 24) } else { format!("{hours}h") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_are_hours_days_or_weeks() {
        let hours = |text| age(text).map(|age| age.as_secs() / 3_600);
        assert_eq!([hours("90d"), hours("36h"), hours("2w")], [Some(2_160), Some(36), Some(336)]);
        for wrong in ["", "d", "90", "0d", "-1d", "1.5d", "90m", "999999999999999999w", "9é"] {
            assert_eq!(hours(wrong), None, "{wrong}");
        }
        let of = |assets: &str| Fields { assets: Some(assets.to_owned()), ..Fields::default() }.read();
        assert!(of("24h").is_ok() && of("23h").is_err());
        assert_eq!([written(age("2w").unwrap()), written(age("36h").unwrap())], ["14d", "36h"]);
    }
}
