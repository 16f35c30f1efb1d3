//! The Redis commands Pictor needs, and the narrowest ACL rule that allows them.

/// Stands for a key of the namespace in [`COMMANDS`].
pub(super) const KEY: &str = "KEY";

/// Every command the scripts and the binary send, as it could be sent.
pub(super) const COMMANDS: &[&[&str]] = &[
    &["COPY", KEY, KEY],
    &["DEL", KEY],
    &["EXISTS", KEY],
    &["GET", KEY],
    &["HDEL", KEY, "f"],
    &["HEXISTS", KEY, "f"],
    &["HGET", KEY, "f"],
    &["HGETALL", KEY],
    &["HINCRBY", KEY, "f", "1"],
    &["HMGET", KEY, "f"],
    &["HMSET", KEY, "f", "v"],
    &["HSET", KEY, "f", "v"],
    &["HSETNX", KEY, "f", "v"],
    &["INFO"],
    &["LPOP", KEY],
    &["MGET", KEY],
    &["MSET", KEY, "v"],
    &["PING"],
    &["RPUSH", KEY, "v"],
    &["SADD", KEY, "v"],
    &["SCAN", "0"],
    &["SET", KEY, "v"],
    &["SMEMBERS", KEY],
    &["TIME"],
    &["XADD", KEY, "*", "f", "v"],
    &["XRANGE", KEY, "-", "+"],
    &["XREAD", "STREAMS", KEY, "0"],
    &["XREVRANGE", KEY, "+", "-"],
    &["XTRIM", KEY, "MINID", "0"],
    &["ZADD", KEY, "1", "m"],
    &["ZCARD", KEY],
    &["ZCOUNT", KEY, "0", "0"],
    &["ZPOPMIN", KEY],
    &["ZRANDMEMBER", KEY],
    &["ZRANGE", KEY, "0", "0"],
    &["ZRANGEBYSCORE", KEY, "0", "0"],
    &["ZREM", KEY, "m"],
    &["ZREMRANGEBYSCORE", KEY, "0", "0"],
    &["ZREVRANGE", KEY, "0", "0"],
    &["ZSCORE", KEY, "m"],
];

/// What brings the scripts to the server; asked for by being used.
const SCRIPTS: &[&str] = &["EVALSHA", "SCRIPT|LOAD"];

/// The commands of [`COMMANDS`], and those that run scripts, as ACL rules name them.
fn names() -> impl Iterator<Item = String> {
    COMMANDS.iter().map(|words| words[0]).chain(SCRIPTS.iter().copied()).map(str::to_ascii_lowercase)
}

/// The ACL rule of a user who may do all that Pictor does in a namespace, and nothing else.
///
/// What stands between `ACL SETUSER name on >password` and the end of that line.
#[must_use]
pub fn acl_rule(prefix: &str) -> String {
    let commands: Vec<String> = names().map(|name| format!("+{name}")).collect();
    format!("~{prefix}* -@all {}", commands.join(" "))
}

#[cfg(test)]
mod tests {
    use std::{
        collections::BTreeSet,
        fs,
        path::{Path, PathBuf},
    };

    use super::*;

    /// What the redis crate calls commands by another name, or by the name of something else too.
    const METHODS: &[(&str, &str)] = &[
        ("hset_multiple", "HMSET"),
        ("hset_nx", "HSETNX"),
        ("hincr", "HINCRBY"),
        ("hscan_match", "HSCAN"),
        ("set_nx", "SETNX"),
        ("set_ex", "SETEX"),
        ("set_options", "SET"),
        ("scan_match", "SCAN"),
        ("zadd_multiple", "ZADD"),
        ("zincr", "ZINCRBY"),
        ("zrange_withscores", "ZRANGE"),
        ("zrevrange_withscores", "ZREVRANGE"),
        ("zrangebyscore_limit", "ZRANGEBYSCORE"),
        ("zrangebyscore_withscores", "ZRANGEBYSCORE"),
        ("zrangebyscore_limit_withscores", "ZRANGEBYSCORE"),
        ("xadd_maxlen", "XADD"),
        ("xread_options", "XREAD"),
        ("xrange_count", "XRANGE"),
        ("xrange_all", "XRANGE"),
        ("xrevrange_count", "XREVRANGE"),
        ("xrevrange_all", "XREVRANGE"),
    ];
    /// Without `get`, `set`, `del` and the like, which are names of much else; scripts and `redis::cmd` show those.
    const SAME: &[&str] = &[
        "expire",
        "pexpire",
        "expire_at",
        "ttl",
        "pttl",
        "incr",
        "decr",
        "mget",
        "mset",
        "getdel",
        "unlink",
        "hget",
        "hset",
        "hdel",
        "hmget",
        "hgetall",
        "hexists",
        "hlen",
        "hkeys",
        "hvals",
        "hscan",
        "hstrlen",
        "lpush",
        "rpush",
        "lpop",
        "rpop",
        "lrange",
        "llen",
        "lrem",
        "ltrim",
        "lindex",
        "sadd",
        "srem",
        "smembers",
        "sismember",
        "scard",
        "spop",
        "sscan",
        "srandmember",
        "publish",
        "xadd",
        "xlen",
        "xdel",
        "xtrim",
        "xread",
        "xrange",
        "xrevrange",
        "zadd",
        "zrem",
        "zcard",
        "zcount",
        "zscore",
        "zrank",
        "zrange",
        "zrevrange",
        "zrangebyscore",
        "zrevrangebyscore",
        "zrangebylex",
        "zpopmin",
        "zpopmax",
        "zincrby",
        "zremrangebyscore",
        "zremrangebyrank",
        "zscan",
    ];
    /// Files that talk to a server of our own or to a Sentinel, tests, and what only a doctor asks.
    const ELSEWHERE: &[&str] = &["private_redis.rs", "commands.rs", "sentinel.rs", "link_tests.rs"];
    const OPTIONAL: &[&str] = &["ACL", "CONFIG"];

    fn sources(dir: &Path, found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(dir).unwrap().map(Result::unwrap) {
            let path = entry.path();
            let name = entry.file_name().into_string().unwrap();
            if path.is_dir() {
                sources(&path, found);
            } else if (name.ends_with(".rs") || name.ends_with(".lua")) && !ELSEWHERE.contains(&&*name) {
                found.push(path);
            }
        }
    }

    /// The words that follow an opening in a text, up to a closing quote.
    fn quoted<'t>(text: &'t str, opening: &'static str) -> impl Iterator<Item = String> + 't {
        text.match_indices(opening).filter_map(move |(at, _)| {
            let word = text[at + opening.len()..].split(['\'', '"']).next()?;
            word.bytes().all(|b| b.is_ascii_alphabetic()).then(|| word.to_ascii_uppercase())
        })
    }

    fn called(text: &str, method: &str) -> bool {
        text.contains(&format!(".{method}(")) || text.contains(&format!(".{method}::<"))
    }

    fn commands_of(text: &str) -> BTreeSet<String> {
        let mut found: BTreeSet<String> = quoted(text, "call('").collect();
        found.extend(quoted(text, "redis::cmd(\""));
        found.extend(quoted(text, ".cmd(\""));
        found.extend(METHODS.iter().filter(|(method, _)| called(text, method)).map(|(_, c)| (*c).to_owned()));
        found.extend(SAME.iter().filter(|method| called(text, method)).map(|m| m.to_ascii_uppercase()));
        found
    }

    #[test]
    fn the_rule_names_what_the_sources_use() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let mut files = Vec::new();
        for dir in ["src", "../producer/src", "../worker/src", "../../src"] {
            sources(&root.join(dir), &mut files);
        }
        let mut used = BTreeSet::new();
        for file in files {
            let text = fs::read_to_string(&file).unwrap();
            used.extend(commands_of(text.split("#[cfg(test)]").next().unwrap_or_default()));
        }
        used.retain(|name| !OPTIONAL.contains(&name.as_str()) && !SCRIPTS.contains(&name.as_str()));
        let named: BTreeSet<String> = COMMANDS.iter().map(|words| words[0].to_owned()).collect();
        let missing: Vec<_> = used.difference(&named).collect();
        let unused: Vec<_> = named.difference(&used).collect();
        assert!(missing.is_empty(), "add to COMMANDS: {missing:?}");
        assert!(unused.is_empty(), "nothing uses, so take out of COMMANDS: {unused:?}");
    }

    #[test]
    fn commands_are_found_where_they_are_called() {
        let text =
            "call('HGET', x); redis::cmd(\"XREAD\"); pipe.hset_multiple(a); c.zcard::<_, u64>(k); a.len()";
        let found: Vec<String> = commands_of(text).into_iter().collect();
        assert_eq!(found, ["HGET", "HMSET", "XREAD", "ZCARD"]);
    }

    #[test]
    fn the_rule_stays_inside_the_namespace() {
        let rule = acl_rule("{shop}:");
        assert!(rule.starts_with("~{shop}:* -@all +copy +del +exists "), "{rule}");
        assert!(rule.ends_with(" +evalsha +script|load"), "{rule}");
    }
}
