//! Which take comes next, and what it costs.

use std::collections::BTreeSet;

use pictor_common::{
    AssetKey, MicroUsd, Spec,
    batch::{NewAsset, Route},
    price::{self, Terms},
    queue::Queue,
    stamp::Stamp,
    store::{Store, image_name, sidecar_name},
};

use super::{chosen::Chosen, too_many};
use crate::{accounts, commands::Context, exit::refused, parts};

/// Takes that are looked at to find one that was not tried.
const LOOKED_AT: u32 = 200;

/// What is to stand.
#[derive(Debug)]
pub(super) struct Next {
    pub(super) asset: NewAsset,
    /// Whether it is made already, so that nothing is paid.
    pub(super) made: bool,
    pub(super) expected: MicroUsd,
    pub(super) ceiling: MicroUsd,
}

impl Next {
    /// What happens, for people.
    pub(super) fn words(&self, chosen: &Chosen) -> String {
        let (take, of) = (self.asset.spec.take, chosen.told());
        if self.made {
            format!("{of} gets take {take}, which is there already and costs nothing")
        } else {
            format!("{of} gets take {take} for about {}, {} at most", self.expected, self.ceiling)
        }
    }
}

impl Next {
    /// Looks whether the store has by now what was to be made.
    pub(super) async fn look_again(&mut self, context: &Context) -> anyhow::Result<()> {
        if self.made {
            return Ok(());
        }
        let store = parts::open_store(&context.settings, parts::store_url(&context.settings, None)).await?;
        let object = store.head(&image_name(&self.asset.key, &self.asset.spec)).await?;
        self.asset.made = object.as_ref().and_then(Stamp::of).map(|stamp| stamp.made);
        self.made = self.asset.made.is_some();
        Ok(())
    }
}

/// What is read of the JSON beside an image.
#[derive(serde::Deserialize)]
struct Beside {
    spec: Option<Spec>,
}

/// The take before, or the next one: one that was made and left before one that is new.
pub(super) async fn next(
    chosen: &Chosen,
    back: bool,
    context: &Context,
    queue: &Queue,
) -> anyhow::Result<Next> {
    let store = parts::open_store(&context.settings, parts::store_url(&context.settings, None)).await?;
    let looking = Looking { chosen, context, queue, store: &*store };
    let at = chosen.takes.iter().position(|take| *take == chosen.current);
    if back {
        for before in chosen.takes[..at.unwrap_or(0)].iter().rev() {
            if looking.phase(before).await?.as_deref() == Some("done") {
                return looking.there(before.clone()).await;
            }
        }
        return Err(refused(format!(
            "{} had no take before that is made: there is none to go back to",
            chosen.told()
        )));
    }
    looking.current_is_made().await?;
    for after in chosen.takes.iter().skip(at.map_or(usize::MAX, |at| at + 1)) {
        if looking.phase(after).await?.as_deref() == Some("done") {
            return looking.there(after.clone()).await;
        }
    }
    let most = context.settings.assets.max_takes;
    if chosen.had >= most as usize {
        return Err(too_many(chosen, most));
    }
    looking.new_one().await
}

struct Looking<'a> {
    chosen: &'a Chosen,
    context: &'a Context,
    queue: &'a Queue,
    store: &'a dyn Store,
}

impl Looking<'_> {
    async fn phase(&self, key: &AssetKey) -> anyhow::Result<Option<String>> {
        let known = self.queue.known(std::slice::from_ref(key)).await?.pop().flatten();
        Ok(known.map(|known| known.phase))
    }

    /// Refuses what has no image yet, unless that was removed since it was made.
    async fn current_is_made(&self) -> anyhow::Result<()> {
        let told = self.chosen.told();
        Err(match self.phase(&self.chosen.current).await?.as_deref() {
            Some("done") => return Ok(()),
            None if self.is_removed().await? => return Ok(()),
            Some("failed" | "substituted") => refused(format!(
                "{told} failed: pictor failed retry {} tries again, and --back goes back to the take before",
                self.chosen.current.short()
            )),
            Some("parked") => refused(format!(
                "{told} is parked, and perhaps paid: pictor failed show {}",
                self.chosen.current.short()
            )),
            _ => refused(format!("{told} is not made yet: there is nothing to redo")),
        })
    }

    async fn is_removed(&self) -> anyhow::Result<bool> {
        let known = self.queue.assets(std::slice::from_ref(&self.chosen.current)).await?.pop().flatten();
        Ok(known.is_some_and(|state| state.removed.is_some()))
    }

    /// One that was made before.
    async fn there(&self, key: AssetKey) -> anyhow::Result<Next> {
        let spec = self.spec(&key).await?;
        let route = self.route(&spec)?;
        let asset = NewAsset { key, spec, route, ceiling: MicroUsd::ZERO, tokens: 0, made: None };
        Ok(Next { asset, made: true, expected: MicroUsd::ZERO, ceiling: MicroUsd::ZERO })
    }

    fn route(&self, spec: &Spec) -> anyhow::Result<Route> {
        let model = self.context.settings.catalogue.model(&spec.model);
        let model =
            model.ok_or_else(|| refused(format!("the catalogue does not know the model {}", spec.model)))?;
        Ok(Route::new(&model.family, spec.operation))
    }

    /// The first take that this line has not had, and that has not failed for others.
    async fn new_one(&self) -> anyhow::Result<Next> {
        let first = self.spec(&self.chosen.current).await?;
        let mut had: BTreeSet<AssetKey> =
            self.chosen.takes.iter().chain(&self.chosen.line.keys).cloned().collect();
        for asked in &self.chosen.line.keys {
            had.extend(self.queue.takes(&self.chosen.batch, asked).await?);
        }
        for take in 1..LOOKED_AT {
            let spec = Spec { take, ..first.clone() };
            let key = AssetKey::of(&spec);
            if had.contains(&key) {
                continue;
            }
            // Another line had it, and has something else now.
            let others = self.queue.stand_ins(&self.chosen.batch, std::slice::from_ref(&key)).await?;
            if others.iter().any(Option::is_some) {
                continue;
            }
            let phase = self.phase(&key).await?;
            if matches!(phase.as_deref(), Some("failed" | "parked" | "substituted")) {
                continue;
            }
            let mut next = self.priced(key, spec)?;
            next.made = phase.as_deref() == Some("done");
            // What Redis knows may be forgotten by the time it is asked for.
            if phase.is_none() || next.made {
                let object = self.store.head(&image_name(&next.asset.key, &next.asset.spec)).await?;
                next.asset.made = object.as_ref().and_then(Stamp::of).map(|stamp| stamp.made);
                next.made |= next.asset.made.is_some();
            }
            if next.made {
                (next.expected, next.ceiling) = (MicroUsd::ZERO, MicroUsd::ZERO);
            }
            return Ok(next);
        }
        Err(refused(format!("none of the first {LOOKED_AT} takes of {} can be made", self.chosen.told())))
    }

    fn priced(&self, key: AssetKey, spec: Spec) -> anyhow::Result<Next> {
        let settings = &self.context.settings;
        let route = self.route(&spec)?;
        let Some(model) = settings.catalogue.model(&spec.model) else {
            return Err(refused(format!("the catalogue does not know the model {}", spec.model)));
        };
        let today = parts::today();
        let hosts = accounts::hosts(settings, &today);
        if let Some(gone) = hosts.of(&model.family).and_then(|host| model.retired(host, &today)) {
            return Err(refused(gone));
        }
        let terms: Terms = today.parse()?;
        let estimate =
            price::estimate(model, &spec, terms).map_err(|unpriced| refused(unpriced.to_string()))?;
        let (expected, ceiling) = (estimate.expected, estimate.ceiling);
        let asset = NewAsset { key, spec, route, ceiling, tokens: estimate.tokens, made: None };
        Ok(Next { asset, made: false, expected, ceiling })
    }

    /// What an image was made of: Redis forgets that once it is made, the JSON beside the image has it.
    async fn spec(&self, key: &AssetKey) -> anyhow::Result<Spec> {
        let known = self.queue.assets(std::slice::from_ref(key)).await?.pop().flatten();
        let spec = match known.and_then(|state| state.spec) {
            Some(spec) => Some(spec),
            None => {
                let beside = self.store.get(&sidecar_name(key)).await?;
                beside.and_then(|bytes| serde_json::from_slice::<Beside>(&bytes).ok()?.spec)
            }
        };
        // Whatever lies there, only what has this key is what was asked.
        spec.filter(|spec| AssetKey::of(spec) == *key).ok_or_else(|| {
            let name = sidecar_name(key);
            refused(format!(
                "what {} was made of is kept nowhere: {name} is not in the store, or not its own",
                key.short()
            ))
        })
    }
}
