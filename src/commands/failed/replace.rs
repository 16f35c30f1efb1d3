//! Has another model, or another spec, make what failed, for those who asked.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use pictor_common::{
    AssetKey, MicroUsd, Spec,
    batch::{BatchId, NewAsset},
    queue::{CHUNK, Known, Note, Queue, QueueError, Replaced, Replacement},
    stamp::Stamp,
    store::{Store, image_name},
};
use serde_json::json;

use super::{
    RetryArgs,
    act::is_wanted,
    askers::{self, Askers},
    differs::Differs,
    draft::{Draft, MOST},
    export::ids,
    makers::Makers,
    which::{Failed, Selection},
};
use crate::{
    commands::Context,
    config::who,
    exit::{Exit, refused},
    parts,
};

/// What was found then may be paid for, and known to the store alone now.
const FORGOT: &str =
    "Redis was wiped, replaced or restarted meanwhile; what is left was not changed: run it again";

/// What is to stand in for failures, and what that may cost.
#[derive(Default)]
struct Plan {
    replacements: Vec<Replacement>,
    expected: MicroUsd,
    ceiling: MicroUsd,
    /// New assets that are made already, or under way.
    known: u64,
    /// Failures that nobody asks for any more.
    unasked: u64,
    /// What cannot be made so, and why.
    wrong: BTreeMap<String, u64>,
    /// In what the new specs are others.
    differs: Differs,
    askers: Askers,
}

pub(super) async fn run(args: &RetryArgs, context: &Context, queue: &Queue) -> anyhow::Result<Exit> {
    // What is found in Redis from here on is good for as long as it is the same Redis.
    let queue = &queue.within(&queue.epoch().await?);
    let selection = args.which.select(true, &context.output, queue).await?;
    if selection.chosen.is_empty() {
        context.output.result(&json!({ "found": 0, "replaced": 0 }), || {
            format!("no failure fits; nothing was changed\n{}", selection.left_told())
        })?;
        return Ok(Exit::Done);
    }
    if !args.edit {
        let specs = selection
            .chosen
            .iter()
            .filter_map(|(place, state)| Some((place.key.clone(), by_model(state.spec.clone()?, args))));
        let specs: Vec<(AssetKey, Spec)> = specs.collect();
        return carry_out(&selection, specs, None, args, context, queue).await;
    }
    let mut chosen = selection.chosen.clone();
    // What is mended alike stands together.
    chosen.sort_by_cached_key(|(place, state)| {
        let failure = state.failure.clone().unwrap_or_default();
        (failure.class, failure.model, failure.message, place.at)
    });
    let chosen = &chosen;
    if chosen.len() > MOST {
        return Err(refused(format!(
            "{} failures are too many for an editor, {MOST} at most: pictor failed export mend.csv writes them to a \
             file that can be mended and submitted",
            chosen.len()
        )));
    }
    let ids = ids(chosen, queue).await?;
    let draft = match &args.draft {
        Some(path) => Draft::of(path, chosen, &ids)?,
        None => Draft::new(&context.settings.data_dir, chosen, &ids)?,
    };
    draft.edit().await?;
    let specs = draft.read(chosen)?;
    if specs.is_empty() {
        draft.done();
        context.output.result(&json!({ "found": chosen.len(), "replaced": 0 }), || {
            "nothing was changed in the editor, nor anywhere else".to_owned()
        })?;
        return Ok(Exit::Done);
    }
    let specs = specs.into_iter().map(|(key, spec)| (key, by_model(spec, args))).collect();
    carry_out(&selection, specs, Some(draft), args, context, queue).await
}

fn by_model(spec: Spec, args: &RetryArgs) -> Spec {
    match &args.by_model {
        Some(model) => Spec { model: model.clone(), ..spec },
        None => spec,
    }
}

async fn carry_out(
    selection: &Selection,
    specs: Vec<(AssetKey, Spec)>,
    draft: Option<Draft>,
    args: &RetryArgs,
    context: &Context,
    queue: &Queue,
) -> anyhow::Result<Exit> {
    let refuse = |why: String| match &draft {
        Some(draft) => draft.kept(&why),
        None => refused(format!("{why}; nothing was changed")),
    };
    let mut plan = Plan::default();
    let makers = Makers::new(&context.settings);
    for page in specs.chunks(CHUNK) {
        plan.add(page, &selection.chosen, args, &makers, queue).await?;
    }
    let wrong: Vec<String> =
        plan.wrong.iter().map(|(why, count)| format!("{count} cannot be made so: {why}")).collect();
    if draft.is_some() && !wrong.is_empty() || plan.replacements.is_empty() && !wrong.is_empty() {
        return Err(refuse(wrong.join("\n")));
    }
    askers::only_one(&plan.tenants(), args.which.filter.names_askers()).map_err(|error| match &draft {
        Some(draft) => draft.kept(&error.to_string()),
        None => error,
    })?;
    let words = plan.told();
    if let Some(most) = args.max_cost.filter(|most| plan.ceiling > *most) {
        return Err(refuse(format!("{words}: more than --max-cost {most}")));
    }
    for line in &wrong {
        context.output.note(line);
    }
    if args.dry_run {
        context.output.result(&plan.value(None), || {
            format!("{words}; nothing was changed\n{}", selection.left_told())
        })?;
        return Ok(Exit::Done);
    }
    let is_said = args.yes || args.max_cost.is_some() && !context.output.terminal;
    let mut left = selection.left_told();
    if !is_said && !left.is_empty() {
        // Whoever is asked may want these in the same go.
        context.output.note(std::mem::take(&mut left).trim_end());
    }
    if !is_said && !is_wanted(&context.output, &words, true).map_err(|error| refuse(error.to_string()))? {
        return Err(refuse("nothing was asked for".to_owned()));
    }
    find_made(&mut plan, context, queue).await?;
    let became = match queue.replace(&plan.replacements).await {
        Err(QueueError::Forgot) => {
            return Err(draft.map_or_else(|| refused(FORGOT), |draft| draft.kept(FORGOT)));
        }
        became => became?,
    };
    let replaced = became.iter().filter(|became| matches!(became, Replaced::In(_))).count();
    if became.contains(&Replaced::Older) {
        return Err(refuse(
            "a worker of an older version of Pictor is alive, which would not know of it: update it first"
                .to_owned(),
        ));
    }
    if replaced > 0 {
        let (who, of) = (who(), format!("failures {}", args.which.told()));
        let what = if args.edit { "edited" } else { "replaced" };
        queue.note(&Note { who: &who, what, of: &of, count: replaced as u64, why: &args.reason }).await?;
    }
    context.output.result(&plan.value(Some(&became)), || format!("{}{left}", done_told(&became, &plan)))?;
    match draft {
        // What was not done may be wanted yet.
        Some(draft) if replaced == plan.replacements.len() => draft.done(),
        Some(draft) => context.output.note(&draft.kept("not all of it was done").to_string()),
        None => {}
    }
    Ok(Exit::Done)
}

impl Plan {
    async fn add(
        &mut self,
        page: &[(AssetKey, Spec)],
        chosen: &[Failed],
        args: &RetryArgs,
        makers: &Makers<'_>,
        queue: &Queue,
    ) -> anyhow::Result<()> {
        let keys: Vec<AssetKey> = page.iter().map(|(key, _)| key.clone()).collect();
        let asking = self.askers.of(&keys, &args.which.filter, queue).await?;
        let by_key: HashMap<&AssetKey, &Failed> =
            chosen.iter().map(|failed| (&failed.0.key, failed)).collect();
        let mut planned = Vec::new();
        for ((key, spec), batches) in page.iter().zip(asking) {
            let Some((place, state)) = by_key.get(key) else { continue };
            let (current, expected) = match makers.asset_of(spec) {
                Ok(asset) => asset,
                Err(why) => {
                    *self.wrong.entry(why).or_default() += 1;
                    continue;
                }
            };
            if current.key == *key {
                *self.wrong.entry("it is what failed".to_owned()).or_default() += 1;
                continue;
            }
            if batches.is_empty() {
                self.unasked += 1;
                continue;
            }
            let parked = args.which.filter.takes_parked();
            let (original, how) = (place.clone(), self.differs.add(state.spec.as_ref(), spec));
            planned.push((Replacement { original, how, parked, batches, current, free: false }, expected));
        }
        let wanted: Vec<AssetKey> = planned.iter().map(|(one, _)| one.current.key.clone()).collect();
        for ((mut one, expected), state) in planned.into_iter().zip(queue.known(&wanted).await?) {
            if state.is_some_and(|known| is_paid_by_others(&known)) {
                one.free = true;
                self.known += 1;
            } else {
                self.expected = self.expected + expected;
                self.ceiling = self.ceiling + one.current.ceiling;
            }
            self.replacements.push(one);
        }
        Ok(())
    }

    /// The batches that change, by tenant.
    fn tenants(&self) -> BTreeMap<String, BTreeSet<&BatchId>> {
        self.askers.by_tenant(self.replacements.iter().flat_map(|one| &one.batches))
    }

    fn told(&self) -> String {
        let mut words = format!(
            "{} would be asked for anew, for about {} and at most {}",
            self.replacements.len(),
            self.expected,
            self.ceiling
        );
        if !self.replacements.is_empty() {
            words += &format!(", in {}: {}", askers::told(&self.tenants()), self.differs);
        }
        if self.known > 0 {
            words += &format!("; {} of these are there or under way", self.known);
        }
        if self.unasked > 0 {
            words += &format!("; {} are left out: no batch that was named asks for them", self.unasked);
        }
        words
    }

    fn value(&self, became: Option<&[Replaced]>) -> serde_json::Value {
        let done = became.unwrap_or_default();
        let lines: Vec<_> = self
            .replacements
            .iter()
            .enumerate()
            .map(|(n, one)| {
                json!({
                    "original_key": one.original.key, "current_key": one.current.key, "batches": one.batches,
                    "became": done.get(n),
                })
            })
            .collect();
        json!({
            "found": self.replacements.len(), "expected": self.expected, "ceiling": self.ceiling, "known": self.known,
            "replaced": done.iter().filter(|became| matches!(became, Replaced::In(_))).count(),
            "wrong": self.wrong, "assets": lines, "tenants": self.tenants(),
        })
    }
}

/// Whether a batch that takes the place of a failure by it pays nothing: what was never sent, and what nobody asks for,
/// is paid for by whoever asks next.
fn is_paid_by_others(known: &Known) -> bool {
    !known.unasked && !matches!(known.phase.as_str(), "failed" | "parked" | "substituted")
}

fn done_told(became: &[Replaced], plan: &Plan) -> String {
    let count = |wanted: fn(&Replaced) -> bool| became.iter().filter(|became| wanted(became)).count();
    let replaced = count(|became| matches!(became, Replaced::In(_)));
    let mut text = format!("{replaced} asked for anew, for at most {}", plan.ceiling);
    let batches: BTreeSet<&BatchId> = plan.tenants().into_values().flatten().collect();
    if let Some(batch) = batches.first().filter(|_| replaced > 0) {
        text += &format!("; the rows that asked get what is made: pictor watch {batch}");
    }
    text.push('\n');
    for (count, why) in [
        (count(|became| *became == Replaced::Changed), "had changed meanwhile, and were left alone"),
        (count(|became| *became == Replaced::Parked), "are parked; --parked takes them, too"),
        (
            count(|became| *became == Replaced::Ended),
            "were left alone: what was to replace them has failed itself; pictor failed retry KEY tries that again",
        ),
        (
            count(|became| *became == Replaced::Circle),
            "were left alone: they stand for what was to replace them, or were replaced too often",
        ),
        (
            count(|became| *became == Replaced::Crowd),
            "are asked for by so many that not all have heard yet: try again in a minute",
        ),
    ] {
        if count > 0 {
            text += &format!("{count} {why}\n");
        }
    }
    text
}

/// Looks for images that the store has and Redis does not know: they are paid for.
async fn find_made(plan: &mut Plan, context: &Context, queue: &Queue) -> anyhow::Result<()> {
    let url = parts::store_url(&context.settings, None);
    let store = parts::open_store(&context.settings, url).await?;
    for page in plan.replacements.chunks_mut(CHUNK) {
        let keys: Vec<AssetKey> = page.iter().map(|one| one.current.key.clone()).collect();
        for (one, state) in page.iter_mut().zip(queue.assets(&keys).await?) {
            // What is made may be forgotten by the time it is asked for.
            if state.is_none_or(|state| state.phase == "done" || state.removed.is_some()) {
                one.current.made = stored(&*store, &one.current).await?;
            }
        }
    }
    Ok(())
}

async fn stored(store: &dyn Store, asset: &NewAsset) -> anyhow::Result<Option<pictor_common::batch::Made>> {
    let object = store.head(&image_name(&asset.key, &asset.spec)).await?;
    Ok(object.as_ref().and_then(Stamp::of).map(|stamp| stamp.made))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_others_pay_for_is_free() {
        let known = |phase: &str, unasked| {
            is_paid_by_others(&Known { phase: phase.to_owned(), unasked, leaving: false })
        };
        assert!(known("done", false) && known("ready", false) && known("sent", false));
        assert!(!known("ready", true), "a cancelled batch left it");
        assert!(!known("failed", false) && !known("parked", false));
    }
}
