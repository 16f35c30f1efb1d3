//! What deploy/ and the runbook promise: metrics that workers tell, commands and settings that the binary knows, files that their readers accept.

mod commands;
mod dashboard;
mod manifests;
mod metrics;
mod nightly;
mod promql;
mod rules;

use std::{
    collections::BTreeMap,
    env, fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use serde_json::Value;

use crate::world::told;

const BINARY: &str = env!("CARGO_BIN_EXE_pictor");

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// A program that `make tools` brings, or that is on PATH.
fn tool(name: &str) -> PathBuf {
    let paths = env::var_os("PATH").unwrap_or_default();
    let mut folders = vec![root().join("target/tools/bin"), root().join("target/tools/venv/bin")];
    folders.extend(env::split_paths(&paths));
    let found = folders.into_iter().map(|folder| folder.join(name)).find(|path| path.is_file());
    found.unwrap_or_else(|| panic!("{name} is not installed: run `make tools`"))
}

/// Runs what must succeed.
fn passes(command: &mut Command) -> Output {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(output.status.success(), "{command:?}: {}", told(&output));
    output
}

/// The documents of a YAML file.
fn yaml(path: &str) -> Vec<Value> {
    let script = "import json, sys, yaml; print(json.dumps(list(yaml.safe_load_all(open(sys.argv[1])))))";
    let output = passes(Command::new(tool("python3")).args(["-c", script]).arg(root().join(path)));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// The alerting rules, by name.
fn alerts() -> BTreeMap<String, Value> {
    let [file] = yaml("deploy/prometheus/alerts.yaml").try_into().unwrap();
    let groups = file["groups"].as_array().unwrap();
    let rules: Vec<Value> =
        groups.iter().flat_map(|group| group["rules"].as_array().unwrap().clone()).collect();
    let by_name: BTreeMap<String, Value> =
        rules.iter().map(|rule| (rule["alert"].as_str().unwrap().to_owned(), rule.clone())).collect();
    assert_eq!(by_name.len(), rules.len(), "two alerts have one name");
    by_name
}

/// The panels of the dashboard.
fn panels() -> Vec<Value> {
    let dashboard: Value = serde_json::from_str(&read("deploy/grafana/pictor.json")).unwrap();
    dashboard["panels"].as_array().unwrap().clone()
}

/// What the dashboard asks Prometheus: title, expression, legend.
fn queries() -> Vec<(String, String, String)> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let of = |panel: &Value| {
        let targets = panel["targets"].as_array().cloned().unwrap_or_default();
        let title = text(&panel["title"]);
        targets
            .into_iter()
            .map(move |target| (title.clone(), text(&target["expr"]), text(&target["legendFormat"])))
    };
    panels().iter().flat_map(of).collect()
}
