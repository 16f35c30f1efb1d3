//! What a person can do about a failure of each class.

use pictor_worker::verdict::FailureClass;

/// A sentence or two; none for a class that this version does not know.
pub(super) fn advice(class: &str) -> Option<&'static str> {
    Some(match class.parse::<FailureClass>().ok()? {
        FailureClass::Moderation => {
            "The provider refused the content. Reword the prompt and submit the row again: trying the same one again is refused again."
        }
        FailureClass::BadSpec => {
            "The provider does not take this combination of fields. Mend the row and submit it again."
        }
        FailureClass::AccountBilling => {
            "The account has no money or reached its limit. Top it up at the provider, then retry."
        }
        FailureClass::Auth => {
            "The API key was not accepted. Replace it, check with pictor doctor, then retry."
        }
        FailureClass::Permission => {
            "This key may not use the model. Ask for access at the provider, or choose another model."
        }
        FailureClass::ModelNotFound | FailureClass::ModelRetired => {
            "The model is not there any more. Name another one, or let one stand in: submit --fallback MODEL."
        }
        FailureClass::RateLimit => "The limit was exhausted for too long. Retry when there is less to do.",
        FailureClass::OverLimit => {
            "One request asks for more than the account's limit allows at all. Raise the limit or ask for less."
        }
        FailureClass::Overloaded | FailureClass::ServerError | FailureClass::Gateway => {
            "The provider had trouble. Retry: such failures mostly pass."
        }
        FailureClass::Endpoint => {
            "What answers at this address is no image API. Check base_url of the account, then retry."
        }
        FailureClass::BadAnswer | FailureClass::TooLarge | FailureClass::ResultFetch => {
            "The answer held no usable image, and may have been billed. Look at the ledger before you retry."
        }
        FailureClass::Transport | FailureClass::Timeout => {
            "The network failed. Check the way to the provider with pictor doctor, then retry."
        }
        FailureClass::Spool => "The worker's disk failed. Make room or replace it, then retry.",
        FailureClass::UnknownOutcome => {
            "Nobody knows whether it was billed. Compare with the invoice (pictor ledger reconcile); retrying may pay twice."
        }
        FailureClass::Poison => "Workers died of it, more than once. Look at their logs before you retry.",
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_class_has_a_sentence() {
        for class in FailureClass::ALL {
            assert!(advice(class.as_str()).is_some_and(|text| text.ends_with('.')), "{class}");
        }
        assert_eq!(advice("</script>"), None);
    }
}
