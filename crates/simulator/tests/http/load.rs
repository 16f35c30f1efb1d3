//! Many requests at once.

use std::time::Instant;

use futures::{StreamExt, stream};
use pictor_simulator::Options;

use crate::server::{Server, instant};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn draws_at_least_two_hundred_small_pictures_a_second() {
    let server = Server::start(instant()).await;
    server.small("warm up").send().await.unwrap();
    let began = Instant::now();
    let count = 600;
    let asks = stream::iter(0..count).map(|index| {
        let ask = server.small(&format!("a listing picture of product {index} on white marble"));
        async move { ask.send().await.unwrap().bytes().await.unwrap().len() }
    });
    let sizes: Vec<_> = asks.buffer_unordered(64).collect().await;
    let rate = count as f64 / began.elapsed().as_secs_f64();
    let mean = sizes.iter().sum::<usize>() / sizes.len();
    // An idle machine of two processors does 1,600; this one may be busy.
    assert!(rate > 200.0, "{rate:.0} pictures a second of {mean} bytes");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_thousand_wait_together() {
    let server = Server::start(Options { latency_ms_p50: Some(3000), ..instant() }).await;
    let asks: Vec<_> = (0..2000).map(|index| server.small(&index.to_string())).collect();
    let asks = stream::iter(asks).map(|ask| async move { ask.send().await.unwrap().status().as_u16() });
    let asks = tokio::spawn(asks.buffer_unordered(2000).collect::<Vec<_>>());
    server.until("state", |state| state["in_flight"].as_u64().unwrap() >= 1000).await;
    assert!(asks.await.unwrap().iter().all(|status| *status == 200));
    assert_eq!(server.totals().await["images"], 2000);
}
