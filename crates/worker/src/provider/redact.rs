//! Keeps secrets out of what providers say, and what they say short.

use std::{
    collections::VecDeque,
    sync::{PoisonError, RwLock},
};

use secrecy::{ExposeSecret as _, SecretString};

/// Enough for the longest message of an image API that anybody reads.
const LONGEST: usize = 400;

/// A shorter secret would blank out ordinary words.
const SHORTEST_SECRET: usize = 6;

/// Keys that came one after the other; an answer may repeat one that has been replaced.
const LATEST: usize = 8;

/// Knows the secrets of one account.
#[derive(Debug, Default)]
pub(super) struct Redactor {
    secrets: Vec<SecretString>,
    latest: RwLock<VecDeque<SecretString>>,
}

fn long_enough(secret: &SecretString) -> bool {
    secret.expose_secret().len() >= SHORTEST_SECRET
}

impl Redactor {
    pub(super) fn new(secrets: impl IntoIterator<Item = SecretString>) -> Self {
        Self { secrets: secrets.into_iter().filter(long_enough).collect(), latest: RwLock::default() }
    }

    /// Knows one more, and forgets the oldest of many.
    pub(super) fn learn(&self, secret: SecretString) {
        if long_enough(&secret) {
            let mut latest = self.latest.write().unwrap_or_else(PoisonError::into_inner);
            latest.push_front(secret);
            latest.truncate(LATEST);
        }
    }

    /// One line of text without secrets or anything that looks like an API key, shortened.
    pub(super) fn clean(&self, text: &str) -> String {
        let mut text = text.to_owned();
        let latest = self.latest.read().unwrap_or_else(PoisonError::into_inner);
        for secret in self.secrets.iter().chain(latest.iter()) {
            text = text.replace(secret.expose_secret(), "[secret]");
        }
        // A terminal obeys control characters, whoever wrote them.
        let between = |c: char| c.is_whitespace() || c.is_control();
        let words: Vec<String> = text.split(between).filter(|word| !word.is_empty()).map(hide_key).collect();
        let line = words.join(" ");
        match line.char_indices().nth(LONGEST) {
            Some((at, _)) => format!("{}…", &line[..at]),
            None => line,
        }
    }
}

/// Hides what follows `sk-`, so that another account's key is not repeated either.
fn hide_key(word: &str) -> String {
    let starts_word = |at: usize| !word[..at].ends_with(|c: char| c.is_alphanumeric());
    match word.find("sk-").filter(|&at| starts_word(at) && word.len() - at > 10) {
        Some(at) => {
            let is_key = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '*');
            let tail = word[at..].trim_start_matches(is_key);
            format!("{}sk-[hidden]{tail}", &word[..at])
        }
        None => word.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hides_secrets_and_shortens() {
        let redactor = Redactor::new(["hunter22".into(), "abc".into()]);
        assert_eq!(redactor.clean("key hunter22 is\n bad,  abc"), "key [secret] is bad, abc");
        assert_eq!(redactor.clean("provided: sk-proj-abcd****wxyz. See"), "provided: sk-[hidden]. See");
        assert_eq!(redactor.clean("a task-force-of-eleven"), "a task-force-of-eleven");
        assert_eq!(redactor.clean("red\u{1b}[31malert\u{9b}2J\0!"), "red [31malert 2J !");
        redactor.learn("another-key".into());
        assert_eq!(redactor.clean("hunter22 or another-key"), "[secret] or [secret]");
        assert_eq!(redactor.clean(&"é".repeat(1000)).chars().count(), LONGEST + 1);
    }
}
