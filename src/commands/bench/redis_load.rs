//! What Redis had to do, from its own counters.

use std::collections::BTreeMap;

use redis::{Client, aio::MultiplexedConnection};
use serde::Serialize;

/// What only clients send. Everything else is counted as called by scripts, which a few reads beside them are not.
const OF_CLIENTS: &[&str] =
    &["evalsha", "eval", "evalsha_ro", "script|load", "xread", "ping", "hello", "client|setinfo"];

/// Redis' counters at one moment.
#[derive(Clone, Debug, Default)]
pub(super) struct Counters {
    /// Calls and microseconds by command.
    commands: BTreeMap<String, (u64, u64)>,
    /// Processor time of the main thread, µs.
    processor: f64,
}

/// What Redis did for each asset.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub(super) struct Load {
    /// Commands sent by clients: a script is one.
    pub(super) redis_cmds_per_asset: f64,
    /// Commands called by scripts.
    pub(super) redis_script_cmds_per_asset: f64,
    /// Time spent in commands, scripts as a whole.
    pub(super) redis_us_per_asset: f64,
    /// Processor time of Redis' main thread: commands, the network, and what it does when idle.
    pub(super) redis_cpu_us_per_asset: f64,
}

/// Connects to look at the counters.
pub(super) async fn connect(client: &Client) -> anyhow::Result<MultiplexedConnection> {
    Ok(client.get_multiplexed_async_connection().await?)
}

pub(super) async fn read(connection: &mut MultiplexedConnection) -> anyhow::Result<Counters> {
    let info: String = redis::cmd("INFO").arg("commandstats").arg("cpu").query_async(connection).await?;
    Ok(parse(&info))
}

fn parse(info: &str) -> Counters {
    let mut counters = Counters::default();
    for (name, value) in info.lines().filter_map(|line| line.split_once(':')) {
        if let Some(command) = name.strip_prefix("cmdstat_") {
            let field = |wanted: &str| {
                let mut fields = value.split(',').filter_map(|field| field.split_once('='));
                fields.find(|(name, _)| *name == wanted).and_then(|(_, text)| text.trim().parse().ok())
            };
            let (calls, micros) = (field("calls").unwrap_or(0), field("usec").unwrap_or(0));
            counters.commands.insert(command.to_owned(), (calls, micros));
        } else if matches!(name, "used_cpu_sys_main_thread" | "used_cpu_user_main_thread") {
            counters.processor += value.trim().parse::<f64>().unwrap_or(0.0) * 1e6;
        }
    }
    counters
}

impl Counters {
    /// What was done since, for each of so many assets.
    pub(super) fn since(&self, before: &Self, assets: u64) -> Load {
        let (mut clients, mut scripts, mut micros) = (0, 0, 0);
        for (command, (calls, usec)) in &self.commands {
            let (calls_before, usec_before) = before.commands.get(command).copied().unwrap_or_default();
            let calls = calls.saturating_sub(calls_before);
            if OF_CLIENTS.contains(&command.as_str()) {
                clients += calls;
                micros += usec.saturating_sub(usec_before);
            } else {
                scripts += calls;
            }
        }
        let each = |sum: f64| sum / assets.max(1) as f64;
        Load {
            redis_cmds_per_asset: each(clients as f64),
            redis_script_cmds_per_asset: each(scripts as f64),
            redis_us_per_asset: each(micros as f64),
            redis_cpu_us_per_asset: each(self.processor - before.processor),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_of_clients_and_of_scripts_are_told_apart() {
        let before = parse(
            "# CPU\r\nused_cpu_sys_main_thread:1.5\r\ncmdstat_evalsha:calls=10,usec=100,usec_per_call=10.00\r\n",
        );
        let after = parse(
            "used_cpu_sys_main_thread:1.75\r\nused_cpu_user_main_thread:0.25\r\nused_cpu_sys:9\r\n\
             cmdstat_evalsha:calls=30,usec=500,usec_per_call=16.67,rejected_calls=0\r\ncmdstat_hset:calls=80,usec=60\r\n\
             cmdstat_xread:calls=20,usec=100\r\n",
        );
        let load = after.since(&before, 10);
        assert_eq!((load.redis_cmds_per_asset, load.redis_script_cmds_per_asset), (4.0, 8.0));
        assert_eq!((load.redis_us_per_asset, load.redis_cpu_us_per_asset), (50.0, 50_000.0));
    }
}
