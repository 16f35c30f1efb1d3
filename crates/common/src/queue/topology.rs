//! Where Redis is: one server, the master that Sentinels name, or the node of a cluster that has the namespace.

mod cluster;
mod sentinel;
mod url;

use std::fmt;

use redis::{
    AsyncConnectionConfig, Client, ConnectionAddr, RedisError, RedisResult, TlsCertificates,
    aio::MultiplexedConnection,
};
use secrecy::SecretString;

use sentinel::Sentinels;
pub use sentinel::Vote;
pub use url::BadUrl;

/// Where Redis is, and how to be let in.
#[derive(Clone, Debug)]
pub struct Topology(Kind);

#[derive(Clone, Debug)]
enum Kind {
    One(Client),
    Sentinel(Sentinels),
    /// Nodes to ask which of them has the namespace.
    Cluster(Vec<Client>),
}

/// What is needed beside the URL.
#[derive(Clone, Debug, Default)]
pub struct Access {
    /// The authority that vouches for the servers, instead of the system's; the client's own certificate.
    pub certificates: Option<TlsCertificates>,
    /// The user at the Sentinels, if they ask for one.
    pub sentinel_user: Option<String>,
    /// The password at the Sentinels.
    pub sentinel_password: Option<SecretString>,
}

/// How the server is found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Way {
    /// The URL names it.
    #[default]
    Named,
    /// Sentinels name it.
    Sentinel,
    /// It is the node of a cluster that has the namespace.
    Cluster,
}

/// A server that was found.
pub(super) struct Reached {
    pub(super) connection: MultiplexedConnection,
    pub(super) address: String,
}

impl From<Client> for Topology {
    fn from(client: Client) -> Self {
        Self(Kind::One(client))
    }
}

/// Without user and password.
impl fmt::Display for Topology {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Kind::One(client) => address(client).fmt(f),
            Kind::Sentinel(sentinels) => {
                write!(f, "the master {} of the Sentinels {}", sentinels.master, self.hosts().join(", "))
            }
            Kind::Cluster(_) => write!(f, "the cluster of {}", self.hosts().join(", ")),
        }
    }
}

impl Topology {
    /// How the server is found.
    #[must_use]
    pub const fn way(&self) -> Way {
        match &self.0 {
            Kind::One(_) => Way::Named,
            Kind::Sentinel(_) => Way::Sentinel,
            Kind::Cluster(_) => Way::Cluster,
        }
    }

    /// What the URL names, as `host:port` each, or the path of a socket.
    #[must_use]
    pub fn hosts(&self) -> Vec<String> {
        match &self.0 {
            Kind::One(client) => vec![address(client)],
            Kind::Sentinel(sentinels) => sentinels.clients.iter().map(address).collect(),
            Kind::Cluster(nodes) => nodes.iter().map(address).collect(),
        }
    }

    /// What each Sentinel says, if there are any.
    pub async fn votes(&self) -> Vec<Vote> {
        match &self.0 {
            Kind::Sentinel(sentinels) => sentinels.votes().await,
            Kind::One(_) | Kind::Cluster(_) => Vec::new(),
        }
    }

    pub(super) fn database(&self) -> i64 {
        let client = match &self.0 {
            Kind::One(client) => client,
            Kind::Sentinel(sentinels) => &sentinels.server,
            Kind::Cluster(_) => return 0,
        };
        client.get_connection_info().redis_settings().db()
    }

    /// Finds the server that takes what is written now; `probe` is a key of the namespace.
    pub(super) async fn reach(&self, how: &AsyncConnectionConfig, probe: &str) -> RedisResult<Reached> {
        match &self.0 {
            Kind::One(client) => {
                let mut connection = client.get_multiplexed_async_connection_with_config(how).await?;
                let address = address(client);
                answers(&mut connection, &address).await?;
                Ok(Reached { connection, address })
            }
            Kind::Sentinel(sentinels) => sentinels.reach(how).await,
            Kind::Cluster(nodes) => cluster::reach(nodes, how, probe).await,
        }
    }

    /// Whether Sentinels name another server by now, and that one is a master.
    pub(super) async fn has_moved(&self, from: &str, how: &AsyncConnectionConfig) -> bool {
        let Kind::Sentinel(sentinels) = &self.0 else { return false };
        match sentinels.master_now().await {
            Ok(now) => now != from && sentinels.reach(how).await.is_ok_and(|reached| reached.address != from),
            Err(_unknown) => false,
        }
    }
}

/// Makes sure that a server is there: where none listens, a connection from the machine to itself can come to be its own
/// other end, and what is sent comes back as the answer. What a server refuses to say is an answer.
async fn answers(connection: &mut MultiplexedConnection, address: &str) -> RedisResult<()> {
    match redis::cmd("PING").query_async::<String>(connection).await {
        Ok(pong) if pong == "PONG" => Ok(()),
        Ok(_) => Err(trouble(format!("what answers at {address} is no Redis"))),
        Err(error) if error.code().is_some() => Ok(()),
        Err(error) if error.is_io_error() || error.is_timeout() => Err(error),
        Err(error) => Err(trouble(format!("what answers at {address} is no Redis: {error}"))),
    }
}

fn address(client: &Client) -> String {
    match client.get_connection_info().addr() {
        ConnectionAddr::Tcp(host, port) | ConnectionAddr::TcpTls { host, port, .. } => joined(host, *port),
        other => other.to_string(),
    }
}

fn joined(host: &str, port: u16) -> String {
    if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
}

/// The same user, password and certificates at another address.
fn elsewhere(client: &Client, host: &str, port: u16) -> RedisResult<Client> {
    let info = client.get_connection_info().clone();
    let (host, port) = (host.to_owned(), port);
    let there = match info.addr().clone() {
        ConnectionAddr::TcpTls { insecure, tls_params, .. } => {
            ConnectionAddr::TcpTls { host, port, insecure, tls_params }
        }
        _plain => ConnectionAddr::Tcp(host, port),
    };
    Client::open(info.set_addr(there))
}

/// An error in words of ours.
fn trouble(words: String) -> RedisError {
    std::io::Error::other(words).into()
}
