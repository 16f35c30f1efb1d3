//! Looks at the Redis of the settings, and says why it cannot be reached.

use pictor_common::{
    keys::Keys,
    queue::{Topology, Vote, Way, server},
};
use redis::RedisError;
use tokio::time::timeout;

use super::{
    PATIENCE, Reach,
    finding::{Check, Finding, Group},
    now_micros, private, redis_rules,
};
use crate::{config::Settings, topology};

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
    let redis = match topology::of(&settings.redis) {
        Ok(Some(redis)) => redis,
        Ok(None) => return private::look(settings, &keys).await,
        Err(error) => {
            let mend = "set redis.url (PICTOR_REDIS__URL) to redis://HOST:PORT/0; rediss:// for TLS, redis+sentinel:// \
                        and redis+cluster:// for several servers (docs/redis.md)";
            return check().failed(format!("{error:#}"), mend).into();
        }
    };
    if !redis.hosts().iter().all(|address| reach.allows(host(address))) {
        return check().skipped(format!("{redis}: {}", Reach::WHY)).into();
    }
    look_at(&redis, &keys, &redis.to_string()).await
}

/// The host of an address; a socket counts as this machine.
fn host(address: &str) -> &str {
    if address.starts_with('/') {
        return "localhost";
    }
    address.rsplit_once(':').map_or(address, |(host, _port)| host)
}

/// Looks at the server that takes what is written.
pub(super) async fn look_at(redis: &Topology, keys: &Keys, address: &str) -> Look {
    let check = Check::new(Group::Redis, "reach");
    let (votes, facts) =
        tokio::join!(redis.votes(), timeout(PATIENCE, server::look(redis, keys, now_micros)));
    let sentinels = sentinels(&votes);
    let unreached = match facts {
        Ok(Ok(facts)) => {
            let address = match facts.way {
                Way::Named => address.to_owned(),
                Way::Sentinel | Way::Cluster => format!("{} ({address})", facts.address),
            };
            let mut findings = redis_rules::judge(&facts, keys, &address);
            findings.extend(sentinels);
            return Look { ahead: facts.ahead, findings };
        }
        Ok(Err(error)) => unreachable(check, address, &Away::of(&error), &error.to_string()),
        Err(_elapsed) => {
            let seconds = format!("no answer within {} s", PATIENCE.as_secs());
            unreachable(check, address, &Away::Silent, &seconds)
        }
    };
    Look { findings: [unreached].into_iter().chain(sentinels).collect(), ahead: None }
}

/// Whether enough Sentinels answer to agree on another master, and whether they agree.
fn sentinels(votes: &[Vote]) -> Option<Finding> {
    let check = Check::new(Group::Redis, "sentinels");
    let of_all = |count: usize| format!("{count} of {} Sentinels", votes.len());
    let lacks = |vote: &Vote| match &vote.master {
        Ok(Some(_)) => None,
        Ok(None) => Some(format!("{}: knows no master of that name", vote.sentinel)),
        Err(error) => Some(format!("{}: {error}", vote.sentinel)),
    };
    let silent: Vec<String> = votes.iter().filter_map(lacks).collect();
    let mut named: Vec<&str> =
        votes.iter().filter_map(|vote| vote.master.as_ref().ok()?.as_deref()).collect();
    let answer = named.len();
    named.sort_unstable();
    named.dedup();
    if votes.is_empty() {
        return None;
    }
    let mend = "redis-cli -p 26379 SENTINEL masters, at each of them";
    Some(match (named.as_slice(), silent.as_slice()) {
        ([], _) => check
            .failed(format!("none of {} Sentinels names a master: {}", votes.len(), silent.join("; ")), mend),
        ([_, _, ..], _) => {
            check.warning(format!("the Sentinels name different masters: {}", named.join(", ")), mend)
        }
        ([only], []) if votes.len() < 3 => check.warning(
            format!("{} name {only}", of_all(answer)),
            "two cannot outvote a third that is cut off: name three or more in redis.url",
        ),
        ([only], []) => check.ok(format!("{} name {only}", of_all(answer))),
        ([only], _) => check.warning(format!("{} name {only}; {}", of_all(answer), silent.join("; ")), mend),
    })
}

/// Why no server answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Away {
    Password,
    Refused,
    Name,
    Silent,
    Certificate,
    Other,
}

impl Away {
    fn of(error: &RedisError) -> Self {
        let words = error.to_string().to_lowercase();
        if error.kind() == redis::ErrorKind::AuthenticationFailed || words.contains("wrongpass") {
            Self::Password
        } else if words.contains("certificate") {
            Self::Certificate
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
        Away::Certificate => (
            format!("{address}: {detail}"),
            "name the authority that made the server's certificate in redis.ca_file, and the server by a name or address that the certificate has",
        ),
        Away::Other if detail.contains("Sentinel") => (
            format!("{address}: {detail}"),
            "redis.url (PICTOR_REDIS__URL) is redis+sentinel://HOST:26379,HOST:26379,HOST:26379/MASTER; redis-cli -p 26379 SENTINEL masters lists the names",
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
            (Away::Certificate, "h:1: late", "redis.ca_file"),
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
        for (address, expected) in [
            ("127.0.0.1:1", "127.0.0.1"),
            ("[::1]:1", "[::1]"),
            ("queue:1", "queue"),
            ("/r.sock", "localhost"),
        ] {
            assert_eq!(host(address), expected);
        }
    }

    #[test]
    fn sentinels_that_cannot_vote_are_told() {
        let vote = |master: Option<&str>| Vote {
            sentinel: "s:1".to_owned(),
            master: master.map_or_else(
                || Err(std::io::Error::other("away").into()),
                |master| Ok(Some(master.to_owned()).filter(|master| !master.is_empty())),
            ),
        };
        let judged = |masters: &[Option<&str>]| {
            let votes: Vec<Vote> = masters.iter().map(|master| vote(*master)).collect();
            sentinels(&votes).map(|finding| (finding.status, finding.found))
        };
        assert_eq!(judged(&[]), None);
        let a = Some("a:1");
        for (masters, status, words) in [
            (&[a, a, a][..], Status::Ok, "3 of 3 Sentinels name a:1"),
            (&[a, a], Status::Warning, "2 of 2"),
            (&[a, a, None], Status::Warning, "2 of 3 Sentinels name a:1; s:1: away"),
            (&[a, a, Some("b:1")], Status::Warning, "different masters: a:1, b:1"),
            (&[None, Some(""), None], Status::Failed, "none of 3"),
        ] {
            let (found, told) = judged(masters).unwrap();
            assert!(found == status && told.contains(words), "{found:?} {told}");
        }
    }
}
