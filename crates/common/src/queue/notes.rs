//! What people did, for whoever asks later: who, what, how many, when, and why.

use std::collections::HashMap;

use redis::AsyncCommands as _;
use serde::Serialize;

use super::{Queue, QueueError, script};

/// Longest text of a note, in characters; the rest is left out.
const LONGEST: usize = 300;

/// What somebody did.
#[derive(Clone, Copy, Debug, Default)]
pub struct Note<'a> {
    /// `USER@host`.
    pub who: &'a str,
    /// One word of what was done, such as `retried`, `discarded`, `paused`.
    pub what: &'a str,
    /// To what: `batch nightly`, `lane acme.gpt-image`, `failures --class moderation`.
    pub of: &'a str,
    /// How many changed by it.
    pub count: u64,
    /// In their words; may be empty.
    pub why: &'a str,
}

/// A note as it is kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Noted {
    /// When, µs since 1970.
    pub at: u64,
    /// `USER@host`.
    pub who: String,
    /// What was done.
    pub what: String,
    /// To what.
    pub of: String,
    /// How many changed by it.
    pub count: u64,
    /// Why.
    pub why: String,
}

impl Queue {
    /// Notes what somebody has done. To be called after it is done: a note tells of what happened.
    pub async fn note(&self, note: &Note<'_>) -> Result<(), QueueError> {
        let request = serde_json::json!({
            "who": plain(note.who), "what": plain(note.what), "of": plain(note.of), "count": note.count,
            "why": plain(note.why),
        });
        let _id: String = script::NOTE.run(&self.connection, self.keys.prefix(), &request).await?;
        Ok(())
    }

    /// The newest notes first.
    pub async fn notes(&self, limit: usize) -> Result<Vec<Noted>, QueueError> {
        let entries: Vec<(String, HashMap<String, String>)> =
            self.connection.clone().xrevrange_count(self.keys.notes(), "+", "-", limit).await?;
        Ok(entries.into_iter().map(|(_, fields)| noted(fields)).collect())
    }
}

/// A text that changes no terminal and is not endless.
fn plain(text: &str) -> String {
    let shown = |c: char| if c.is_control() { ' ' } else { c };
    text.trim().chars().take(LONGEST).map(shown).collect()
}

fn noted(mut fields: HashMap<String, String>) -> Noted {
    let mut text = |name: &str| fields.remove(name).unwrap_or_default();
    Noted {
        at: text("at").parse().unwrap_or(0),
        who: text("who"),
        what: text("what"),
        of: text("of"),
        count: text("count").parse().unwrap_or(0),
        why: text("why"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_somebody_typed_changes_no_terminal() {
        assert_eq!(plain(" wrong\u{1b}[2Jkey\n "), "wrong [2Jkey");
        assert_eq!(plain(&"é".repeat(400)).chars().count(), LONGEST);
    }
}
