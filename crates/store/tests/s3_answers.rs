//! S3 answers that a healthy server seldom gives, from a scripted one.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on stops")]

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Arc, Mutex},
};

use pictor_common::store::{Body, NewObject, Put, Store as _, StoreErrorKind};
use pictor_store::{S3Settings, S3Store, Sse};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader},
    net::{TcpListener, TcpStream},
    task::JoinSet,
};

const CREATED: &str = "200 OK";
const CONFLICT: &str = "409 Conflict\nConditionalRequestConflict";
const SLOW_DOWN: &str = "503 Slow Down\nSlowDown";

/// Answers requests in turn, repeating the last answer, and keeps their heads.
struct Script {
    endpoint: String,
    heads: Arc<Mutex<Vec<String>>>,
    _tasks: JoinSet<()>,
}

impl Script {
    async fn start(answers: &[&'static str]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let heads = Arc::new(Mutex::new(Vec::new()));
        let answers = Arc::new(Mutex::new(VecDeque::from(answers.to_vec())));
        let mut tasks = JoinSet::new();
        let kept = Arc::clone(&heads);
        tasks.spawn(async move {
            let mut clients = JoinSet::new();
            loop {
                let client = listener.accept().await.unwrap().0;
                clients.spawn(serve(client, Arc::clone(&answers), Arc::clone(&kept)));
            }
        });
        Self { endpoint, heads, _tasks: tasks }
    }

    async fn store(&self, change: impl FnOnce(&mut S3Settings)) -> S3Store {
        let mut settings = S3Settings {
            endpoint: Some(self.endpoint.clone()),
            access_key_id: Some("key".to_owned()),
            secret_access_key: Some("hunter2".into()),
            ..S3Settings::default()
        };
        change(&mut settings);
        S3Store::open("bucket", "shop", &settings).await.unwrap()
    }

    fn heads(&self) -> Vec<String> {
        self.heads.lock().unwrap().clone()
    }
}

async fn serve(
    client: TcpStream,
    answers: Arc<Mutex<VecDeque<&'static str>>>,
    heads: Arc<Mutex<Vec<String>>>,
) {
    let mut client = BufReader::new(client);
    loop {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            if client.read_line(&mut head).await.unwrap_or(0) == 0 {
                return;
            }
        }
        let head = head.to_ascii_lowercase();
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
        if head.contains("expect: 100-continue") {
            client.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").await.unwrap();
        }
        let mut body = vec![0; length.map_or(0, |length| length.parse().unwrap())];
        client.read_exact(&mut body).await.unwrap();
        heads.lock().unwrap().push(head);
        let answer = {
            let mut answers = answers.lock().unwrap();
            if answers.len() > 1 { answers.pop_front().unwrap() } else { answers[0] }
        };
        let (status, code) = answer.split_once('\n').unwrap_or((answer, ""));
        let body = match code {
            "" => String::new(),
            code => format!("<Error><Code>{code}</Code><Message>words of the store</Message></Error>"),
        };
        let answer = format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\n\r\n{body}", body.len());
        client.write_all(answer.as_bytes()).await.unwrap();
    }
}

fn object() -> NewObject {
    NewObject {
        name: "a.png".to_owned(),
        body: Body::Bytes(b"picture".to_vec().into()),
        content_type: "image/png".to_owned(),
        metadata: BTreeMap::from([("token".to_owned(), "t".to_owned())]),
    }
}

#[tokio::test]
async fn a_conflict_is_tried_again() {
    let script = Script::start(&[CONFLICT, CONFLICT, CREATED]).await;
    assert_eq!(script.store(|_| {}).await.put_if_absent(object()).await.unwrap(), Put::Created);
    assert_eq!(script.heads().len(), 3);
    assert!(script.heads().iter().all(|head| head.contains("\r\nif-none-match: *\r\n")));
}

#[tokio::test]
async fn endless_conflicts_end() {
    let script = Script::start(&[CONFLICT]).await;
    let error = script.store(|_| {}).await.put_if_absent(object()).await.unwrap_err();
    assert_eq!(error.kind, StoreErrorKind::Unavailable);
    assert_eq!(script.heads().len(), 8);
}

#[tokio::test]
async fn a_busy_store_is_tried_a_few_times() {
    let script = Script::start(&[SLOW_DOWN]).await;
    let store = script.store(|settings| settings.max_attempts = 2).await;
    let error = store.put(object()).await.unwrap_err();
    assert_eq!(error.kind, StoreErrorKind::Unavailable);
    assert_eq!(error.to_string(), "PUT s3://bucket/shop/a.png: 503 SlowDown: words of the store");
    assert_eq!(script.heads().len(), 2);
}

#[tokio::test]
async fn an_object_that_vanishes_after_412_is_written() {
    let script =
        Script::start(&["412 Precondition Failed\nPreconditionFailed", "404 Not Found", CREATED]).await;
    assert_eq!(script.store(|_| {}).await.put_if_absent(object()).await.unwrap(), Put::Created);
}

#[tokio::test]
async fn what_is_not_s3_is_unavailable_or_a_mistake() {
    for (answer, expected) in [
        ("502 Bad Gateway", StoreErrorKind::Unavailable),
        ("501 Not Implemented\nNotImplemented", StoreErrorKind::Invalid),
        ("507 Insufficient Storage\nInsufficientStorage", StoreErrorKind::Full),
        ("400 Bad Request\nExpiredToken", StoreErrorKind::Denied),
    ] {
        let script = Script::start(&[answer]).await;
        let store = script.store(|settings| settings.max_attempts = 1).await;
        let error = store.put_if_absent(object()).await.unwrap_err();
        assert_eq!(error.kind, expected, "{answer}: {error}");
        assert!(!format!("{error:?}{store:?}").contains("hunter2"));
    }
}

#[tokio::test]
async fn settings_reach_the_wire() {
    let script = Script::start(&[CREATED]).await;
    let store = script
        .store(|settings| {
            settings.cache_control = Some("max-age=60".to_owned());
            settings.sse = Some(Sse::AwsKms);
            settings.sse_kms_key_id = Some("kms-key".to_owned());
            settings.region = Some("eu-central-1".to_owned());
        })
        .await;
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "picture").unwrap();
    let from_file = NewObject { body: Body::File(file.path().to_owned()), ..object() };
    store.put(object()).await.unwrap();
    store.put(from_file).await.unwrap();
    let heads = script.heads();
    assert_eq!(heads.len(), 2);
    for head in heads {
        for wanted in [
            "put /bucket/shop/a.png",
            "\r\ncontent-type: image/png\r\n",
            "\r\ncontent-length: 7\r\n",
            "\r\ncache-control: max-age=60\r\n",
            "\r\nx-amz-meta-token: t\r\n",
            "\r\nx-amz-server-side-encryption: aws:kms\r\n",
            "\r\nx-amz-server-side-encryption-aws-kms-key-id: kms-key\r\n",
            "\r\nx-amz-checksum-crc32: ",
            "/eu-central-1/s3/",
        ] {
            assert!(head.contains(wanted), "{wanted:?} is missing in {head}");
        }
        assert!(!head.contains("aws-chunked") && !head.contains("if-none-match"), "{head}");
    }
}
