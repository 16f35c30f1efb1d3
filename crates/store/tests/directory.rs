//! The directory store: the contract, and what only files can show.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on stops")]

mod contract;

use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, SystemTime},
};

use pictor_common::store::{Body, NewObject, Put, Remote, Store as _, StoreErrorKind};
use pictor_store::{DirectoryStore, S3Settings};

async fn store() -> (tempfile::TempDir, DirectoryStore) {
    let folder = tempfile::tempdir().unwrap();
    let store = DirectoryStore::open(&folder.path().join("images")).await.unwrap();
    (folder, store)
}

fn object(name: &str, body: &[u8]) -> NewObject {
    NewObject {
        name: name.to_owned(),
        body: Body::Bytes(body.to_vec().into()),
        content_type: "image/png".to_owned(),
        metadata: BTreeMap::from([("token".to_owned(), "t".to_owned())]),
    }
}

fn files_below(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { files_below(&path) } else { vec![path] }).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_directory_keeps_the_contract() {
    let (_folder, store) = store().await;
    contract::store_contract(Arc::new(store)).await;
}

#[tokio::test]
async fn writers_in_two_processes_share_one_winner() {
    // Two stores share nothing but the files, as two processes do.
    let (folder, first) = store().await;
    let second = DirectoryStore::open(&folder.path().join("images")).await.unwrap();
    for round in 0..50 {
        let name = format!("race/{round}");
        let (a, b) =
            tokio::join!(first.put_if_absent(object(&name, b"a")), second.put_if_absent(object(&name, b"b")));
        let created = [a.unwrap(), b.unwrap()].iter().filter(|put| **put == Put::Created).count();
        assert_eq!(created, 1, "{name}");
    }
}

#[tokio::test]
async fn a_list_follows_links_like_every_look_does() {
    let (folder, store) = store().await;
    let (root, other_disk) = (folder.path().join("images"), folder.path().join("disk"));
    store.put_if_absent(object("assets/ab/1.png", b"1")).await.unwrap();
    fs::rename(root.join("assets"), &other_disk).unwrap();
    std::os::unix::fs::symlink(&other_disk, root.join("assets")).unwrap();
    std::os::unix::fs::symlink(&root, other_disk.join("round")).unwrap();
    std::os::unix::fs::symlink(folder.path().join("nowhere"), other_disk.join("gone")).unwrap();
    assert!(store.head("assets/ab/1.png").await.unwrap().is_some());
    assert_eq!(store.list("assets/", None, 10).await.unwrap(), ["assets/ab/1.png"]);
}

#[tokio::test]
async fn files_are_private_and_nothing_is_left_over() {
    let (folder, store) = store().await;
    store.put_if_absent(object("a/b/c.png", b"x")).await.unwrap();
    store.put_if_absent(object("a/b/c.png", b"y")).await.unwrap();
    store.put(object("a/b/c.png", b"z")).await.unwrap();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&store.path("a/b/c.png")), 0o600);
    assert_eq!(mode(store.path("a/b/c.png").parent().unwrap()), 0o700);
    assert_eq!(mode(&folder.path().join("images")), 0o700);
    assert_eq!(files_below(&folder.path().join("images/.pictor/tmp")), Vec::<PathBuf>::new());
    for file in files_below(&folder.path().join("images/.pictor")) {
        assert_eq!(mode(&file), 0o600, "{}", file.display());
    }
}

#[tokio::test]
async fn leftovers_of_killed_writers_are_harmless() {
    let (folder, store) = store().await;
    let root = folder.path().join("images");
    let (young, old) = (root.join(".pictor/tmp/young"), root.join(".pictor/tmp/old"));
    fs::write(&young, "half a pict").unwrap();
    fs::write(&old, "half a pict").unwrap();
    let days_ago = SystemTime::now() - Duration::from_hours(48);
    fs::File::options().write(true).open(&old).unwrap().set_modified(days_ago).unwrap();
    // Killed after the metadata, before the link.
    fs::create_dir_all(root.join(".pictor/meta/a")).unwrap();
    fs::write(root.join(".pictor/meta/a/b.png.meta.json"), r#"{"content_type":"old","metadata":{}}"#)
        .unwrap();

    assert_eq!(store.head("a/b.png").await.unwrap(), None);
    assert_eq!(store.list("", None, 10).await.unwrap(), Vec::<String>::new());
    assert_eq!(store.put_if_absent(object("a/b.png", b"x")).await.unwrap(), Put::Created);
    let found = store.head("a/b.png").await.unwrap().unwrap();
    assert_eq!(found.content_type.as_deref(), Some("image/png"));
    assert_eq!(found.metadata["token"], "t");

    DirectoryStore::open(&root).await.unwrap();
    assert!(young.exists(), "a file that may still be written was removed");
    assert!(!old.exists(), "an old leftover stayed");
}

#[tokio::test]
async fn files_of_other_programs_are_objects_without_metadata() {
    let (_folder, store) = store().await;
    fs::create_dir(store.path("a")).unwrap();
    fs::write(store.path("a/foreign.png"), "x").unwrap();
    std::os::unix::fs::symlink("/etc/hostname", store.path("a/link")).unwrap();
    let found = store.head("a/foreign.png").await.unwrap().unwrap();
    assert_eq!((found.length, found.content_type, found.metadata.len()), (1, None, 0));
    assert!(matches!(store.put_if_absent(object("a/foreign.png", b"y")).await.unwrap(), Put::Exists(_)));
    assert_eq!(store.list("", None, 10).await.unwrap(), ["a/foreign.png"]);
    assert_eq!(store.get("a/link").await.unwrap(), None, "a link led out of the store");
}

#[tokio::test]
async fn a_store_that_is_gone_is_not_an_empty_store() {
    let (folder, store) = store().await;
    store.put_if_absent(object("a.png", b"x")).await.unwrap();
    fs::rename(folder.path().join("images"), folder.path().join("away")).unwrap();
    fs::create_dir(folder.path().join("images")).unwrap();
    assert_eq!(store.head("a.png").await.unwrap_err().kind, StoreErrorKind::NotFound);
    assert_eq!(store.get("a.png").await.unwrap_err().kind, StoreErrorKind::NotFound);
    assert_eq!(store.list("", None, 1).await.unwrap_err().kind, StoreErrorKind::NotFound);
    assert_eq!(store.delete("a.png").await.unwrap_err().kind, StoreErrorKind::NotFound);
    assert_eq!(store.put_if_absent(object("a.png", b"x")).await.unwrap_err().kind, StoreErrorKind::NotFound);
}

#[tokio::test]
async fn an_object_cannot_replace_a_folder() {
    let (_folder, store) = store().await;
    store.put(object("a/b", b"x")).await.unwrap();
    for name in ["a", "a/b/c"] {
        assert_eq!(store.put_if_absent(object(name, b"y")).await.unwrap_err().kind, StoreErrorKind::Invalid);
        assert_eq!(store.put(object(name, b"y")).await.unwrap_err().kind, StoreErrorKind::Invalid);
    }
    assert_eq!(store.get("a/b").await.unwrap().unwrap(), "x");
}

#[tokio::test]
async fn names_come_in_the_order_of_bytes() {
    let (_folder, store) = store().await;
    // A walk by folders would put `a/x` before `a-b`.
    let expected = ["a-b", "a/x", "a/y/z", "a0", "b", "é"];
    for name in ["é", "a/y/z", "a0", "a-b", "b", "a/x"] {
        store.put(object(name, b"x")).await.unwrap();
    }
    assert_eq!(store.list("", None, 100).await.unwrap(), expected);
    for (after, left) in [("a/", 1), ("a/x/", 2), ("a/y", 2), ("a-", 0), ("zebra", 5), ("ü", 6)] {
        assert_eq!(store.list("", Some(after), 100).await.unwrap(), expected[left..], "after {after}");
    }
}

#[tokio::test]
async fn what_only_a_bucket_can_do_is_unsupported() {
    let (_folder, store) = store().await;
    store.put(object("a.png", b"x")).await.unwrap();
    let week = Duration::from_hours(7 * 24);
    let error = store.presign("a.png", SystemTime::now(), week).await.unwrap_err();
    assert_eq!(error.kind, StoreErrorKind::Unsupported, "{error}");
    let remote = Remote { endpoint: None, bucket: "b".to_owned(), key: "k".to_owned() };
    let copy = NewObject { body: Body::Remote(remote), ..object("b.png", b"") };
    assert_eq!(store.put_if_absent(copy.clone()).await.unwrap_err().kind, StoreErrorKind::Unsupported);
    assert_eq!(store.put(copy).await.unwrap_err().kind, StoreErrorKind::Unsupported);
    assert_eq!(store.head("b.png").await.unwrap(), None);
}

#[tokio::test]
async fn urls_open_stores() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("with space");
    let settings = S3Settings::default();
    for url in [path.display().to_string(), format!("file://{}/with%20space", folder.path().display())] {
        let store = pictor_store::open(&url, &settings).await.unwrap();
        assert_eq!(store.location("a/b"), path.join("a/b").display().to_string());
    }
    for bad in ["", "gs://bucket", "s3://", "s3://b/x", "s3://bucket/a/../b", "file:relative"] {
        let error = pictor_store::open(bad, &settings).await.unwrap_err();
        assert_eq!(error.kind, StoreErrorKind::Invalid, "{bad}: {error}");
    }
}
