//! A cluster: all keys of a namespace have one hash tag, so one node has them all, and any node says which.

use redis::{AsyncConnectionConfig, Client, ErrorKind, RedisError, RedisResult, ServerErrorKind};

use super::{Reached, address, elsewhere, trouble};

/// Nodes that contradict each other settle it soon.
const MOST_HOPS: u32 = 4;

/// Connects to the node that has a key.
pub(super) async fn reach(
    nodes: &[Client],
    how: &AsyncConnectionConfig,
    probe: &str,
) -> RedisResult<Reached> {
    let mut last = None;
    for node in nodes {
        match follow(node, how, probe).await {
            Ok(reached) => return Ok(reached),
            Err(error) => last = Some((address(node), error)),
        }
    }
    Err(match last {
        Some((node, error)) if error.is_io_error() => {
            trouble(format!("no node of the cluster leads to the namespace; {node}: {error}"))
        }
        Some((_, error)) => error,
        None => trouble("no node of a cluster is named".to_owned()),
    })
}

/// Goes from a node to where it says that the key is.
async fn follow(node: &Client, how: &AsyncConnectionConfig, probe: &str) -> RedisResult<Reached> {
    let mut client = node.clone();
    for _hop in 0..MOST_HOPS {
        let mut connection = client.get_multiplexed_async_connection_with_config(how).await?;
        let asked = redis::cmd("EXISTS").arg(probe).query_async::<u64>(&mut connection).await;
        match asked {
            Ok(_) => return Ok(Reached { connection, address: address(&client) }),
            Err(error) if error.kind() == ErrorKind::Server(ServerErrorKind::Moved) => {
                client = moved(&client, &error)?;
            }
            // Whoever may not ask that finds out more by what comes next.
            Err(error) if error.kind() == ErrorKind::Server(ServerErrorKind::NoPerm) => {
                return Ok(Reached { connection, address: address(&client) });
            }
            Err(error) => return Err(error),
        }
    }
    Err(trouble(format!(
        "the nodes of the cluster send from one to another, the last is {}",
        address(&client)
    )))
}

/// The node that an answer points to; one without a host is where the answer came from.
fn moved(from: &Client, error: &RedisError) -> RedisResult<Client> {
    let unread = || trouble(format!("a node of the cluster answers {error}"));
    let (node, _slot) = error.redirect_node().ok_or_else(unread)?;
    let (host, port) = node.rsplit_once(':').ok_or_else(unread)?;
    let port = port.parse().map_err(|_odd| unread())?;
    let here = address(from);
    let same = here.rsplit_once(':').map_or(&*here, |(host, _)| host);
    let host = if host.is_empty() || host == "?" { same } else { host };
    elsewhere(from, host.trim_matches(['[', ']']), port)
}
