//! What is known of an image that is to go, for people and as JSON.

use std::collections::BTreeSet;

use pictor_common::{AssetKey, MicroUsd, Spec, batch::Made, queue::Asked, store::sidecar_name};
use serde_json::{Value, json};

use super::{Subject, find};
use crate::table::{plain, shortened, table};

/// Characters of a prompt that are shown.
const PROMPT: usize = 60;
/// Lines that are shown.
const LINES: usize = 10;

/// A line that asks for the image.
struct Asking {
    asked: Asked,
    /// It has this image, and not another take or model's.
    stands: bool,
    /// It has it in the place of what it asked for, which is not made by being submitted again.
    instead: bool,
}

/// What is told.
pub(super) struct Facts {
    key: String,
    /// None when it was removed before, and something was left.
    made: Option<Made>,
    removed: bool,
    model: String,
    /// What it was made of.
    pub(super) spec: Option<Spec>,
    cost: MicroUsd,
    lines: Vec<Asking>,
    /// Where the image is.
    places: Vec<String>,
    sidecar: bool,
    set_aside: usize,
    derived: usize,
    /// All that goes.
    names: Vec<String>,
    versions: bool,
}

/// What is read of the JSON beside an image.
#[derive(serde::Deserialize)]
struct Beside {
    spec: Option<Spec>,
}

impl Facts {
    pub(super) async fn of(subject: &Subject<'_>) -> anyhow::Result<Self> {
        let Subject { key, state, store, stored, .. } = subject;
        let stamp = subject.stamp();
        let made = state.made.clone().or_else(|| stamp.as_ref().map(|stamp| stamp.made.clone()));
        let paid = made.as_ref().or(state.removed.as_ref().map(|removed| &removed.made));
        let mut spec = state.spec.clone();
        if spec.is_none() && stored.sidecar.is_some() {
            let beside = store.get(&sidecar_name(key)).await?;
            spec = beside.and_then(|bytes| serde_json::from_slice::<Beside>(&bytes).ok()?.spec);
        }
        let of_stamp = || stamp.as_ref().map(|stamp| stamp.attempt.model.clone());
        let model = Some(state.model.clone()).filter(|model| !model.is_empty()).or_else(of_stamp);
        let payer = stamp.as_ref().map(|stamp| stamp.attempt.payer.clone());
        let names: Vec<String> = stored.names().collect();
        Ok(Self {
            key: key.to_string(),
            removed: state.removed.is_some(),
            model: model.unwrap_or_default(),
            // Whatever lies there, only what has this key is what was asked.
            spec: spec.filter(|spec| AssetKey::of(spec) == *key),
            cost: paid.map_or(MicroUsd::ZERO, |made| made.cost),
            made,
            lines: lines(subject, payer).await?,
            places: stored.images.iter().map(|image| store.location(&image.name)).collect(),
            sidecar: stored.sidecar.is_some(),
            set_aside: stored.set_aside.len(),
            derived: stored.derived.len(),
            versions: store.location("").starts_with("s3://"),
            names,
        })
    }

    pub(super) fn value(&self, did: &str) -> Value {
        let line = |Asking { asked, stands, .. }: &Asking| {
            let line = asked.line.as_ref();
            json!({
                "batch": asked.batch, "state": asked.state, "row": line.map(|line| line.row),
                "id": line.map(|line| &line.id), "stands": stands,
            })
        };
        let lines: Vec<Value> = self.lines.iter().map(line).collect();
        json!({
            "key": self.key, "did": did, "model": self.model, "prompt": self.prompt(), "stays_paid": self.cost,
            "lines": lines, "objects": self.names, "derivatives": self.derived,
        })
    }

    /// All of it, for people.
    pub(super) fn text(&self) -> String {
        let mut facts = vec![("asset", self.key.clone()), ("model", plain(&self.model))];
        if let Some(made) = &self.made {
            facts.push((
                "image",
                format!(
                    "{}, {} bytes, {}x{}",
                    plain(&made.content_type),
                    made.bytes,
                    made.width,
                    made.height
                ),
            ));
        }
        facts.push(("prompt", self.prompt().map(|text| shortened(&plain(text), PROMPT)).unwrap_or_default()));
        facts.push(("paid", format!("{}, and stays paid", self.cost)));
        let place = |(n, place): (usize, &String)| (if n == 0 { "goes" } else { "" }, plain(place));
        facts.extend(self.places.iter().enumerate().map(place));
        facts.push((if self.places.is_empty() { "goes" } else { "" }, self.besides()));
        if self.versions {
            facts.push((
                "versions",
                "a bucket that keeps versions keeps the earlier ones: delete those there".to_owned(),
            ));
        }
        super::super::lines(&facts) + "\n" + &self.lines_told()
    }

    fn lines_told(&self) -> String {
        if self.lines.is_empty() {
            return "none of the newest batches has a line for it\n".to_owned();
        }
        let row = |Asking { asked, stands, .. }: &Asking| {
            let line = asked.line.as_ref();
            vec![
                asked.batch.clone(),
                line.map(|line| line.row.to_string()).unwrap_or_default(),
                line.map(|line| shortened(&plain(&line.id), 40)).unwrap_or_default(),
                asked.state.clone(),
                if *stands { "loses it" } else { "has another picture" }.to_owned(),
            ]
        };
        let rows: Vec<Vec<String>> = self.lines.iter().take(LINES).map(row).collect();
        let mut text = table(&["batch", "row", "id", "state", ""], &[1], &rows);
        let more = self.lines.len().saturating_sub(LINES);
        if more > 0 {
            text += &format!("and {more} more batches\n");
        }
        text
    }

    /// What goes beside the image.
    fn besides(&self) -> String {
        let some = |count: usize, one: &str, more: &str| match count {
            0 => None,
            1 => Some(format!("1 {one}")),
            count => Some(format!("{count} {more}")),
        };
        let beside = self.sidecar.then(|| "the JSON beside it".to_owned());
        let derived = some(self.derived, "derivative", "derivatives");
        let set_aside = some(self.set_aside, "answer that was set aside", "answers that were set aside");
        let parts: Vec<String> = beside.into_iter().chain(derived).chain(set_aside).collect();
        if parts.is_empty() && self.places.is_empty() {
            return "nothing of it is in the store; the queue forgets it".to_owned();
        }
        parts.join(", ")
    }

    /// What is asked before anything goes.
    pub(super) fn question(&self) -> String {
        let what = match (self.places.is_empty(), self.removed) {
            (true, true) => "What is left of the image goes",
            (true, false) => "What is known of the image goes",
            _ => "The image goes",
        };
        format!("{what} for good, with all of the above; {}", self.money())
    }

    fn prompt(&self) -> Option<&str> {
        self.spec.as_ref()?.prompt.as_deref()
    }

    fn money(&self) -> String {
        let mut words = format!("{} stays paid.", self.cost);
        let mut losing = self.lines.iter().filter(|line| line.stands).peekable();
        let instead = losing.peek().is_some() && losing.clone().any(|line| line.instead);
        if losing.peek().is_none() || losing.any(|line| !line.instead) {
            words += "\nSubmitting its row again WOULD PAY FOR IT AGAIN";
        }
        if instead {
            words += "\nA line that had it as another take stays without: asset redo gives it the next";
        }
        words
    }

    pub(super) fn done(&self, objects: u64) -> String {
        let objects = if objects == 1 { "1 object".to_owned() } else { format!("{objects} objects") };
        format!("removed: {objects} of asset {} gone from the store; {}", &self.key[..12], self.money())
    }
}

/// Who asks for it: the batch that paid, those that Redis names, and the newest ones.
async fn lines(subject: &Subject<'_>, payer: Option<String>) -> anyhow::Result<Vec<Asking>> {
    let Subject { key, queue, .. } = subject;
    let newest = queue.batches(find::BATCHES).await?.into_iter().map(|batch| batch.id);
    let asking = queue.asking(std::slice::from_ref(key)).await?.into_iter().flatten();
    let ids: BTreeSet<String> = payer.into_iter().chain(asking).chain(newest).collect();
    let mut lines = Vec::new();
    for asked in queue.asked(key, &Vec::from_iter(ids)).await? {
        let (Some(line), Ok(batch)) = (&asked.line, asked.batch.parse()) else { continue };
        let others = queue.stand_ins(&batch, &line.keys).await?;
        let instead = others.iter().flatten().any(|other| other == key);
        let itself = line.keys.iter().zip(&others).any(|(own, other)| other.is_none() && own == key);
        lines.push(Asking { asked, stands: instead || itself, instead: instead && !itself });
    }
    lines.sort_by_key(|line| std::cmp::Reverse(line.asked.created));
    Ok(lines)
}
