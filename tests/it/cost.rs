//! What an asset costs Redis over its whole life, with four limits and three caps, by Redis' own counters.

use std::time::Duration;

use pictor_common::{
    AssetKey, MicroUsd, Spec,
    batch::{Band, BatchHead, Line, Made, NewAsset, Route},
    keys::Keys,
    ledger::Spend,
    queue::{
        Attempt, Begun, CapOf, Claim, Grant, HeldAsset, HeldPhase, LaneLimits, LaneOffer, Queue, Setter,
    },
    spec::Operation,
};
use redis::aio::MultiplexedConnection;

use crate::support::redis_server::RedisServer;

const LANE: &str = "sim.gpt-image";
const LEASE: Duration = Duration::from_secs(15);
/// What three workers get a call when a lane gives 50 images a second and they look half a second ahead.
const A_CLAIM: usize = 8;

/// Commands and time that one asset took of Redis, in one step of its life.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Step {
    /// Commands sent to the server; a script is one.
    pub(crate) sent: f64,
    /// Commands called by scripts.
    pub(crate) called: f64,
    /// Time in the commands that were sent, µs.
    pub(crate) micros: f64,
}

/// Calls of scripts, calls within them, and time of the scripts in µs, since the server began.
async fn counters(redis: &mut MultiplexedConnection) -> [u64; 3] {
    let info: String = redis::cmd("INFO").arg("commandstats").query_async(redis).await.unwrap();
    let mut sums = [0; 3];
    for line in info.lines().filter_map(|line| line.strip_prefix("cmdstat_")) {
        let (name, fields) = line.split_once(':').unwrap();
        let field = |wanted: &str| -> u64 {
            let mut fields = fields.split(',').filter_map(|field| field.split_once('='));
            fields.find(|(name, _)| *name == wanted).unwrap().1.trim().parse().unwrap()
        };
        match name {
            "evalsha" => {
                sums[0] += field("calls");
                sums[2] += field("usec");
            }
            "info" | "hello" | "client|setinfo" => {}
            _ => sums[1] += field("calls"),
        }
    }
    sums
}

struct Life {
    queue: Queue,
    redis: MultiplexedConnection,
    steps: Vec<(&'static str, Step)>,
    seen: [u64; 3],
    assets: u64,
}

impl Life {
    /// Books what Redis did since the last step.
    async fn step(&mut self, name: &'static str) {
        let now = counters(&mut self.redis).await;
        let before = std::mem::replace(&mut self.seen, now);
        let each = |at: usize| (now[at] - before[at]) as f64 / self.assets as f64;
        let at = self.steps.iter().position(|(known, _)| *known == name).unwrap_or_else(|| {
            self.steps.push((name, Step::default()));
            self.steps.len() - 1
        });
        let step = &mut self.steps[at].1;
        step.sent += each(0);
        step.called += each(1);
        step.micros += each(2);
    }

    async fn submit(&self) {
        let head = BatchHead {
            id: "b".parse().unwrap(),
            tenant: "shop".to_owned(),
            band: Band::Normal,
            content: "c".to_owned(),
            source: "-".to_owned(),
            columns: vec![],
            cap: Some(MicroUsd(1_000_000_000_000)),
            fallback: None,
            on_unknown: None,
            deadline: None,
            derive: None,
        };
        let rows: Vec<u64> = (0..self.assets).collect();
        for chunk in rows.chunks(500) {
            let assets: Vec<_> = chunk.iter().map(|n| (*n, asset(*n))).collect();
            let lines: Vec<_> = assets.iter().map(|(row, asset)| line(*row, asset)).collect();
            self.queue.submit(&head, &assets, &lines, false).await.unwrap();
        }
        self.queue.seal(&head.id, self.assets).await.unwrap();
    }

    async fn claim(&self, call: u64) -> Vec<Grant> {
        let claim = Claim {
            request: format!("r{call}"),
            incarnation: "w".to_owned(),
            sequence: call * 100,
            lease: LEASE,
            horizon: Duration::from_secs(1),
            free: A_CLAIM,
            lanes: vec![LaneOffer { lane: LANE.to_owned(), routes: vec![route().to_string()] }],
        };
        self.queue.claim(&claim).await.unwrap().grants
    }
}

fn route() -> Route {
    Route::new("gpt-image", Operation::Generate)
}

fn asset(n: u64) -> NewAsset {
    let spec = Spec {
        model: "gpt-image-2".to_owned(),
        prompt: Some(format!("A photo of product number {n}, studio light, white background, soft shadow")),
        size: Some("1024x1024".to_owned()),
        ..Spec::default()
    };
    NewAsset {
        key: AssetKey::of(&spec),
        spec,
        route: route(),
        ceiling: MicroUsd(213_080),
        tokens: 1_760,
        made: None,
    }
}

fn line(row: u64, asset: &NewAsset) -> Line {
    Line { row, id: row.to_string(), keys: vec![asset.key.clone()], cells: vec![] }
}

fn attempt(grant: &Grant) -> Attempt {
    Attempt {
        key: grant.key.clone(),
        token: grant.token.clone(),
        attempt: 1,
        payer: grant.payer.clone(),
        tenant: grant.tenant.clone(),
        lane: grant.lane.clone(),
        model: grant.spec.model.clone(),
        request_id: Some(format!("req-{}", grant.token)),
    }
}

fn held(grant: &Grant) -> HeldAsset {
    HeldAsset {
        key: grant.key.clone(),
        token: grant.token.clone(),
        phase: HeldPhase::Sent,
        lane: grant.lane.clone(),
        payer: grant.payer.clone(),
        tenant: grant.tenant.clone(),
        ceiling: grant.ceiling,
        attempt: 1,
        deadline: u64::MAX / 2,
    }
}

async fn begin_life(redis: &RedisServer, assets: u64) -> Life {
    let client = redis::Client::open(redis.url()).unwrap();
    let connection = client.get_multiplexed_async_connection().await.unwrap();
    let queue = Queue::connect(client, Keys::new("cost").unwrap()).await.unwrap().with_grace(Duration::ZERO);
    let most = Some(1_000_000_000);
    let limits = LaneLimits {
        requests: most,
        images: most,
        tokens: most,
        images_per_day: most,
        ..LaneLimits::default()
    };
    queue.declare_lane(LANE, &limits).await.unwrap();
    queue.restore_spend(&queue.begun().await.unwrap(), &Spend::default()).await.unwrap();
    let plenty = Some(MicroUsd(1_000_000_000_000));
    let caps = [(CapOf::Day, plenty), (CapOf::Tenant("shop".to_owned()), plenty)];
    queue.set_caps(Setter::Person, "ann@desk", "a proof", &caps).await.unwrap();
    let mut life = Life { queue, redis: connection, steps: Vec::new(), seen: [0; 3], assets };
    life.seen = counters(&mut life.redis).await;
    life
}

/// Takes assets through their lives, one step at a time: submit, claim, mark as sent, renew twice, settle.
pub(crate) async fn of_a_life(assets: u64) -> Vec<(&'static str, Step)> {
    let redis = RedisServer::start_with(&["--appendonly", "no"]);
    let mut life = begin_life(&redis, assets).await;
    life.submit().await;
    life.step("submit").await;
    for call in 0..assets.div_ceil(A_CLAIM as u64) {
        let grants = life.claim(call).await;
        assert_eq!(grants.len(), A_CLAIM);
        life.step("claim").await;
        for grant in &grants {
            let begun =
                life.queue.begin(&grant.key, &grant.token, Duration::from_secs(60), LEASE).await.unwrap();
            assert!(matches!(begun, Begun::Go { .. }), "{begun:?}");
        }
        life.step("begin").await;
        let all: Vec<_> = grants.iter().map(held).collect();
        for _renewal in 0..2 {
            life.queue.extend(&all, LEASE).await.unwrap();
        }
        life.step("renew").await;
        let made = Made {
            object: format!("gpt-image-2/{}", "a".repeat(64)),
            digest: "d".repeat(64),
            content_type: "image/png".to_owned(),
            bytes: 1_234_567,
            width: 1_024,
            height: 1_024,
            cost: MicroUsd(52_700),
            ..Made::default()
        };
        for grant in &grants {
            life.queue.settle_used(&attempt(grant), &made, Some(1_700)).await.unwrap();
        }
        life.step("settle").await;
    }
    let done = life.queue.batch(&"b".parse().unwrap()).await.unwrap().unwrap().counts.done;
    assert_eq!(done, assets);
    life.steps
}

#[tokio::test(flavor = "multi_thread")]
async fn an_asset_takes_few_commands() {
    let steps = of_a_life(400).await;
    let sum = |of: fn(&Step) -> f64| steps.iter().map(|(_, step)| of(step)).sum::<f64>();
    // What is called inside is counted, not timed: so it does not depend on what else runs.
    assert!(sum(|step| step.sent) <= 3.0 && sum(|step| step.called) <= 66.0, "{steps:?}");
}
