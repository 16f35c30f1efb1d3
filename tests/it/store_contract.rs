//! S3 over a real server: the contract, and how failures look.

#[path = "../../crates/store/tests/contract/mod.rs"]
mod contract;

use std::{
    collections::BTreeMap,
    fs,
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use pictor_common::store::{Body, NewObject, Put, Store, StoreErrorKind};
use pictor_store::{Checksums, S3Settings, S3Store};
use secrecy::ExposeSecret as _;

use crate::support::{
    proxy::{Fault, Proxy},
    seaweed::Seaweed,
};

fn object(name: &str, body: &[u8]) -> NewObject {
    NewObject {
        name: name.to_owned(),
        body: Body::Bytes(body.to_vec().into()),
        content_type: "image/png".to_owned(),
        metadata: BTreeMap::new(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn s3_keeps_the_contract() {
    let seaweed = Seaweed::shared();
    let settings = S3Settings { cache_control: Some("max-age=60".to_owned()), ..seaweed.settings() };
    let store = pictor_store::open(&seaweed.url("contract"), &settings).await.unwrap();
    contract::store_contract(store).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn s3_keeps_the_contract_without_checksums_and_prefix() {
    let seaweed = Seaweed::start();
    let settings = S3Settings { checksums: Checksums::WhenRequired, ..seaweed.settings() };
    let store = pictor_store::open(&format!("s3://{}", seaweed.bucket()), &settings).await.unwrap();
    contract::store_contract(store).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn prefixes_keep_stores_apart() {
    let seaweed = Seaweed::shared();
    let settings = seaweed.settings();
    let inner = pictor_store::open(&seaweed.url("apart/inner/"), &settings).await.unwrap();
    let outer = pictor_store::open(&seaweed.url("apart"), &settings).await.unwrap();
    inner.put(object("a.png", b"x")).await.unwrap();
    assert_eq!(outer.head("a.png").await.unwrap(), None);
    assert_eq!(outer.list("", None, 10).await.unwrap(), ["inner/a.png"]);
    assert_eq!(inner.list("", None, 10).await.unwrap(), ["a.png"]);
    assert_eq!(inner.location("a.png"), seaweed.url("apart/inner/a.png"));
}

#[tokio::test(flavor = "multi_thread")]
async fn mistakes_of_a_person_are_told_from_outages() {
    let seaweed = Seaweed::shared();
    let wrong_secret = S3Settings { secret_access_key: Some("hunter2-hunter2".into()), ..seaweed.settings() };
    let store = pictor_store::open(&seaweed.url("x"), &wrong_secret).await.unwrap();
    let write = store.put_if_absent(object("a", b"x")).await.unwrap_err();
    let look = store.head("a").await.unwrap_err();
    let list = store.list("", None, 1).await.unwrap_err();
    for error in [write, look, list] {
        assert_eq!(error.kind, StoreErrorKind::Denied, "{error}");
        assert!(!format!("{error:?} {store:?}").contains("hunter2"), "the secret is shown");
    }

    let store = pictor_store::open("s3://no-such-bucket/x", &seaweed.settings()).await.unwrap();
    let error = store.put_if_absent(object("a", b"x")).await.unwrap_err();
    assert_eq!(error.kind, StoreErrorKind::NotFound, "{error}");
    let error = store.list("", None, 1).await.unwrap_err();
    assert_eq!(error.kind, StoreErrorKind::NotFound, "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn anybody_can_read_a_presigned_url_until_it_expires() {
    let seaweed = Seaweed::shared();
    let store = pictor_store::open(&seaweed.url("presigned"), &seaweed.settings()).await.unwrap();
    let name = "a b/ü+%20?#&.png";
    store.put(object(name, b"picture")).await.unwrap();
    let fetch = async |url: &str| {
        let answer = reqwest::get(url).await.unwrap();
        (answer.status().as_u16(), answer.bytes().await.unwrap())
    };
    let week = Duration::from_hours(7 * 24);
    let signed = store.presign(name, SystemTime::now(), week).await.unwrap();
    let url = signed.url.expose_secret();
    assert!(!signed.temporary);
    assert!(!format!("{signed:?}").contains("Signature"), "{signed:?}");
    assert_eq!(fetch(url).await, (200, b"picture".as_slice().into()));
    assert_eq!(fetch(url.split_once('?').unwrap().0).await.0, 403, "without a signature");
    assert_eq!(fetch(&url.replace("a%20b", "a%20c")).await.0, 403, "the signature of another object");

    let past = SystemTime::now() - Duration::from_secs(60);
    let old = store.presign(name, past, Duration::from_secs(30)).await.unwrap();
    assert_eq!(fetch(old.url.expose_secret()).await.0, 403, "an old URL");
    let short = store.presign(name, SystemTime::now(), Duration::from_secs(3)).await.unwrap();
    assert_eq!(fetch(short.url.expose_secret()).await.0, 200);
    let deadline = Instant::now() + Duration::from_secs(20);
    while fetch(short.url.expose_secret()).await.0 == 200 {
        assert!(Instant::now() < deadline, "3 seconds have passed");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }

    for lasts in [week + Duration::from_secs(1), Duration::ZERO] {
        let error = store.presign(name, SystemTime::now(), lasts).await.unwrap_err();
        assert_eq!(error.kind, StoreErrorKind::Invalid, "{error}");
    }
    let session = S3Settings { session_token: Some("for-a-while".into()), ..seaweed.settings() };
    let store = pictor_store::open(&seaweed.url("presigned"), &session).await.unwrap();
    assert!(store.presign(name, SystemTime::now(), week).await.unwrap().temporary);
}

#[tokio::test(flavor = "multi_thread")]
async fn copies_cross_prefixes_and_never_servers() {
    let seaweed = Seaweed::shared();
    let settings = seaweed.settings();
    let source = pictor_store::open(&seaweed.url("copies/from here"), &settings).await.unwrap();
    let target = pictor_store::open(&seaweed.url("copies/to"), &settings).await.unwrap();
    source.put(object("a.png", b"picture")).await.unwrap();
    let copy = |name: &str| NewObject { body: source.body("a.png").unwrap(), ..object(name, b"") };
    assert_eq!(target.put_if_absent(copy("b.png")).await.unwrap(), Put::Created);
    assert_eq!(target.get("b.png").await.unwrap().unwrap(), b"picture"[..]);

    let elsewhere = S3Settings { endpoint: Some("http://127.0.0.1:1".to_owned()), ..settings };
    let other = pictor_store::open(&seaweed.url("copies/other"), &elsewhere).await.unwrap();
    let missing = NewObject { body: other.body("a.png").unwrap(), ..object("c.png", b"") };
    let error = target.put(missing).await.unwrap_err();
    assert_eq!(error.kind, StoreErrorKind::Unsupported, "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_outage_is_unavailable_and_passes() {
    let seaweed = Seaweed::shared();
    let proxy = Proxy::start(seaweed.address()).await;
    let settings = S3Settings {
        endpoint: Some(format!("http://{}", proxy.address())),
        connect_timeout_seconds: 1,
        attempt_timeout_seconds: 2,
        operation_timeout_seconds: 3,
        max_attempts: 2,
        ..seaweed.settings()
    };
    let store = S3Store::open(seaweed.bucket(), "outage", &settings).await.unwrap();
    store.put(object("old", &[7; 100_000])).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    for fault in [Fault::Refuse, Fault::Reset, Fault::BlackHole, Fault::CutAfter(20_000)] {
        proxy.set(fault);
        let error = store.get("old").await.unwrap_err();
        assert_eq!(error.kind, StoreErrorKind::Unavailable, "{fault:?}: {error}");
        if !matches!(fault, Fault::CutAfter(_)) {
            let error = store.put_if_absent(object("new", b"x")).await.unwrap_err();
            assert_eq!(error.kind, StoreErrorKind::Unavailable, "{fault:?}: {error}");
        }
        let file = folder.path().join(format!("{fault:?}"));
        let error = store.save("old", &file).await.unwrap_err();
        assert_eq!(error.kind, StoreErrorKind::Unavailable, "{fault:?}: {error}");
    }
    proxy.set(Fault::Delay(Duration::from_millis(20)));
    assert!(store.get("old").await.unwrap().unwrap() == [7; 100_000][..]);
    proxy.set(Fault::Pass);
    assert!(proxy.accepted() > 4);
    assert!(matches!(store.put_if_absent(object("new", b"x")).await.unwrap(), Put::Created | Put::Exists(_)));
}

/// The commit went through and the answer was lost: the retry meets its own object.
#[tokio::test(flavor = "multi_thread")]
async fn a_lost_answer_ends_as_exists_with_the_same_metadata() {
    let seaweed = Seaweed::shared();
    let proxy = Proxy::start(seaweed.address()).await;
    let settings = S3Settings {
        endpoint: Some(format!("http://{}", proxy.address())),
        max_attempts: 10,
        ..seaweed.settings()
    };
    let store = Arc::new(S3Store::open(seaweed.bucket(), "lost", &settings).await.unwrap());
    let direct = pictor_store::open(&seaweed.url("lost"), &seaweed.settings()).await.unwrap();
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), vec![3; 300_000]).unwrap();
    let mut object = object("a.png", b"");
    object.body = Body::File(file.path().to_owned());
    object.metadata.insert("token".to_owned(), "mine".to_owned());

    proxy.set(Fault::CutAfter(0));
    let writer = tokio::spawn({
        let store = Arc::clone(&store);
        async move { store.put_if_absent(object).await }
    });
    let committed = async {
        while direct.head("a.png").await.unwrap().is_none() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), committed).await.expect("the write never arrived");
    proxy.set(Fault::Pass);
    match writer.await.unwrap().unwrap() {
        Put::Exists(found) => {
            assert_eq!(found.length, 300_000);
            assert_eq!(found.metadata["token"], "mine");
        }
        Put::Created => panic!("the first answer was cut, so a retry must have met the object"),
    }
}
