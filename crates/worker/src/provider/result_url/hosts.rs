//! From which hosts an account may fetch images.

use std::{io, net::SocketAddr, sync::Arc};

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
}

impl ResultHosts {
    /// Rules for an API at `base`; a pattern is a host, or `*.` and a domain.
    pub(crate) fn new(base: Host, patterns: &[String], allow_http: bool) -> Self {
        let patterns = patterns.iter().map(|pattern| pattern.to_ascii_lowercase()).collect();
        Self(Arc::new(Rules { patterns, allow_http, base }))
    }

    /// Says why an address must not be fetched from.
    pub(super) async fn check(&self, address: &Url) -> Result<(), String> {
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
            Some(ip) if !is_public(ip) && !self.base_is_private().await => Err(private(&ip.to_string())),
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

    async fn base_is_private(&self) -> bool {
        match &self.0.base {
            Host::Ipv4(v4) => !is_public((*v4).into()),
            Host::Ipv6(v6) => !is_public((*v6).into()),
            Host::Domain(name) => lookup_host((name.as_str(), 0))
                .await
                .is_ok_and(|mut found| found.any(|at| !is_public(at.ip()))),
        }
    }

    async fn resolve_checked(self, name: String) -> io::Result<Vec<SocketAddr>> {
        let found: Vec<SocketAddr> = lookup_host((name.as_str(), 0)).await?.collect();
        let all_public = found.iter().all(|at| is_public(at.ip()));
        // A name that is not an image host is a proxy's, which people set and may be private.
        if all_public || !self.allows(&name) || self.base_is_private().await {
            return Ok(found);
        }
        Err(io::Error::new(io::ErrorKind::PermissionDenied, private(&name)))
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

    async fn refused(hosts: &ResultHosts, address: &str) -> Option<String> {
        hosts.check(&address.parse().unwrap()).await.err()
    }

    #[tokio::test]
    async fn only_allowed_hosts_over_https() {
        let hosts = hosts("8.8.8.8", &["*.Blob.core.windows.net", "cdn.example"], false);
        for fine in
            ["https://8.8.8.8/i.png", "https://a.blob.core.windows.net/i?sig=x", "https://cdn.example:444/i"]
        {
            assert_eq!(refused(&hosts, fine).await, None, "{fine}");
        }
        for (address, why) in [
            ("http://cdn.example/i", "http, not https"),
            ("file:///etc/passwd", "no host"),
            ("ftp://cdn.example/i", "ftp, not https"),
            ("https://blob.core.windows.net/i", "result_hosts"),
            ("https://evilblob.core.windows.net/i", "result_hosts"),
            ("https://a.blob.core.windows.net.evil.example/i", "result_hosts"),
            ("https://x.cdn.example/i", "result_hosts"),
            ("https://user:pw@cdn.example/i", "credentials"),
        ] {
            let said = refused(&hosts, address).await.unwrap_or_else(|| panic!("{address} was allowed"));
            assert!(said.contains(why) && !said.contains("pw"), "{address}: {said}");
        }
    }

    #[tokio::test]
    async fn private_addresses_only_beside_a_private_api() {
        let outside = hosts("8.8.8.8", &["127.0.0.1", "localhost", "[::1]"], true);
        for address in ["http://127.0.0.1/i", "http://[::1]/i"] {
            assert!(refused(&outside, address).await.unwrap().contains("private"), "{address}");
        }
        assert!(outside.clone().resolve_checked("localhost".to_owned()).await.is_err());
        let inside = hosts("127.0.0.1", &["localhost", "10.0.0.1"], true);
        assert_eq!(refused(&inside, "http://10.0.0.1:9000/i").await, None);
        assert!(inside.resolve_checked("localhost".to_owned()).await.is_ok());
        let proxied = hosts("8.8.8.8", &["cdn.example"], false);
        assert!(proxied.resolve_checked("localhost".to_owned()).await.is_ok());
    }
}
