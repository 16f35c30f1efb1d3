//! Which failures are meant: by key, or by what they have in common.

use clap::Args;
use pictor_common::{
    AssetKey,
    queue::{AssetState, FailurePlace, MODERATION, Queue, Trait},
};

use super::{PARKED, moment, progress::Progress};
use crate::{
    commands::known_batch,
    exit::refused,
    output::Output,
    table::{shortened, table},
};

/// Failures that one look brings.
const PAGE: usize = 500;
/// The same where only keys are looked at.
const KEYS: usize = 5_000;
/// Failures that fit the same digits, and are named.
const LISTED: usize = 10;

/// What failures have in common; those that have all of it.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct Filter {
    /// Only what this batch asks for
    #[arg(long, value_name = "BATCH")]
    pub(super) batch: Option<String>,
    /// Only what this tenant asks for
    #[arg(long, value_name = "TENANT")]
    pub(super) tenant: Option<String>,
    /// Only those of this class
    #[arg(long)]
    class: Option<String>,
    /// Only those of this model
    #[arg(long)]
    model: Option<String>,
    /// Only what was sent on this lane
    #[arg(long)]
    lane: Option<String>,
    /// Only those of one cause, as `pictor failed` names it
    #[arg(long)]
    group: Option<String>,
    /// Only what failed after this: 2h, 06:00, 2026-11-22 or 2026-11-22T06:00
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
    /// Only those with this in the provider's words or the prompt
    #[arg(long)]
    text: Option<String>,
    /// Only those that are parked: they may have been billed
    #[arg(long)]
    parked: bool,
}

/// Which failures are changed.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct Which {
    /// Asset keys, or their first digits
    keys: Vec<String>,
    #[command(flatten)]
    pub(super) filter: Filter,
    /// All of them, where no key and no filter says which
    #[arg(long = "everything")]
    everything: bool,
}

/// A failure with what is known of it.
pub(super) type Failed = (FailurePlace, AssetState);

/// What is meant, and what is left out since nobody named it.
#[derive(Debug, Default)]
pub(super) struct Selection {
    pub(super) chosen: Vec<Failed>,
    /// Parked, and --parked was not said.
    pub(super) parked: u64,
    /// Refused for its content.
    pub(super) content: u64,
    /// Failed, and an earlier request may have been paid for.
    pub(super) paid: u64,
}

impl Filter {
    /// What a list in Redis has; a batch must be known.
    pub(super) async fn traits(&self, queue: &Queue) -> anyhow::Result<Vec<Trait>> {
        let mut traits = Vec::new();
        if let Some(batch) = &self.batch {
            traits.push(Trait::Batch(known_batch(queue, batch).await?.id.parse()?));
        }
        let named = [
            self.group.clone().map(Trait::Group),
            self.class.clone().map(Trait::Class),
            self.model.clone().map(Trait::Model),
            self.lane.clone().map(Trait::Lane),
            self.tenant.clone().map(Trait::Tenant),
        ];
        traits.extend(named.into_iter().flatten());
        Ok(traits)
    }

    pub(super) fn since(&self) -> anyhow::Result<u64> {
        let since = self.since.as_deref().map(|since| moment::behind(since, moment::now()));
        Ok(since.transpose()?.unwrap_or(0))
    }

    /// Whether it says anything.
    fn is_given(&self) -> bool {
        self.parked
            || [
                &self.batch,
                &self.tenant,
                &self.class,
                &self.model,
                &self.lane,
                &self.group,
                &self.since,
                &self.text,
            ]
            .iter()
            .any(|said| said.is_some())
    }

    /// Whether it says whose lines are meant.
    pub(super) const fn names_askers(&self) -> bool {
        self.batch.is_some() || self.tenant.is_some()
    }

    /// Whether what may have been paid for is meant.
    pub(super) const fn takes_parked(&self) -> bool {
        self.parked
    }

    /// Whether failures are read to find out whether they fit.
    pub(super) fn is_searched(&self) -> bool {
        self.parked || self.text.is_some()
    }

    /// The part that no list has.
    pub(super) fn wants(&self, state: &AssetState) -> bool {
        (!self.parked || state.phase == PARKED)
            && self.text.as_ref().is_none_or(|text| has_text(state, &text.to_lowercase()))
    }

    /// Its words, for notes.
    fn told(&self) -> String {
        let said = [
            ("batch", &self.batch),
            ("tenant", &self.tenant),
            ("class", &self.class),
            ("model", &self.model),
            ("lane", &self.lane),
            ("group", &self.group),
            ("since", &self.since),
            ("text", &self.text),
        ];
        let mut words: Vec<String> =
            said.iter().filter_map(|(name, said)| Some(format!("--{name} {}", said.as_ref()?))).collect();
        if self.parked {
            words.push("--parked".to_owned());
        }
        words.join(" ")
    }

    /// Visits what fits, newest first, until it has enough.
    pub(super) async fn each(
        &self,
        queue: &Queue,
        output: &Output,
        mut visit: impl FnMut(Failed) -> anyhow::Result<bool>,
    ) -> anyhow::Result<()> {
        let (traits, since) = (self.traits(queue).await?, self.since()?);
        let mut progress = Progress::of(output, queue.failure_count().await?);
        let (mut after, mut found) = (None, 0);
        loop {
            let page = queue.failures_with(&traits, since, after.as_ref(), PAGE).await?;
            for failed in queue.failed_assets(&page.found).await? {
                if self.wants(&failed.1) {
                    found += 1;
                    if !visit(failed)? {
                        return Ok(());
                    }
                }
            }
            progress.seen(PAGE, found);
            match page.next {
                Some(next) => after = Some(next),
                None => return Ok(()),
            }
        }
    }
}

/// Whether the provider's words or the prompt have a text.
fn has_text(state: &AssetState, text: &str) -> bool {
    let failure = state.failure.as_ref();
    let prompt = state.spec.as_ref().and_then(|spec| spec.prompt.as_deref());
    let all = [failure.map(|f| f.message.as_str()), failure.and_then(|f| f.code.as_deref()), prompt];
    all.into_iter().flatten().any(|said| said.to_lowercase().contains(text))
}

impl Which {
    /// Those of one cause; of parked ones only where that is said.
    pub(super) fn of_group(group: &str, parked: bool) -> Self {
        let filter = Filter { group: Some(group.to_owned()), parked, ..Filter::default() };
        Self { filter, ..Self::default() }
    }

    pub(super) fn of_keys(&self) -> bool {
        !self.keys.is_empty()
    }

    /// What was said, for notes.
    pub(super) fn told(&self) -> String {
        let keys: Vec<&str> = self.keys.iter().take(5).map(String::as_str).collect();
        let mut words = keys.join(" ");
        if self.keys.len() > keys.len() {
            words += &format!(" and {} more", self.keys.len() - keys.len());
        }
        let filter = self.filter.told();
        let all = if self.everything { "--everything" } else { "" };
        [words.as_str(), &filter, all]
            .into_iter()
            .filter(|part| !part.is_empty())
            .collect::<Vec<_>>()
            .join(" ")
    }

    /// The failures that are meant. Refused where nothing says which.
    pub(super) async fn select(
        &self,
        with_specs: bool,
        output: &Output,
        queue: &Queue,
    ) -> anyhow::Result<Selection> {
        if !self.of_keys() && !self.filter.is_given() && !self.everything {
            return Err(refused(
                "say which: keys, --group, --class, --batch, --tenant, --model, --lane, --since, --text, --parked, \
                 or --everything",
            ));
        }
        let mut selection = Selection::default();
        if self.of_keys() {
            let places = named(&self.keys, queue).await?;
            let (traits, since) = (self.filter.traits(queue).await?, self.filter.since()?);
            let places = places.into_iter().filter(|place| place.at >= since).collect();
            let places = queue.failures_among(places, &traits).await?;
            for failed in queue.failed_assets(&places).await? {
                if self.filter.wants(&failed.1) {
                    self.choose(failed, &mut selection);
                }
            }
            return Ok(selection);
        }
        self.filter
            .each(queue, output, |failed| {
                let before = selection.chosen.len();
                self.choose(failed, &mut selection);
                // There may be a hundred thousand of them.
                for (_, state) in selection.chosen.iter_mut().skip(before).filter(|_| !with_specs) {
                    (state.spec, state.failure) = (None, None);
                }
                Ok(true)
            })
            .await?;
        Ok(selection)
    }

    /// Takes a failure in, unless it is one that must be named.
    fn choose(&self, failed: Failed, selection: &mut Selection) {
        let Filter { group, class, parked, .. } = &self.filter;
        let state = &failed.1;
        let of_content = state.refused || state.failure.as_ref().is_some_and(|f| f.class == MODERATION);
        let is_named = self.of_keys() || group.is_some();
        if state.phase == PARKED && !parked {
            selection.parked += 1;
        } else if of_content && !is_named && class.as_deref() != Some(MODERATION) {
            selection.content += 1;
        } else if state.perhaps_paid && state.phase != PARKED && !is_named {
            selection.paid += 1;
        } else {
            selection.chosen.push(failed);
        }
    }
}

impl Selection {
    /// What was chosen, with when each failed.
    pub(super) fn seen(&self) -> Vec<(AssetKey, u64)> {
        self.chosen.iter().map(|(place, _)| (place.key.clone(), place.at)).collect()
    }

    /// What was left out, for people.
    pub(super) fn left_told(&self) -> String {
        let mut text = String::new();
        for (count, why) in [
            (self.parked, "parked, and may be paid for: --parked takes them"),
            (self.content, "refused for their content: --class moderation takes them"),
            (self.paid, "with an earlier request that may be paid for: their keys or --group take them"),
        ] {
            if count > 0 {
                text += &format!("{count} left out that are {why}\n");
            }
        }
        text
    }
}

/// Failures by the first digits of their keys: each must fit one, and no more.
pub(super) async fn named(digits: &[String], queue: &Queue) -> anyhow::Result<Vec<FailurePlace>> {
    let digits: Vec<String> = digits.iter().map(|digits| digits.to_ascii_lowercase()).collect();
    let wrong = |text: &&String| text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_hexdigit());
    if let Some(wrong) = digits.iter().find(wrong) {
        return Err(refused(format!(
            "{wrong:?} is no key: pictor failed list shows the first digits of keys; options begin with --"
        )));
    }
    let mut found: Vec<Vec<FailurePlace>> = vec![Vec::new(); digits.len()];
    let whole: Vec<AssetKey> = digits.iter().filter_map(|text| text.parse().ok()).collect();
    for place in queue.failed_at(&whole).await? {
        for (found, digits) in found.iter_mut().zip(&digits) {
            if digits == place.key.as_str() && found.is_empty() {
                found.push(place.clone());
            }
        }
    }
    if whole.len() < digits.len() {
        let mut after = None;
        loop {
            let page = queue.failures_with(&[], 0, after.as_ref(), KEYS).await?;
            for place in &page.found {
                for (found, digits) in found.iter_mut().zip(&digits) {
                    let fits =
                        digits.len() < place.key.as_str().len() && place.key.as_str().starts_with(digits);
                    if fits && found.len() <= LISTED {
                        found.push(place.clone());
                    }
                }
            }
            match page.next {
                Some(next) => after = Some(next),
                None => break,
            }
        }
    }
    let mut places: Vec<FailurePlace> = Vec::with_capacity(found.len());
    for (found, digits) in found.into_iter().zip(&digits) {
        let place = only(found, digits, queue).await?;
        if !places.contains(&place) {
            places.push(place);
        }
    }
    Ok(places)
}

async fn only(mut found: Vec<FailurePlace>, digits: &str, queue: &Queue) -> anyhow::Result<FailurePlace> {
    if found.len() > 1 {
        let more = found.len() > LISTED;
        found.truncate(LISTED);
        let rows: Vec<Vec<String>> = queue
            .failed_assets(&found)
            .await?
            .into_iter()
            .map(|(place, state)| {
                let failure = state.failure.unwrap_or_default();
                vec![place.key.to_string(), failure.class, shortened(&failure.message, 40)]
            })
            .collect();
        let listed = table(&["key", "class", "words"], &[], &rows);
        let and = if more { "\nand more" } else { "" };
        return Err(refused(format!(
            "several failures begin with {digits}; give more digits\n{}{and}",
            listed.trim_end()
        )));
    }
    found
        .pop()
        .ok_or_else(|| refused(format!("no failure begins with {digits}; pictor failed list names them")))
}
