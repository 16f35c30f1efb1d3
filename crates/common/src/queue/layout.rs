//! The number of the layout in Redis: which versions of Pictor may work on a namespace together.
//!
//! A version works on the layouts before its own as long as a worker is alive that knows no other, so that workers can be
//! replaced one after the other. Then a worker's word that it is alive takes the namespace over, in one script; from
//! then on an older version is refused when it connects, and from the third layout on one that was cut off meanwhile is
//! refused by every script.

use serde::Deserialize;

use super::{Drain, Queue, QueueError};

/// Number of the newest layout this version knows, and makes new namespaces with.
///
/// 2: sparse hashes, specs of their own, packed lines. 3: `meta` names the layout, and each script asks for it. 4: failures are listed by
/// group, class, model, lane, batch and tenant. 5: done assets may be forgotten, and whoever asks for one says so.
pub const SCHEMA: u32 = 5;

/// The oldest layout this version can work on, and take over from.
const OLDEST: u32 = 2;

/// Where a namespace stands between layouts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Layout {
    /// The number of its layout; empty where it has none yet.
    pub layout: String,
    /// The number it had, when it was taken over just now.
    pub from: Option<String>,
    /// How many workers are alive that know an older layout only, so that it stays as it is.
    pub older: u32,
    /// Why the worker that asked is to end, where somebody [told it to](super::Queue::drain).
    pub drain: Option<Drain>,
}

/// Whether this version works on a namespace of that layout.
#[must_use]
pub fn works_on(found: &str) -> bool {
    found.parse().is_ok_and(|found| (OLDEST..=SCHEMA).contains(&found))
}

/// Says why a layout is refused, and what would be right.
pub(super) fn refusal(found: &str) -> String {
    match found.parse::<u32>() {
        Ok(found) if found > SCHEMA => format!(
            "a newer version of Pictor works in this namespace (layout {found}, this version knows {SCHEMA}): use that \
             version, or another namespace (redis.namespace)"
        ),
        Ok(found) => format!(
            "this namespace is of an old version of Pictor (layout {found}, this version takes over {OLDEST} and later): \
             finish its batches with that version, or use another namespace (redis.namespace) and submit again: images \
             in the store are not made again"
        ),
        Err(_not_a_number) => {
            format!(
                "this namespace has a layout that is no number ({found:?}): use another one (redis.namespace)"
            )
        }
    }
}

impl Queue {
    /// Refuses a namespace of another layout; a new one gets the newest.
    pub(super) async fn check_schema(&self) -> Result<(), QueueError> {
        let name = self.keys.schema();
        let mut connection = self.connection.clone();
        let get = redis::cmd("GET").arg(&name).to_owned();
        // A server that is full or a replica can still be looked at.
        let mut found: Option<String> = get.query_async(&mut connection).await?;
        if found.is_none() {
            let _set: Option<String> =
                redis::cmd("SET").arg(&name).arg(SCHEMA).arg("NX").query_async(&mut connection).await?;
            found = get.query_async(&mut connection).await?;
        }
        let found = found.unwrap_or_default();
        if works_on(&found) { Ok(()) } else { Err(QueueError::Schema { found }) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_layout_and_those_before_it_are_worked_on() {
        assert_eq!(
            ["1", "2", "3", "4", "5", "6", "x", ""].map(works_on),
            [false, true, true, true, true, false, false, false]
        );
    }

    #[test]
    fn a_refusal_says_which_version_is_right() {
        assert!(refusal("6").starts_with("a newer version of Pictor works in this namespace"));
        assert!(refusal("1").contains("finish its batches with that version"));
        assert!(refusal("two").contains("\"two\""));
    }

    #[test]
    fn scripts_write_this_layout() {
        let prelude = include_str!("lua/prelude.lua");
        assert!(prelude.contains(&format!("\nlocal LAYOUT = {SCHEMA}\n")));
    }
}
