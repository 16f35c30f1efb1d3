//! Every way in which a store can be wrong, and its remedy.

use super::*;
use crate::commands::doctor::finding::Status;

const S3: Kind = Kind::S3 { keys: true };

fn error(kind: StoreErrorKind, message: &str) -> StoreError {
    StoreError { kind, message: message.to_owned(), source: None }
}

fn healthy() -> StoreFacts {
    StoreFacts {
        list: Some(Ok(())),
        write: Some(Ok(())),
        plain: None,
        read: Some(Ok(true)),
        metadata: Some(Ok(Vec::new())),
        second: Some(Ok(true)),
        winners: Some(Ok(1)),
        left: Vec::new(),
    }
}

fn of(facts: &StoreFacts, name: &str) -> Finding {
    let findings = judge(facts, "s3://b/p", S3);
    findings.into_iter().find(|finding| finding.check == name).unwrap()
}

#[track_caller]
fn failed(facts: &StoreFacts, name: &str, mend: &str) {
    let finding = of(facts, name);
    assert_eq!(finding.status, Status::Failed, "{finding:?}");
    assert!(finding.mend.clone().unwrap().contains(mend), "{finding:?}");
}

#[test]
fn a_healthy_store_passes_whole() {
    let findings = judge(&healthy(), "s3://b/p", S3);
    assert_eq!(findings.len(), 7);
    assert!(findings.iter().all(|finding| finding.status == Status::Ok), "{findings:#?}");
}

#[test]
fn what_fails_is_named_with_what_it_wants() {
    use StoreErrorKind::{Denied, Invalid, NotFound, Unavailable};
    let denied = || error(Denied, "PUT s3://b/p: 403 AccessDenied: no");
    failed(&StoreFacts { list: Some(Err(denied())), ..healthy() }, "reach", "allow s3:ListBucket");
    failed(&StoreFacts { list: Some(Err(error(NotFound, "x"))), ..healthy() }, "reach", "make the bucket");
    failed(&StoreFacts { list: Some(Err(error(Unavailable, "x"))), ..healthy() }, "reach", "firewall");
    failed(
        &StoreFacts { write: Some(Err(denied())), plain: Some(Err(denied())), ..healthy() },
        "write",
        "s3:PutObject",
    );
    let unknown = error(Invalid, "501 NotImplemented");
    failed(
        &StoreFacts { write: Some(Err(unknown)), plain: Some(Ok(())), ..healthy() },
        "write",
        "on condition",
    );
    failed(&StoreFacts { read: Some(Err(denied())), ..healthy() }, "read", "s3:GetObject");
    failed(&StoreFacts { read: Some(Ok(false)), ..healthy() }, "read", "changes bodies");
    failed(
        &StoreFacts { metadata: Some(Ok(vec!["token".to_owned()])), ..healthy() },
        "metadata",
        "x-amz-meta",
    );
    failed(&StoreFacts { metadata: Some(Err(denied())), ..healthy() }, "metadata", "s3:GetObject");
    failed(&StoreFacts { second: Some(Ok(false)), ..healthy() }, "write once", "Ceph RGW 16");
    failed(&StoreFacts { second: Some(Err(denied())), ..healthy() }, "write once", "s3:PutObject");
    failed(&StoreFacts { winners: Some(Ok(3)), ..healthy() }, "race", "atomic");
    failed(&StoreFacts { winners: Some(Err(denied())), ..healthy() }, "race", "s3:PutObject");
}

#[test]
fn what_can_be_lived_with_is_a_warning() {
    let lost = StoreFacts { winners: Some(Ok(0)), ..healthy() };
    assert_eq!(of(&lost, "race").status, Status::Warning);
    let denied = || error(StoreErrorKind::Denied, "DELETE: 403 AccessDenied");
    let left =
        vec![("s3://b/p/doctor/1.bin".to_owned(), denied()), ("s3://b/p/doctor/2.bin".to_owned(), denied())];
    let finding = of(&StoreFacts { left, ..healthy() }, "delete");
    assert_eq!(finding.status, Status::Warning);
    assert!(finding.found.starts_with("s3://b/p/doctor/1.bin and 1 more"), "{finding:?}");
}

#[test]
fn denials_have_different_remedies() {
    for (message, keys, mend_says) in [
        ("403 RequestTimeTooSkewed", true, "timedatectl"),
        ("301 PermanentRedirect", true, "store.region"),
        ("403 InvalidAccessKeyId", true, "PICTOR_STORE__SECRET_ACCESS_KEY"),
        ("no credentials", false, "AWS_PROFILE"),
        ("403 AccessDenied", true, "allow s3:X"),
    ] {
        let told = mend(&error(StoreErrorKind::Denied, message), "s3:X", Kind::S3 { keys });
        assert!(told.contains(mend_says), "{told}");
    }
    assert!(mend(&error(StoreErrorKind::Full, ""), "", S3).contains("free room"));
    assert!(mend(&error(StoreErrorKind::Invalid, ""), "", S3).contains("checksums"));
    assert!(mend(&error(StoreErrorKind::Denied, ""), "", Kind::Directory).contains("chown"));
    assert!(mend(&error(StoreErrorKind::NotFound, ""), "", Kind::Directory).contains("store.url"));
}

#[test]
fn an_image_must_fit_into_one_put() {
    assert_eq!(single_put(64 << 20).status, Status::Ok);
    let finding = single_put(LONGEST_PUT + 1);
    assert_eq!(finding.status, Status::Failed);
    assert!(finding.mend.unwrap().contains("max_image_bytes"));
}

#[test]
fn directories_by_url() {
    assert_eq!(directory("file:///a%20b/c"), Path::new("/a b/c"));
    assert_eq!(directory("pictor-out"), Path::new("pictor-out"));
}

#[tokio::test]
async fn a_directory_is_tried_and_left_as_it_was() {
    let dir = tempfile::tempdir().unwrap();
    let tree = |dir: &Path| {
        let mut names: Vec<_> = std::fs::read_dir(dir).unwrap().map(|e| e.unwrap().file_name()).collect();
        names.sort();
        names
    };
    // One that does not exist, then one that is a store already.
    let url = dir.path().join("new").display().to_string();
    for round in ["absent", "store"] {
        let before = tree(dir.path());
        let (_facts, scratch) = place(Path::new(&url));
        let facts = scratch.unwrap().try_out(&url).await.unwrap();
        let findings = judge(&facts, &url, Kind::Directory);
        assert!(findings.iter().all(|finding| finding.status == Status::Ok), "{round}: {findings:#?}");
        assert_eq!(tree(dir.path()), before, "{round}");
        drop(pictor_store::open(&url, &S3Settings::default()).await.unwrap());
        assert_eq!(tree(&dir.path().join("new")), [".pictor"], "{round}");
    }
    assert!(!dir.path().join("new/.pictor/meta/doctor").exists());
}
