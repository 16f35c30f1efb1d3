//! From which hosts an account may fetch images.
//!
//! The address that is judged is the one that is connected to: the client has no other resolver. Whether the API
//! itself is at a private address is learnt where its own requests are resolved, never asked again for an image's: a
//! name that pointed outside for the request and points inside for the image is what must not work.

use std::{
    io,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU8, Ordering},
    },
};

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use tokio::net::lookup_host;
use url::{Host, Url};

use super::addresses::is_public;

/// Judges addresses of images, and resolves their hosts.
#[derive(Clone, Debug)]
pub(crate) struct ResultHosts(Arc<Rules>);

#[derive(Debug)]
struct Rules {
    patterns: Vec<String>,
    allow_http: bool,
    base: Host,
    base_seen: Seen,
}

/// Where a name has ever pointed to.
#[derive(Debug, Default)]
struct Seen(AtomicU8);

impl Seen {
    const PRIVATE: u8 = 1;
    const PUBLIC: u8 = 2;

    fn note(&self, found: &[SocketAddr]) {
        for at in found {
            let kind = if is_public(at.ip()) { Self::PUBLIC } else { Self::PRIVATE };
            self.0.fetch_or(kind, Ordering::Relaxed);
        }
    }

    /// To private addresses, and to no other.
    fn only_private(&self) -> bool {
        self.0.load(Ordering::Relaxed) == Self::PRIVATE
    }
}

/// Resolves the API's own name, and remembers where it was.
#[derive(Clone, Debug)]
pub(crate) struct ApiHost(Arc<Rules>);

impl Resolve for ApiHost {
    fn resolve(&self, name: Name) -> Resolving {
        let (rules, name) = (Arc::clone(&self.0), name.as_str().to_owned());
        Box::pin(async move {
            let found: Vec<SocketAddr> = lookup_host((name.as_str(), 0)).await?.collect();
            // Another name is a proxy's.
            if matches!(&rules.base, Host::Domain(base) if *base == name) {
                rules.base_seen.note(&found);
            }
            Ok(Box::new(found.into_iter()) as Addrs)
        })
    }
}

impl ResultHosts {
    /// Rules for an API at `base`; a pattern is a host, or `*.` and a domain.
    pub(crate) fn new(base: Host, patterns: &[String], allow_http: bool) -> Self {
        let patterns = patterns.iter().map(|pattern| pattern.to_ascii_lowercase()).collect();
        Self(Arc::new(Rules { patterns, allow_http, base, base_seen: Seen::default() }))
    }

    /// The resolver for requests to the API itself.
    pub(crate) fn api(&self) -> ApiHost {
        ApiHost(Arc::clone(&self.0))
    }

    /// Says why an address must not be fetched from.
    pub(super) fn check(&self, address: &Url) -> Result<(), String> {
        let host = address.host().ok_or("the image's address has no host")?.to_owned();
        match address.scheme() {
            "https" => {}
            "http" if self.0.allow_http => {}
            scheme => return Err(format!("the image's address is {scheme}, not https")),
        }
        if !address.username().is_empty() || address.password().is_some() {
            return Err("the image's address carries credentials".to_owned());
        }
        if !self.allows(&host.to_string()) {
            return Err(format!("images may not be fetched from {host}; add it to result_hosts to allow it"));
        }
        let literal = match host {
            Host::Ipv4(v4) => Some(v4.into()),
            Host::Ipv6(v6) => Some(v6.into()),
            Host::Domain(_) => None,
        };
        match literal {
            Some(ip) if !is_public(ip) && !self.base_is_private() => Err(private(&ip.to_string())),
            _ => Ok(()),
        }
    }

    fn allows(&self, host: &str) -> bool {
        let host = host.to_ascii_lowercase();
        host == self.0.base.to_string().to_ascii_lowercase()
            || self.0.patterns.iter().any(|pattern| match pattern.strip_prefix("*.") {
                Some(domain) => {
                    host.strip_suffix(domain).is_some_and(|rest| rest.len() > 1 && rest.ends_with('.'))
                }
                None => host == *pattern,
            })
    }

    fn base_is_private(&self) -> bool {
        match &self.0.base {
            Host::Ipv4(v4) => !is_public((*v4).into()),
            Host::Ipv6(v6) => !is_public((*v6).into()),
            Host::Domain(_) => self.0.base_seen.only_private(),
        }
    }

    async fn resolve_checked(self, name: String) -> io::Result<Vec<SocketAddr>> {
        let found = lookup_host((name.as_str(), 0)).await?.collect();
        self.judged(&name, found)
    }

    fn judged(&self, name: &str, found: Vec<SocketAddr>) -> io::Result<Vec<SocketAddr>> {
        let all_public = found.iter().all(|at| is_public(at.ip()));
        // A name that is not an image host is a proxy's, which people set and may be private.
        if all_public || !self.allows(name) || self.base_is_private() {
            return Ok(found);
        }
        Err(io::Error::new(io::ErrorKind::PermissionDenied, private(name)))
    }
}

impl Resolve for ResultHosts {
    fn resolve(&self, name: Name) -> Resolving {
        let resolving = self.clone().resolve_checked(name.as_str().to_owned());
        Box::pin(async move { Ok(Box::new(resolving.await?.into_iter()) as Addrs) })
    }
}

fn private(host: &str) -> String {
    format!("{host} is a private address, and the API is not at one")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hosts(base: &str, patterns: &[&str], allow_http: bool) -> ResultHosts {
        let patterns: Vec<String> = patterns.iter().map(|&pattern| pattern.to_owned()).collect();
        ResultHosts::new(Host::parse(base).unwrap(), &patterns, allow_http)
    }

    fn refused(hosts: &ResultHosts, address: &str) -> Option<String> {
        hosts.check(&address.parse().unwrap()).err()
    }

    fn at(addresses: &[&str]) -> Vec<SocketAddr> {
        addresses.iter().map(|address| SocketAddr::new(address.parse().unwrap(), 443)).collect()
    }

    #[test]
    fn only_allowed_hosts_over_https() {
        let hosts = hosts("8.8.8.8", &["*.Blob.core.windows.net", "cdn.example"], false);
        for fine in
            ["https://8.8.8.8/i.png", "https://a.blob.core.windows.net/i?sig=x", "https://cdn.example:444/i"]
        {
            assert_eq!(refused(&hosts, fine), None, "{fine}");
        }
        for (address, why) in [
            ("http://cdn.example/i", "http, not https"),
            ("file:///etc/passwd", "no host"),
            ("ftp://cdn.example/i", "ftp, not https"),
            ("https://blob.core.windows.net/i", "result_hosts"),
            ("https://evilblob.core.windows.net/i", "result_hosts"),
            ("https://a.blob.core.windows.net.evil.example/i", "result_hosts"),
            ("https://x.cdn.example/i", "result_hosts"),
            ("https://cdn.example./i", "result_hosts"),
            ("https://cdn.example@evil.example/i", "credentials"),
            ("https://evil.example#@cdn.example/i", "result_hosts"),
            ("https://0x08080809/i", "result_hosts"),
            ("https://user:pw@cdn.example/i", "credentials"),
        ] {
            let said = refused(&hosts, address).unwrap_or_else(|| panic!("{address} was allowed"));
            assert!(said.contains(why) && !said.contains("pw"), "{address}: {said}");
        }
    }

    #[tokio::test]
    async fn private_addresses_only_beside_a_private_api() {
        let outside = hosts("8.8.8.8", &["127.0.0.1", "localhost", "[::1]"], true);
        for address in ["http://127.0.0.1/i", "http://[::1]/i"] {
            assert!(refused(&outside, address).unwrap().contains("private"), "{address}");
        }
        assert!(outside.clone().resolve_checked("localhost".to_owned()).await.is_err());
        let inside = hosts("127.0.0.1", &["localhost", "10.0.0.1"], true);
        assert_eq!(refused(&inside, "http://10.0.0.1:9000/i"), None);
        assert!(inside.resolve_checked("localhost".to_owned()).await.is_ok());
        let proxied = hosts("8.8.8.8", &["cdn.example"], false);
        assert!(proxied.resolve_checked("localhost".to_owned()).await.is_ok());
    }
    #[test]
    fn numbers_in_any_disguise_are_judged_as_addresses() {
        let patterns = ["127.0.0.1", "169.254.169.254", "[::ffff:7f00:1]", "[64:ff9b::a9fe:a9fe]"];
        let outside = hosts("8.8.8.8", &patterns, true);
        for address in [
            "http://2130706433/i",
            "http://0x7f.1/i",
            "http://0177.0.0.1/i",
            "http://127.1/i",
            "http://[::ffff:127.0.0.1]/i",
            "http://[64:ff9b::169.254.169.254]/latest/meta-data",
            "http://0xa9fea9fe/latest/meta-data",
        ] {
            let said = refused(&outside, address).unwrap_or_else(|| panic!("{address} was allowed"));
            assert!(said.contains("private"), "{address}: {said}");
        }
    }

    #[test]
    fn a_name_that_turns_inside_between_request_and_image_is_refused() {
        let base = |seen: &[&[&str]]| {
            let hosts = hosts("api.example", &["cdn.example"], true);
            seen.iter().for_each(|found| hosts.0.base_seen.note(&at(found)));
            hosts
        };
        let inside = || at(&["10.0.0.7"]);
        for (seen, allowed) in [
            (&[][..], false),
            (&[&["93.184.216.34"][..]], false),
            (&[&["93.184.216.34"], &["10.0.0.7"]], false),
            (&[&["93.184.216.34", "10.0.0.7"]], false),
            (&[&["10.0.0.7"]], true),
        ] {
            for name in ["api.example", "cdn.example"] {
                assert_eq!(base(seen).judged(name, inside()).is_ok(), allowed, "{name} after {seen:?}");
            }
        }
        // One private address among public ones is enough: which of them is connected to is chance.
        let mixed = at(&["93.184.216.34", "127.0.0.1"]);
        assert!(base(&[&["93.184.216.34"]]).judged("cdn.example", mixed).is_err());
        assert!(base(&[]).judged("cdn.example", at(&["93.184.216.34"])).is_ok());
    }
}
