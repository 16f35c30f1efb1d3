//! `pictor doctor`: checks everything around Pictor and says how to mend what is wrong.
//!
//! Facts are gathered first, side by side; what they mean is judged by functions of their own. Nothing
//! is spent, and nothing is left behind.

mod api;
mod clock;
mod disk;
mod finding;
mod machine;
mod models;
mod private;
mod redis;
mod redis_rules;
mod store;
mod store_probe;

use std::{collections::BTreeSet, time::Duration};

use clap::Args;
use serde_json::json;

use super::Context;
use crate::{config::Settings, exit::Exit};
use finding::{Finding, Group, Status, count, lines};

/// How long one check may take.
const PATIENCE: Duration = Duration::from_secs(8);

#[derive(Debug, Args)]
#[command(after_help = "\
Exit codes: 0 nothing failed (there may be warnings), 3 something failed.
")]
pub(crate) struct DoctorArgs {
    /// Ask nothing beyond this machine
    #[arg(long)]
    offline: bool,
    /// Check only these, separated by commas
    #[arg(long, value_enum, value_delimiter = ',', value_name = "GROUPS")]
    only: Vec<Group>,
}

pub(crate) async fn run(args: DoctorArgs, context: &Context) -> anyhow::Result<Exit> {
    let findings = Box::pin(examine(&args, &context.settings)).await;
    let failed = count(&findings, Status::Failed);
    let warnings = count(&findings, Status::Warning);
    let told = json!({ "findings": findings, "failed": failed, "warnings": warnings });
    context.output.result(&told, || lines(&findings))?;
    anyhow::ensure!(
        failed == 0,
        "{failed} of {} checks failed{}: mend what is marked and run pictor doctor again",
        findings.len(),
        match warnings {
            0 => String::new(),
            1 => ", and there is 1 warning".to_owned(),
            more => format!(", and there are {more} warnings"),
        }
    );
    Ok(Exit::Done)
}

async fn examine(args: &DoctorArgs, settings: &Settings) -> Vec<Finding> {
    let wanted: BTreeSet<Group> = args.only.iter().copied().collect();
    let wants = |group: Group| wanted.is_empty() || wanted.contains(&group);
    let reach = Reach { offline: args.offline };
    let (redis, store, apis, machine) = tokio::join!(
        when(wants(Group::Redis), redis::look(settings, reach)),
        when(wants(Group::Store), store::look(settings, reach)),
        // An API's clock is a witness for this machine's, too.
        when(wants(Group::Api) || wants(Group::Machine), api::look(settings, reach)),
        when(wants(Group::Machine), machine::look(settings)),
    );
    let (redis, apis) = (redis.unwrap_or_default(), apis.unwrap_or_default());
    let witnesses = clock::Witnesses { redis: redis.ahead, apis: apis.ahead, s3: store::is_s3(settings) };
    let mut findings = redis.findings;
    if wants(Group::Redis) {
        findings.extend(clock::of_redis(&witnesses));
    }
    findings.extend(store.unwrap_or_default());
    if wants(Group::Api) {
        findings.extend(apis.findings);
    }
    findings.extend(machine.unwrap_or_default());
    if wants(Group::Machine) {
        findings.push(clock::of_machine(&witnesses));
    }
    findings
}

async fn when<T>(wanted: bool, look: impl Future<Output = T>) -> Option<T> {
    if wanted { Some(look.await) } else { None }
}

/// How far a doctor may ask.
#[derive(Clone, Copy, Debug)]
struct Reach {
    offline: bool,
}

impl Reach {
    const WHY: &str = "it is not on this machine, and --offline asks nothing beyond it";

    /// Whether a host may be asked.
    fn allows(self, host: &str) -> bool {
        !self.offline || is_here(host)
    }
}

fn is_here(host: &str) -> bool {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    bare == "localhost"
        || bare.ends_with(".localhost")
        || bare.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// The local time in µs since 1970.
fn now_micros() -> i64 {
    jiff::Timestamp::now().as_microsecond()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offline_stays_on_this_machine() {
        let offline = Reach { offline: true };
        for (host, allowed) in [
            ("localhost", true),
            ("a.localhost", true),
            ("127.0.0.5", true),
            ("[::1]", true),
            ("10.0.0.1", false),
            ("localhost.example.com", false),
            ("", false),
        ] {
            assert_eq!(offline.allows(host), allowed, "{host}");
            assert!(Reach { offline: false }.allows(host));
        }
    }
}
