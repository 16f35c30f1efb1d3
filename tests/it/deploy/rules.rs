//! The alert rules, and the runbook that has a section for each.

use std::{collections::BTreeSet, fs, process::Command};

use serde_json::json;

use super::{alerts, passes, promql, queries, read, root, tool};

#[test]
fn promtool_accepts_the_rules_and_each_alert_has_a_story_in_which_it_fires() {
    let promtool = tool("promtool");
    let folder = root().join("deploy/prometheus");
    for args in [
        ["check", "rules", "alerts.yaml"],
        ["check", "config", "prometheus.yaml"],
        ["test", "rules", "alerts_test.yaml"],
    ] {
        passes(Command::new(&promtool).args(args).current_dir(&folder));
    }
    let stories = read("deploy/prometheus/alerts_test.yaml");
    for name in alerts().keys() {
        let fires = [format!("alertname=\"{name}\""), format!("alertname: {name}\n")];
        assert!(fires.iter().any(|told| stories.contains(told)), "{name} fires in no story");
    }
}

#[test]
fn each_alert_says_what_it_is_and_where_to_read_on() {
    for (name, rule) in alerts() {
        let text = |of: &str, what: &str| rule[of][what].as_str().unwrap_or_default().to_owned();
        assert!(["critical", "warning"].contains(&text("labels", "severity").as_str()), "{name}");
        assert!(rule["for"].is_string(), "{name} fires at once");
        assert_eq!(text("annotations", "runbook_url"), format!("docs/runbook.md#{}", name.to_lowercase()));
        let (summary, description) = (text("annotations", "summary"), text("annotations", "description"));
        assert!(!summary.is_empty() && !description.is_empty(), "{name}");
        let grouped = promql::grouped(rule["expr"].as_str().unwrap());
        for told in [summary, description] {
            for label in told.split("$labels.").skip(1) {
                let label = label.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').next().unwrap();
                assert!(grouped.contains(label), "{name} tells {label}, which its series do not have");
            }
        }
    }
}

#[test]
fn the_runbook_has_a_section_for_each_alert_and_no_other() {
    let runbook = read("docs/runbook.md");
    let sections: Vec<(&str, &str)> =
        runbook.split("\n## ").skip(1).map(|section| section.split_once('\n').unwrap()).collect();
    let names: BTreeSet<String> = sections.iter().map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(names.len(), sections.len(), "a section comes twice");
    assert_eq!(names, alerts().into_keys().collect());
    for (name, text) in sections {
        assert!(text.contains("pictor ") || text.contains("](#"), "{name}: no command and no other section");
    }
    for link in runbook.split("](").skip(1).map(|link| link.split(')').next().unwrap()) {
        match link.strip_prefix('#') {
            Some(anchor) => assert!(names.iter().any(|name| name.to_lowercase() == anchor), "#{anchor}"),
            None => assert!(root().join("docs").join(link).exists(), "{link}"),
        }
    }
}

#[test]
fn promtool_accepts_what_the_dashboard_asks() {
    let rules: Vec<_> = queries()
        .into_iter()
        .enumerate()
        .map(|(n, (_, expression, _))| {
            let expression =
                expression.replace("$__rate_interval", "5m").replace("$job", "j").replace("$lane", ".*");
            json!({ "record": format!("panel:{n}"), "expr": expression })
        })
        .collect();
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("panels.yaml");
    fs::write(&file, json!({ "groups": [{ "name": "panels", "rules": rules }] }).to_string()).unwrap();
    passes(Command::new(tool("promtool")).args(["check", "rules"]).arg(&file));
}
