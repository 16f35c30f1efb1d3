//! Causes of failures, the most frequent first, and what to do about each.

use std::collections::BTreeMap;

use pictor_common::{
    AssetKey,
    queue::{FailureGroup, FailureGroups, Queue, UNSORTED},
};
use serde_json::json;

use super::{advice, by_cause::of_parked};
use crate::{
    commands::{Context, when},
    exit::Exit,
    table::{plain, shortened},
};

/// Columns that every terminal has.
const WIDTH: usize = 80;
/// Where what belongs to a cause begins.
const INDENT: usize = 8;

pub(super) async fn show(most: usize, context: &Context, queue: &Queue) -> anyhow::Result<Exit> {
    let found = queue.failure_groups(most.max(1)).await?;
    let samples = samples(&found, queue).await?;
    let groups: Vec<_> = found
        .groups
        .iter()
        .zip(&samples)
        .map(|(group, sample)| {
            let class = &group.failure.class;
            json!({
                "group": group.group, "count": group.count, "first": group.first, "last": group.last, "class": class,
                "cause": advice::cause(class, group.parked), "parked": group.parked, "sample": group.sample,
                "sample_batch": sample.batch, "sample_prompt": sample.prompt,
                "failure": group.failure, "to_do": advice::words(class, group.parked, &group.group),
            })
        })
        .collect();
    let value = json!({
        "failures": found.total, "unsorted": found.unsorted, "causes": found.causes, "groups": groups,
    });
    context.output.result(&value, || told(&found, &samples))?;
    Ok(Exit::Done)
}

/// One failure of a group, so that a person sees what it is about.
#[derive(Debug, Default)]
struct Sample {
    batch: Option<String>,
    prompt: Option<String>,
}

/// A sample of each group, in their order.
async fn samples(found: &FailureGroups, queue: &Queue) -> anyhow::Result<Vec<Sample>> {
    let keys: Vec<AssetKey> = found.groups.iter().filter_map(|group| group.sample.clone()).collect();
    let mut known = queue.assets(&keys).await?.into_iter().zip(queue.asking(&keys).await?);
    let sample = |group: &FailureGroup| {
        let (state, batches) = group.sample.as_ref().and_then(|_| known.next()).unwrap_or_default();
        let prompt = state.and_then(|state| state.spec).and_then(|spec| spec.prompt);
        Sample { batch: batches.into_iter().next(), prompt }
    };
    Ok(found.groups.iter().map(sample).collect())
}

fn told(found: &FailureGroups, samples: &[Sample]) -> String {
    if found.total == 0 {
        return "nothing failed".to_owned();
    }
    let mut text = format!(
        "{} failed, of {} cause{}\n",
        found.total,
        found.causes,
        if found.causes == 1 { "" } else { "s" }
    );
    for (group, sample) in found.groups.iter().zip(samples) {
        text += &one(group, sample);
    }
    if let Some(batch) = together(found, samples) {
        text += &format!("\nseveral causes in one go: pictor failed retry --batch {} --edit\n", plain(batch));
    }
    let shown = found.groups.len() as u64;
    if found.causes > shown {
        text +=
            &format!("\nand {} more causes: pictor failed --limit {}\n", found.causes - shown, found.causes);
    }
    if found.unsorted > 0 {
        text += &format!(
            "\n{} of an older version are not sorted yet: pictor failed list --group {UNSORTED}\n",
            found.unsorted
        );
    }
    let parked = found.groups.iter().filter(|group| group.parked).map(|group| group.count).sum();
    text += &of_parked(parked);
    text
}

/// The batch in which most causes are mended by hand, if these are several.
fn together<'a>(found: &FailureGroups, samples: &'a [Sample]) -> Option<&'a str> {
    let mut causes: BTreeMap<&str, usize> = BTreeMap::new();
    for (group, sample) in found.groups.iter().zip(samples) {
        let edited = advice::words(&group.failure.class, group.parked, "").contains("--edit");
        if let Some(batch) = sample.batch.as_deref().filter(|_| edited) {
            *causes.entry(batch).or_default() += 1;
        }
    }
    let (batch, most) = causes.into_iter().max_by_key(|(_, causes)| *causes)?;
    (most > 1).then_some(batch)
}

fn one(group: &FailureGroup, sample: &Sample) -> String {
    let failure = &group.failure;
    let mut class = failure.class.clone();
    if let Some(code) = &failure.code {
        class += &format!(" ({})", shortened(&plain(code), 30));
    }
    if group.parked {
        class += ", parked";
    }
    let times = match (when(group.first), when(group.last)) {
        (first, last) if first == last => format!("at {first}"),
        // The day once, where it is the same.
        (first, last) if first.get(..10) == last.get(..10) => {
            format!("{first} to {}", last.get(11..).unwrap_or_default())
        }
        (first, last) => format!("{first} to {last}"),
    };
    let key = group.sample.as_ref().map_or("", |key| key.short());
    let said = format!("\"{}\"", shortened(&plain(&failure.message), 200));
    let mut text = format!("\n{:>6}  {class}, {}\n", group.count, failure.model);
    text += &block(&format!("{times}; group {}", group.group), "");
    text += &block(&said, "");
    let batch = sample.batch.as_ref().map(|batch| format!(" of {}", plain(batch))).unwrap_or_default();
    let prompt = sample.prompt.as_ref().map(|prompt| format!(": \"{}\"", shortened(&plain(prompt), 120)));
    text += &block(&format!("such as {key}{batch}{}", prompt.unwrap_or_default()), "");
    text + &block(&advice::words(&failure.class, group.parked, &group.group), "-> ")
}

/// A text in lines that fit, set in.
fn block(text: &str, mark: &str) -> String {
    let (mut lines, mut line) = (String::new(), String::new());
    let room = WIDTH - INDENT - mark.chars().count();
    let mut first = true;
    let mut put = |line: &str| {
        let mark = if first { mark.to_owned() } else { " ".repeat(mark.chars().count()) };
        first = false;
        lines.push_str(&format!("{}{mark}{line}\n", " ".repeat(INDENT)));
    };
    for word in text.split_whitespace() {
        let long = console::measure_text_width(&line) + 1 + console::measure_text_width(word);
        if !line.is_empty() && long > room {
            put(&line);
            line.clear();
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
    }
    if !line.is_empty() {
        put(&line);
    }
    lines
}

#[cfg(test)]
mod tests {
    use pictor_common::{AssetKey, Spec, queue::Failure};

    use super::*;

    #[test]
    fn a_cause_fits_a_terminal_and_says_what_to_do_whatever_the_provider_said() {
        let failure = Failure {
            class: "moderation".to_owned(),
            code: Some("moderation_blocked".to_owned()),
            message: "no \u{1b}[2J way\nat all ".repeat(60),
            model: "gpt-image-1".to_owned(),
            ..Failure::default()
        };
        let group = FailureGroup {
            group: "0a1b2c3d4e5f".to_owned(),
            count: 1_234,
            first: 1_795_219_200_000_000,
            last: 1_795_219_900_000_000,
            parked: false,
            sample: Some(AssetKey::of(&Spec::default())),
            failure,
        };
        let sample =
            Sample { batch: Some("nightly".to_owned()), prompt: Some("a toy \u{1b}[2J rifle ".repeat(40)) };
        let found = FailureGroups { total: 1_240, unsorted: 6, causes: 3, groups: vec![group] };
        let text = told(&found, &[sample]);
        let widest = text.lines().map(|line| line.chars().count()).max().unwrap();
        assert!(widest <= WIDTH, "{widest}: {text}");
        assert!(!text.contains('\u{1b}'), "{text:?}");
        let words = text.split_whitespace().collect::<Vec<_>>().join(" ");
        for part in [
            "1240 failed, of 3 causes",
            "of nightly: \"a toy",
            "retry --group 0a1b2c3d4e5f --edit",
            "and 2 more",
            "6 of an older",
        ] {
            assert!(words.contains(part), "{part}: {text}");
        }
        assert_eq!(told(&FailureGroups::default(), &[]), "nothing failed");
    }

    #[test]
    fn causes_are_mended_in_one_go_where_a_batch_has_several() {
        let named = |causes: &[(&str, Option<&str>)]| {
            let group = |class: &str| FailureGroup {
                failure: Failure { class: class.to_owned(), ..Failure::default() },
                ..FailureGroup::default()
            };
            let groups: Vec<_> = causes.iter().map(|(class, _)| group(class)).collect();
            let found = FailureGroups { groups, ..FailureGroups::default() };
            let sample = |batch: Option<&str>| Sample { batch: batch.map(str::to_owned), prompt: None };
            let samples: Vec<_> = causes.iter().map(|(_, batch)| sample(*batch)).collect();
            together(&found, &samples).map(str::to_owned)
        };
        let (spec, words, server) = ("bad_spec", "moderation", "server_error");
        assert_eq!(named(&[(spec, Some("a")), (words, Some("b")), (words, Some("b"))]).as_deref(), Some("b"));
        assert_eq!(named(&[(spec, Some("a")), (words, Some("b")), (server, Some("a")), (words, None)]), None);
    }
}
