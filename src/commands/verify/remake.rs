//! Sets right what was found, as somebody asked: what is gone is queued again, what is there is taken as it is.

use std::{
    collections::{BTreeMap, HashSet},
    io::{self, IsTerminal as _},
    path::Path,
};

use pictor_common::{
    AssetKey, MicroUsd, Spec,
    batch::{NewAsset, Route},
    ledger::Kind,
    price::{self, Terms},
    queue::{CHUNK, Found, Lost, Remade, Settled},
    stamp::Stamp,
    store::{Body, NewObject, StoreError, StoreErrorKind, rejected_name, sidecar_name},
};
use serde::Deserialize;

use super::{
    Subject, VerifyArgs,
    compare::{Bad, ToMend},
    deep::{ReadBack, read_back},
    report::{Changed, Report},
};
use crate::exit::refused;

/// What can be done about an image that is gone.
enum Fate {
    Queue(Box<NewAsset>),
    /// What was asked is kept nowhere.
    Forget,
    /// Its model cannot be asked any more.
    Leave(String),
}

/// What is read of the JSON beside an image.
#[derive(Deserialize)]
struct Beside {
    spec: Option<Spec>,
}

pub(super) async fn run(
    args: &VerifyArgs,
    subject: &Subject<'_>,
    mend: ToMend,
    report: &mut Report,
) -> anyhow::Result<()> {
    let mut changed = Changed::default();
    take_back(subject, &mend.back, &mut changed).await?;
    report.changed = Some(changed);
    if mend.bad.is_empty() {
        return Ok(());
    }
    if report.there == 0 && mend.bad.len() > 1 && !args.even_all {
        return Err(refused(format!(
            "not one of the batch's {} images is in the store: is it the right one (store.url), and all of it there? \
             Nothing was queued; --even-all makes them again all the same",
            mend.bad.len()
        )));
    }
    if !is_wanted(args, subject, &mend.bad).await? {
        return Err(refused("nothing was queued"));
    }
    let folder = tempfile::tempdir()?;
    for chunk in mend.bad.chunks(CHUNK) {
        make_again(subject, chunk, folder.path(), &mut changed).await?;
        report.changed = Some(changed);
    }
    Ok(())
}

/// Says what it comes to, and asks.
async fn is_wanted(args: &VerifyArgs, subject: &Subject<'_>, bad: &[Bad]) -> anyhow::Result<bool> {
    let (mut images, mut ceiling, mut unknown) = (0_u64, MicroUsd::ZERO, 0_u64);
    let mut left = BTreeMap::<String, u64>::new();
    for chunk in bad.chunks(CHUNK) {
        for fate in fates(subject, chunk).await? {
            match fate {
                Fate::Queue(asset) => {
                    images += 1;
                    ceiling = ceiling + asset.ceiling;
                }
                Fate::Forget => unknown += 1,
                Fate::Leave(why) => *left.entry(why).or_default() += 1,
            }
        }
    }
    let output = &subject.context.output;
    for (why, count) in left {
        output.note(&format!("{count} cannot be made again: {why}"));
    }
    let mut words = format!("{images} images are paid again, for at most {ceiling}");
    if unknown > 0 {
        words += &format!(
            "; of {unknown} nobody knows what was asked: they are forgotten, and submitted again they are made"
        );
    }
    if args.yes {
        output.note(&words);
        return Ok(true);
    }
    if !output.terminal || !io::stdin().is_terminal() {
        return Err(refused(format!("{words}: say --yes if that is wanted; nothing was queued")));
    }
    output.note(&format!("{words}. Do it? [y/N]"));
    let mut line = String::new();
    io::stdin().read_line(&mut line)?;
    Ok(matches!(line.trim(), "y" | "Y" | "yes"))
}

/// What can be done about some images: their specs are in Redis or beside them in the store.
async fn fates(subject: &Subject<'_>, bad: &[Bad]) -> anyhow::Result<Vec<Fate>> {
    let keys: Vec<AssetKey> = bad.iter().map(|bad| bad.key.clone()).collect();
    let states = subject.queue.assets(&keys).await?;
    let mut fates = Vec::with_capacity(bad.len());
    for (bad, state) in bad.iter().zip(states) {
        let spec = match state.and_then(|state| state.spec) {
            Some(spec) => Some(spec),
            None => spec_beside(subject, &bad.key).await?,
        };
        // Whatever lies there, only what has this key is what was asked.
        let spec = spec.filter(|spec| AssetKey::of(spec) == bad.key);
        fates.push(spec.map_or(Fate::Forget, |spec| fate(subject, &bad.key, spec)));
    }
    Ok(fates)
}

async fn spec_beside(subject: &Subject<'_>, key: &AssetKey) -> Result<Option<Spec>, StoreError> {
    let beside = subject.store.get(&sidecar_name(key)).await?;
    let beside = beside.and_then(|bytes| serde_json::from_slice::<Beside>(&bytes).ok());
    Ok(beside.and_then(|beside| beside.spec))
}

fn fate(subject: &Subject<'_>, key: &AssetKey, spec: Spec) -> Fate {
    let Some(model) = subject.context.settings.catalogue.model(&spec.model) else {
        return Fate::Leave(format!("the catalogue does not know the model {}", spec.model));
    };
    let now = jiff::Timestamp::now().to_zoned(jiff::tz::TimeZone::UTC).date();
    match price::estimate(model, &spec, Terms::on(now)) {
        Ok(estimate) => Fate::Queue(Box::new(NewAsset {
            key: key.clone(),
            route: Route::new(&model.family, spec.operation),
            ceiling: estimate.ceiling,
            tokens: estimate.tokens,
            made: None,
            spec,
        })),
        Err(unpriced) => Fate::Leave(unpriced.to_string()),
    }
}

async fn make_again(
    subject: &Subject<'_>,
    chunk: &[Bad],
    folder: &Path,
    changed: &mut Changed,
) -> anyhow::Result<()> {
    let mut lost = Vec::with_capacity(chunk.len());
    for (bad, fate) in chunk.iter().zip(fates(subject, chunk).await?) {
        let asset = match fate {
            Fate::Queue(asset) => Some(*asset),
            Fate::Forget => None,
            Fate::Leave(_) => {
                changed.left += 1;
                continue;
            }
        };
        if let Some(name) = &bad.damaged
            && !set_aside(subject, &bad.key, bad.at_ms, name, folder).await?
        {
            changed.left += 1;
            continue;
        }
        let model = asset.as_ref().map(|asset| asset.spec.model.clone()).unwrap_or_default();
        lost.push(Lost { key: bad.key.clone(), row: bad.row, at_ms: bad.at_ms, model, asset });
    }
    let Some(became) = subject.queue.remake(&subject.id, &lost).await? else {
        anyhow::bail!("batch {} is gone, or was cancelled meanwhile", subject.id);
    };
    for (lost, became) in lost.iter().zip(became) {
        match became {
            Remade::Queued => {
                changed.queued += 1;
                changed.ceiling = changed.ceiling + lost.asset.as_ref().map_or(MicroUsd::ZERO, |a| a.ceiling);
            }
            Remade::Forgotten => changed.forgotten += 1,
            Remade::Changed | Remade::Crowd => changed.left += 1,
        }
    }
    Ok(())
}

/// Puts a damaged image where the new one does not find it; false when it is sound, or gone, by now.
async fn set_aside(
    subject: &Subject<'_>,
    key: &AssetKey,
    at_ms: u64,
    name: &str,
    folder: &Path,
) -> anyhow::Result<bool> {
    let store = &*subject.store;
    let Some(object) = store.head(name).await? else { return Ok(true) };
    let stamp = Stamp::of(&object);
    match read_back(store, name, stamp.as_ref(), folder.join("again")).await? {
        ReadBack::Damaged(_) => {}
        ReadBack::Gone => return Ok(true),
        // Sound, but not as long as Redis has it: who made it knows better.
        ReadBack::Sound => return Ok(false),
    }
    let kept = |body| NewObject {
        name: rejected_name(key, &format!("damaged-{at_ms}")),
        body,
        content_type: "application/octet-stream".to_owned(),
        metadata: BTreeMap::new(),
    };
    if object.length > 0 {
        let copied = match store.body(name) {
            Ok(body) => store.put(kept(body)).await,
            Err(error) => Err(error),
        };
        match copied {
            Err(error) if error.kind == StoreErrorKind::Unsupported => {
                if let Some(bytes) = store.get(name).await? {
                    store.put(kept(Body::Bytes(bytes))).await?;
                }
            }
            copied => copied?,
        }
    }
    store.delete(name).await?;
    Ok(true)
}

/// Makes what is in the store done, and enters in the ledger what is not there yet.
async fn take_back(subject: &Subject<'_>, names: &[String], changed: &mut Changed) -> anyhow::Result<()> {
    let mut stamps = Vec::new();
    for name in names {
        let object = subject.store.head(name).await?;
        stamps.extend(object.as_ref().and_then(Stamp::of));
    }
    if stamps.is_empty() {
        return Ok(());
    }
    let mut settled = HashSet::new();
    let wanted: HashSet<&str> = stamps.iter().map(|stamp| stamp.attempt.token.as_str()).collect();
    subject
        .ledger()
        .each(None, |entry| {
            if entry.meaning() == Some(Kind::Settled) && wanted.contains(entry.token.as_str()) {
                settled.insert(entry.token);
            }
            Ok(())
        })
        .await?;
    for stamp in &stamps {
        let charged = settled.contains(&stamp.attempt.token);
        let settles = !charged && subject.queue.settle(&stamp.attempt, &stamp.made).await? != Settled::Again;
        let taken = settles || matches!(subject.queue.found(stamp).await?, Found::Done | Found::Again);
        changed.settled += u64::from(taken);
        changed.left += u64::from(!taken);
    }
    Ok(())
}
