//! Looks at the Redis of the settings, and says why it cannot be reached.

use pictor_common::{keys::Keys, queue::server};
use redis::{Client, RedisError};
use secrecy::ExposeSecret as _;
use tokio::time::timeout;

use super::{
    PATIENCE, Reach,
    finding::{Check, Finding, Group},
    now_micros, private, redis_rules,
};
use crate::{config::Settings, parts};

/// What was found, and how far the server's clock is ahead of ours, in µs.
#[derive(Debug, Default)]
pub(super) struct Look {
    pub(super) findings: Vec<Finding>,
    pub(super) ahead: Option<i64>,
}

impl From<Finding> for Look {
    fn from(finding: Finding) -> Self {
        Self { findings: vec![finding], ahead: None }
    }
}

pub(super) async fn look(settings: &Settings, reach: Reach) -> Look {
    let check = || Check::new(Group::Redis, "reach");
    let keys = match Keys::new(&settings.redis.namespace) {
        Ok(keys) => keys,
        Err(error) => return check().failed(error.to_string(), "set redis.namespace to such a name").into(),
    };
    let Some(url) = &settings.redis.url else { return private::look(settings, &keys).await };
    let url = url.expose_secret();
    let client = match Client::open(url) {
        Ok(client) => client,
        Err(error) => {
            let mend = "set redis.url (PICTOR_REDIS__URL) to redis://HOST:PORT/0, rediss:// for TLS";
            return check().failed(format!("redis.url cannot be read: {error}"), mend).into();
        }
    };
    let address = parts::shown(url);
    if !reach.allows(&host(url)) {
        return check().skipped(format!("{address}: {}", Reach::WHY)).into();
    }
    look_at(&client, &keys, &address).await
}

/// The host of a URL; a socket counts as this machine.
fn host(url: &str) -> String {
    let parsed = url::Url::parse(url).ok();
    let host = parsed.and_then(|url| url.host_str().filter(|host| !host.is_empty()).map(str::to_owned));
    host.unwrap_or_else(|| if url.contains("unix") { "localhost".to_owned() } else { String::new() })
}

/// Looks at a server that a client leads to.
pub(super) async fn look_at(client: &Client, keys: &Keys, address: &str) -> Look {
    let check = Check::new(Group::Redis, "reach");
    let facts = match timeout(PATIENCE, server::look(client, keys, now_micros)).await {
        Ok(Ok(facts)) => facts,
        Ok(Err(error)) => return unreachable(check, address, &Away::of(&error), &error.to_string()).into(),
        Err(_elapsed) => {
            let seconds = format!("no answer within {} s", PATIENCE.as_secs());
            return unreachable(check, address, &Away::Silent, &seconds).into();
        }
    };
    Look { ahead: facts.ahead, findings: redis_rules::judge(&facts, keys, address) }
}

/// Why no server answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Away {
    Password,
    Refused,
    Name,
    Silent,
    Other,
}

impl Away {
    fn of(error: &RedisError) -> Self {
        let words = error.to_string().to_lowercase();
        if error.kind() == redis::ErrorKind::AuthenticationFailed || words.contains("wrongpass") {
            Self::Password
        } else if error.is_connection_refusal() {
            Self::Refused
        } else if error.is_timeout() || words.contains("timed out") {
            Self::Silent
        } else if words.contains("lookup") || words.contains("resolve") || words.contains("no addresses") {
            Self::Name
        } else {
            Self::Other
        }
    }
}

fn unreachable(check: Check, address: &str, away: &Away, detail: &str) -> Finding {
    let (found, mend) = match away {
        Away::Password => (
            format!("{address} refuses the user or the password"),
            "put both into redis.url (PICTOR_REDIS__URL): redis://USER:PASSWORD@HOST:PORT; for the default user, redis://:PASSWORD@HOST:PORT",
        ),
        Away::Refused => (
            format!("nothing listens at {address}"),
            "start the server there, or set redis.url (PICTOR_REDIS__URL) to where it is; without redis.url, pictor run starts one of its own",
        ),
        Away::Name => (
            format!("the name in {address} is unknown: {detail}"),
            "set redis.url (PICTOR_REDIS__URL) to a name that resolves here",
        ),
        Away::Silent => (
            format!("{address}: {detail}"),
            "look for a firewall on the way, a server that is stopped, or TLS at its end (then rediss://)",
        ),
        Away::Other => (
            format!("{address}: {detail}"),
            "see whether redis-cli -u URL PING answers; a server with TLS wants rediss://, one without redis://",
        ),
    };
    check.failed(found, mend)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::doctor::finding::Status;

    #[test]
    fn each_way_of_being_away_has_its_remedy() {
        for (away, found, mend) in [
            (Away::Password, "refuses the user", "USER:PASSWORD"),
            (Away::Refused, "nothing listens at h:1", "start the server"),
            (Away::Name, "is unknown", "resolves"),
            (Away::Silent, "h:1: late", "firewall"),
            (Away::Other, "h:1: late", "rediss://"),
        ] {
            let finding = unreachable(Check::new(Group::Redis, "reach"), "h:1", &away, "late");
            assert_eq!(finding.status, Status::Failed);
            assert!(finding.found.contains(found), "{finding:?}");
            assert!(finding.mend.unwrap().contains(mend));
        }
    }

    #[test]
    fn sockets_are_here() {
        for (url, expected) in [
            ("redis://127.0.0.1:1/0", "127.0.0.1"),
            ("rediss://u:p@queue.internal", "queue.internal"),
            ("unix:///run/redis.sock", "localhost"),
            ("redis+unix:///run/redis.sock", "localhost"),
        ] {
            assert_eq!(host(url), expected);
        }
    }
}
