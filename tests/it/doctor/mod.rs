//! `pictor doctor`: each thing that can be wrong for real, found and named, with how to mend it.

mod apis;
mod machine;
mod redis;
mod stores;
mod stub;

use std::process::Output;

use pictor_simulator::Options;
use serde_json::Value;

use crate::world::{World, told};

fn world() -> World {
    World::start(Options::default())
}

/// What a doctor said.
struct Report {
    findings: Vec<Value>,
    output: Output,
}

impl Report {
    /// Runs `pictor doctor` with variables of one's own.
    fn of(world: &World, args: &[&str], variables: &[(&str, &str)]) -> Self {
        let args = [&["doctor", "--json"], args].concat();
        Self::read(world.command(&args).envs(variables.iter().copied()).output().unwrap())
    }

    fn read(output: Output) -> Self {
        let whole: Value =
            serde_json::from_slice(&output.stdout).unwrap_or_else(|e| panic!("{e}: {}", told(&output)));
        let findings = whole["findings"].as_array().unwrap().clone();
        let failed = findings.iter().filter(|finding| finding["status"] == "failed").count();
        assert_eq!(whole["failed"], failed);
        // What is wrong always says how to mend it.
        for finding in &findings {
            let wrong = finding["status"] == "failed" || finding["status"] == "warning";
            assert_eq!(finding["mend"].is_string(), wrong, "{finding}");
        }
        assert_eq!(output.status.code(), Some(if failed > 0 { 3 } else { 0 }), "{}", told(&output));
        Self { findings, output }
    }

    fn one(&self, check: &str) -> &Value {
        let found = self.findings.iter().find(|finding| finding["check"] == check);
        found.unwrap_or_else(|| panic!("no {check}: {}", told(&self.output)))
    }

    /// Asserts how a check ended, and words of what was found or of how to mend it.
    #[track_caller]
    fn says(&self, check: &str, status: &str, words: &[&str]) {
        let finding = self.one(check);
        assert_eq!(finding["status"], status, "{finding}");
        let text =
            format!("{} {}", finding["found"].as_str().unwrap(), finding["mend"].as_str().unwrap_or(""));
        for word in words {
            assert!(text.contains(word), "{word:?} is not in {text}");
        }
    }

    fn failed(&self) -> Vec<&str> {
        let failed = self.findings.iter().filter(|finding| finding["status"] == "failed");
        failed.map(|finding| finding["check"].as_str().unwrap()).collect()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_healthy_world_passes_and_is_left_as_it_was() {
    let world = world();
    let report = Report::of(&world, &[], &[]);
    assert_eq!(report.failed(), [""; 0], "{}", told(&report.output));
    for check in [
        "reach",
        "version",
        "eviction",
        "persistence",
        "permissions",
        "cluster",
        "namespace",
        "role",
        "clock",
        "write once",
        "race",
        "delete",
        "sim key",
        "sim reach",
        "sim models",
        "open files",
        "spool",
        "spool leftovers",
    ] {
        report.says(check, "ok", &[]);
    }
    let client = ::redis::Client::open(world.redis.url()).unwrap();
    let mut connection = client.get_multiplexed_async_connection().await.unwrap();
    let keys: u64 = ::redis::cmd("DBSIZE").query_async(&mut connection).await.unwrap();
    assert_eq!(keys, 0, "the doctor wrote to Redis");
    for name in ["images", "spool", "data"] {
        assert!(!world.path(name).exists(), "the doctor made {name}");
    }
    let left: Vec<_> = std::fs::read_dir(world.dir.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(left, ["pictor.toml"]);
    assert_eq!(world.sim.billed().await, 0);
    assert!(!told(&report.output).contains(crate::world::API_KEY));
}

#[test]
fn people_get_a_line_a_check_and_what_to_do() {
    let world = world();
    let output = world.command(&["doctor", "--only", "api"]).env("SIM_API_KEY", "").output().unwrap();
    assert_eq!(output.status.code(), Some(3));
    let text = String::from_utf8(output.stdout.clone()).unwrap();
    assert!(text.contains("failed       api      sim key"), "{text}");
    assert!(text.contains("\n             → set the environment variable SIM_API_KEY\n"), "{text}");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(errors.contains("checks failed") && errors.lines().count() == 1, "{errors}");
}

#[test]
fn parts_are_checked_alone_and_offline_stays_here() {
    let world = world();
    let groups = |report: &Report| {
        let mut groups: Vec<String> =
            report.findings.iter().map(|finding| finding["group"].as_str().unwrap().to_owned()).collect();
        groups.dedup();
        groups
    };
    assert_eq!(groups(&Report::of(&world, &["--only", "redis,store"], &[])), ["redis", "store"]);
    assert_eq!(groups(&Report::of(&world, &["--only", "machine"], &[])), ["machine"]);

    let far = [
        ("PICTOR_REDIS__URL", "redis://user:hunter2@queue.invalid:6379/0"),
        ("PICTOR_STORE__URL", "s3://shop-images/x"),
        ("PICTOR_ACCOUNTS__SIM__BASE_URL", "https://images.invalid/v1"),
    ];
    let report = Report::of(&world, &["--offline"], &far);
    for (check, place) in
        [("reach", "queue.invalid"), ("sim reach", "images.invalid"), ("clock", "no API answered")]
    {
        report.says(check, "not_checked", &[place]);
    }
    assert!(!told(&report.output).contains("hunter2"));
    // What is on this machine is checked all the same.
    Report::of(&world, &["--offline"], &[]).says("version", "ok", &[]);
}

/// Whatever takes a connection and says nothing holds the doctor up only so long.
#[test]
fn silence_is_bounded() {
    let world = world();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let silent = listener.local_addr().unwrap().to_string();
    let begun = std::time::Instant::now();
    let variables = [
        ("PICTOR_REDIS__URL", format!("redis://{silent}")),
        ("PICTOR_STORE__URL", "s3://shop/x".to_owned()),
        ("PICTOR_STORE__ENDPOINT", format!("http://{silent}")),
        ("PICTOR_STORE__ACCESS_KEY_ID", "key".to_owned()),
        ("PICTOR_STORE__SECRET_ACCESS_KEY", "secret".to_owned()),
        ("PICTOR_ACCOUNTS__SIM__BASE_URL", format!("http://{silent}/v1")),
    ];
    let variables: Vec<_> = variables.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let report = Report::of(&world, &[], &variables);
    assert!(begun.elapsed().as_secs() < 10, "it took {:?}", begun.elapsed());
    assert_eq!(report.failed(), ["reach", "reach", "sim reach"]);
    report.says("reach", "failed", &["firewall"]);
    report.says("sim reach", "failed", &["no answer within 8 s"]);
    drop(listener);
}
