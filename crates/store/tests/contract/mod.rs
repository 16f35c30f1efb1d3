//! What every store must do; run over a directory here and over a real S3 server in `tests/it`.

use std::{collections::BTreeMap, io::Write as _, sync::Arc};

use pictor_common::store::{Body, NewObject, Put, Store, StoreErrorKind, StoredObject};
use tokio::{sync::Barrier, task::JoinSet};

/// Checks an empty store against all promises of [`Store`].
pub(crate) async fn store_contract(store: Arc<dyn Store>) {
    first_writer_wins(&*store).await;
    what_is_written_comes_back(&*store).await;
    put_replaces(&*store).await;
    missing_is_not_an_error(&*store).await;
    names_may_be_odd(&*store).await;
    files_of_any_size(&*store).await;
    bad_objects_are_refused(&*store).await;
    lists_page_by_page(&*store).await;
    objects_are_saved_to_files(&*store).await;
    objects_are_copied(Arc::clone(&store)).await;
    one_winner_among_many(store).await;
}

fn object(name: &str, bytes: &[u8]) -> NewObject {
    NewObject {
        name: name.to_owned(),
        body: Body::Bytes(bytes.to_vec().into()),
        content_type: "image/png".to_owned(),
        metadata: BTreeMap::from([("bytes".to_owned(), bytes.len().to_string())]),
    }
}

fn stored(object: &NewObject, length: usize) -> StoredObject {
    StoredObject {
        name: object.name.clone(),
        length: length as u64,
        content_type: Some(object.content_type.clone()),
        metadata: object.metadata.clone(),
    }
}

async fn content(store: &dyn Store, name: &str) -> Vec<u8> {
    store.get(name).await.unwrap().unwrap_or_else(|| panic!("{name} is not there")).to_vec()
}

async fn first_writer_wins(store: &dyn Store) {
    let first = object("first/a.png", b"first");
    assert_eq!(store.put_if_absent(first.clone()).await.unwrap(), Put::Created);
    let mut second = object("first/a.png", b"the second");
    second.metadata.insert("token".to_owned(), "b".to_owned());
    assert_eq!(store.put_if_absent(second).await.unwrap(), Put::Exists(stored(&first, 5)));
    assert_eq!(content(store, "first/a.png").await, b"first");
    assert_eq!(store.head("first/a.png").await.unwrap(), Some(stored(&first, 5)));
}

async fn what_is_written_comes_back(store: &dyn Store) {
    let mut object = object("round/trip.webp", b"picture");
    object.content_type = "image/webp".to_owned();
    object.metadata = BTreeMap::from([
        ("sha256".to_owned(), "0123456789abcdef".repeat(4)),
        ("cost-micro-usd".to_owned(), "41000".to_owned()),
        ("request-id".to_owned(), "req \"1\"; a=b, %C3".to_owned()),
        ("long".to_owned(), "x".repeat(1500)),
    ]);
    assert_eq!(store.put_if_absent(object.clone()).await.unwrap(), Put::Created);
    assert_eq!(store.head("round/trip.webp").await.unwrap(), Some(stored(&object, 7)));
    assert_eq!(content(store, "round/trip.webp").await, b"picture");
    assert!(store.location("round/trip.webp").ends_with("round/trip.webp"));
}

async fn put_replaces(store: &dyn Store) {
    store.put(object("put/a.json", b"{}")).await.unwrap();
    let mut second = object("put/a.json", b"{\"a\": 1}");
    second.content_type = "application/json".to_owned();
    store.put(second.clone()).await.unwrap();
    assert_eq!(content(store, "put/a.json").await, b"{\"a\": 1}");
    assert_eq!(store.head("put/a.json").await.unwrap(), Some(stored(&second, 8)));
}

async fn missing_is_not_an_error(store: &dyn Store) {
    for name in ["missing", "missing/deep/er.png", "first", "first/a.png/below"] {
        assert_eq!(store.head(name).await.unwrap(), None, "{name}");
        assert_eq!(store.get(name).await.unwrap(), None, "{name}");
        store.delete(name).await.unwrap();
    }
    store.put(object("gone/a.png", b"x")).await.unwrap();
    for _ in 0..2 {
        store.delete("gone/a.png").await.unwrap();
        assert_eq!(store.head("gone/a.png").await.unwrap(), None);
    }
    assert_eq!(store.put_if_absent(object("gone/a.png", b"again")).await.unwrap(), Put::Created);
    assert_eq!(content(store, "first/a.png").await, b"first", "a neighbour was deleted");
}

async fn names_may_be_odd(store: &dyn Store) {
    let names = [
        "odd/with space.png",
        "odd/plus+percent%20.png",
        "odd/question?and#hash&amp.png",
        "odd/ünïcode-画像-🎨.png",
        "odd/'quotes\".png",
        "odd/$*,:;=@!~()[]{}|^`<>.png",
        "odd/.hidden",
        "odd/..double",
        "odd/a/very/deep/name/indeed.png",
    ];
    for name in names {
        let object = object(name, name.as_bytes());
        assert_eq!(store.put_if_absent(object.clone()).await.unwrap(), Put::Created, "{name}");
        assert_eq!(content(store, name).await, name.as_bytes(), "{name}");
        assert_eq!(store.head(name).await.unwrap(), Some(stored(&object, name.len())), "{name}");
        assert!(matches!(store.put_if_absent(object).await.unwrap(), Put::Exists(_)), "{name}");
    }
    let mut expected = names.to_vec();
    expected.sort_unstable();
    assert_eq!(sorted(&store.list("odd/", None, 100).await.unwrap()), expected);
}

async fn files_of_any_size(store: &dyn Store) {
    let empty = object("size/empty", b"");
    assert_eq!(store.put_if_absent(empty.clone()).await.unwrap(), Put::Created);
    assert_eq!(store.head("size/empty").await.unwrap(), Some(stored(&empty, 0)));
    assert_eq!(content(store, "size/empty").await, b"");

    // Incompressible enough to notice a shifted, framed or cut body.
    let mut state = 1_u32;
    let next = |_| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        state.to_be_bytes()[0]
    };
    let bytes: Vec<u8> = (0..5 * 1024 * 1024 + 1).map(next).collect();
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(&bytes).unwrap();
    let mut large = object("size/five.png", b"");
    large.body = Body::File(file.path().to_owned());
    assert_eq!(store.put_if_absent(large.clone()).await.unwrap(), Put::Created);
    assert_eq!(store.head("size/five.png").await.unwrap(), Some(stored(&large, bytes.len())));
    assert!(content(store, "size/five.png").await == bytes, "5 MiB from a file came back changed");
    assert_eq!(std::fs::metadata(file.path()).unwrap().len(), bytes.len() as u64, "the source was touched");

    let small = tempfile::NamedTempFile::new().unwrap();
    large.body = Body::File(small.path().to_owned());
    large.name = "size/empty-file".to_owned();
    store.put(large).await.unwrap();
    assert_eq!(content(store, "size/empty-file").await, b"");
}

async fn bad_objects_are_refused(store: &dyn Store) {
    for name in ["", "/etc/passwd", "../outside", "a/../../outside", "a//b", "a/", "a\0b"] {
        let error = store.put_if_absent(object(name, b"x")).await.unwrap_err();
        assert_eq!(error.kind, StoreErrorKind::Invalid, "{name:?}");
        assert_eq!(
            store.put(object(name, b"x")).await.unwrap_err().kind,
            StoreErrorKind::Invalid,
            "{name:?}"
        );
        assert_eq!(store.head(name).await.unwrap_err().kind, StoreErrorKind::Invalid, "{name:?}");
        assert_eq!(store.get(name).await.unwrap_err().kind, StoreErrorKind::Invalid, "{name:?}");
        assert_eq!(store.delete(name).await.unwrap_err().kind, StoreErrorKind::Invalid, "{name:?}");
    }
    let mut without_file = object("bad/no-file", b"");
    without_file.body = Body::File("/nonexistent/picture.png".into());
    assert_eq!(store.put_if_absent(without_file).await.unwrap_err().kind, StoreErrorKind::Invalid);
    assert_eq!(store.head("bad/no-file").await.unwrap(), None);
}

async fn objects_are_saved_to_files(store: &dyn Store) {
    let folder = tempfile::tempdir().unwrap();
    let bytes: Vec<u8> = (0..3 * 1024 * 1024_u32).map(|n| (n / 7).to_le_bytes()[0]).collect();
    store.put(object("save/ü large.png", &bytes)).await.unwrap();
    let file = folder.path().join("large");
    assert!(store.save("save/ü large.png", &file).await.unwrap());
    assert!(std::fs::read(&file).unwrap() == bytes, "3 MiB came back changed");
    store.save("save/ü large.png", &file).await.expect_err("a file was overwritten");
    assert!(!store.save("save/missing", &folder.path().join("missing")).await.unwrap());
    let error = store.save("../outside", &folder.path().join("outside")).await.unwrap_err();
    assert_eq!(error.kind, StoreErrorKind::Invalid);
}

/// Within one store; the odd names are those that a URL must not change.
async fn objects_are_copied(store: Arc<dyn Store>) {
    let from = "copy/from ü+%20?#&.png";
    store.put(object(from, b"the source")).await.unwrap();
    let copy = |name: &str| NewObject {
        body: store.body(from).unwrap(),
        content_type: "image/webp".to_owned(),
        ..object(name, b"the source")
    };
    let name = "copy/to ü+%20?#&.webp";
    assert_eq!(store.put_if_absent(copy(name)).await.unwrap(), Put::Created);
    assert_eq!(content(&*store, name).await, b"the source");
    assert_eq!(store.head(name).await.unwrap(), Some(stored(&copy(name), 10)), "its own type and metadata");

    store.put(object("copy/there", b"other")).await.unwrap();
    let there = stored(&object("copy/there", b"other"), 5);
    assert_eq!(store.put_if_absent(copy("copy/there")).await.unwrap(), Put::Exists(there));
    assert_eq!(content(&*store, "copy/there").await, b"other");
    store.put(copy("copy/there")).await.unwrap();
    assert_eq!(content(&*store, "copy/there").await, b"the source");
    assert_eq!(content(&*store, from).await, b"the source", "the source was touched");

    let missing = NewObject { body: store.body("copy/missing").unwrap(), ..object("copy/none", b"") };
    store.put_if_absent(missing.clone()).await.unwrap_err();
    store.put(missing).await.unwrap_err();
    assert_eq!(store.head("copy/none").await.unwrap(), None);
    assert_eq!(store.body("a/../../outside").unwrap_err().kind, StoreErrorKind::Invalid);
}

async fn lists_page_by_page(store: &dyn Store) {
    let expected = ["l/a-b", "l/a/x", "l/a/y/z", "l/a0", "l/b", "l/é"];
    for name in expected {
        store.put(object(name, b"x")).await.unwrap();
    }
    let list =
        async |prefix: &str, after: Option<&str>, limit| store.list(prefix, after, limit).await.unwrap();
    let all = list("l/", None, 100).await;
    assert_eq!(sorted(&all), expected);
    assert_eq!(sorted(&list("l/a", None, 100).await), expected[..4]);
    assert_eq!(list("l/a/", None, 100).await, expected[1..3]);
    assert_eq!(list("l/b", None, 100).await, expected[4..5]);
    assert!(list("l/none", None, 100).await.is_empty());
    assert!(list("l/", None, 0).await.is_empty());
    assert_eq!(list("l/", None, 3).await, all[..3]);
    for (index, name) in all.iter().enumerate() {
        assert_eq!(list("l/", Some(name), 100).await, all[index + 1..], "after {name} in {all:?}");
        assert_eq!(
            list("l/", Some(name), 1).await,
            all[index + 1..].iter().take(1).cloned().collect::<Vec<_>>()
        );
    }

    let whole = list("", None, 10_000).await;
    for size in [1, 3, 7, 1000] {
        let mut walked: Vec<String> = Vec::new();
        loop {
            let page = list("", walked.last().map(String::as_str), size).await;
            let is_last = page.len() < size;
            walked.extend(page);
            if is_last {
                break;
            }
        }
        assert_eq!(walked, whole, "in pages of {size}");
    }
    assert!(whole.len() > 20, "{whole:?}");
}

fn sorted(names: &[String]) -> Vec<&str> {
    let mut names: Vec<_> = names.iter().map(String::as_str).collect();
    names.sort_unstable();
    names
}

async fn one_winner_among_many(store: Arc<dyn Store>) {
    // The names at once: a server may make the losers of each wait for seconds.
    let mut races = JoinSet::new();
    for round in 0..20 {
        races.spawn(race(Arc::clone(&store), format!("race/{round}.png")));
    }
    races.join_all().await;
}

async fn race(store: Arc<dyn Store>, name: String) {
    const WRITERS: usize = 16;
    let start = Arc::new(Barrier::new(WRITERS));
    let mut writers = JoinSet::new();
    for writer in 0..WRITERS {
        let (store, start) = (Arc::clone(&store), Arc::clone(&start));
        let mut object = object(&name, format!("written by {writer}").as_bytes());
        object.metadata.insert("token".to_owned(), writer.to_string());
        writers.spawn(async move {
            start.wait().await;
            (writer, store.put_if_absent(object).await.unwrap())
        });
    }
    let ends = writers.join_all().await;
    let winners: Vec<_> = ends.iter().filter(|(_, put)| *put == Put::Created).collect();
    assert_eq!(winners.len(), 1, "{name}");
    let winner = winners[0].0;
    assert_eq!(content(&*store, &name).await, format!("written by {winner}").as_bytes());
    for (_, put) in &ends {
        if let Put::Exists(found) = put {
            assert_eq!(found.metadata["token"], winner.to_string(), "another's metadata on {name}");
        }
    }
}
