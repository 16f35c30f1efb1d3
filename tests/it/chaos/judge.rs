//! Judges a run by what was billed, what is in the store, and what the ledger says.

use std::{
    collections::{BTreeMap, BTreeSet},
    convert::Infallible,
};

use pictor_common::{
    ledger::{Archive, read_all},
    queue::LedgerEntry,
};
use pictor_store::S3Settings;

use crate::world::{Images, World};

/// What a run came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Judgement {
    pub(crate) assets: u64,
    pub(crate) billed: u64,
    /// Bills beyond one an asset.
    pub(crate) twice: u64,
    /// Requests that the ledger calls unknown, or called so for a time.
    pub(crate) unknown: u64,
}

/// Requests of the ledger of one kind, by the id under which the provider has them.
fn ids(ledger: &[LedgerEntry], kind: &str) -> BTreeSet<String> {
    let of_kind = ledger.iter().filter(|entry| entry.kind == kind);
    of_kind.map(|entry| format!("{}:{}", entry.token, entry.attempt)).collect()
}

/// Checks that every asset is billed and stored, and that every bill is in the ledger under its id; of an asset that is
/// billed more than once all bills but one must be unknown ones.
pub(crate) async fn judge(world: &World, assets: u64) -> Judgement {
    let ledger = ledger(world).await;
    let (settled, unknown) = (ids(&ledger, "settled"), ids(&ledger, "unknown"));
    let invoice = world.sim.invoice().await;
    let mut bills: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    let mut by_id = BTreeMap::new();
    for image in invoice["images"].as_array().unwrap() {
        let id = image["client_request_id"].as_str().unwrap();
        bills.entry(image["prompt_sha256"].as_str().unwrap()).or_default().push(id);
        by_id.insert(id, image["request_id"].as_str().unwrap());
    }
    assert_eq!(bills.len() as u64, assets, "lost: not every asset was made");
    assert_eq!(objects(world).await.len() as u64, assets, "lost: not every asset has an object");

    for entry in ledger.iter().filter(|entry| entry.kind == "settled") {
        let id = format!("{}:{}", entry.token, entry.attempt);
        let theirs = by_id.get(id.as_str()).unwrap_or_else(|| panic!("{id} is settled and was not billed"));
        assert!(entry.request_id.is_empty() || entry.request_id == *theirs, "{entry:?} is not {theirs}");
    }
    let mut twice = 0;
    for of_one in bills.values() {
        for id in of_one {
            assert!(
                settled.contains(*id) || unknown.contains(*id),
                "{id} was billed and is not in the ledger"
            );
        }
        let doubted = of_one.iter().filter(|id| unknown.contains(**id)).count();
        assert!(doubted + 1 >= of_one.len(), "paid twice, and the ledger does not say why: {of_one:?}");
        twice += of_one.len() as u64 - 1;
    }
    let billed = by_id.len() as u64;
    let covered = settled.union(&unknown).count() as u64;
    assert!(settled.len() as u64 <= billed && billed <= covered, "{} ≤ {billed} ≤ {covered}", settled.len());
    Judgement { assets, billed, twice, unknown: unknown.len() as u64 }
}

/// The store of a world, as its workers see it without any fault.
async fn store(world: &World) -> std::sync::Arc<dyn pictor_common::store::Store> {
    match &world.images {
        Images::Directory => {
            let path = world.path("images");
            pictor_store::open(path.to_str().unwrap(), &S3Settings::default()).await.unwrap()
        }
        Images::S3(seaweed) => {
            pictor_store::open(&seaweed.url(&world.prefix()), &seaweed.settings()).await.unwrap()
        }
    }
}

/// The whole ledger: what is archived, and what is in Redis.
async fn ledger(world: &World) -> Vec<LedgerEntry> {
    let archive = Archive::new(store(world).await, "it");
    let mut entries = Vec::new();
    let queue = world.queue().await;
    let kept = read_all(&queue, Some(&archive), None, |entry| {
        entries.push(entry);
        Ok::<(), Infallible>(())
    });
    kept.await.unwrap();
    entries
}

/// Names of all images in the store.
pub(crate) async fn objects(world: &World) -> BTreeSet<String> {
    let store = store(world).await;
    let (mut after, mut images) = (None::<String>, BTreeSet::new());
    loop {
        let page = store.list("assets/", after.as_deref(), 1_000).await.unwrap();
        let Some(last) = page.last() else { return images };
        after = Some(last.clone());
        images.extend(page.into_iter().filter(|name| name.ends_with(".png")));
    }
}
