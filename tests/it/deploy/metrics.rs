//! What dashboard, alerts and autoscaling ask for is told by a real worker, with these labels.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    fs,
    io::Write as _,
    net::SocketAddr,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use pictor_simulator::Options;
use pictor_worker::verdict::FailureClass;

use super::{alerts, promql, queries, tool, yaml};
use crate::{
    support::ports,
    world::{MODEL, World, told},
};

/// What Prometheus adds, and what histograms have.
const ADDED: [&str; 3] = ["job", "instance", "le"];

/// The labels that samples of a name have, and their values.
type Told = BTreeMap<String, BTreeMap<String, BTreeSet<String>>>;

fn told_by(page: &str) -> Told {
    let mut told = Told::new();
    for line in page.lines().filter(|line| !line.starts_with('#')) {
        let (series, _) = line.rsplit_once(' ').unwrap();
        let (name, labels) = series.split_once('{').unwrap_or((series, "}"));
        let known = told.entry(name.to_owned()).or_default();
        for pair in labels.trim_end_matches('}').split("\",").filter(|pair| !pair.is_empty()) {
            let (label, value) = pair.split_once("=\"").unwrap();
            known.entry(label.to_owned()).or_default().insert(value.trim_end_matches('"').to_owned());
        }
    }
    told
}

/// What is asked for and not told; nothing when all is well.
fn missing(expression: &str, told: &Told) -> Vec<String> {
    let mut missing = Vec::new();
    let mut labels: BTreeSet<&str> = ADDED.into();
    for selector in promql::selectors(expression) {
        let Some(known) = told.get(&selector.name) else {
            missing.push(selector.name);
            continue;
        };
        labels.extend(known.keys().map(String::as_str));
        for matcher in selector.matchers.iter().filter(|matcher| !ADDED.contains(&matcher.label.as_str())) {
            let Some(values) = known.get(&matcher.label) else {
                missing.push(format!("{}{{{}}}", selector.name, matcher.label));
                continue;
            };
            let is_class = |value: &str| matcher.label == "class" && value.parse::<FailureClass>().is_ok();
            let unknown = matcher.values.iter().filter(|value| !values.contains(*value) && !is_class(value));
            missing.extend(unknown.map(|value| format!("{}{{{}={value}}}", selector.name, matcher.label)));
        }
    }
    let grouped = promql::grouped(expression);
    missing.extend(grouped.into_iter().filter(|label| !labels.contains(label.as_str())));
    missing
}

/// Every expression, and where it stands.
fn expressions() -> Vec<(String, String)> {
    let of_alerts =
        alerts().into_iter().map(|(name, rule)| (name, rule["expr"].as_str().unwrap().to_owned()));
    let of_panels = queries().into_iter().map(|(title, expression, _)| (title, expression));
    let [scaled] = yaml("deploy/kubernetes/autoscaling.yaml").try_into().unwrap();
    let query = scaled["spec"]["triggers"][0]["metadata"]["query"].as_str().unwrap().to_owned();
    of_alerts.chain(of_panels).chain([("autoscaling".to_owned(), query)]).collect()
}

/// Rows that end in every way.
fn manifest(world: &World) {
    let mut text = String::from("id,prompt,model,size\n");
    for (n, marker) in [
        "[[sim:moderation_blocked]]",
        "[[sim:server_error*1]]",
        "[[sim:rate_limit_plain*1]]",
        "[[sim:bad_gateway_html*1]]",
    ]
    .into_iter()
    .chain([""; 16])
    .enumerate()
    {
        writeln!(text, "row-{n},thing number {n} {marker},{MODEL},256x256").unwrap();
    }
    fs::write(world.path("rows.csv"), text).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_asked_for_is_told_by_a_worker() {
    let expressions = expressions();
    assert!(
        expressions.len() > 60
            && expressions.iter().all(|(_, expression)| !promql::selectors(expression).is_empty())
    );
    let world = World::start(Options { latency_ms_p50: Some(20), ..Options::default() });
    manifest(&world);
    world.json(&["submit", "rows.csv", "--run-id", "b"]);
    let at = SocketAddr::from(([127, 0, 0, 1], ports::free())).to_string();
    // An account that cannot be reached: what is not sent is told, too.
    let nowhere = format!("http://127.0.0.1:{}/v1", ports::free());
    let _worker = world.worker(
        "worker",
        4,
        &[
            ("PICTOR_WORKER__LISTEN", &at),
            ("PICTOR_BUDGET__TOTAL", "100"),
            ("PICTOR_BUDGET__PER_DAY", "50"),
            ("PICTOR_ACCOUNTS__NOWHERE__BASE_URL", &nowhere),
            ("PICTOR_ACCOUNTS__NOWHERE__API_KEY_ENV", "SIM_API_KEY"),
            ("PICTOR_WEBHOOKS__HERE__URL", "http://127.0.0.1:1/"),
            ("PICTOR_WEBHOOKS__HERE__SECRET_ENV", "HOOK_SECRET"),
            ("HOOK_SECRET", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"),
        ],
    );
    let deadline = Instant::now() + Duration::from_secs(60);
    let page = loop {
        let page = reqwest::get(format!("http://{at}/metrics")).await.unwrap().text().await.unwrap();
        let told = told_by(&page);
        let open: Vec<(&str, Vec<String>)> = expressions
            .iter()
            .map(|(place, expression)| (place.as_str(), missing(expression, &told)))
            .filter(|(_, missing)| !missing.is_empty())
            .collect();
        if open.is_empty() {
            break page;
        }
        assert!(Instant::now() < deadline, "no worker tells {open:#?}\n{page}");
        tokio::time::sleep(Duration::from_millis(200)).await;
    };
    let told = told_by(&page);
    assert_eq!(missing("max by (shop) (pictor_redis_up)", &told), ["shop"]);
    assert_eq!(missing("pictor_lane_state{state=\"asleep\"}", &told), ["pictor_lane_state{state=asleep}"]);
    assert_eq!(
        missing("pictor_requests_total{class=~\"auth|rude\"}", &told),
        ["pictor_requests_total{class=rude}"]
    );
    assert_eq!(missing("pictor_jobs_total", &told), ["pictor_jobs_total"]);
    checked_by_promtool(&page);
}

/// What Prometheus' own checker says of the page.
fn checked_by_promtool(page: &str) {
    let mut command = Command::new(tool("promtool"));
    command.args(["check", "metrics"]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(page.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", told(&output));
}
