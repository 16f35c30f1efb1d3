//! Sentinels: which server is the master now, by what most of them say.

use std::{collections::BTreeMap, time::Duration};

use redis::{AsyncConnectionConfig, Client, RedisError, RedisResult, Value};
use tokio::task::JoinSet;

use super::{Reached, address, elsewhere, joined, trouble};

/// A Sentinel answers at once or is away.
const PATIENCE: Duration = Duration::from_secs(1);

/// Who watches a master, and how to talk to it.
#[derive(Clone, Debug)]
pub(super) struct Sentinels {
    pub(super) clients: Vec<Client>,
    /// The name under which they know it.
    pub(super) master: String,
    /// User, password, database and certificates at the master; its address is theirs to say.
    pub(super) server: Client,
}

/// What a Sentinel says.
#[derive(Debug)]
pub struct Vote {
    /// Who says it, as `host:port`.
    pub sentinel: String,
    /// The address of the master, if it knows one of that name.
    pub master: RedisResult<Option<String>>,
}

type Named = Option<(String, u16)>;

impl Sentinels {
    fn asking(&self) -> JoinSet<(usize, RedisResult<Named>)> {
        let mut asking = JoinSet::new();
        for (place, client) in self.clients.iter().enumerate() {
            let (client, master) = (client.clone(), self.master.clone());
            asking.spawn(async move {
                let answer = tokio::time::timeout(PATIENCE, ask(&client, &master)).await;
                (place, answer.unwrap_or_else(|_elapsed| Err(trouble("no answer within 1 s".to_owned()))))
            });
        }
        asking
    }

    /// What each of them says, in the order of the URL.
    pub(super) async fn votes(&self) -> Vec<Vote> {
        let mut answers: Vec<_> = self.asking().join_all().await;
        answers.sort_by_key(|(place, _)| *place);
        let vote = |(place, named): (usize, RedisResult<Named>)| Vote {
            sentinel: address(&self.clients[place]),
            master: named.map(|named| named.map(|(host, port)| joined(&host, port))),
        };
        answers.into_iter().map(vote).collect()
    }

    /// The address that most who answer name; as soon as more than half of all name one, it is that.
    async fn named(&self) -> RedisResult<(String, u16)> {
        let mut asking = self.asking();
        let mut named: BTreeMap<(String, u16), usize> = BTreeMap::new();
        let (mut last, mut strangers) = (None, 0);
        while let Some(answer) = asking.join_next().await {
            match answer {
                Ok((_, Ok(Some(address)))) => {
                    let votes = named.entry(address.clone()).or_default();
                    *votes += 1;
                    if *votes * 2 > self.clients.len() {
                        return Ok(address);
                    }
                }
                Ok((_, Ok(None))) => strangers += 1,
                Ok((place, Err(error))) => last = Some((address(&self.clients[place]), error)),
                Err(_ended) => {}
            }
        }
        if let Some((address, _)) = named.into_iter().max_by_key(|(_, votes)| *votes) {
            return Ok(address);
        }
        Err(match last {
            Some((sentinel, error)) if strangers == 0 => away(&sentinel, &error),
            _ => {
                trouble(format!("the Sentinels know no master {:?}: see SENTINEL MASTERS there", self.master))
            }
        })
    }

    /// The address of the master, as `host:port`.
    pub(super) async fn master_now(&self) -> RedisResult<String> {
        self.named().await.map(|(host, port)| joined(&host, port))
    }

    /// Connects to the master.
    pub(super) async fn reach(&self, how: &AsyncConnectionConfig) -> RedisResult<Reached> {
        let (host, port) = self.named().await?;
        let address = joined(&host, port);
        let client = elsewhere(&self.server, &host, port)?;
        let mut connection = client.get_multiplexed_async_connection_with_config(how).await?;
        super::answers(&mut connection, &address).await?;
        // Until a failover is over they may name one that is a replica.
        let info = redis::cmd("INFO").arg("replication").query_async::<String>(&mut connection).await;
        match info {
            Ok(info) if info.contains("role:slave") => {
                Err(trouble(format!("{address}, which the Sentinels name, is a replica as yet")))
            }
            Err(error) if error.is_io_error() => Err(error),
            Ok(_) | Err(_) => Ok(Reached { connection, address }),
        }
    }
}

async fn ask(client: &Client, master: &str) -> RedisResult<Named> {
    let how = AsyncConnectionConfig::new()
        .set_connection_timeout(Some(PATIENCE))
        .set_response_timeout(Some(PATIENCE));
    let mut connection = client.get_multiplexed_async_connection_with_config(&how).await?;
    let mut question = redis::cmd("SENTINEL");
    question.arg("GET-MASTER-ADDR-BY-NAME").arg(master);
    let answer: Value = question.query_async(&mut connection).await?;
    Ok(redis::from_redis_value(answer)?)
}

fn away(sentinel: &str, error: &RedisError) -> RedisError {
    let words = match error.code() {
        Some("NOAUTH" | "WRONGPASS") => {
            "it wants a password: set redis.sentinel_password, and redis.sentinel_user if it has users"
                .to_owned()
        }
        Some("ERR") => format!("{error}: is that a Sentinel?"),
        _ => error.to_string(),
    };
    trouble(format!("no Sentinel tells where the master is; {sentinel}: {words}"))
}
