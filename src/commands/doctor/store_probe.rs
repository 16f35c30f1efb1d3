//! Tries a store with objects of its own below `doctor/`, and takes them away again.

use std::{collections::BTreeMap, future::Future, sync::Arc};

use pictor_common::store::{Body, NewObject, Put, Store, StoreError, StoreErrorKind};
use tokio::{task::JoinSet, time::timeout};

use super::PATIENCE;

/// Writers at once of one name, and how often.
pub(super) const WRITERS: usize = 6;
const RACES: usize = 3;

/// What became of each try; none was not tried, since one before it failed.
#[derive(Debug, Default)]
pub(super) struct StoreFacts {
    pub(super) list: Option<Result<(), StoreError>>,
    pub(super) write: Option<Result<(), StoreError>>,
    /// A write without a condition, tried when the one with it fails.
    pub(super) plain: Option<Result<(), StoreError>>,
    /// Whether the same bytes came back.
    pub(super) read: Option<Result<bool, StoreError>>,
    /// What is missing of the metadata and the content type.
    pub(super) metadata: Option<Result<Vec<String>, StoreError>>,
    /// Whether a second write of the name was refused.
    pub(super) second: Option<Result<bool, StoreError>>,
    /// The most writers of one name that were told they wrote it.
    pub(super) winners: Option<Result<usize, StoreError>>,
    /// What could not be taken away, by where it lies.
    pub(super) left: Vec<(String, StoreError)>,
}

/// Tries a store.
pub(super) async fn probe(store: &Arc<dyn Store>) -> StoreFacts {
    let mut facts = StoreFacts::default();
    let list = soon(store.list("doctor/", None, 1)).await.map(drop);
    let away = matches!(&list, Err(error) if error.kind == StoreErrorKind::Unavailable);
    facts.list = Some(list);
    if away {
        return facts;
    }
    let id = ulid::Ulid::generate();
    let name = format!("doctor/{id}.bin");
    let mut names = vec![name.clone()];
    tries(store, &mut facts, &name).await;
    if matches!(facts.second, Some(Ok(true))) {
        facts.winners = Some(races(store, &id.to_string(), &mut names).await);
    }
    let may_stand = |tried: &Option<Result<(), StoreError>>| match tried {
        Some(Ok(())) => true,
        // What did not answer may have been written all the same.
        Some(Err(error)) => error.kind == StoreErrorKind::Unavailable,
        None => false,
    };
    if may_stand(&facts.write) || may_stand(&facts.plain) {
        facts.left = clean(store, names).await;
    }
    facts
}

async fn tries(store: &Arc<dyn Store>, facts: &mut StoreFacts, name: &str) {
    let object = object(name, "first");
    let written = soon(store.put_if_absent(object.clone())).await;
    let is_written = written.is_ok();
    facts.write = Some(written.map(drop));
    if !is_written {
        facts.plain = Some(soon(store.put(object)).await);
        return;
    }
    let Body::Bytes(expected) = &object.body else { return };
    facts.read = Some(soon(store.get(name)).await.map(|found| found.as_ref() == Some(expected)));
    facts.metadata = Some(soon(store.head(name)).await.map(|found| {
        let Some(found) = found else { return vec!["everything: a HEAD finds no object".to_owned()] };
        let lost = object.metadata.iter().filter(|(key, value)| found.metadata.get(*key) != Some(*value));
        let mut lost: Vec<String> = lost.map(|(key, _)| key.clone()).collect();
        if found.content_type.as_deref() != Some(&*object.content_type) {
            lost.push("the content type".to_owned());
        }
        lost
    }));
    let second = soon(store.put_if_absent(self::object(name, "second"))).await;
    facts.second = Some(match second {
        Ok(Put::Created) => Ok(false),
        // Refused in words only is not refused: the first must still be there.
        Ok(Put::Exists(_)) => soon(store.get(name)).await.map(|found| found.as_ref() == Some(expected)),
        Err(error) => Err(error),
    });
}

/// The most winners of any race; a store that keeps its word has one each time.
async fn races(store: &Arc<dyn Store>, id: &str, names: &mut Vec<String>) -> Result<usize, StoreError> {
    let mut most = 0;
    for race in 0..RACES {
        let name = format!("doctor/{id}-race-{race}.bin");
        names.push(name.clone());
        let mut writers = JoinSet::new();
        for writer in 0..WRITERS {
            let (store, object) = (Arc::clone(store), object(&name, &format!("writer {writer}")));
            writers.spawn(async move { soon(store.put_if_absent(object)).await });
        }
        let mut winners = 0;
        for ended in writers.join_all().await {
            winners += usize::from(ended? == Put::Created);
        }
        most = most.max(winners);
    }
    Ok(most)
}

async fn clean(store: &Arc<dyn Store>, names: Vec<String>) -> Vec<(String, StoreError)> {
    let mut left = Vec::new();
    for name in names {
        if let Err(error) = soon(store.delete(&name)).await {
            left.push((store.location(&name), error));
        }
    }
    left
}

fn object(name: &str, writer: &str) -> NewObject {
    let text = format!("pictor doctor tries this store and takes this away again; {writer}");
    NewObject {
        name: name.to_owned(),
        body: Body::Bytes(text.into_bytes().into()),
        content_type: "image/png".to_owned(),
        metadata: BTreeMap::from([
            ("digest".to_owned(), "0".repeat(64)),
            ("revised-prompt".to_owned(), "caf%C3%A9, 100%25".to_owned()),
            ("token".to_owned(), writer.to_owned()),
        ]),
    }
}

/// Waits no longer than a check may take.
async fn soon<T>(trying: impl Future<Output = Result<T, StoreError>>) -> Result<T, StoreError> {
    match timeout(PATIENCE, trying).await {
        Ok(ended) => ended,
        Err(elapsed) => Err(StoreError {
            kind: StoreErrorKind::Unavailable,
            message: format!("no answer within {} s", PATIENCE.as_secs()),
            source: Some(elapsed.into()),
        }),
    }
}
