//! Asks each account's API which models it may use, and says why one does not answer.

use pictor_worker::provider::{
    ApiError,
    openai_images::{Auth, Listed, Listing, OpenAiImages, Unreached},
};
use tokio::task::JoinSet;

use super::{
    PATIENCE, Reach,
    finding::{Check, Finding, Group},
    models, now_micros,
};
use crate::{
    config::{AccountSettings, Key, Settings},
    parts,
};

/// What was found, and how far the APIs' clocks are ahead of ours, in µs.
#[derive(Debug, Default)]
pub(super) struct Look {
    pub(super) findings: Vec<Finding>,
    pub(super) ahead: Vec<(String, i64)>,
}

pub(super) async fn look(settings: &Settings, reach: Reach) -> Look {
    let mut asking = JoinSet::new();
    for (name, account) in &settings.accounts {
        let (name, account) = (name.clone(), account.clone());
        asking.spawn(async move {
            let asked = ask(&account, reach).await;
            (name, asked)
        });
    }
    let mut answers = asking.join_all().await;
    answers.sort_by(|(one, _), (other, _)| one.cmp(other));
    let today = parts::today();
    let mut look = Look::default();
    for (name, asked) in answers {
        let account = &settings.accounts[&name];
        look.findings.push(judge_key(&name, account));
        let listing = match asked {
            Ok(listing) => listing,
            Err(finding) => {
                look.findings.push(finding.finding(&name));
                look.findings.extend(models::retirement(settings, &name, &[], &today));
                continue;
            }
        };
        look.ahead.extend(listing.ahead.map(|ahead| (name.clone(), ahead)));
        look.findings.extend(judge_listing(&name, account, &listing.listing));
        let listed = match &listing.listing.answer {
            Listed::Models(listed) => listed.as_slice(),
            _ => &[],
        };
        if matches!(listing.listing.answer, Listed::Models(_)) {
            look.findings.push(models::access(settings, &name, listed, &today));
        }
        look.findings.extend(models::retirement(settings, &name, listed, &today));
    }
    look
}

/// An answer, with the clock of whoever gave it.
#[derive(Debug)]
struct Asked {
    listing: Listing,
    ahead: Option<i64>,
}

/// Why an API was not asked.
#[derive(Debug)]
enum Unasked {
    TooFar(String),
    Settings(String),
    NoKey,
}

impl Unasked {
    fn finding(self, name: &str) -> Finding {
        let check = Check::new(Group::Api, format!("{name} reach"));
        match self {
            Self::NoKey => check.skipped("without a key nothing is asked"),
            Self::TooFar(host) => check.skipped(format!("{host}: {}", Reach::WHY)),
            Self::Settings(words) => {
                check.failed(words, format!("mend it in [accounts.{name}] of the settings"))
            }
        }
    }
}

async fn ask(account: &AccountSettings, reach: Reach) -> Result<Asked, Unasked> {
    let host = account.host();
    if !reach.allows(&host) {
        return Err(Unasked::TooFar(host));
    }
    if account.lacks_key().is_some() {
        return Err(Unasked::NoKey);
    }
    let settings = account.account.clone();
    // The key's file is read, or its command run, on the way.
    let provider = tokio::task::spawn_blocking(move || OpenAiImages::new(settings)).await;
    let provider = provider.map_err(|error| Unasked::Settings(error.to_string()))?;
    let provider = provider.map_err(|error| Unasked::Settings(error.to_string()))?;
    let listing = provider.models(PATIENCE).await;
    let half = i64::try_from(listing.took.as_micros() / 2).unwrap_or(0);
    // A date is cut off at the second: half a second is the best guess for the rest.
    let ahead = listing.date.map(|date| date.as_microsecond() + 500_000 - (now_micros() - half));
    Ok(Asked { listing, ahead })
}

fn source(key: &Key) -> String {
    match key {
        Key::Variable(name) => format!("environment variable {name}"),
        Key::File(path) => format!("file {}", path.display()),
        Key::Command(program) => format!("output of the command {program}"),
        Key::Settings => "settings".to_owned(),
    }
}

fn judge_key(name: &str, account: &AccountSettings) -> Finding {
    let check = Check::new(Group::Api, format!("{name} key"));
    match account.lacks_key() {
        Some(mend) => check.failed(format!("there is no key in the {}", source(&account.key)), mend),
        None if account.account.auth == Auth::None => check.ok("none is wanted (auth = \"none\")"),
        None => check.ok(format!("from the {}", source(&account.key))),
    }
}

fn judge_listing(name: &str, account: &AccountSettings, listing: &Listing) -> Vec<Finding> {
    let host = account.host();
    let reach = Check::new(Group::Api, format!("{name} reach"));
    let answers = || format!("{host} answers in {} ms", listing.took.as_millis());
    let setting = format!("accounts.{name}.base_url");
    match &listing.answer {
        Listed::Models(_) => vec![reach.ok(answers())],
        Listed::NoList(status) => {
            let models = Check::new(Group::Api, format!("{name} models")).warning(
                format!("not checked: {host} lists no models ({status} to GET …/models)"),
                format!("nothing, if this API has no such list; else see whether {setting} is right"),
            );
            vec![reach.ok(answers()), models]
        }
        Listed::Refused(error) => vec![reach.ok(answers()), judge_refusal(name, account, error)],
        Listed::Redirected(to) => vec![reach.failed(
            format!(
                "{host} sends the question on to {to}; Pictor does not follow, so that no key goes astray"
            ),
            format!("set {setting} to where the API really is, https:// included"),
        )],
        Listed::NotApi(what) => vec![reach.failed(
            format!("something answers at {host} that is no image API: {what}"),
            format!(
                "set {setting} to the API (its path, too), or sign in to the network that stands before it"
            ),
        )],
        Listed::Unreached(why, detail) => vec![judge_unreached(reach, &host, &setting, *why, detail)],
    }
}

fn judge_refusal(name: &str, account: &AccountSettings, error: &ApiError) -> Finding {
    let check = Check::new(Group::Api, format!("{name} models"));
    let key = source(&account.key);
    let said = match &error.code {
        Some(code) => format!("{} {code}: {}", error.status, error.message),
        None => format!("{}: {}", error.status, error.message),
    };
    match error.status {
        401 => check.failed(
            format!("the key in the {key} is refused: {said}"),
            format!("put a key that lives into the {key}; it must belong to {}", account.host()),
        ),
        // A restricted key may make images and not list models.
        403 if error.message.contains("scope") => check.warning(
            format!("not checked: the key in the {key} may not list models: {said}"),
            "nothing, if it may make images; or give it the right to read models",
        ),
        403 => check.failed(
            format!("the key in the {key} may not do this: {said}"),
            "give the key's project access to images, or use a key of another; the words say what is missing",
        ),
        429 => check.warning(
            format!("not checked: {said}"),
            "look at the account's limits and credit, and run pictor doctor again",
        ),
        500.. => check.warning(
            format!("not checked: the API is out of order: {said}"),
            "run pictor doctor again later; the provider's status page may say more",
        ),
        _ => check.failed(
            format!("the API refuses to list its models: {said}"),
            format!("see whether accounts.{name}.base_url, query and headers are as the provider says"),
        ),
    }
}

fn judge_unreached(check: Check, host: &str, setting: &str, why: Unreached, detail: &str) -> Finding {
    let (found, mend) = match why {
        Unreached::Name => (
            format!("the name {host} is unknown: {detail}"),
            format!("see whether {setting} is spelt right, and the name server of this machine works"),
        ),
        Unreached::Tls => (
            format!("{host} is not trusted, or does not speak TLS: {detail}"),
            format!(
                "see whether {setting} should begin with http://, a proxy replaces certificates, \
                 or this machine lacks root certificates (Debian: apt-get install ca-certificates)"
            ),
        ),
        Unreached::Proxy => (
            format!("the proxy on the way to {host} refuses: {detail}"),
            "see whether HTTPS_PROXY is right, its user and password too, or add the host to NO_PROXY"
                .to_owned(),
        ),
        Unreached::Connection => (
            format!("no connection to {host}: {detail}"),
            format!("see whether {setting} is right, the server runs, and no firewall is on the way"),
        ),
        Unreached::Late => (
            format!("{host}: {detail}"),
            "look for a firewall on the way, or set HTTPS_PROXY where one is needed".to_owned(),
        ),
        Unreached::Broken => (
            format!("{host} broke the connection: {detail}"),
            format!("see whether {setting} names an HTTP server, and run pictor doctor again"),
        ),
    };
    check.failed(found, mend)
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeMap, time::Duration};

    use super::*;
    use crate::commands::doctor::finding::Status;

    fn account(key: Option<&str>) -> AccountSettings {
        AccountSettings {
            account: pictor_worker::provider::openai_images::Account {
                base_url: "https://h.example/v1".to_owned(),
                api_key: key.map(Into::into),
                ..Default::default()
            },
            key: Key::Variable("H_KEY".to_owned()),
            families: None,
            limits: BTreeMap::new(),
        }
    }

    fn judge(answer: Listed) -> Finding {
        let listing = Listing { answer, date: None, took: Duration::from_millis(20) };
        judge_listing("h", &account(Some("k")), &listing).pop().unwrap()
    }

    fn refused(status: u16, message: &str) -> Finding {
        judge(Listed::Refused(Box::new(ApiError {
            status,
            message: message.to_owned(),
            ..ApiError::default()
        })))
    }

    #[test]
    fn keys_are_told_by_where_they_come_from() {
        assert_eq!(judge_key("h", &account(Some("k"))).found, "from the environment variable H_KEY");
        let missing = judge_key("h", &account(None));
        assert_eq!(missing.status, Status::Failed);
        assert_eq!(missing.mend.as_deref(), Some("set the environment variable H_KEY"));
        let mut open = account(None);
        open.account.auth = Auth::None;
        assert_eq!(judge_key("h", &open).status, Status::Ok);
    }

    #[test]
    fn refusals_by_status() {
        for (status, message, expected, word) in [
            (401, "Incorrect API key", Status::Failed, "H_KEY is refused: 401"),
            (403, "Missing scopes: api.model.read", Status::Warning, "may not list models"),
            (403, "country not supported", Status::Failed, "may not do this"),
            (429, "slow down", Status::Warning, "not checked: 429"),
            (503, "overloaded", Status::Warning, "out of order"),
            (400, "api-version", Status::Failed, "refuses to list"),
        ] {
            let finding = refused(status, message);
            assert_eq!(finding.status, expected, "{finding:?}");
            assert!(finding.found.contains(word) && finding.mend.is_some(), "{finding:?}");
        }
    }

    #[test]
    fn what_is_no_api_is_named() {
        let missing = judge(Listed::NoList(404));
        assert_eq!(missing.status, Status::Warning);
        assert!(missing.found.starts_with("not checked"));
        let elsewhere = judge(Listed::Redirected("other.example".to_owned()));
        assert!(elsewhere.status == Status::Failed && elsewhere.found.contains("other.example"));
        let page = judge(Listed::NotApi("200 with a web page: Sign in".to_owned()));
        assert!(page.status == Status::Failed && page.found.contains("Sign in"));
        for (why, word) in [
            (Unreached::Name, "is unknown"),
            (Unreached::Tls, "TLS"),
            (Unreached::Proxy, "proxy"),
            (Unreached::Connection, "no connection"),
            (Unreached::Late, "h.example: x"),
            (Unreached::Broken, "broke"),
        ] {
            let finding = judge(Listed::Unreached(why, "x".to_owned()));
            assert!(finding.status == Status::Failed && finding.found.contains(word), "{finding:?}");
        }
    }

    #[test]
    fn what_was_not_asked_says_why() {
        assert_eq!(Unasked::TooFar("h".to_owned()).finding("h").status, Status::NotChecked);
        assert_eq!(Unasked::NoKey.finding("h").status, Status::NotChecked);
        let wrong = Unasked::Settings("base_url has no host".to_owned()).finding("h");
        assert!(wrong.status == Status::Failed && wrong.mend.unwrap().contains("[accounts.h]"));
    }
}
