//! The error table, row by row, over real HTTP: what each answer does to the asset, the money and the lane.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use pictor_common::{
    AssetKey, MicroUsd, Spec,
    batch::{Band, BatchHead, NewAsset, Route},
    catalogue::Catalogue,
    keys::Keys,
    queue::{AssetState, LaneLimits, LedgerEntry, Queue},
    spec::Operation,
};
use pictor_simulator::Options;
use pictor_worker::{AlertSettings, Lane, Parts, Settings, provider::openai_images::OpenAiImages};
use serde_json::json;
use tokio_util::sync::CancellationToken;

use crate::{
    support::redis_server::RedisServer,
    world::{API_KEY, MODEL, Sim},
};

const LANE: &str = "sim.dall-e-2";

/// What is left after one fault and whatever followed it.
struct Left {
    asset: AssetState,
    ledger: Vec<LedgerEntry>,
    paused: bool,
}

/// What a fault must lead to.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Then {
    /// Made by a later attempt, nothing charged for the first.
    Made,
    /// Made by a later attempt, and the first is in the ledger too.
    MadeAfter(&'static str),
    /// Failed for good with this class, nothing charged.
    Failed(&'static str),
    /// Failed for good with this class, and charged.
    FailedPaid(&'static str),
    /// The lane is paused for people or for long; the asset waits, nothing charged.
    LanePaused(&'static str),
}
use Then::{Failed, FailedPaid, LanePaused, Made, MadeAfter};

/// One row a fault; `*1` strikes the first request of the prompt only.
const TABLE: &[(&str, Then)] = &[
    ("moderation_blocked", Failed("moderation")),
    ("moderation_blocked_output", FailedPaid("moderation")),
    ("content_policy_violation", Failed("moderation")),
    ("image_content_policy_violation", Failed("moderation")),
    ("invalid_value", Failed("bad_spec")),
    ("invalid_image_file", Failed("bad_spec")),
    ("invalid_image", Failed("bad_spec")),
    ("invalid_input_fidelity_model", Failed("bad_spec")),
    ("unknown_parameter", Failed("bad_spec")),
    ("unsupported_file_mimetype", Failed("bad_spec")),
    ("error_string_400", Failed("bad_spec")),
    ("model_retired", Failed("model_retired")),
    ("rate_limit_too_large", Failed("over_limit")),
    ("billing_hard_limit_reached", LanePaused("account_billing")),
    ("billing_hard_limit_reached_legacy", LanePaused("account_billing")),
    ("credit_balance_exhausted", LanePaused("account_billing")),
    ("organization_spend_limit_exceeded", LanePaused("account_billing")),
    ("project_spend_limit_exceeded", LanePaused("account_billing")),
    ("organization_usage_limit_exceeded", LanePaused("account_billing")),
    ("insufficient_quota", LanePaused("account_billing")),
    ("invalid_api_key", LanePaused("auth")),
    ("ip_not_authorized", LanePaused("auth")),
    ("organization_unverified", LanePaused("permission")),
    ("unsupported_model", LanePaused("permission")),
    ("unsupported_country", LanePaused("permission")),
    ("model_not_found", Failed("model_not_found")),
    ("rate_limit_zero", LanePaused("permission")),
    ("rate_limit_exceeded*1", Made),
    ("rate_limit_requests*1", Made),
    ("rate_limit_tokens*1", Made),
    ("rate_limit_plain*1", Made),
    ("slow_down*1", Made),
    ("proxy_throttling*1", Made),
    ("server_error*1", Made),
    ("server_is_overloaded*1", Made),
    ("slow_down_503*1", Made),
    ("error_string*1", Made),
    ("error_in_200*1", Made),
    ("error_string_in_200*1", Made),
    ("wrong_format", Made),
    ("wrong_size", Made),
    ("bad_gateway_html*1", MadeAfter("unknown")),
    ("gateway_timeout_html*1", MadeAfter("unknown")),
    ("bad_gateway_billed*1", MadeAfter("unknown")),
    ("gateway_timeout_billed*1", MadeAfter("unknown")),
    ("empty_502*1", MadeAfter("unknown")),
    ("empty_body*1", MadeAfter("unknown")),
    ("not_json*1", MadeAfter("unknown")),
    ("no_data*1", MadeAfter("unknown")),
    ("no_image*1", MadeAfter("unknown")),
    ("null_image*1", MadeAfter("unknown")),
    ("empty_image*1", MadeAfter("unknown")),
    ("null_data*1", MadeAfter("unknown")),
    ("data_not_a_list*1", MadeAfter("unknown")),
    ("two_images", Made),
    ("base64_in_lines", Made),
    ("base64_as_data_url", Made),
    ("shortened_image*1", MadeAfter("settled")),
    ("bad_checksum*1", MadeAfter("settled")),
    ("bomb_image*1", MadeAfter("settled")),
    ("bad_base64*1", MadeAfter("settled")),
    ("undecodable_image*1", MadeAfter("settled")),
    ("not_an_image*1", MadeAfter("settled")),
    ("truncated_body*1", MadeAfter("settled")),
    ("stalled_body*1", MadeAfter("settled")),
    ("hang*1", MadeAfter("unknown")),
    ("cut_before_headers*1", MadeAfter("unknown")),
    ("cut_after_headers*1", MadeAfter("unknown")),
    ("cut_mid_body*1", MadeAfter("settled")),
    ("reset_before_headers*1", MadeAfter("unknown")),
    ("reset_after_headers*1", MadeAfter("unknown")),
    ("reset_mid_body*1", MadeAfter("settled")),
    ("cut_on_arrival*1", MadeAfter("unknown")),
    ("reset_on_arrival*1", MadeAfter("unknown")),
    ("bad_base64", FailedPaid("bad_answer")),
    ("undecodable_image", FailedPaid("bad_answer")),
    ("hang", FailedPaid("timeout")),
];

struct Bench {
    redis: RedisServer,
    sim: Sim,
    dir: tempfile::TempDir,
}

impl Bench {
    async fn strike(&self, n: usize, marker: &str) -> Left {
        let client = redis::Client::open(self.redis.url()).unwrap();
        let keys = Keys::new(&format!("row-{n}")).unwrap();
        let queue = Queue::connect(client, keys).await.unwrap().with_grace(Duration::ZERO);
        let route = Route::new(MODEL, Operation::Generate);
        queue.declare_lane(LANE, &LaneLimits::default()).await.unwrap();
        let spec = Spec {
            model: MODEL.to_owned(),
            prompt: Some(format!("row {n} [[sim:{marker}]]")),
            size: Some("256x256".to_owned()),
            ..Spec::default()
        };
        let key = AssetKey::of(&spec);
        let ceiling = MicroUsd(16_000);
        let asset = NewAsset { key: key.clone(), spec, route: route.clone(), ceiling, tokens: 0, made: None };
        queue.submit(&head(), &[(1, asset)], &[], false).await.unwrap();

        let stop = CancellationToken::new();
        let worker =
            tokio::spawn(pictor_worker::run(self.parts(n, queue.clone(), route).await, stop.clone()));
        let deadline = tokio::time::Instant::now() + Duration::from_secs(60);
        let left = loop {
            let asset = queue.assets(std::slice::from_ref(&key)).await.unwrap().remove(0).unwrap();
            let lane = queue.lanes().await.unwrap().remove(0);
            let paused =
                lane.paused.is_some() || lane.pause_until.is_some_and(|at| at > now_us() + 60_000_000);
            if matches!(asset.phase.as_str(), "done" | "failed" | "parked")
                || paused && asset.phase == "ready"
            {
                break Left { asset, ledger: vec![], paused };
            }
            assert!(tokio::time::Instant::now() < deadline, "{marker}: {asset:?} {lane:?}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        };
        stop.cancel();
        worker.await.unwrap().unwrap();
        let ledger = queue.ledger("-", 100).await.unwrap().into_iter().map(|(_, entry)| entry).collect();
        Left { ledger, ..left }
    }

    async fn parts(&self, n: usize, queue: Queue, route: Route) -> Parts {
        let images = self.dir.path().join(format!("images-{n}"));
        let account = json!({ "base_url": self.sim.base_url(), "api_key": API_KEY });
        let provider = OpenAiImages::new(serde_json::from_value(account).unwrap()).unwrap();
        let quick = "[models.dall-e-2]\ntimeout_seconds = 3\n";
        Parts {
            queue,
            store: pictor_store::open(images.to_str().unwrap(), &pictor_store::S3Settings::default())
                .await
                .unwrap(),
            catalogue: Arc::new(Catalogue::embedded().overridden(quick).unwrap()),
            lanes: vec![Lane {
                name: LANE.to_owned(),
                routes: vec![route],
                limits: LaneLimits::default(),
                provider: Arc::new(provider),
            }],
            settings: Settings {
                concurrency: 2,
                spool: self.dir.path().join(format!("spool-{n}")),
                max_attempts: 3,
                max_unknown: 1,
                spool_keep_free: 0,
                drain: Duration::from_secs(10),
                caps: Vec::new(),
                who: "test@here".to_owned(),
                alerts: AlertSettings::default(),
                webhooks: Vec::new(),
                keep_ledger: Duration::from_secs(600),
                retention: Default::default(),
                derive_threads: 1,
            },
        }
    }
}

fn now_us() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    u64::try_from(since.as_micros()).unwrap()
}

fn head() -> BatchHead {
    BatchHead {
        id: "b".parse().unwrap(),
        tenant: "shop".to_owned(),
        band: Band::Normal,
        content: "c".to_owned(),
        source: "-".to_owned(),
        columns: vec![],
        cap: None,
        fallback: None,
        on_unknown: None,
        deadline: None,
        derive: None,
    }
}

fn became(left: &Left) -> Then {
    let class = || -> &'static str {
        let class = left.asset.failure.as_ref().map(|f| f.class.clone()).unwrap_or_default();
        Box::leak(class.into_boxed_str())
    };
    let kinds: Vec<&str> = left.ledger.iter().map(|e| e.kind.as_str()).collect();
    match (left.asset.phase.as_str(), &kinds[..]) {
        ("done", ["settled"]) => Made,
        ("done", [first, "settled"]) => MadeAfter(Box::leak((*first).to_owned().into_boxed_str())),
        ("failed", []) => Failed(class()),
        ("failed" | "parked", [_, ..]) => FailedPaid(class()),
        ("ready", []) if left.paused => LanePaused(class()),
        other => panic!("unexpected: {other:?} {:?}", left.asset),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_answer_leads_where_the_table_says() {
    let bench = Arc::new(Bench {
        redis: RedisServer::start(),
        sim: Sim::start(Options { latency_ms_p50: Some(50), ..Options::default() }),
        dir: tempfile::tempdir().unwrap(),
    });
    let rows = TABLE.iter().enumerate().map(|(n, (marker, _))| {
        let bench = Arc::clone(&bench);
        tokio::spawn(async move { bench.strike(n, marker).await })
    });
    let rows: Vec<_> = rows.collect();
    let mut wrong = BTreeMap::new();
    let mut tokens = BTreeMap::new();
    for ((marker, expected), row) in TABLE.iter().zip(rows) {
        let left = row.await.unwrap();
        let found = became(&left);
        if found != *expected {
            wrong.insert(*marker, (found, *expected, left.asset.failure.clone()));
        }
        tokens.extend(left.ledger.into_iter().map(|entry| (entry.token, entry.kind)));
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    let invoice = bench.sim.invoice().await;
    for image in invoice["images"].as_array().unwrap() {
        let id = image["client_request_id"].as_str().unwrap();
        let token = id.rsplit_once(':').unwrap().0;
        assert!(tokens.contains_key(token), "billed and not in the ledger: {image}");
    }
}
