//! What a Redis server must be like to be trusted with money.

use pictor_common::{
    keys::Keys,
    queue::{
        QueueError, SCHEMA, Way, acl_rule,
        server::{ServerFacts, Unreadable},
        works_on,
    },
};

use super::finding::{Check, Finding, Group, size};

/// Slower than this, a server is far away.
const SLOW_MILLIS: u128 = 50;

fn check(name: &str) -> Check {
    Check::new(Group::Redis, name)
}

/// Judges a server that answers at an address.
pub(super) fn judge(facts: &ServerFacts, keys: &Keys, address: &str) -> Vec<Finding> {
    if facts.unreadable == Some(Unreadable::NoPassword) {
        let mend = "put it into redis.url (PICTOR_REDIS__URL): redis://:PASSWORD@HOST:PORT";
        return vec![check("reach").failed(format!("{address} wants a password"), mend)];
    }
    let mut findings = vec![reach(facts, address), permissions(facts, keys)];
    if !facts.info.is_empty() {
        findings.extend([version(facts), role(facts), eviction(facts), memory(facts)]);
        findings.push(persistence(facts));
        findings.push(cluster(facts, keys));
        findings.extend(clients(facts));
    }
    findings.push(namespace(facts, keys));
    findings
}

fn reach(facts: &ServerFacts, address: &str) -> Finding {
    let millis = facts.round_trip.as_millis();
    if millis > SLOW_MILLIS {
        return check("reach").warning(
            format!("{address} answers in {millis} ms (median)"),
            "every claim is such a round trip: run workers near the server",
        );
    }
    let tenths = facts.round_trip.as_micros() / 100;
    check("reach").ok(format!("{address} answers in {}.{} ms (median)", tenths / 10, tenths % 10))
}

fn version(facts: &ServerFacts) -> Finding {
    let (name, version, least) = match facts.text("valkey_version") {
        Some(valkey) => ("Valkey", valkey, (7, 2)),
        None => ("Redis", facts.text("redis_version").unwrap_or("of no version"), (7, 0)),
    };
    judge_version(check("version"), name, version, least)
}

/// Judges a version, `7.0.15`.
pub(super) fn judge_version(check: Check, name: &str, version: &str, least: (u32, u32)) -> Finding {
    let mut numbers = version.split('.').map(|part| part.parse::<u32>().unwrap_or(0));
    let found = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
    if found >= least {
        return check.ok(format!("{name} {version}"));
    }
    check.failed(
        format!("{name} {version} is too old for Pictor's scripts"),
        "install Redis 7.0 or newer, or Valkey 7.2 or newer",
    )
}

fn role(facts: &ServerFacts) -> Finding {
    let check = check("role");
    if facts.text("loading") == Some("1") || facts.unreadable == Some(Unreadable::Loading) {
        let left = facts.text("loading_eta_seconds").map_or(String::new(), |s| format!(", for {s} s more"));
        return check
            .failed(format!("the server still loads its data{left}"), "wait, and run pictor doctor again");
    }
    if facts.text("role") == Some("slave") {
        let host = facts.text("master_host").unwrap_or("?");
        let port = facts.text("master_port").unwrap_or("?");
        return check.failed(
            format!("a replica of {host}:{port}: nothing can be written here"),
            format!("set redis.url (PICTOR_REDIS__URL) to the primary, {host}:{port}"),
        );
    }
    let replicas = facts.number("connected_slaves").unwrap_or(0_u32);
    // It counts the good ones only where it is told to want some.
    if facts.way == Way::Sentinel && facts.text("min_slaves_good_slaves").is_none() {
        return check.warning(
            format!("primary, with {replicas} of its replicas connected; cut off from them it would go on, beside another one"),
            "on every server, and in its redis.conf: redis-cli CONFIG SET min-replicas-to-write 1, \
             redis-cli CONFIG SET min-replicas-max-lag 2",
        );
    }
    check.ok(match replicas {
        0 => "primary, without replicas".to_owned(),
        1 => "primary, with a replica".to_owned(),
        more => format!("primary, with {more} replicas"),
    })
}

fn eviction(facts: &ServerFacts) -> Finding {
    match facts.text("maxmemory_policy") {
        Some("noeviction") => check("eviction").ok("noeviction"),
        None => check("eviction").skipped("the server does not tell its maxmemory-policy"),
        Some(policy) => check("eviction").failed(
            format!("maxmemory-policy is {policy}: the server may forget what was paid for"),
            "redis-cli CONFIG SET maxmemory-policy noeviction, and the same in redis.conf; at a hosting provider, in the parameter group",
        ),
    }
}

fn memory(facts: &ServerFacts) -> Finding {
    let used: u64 = facts.number("used_memory").unwrap_or(0);
    let limit: u64 = facts.number("maxmemory").unwrap_or(0);
    if limit == 0 {
        return check("memory").ok(format!("{} used, without a limit", size(used)));
    }
    let percent = used.saturating_mul(100) / limit;
    let found = format!("{} of {} used, {percent} %", size(used), size(limit));
    let mend = "raise it: redis-cli CONFIG SET maxmemory BYTES, and the same in redis.conf";
    match percent {
        0..80 => check("memory").ok(found),
        80..98 => check("memory").warning(found + "; when it is full nothing more can be submitted", mend),
        _ => check("memory").failed(found + ": nothing more can be submitted or claimed", mend),
    }
}

fn persistence(facts: &ServerFacts) -> Finding {
    let check = check("persistence");
    const AOF: &str = "redis-cli CONFIG SET appendonly yes, and appendonly yes in redis.conf";
    let is = |name: &str, value: &str| facts.text(name) == Some(value);
    if is("aof_enabled", "1") {
        if facts.text("aof_last_write_status").is_some_and(|status| status != "ok") {
            let found = "the append-only file cannot be written, so nothing else can";
            return check.failed(found, "free room on the server's disk; its log says why");
        }
        return match facts.fsync.as_deref() {
            Some("no") => check.warning(
                "append-only file, synced when the system likes: a power cut can forget half a minute",
                "redis-cli CONFIG SET appendfsync everysec, and the same in redis.conf",
            ),
            Some(how) => check.ok(format!("append-only file, synced {how}")),
            None => check.ok("append-only file"),
        };
    }
    if facts.snapshots == Some(false) {
        return check.warning(
            "NONE: nothing is kept on disk. A restart forgets every batch, what was spent, and which images were paid for",
            AOF,
        );
    }
    if is("rdb_last_bgsave_status", "err") {
        let found = "the last snapshot failed, and the server may refuse to write until one succeeds";
        return check.failed(found, "free room on the server's disk; its log says why");
    }
    let found = match facts.snapshots {
        Some(_) => "snapshots only: a restart forgets the minutes since the last one",
        None => "no append-only file, and perhaps no snapshots: a restart forgets what was paid for",
    };
    check.warning(found, AOF)
}

fn permissions(facts: &ServerFacts, keys: &Keys) -> Finding {
    let check = check("permissions");
    let user = facts.user.as_deref().unwrap_or("this user");
    let name = facts.user.as_deref().unwrap_or("USER");
    let rule = format!("redis-cli ACL SETUSER {name} '{}'", acl_rule(keys.prefix()).replace(' ', "' '"));
    if facts.keys_refused {
        let found = format!("{user} may not touch keys that begin with {}", keys.prefix());
        return check.failed(found, format!("allow them, or set redis.namespace: {rule}"));
    }
    if facts.refused.is_empty() {
        return check.ok(format!("{user} may run all that Pictor needs"));
    }
    let found = format!("{user} may not run {}", facts.refused.join(", "));
    if facts.refused == ["scan"] {
        return check.warning(
            format!("{found}, which nothing but retention.assets and retention.max_assets need"),
            rule,
        );
    }
    check.failed(found, rule)
}

fn cluster(facts: &ServerFacts, keys: &Keys) -> Finding {
    let check = check("cluster");
    let name = keys.prefix();
    match &facts.unreadable {
        Some(Unreadable::Elsewhere(node)) => check.failed(
            format!("this is a cluster, and namespace {name} lives on another node, {node}"),
            format!("set redis.url (PICTOR_REDIS__URL) to redis+cluster://{node},OTHER NODES"),
        ),
        Some(Unreadable::ClusterDown) => check.failed(
            "the cluster has no node for the namespace",
            "redis-cli --cluster fix HOST:PORT, or wait until a replica has taken over",
        ),
        _ if facts.text("cluster_enabled") == Some("1") && facts.way == Way::Cluster => check.ok(format!(
            "all keys have the hash tag {name} and live on the node {}; another one is followed",
            facts.address
        )),
        _ if facts.text("cluster_enabled") == Some("1") => check.warning(
            format!("all keys have the hash tag {name} and live on this node; should another take over, it is not found"),
            format!("set redis.url (PICTOR_REDIS__URL) to redis+cluster://{},OTHER NODES", facts.address),
        ),
        _ if facts.way == Way::Cluster => check.ok("no cluster: redis:// would do"),
        _ => check.ok("one server, no cluster"),
    }
}

fn clients(facts: &ServerFacts) -> Option<Finding> {
    let now: u64 = facts.number("connected_clients")?;
    let most: u64 = facts.number("maxclients").filter(|most| *most > 0)?;
    let found = format!("{now} of {most} connections in use");
    Some(if now.saturating_mul(10) < most.saturating_mul(9) {
        check("connections").ok(found)
    } else {
        check("connections")
            .warning(found, "redis-cli CONFIG SET maxclients NUMBER; a worker takes about four")
    })
}

fn namespace(facts: &ServerFacts, keys: &Keys) -> Finding {
    let check = check("namespace");
    let name = keys.prefix();
    if let Some(Unreadable::Other(words)) = &facts.unreadable {
        return check.failed(format!("{name} cannot be read: {words}"), "see what redis-cli GET says there");
    }
    if facts.unreadable.is_some() || facts.keys_refused || facts.refused.iter().any(|name| name == "get") {
        return check.skipped(format!("{name} cannot be read"));
    }
    match &facts.schema {
        None => check.ok(format!("{name} is empty")),
        Some(found) if !works_on(found) => check.failed(
            format!("{name}: {}", QueueError::Schema { found: found.clone() }),
            "use the version of Pictor that made it, or set redis.namespace (PICTOR_REDIS__NAMESPACE) to another name",
        ),
        Some(found) if *found != SCHEMA.to_string() => check.ok(format!(
            "{name} is known; its layout {found} becomes {SCHEMA} once no worker of an older version is left"
        )),
        Some(_) => check.ok(match facts.grace {
            Some(left) => format!("{name} is known; for {} s more nothing is claimed", left.as_secs() + 1),
            None => format!("{name} is known"),
        }),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::commands::doctor::finding::Status;

    fn keys() -> Keys {
        Keys::new("shop").unwrap()
    }

    fn healthy() -> ServerFacts {
        let fields = [
            ("redis_version", "7.0.15"),
            ("role", "master"),
            ("maxmemory_policy", "noeviction"),
            ("used_memory", "1000000"),
            ("maxmemory", "0"),
            ("aof_enabled", "1"),
            ("aof_last_write_status", "ok"),
            ("connected_clients", "3"),
            ("maxclients", "10000"),
        ];
        ServerFacts {
            info: fields.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect(),
            fsync: Some("everysec".to_owned()),
            user: Some("default".to_owned()),
            snapshots: Some(false),
            ..ServerFacts::default()
        }
    }

    fn with(changes: &[(&str, &str)]) -> ServerFacts {
        let mut facts = healthy();
        for (name, value) in changes {
            facts.info.insert((*name).to_owned(), (*value).to_owned());
        }
        facts
    }

    fn of(facts: &ServerFacts, name: &str) -> Finding {
        let findings = judge(facts, &keys(), "h:1");
        findings.into_iter().find(|finding| finding.check == name).unwrap()
    }

    #[test]
    fn a_healthy_server_passes_whole() {
        let findings = judge(&healthy(), &keys(), "h:1");
        assert!(findings.iter().all(|finding| finding.status == Status::Ok), "{findings:#?}");
    }

    #[test]
    fn fields_that_are_wrong() {
        use Status::{Failed, Ok, Warning};
        type Row<'r> = (&'r [(&'r str, &'r str)], &'r str, Status, &'r str);
        let rows: &[Row<'_>] = &[
            (&[("redis_version", "6.2.14")], "version", Failed, "Valkey 7.2 or newer"),
            (&[("redis_version", "7.2.4"), ("valkey_version", "9.0.1")], "version", Ok, ""),
            (&[("redis_version", "7.2.4"), ("valkey_version", "7.1.0")], "version", Failed, "7.2"),
            (
                &[("role", "slave"), ("master_host", "p"), ("master_port", "7")],
                "role",
                Failed,
                "primary, p:7",
            ),
            (&[("loading", "1"), ("loading_eta_seconds", "9")], "role", Failed, "wait"),
            (
                &[("maxmemory_policy", "allkeys-lru")],
                "eviction",
                Failed,
                "CONFIG SET maxmemory-policy noeviction",
            ),
            (&[("maxmemory", "2000000")], "memory", Ok, ""),
            (&[("maxmemory", "1200000")], "memory", Warning, "CONFIG SET maxmemory"),
            (&[("maxmemory", "1000001")], "memory", Failed, "CONFIG SET maxmemory"),
            (&[("aof_last_write_status", "err")], "persistence", Failed, "free room"),
            (&[("aof_enabled", "0")], "persistence", Warning, "appendonly yes"),
            (&[("connected_clients", "9500")], "connections", Warning, "maxclients"),
            (&[("cluster_enabled", "1")], "cluster", Warning, "redis+cluster://"),
        ];
        for (changes, name, status, mend) in rows {
            let finding = of(&with(changes), name);
            assert_eq!(finding.status, *status, "{finding:?}");
            assert!(finding.mend.clone().unwrap_or_default().contains(mend), "{finding:?}");
        }
    }

    #[test]
    fn persistence_by_how_much_is_forgotten() {
        let none = of(&with(&[("aof_enabled", "0")]), "persistence");
        assert!(none.found.starts_with("NONE"));
        let snapshots = ServerFacts { snapshots: Some(true), ..with(&[("aof_enabled", "0")]) };
        assert!(of(&snapshots, "persistence").found.starts_with("snapshots only"));
        let broken = [("aof_enabled", "0"), ("rdb_last_bgsave_status", "err")];
        let broken = ServerFacts { snapshots: Some(true), ..with(&broken) };
        assert_eq!(of(&broken, "persistence").status, Status::Failed);
        let hidden = ServerFacts { snapshots: None, fsync: None, ..with(&[("aof_enabled", "0")]) };
        assert!(of(&hidden, "persistence").found.contains("perhaps no snapshots"));
        let lazy = ServerFacts { fsync: Some("no".to_owned()), ..healthy() };
        assert!(of(&lazy, "persistence").mend.unwrap().contains("appendfsync everysec"));
    }

    #[test]
    fn a_user_without_rights_gets_the_rule() {
        let poor = ServerFacts { refused: vec!["evalsha".to_owned()], ..healthy() };
        let finding = of(&poor, "permissions");
        assert_eq!((finding.status, &*finding.found), (Status::Failed, "default may not run evalsha"));
        let mend = finding.mend.unwrap();
        assert!(
            mend.starts_with("redis-cli ACL SETUSER default '~{shop}:*' '-@all' '+copy' '+del' "),
            "{mend}"
        );
        let keyless = ServerFacts { keys_refused: true, refused: vec!["get".to_owned()], ..healthy() };
        assert!(of(&keyless, "permissions").found.contains("keys that begin with {shop}:"));
        assert_eq!(of(&keyless, "namespace").status, Status::NotChecked);
    }

    #[test]
    fn keys_that_cannot_be_read() {
        let unreadable = |why| ServerFacts { unreadable: Some(why), ..healthy() };
        let elsewhere = of(&unreadable(Unreadable::Elsewhere("n:2".to_owned())), "cluster");
        assert!(
            elsewhere.status == Status::Failed && elsewhere.mend.unwrap().contains("redis+cluster://n:2")
        );
        let followed =
            ServerFacts { way: Way::Cluster, address: "n:1".to_owned(), ..with(&[("cluster_enabled", "1")]) };
        assert!(of(&followed, "cluster").found.contains("the node n:1"));
        let alone = ServerFacts { way: Way::Sentinel, ..healthy() };
        assert!(of(&alone, "role").mend.unwrap().contains("min-replicas-to-write 1"));
        assert_eq!(of(&unreadable(Unreadable::ClusterDown), "cluster").status, Status::Failed);
        assert_eq!(of(&unreadable(Unreadable::Loading), "role").status, Status::Failed);
        assert_eq!(of(&unreadable(Unreadable::Other("X".to_owned())), "namespace").status, Status::Failed);
        let locked = ServerFacts { unreadable: Some(Unreadable::NoPassword), ..ServerFacts::default() };
        assert!(of(&locked, "reach").mend.unwrap().contains("PASSWORD"));
    }

    #[test]
    fn the_namespace_and_the_way_there() {
        let current = SCHEMA.to_string();
        let of_schema = |schema: &str| ServerFacts { schema: Some(schema.to_owned()), ..healthy() };
        assert_eq!(of(&of_schema(&current), "namespace").found, "{shop}: is known");
        assert!(of(&of_schema("99"), "namespace").found.contains("a newer version of Pictor"));
        assert_eq!(of(&of_schema("99"), "namespace").status, Status::Failed);
        assert!(of(&of_schema("2"), "namespace").found.contains(&format!("becomes {SCHEMA} once no worker")));
        let waiting = ServerFacts { grace: Some(Duration::from_secs(5)), ..of_schema(&current) };
        assert!(of(&waiting, "namespace").found.contains("6 s more"));
        let far = ServerFacts { round_trip: Duration::from_millis(80), ..healthy() };
        assert_eq!(of(&far, "reach").status, Status::Warning);
    }
}
