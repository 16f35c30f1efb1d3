//! The dashboard can be imported anywhere, and nothing in it lies over anything else.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::{panels, promql, queries, read};

#[test]
fn the_dashboard_goes_with_any_prometheus() {
    let dashboard: Value = serde_json::from_str(&read("deploy/grafana/pictor.json")).unwrap();
    let variables = dashboard["templating"]["list"].as_array().unwrap();
    let names: Vec<&str> = variables.iter().map(|variable| variable["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["datasource", "job", "lane"]);
    assert_eq!(variables[0]["type"], "datasource");
    let source = json!({ "type": "prometheus", "uid": "${datasource}" });
    let panels = panels();
    for panel in panels.iter().filter(|panel| panel["type"] != "row") {
        assert_eq!(panel["datasource"], source, "{}", panel["title"]);
        for target in panel["targets"].as_array().unwrap() {
            assert_eq!(target["datasource"], source, "{}", panel["title"]);
        }
    }
    let rows: Vec<&str> = panels
        .iter()
        .filter(|panel| panel["type"] == "row")
        .map(|row| row["title"].as_str().unwrap())
        .collect();
    assert_eq!(rows.len(), 5, "{rows:?}");
    for (title, expression, legend) in queries() {
        let grouped = promql::grouped(&expression);
        for label in legend.split("{{").skip(1).map(|rest| rest.split("}}").next().unwrap()) {
            assert!(
                grouped.contains(label),
                "{title}: the legend tells {label}, which its series do not have"
            );
        }
    }
}

#[test]
fn no_panel_lies_over_another() {
    let mut ids = BTreeSet::new();
    let mut taken = BTreeSet::new();
    for panel in panels() {
        assert!(ids.insert(panel["id"].as_u64().unwrap()), "{}", panel["title"]);
        let [x, y, w, h] = ["x", "y", "w", "h"].map(|side| panel["gridPos"][side].as_u64().unwrap());
        assert!(x + w <= 24, "{}", panel["title"]);
        for cell in (y..y + h).flat_map(|row| (x..x + w).map(move |column| (row, column))) {
            assert!(taken.insert(cell), "{} lies over another", panel["title"]);
        }
    }
}
