//! What failures have in common: their class, and what was said without what differs from one to the next.

use serde::Serialize;
use sha2::{Digest as _, Sha256};

/// Most characters that are kept of a message.
const LONGEST: usize = 160;

/// Why assets fail, as far as they fail alike.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Cause {
    /// Names it.
    pub id: String,
    /// The class.
    pub class: String,
    /// What was said, with `…` for what was quoted and `#` for numbers and ids.
    pub message: String,
}

/// The cause of a failure.
#[must_use]
pub fn cause_of(class: &str, message: &str) -> Cause {
    let message = alike(message);
    let digest = Sha256::digest(format!("{class}\n{message}"));
    let id = digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    Cause { id, class: class.to_owned(), message }
}

/// Leaves out what is quoted, which may be a prompt, and what has digits in it.
fn alike(message: &str) -> String {
    let mut plain = String::new();
    let mut closing = None;
    let mut before = ' ';
    for character in message.chars().take(16 * LONGEST) {
        match (closing, character) {
            (Some(end), character) if character == end => closing = None,
            (Some(_), _) => {}
            (None, '"' | '`' | '“') => {
                closing = Some(if character == '“' { '”' } else { character });
                plain.push('…');
            }
            // An apostrophe stands within or behind a word.
            (None, '\'') if !before.is_alphanumeric() => {
                closing = Some('\'');
                plain.push('…');
            }
            (None, character) => plain.push(if character.is_control() { ' ' } else { character }),
        }
        before = character;
    }
    let word = |word: &str| {
        if word.chars().any(|c| c.is_ascii_digit()) { "#".to_owned() } else { word.to_owned() }
    };
    let words: Vec<String> = plain.split_whitespace().map(word).collect();
    words.join(" ").chars().take(LONGEST).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_that_differ_in_ids_numbers_and_quotes_have_one_cause() {
        let first = cause_of("rate_limit", "Limit 5, used 5 (request req_0a1b): try again in 12.5s");
        let other = cause_of("rate_limit", "Limit 9, used 7 (request req_ffee99): try again in 3s");
        assert_eq!(first, other);
        assert_eq!(first.message, "Limit # used # (request # try again in #");
        assert_ne!(
            first.id,
            cause_of("server_error", "Limit 5, used 5 (request req_0a1b): try again in 12.5s").id
        );
    }

    #[test]
    fn no_prompt_and_no_control_character_is_kept() {
        let cause = cause_of(
            "moderation",
            "Your prompt \"a secret\nproduct\" isn't allowed:\u{1b}[31m 'red shoes' no",
        );
        assert_eq!(cause.message, "Your prompt … isn't allowed: # … no");
        assert_eq!(cause_of("x", "the prompt \"never closed").message, "the prompt …");
        assert_eq!(cause_of("x", &"word ".repeat(1_000)).message.chars().count(), 160);
    }
}
