//! Who is told of the budget by a webhook gets each alert once, as it is documented.

use std::{fs, time::Duration};

use pictor_simulator::Options;

use crate::{support::receiver::Receiver, world::World};

const PATIENCE: Duration = Duration::from_secs(60);

#[tokio::test(flavor = "multi_thread")]
async fn a_webhook_gets_each_alert_once_as_json() {
    let receiver = Receiver::open(|_, _| 204);
    let world = World::start(Options { latency_ms_p50: Some(20), ..Options::default() });
    let settings = fs::read_to_string(world.path("pictor.toml")).unwrap();
    let url = receiver.url() + "?room=7";
    let settings = format!("{settings}\n[budget]\nper_day = \"1.60\"\nalert_url = {url:?}\n");
    fs::write(world.path("pictor.toml"), settings).unwrap();
    let file = world.catalogue("c.csv", 0..10);
    world.json(&["submit", file.to_str().unwrap(), "--run-id", "b", "--cap", "0.16"]);
    // Several workers: whoever crosses a part tells of it, and nobody else.
    let workers = [world.worker("one", 2, &[]), world.worker("two", 2, &[])];
    assert_eq!(world.ended("b", PATIENCE).await.counts.done, 10);
    receiver.until("an alert for each part", |heard| heard.len() >= 3).await;
    for mut worker in workers {
        // A worker that stops tells what is left to tell.
        worker.proc.signal(rustix::process::Signal::TERM);
        assert!(worker.proc.wait(PATIENCE).success());
        let log = worker.proc.stderr();
        assert!(!log.contains("t0p-s3cret") && !log.contains("has failed"), "{log}");
    }
    let mut heard = receiver.heard();
    heard.sort_by_key(|heard| heard.body()["percent"].as_u64());
    let percents: Vec<u64> = heard.iter().map(|heard| heard.body()["percent"].as_u64().unwrap()).collect();
    assert_eq!(percents, [50, 80, 100], "of the batch; the day is at 10 %");
    for (heard, spent) in heard.iter().zip([80_000, 128_000, 160_000]) {
        assert_eq!(heard.head[0], "POST /hooks/t0p-s3cret?room=7 HTTP/1.1");
        assert_eq!(heard.header("content-type"), "application/json");
        let body = heard.body();
        let percent = body["percent"].as_u64().unwrap();
        let dollars = |micros: u64| format!("${}.{:02}", micros / 1_000_000, micros % 1_000_000 / 10_000);
        let mut expected = serde_json::json!({
            "kind": "budget", "namespace": "it", "scope": "batch", "name": "b", "day": null,
            "percent": percent, "cap": 160_000, "spent": spent,
        });
        let (text, at) = (body["text"].as_str().unwrap(), body["at"].clone());
        assert!(text.starts_with(&format!("{percent} % of the cap of batch b is spent: ")), "{text}");
        assert!(text.ends_with(&format!(" of {}", dollars(160_000))), "{text}");
        assert!(at.as_u64().unwrap() > 1_700_000_000_000_000, "{at}");
        expected["text"] = text.into();
        expected["at"] = at;
        assert_eq!(body, expected);
    }
}
