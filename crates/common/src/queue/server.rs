//! What a Redis server is like, for whoever has to judge whether money can be trusted to it.
//!
//! Nothing is written: a server that is looked at is left as it was.

use std::{collections::HashMap, str::FromStr, time::Duration};

use redis::{
    AsyncConnectionConfig, ErrorKind, RedisError, RedisResult, Script, ServerErrorKind, Value,
    aio::{ConnectionLike, MultiplexedConnection},
};
use tokio::time::Instant;

use super::{
    commands::{COMMANDS, KEY},
    topology::{Topology, Way},
};
use crate::keys::Keys;

const CONNECT: Duration = Duration::from_secs(3);
const ANSWER: Duration = Duration::from_secs(5);
/// Enough for a median that one slow answer does not move.
const ROUNDS: usize = 15;

/// What was found at a server.
#[derive(Clone, Debug, Default)]
pub struct ServerFacts {
    /// Which server it is, as `host:port`.
    pub address: String,
    /// How it was found.
    pub way: Way,
    /// What `INFO` says, by name; empty when the user may not ask.
    pub info: HashMap<String, String>,
    /// The user of the connection, where the server tells.
    pub user: Option<String>,
    /// Commands that Pictor needs and the user may not run, in lower case.
    pub refused: Vec<String>,
    /// Every command on keys is refused while others are allowed: it is the keys that are.
    pub keys_refused: bool,
    /// `appendfsync`, where the user may read settings.
    pub fsync: Option<String>,
    /// Whether snapshots are set, where the user may read settings.
    pub snapshots: Option<bool>,
    /// How far the server's clock is ahead of ours, in µs.
    pub ahead: Option<i64>,
    /// Median time of a question and its answer.
    pub round_trip: Duration,
    /// The number of the layout in the namespace, or none in an empty one.
    pub schema: Option<String>,
    /// How much longer nothing is claimed, so that live workers can come back.
    pub grace: Option<Duration>,
    /// Why a key of the namespace cannot be read here.
    pub unreadable: Option<Unreadable>,
}

/// Why a key of the namespace cannot be read on a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unreadable {
    /// It lives on another node of the cluster, named `host:port`.
    Elsewhere(String),
    /// The cluster serves no node for it.
    ClusterDown,
    /// The server still loads its data.
    Loading,
    /// A password is wanted.
    NoPassword,
    /// Another reason, in the server's words.
    Other(String),
}

impl ServerFacts {
    /// A field of `INFO`.
    #[must_use]
    pub fn text(&self, name: &str) -> Option<&str> {
        self.info.get(name).map(String::as_str)
    }

    /// A field of `INFO`, read.
    #[must_use]
    pub fn number<T: FromStr>(&self, name: &str) -> Option<T> {
        self.text(name)?.parse().ok()
    }
}

/// Looks at the server that takes what is written, without writing; `clock` tells the local time in µs since 1970.
pub async fn look(redis: &Topology, keys: &Keys, clock: impl Fn() -> i64) -> RedisResult<ServerFacts> {
    let settings =
        AsyncConnectionConfig::new().set_connection_timeout(Some(CONNECT)).set_response_timeout(Some(ANSWER));
    let reached = redis.reach(&settings, &keys.schema()).await?;
    let mut connection = reached.connection;
    let mut facts = ServerFacts { address: reached.address, way: redis.way(), ..ServerFacts::default() };
    match redis::cmd("INFO").query_async::<String>(&mut connection).await {
        Ok(text) => facts.info = fields(&text),
        Err(error) if is_refusal(&error) => facts.refused.push("info".to_owned()),
        Err(error) if facts.note(&error) => return Ok(facts),
        Err(error) => return Err(error),
    }
    facts.look_at_user(&mut connection, keys).await?;
    facts.look_at_clock(&mut connection, clock).await?;
    facts.look_at_namespace(&mut connection, keys).await?;
    Ok(facts)
}

impl ServerFacts {
    async fn look_at_user(&mut self, connection: &mut MultiplexedConnection, keys: &Keys) -> RedisResult<()> {
        self.user = told(redis::cmd("ACL").arg("WHOAMI").query_async(connection).await)?;
        let settings: Option<HashMap<String, String>> = told(
            redis::cmd("CONFIG").arg("GET").arg("appendfsync").arg("save").query_async(connection).await,
        )?;
        let mut settings = settings.unwrap_or_default();
        self.fsync = settings.remove("appendfsync");
        self.snapshots = settings.remove("save").map(|save| !save.is_empty());
        match refused(connection, &keys.schema()).await {
            Ok(places) => self.name_refused(&places),
            Err(error) if is_refusal(&error) => {
                let name = refused_name(&error).unwrap_or_else(|| "evalsha".to_owned());
                self.refused.push(name);
            }
            Err(error) if self.note(&error) => {}
            Err(error) => return Err(error),
        }
        Ok(())
    }

    fn name_refused(&mut self, places: &[usize]) {
        let is_refused = |place: usize| places.contains(&(place + 1));
        let on_keys = |words: &[&str]| words.contains(&KEY);
        let mut keyed = COMMANDS.iter().enumerate().filter(|(_, words)| on_keys(words));
        let mut others = COMMANDS.iter().enumerate().filter(|(_, words)| !on_keys(words));
        self.keys_refused = keyed.all(|(place, _)| is_refused(place)) && !others.all(|(p, _)| is_refused(p));
        let named = COMMANDS.iter().enumerate().filter(|(place, _)| is_refused(*place));
        for (_, words) in named {
            let name = words[0].to_ascii_lowercase();
            if !self.refused.contains(&name) {
                self.refused.push(name);
            }
        }
    }

    async fn look_at_clock(
        &mut self,
        connection: &mut MultiplexedConnection,
        clock: impl Fn() -> i64,
    ) -> RedisResult<()> {
        let mut rounds: Vec<(Duration, i64)> = Vec::with_capacity(ROUNDS);
        for _ in 0..ROUNDS {
            let (asked, before) = (Instant::now(), clock());
            let answer: Option<(i64, i64)> = told(redis::cmd("TIME").query_async(connection).await)?;
            let Some((seconds, micros)) = answer else { return Ok(()) };
            let middle = before + (clock() - before) / 2;
            rounds.push((asked.elapsed(), seconds * 1_000_000 + micros - middle));
        }
        rounds.sort_unstable();
        self.round_trip = rounds[ROUNDS / 2].0;
        // The quickest answer says most about the clock.
        self.ahead = Some(rounds[0].1);
        Ok(())
    }

    async fn look_at_namespace(
        &mut self,
        connection: &mut MultiplexedConnection,
        keys: &Keys,
    ) -> RedisResult<()> {
        match redis::cmd("GET").arg(keys.schema()).query_async(connection).await {
            Ok(schema) => self.schema = schema,
            Err(error) if is_refusal(&error) => return Ok(()),
            Err(error) if self.note(&error) => return Ok(()),
            Err(error) => return Err(error),
        }
        let until: Option<Value> =
            told(redis::cmd("HGET").arg(keys.meta()).arg("grace_until").query_async(connection).await)?;
        let now: Option<(u64, u64)> = told(redis::cmd("TIME").query_async(connection).await)?;
        let until = until.and_then(|value| redis::from_redis_value::<Option<u64>>(value).ok().flatten());
        let left = until.zip(now).and_then(|(until, (seconds, micros))| {
            until.checked_sub(seconds * 1_000_000 + micros).filter(|left| *left > 0)
        });
        self.grace = left.map(Duration::from_micros);
        Ok(())
    }

    /// Takes down why keys cannot be read; false when the connection itself is broken.
    fn note(&mut self, error: &RedisError) -> bool {
        if error.is_io_error() {
            return false;
        }
        let words = || error.to_string();
        self.unreadable = Some(match (error.kind(), error.code()) {
            (ErrorKind::Server(ServerErrorKind::Moved | ServerErrorKind::Ask), _) => {
                let node = error.redirect_node();
                Unreadable::Elsewhere(node.map_or_else(words, |(node, _slot)| node.to_owned()))
            }
            (ErrorKind::Server(ServerErrorKind::ClusterDown | ServerErrorKind::MasterDown), _) => {
                Unreadable::ClusterDown
            }
            (ErrorKind::Server(ServerErrorKind::BusyLoading), _) => Unreadable::Loading,
            (_, Some("NOAUTH")) => Unreadable::NoPassword,
            _ => Unreadable::Other(words()),
        });
        true
    }
}

/// The places of the commands that the user may not run.
async fn refused(connection: &mut (impl ConnectionLike + Send), probe: &str) -> RedisResult<Vec<usize>> {
    let words: Vec<Vec<&str>> = COMMANDS
        .iter()
        .map(|words| words.iter().map(|word| if *word == KEY { probe } else { word }).collect())
        .collect();
    let list = serde_json::to_string(&words).expect("words are JSON");
    Script::new(include_str!("lua/allowed.lua")).arg(list).invoke_async(connection).await
}

/// What the user may not do, in words; none where all is allowed, or the server does not tell.
pub(super) async fn refused_names(
    connection: &mut (impl ConnectionLike + Send),
    probe: &str,
) -> Option<String> {
    let mut facts = ServerFacts::default();
    facts.name_refused(&refused(connection, probe).await.ok()?);
    if facts.keys_refused {
        let prefix = probe.split_inclusive(':').next().unwrap_or_default();
        return Some(format!("touch keys that begin with {prefix}"));
    }
    (!facts.refused.is_empty()).then(|| format!("run {}", facts.refused.join(", ")))
}

/// What a server told; none when it refuses to tell, which is no failure.
fn told<T>(answer: RedisResult<T>) -> RedisResult<Option<T>> {
    match answer {
        Ok(answer) => Ok(Some(answer)),
        Err(error) if error.is_io_error() => Err(error),
        Err(_refused) => Ok(None),
    }
}

fn is_refusal(error: &RedisError) -> bool {
    matches!(error.kind(), ErrorKind::Server(ServerErrorKind::NoPerm))
}

/// The command a refusal names: `… no permissions to run the 'evalsha' command`.
fn refused_name(error: &RedisError) -> Option<String> {
    let words = error.to_string();
    let name = words.split('\'').nth(1)?;
    Some(name.to_owned()).filter(|name| !name.is_empty())
}

fn fields(info: &str) -> HashMap<String, String> {
    let pairs = info.lines().filter_map(|line| line.split_once(':'));
    pairs.map(|(name, value)| (name.to_owned(), value.trim().to_owned())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_of_info() {
        let facts = ServerFacts {
            info: fields("# Server\r\nredis_version:7.0.15\r\nmaxmemory:0\r\n\r\nexecutable:/a:b\r\n"),
            ..ServerFacts::default()
        };
        assert_eq!(facts.text("redis_version"), Some("7.0.15"));
        assert_eq!(facts.number::<u64>("maxmemory"), Some(0));
        assert_eq!(facts.text("executable"), Some("/a:b"));
        assert_eq!(facts.number::<u64>("absent"), None);
    }

    #[test]
    fn keys_that_are_refused_are_told_from_commands() {
        let place_of = |name: &str| COMMANDS.iter().position(|words| words[0] == name).unwrap() + 1;
        let keyed: Vec<usize> = (0..COMMANDS.len())
            .filter(|place| COMMANDS[*place].contains(&KEY))
            .map(|place| place + 1)
            .collect();
        let mut facts = ServerFacts::default();
        facts.name_refused(&keyed);
        assert!(facts.keys_refused);
        let mut facts = ServerFacts::default();
        facts.name_refused(&[place_of("HSET"), place_of("TIME")]);
        assert!(!facts.keys_refused && facts.refused == ["hset", "time"]);
        let mut facts = ServerFacts::default();
        facts.name_refused(&(1..=COMMANDS.len()).collect::<Vec<_>>());
        assert!(!facts.keys_refused, "nothing at all is allowed");
    }
}
