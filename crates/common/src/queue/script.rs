//! The scripts, each put together with the shared prelude and the parts it needs.

use std::sync::LazyLock;

use redis::{Cmd, ErrorKind, RedisError, Script, ServerErrorKind};
use serde::{Serialize, de::DeserializeOwned};

use super::{Connection, QueueError, server, trouble};

/// A script and its name in errors.
pub(super) struct Lua {
    name: &'static str,
    script: LazyLock<Script>,
}

macro_rules! lua {
    ($constant:ident, $name:literal, $flags:literal $(, $part:literal)*) => {
        pub(super) static $constant: Lua = Lua {
            name: $name,
            script: LazyLock::new(|| {
                Script::new(concat!(
                    "#!lua",
                    $flags,
                    "\n",
                    include_str!("lua/prelude.lua"),
                    $(include_str!(concat!("lua/", $part, ".lua")),)*
                    "-- The body of the script follows.\n",
                    include_str!(concat!("lua/", $name, ".lua"))
                ))
            }),
        };
    };
}

// Making functions takes time: what most calls need comes first, and returns before the parts that few need.
// What gives back or finishes must work when the server is out of memory.
lua!(SUBMIT, "submit", "", "money", "failures", "gone", "swap", "deadline");
lua!(EPOCH, "epoch", " flags=allow-oom");
lua!(SEAL, "seal", " flags=allow-oom");
lua!(CLAIM, "claim", "", "money", "limiter");
lua!(BEGIN, "begin", " flags=allow-oom", "begin_unchanged", "money", "limiter");
lua!(EXTEND, "extend", " flags=allow-oom", "money");
lua!(SETTLE, "settle", " flags=allow-oom", "money", "failures", "settle_made", "limiter");
lua!(FAIL, "fail", " flags=allow-oom", "money", "limiter", "learning", "failures", "gone", "swap", "tally");
lua!(RELEASE, "release", " flags=allow-oom", "money", "limiter");
lua!(REAP, "reap", " flags=allow-oom", "money", "limiter", "failures", "gone", "swap", "deadline");
lua!(EXPIRE, "expire", " flags=allow-oom", "deadline");
lua!(CANCEL, "cancel", " flags=allow-oom");
lua!(LEARN, "learn", " flags=allow-oom", "money", "limiter", "learning");
lua!(DECLARE, "declare", " flags=allow-oom");
lua!(CAPS, "caps", " flags=allow-oom", "money");
lua!(HOLD, "hold", " flags=allow-oom");
lua!(LIFT, "lift", " flags=allow-oom");
lua!(RETRY, "retry", " flags=allow-oom", "failures");
lua!(REPLACE, "replace", "", "money", "failures", "gone", "swap");
lua!(REMAKE, "remake", "", "money", "failures", "gone", "swap");
lua!(REMOVE, "remove", " flags=allow-oom", "gone");
lua!(RETIRE, "retire", " flags=allow-oom", "money", "failures", "gone", "swap", "leaving");
lua!(SCAN, "scan", " flags=no-writes", "leaving");
lua!(REDO, "redo", "", "money", "failures", "gone", "swap");
lua!(FOUND, "found", " flags=allow-oom", "money", "failures");
lua!(PRIORITY, "priority", " flags=allow-oom");
lua!(BEAT, "beat", " flags=allow-oom");
lua!(DRAIN, "drain", " flags=allow-oom");
lua!(ARCHIVE, "archive", " flags=allow-oom");
lua!(GAUGES, "gauges", " flags=no-writes", "money");
lua!(BOOKS, "books", " flags=allow-oom", "money");
lua!(NOTE, "note", " flags=allow-oom");
lua!(SCHEDULE_PUT, "schedule_put", "");
lua!(SCHEDULE_FIRE, "schedule_fire", " flags=allow-oom");
lua!(SCHEDULE_HOLD, "schedule_hold", " flags=allow-oom");
lua!(SCHEDULE_END, "schedule_end", " flags=allow-oom");
lua!(SCHEDULE_STEER, "schedule_steer", " flags=allow-oom");
lua!(DERIVE_TAKE, "derive_take", " flags=allow-oom");
lua!(DERIVE_TELL, "derive_tell", " flags=allow-oom");
lua!(TELLING, "telling", " flags=allow-oom");
lua!(HOOK_DECLARE, "hook_declare", " flags=allow-oom");
lua!(HOOK_PUBLISH, "hook_publish", "");
lua!(HOOK_CLAIM, "hook_claim", " flags=allow-oom");
lua!(HOOK_DONE, "hook_done", " flags=allow-oom");
lua!(HOOK_AGAIN, "hook_again", " flags=allow-oom");

impl Lua {
    /// Runs the script with one JSON request.
    pub(super) async fn run<T: redis::FromRedisValue>(
        &self,
        on: &Connection,
        prefix: &str,
        request: &impl Serialize,
    ) -> Result<T, QueueError> {
        let request = serde_json::to_string(request).map_err(|source| self.answer_error(source))?;
        let mut connection = on.clone();
        let answer = self.script.key(prefix).arg(request).invoke_async(&mut connection).await;
        match answer {
            Ok(answer) => Ok(answer),
            Err(error) => Err(told(error, &connection).await),
        }
    }

    /// Runs the script and reads its JSON answer.
    pub(super) async fn ask<T: DeserializeOwned>(
        &self,
        on: &Connection,
        prefix: &str,
        request: &impl Serialize,
    ) -> Result<T, QueueError> {
        let answer: String = self.run(on, prefix, request).await?;
        serde_json::from_str(&answer).map_err(|source| self.answer_error(source))
    }

    /// A call of the script, to be given more arguments than its request and [sent](Self::send).
    pub(super) fn command(&self, prefix: &str) -> Cmd {
        let mut command = redis::cmd("EVALSHA");
        command.arg(self.script.get_hash()).arg(1).arg(prefix);
        command
    }

    /// Sends a call, as often as wanted, and reads its JSON answer.
    pub(super) async fn send<T: DeserializeOwned>(
        &self,
        on: &Connection,
        command: &Cmd,
    ) -> Result<T, QueueError> {
        let mut connection = on.clone();
        let mut answered = command.query_async(&mut connection).await;
        if let Err(error) = &answered
            && error.kind() == ErrorKind::Server(ServerErrorKind::NoScript)
        {
            self.script.load_async(&mut connection).await?;
            answered = command.query_async(&mut connection).await;
        }
        let answer: String = match answered {
            Ok(answer) => answer,
            Err(error) => return Err(told(error, &connection).await),
        };
        serde_json::from_str(&answer).map_err(|source| self.answer_error(source))
    }

    fn answer_error(&self, source: serde_json::Error) -> QueueError {
        QueueError::Answer { script: self.name, source }
    }
}

/// An error, with the names of what the user may not run; a server may leave them out when a script is refused it.
async fn told(error: RedisError, connection: &Connection) -> QueueError {
    if trouble::is_refused_in_script(&error) {
        let refused = server::refused_names(&mut connection.clone(), connection.probe()).await;
        if let Some(what) = refused {
            return QueueError::Forbidden(what);
        }
    }
    error.into()
}
