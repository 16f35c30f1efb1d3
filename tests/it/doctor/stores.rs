//! Stores that are wrong in one way.

use std::sync::Arc;

use pictor_simulator::Options;

use super::{
    Report,
    stub::{StubS3, Wrong},
    world,
};
use crate::{
    support::seaweed::Seaweed,
    world::{Images, World, told},
};

const ONLY: &[&str] = &["--only", "store"];

fn at_stub(world: &World, stub: &StubS3) -> Report {
    let endpoint = stub.server.url();
    let variables = [
        ("PICTOR_STORE__URL", "s3://shop/images"),
        ("PICTOR_STORE__ENDPOINT", &*endpoint),
        ("PICTOR_STORE__ACCESS_KEY_ID", "key"),
        ("PICTOR_STORE__SECRET_ACCESS_KEY", "hunter2-hunter2"),
    ];
    let report = Report::of(world, ONLY, &variables);
    assert!(!told(&report.output).contains("hunter2"));
    report
}

#[test]
fn each_fault_of_a_bucket_is_found() {
    let world = world();
    for (wrong, failed, words) in [
        (Wrong::Nothing, &[][..], &[][..]),
        (Wrong::Overwrites, &["write once"], &["If-None-Match is ignored", "known not to", "Ceph"]),
        (Wrong::Races, &["race"], &["of 6 writers at once", "were told that they won", "atomic"]),
        (Wrong::NoConditions, &["write"], &["not with If-None-Match", "501 NotImplemented"]),
        (Wrong::ReadOnly, &["write"], &["403 AccessDenied", "allow s3:PutObject"]),
        (Wrong::Forgets, &["metadata"], &["digest", "token", "x-amz-meta"]),
        (Wrong::Garbles, &["read", "write once"], &["does not come back", "proxy"]),
    ] {
        let stub = StubS3::start(wrong);
        let report = at_stub(&world, &stub);
        assert_eq!(report.failed(), failed, "{wrong:?}: {}", told(&report.output));
        if let Some(check) = failed.first() {
            report.says(check, "failed", words);
        }
        assert_eq!(stub.names(), [""; 0], "{wrong:?} left something");
    }
}

#[test]
fn what_cannot_be_deleted_is_named() {
    let (world, stub) = (world(), StubS3::start(Wrong::KeepsAll));
    let report = at_stub(&world, &stub);
    assert_eq!(report.failed(), [""; 0]);
    let left = stub.names();
    assert_eq!(left.len(), 4);
    report.says("delete", "warning", &["s3://shop/images/doctor/", "and 3 more", "AccessDenied"]);
    let named = report.one("delete")["found"].as_str().unwrap().split(' ').next().unwrap().to_owned();
    assert!(left.iter().any(|name| named.ends_with(name.trim_start_matches("/shop"))), "{named}: {left:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_real_bucket_passes_and_mistakes_are_told_apart() {
    let seaweed = Seaweed::shared();
    let world = World::with(Options::default(), Images::S3(Arc::clone(&seaweed)));
    let report = Report::of(&world, ONLY, &[]);
    assert_eq!(report.failed(), [""; 0], "{}", told(&report.output));
    for check in ["reach", "write", "read", "metadata", "write once", "race", "delete", "upload"] {
        report.says(check, "ok", &[]);
    }
    let url = report.one("reach")["found"].as_str().unwrap().split(' ').next().unwrap().to_owned();
    let store = pictor_store::open(&url, &seaweed.settings()).await.unwrap();
    assert_eq!(store.list("", None, 10).await.unwrap(), [""; 0], "the doctor left something");

    let with = |name: &str, value: &str| Report::of(&world, ONLY, &[(name, value)]);
    with("PICTOR_STORE__SECRET_ACCESS_KEY", "hunter2-hunter2").says(
        "reach",
        "failed",
        &["403", "keys that live and belong together"],
    );
    with("PICTOR_STORE__URL", "s3://no-such-bucket/x").says("reach", "failed", &["make the bucket"]);
    with("PICTOR_STORE__ENDPOINT", "http://127.0.0.1:9").says("reach", "failed", &["store.endpoint"]);
    with("PICTOR_STORE__SSE_KMS_KEY_ID", "k").says("reach", "failed", &["sse_kms_key_id", "[store]"]);
}

#[test]
fn a_directory_that_is_a_file_is_named() {
    let world = world();
    let file = world.path("file");
    std::fs::write(&file, "").unwrap();
    let report = Report::of(&world, ONLY, &[("PICTOR_STORE__URL", file.to_str().unwrap())]);
    report.says("reach", "failed", &["cannot be written", "is a file", "store.url"]);
    let below = file.join("images");
    let report = Report::of(&world, ONLY, &[("PICTOR_STORE__URL", below.to_str().unwrap())]);
    report.says("reach", "failed", &["is a file"]);
}
