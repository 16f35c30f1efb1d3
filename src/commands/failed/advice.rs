//! What to do about a kind of failure: in words that name the command, and for a page.

use pictor_worker::verdict::FailureClass;

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

/// What is to be done about some kinds of failure.
#[derive(Debug)]
struct Advice {
    classes: &'static [FailureClass],
    cause: Cause,
    /// What happened.
    what: &'static str,
    /// What to do, for whoever reads it in a terminal; with `GROUP` where the group's name goes, `KEY` where a key's does.
    typed: &'static str,
    /// The same on a page, of all of whose failures nobody retries at once.
    on_page: &'static str,
}

const ADVICE: &[Advice] = &[
    Advice {
        classes: &[FailureClass::Moderation],
        cause: Cause::Content,
        what: "the provider refused the content, and would again",
        typed: "pictor failed retry --group GROUP --edit mends the words, pictor failed discard --group GROUP gives up",
        on_page: "Reword the prompt and submit the row again.",
    },
    Advice {
        classes: &[FailureClass::BadSpec],
        cause: Cause::Spec,
        what: "the spec is wrong, and would be refused again",
        typed: "pictor failed retry --group GROUP --edit mends the rows where they are; more than 200 go through a file, which \
                is a batch of its own: pictor failed export mend.csv --group GROUP, then pictor submit mend.csv",
        on_page: "Mend the row and submit it again.",
    },
    Advice {
        classes: &[FailureClass::AccountBilling],
        cause: Cause::Account,
        what: "the account has no money or a limit of its own",
        typed: "pay, or raise it; pictor lane resume LANE, then pictor failed retry --group GROUP",
        on_page: "Pay, or raise it, at the provider; then retry.",
    },
    Advice {
        classes: &[FailureClass::Auth],
        cause: Cause::Account,
        what: "the key is refused",
        typed: "set another and try it with pictor doctor; then pictor failed retry --group GROUP",
        on_page: "Set another and try it with pictor doctor; then retry.",
    },
    Advice {
        classes: &[FailureClass::Permission],
        cause: Cause::Account,
        what: "the key may not do this",
        typed: "allow it in the provider's console, or use another model: \
                pictor failed retry --group GROUP --by-model MODEL",
        on_page: "Allow it in the provider's console, or name another model.",
    },
    Advice {
        classes: &[FailureClass::ModelNotFound, FailureClass::ModelRetired],
        cause: Cause::Model,
        what: "the provider has no such model, or not for this account",
        typed: "pictor failed retry --group GROUP --by-model MODEL; pictor models lists them",
        on_page: "Name another one, or let one stand in: submit --fallback MODEL.",
    },
    Advice {
        classes: &[FailureClass::OverLimit],
        cause: Cause::Model,
        what: "one request asks for more than the limit allows in all",
        typed: "ask the provider for more, or pictor failed retry --group GROUP --by-model MODEL",
        on_page: "Have the limit raised, or ask for less.",
    },
    Advice {
        classes: &[FailureClass::RateLimit, FailureClass::Overloaded],
        cause: Cause::Outage,
        what: "the API has too much to do",
        typed: "pictor failed retry --group GROUP --at +1h",
        on_page: "Retry when there is less.",
    },
    Advice {
        classes: &[
            FailureClass::ServerError,
            FailureClass::Gateway,
            FailureClass::Transport,
            FailureClass::Timeout,
        ],
        cause: Cause::Outage,
        what: "an outage",
        typed: "look at pictor lane list, and when it is over pictor failed retry --group GROUP",
        on_page: "Retry when it is over: such failures mostly pass. pictor doctor checks the way to the provider.",
    },
    Advice {
        classes: &[FailureClass::Endpoint],
        cause: Cause::Account,
        what: "what answers is no image API",
        typed: "mend base_url of the account, see pictor doctor; then pictor failed retry --group GROUP",
        on_page: "Mend base_url of the account, see pictor doctor; then retry.",
    },
    Advice {
        classes: &[FailureClass::BadAnswer, FailureClass::TooLarge, FailureClass::ResultFetch],
        cause: Cause::Answer,
        what: "an answer came without a usable image, and may have been paid for",
        typed: "look at one with pictor failed show KEY; pictor failed retry --group GROUP asks, and pays, again",
        on_page: "Look at the ledger before you retry.",
    },
    Advice {
        classes: &[FailureClass::Spool],
        cause: Cause::Machine,
        what: "the worker's disk failed",
        typed: "make room, see pictor doctor on that machine; then pictor failed retry --group GROUP",
        on_page: "Make room or replace it, then retry.",
    },
    Advice {
        classes: &[FailureClass::Poison],
        cause: Cause::Machine,
        what: "workers died of it",
        typed: "look at their logs before pictor failed retry --group GROUP",
        on_page: "Look at their logs before you retry.",
    },
];

/// Of whatever is parked, and on a page of every outcome that nobody knows.
const DOUBT: Advice = Advice {
    classes: &[FailureClass::UnknownOutcome],
    cause: Cause::Doubt,
    what: "sent, and perhaps paid for",
    typed: "look for them in the invoice (pictor ledger reconcile INVOICE.csv); pictor failed retry --group GROUP --parked \
            may pay twice, pictor failed discard --group GROUP --parked gives up",
    on_page: "Look for it in the invoice (pictor ledger reconcile INVOICE.csv); retrying may pay twice.",
};

/// Of a class that another version made, and of an outcome that is known by now.
const OTHER: &str = "look at one with pictor failed show KEY; pictor failed retry --group GROUP tries again";

fn of(class: FailureClass) -> Option<&'static Advice> {
    ADVICE.iter().find(|advice| advice.classes.contains(&class))
}

fn advice(class: &str, parked: bool) -> Option<&'static Advice> {
    if parked { Some(&DOUBT) } else { of(class.parse().ok()?) }
}

fn typed(class: &str, parked: bool) -> String {
    let advice = advice(class, parked);
    advice.map_or_else(|| OTHER.to_owned(), |advice| format!("{}: {}", advice.what, advice.typed))
}

/// Whose turn it is after a kind of failure.
pub(crate) fn cause(class: &str, parked: bool) -> Cause {
    advice(class, parked).map_or(Cause::Outage, |advice| advice.cause)
}

/// What to do about a group of failures.
pub(crate) fn words(class: &str, parked: bool, group: &str) -> String {
    typed(class, parked).replace("GROUP", group)
}

/// The same of one failure.
pub(crate) fn words_of_one(class: &str, parked: bool, key: &str) -> String {
    typed(class, parked).replace("--group GROUP", key).replace("KEY", key)
}

/// What to do about a kind of failure, for a page.
pub(crate) fn on_page(class: FailureClass) -> String {
    let Advice { what, on_page, .. } = of(class).unwrap_or(&DOUBT);
    let mut letters = what.chars();
    let first = letters.next().map(|first| first.to_ascii_uppercase());
    format!("{}{}. {on_page}", first.into_iter().collect::<String>(), letters.as_str())
}

#[cfg(test)]
mod tests {
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

    #[test]
    fn every_class_has_one_advice_and_sentences_for_a_page() {
        for class in FailureClass::ALL {
            let found =
                ADVICE.iter().chain([&DOUBT]).filter(|advice| advice.classes.contains(&class)).count();
            assert_eq!(found, 1, "{class}");
            let text = on_page(class);
            assert!(text.starts_with(char::is_uppercase) && text.ends_with('.'), "{class}: {text}");
            assert!(!text.contains("GROUP") && !text.contains("KEY"), "{class}: {text}");
        }
    }
}
