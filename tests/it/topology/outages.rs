//! A server that answers and refuses: it loads, is a replica, or is full. Workers stay, say so, and go on.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use tokio::task::JoinHandle;

use super::{PATIENCE, billed, logs, says, send};
use crate::{
    chaos::judge::judge,
    support::ports,
    world::{Worker, World, told},
};

/// Notes what `/readyz` says, until it is dropped.
struct Watch {
    said: Arc<Mutex<Vec<String>>>,
    task: JoinHandle<()>,
}

impl Watch {
    fn at(address: SocketAddr) -> Self {
        let said = Arc::<Mutex<Vec<String>>>::default();
        let notes = Arc::clone(&said);
        let task = tokio::spawn(async move {
            loop {
                if let Ok(answer) = reqwest::get(format!("http://{address}/readyz")).await {
                    let text = answer.text().await.unwrap_or_default();
                    let mut notes = notes.lock().unwrap();
                    if notes.last() != Some(&text) {
                        notes.push(text);
                    }
                }
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        });
        Self { said, task }
    }

    /// Waits until it has said so.
    async fn says(&self, words: &str) {
        let deadline = std::time::Instant::now() + PATIENCE;
        while !self.said.lock().unwrap().iter().any(|text| text.contains(words)) {
            assert!(
                std::time::Instant::now() < deadline,
                "{words:?} is not in {:?}",
                self.said.lock().unwrap()
            );
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Waits until it says nothing else.
    async fn is_ready(&self) {
        let deadline = std::time::Instant::now() + PATIENCE;
        while self.said.lock().unwrap().last().is_none_or(|text| text != "ready\n") {
            assert!(std::time::Instant::now() < deadline, "not ready: {:?}", self.said.lock().unwrap());
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// A world in which a worker is busy with a batch called `all`.
async fn busy(rows: u64) -> (World, Worker, Watch) {
    let world = super::world(1_000);
    let file = world.catalogue("rows.csv", 0..rows);
    world.json(&["submit", file.to_str().unwrap(), "--run-id", "all"]);
    let address = format!("127.0.0.1:{}", ports::free());
    let worker = world.worker("worker", 8, &[("PICTOR_WORKER__LISTEN", &address)]);
    billed(&world, 8).await;
    (world, worker, Watch::at(address.parse().unwrap()))
}

/// All is made, once, and the worker still works.
async fn is_made(world: &World, worker: &mut Worker, rows: u64) {
    assert_eq!(world.ended("all", PATIENCE).await.counts.done, rows);
    let judgement = judge(world, rows).await;
    assert_eq!(judgement.twice, 0, "{judgement:?}");
    assert!(worker.proc.exited().is_none(), "{}", worker.proc.told());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_loads_is_waited_for() {
    let (mut world, mut worker, watch) = busy(40).await;
    // Keys of somebody else, at which it loads slowly.
    send(
        &world.redis,
        &["EVAL", "for i = 1, 400 do redis.call('SET', 'other:' .. i, i) end return 'OK'", "0"],
    )
    .await;
    send(&world.redis, &["BGREWRITEAOF"]).await;
    super::until(&world.redis, &["INFO", "persistence"], |info| {
        info.contains("aof_rewrite_in_progress:0") && info.contains("aof_rewrite_scheduled:0")
    })
    .await;
    world.redis.set_options(&["--key-load-delay", "5000", "--loading-process-events-interval-bytes", "1024"]);
    world.redis.stop();
    let mut server = world.redis;
    let back = tokio::task::spawn_blocking(move || {
        server.restart();
        server
    });
    watch.says("the server still loads its data").await;
    world.redis = back.await.unwrap();
    logs(&mut worker, "the server still loads its data");
    is_made(&world, &mut worker, 40).await;
    watch.is_ready().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_became_a_replica_is_waited_for() {
    let (world, mut worker, watch) = busy(40).await;
    let nobody = ports::free().to_string();
    send(&world.redis, &["REPLICAOF", "127.0.0.1", &nobody]).await;
    watch.says("the server is a replica").await;
    logs(&mut worker, "the server is a replica");
    // People can look, and are told why nothing can be written.
    world.json(&["status"]);
    says(&world, "role", "failed", &["a replica of"]);
    let file = world.catalogue("more.csv", 100..102);
    let refused = world.run(&["submit", file.to_str().unwrap(), "--run-id", "more"]);
    assert_eq!(refused.status.code(), Some(3), "{}", told(&refused));
    assert!(told(&refused).contains("the server is a replica"), "{}", told(&refused));
    send(&world.redis, &["REPLICAOF", "NO", "ONE"]).await;
    is_made(&world, &mut worker, 40).await;
    watch.is_ready().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_full_finishes_what_is_sent_and_takes_no_more() {
    let (world, mut worker, watch) = busy(40).await;
    send(&world.redis, &["CONFIG", "SET", "maxmemory", "1000000"]).await;
    watch.says("the server is full").await;
    logs(&mut worker, "the server is full");
    let file = world.catalogue("more.csv", 100..102);
    let refused = world.run(&["submit", file.to_str().unwrap(), "--run-id", "more"]);
    assert_eq!(refused.status.code(), Some(3), "{}", told(&refused));
    assert!(told(&refused).contains("the server is full"), "{}", told(&refused));
    // What was sent is settled all the same, and then nothing is under way. A worker says so every few seconds.
    let deadline = std::time::Instant::now() + PATIENCE;
    loop {
        let status = world.json(&["status"]);
        let done = status["batches"][0]["counts"]["done"].as_u64().unwrap();
        let told = told(&world.run(&["status"]));
        let says_why = told.contains("takes nothing: ") && told.contains("the server is full");
        if says_why && done == world.sim.billed().await && status["workers"][0]["held"] == 0 {
            assert!(done < 40, "it took more all the same");
            break;
        }
        assert!(std::time::Instant::now() < deadline, "{status}; {told}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    says(&world, "memory", "failed", &["CONFIG SET maxmemory"]);
    send(&world.redis, &["CONFIG", "SET", "maxmemory", "0"]).await;
    is_made(&world, &mut worker, 40).await;
    watch.is_ready().await;
}
