//! Command lines and settings in documents, units and manifests are known to the binary.

use std::{collections::BTreeSet, fs, path::Path, process::Command};

use serde_json::Value;

use super::{BINARY, passes, read, root};
use crate::world::told;

/// The command lines of a document: in blocks of `sh`, and in the text.
fn lines(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut in_block = false;
    for line in text.lines() {
        if line.starts_with("```") {
            in_block = !in_block;
        } else if in_block {
            found.extend(line.strip_prefix("pictor ").map(str::to_owned));
        } else {
            let spans = line.split('`').skip(1).step_by(2);
            found.extend(
                spans.filter_map(|span| span.rsplit_once("pictor ").map(|(_, rest)| rest.to_owned())),
            );
        }
    }
    found
}

/// Whether the binary knows a command line, in front of `--help`.
fn known(line: &str) -> Result<(), String> {
    let line = line.split(" #").next().unwrap().split(" | ").next().unwrap();
    let args = shlex::split(line).ok_or_else(|| format!("{line:?} cannot be split"))?;
    let output = Command::new(BINARY).args(args).arg("--help").output().unwrap();
    if output.status.success() { Ok(()) } else { Err(format!("pictor {line}: {}", told(&output))) }
}

#[test]
fn commands_in_the_runbook_and_beside_the_files_are_known() {
    assert!(known("lane resume LANE --gently").is_err() && known("lanes").is_err());
    for (document, least) in [("docs/runbook.md", 50), ("deploy/README.md", 4)] {
        let lines = lines(&read(document));
        assert!(lines.len() >= least, "{document}: {lines:?}");
        for line in lines {
            known(&line).unwrap_or_else(|told| panic!("{document}: {told}"));
        }
    }
}

/// Every file below a directory, with its text.
fn texts(dir: &Path) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(texts(&path));
        } else {
            found.push((path.display().to_string(), fs::read_to_string(&path).unwrap()));
        }
    }
    found
}

/// Variables of Pictor that are named in a text.
fn variables(text: &str) -> BTreeSet<String> {
    let name = |rest: &str| {
        let end = rest.bytes().position(|b| !(b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_'));
        format!("PICTOR_{}", &rest[..end.unwrap_or(rest.len())])
    };
    text.split("PICTOR_").skip(1).map(name).filter(|name| !name.ends_with('_')).collect()
}

/// Settings as the binary reads them with these variables.
fn settings(variables: &[(&str, &str)]) -> Value {
    let mut command = Command::new(BINARY);
    command
        .env_clear()
        .env("HOME", "/nonexistent")
        .env("OPENAI_API_KEY", "none")
        .envs(variables.iter().copied());
    command.arg("--config").arg(root().join("deploy/pictor.toml")).args(["config", "show", "--json"]);
    serde_json::from_slice(&passes(&mut command).stdout).unwrap()
}

#[test]
fn settings_in_the_files_are_accepted_by_the_binary() {
    let named: BTreeSet<String> =
        texts(&root().join("deploy")).iter().flat_map(|(_, text)| variables(text)).collect();
    assert!(named.len() > 6, "{named:?}");
    let samples = [
        ("PICTOR_REDIS__URL", "redis://queue.internal:6379/0"),
        ("PICTOR_REDIS__SENTINEL_PASSWORD", "secret"),
        ("PICTOR_STORE__URL", "s3://bucket/prefix"),
        ("PICTOR_STORE__SECRET_ACCESS_KEY", "secret"),
        ("PICTOR_WORKER__LISTEN", "0.0.0.0:9464"),
        ("PICTOR_WORKER__SPOOL", "/var/lib/pictor/spool"),
        ("PICTOR_WORKER__CONCURRENCY", "8"),
        ("PICTOR_ACCOUNTS__OPENAI__API_KEY_FILE", "/run/secrets/pictor/OPENAI_API_KEY"),
        ("PICTOR_LOG_FORMAT", "json"),
        ("PICTOR_DATA_DIR", "/tmp/pictor"),
    ];
    // These select where settings are, and are none themselves.
    let selecting = ["PICTOR_CONFIG", "PICTOR_PROFILE"];
    let known: BTreeSet<&str> = samples.iter().map(|(name, _)| *name).chain(selecting).collect();
    let unknown: Vec<&String> = named.iter().filter(|name| !known.contains(name.as_str())).collect();
    assert!(unknown.is_empty(), "say here what a value of {unknown:?} looks like");

    let shown = settings(&samples);
    let from_environment: BTreeSet<&str> = shown["settings"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|setting| setting["origin"]["kind"] == "environment")
        .filter_map(|setting| setting["origin"]["variable"].as_str())
        .collect();
    for (name, _) in samples {
        assert!(from_environment.contains(name), "{name} sets nothing: {from_environment:?}");
    }
}

#[test]
fn whoever_stops_a_worker_waits_longer_than_its_drain() {
    let shown = settings(&[]);
    let settings = shown["settings"].as_array().unwrap();
    let drain =
        settings.iter().find(|setting| setting["section"] == "worker" && setting["name"] == "drain_seconds");
    let drain: u64 = drain.unwrap()["value"].as_u64().unwrap();
    for (file, before) in [
        ("deploy/compose.yaml", "    stop_grace_period: 2"),
        ("deploy/kubernetes/worker.yaml", "terminationGracePeriodSeconds: 2"),
        ("deploy/systemd/pictor-worker.service", "TimeoutStopSec=2"),
    ] {
        let text = read(file);
        let (_, after) = text.split_once(before).unwrap_or_else(|| panic!("{file}: no {before}…"));
        let rest: String = after.chars().take_while(char::is_ascii_digit).collect();
        let grace: u64 = format!("2{rest}").parse().unwrap();
        // What a worker has left to tell Redis, the store and whoever is alerted.
        assert!(grace >= drain + 30, "{file}: {grace} s for a drain of {drain} s");
    }
}

#[test]
fn no_file_has_a_secret() {
    for (file, text) in texts(&root().join("deploy")) {
        for telling in ["sk-", "AKIA", "PRIVATE KEY", "kind: Secret\n"] {
            assert!(!text.contains(telling), "{file} has {telling:?}");
        }
        for line in text.lines().filter(|line| !line.trim_start().starts_with('#')) {
            let Some((_, value)) = line.split_once("_KEY:").or_else(|| line.split_once("_KEY=")) else {
                continue;
            };
            let value = value.trim();
            assert!(value.is_empty() || value.starts_with("${") || value.starts_with('…'), "{file}: {line}");
        }
    }
}
