//! Logs for machines: each line about an attempt says which, so that it can be joined with the provider's invoice.

use std::fs;

use pictor_simulator::Options;
use serde_json::Value;

use crate::world::{API_KEY, MODEL, World, told};

/// What is said of the attempt that a line is about.
fn attempt(line: &Value) -> Option<&Value> {
    line["spans"].as_array()?.iter().find(|span| span["name"] == "attempt")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_line_about_an_attempt_can_be_joined_with_the_invoice() {
    let world = World::start(Options { latency_ms_p50: Some(20), ..Options::default() });
    let mut text = String::from("id,prompt,model,size\n");
    for (n, marker) in ["", "", "[[sim:moderation_blocked]]", "[[sim:server_error*1]]"].iter().enumerate() {
        text += &format!("row-{n},a very secret product {n}{marker},{MODEL},256x256\n");
    }
    fs::write(world.path("c.csv"), text).unwrap();
    let ran = world.run(&["run", "c.csv", "--run-id", "b", "--log", "info", "--log-format", "json"]);
    assert_eq!(ran.status.code(), Some(1), "{}", told(&ran));
    let errors = String::from_utf8(ran.stderr.clone()).unwrap();
    assert!(!errors.contains("a very secret product") && !errors.contains(API_KEY), "{errors}");
    let lines: Vec<Value> = errors.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    let of_attempts: Vec<(&Value, &Value)> =
        lines.iter().filter_map(|line| Some((line, attempt(line)?))).collect();
    for (line, attempt) in &of_attempts {
        assert_eq!(attempt["batch"], "b", "{line}");
        assert_eq!(attempt["asset"].as_str().map(str::len), Some(64), "{line}");
    }
    let invoice = world.sim.invoice().await;
    let ids = |of: &str| -> Vec<String> {
        let listed = invoice[of].as_array().unwrap().iter();
        listed.map(|entry| entry["request_id"].as_str().unwrap().to_owned()).collect()
    };
    let (billed, refused) = (ids("images"), ids("refusals"));
    assert_eq!((billed.len(), refused.len()), (3, 2), "{invoice}");
    for (ids, message, is_billed) in [(billed, "made", "yes"), (refused, "no image", "no")] {
        for id in ids {
            let found: Vec<_> = of_attempts
                .iter()
                .filter(|(line, attempt)| {
                    attempt["request_id"] == id.as_str() && line["fields"]["message"] == message
                })
                .collect();
            let [(line, attempt)] = found.as_slice() else { panic!("{id}: {message}: {errors}") };
            assert!(attempt["attempt"].as_u64().is_some_and(|number| number > 0), "{line}");
            assert_eq!(attempt["billed"], is_billed, "{line}");
        }
    }
}
