//! Goes through the lines of a batch and compares, image by image.

use std::sync::Arc;

use pictor_common::{
    AssetKey, MicroUsd,
    queue::{AssetState, REMOVED},
    stamp::Stamp,
    store::{StoredObject, image_name},
};
use tokio::{sync::Semaphore, task::JoinSet};

use super::{
    Subject,
    books::Books,
    deep::{ReadBack, read_back},
    finding::{Finding, What},
    report::Report,
};
use crate::commands::results::pages::{Item, Pages};

/// Looks at the store at once.
const LOOKS: usize = 64;
/// Images read at once.
const READS: usize = 6;

/// An image that is to be made again.
#[derive(Clone, Debug)]
pub(super) struct Bad {
    pub(super) key: AssetKey,
    pub(super) row: u64,
    pub(super) at_ms: u64,
    /// Where what is left of it lies.
    pub(super) damaged: Option<String>,
}

/// What can be set right.
#[derive(Debug, Default)]
pub(super) struct ToMend {
    pub(super) bad: Vec<Bad>,
    /// Names of images that are not done.
    pub(super) back: Vec<String>,
}

pub(super) struct Comparison<'a> {
    subject: &'a Subject<'a>,
    books: &'a mut Books,
    report: &'a mut Report,
    mend: ToMend,
}

/// What the store says of an image.
#[derive(Debug)]
enum Seen {
    /// Nobody looked: the listing has it.
    Listed,
    /// Nobody looked, and there is nothing to look for.
    Unasked,
    Gone,
    There {
        object: Box<StoredObject>,
        damaged: Option<String>,
    },
}

/// An image that is looked at.
struct Look {
    item: Item,
    /// Name in the store; none where nobody needs to look.
    name: Option<String>,
    seen: Seen,
}

impl<'a> Comparison<'a> {
    pub(super) fn new(subject: &'a Subject<'a>, books: &'a mut Books, report: &'a mut Report) -> Self {
        Self { subject, books, report, mend: ToMend::default() }
    }

    /// What can be set right.
    pub(super) fn found(self) -> ToMend {
        self.mend
    }

    /// Compares all images.
    pub(super) async fn all(&mut self) -> anyhow::Result<()> {
        let folder = tempfile::tempdir()?;
        let subject = self.subject;
        let mut pages = Pages::new(subject.queue, &subject.id, subject.batch.sealed);
        while let Some(items) = pages.items().await? {
            let looks: Vec<Look> = items.into_iter().filter_map(|item| self.look(item)).collect();
            let looks = self.ask(looks, folder.path()).await?;
            self.judge(looks).await?;
            if subject.context.signals.stop.is_cancelled() {
                anyhow::bail!("stopped");
            }
        }
        Ok(())
    }

    /// What is to be looked at of an image; none when it was before.
    fn look(&mut self, item: Item) -> Option<Look> {
        let listed = self.books.listed();
        let slot = self.books.slot(&item.key);
        if std::mem::replace(&mut slot.seen, true) {
            return None;
        }
        let in_list = slot.name(&item.key);
        let (name, seen) = match item.state.phase.as_str() {
            "done" => {
                let name = item.state.made.as_ref().map(|made| made.object.clone());
                let known = listed && !self.subject.deep && in_list.is_some() && in_list == name;
                if known { (None, Seen::Listed) } else { (name, Seen::Unasked) }
            }
            "claimed" | "sent" | "received" | "orphan" => (None, Seen::Unasked),
            REMOVED if !listed => {
                (item.state.removed.as_ref().map(|removed| removed.made.object.clone()), Seen::Unasked)
            }
            _ if listed => (in_list, Seen::Unasked),
            _ => (item.state.spec.as_ref().map(|spec| image_name(&item.key, spec)), Seen::Unasked),
        };
        Some(Look { item, name, seen })
    }

    /// Asks the store.
    async fn ask(&self, mut looks: Vec<Look>, folder: &std::path::Path) -> anyhow::Result<Vec<Look>> {
        let (heads, reads) = (Arc::new(Semaphore::new(LOOKS)), Arc::new(Semaphore::new(READS)));
        let mut tasks = JoinSet::new();
        for (n, look) in looks.iter().enumerate() {
            let Some(name) = look.name.clone() else { continue };
            let deep = self.subject.deep && look.item.state.phase == "done";
            let bytes = look.item.state.made.as_ref().map_or(0, |made| made.bytes);
            let (store, heads, reads) =
                (Arc::clone(&self.subject.store), Arc::clone(&heads), Arc::clone(&reads));
            let file = folder.join(n.to_string());
            tasks.spawn(async move {
                let head = heads.acquire().await?;
                let object = store.head(&name).await?;
                drop(head);
                let Some(object) = object else { return Ok((n, Seen::Gone)) };
                let mut damaged = odd_length(&object, bytes);
                if deep && damaged.is_none() {
                    let _read = reads.acquire().await?;
                    match read_back(&*store, &name, Stamp::of(&object).as_ref(), file).await? {
                        ReadBack::Gone => return Ok((n, Seen::Gone)),
                        ReadBack::Sound => {}
                        ReadBack::Damaged(why) => damaged = Some(why),
                    }
                }
                anyhow::Ok((n, Seen::There { object: Box::new(object), damaged }))
            });
        }
        let mut gone = false;
        while let Some(looked) = tasks.join_next().await {
            let (n, seen) = looked??;
            gone |= matches!(seen, Seen::Gone);
            looks[n].seen = seen;
        }
        if gone {
            // S3 says the same of an object that is gone and of a bucket that is.
            self.subject.store.list("", None, 1).await?;
        }
        Ok(looks)
    }

    async fn judge(&mut self, looks: Vec<Look>) -> anyhow::Result<()> {
        let mut doubtful = Vec::new();
        for look in looks {
            self.report.checked += 1;
            if !self.is_fine(&look)? {
                doubtful.push(look);
            }
        }
        if doubtful.is_empty() {
            return Ok(());
        }
        // Workers may have been at it between the looks at Redis, the ledger and the store.
        let keys: Vec<AssetKey> = doubtful.iter().map(|look| look.item.key.clone()).collect();
        let now = self.subject.queue.assets(&keys).await?;
        self.books.catch_up(self.subject.queue).await?;
        for (look, now) in doubtful.into_iter().zip(now) {
            let now = now.unwrap_or_default();
            if (&now.phase, &now.made) == (&look.item.state.phase, &look.item.state.made) {
                self.tell(look)?;
            } else {
                self.report.under_way += 1;
            }
        }
        Ok(())
    }

    /// Counts an image; whether there is nothing more to say of it than that.
    fn is_fine(&mut self, look: &Look) -> anyhow::Result<bool> {
        let Look { item, seen, .. } = look;
        let requests = &self.books.slot(&item.key).requests;
        let sums = requests.sums();
        if sums.perhaps_twice > MicroUsd::ZERO || sums.charged_again > 0 {
            self.report.find(finding(item, What::PaidTwice, sums.told()))?;
        }
        Ok(match item.state.phase.as_str() {
            "done" => {
                let there = matches!(seen, Seen::Listed | Seen::There { damaged: None, .. });
                let booked = costs(item, seen).all(|cost| requests.charged(cost));
                if there && (booked || is_elsewhere(&item.state, requests.is_settled())) {
                    self.report.there += 1;
                    self.report.elsewhere += u64::from(!booked);
                    return Ok(true);
                }
                false
            }
            "claimed" | "sent" | "received" | "orphan" => {
                self.report.under_way += 1;
                true
            }
            REMOVED => {
                let still_there = matches!(seen, Seen::There { .. });
                self.report.removed += u64::from(!still_there);
                !still_there
            }
            phase => {
                let back =
                    matches!(seen, Seen::There { object, damaged: None } if belongs(object, &item.key));
                if !back {
                    let count = match phase {
                        "parked" => &mut self.report.parked,
                        "failed" | "substituted" => &mut self.report.failed,
                        _ => &mut self.report.waiting,
                    };
                    *count += 1;
                }
                !back
            }
        })
    }

    /// Says what is wrong with an image that is so still.
    fn tell(&mut self, look: Look) -> anyhow::Result<()> {
        let Look { item, name, seen } = look;
        let place = |name: &str| self.subject.store.location(name);
        if item.state.phase == REMOVED {
            let detail = place(&name.unwrap_or_default());
            self.report.find(finding(&item, What::NotRemoved, detail))?;
            return Ok(());
        }
        if item.state.phase != "done" {
            let name = name.unwrap_or_default();
            let detail = format!("{} in Redis, and there is {}", phase_told(&item.state), place(&name));
            self.report.find(finding(&item, What::NotDone, detail))?;
            self.mend.back.push(name);
            return Ok(());
        }
        let at_ms = item.state.made.as_ref().map_or(0, |made| made.at_ms);
        let bad = |damaged| Bad { key: item.key.clone(), row: item.line.row, at_ms, damaged };
        let name = name.unwrap_or_default();
        match &seen {
            Seen::Gone | Seen::Unasked => {
                self.report.find(finding(&item, What::Missing, place(&name)))?;
                self.mend.bad.push(bad(None));
            }
            Seen::There { damaged: Some(why), .. } => {
                self.report.find(finding(&item, What::Damaged, format!("{}: {why}", place(&name))))?;
                self.mend.bad.push(bad(Some(name)));
            }
            Seen::Listed | Seen::There { .. } => self.report.there += 1,
        }
        if !self.books.is_charged(&item.key, None) {
            if !is_elsewhere(&item.state, false) {
                let cost = costs(&item, &seen).next().unwrap_or_default();
                self.report.find(finding(&item, What::Unbooked, format!("it cost {cost}")))?;
            }
        } else if let Some(cost) =
            costs(&item, &seen).find(|cost| !self.books.is_charged(&item.key, Some(*cost)))
        {
            let booked = self.books.slot(&item.key).requests.costs();
            let booked: Vec<String> = booked.map(|cost| cost.to_string()).collect();
            let detail = format!("it cost {cost}, and the ledger says {}", booked.join(" and "));
            self.report.find(finding(&item, What::CostDiffers, detail))?;
        }
        Ok(())
    }
}

/// What an image cost, by what Redis says and by what stands on it.
fn costs<'i>(item: &'i Item, seen: &'i Seen) -> impl Iterator<Item = MicroUsd> + 'i {
    let on_it = match seen {
        Seen::There { object, .. } => Stamp::of(object).map(|stamp| stamp.made.cost),
        Seen::Listed | Seen::Unasked | Seen::Gone => None,
    };
    item.state.made.iter().map(|made| made.cost).chain(on_it)
}

/// Made without a request in this namespace: it was in the store when it was first asked for.
const fn is_elsewhere(state: &AssetState, settled: bool) -> bool {
    !settled && state.attempts == 0
}

fn odd_length(object: &StoredObject, bytes: u64) -> Option<String> {
    match object.length {
        0 => Some("it is empty".to_owned()),
        length if bytes > 0 && length != bytes => Some(format!("{length} bytes instead of {bytes}")),
        _ => None,
    }
}

fn belongs(object: &StoredObject, key: &AssetKey) -> bool {
    Stamp::of(object).is_some_and(|stamp| stamp.attempt.key == *key)
}

fn phase_told(state: &AssetState) -> &str {
    if state.phase.is_empty() { "unknown" } else { &state.phase }
}

fn finding(item: &Item, what: What, detail: String) -> Finding {
    Finding { what, key: item.key.clone(), row: item.line.row, id: item.line.id.clone(), detail }
}
