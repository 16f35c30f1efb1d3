//! The URL of Redis, read. What it says wrong is told without any part that could be secret.

use redis::{
    Client, ConnectionAddr, IntoConnectionInfo as _, RedisConnectionInfo, RedisError, TlsCertificates,
};
use secrecy::ExposeSecret as _;

use super::{Access, Kind, Sentinels, Topology};

/// A URL that leads nowhere.
#[derive(Debug, thiserror::Error)]
pub enum BadUrl {
    /// It begins with nothing that is known.
    #[error(
        "it must begin with redis://, rediss:// (TLS), redis+unix://, redis+sentinel://, rediss+sentinel://, \
         redis+cluster:// or rediss+cluster://"
    )]
    Scheme,
    /// Several hosts, and nothing says what they are to each other.
    #[error(
        "it names several hosts: write redis+sentinel://HOST,HOST,HOST/MASTER for Sentinels, redis+cluster://HOST,HOST \
         for a cluster"
    )]
    Several,
    /// Sentinels without the name of a master.
    #[error("the name of the master is missing: redis+sentinel://HOST:26379,HOST:26379/MASTER")]
    Master,
    /// A cluster has one database.
    #[error(
        "a cluster has database 0 alone: leave the number out, and use redis.namespace to keep things apart"
    )]
    Database,
    /// Whoever is on the way could read and change everything.
    #[error("#insecure is not supported: name the authority that vouches for the server in redis.ca_file")]
    Insecure,
    /// What stands before it would be taken for the host, and told to everybody.
    #[error(
        "there is an @ behind the host: write a / in a password as %2F, a ? as %3F, a # as %23, an @ as %40"
    )]
    Unencoded,
    /// Certificates, and no TLS.
    #[error(
        "redis.ca_file and redis.cert_file are for TLS: begin with rediss://, rediss+sentinel:// or rediss+cluster://"
    )]
    NoTls,
    /// The client's words, which repeat nothing of the URL but numbers.
    #[error("{0}")]
    Unread(#[from] RedisError),
}

const SENTINEL_PORT: u16 = 26_379;

/// The parts of `scheme+kind://user:password@host,host/path`.
struct Parts<'u> {
    base: &'u str,
    /// With the `@`, as it stands.
    who: &'u str,
    hosts: Vec<&'u str>,
    path: &'u str,
}

impl<'u> Parts<'u> {
    fn of(base: &'u str, rest: &'u str) -> Self {
        let end = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, path) = rest.split_at(end);
        // A password may hold an @ that nobody has encoded.
        let (who, hosts) = authority.split_at(authority.rfind('@').map_or(0, |at| at + 1));
        let hosts = hosts.split(',').map(str::trim).filter(|host| !host.is_empty()).collect();
        Self { base, who, hosts, path: path.trim_matches('/') }
    }

    /// A client for each host, on this port where none is said.
    fn clients(
        &self,
        port: Option<u16>,
        path: &str,
        certificates: Option<&TlsCertificates>,
    ) -> Result<Vec<Client>, BadUrl> {
        let one = |host: &&str| {
            let has_port = host.rsplit(']').next().is_some_and(|end| end.contains(':'));
            let port = port.filter(|_| !has_port).map_or(String::new(), |port| format!(":{port}"));
            client(&format!("{}://{}{host}{port}/{path}", self.base, self.who), certificates)
        };
        self.hosts.iter().map(one).collect()
    }
}

impl Topology {
    /// Reads a URL.
    pub fn open(url: &str, access: &Access) -> Result<Self, BadUrl> {
        if url.ends_with("#insecure") {
            return Err(BadUrl::Insecure);
        }
        let (scheme, rest) = url.split_once("://").ok_or(BadUrl::Scheme)?;
        let (base, kind) = scheme.split_once('+').unwrap_or((scheme, ""));
        let is_known = matches!(base, "redis" | "rediss" | "valkey" | "valkeys");
        let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        if is_known && kind != "unix" && rest[end..].contains('@') {
            return Err(BadUrl::Unencoded);
        }
        let certificates = access.certificates.as_ref();
        match kind {
            "sentinel" if is_known => sentinel(&Parts::of(base, rest), access),
            "cluster" if is_known => cluster(&Parts::of(base, rest), certificates),
            "" if is_known => {
                if Parts::of(base, rest).hosts.len() > 1 {
                    return Err(BadUrl::Several);
                }
                Ok(client(url, certificates)?.into())
            }
            "" if scheme == "unix" => Ok(client(url, certificates)?.into()),
            "unix" if is_known => Ok(client(url, certificates)?.into()),
            _unknown => Err(BadUrl::Scheme),
        }
    }
}

fn sentinel(parts: &Parts<'_>, access: &Access) -> Result<Topology, BadUrl> {
    let (master, database) = parts.path.split_once('/').unwrap_or((parts.path, "0"));
    if master.is_empty() || master.contains('?') {
        return Err(BadUrl::Master);
    }
    let certificates = access.certificates.as_ref();
    let clients = parts.clients(Some(SENTINEL_PORT), database, certificates)?;
    // It has no address of its own: Sentinels name that.
    let server = clients.first().ok_or(BadUrl::Master)?.clone();
    let mut own = RedisConnectionInfo::default().set_skip_set_lib_name();
    if let Some(user) = &access.sentinel_user {
        own = own.set_username(user);
    }
    if let Some(password) = &access.sentinel_password {
        own = own.set_password(password.expose_secret());
    }
    let asked =
        |client: &Client| Client::open(client.get_connection_info().clone().set_redis_settings(own.clone()));
    let clients = clients.iter().map(asked).collect::<Result<_, _>>()?;
    Ok(Topology(Kind::Sentinel(Sentinels { clients, master: master.to_owned(), server })))
}

fn cluster(parts: &Parts<'_>, certificates: Option<&TlsCertificates>) -> Result<Topology, BadUrl> {
    if !matches!(parts.path, "" | "0") {
        return Err(BadUrl::Database);
    }
    let nodes = parts.clients(None, "", certificates)?;
    if nodes.is_empty() { Err(BadUrl::Scheme) } else { Ok(Topology(Kind::Cluster(nodes))) }
}

fn client(url: &str, certificates: Option<&TlsCertificates>) -> Result<Client, BadUrl> {
    let info = url.into_connection_info()?;
    let with_tls = matches!(info.addr(), ConnectionAddr::TcpTls { .. });
    match certificates {
        Some(certificates) if with_tls => Ok(Client::build_with_tls(info, certificates.clone())?),
        Some(_) => Err(BadUrl::NoTls),
        None => Ok(Client::open(info)?),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(url: &str) -> Result<Topology, BadUrl> {
        Topology::open(url, &Access::default())
    }

    #[test]
    fn addresses_are_shown_without_secrets() {
        for (url, shown) in [
            ("redis://app:hunter2@queue:6380/2", "queue:6380"),
            ("rediss://queue", "queue:6379"),
            ("redis+unix:///run/redis.sock?pass=hunter2", "/run/redis.sock"),
            ("redis+unix:///run/@redis.sock?pass=hunter2@", "/run/@redis.sock"),
            ("redis://[::1]:7000", "[::1]:7000"),
            (
                "redis+sentinel://app:hunter2@a,b:26380,[::1]/shop/2",
                "the master shop of the Sentinels a:26379, b:26380, [::1]:26379",
            ),
            ("rediss+cluster://:hunter2@a:7000,b:7001/", "the cluster of a:7000, b:7001"),
        ] {
            let topology = open(url).unwrap();
            assert_eq!(topology.to_string(), shown);
            assert!(!format!("{topology:?}").contains("hunter2"));
        }
    }

    #[test]
    fn sentinels_have_a_password_of_their_own() {
        let access = Access { sentinel_password: Some("other".into()), ..Access::default() };
        let topology = Topology::open("redis+sentinel://app:p%40ss@a,b/shop/2", &access).unwrap();
        let Kind::Sentinel(sentinels) = &topology.0 else { panic!("{topology:?}") };
        let at_server = sentinels.server.get_connection_info().redis_settings().clone();
        assert_eq!((at_server.username(), at_server.password()), (Some("app"), Some("p@ss")));
        assert_eq!(topology.database(), 2);
        let at_sentinel = sentinels.clients[1].get_connection_info().redis_settings().clone();
        assert_eq!((at_sentinel.username(), at_sentinel.password()), (None, Some("other")));
        assert_eq!(at_sentinel.db(), 0);
    }

    #[test]
    fn what_leads_nowhere_says_what_would() {
        for (url, words) in [
            ("queue:6379", "begin with redis://"),
            ("http://queue", "begin with redis://"),
            ("redis+ssh://queue", "begin with redis://"),
            ("redis://a:1,b:2", "several hosts"),
            ("redis+sentinel://a,b", "name of the master"),
            ("redis+sentinel://a,b/", "name of the master"),
            ("redis+cluster://a,b/3", "database 0"),
            ("redis+cluster://", "begin with"),
            ("rediss://queue#insecure", "redis.ca_file"),
            ("redis://queue/x", "database number"),
            ("redis+sentinel://app:12/34@a", "%2F"),
            ("redis+sentinel://app:12/34@a/shop", "%2F"),
            ("redis+sentinel://app:12#3@a,b/shop", "%23"),
            ("redis+cluster://app:12?3@a", "%3F"),
            ("redis+cluster://app:12/@a/0", "%2F"),
            ("redis://app:12#3@a", "%23"),
            ("rediss://app:12/3@a/0", "%2F"),
        ] {
            let error = open(url).map(|topology| topology.to_string()).unwrap_err().to_string();
            assert!(error.contains(words), "{url}: {error}");
        }
        let access = Access {
            certificates: Some(TlsCertificates { client_tls: None, root_cert: Some(Vec::new()) }),
            ..Access::default()
        };
        assert!(matches!(Topology::open("redis://queue", &access), Err(BadUrl::NoTls)));
        Topology::open("rediss+cluster://queue", &access).unwrap();
    }
}
