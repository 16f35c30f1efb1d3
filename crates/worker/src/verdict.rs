//! What an answer means: one pure table from an answer to what is paid and what comes next.

#[cfg(test)]
mod any_text;
mod class;
mod rate_limit;
mod refusal;

use std::time::Duration;

pub use pictor_common::queue::Billed;

use crate::provider::{Answer, Stage, Unsent, Unusable, UnusableReason};

pub use class::FailureClass;
pub use rate_limit::{Dimension, RateLimit};

/// What becomes of the asset, and of the lane.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next {
    /// There is an image.
    Done,
    /// Another attempt, after [`crate::backoff_delay::retry_delay`] of this attempt.
    Retry,
    /// Another attempt, after the time the API named.
    RetryAfter(Duration),
    /// Nothing was sent, so this was no attempt: back to the queue, after
    /// [`crate::backoff_delay::retry_delay`] of the times in a row it was not sent.
    GiveBack,
    /// Refused by a rate limit, so this was no attempt: back to the queue, and the lane learns.
    Refused(RateLimit),
    /// The key was refused and has been replaced meanwhile: this was no attempt, and the asset goes back.
    AnotherKey,
    /// No other attempt would end differently, or enough were made.
    Fail,
    /// The lane cannot send, whatever the asset, and pauses for the reason that is the verdict's
    /// message. Where nothing was billed, this was no attempt and the asset goes back.
    PauseLane {
        /// How long; `None` until a person resumes it.
        expires: Option<Duration>,
    },
    /// Perhaps paid already, and not to be risked again: a person decides.
    Park,
}

/// What an answer means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// Whether the request is paid for.
    pub billed: Billed,
    /// What comes next.
    pub next: Next,
    /// What kind of failure it was; `None` for an image.
    pub class: Option<FailureClass>,
    /// The provider's words, or ours where it had none; one line, without secrets.
    pub message: String,
    /// The provider's own code for it.
    pub code: Option<String>,
}

/// What happened to the asset before this answer, and the answer's own number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tries {
    /// Number of this attempt, from 1.
    pub attempt: u32,
    /// Earlier attempts whose outcome is unknown.
    pub unknowns: u32,
    /// Earlier attempts that were answered with success and without a usable image.
    pub bad_answers: u32,
    /// Times in a row just before this one that nothing could be sent.
    pub unsent: u32,
}

/// How patient to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patience {
    /// Attempts in all.
    pub max_attempts: u32,
    /// Unknown outcomes after which the asset is still tried again.
    pub max_unknown: u32,
    /// Times in a row that nothing could be sent, before the asset fails; 20 are about 15 minutes.
    pub max_unsent: u32,
}

impl Default for Patience {
    fn default() -> Self {
        Self { max_attempts: 5, max_unknown: 1, max_unsent: 20 }
    }
}

/// Says what an answer means.
#[must_use]
pub fn judge(answer: &Answer, tries: &Tries, patience: &Patience) -> Verdict {
    let judge = Judge { tries, patience };
    match answer {
        Answer::Image(_) => {
            Verdict { billed: Billed::Yes, next: Next::Done, class: None, message: String::new(), code: None }
        }
        Answer::Refused(error) => judge.refusal(error),
        Answer::Unusable(unusable) => judge.unusable(unusable),
        Answer::Unsent(unsent) => judge.unsent(unsent),
        Answer::Lost { timed_out: true, detail } => judge.unknown(FailureClass::Timeout, detail),
        Answer::Lost { timed_out: false, detail } => judge.unknown(FailureClass::Transport, detail),
    }
}

/// Says what it means that an image was received and cannot be decoded.
#[must_use]
pub fn judge_undecodable(reason: &str, tries: &Tries, patience: &Patience) -> Verdict {
    Judge { tries, patience }.paid_for_nothing(FailureClass::BadAnswer, reason)
}

#[derive(Clone, Copy)]
struct Judge<'a> {
    tries: &'a Tries,
    patience: &'a Patience,
}

impl Judge<'_> {
    fn unusable(self, unusable: &Unusable) -> Verdict {
        use UnusableReason as Reason;
        let detail = match unusable.reason {
            Reason::Truncated => format!("the answer broke off: {}", unusable.detail),
            Reason::NotJson => format!("the answer is not JSON: {}", unusable.detail),
            Reason::NoImage => format!("the answer holds no image: {}", unusable.detail),
            Reason::NotBase64 => "the answer's image is not base64".to_owned(),
            Reason::TooLarge if unusable.saw_image => "the image is larger than max_image_bytes".to_owned(),
            Reason::TooLarge => "the answer is longer than one with an image of max_image_bytes".to_owned(),
            Reason::Disk => format!("the image could not be written: {}", unusable.detail),
            Reason::Stalled | Reason::HostRefused | Reason::FetchFailed => unusable.detail.clone(),
        };
        match (unusable.reason, unusable.saw_image) {
            (Reason::Truncated, false) => self.unknown(FailureClass::Transport, &detail),
            (Reason::Stalled, false) => self.unknown(FailureClass::Timeout, &detail),
            (Reason::NotJson | Reason::NoImage, false) => self.doubtful(FailureClass::BadAnswer, &detail),
            (Reason::TooLarge, true) => verdict(Billed::Yes, Next::Fail, FailureClass::TooLarge, &detail),
            // Endless, and perhaps not even the API's: another try would cost as much again.
            (Reason::TooLarge, false) => {
                verdict(Billed::Unknown, Next::Park, FailureClass::TooLarge, &detail)
            }
            // Every further image of this lane would be paid for and not fetched either.
            (Reason::HostRefused, _) => {
                let next = Next::PauseLane { expires: None };
                verdict(Billed::Yes, next, FailureClass::ResultFetch, &detail)
            }
            (Reason::FetchFailed, _) => self.paid_for_nothing(FailureClass::ResultFetch, &detail),
            (Reason::Disk, _) => self.paid_for_nothing(FailureClass::Spool, &detail),
            (
                Reason::Truncated | Reason::Stalled | Reason::NotJson | Reason::NoImage | Reason::NotBase64,
                _,
            ) => self.paid_for_nothing(FailureClass::BadAnswer, &detail),
        }
    }

    fn unsent(self, unsent: &Unsent) -> Verdict {
        let class = match unsent.stage {
            Stage::Request => return verdict(Billed::No, Next::Fail, FailureClass::BadSpec, &unsent.detail),
            Stage::Disk => FailureClass::Spool,
            Stage::Resolve | Stage::Connect => FailureClass::Transport,
        };
        let next = if self.tries.unsent < self.patience.max_unsent { Next::GiveBack } else { Next::Fail };
        verdict(Billed::No, next, class, &unsent.detail)
    }

    /// Free, and another attempt may succeed.
    fn retry(self, class: FailureClass, wait: Option<Duration>, message: &str) -> Verdict {
        let next = match (self.has_attempts_left(), wait) {
            (false, _) => Next::Fail,
            (true, Some(wait)) => Next::RetryAfter(wait),
            (true, None) => Next::Retry,
        };
        verdict(Billed::No, next, class, message)
    }

    /// Sent, and nobody knows whether it was billed.
    fn unknown(self, class: FailureClass, message: &str) -> Verdict {
        let may_risk = self.tries.unknowns < self.patience.max_unknown && self.has_attempts_left();
        verdict(Billed::Unknown, if may_risk { Next::Retry } else { Next::Park }, class, message)
    }

    /// A success that makes no sense, perhaps not even the API's own.
    fn doubtful(self, class: FailureClass, message: &str) -> Verdict {
        let mut verdict = self.unknown(class, message);
        if self.tries.bad_answers > 0 {
            verdict.next = Next::Park;
        }
        verdict
    }

    /// Billed, without an image to show for it: once more at most.
    fn paid_for_nothing(self, class: FailureClass, message: &str) -> Verdict {
        let once_more = self.tries.bad_answers == 0 && self.has_attempts_left();
        verdict(Billed::Yes, if once_more { Next::Retry } else { Next::Fail }, class, message)
    }

    const fn has_attempts_left(self) -> bool {
        self.tries.attempt < self.patience.max_attempts
    }
}

fn verdict(billed: Billed, next: Next, class: FailureClass, message: &str) -> Verdict {
    Verdict { billed, next, class: Some(class), message: message.to_owned(), code: None }
}

#[cfg(test)]
mod tests;
