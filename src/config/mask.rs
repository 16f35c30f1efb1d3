//! Shows addresses without the secrets they may carry.

use url::Url;

const MASK: &str = "***";

/// An address without its password.
pub(super) fn address(text: &str) -> String {
    if is_cut_short(text) {
        return "set".to_owned();
    }
    let Ok(mut url) = Url::parse(text) else {
        return several(text);
    };
    let is_secret = |name: &str| matches!(name, "pass" | "password" | "token" | "key");
    let secret_query = url.query_pairs().any(|(name, _)| is_secret(&name));
    let named = !url.username().is_empty();
    if url.password().is_none() && !named && !secret_query {
        return text.to_owned();
    }
    let masked = match url.password() {
        Some(_) => url.set_password(Some(MASK)),
        // A password in the wrong place is one all the same.
        None if named => url.set_username(MASK),
        None => Ok(()),
    };
    if masked.is_err() {
        return "set".to_owned();
    }
    if secret_query {
        let pairs: Vec<(String, String)> = url.query_pairs().into_owned().collect();
        let shown = pairs.iter().map(|(name, value)| (name, if is_secret(name) { MASK } else { value }));
        url.query_pairs_mut().clear().extend_pairs(shown);
    }
    url.to_string()
}

/// Whether a user and a password may have been taken for host and port: `redis://app:12/34@queue`.
fn is_cut_short(text: &str) -> bool {
    let Some((scheme, rest)) = text.split_once("://") else { return false };
    let (host, more) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
    let may_be_a_user = host.contains(':') || scheme.starts_with("redis") || scheme.starts_with("valkey");
    !host.is_empty() && may_be_a_user && more.contains('@')
}

/// An address with several hosts, or one that is none.
fn several(text: &str) -> String {
    let Some((scheme, rest)) = text.split_once("://").filter(|_| text.contains('@')) else {
        return text.to_owned();
    };
    let end = rest.find(['/', '?']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(end);
    match authority.rsplit_once('@') {
        Some((who, hosts)) if hosts.contains(',') && !path.contains(['@', '?']) => {
            let named = who.split_once(':').map_or(String::new(), |(name, _)| format!("{name}:"));
            format!("{scheme}://{named}{MASK}@{hosts}{path}")
        }
        // What cannot be read cannot be masked in part.
        _unread => "set".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_are_masked_and_the_rest_stands() {
        for (given, shown) in [
            ("redis://:hunter2@queue:6379/0", "redis://:***@queue:6379/0"),
            ("rediss://app:hunter2@queue", "rediss://app:***@queue"),
            ("redis://hunter2@queue", "redis://***@queue"),
            ("redis+unix:///run/redis.sock?db=1&pass=hunter2", "redis+unix:///run/redis.sock?db=1&pass=***"),
            ("https://user:hunter2@host name/", "set"),
            ("redis+sentinel://app:hunter2@a:1,b:2/shop", "redis+sentinel://app:***@a:1,b:2/shop"),
            ("redis+cluster://:hunter2@a:1,b:2", "redis+cluster://:***@a:1,b:2"),
            ("redis+cluster://hunter2@a:1,b:2", "redis+cluster://***@a:1,b:2"),
            ("redis+cluster://:hunt/er2@a:1,b:2", "set"),
            ("redis+cluster://a:1,b:2", "redis+cluster://a:1,b:2"),
            ("redis+sentinel://app:12#3@a,b/shop", "set"),
            ("redis+sentinel://app:12/34@a", "set"),
            ("redis://app:12?3@a", "set"),
            ("redis://hunt/er2@queue", "set"),
            ("http://app:12/34@queue", "set"),
            ("redis+unix:///run/@redis.sock?pass=hunter2@", "redis+unix:///run/@redis.sock?pass=***"),
            ("s3://shop-images/@shop", "s3://shop-images/@shop"),
            ("http://127.0.0.1:9000", "http://127.0.0.1:9000"),
            ("s3://shop-images/generated", "s3://shop-images/generated"),
            ("images/@shop", "images/@shop"),
        ] {
            assert_eq!(address(given), shown);
        }
    }
}
