//! Answers after which nothing more is sent, until a person has looked.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use super::{
    PATIENCE, Stage,
    addresses::elsewhere,
    assert_paid_as_told,
    front::{Honest, Step},
    kinds::{
        End::{Failed, Image},
        Kind, LAST, json, paid, taken,
    },
};
use crate::world::MODEL;

/// An address that must not be fetched from: the image is paid for and lost, and all that follow would be.
const fn refused(name: &'static str, answer: fn(&Honest) -> Vec<Step>) -> Kind {
    paid(name, answer).always(&["settled"], Failed("result_fetch"))
}

/// What answers there is not the API: nothing was made, and the asset waits.
const fn redirect(name: &'static str, answer: fn(&Honest) -> Vec<Step>) -> Kind {
    taken(name, answer).free().ends(Image)
}

fn moved(status: &str, to: &str) -> Vec<Step> {
    let body = json("AAAA");
    let head =
        format!("HTTP/1.1 {status}\r\n{LAST}\r\nlocation: {to}\r\ncontent-length: {}\r\n\r\n", body.len());
    vec![Step::Send((head + &body).into_bytes())]
}

static STOPS: &[Kind] = &[
    redirect("moved_for_good", |_| {
        moved("301 Moved Permanently", "https://evil.example/v1/images/generations")
    }),
    redirect("moved_to_metadata", |_| {
        moved("307 Temporary Redirect", "http://169.254.169.254/latest/meta-data")
    }),
    refused("on_another_host", |h| elsewhere(h, "https://images.example/i.png?sig=s3cret")),
    refused("at_a_private_address", |h| elsewhere(h, "http://169.254.169.254/latest/meta-data")),
    refused("at_a_disguised_address", |h| elsewhere(h, "http://0xa9fea9fe/latest/meta-data")),
    refused("in_a_file", |h| elsewhere(h, "file:///etc/passwd")),
    refused("with_credentials", |h| elsewhere(h, &h.files.replace("http://", "http://user:s3cret@"))),
    refused("no_address_at_all", |h| elsewhere(h, "i.png")),
];

fn now_us() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    u64::try_from(since.as_micros()).unwrap()
}

impl Stage {
    /// Waits until the lane stands, and tells why.
    async fn stopped(&self, kind: &str) -> String {
        let queue = self.world.queue().await;
        let deadline = Instant::now() + PATIENCE;
        loop {
            let lanes = queue.lanes().await.unwrap();
            let lane = lanes.into_iter().find(|lane| lane.name == format!("sim.{MODEL}"));
            let stands = |until: Option<u64>| until.is_some_and(|at| at > now_us() + 60_000_000);
            if let Some(lane) = lane
                && (lane.paused.is_some() || stands(lane.pause_until))
            {
                return format!("{lane:?}");
            }
            assert!(Instant::now() < deadline, "{kind} does not stop the lane");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lane_stands_until_it_is_resumed() {
    let stage = Stage::start(STOPS.iter()).await;
    let mut worker = stage.worker();
    for kind in STOPS {
        stage.submit(kind.name, &[kind.name]);
        let why = stage.stopped(kind.name).await;
        assert!(!why.contains("s3cret"), "{why}");
        assert_eq!(stage.front.seen(kind.name).fetches, 0, "{}", kind.name);
        let resumed = stage.world.run(&["lane", "resume", &format!("sim.{MODEL}")]);
        assert!(resumed.status.success(), "{}", crate::world::told(&resumed));
        stage.world.ended(kind.name, PATIENCE).await;
        let ledger = stage.world.ledger().await;
        for (kind, key, state) in stage.assets(kind.name).await {
            let wrong = stage.complaints(kind, &key, &state, &ledger);
            assert!(wrong.is_empty(), "{}: {wrong:#?}", kind.name);
        }
    }
    assert_paid_as_told(&stage.world).await;
    assert!(worker.proc.exited().is_none(), "{}", worker.proc.told());
    assert!(!worker.proc.stderr().contains("s3cret"), "{}", worker.proc.told());
}
