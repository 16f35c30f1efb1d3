//! What Redis refuses, in words that say how to mend it.

use redis::{ErrorKind, RedisError, ServerErrorKind};

/// The words for an error of Redis; a server's own stand behind them.
pub(super) fn words(error: &RedisError) -> String {
    let first =
        error.clone().into_server_errors().and_then(|all| all.first().map(|(_, error)| error.clone()));
    let inner = first.map(RedisError::from);
    let error = inner.as_ref().unwrap_or(error);
    let mend = match (error.kind(), error.code()) {
        (ErrorKind::Server(ServerErrorKind::BusyLoading), _) => "the server still loads its data",
        (ErrorKind::Server(ServerErrorKind::ReadOnly), _) => {
            "the server is a replica, where nothing can be written: waiting for a primary (redis.url must lead to it)"
        }
        (ErrorKind::Server(ServerErrorKind::Moved), _) => {
            let node = error.redirect_node().map_or("HOST:PORT", |(node, _slot)| node);
            return format!(
                "another node of the cluster has the namespace: a redis.url like redis+cluster://{node} follows it ({error})"
            );
        }
        (ErrorKind::Server(ServerErrorKind::Ask | ServerErrorKind::TryAgain), _) => {
            "the namespace is being moved to another node of the cluster"
        }
        (ErrorKind::Server(ServerErrorKind::ClusterDown | ServerErrorKind::MasterDown), _) => {
            "no server has the namespace at present"
        }
        (ErrorKind::Server(ServerErrorKind::NoPerm), _) => {
            "the user may not do this (pictor doctor prints the rule that is enough)"
        }
        (_, Some("OOM")) => {
            "the server is full: nothing more is queued or claimed until it has room (raise maxmemory), what is under way goes on"
        }
        (_, Some("MISCONF")) => "the server cannot write its own disk, and takes nothing",
        (_, Some("NOREPLICAS")) => "the server has too few replicas to take anything (min-replicas-to-write)",
        (_, Some("NOAUTH")) => "the server wants a password (redis.url)",
        _ => return error.to_string(),
    };
    format!("{mend} ({error})")
}

/// Whether a script was refused a command or a key that it needs; some servers do not say which.
pub(super) fn is_refused_in_script(error: &RedisError) -> bool {
    let words = error.to_string();
    words.contains("user executing the script can't") || words.contains("ACL failure in script")
}

#[cfg(test)]
mod tests {
    use redis::{Value, parse_redis_value};

    use super::*;

    fn error(line: &str) -> RedisError {
        match parse_redis_value(line.as_bytes()).unwrap() {
            Value::ServerError(error) => error.into(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn who_is_sent_to_another_node_may_have_said_already_that_it_is_a_cluster() {
        let words = words(&error("-MOVED 3999 10.0.0.7:6381\r\n"));
        assert!(words.starts_with("another node of the cluster has the namespace"), "{words}");
        assert!(
            words.contains("redis+cluster://10.0.0.7:6381 follows it") && !words.contains("set "),
            "{words}"
        );
    }
}
