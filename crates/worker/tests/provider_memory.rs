//! A thousand large answers at once stay within the memory a worker may take.
//!
//! Alone in its binary, because it measures the whole process, the server included.

#![expect(clippy::unwrap_used, reason = "a test may panic outside its test functions, too")]

use std::{net::SocketAddr, path::Path, sync::Arc, time::Duration};

use pictor_common::Spec;
use pictor_worker::provider::{
    Answer, Ask, Provider as _,
    openai_images::{Account, OpenAiImages},
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    sync::Barrier,
    task::JoinSet,
};

const CALLS: usize = 1000;
const IMAGE: usize = 3 << 20;
const LIMIT_KIB: u64 = 250 * 1024;

/// Answers when all calls are in flight, and then to all at once, from one shared body.
async fn answer(mut stream: TcpStream, body: Arc<Vec<u8>>, all_here: Arc<Barrier>) {
    let mut request = [0; 2048];
    let _request = stream.read(&mut request).await.unwrap();
    all_here.wait().await;
    let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", body.len());
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.write_all(&body).await.unwrap();
}

async fn serve() -> SocketAddr {
    let image = base64_simd::STANDARD.encode_to_string(vec![0x5a_u8; IMAGE]);
    let body = Arc::new(format!(r#"{{"created":1,"data":[{{"b64_json":"{image}"}}]}}"#).into_bytes());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let all_here = Arc::new(Barrier::new(CALLS));
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(answer(stream, Arc::clone(&body), Arc::clone(&all_here)));
        }
    });
    address
}

async fn call(provider: Arc<OpenAiImages>, spool: Arc<tempfile::TempDir>, number: usize) {
    let spec = Spec { model: "gpt-image-2".into(), prompt: Some("a cat".into()), ..Spec::default() };
    let sink = spool.path().join(number.to_string());
    let ask =
        Ask { spec: &spec, client_request_id: "t:1", timeout: Duration::from_secs(300), sink: sink.clone() };
    match provider.perform(ask).await {
        Answer::Image(received) => assert_eq!(received.bytes, IMAGE as u64),
        other => panic!("{other:?}"),
    }
    remove(&sink);
}

fn remove(file: &Path) {
    std::fs::remove_file(file).unwrap();
}

fn peak_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

#[test]
fn a_thousand_answers_of_three_mebibytes() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .max_blocking_threads(pictor_worker::FILE_THREADS)
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let address = serve().await;
        let account = Account {
            base_url: format!("http://{address}"),
            api_key: Some("k".into()),
            ..Account::default()
        };
        let provider = Arc::new(OpenAiImages::new(account).unwrap());
        let spool = Arc::new(tempfile::tempdir().unwrap());
        let mut calls: JoinSet<()> =
            (0..CALLS).map(|number| call(Arc::clone(&provider), Arc::clone(&spool), number)).collect();
        while let Some(ended) = calls.join_next().await {
            ended.unwrap();
        }
    });
    let peak = peak_kib();
    assert!(peak <= LIMIT_KIB, "the process took {} MiB", peak / 1024);
}
