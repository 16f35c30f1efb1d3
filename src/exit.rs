//! How a command ends: exit codes, and errors told once.

use std::process::ExitCode;

use pictor_common::queue::QueueError;
use pictor_producer::{manifest::BadInput, submit::SubmitError};
use serde_json::json;

use crate::output::Output;

/// How a command that was carried out ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    /// Everything asked for was made or done.
    Done,
    /// Some of it failed.
    SomeFailed,
}

/// What was asked cannot be done as it was asked; nothing was queued.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Refused(pub(crate) String);

/// Refuses with words.
pub(crate) fn refused(message: impl Into<String>) -> anyhow::Error {
    Refused(message.into()).into()
}

/// Tells an error once and names the exit code.
pub(crate) fn report(ended: anyhow::Result<Exit>, output: &Output) -> ExitCode {
    match ended {
        Ok(Exit::Done) => ExitCode::SUCCESS,
        Ok(Exit::SomeFailed) => ExitCode::from(1),
        Err(error) => {
            let code = code_of(&error);
            let bad = error.chain().find_map(bad_input);
            let message = bad.map_or_else(|| joined(&error), ToString::to_string);
            output.error(&message, &json!({ "error": message, "exit": code, "input": bad }));
            ExitCode::from(code)
        }
    }
}

fn bad_input<'e>(cause: &'e (dyn std::error::Error + 'static)) -> Option<&'e BadInput> {
    match cause.downcast_ref::<SubmitError>() {
        Some(SubmitError::BadInput(bad)) => Some(bad),
        _ => cause.downcast_ref(),
    }
}

/// The causes in one line; a cause that its effect already tells is left out.
fn joined(error: &anyhow::Error) -> String {
    error.chain().map(ToString::to_string).fold(String::new(), |told, cause| {
        if told.is_empty() {
            cause
        } else if told.ends_with(&cause) {
            told
        } else {
            format!("{told}: {cause}")
        }
    })
}

fn code_of(error: &anyhow::Error) -> u8 {
    let of_input = error.chain().any(|cause| {
        let queue = match cause.downcast_ref::<SubmitError>() {
            Some(SubmitError::BadInput(_) | SubmitError::Changed(_) | SubmitError::Read { .. }) => {
                return true;
            }
            Some(SubmitError::Queue(error)) => Some(error),
            _ => cause.downcast_ref::<QueueError>(),
        };
        bad_input(cause).is_some()
            || cause.is::<Refused>()
            || matches!(queue, Some(QueueError::OtherContent(_) | QueueError::Cancelled(_)))
    });
    if of_input { 2 } else { 3 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::Context as _;

    #[test]
    fn what_the_asker_can_mend_is_2_and_the_rest_is_3() {
        let other: anyhow::Error = SubmitError::Queue(QueueError::OtherContent("b".into())).into();
        for (error, code) in [
            (refused("no"), 2),
            (Err::<(), _>(refused("no")).context("cannot go on").unwrap_err(), 2),
            (other, 2),
            (QueueError::TooOld { found: "6.2".into() }.into(), 3),
            (anyhow::anyhow!("no bucket"), 3),
        ] {
            assert_eq!(code_of(&error), code, "{error:#}");
        }
    }

    #[test]
    fn causes_are_told_once() {
        let inner = std::io::Error::other("disk is full");
        let error = anyhow::Error::from(inner).context("cannot write: disk is full").context("no results");
        assert_eq!(joined(&error), "no results: cannot write: disk is full");
    }
}
