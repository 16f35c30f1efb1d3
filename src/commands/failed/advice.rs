//! What to do about a kind of failure, in words that name the command.

/// Whose turn it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Cause {
    /// The content was refused.
    Content,
    /// The spec is wrong.
    Spec,
    /// The provider's account has no money, or its key is wrong.
    Account,
    /// The model is gone, or cannot.
    Model,
    /// The API, or the way to it.
    Outage,
    /// What came was no usable image.
    Answer,
    /// A request may have been paid for.
    Doubt,
    /// This machine.
    Machine,
}

/// What is to be done about a kind of failure.
#[derive(Clone, Copy, Debug)]
struct Advice {
    cause: Cause,
    /// With `GROUP` where the group's name goes.
    words: &'static str,
}

fn of(class: &str) -> Advice {
    let (cause, words) = match class {
        "moderation" => (
            Cause::Content,
            "the provider refused the content, and would again: pictor failed retry --group GROUP --edit mends the words, \
             pictor failed discard --group GROUP gives up",
        ),
        "bad_spec" => (
            Cause::Spec,
            "the spec is wrong, and would be refused again: pictor failed retry --group GROUP --edit, or \
             pictor failed export mend.csv --group GROUP, mend it and submit it",
        ),
        "account_billing" => (
            Cause::Account,
            "the account has no money or a limit of its own: pay, or raise it; pictor lane resume LANE, then \
             pictor failed retry --group GROUP",
        ),
        "auth" => (
            Cause::Account,
            "the key is refused: set another and try it with pictor doctor; then pictor failed retry --group GROUP",
        ),
        "permission" => (
            Cause::Account,
            "the key may not do this: allow it in the provider's console, or use another model: \
             pictor failed retry --group GROUP --by-model MODEL",
        ),
        "model_not_found" | "model_retired" => (
            Cause::Model,
            "there is no such model any more: pictor failed retry --group GROUP --by-model MODEL; pictor models lists them",
        ),
        "over_limit" => (
            Cause::Model,
            "one request asks for more than the limit allows in all: ask the provider for more, or \
             pictor failed retry --group GROUP --by-model MODEL",
        ),
        "rate_limit" | "overloaded" => {
            (Cause::Outage, "the API has too much to do: pictor failed retry --group GROUP --at +1h")
        }
        "server_error" | "gateway" | "transport" | "timeout" => (
            Cause::Outage,
            "an outage: look at pictor lane list, and when it is over pictor failed retry --group GROUP",
        ),
        "endpoint" => (
            Cause::Account,
            "what answers is no image API: mend base_url of the account, see pictor doctor; then \
             pictor failed retry --group GROUP",
        ),
        "bad_answer" | "too_large" | "result_fetch" => (
            Cause::Answer,
            "an answer came without a usable image, and may have been paid for: look at one with pictor failed show KEY; \
             pictor failed retry --group GROUP asks, and pays, again",
        ),
        "spool" => (
            Cause::Machine,
            "the worker's disk failed: make room, see pictor doctor on that machine; then pictor failed retry --group GROUP",
        ),
        "poison" => (
            Cause::Machine,
            "workers died of it: look at their logs before pictor failed retry --group GROUP",
        ),
        _ => (
            Cause::Outage,
            "look at one with pictor failed show KEY; pictor failed retry --group GROUP tries again",
        ),
    };
    Advice { cause, words }
}

const DOUBT: Advice = Advice {
    cause: Cause::Doubt,
    words: "sent, and perhaps paid for: look for them in the invoice (pictor ledger reconcile INVOICE.csv); \
            pictor failed retry --group GROUP --parked may pay twice, pictor failed discard --group GROUP --parked gives up",
};

fn advice(class: &str, parked: bool) -> Advice {
    if parked { DOUBT } else { of(class) }
}

/// Whose turn it is after a kind of failure.
pub(crate) fn cause(class: &str, parked: bool) -> Cause {
    advice(class, parked).cause
}

/// What to do about a group of failures, or about one failure.
pub(crate) fn words(class: &str, parked: bool, group: &str) -> String {
    advice(class, parked).words.replace("GROUP", group)
}

/// The same of one failure.
pub(crate) fn words_of_one(class: &str, parked: bool, key: &str) -> String {
    let words = advice(class, parked).words;
    words.replace("--group GROUP", key).replace("KEY", key)
}

#[cfg(test)]
mod tests {
    use pictor_worker::verdict::FailureClass;

    use super::*;

    #[test]
    fn refusals_accounts_outages_and_specs_are_told_apart() {
        let of = |class: FailureClass| cause(class.as_str(), false);
        assert_eq!(of(FailureClass::Moderation), Cause::Content);
        assert_eq!(of(FailureClass::BadSpec), Cause::Spec);
        for class in [FailureClass::AccountBilling, FailureClass::Auth, FailureClass::Permission] {
            assert_eq!(of(class), Cause::Account, "{class}");
        }
        for class in [FailureClass::ServerError, FailureClass::Gateway, FailureClass::Timeout] {
            assert_eq!(of(class), Cause::Outage, "{class}");
        }
        assert_eq!(cause("moderation", true), Cause::Doubt, "what may be paid for comes first");
    }

    #[test]
    fn every_class_has_words_that_name_a_command() {
        for class in FailureClass::ALL {
            for parked in [false, true] {
                let words = words(class.as_str(), parked, "0a1b");
                assert!(words.contains("--group 0a1b") && !words.contains("GROUP"), "{class}: {words}");
            }
            let one = words_of_one(class.as_str(), false, "77b0e2");
            assert!(
                one.contains("pictor failed") && one.contains("77b0e2") && !one.contains("--group"),
                "{one}"
            );
        }
        assert!(words("", false, "x").contains("pictor failed retry --group x"));
    }
}
