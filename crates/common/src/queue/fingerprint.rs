//! Tells failures of one cause by their class and words, whatever numbers, ids and prompts stand in these.

use std::fmt::Write as _;

use sha2::{Digest as _, Sha256};

/// So much of a message is looked at, in characters.
const READ: usize = 2_000;
/// So much of what is left of it counts, in characters: what follows are often details.
const COUNTED: usize = 240;
/// Letters without a digit that are so many are an id, and no word.
const LONG: usize = 24;
/// Digits of a fingerprint.
const DIGITS: usize = 12;

/// The fingerprint of a failure: equal for the same class and the same words.
#[must_use]
pub(super) fn fingerprint(class: &str, message: &str) -> String {
    let digest = Sha256::digest(format!("{class}\n{}", normal(message)));
    digest.iter().take(DIGITS / 2).fold(String::new(), |mut text, byte| {
        let _always = write!(text, "{byte:02x}");
        text
    })
}

/// A message without what differs from one request to the next.
fn normal(message: &str) -> String {
    let text: String = message.chars().take(READ).flat_map(char::to_lowercase).collect();
    let mut normal = String::new();
    for word in without_quotes(&text).split_whitespace() {
        let word = if word.contains("://") { "@" } else { word };
        let before = normal.len();
        spell(word, &mut normal);
        if normal.len() > before {
            normal.push(' ');
        }
    }
    normal.chars().take(COUNTED).collect::<String>().trim_end().to_owned()
}

/// Replaces what stands in quotes. An apostrophe within a word opens none.
fn without_quotes(text: &str) -> String {
    const QUOTES: [(char, char); 6] =
        [('"', '"'), ('\'', '\''), ('`', '`'), ('“', '”'), ('‘', '’'), ('«', '»')];
    let mut out = String::new();
    let mut rest = text;
    let mut in_word = false;
    while let Some(first) = rest.chars().next() {
        let after = &rest[first.len_utf8()..];
        let closing = QUOTES.iter().find(|(open, _)| *open == first && !in_word).map(|(_, close)| *close);
        let end = closing.and_then(|close| closing_at(after, close).map(|at| (at, close)));
        if let Some((at, close)) = end {
            out.push_str(" @ ");
            rest = &after[at + close.len_utf8()..];
            in_word = false;
        } else {
            in_word = first.is_alphanumeric();
            out.push(if first.is_control() { ' ' } else { first });
            rest = after;
        }
    }
    out
}

/// Where a quotation ends: at a mark that no letter follows.
fn closing_at(text: &str, close: char) -> Option<usize> {
    let ends = |at: usize| !text[at + close.len_utf8()..].starts_with(char::is_alphanumeric);
    text.char_indices().find(|(at, c)| *c == close && ends(*at)).map(|(at, _)| at)
}

/// Adds a word: without marks around it, and as `#` where it has a digit or is too long to be a word.
fn spell(word: &str, normal: &mut String) {
    let bare = word.trim_matches(|c: char| !c.is_alphanumeric() && c != '@');
    if bare.is_empty() {
        return;
    }
    let told =
        if bare.contains(|c: char| c.is_numeric()) || bare.chars().count() >= LONG { "#" } else { bare };
    if told == "#" && normal.ends_with("# ") {
        return;
    }
    normal.push_str(told);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_ids_prompts_times_and_addresses_make_no_difference() {
        for (one, other) in [
            (
                "Your request was rejected by the safety system. If you believe this is an error, contact us and include the request ID req_4f1c2a.",
                "Your request was rejected by the safety system. If you believe this is an error, contact us and include the request ID req_99.",
            ),
            (
                "Invalid value: 'a cat's bed' for size 10x10",
                "Invalid value: 'my \"best\" mug' for size 1024x1024",
            ),
            (
                "at 2026-11-22T06:55:30Z host 10.0.0.1:443 said no",
                "at 2027-01-01T00:00:00.123Z host 10.0.0.77:80 said no",
            ),
            ("see https://a.example/b?c=1 for help", "see http://other.example/ for help"),
            ("trace 9f8e7d6c5b4a39281706f5e4d3c2b1a0 lost", "trace ABCDEF0123456789abcdef0123456789 lost"),
            ("key abcdefghijklmnopqrstuvwxyzabcdef", "key zyxwvutsrqponmlkjihgfedcbazyxwvu"),
            ("waited 20.5 s  of 30", "waited 7 s of\n2"),
            ("Timed out", "timed out."),
        ] {
            assert_eq!(fingerprint("c", one), fingerprint("c", other), "{} / {}", normal(one), normal(other));
        }
    }

    #[test]
    fn other_words_or_another_class_are_another_cause() {
        assert_ne!(fingerprint("a", "billing limit"), fingerprint("b", "billing limit"));
        assert_ne!(fingerprint("a", "billing limit"), fingerprint("a", "unknown size"));
        assert_eq!(normal("can't find it, isn't there"), "can't find it isn't there");
    }

    #[test]
    fn hostile_words_take_bounded_time_and_length() {
        let endless = "'".repeat(100_000) + &"\u{1b}[2J<b>".repeat(10_000);
        assert!(normal(&endless).chars().count() <= COUNTED);
        let print = fingerprint("x:{y}", &endless);
        assert!(print.len() == DIGITS && print.bytes().all(|byte| byte.is_ascii_hexdigit()));
        assert_eq!(fingerprint("c", ""), fingerprint("c", " \n\t"));
    }

    #[test]
    fn fingerprints_stay_what_they_are() {
        assert_eq!(fingerprint("moderation", "Rejected by the safety system, id 7"), STAYS);
    }
    const STAYS: &str = "e59455441b7c";
}
