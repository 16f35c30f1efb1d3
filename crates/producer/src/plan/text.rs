//! Writes a plan for people.

use std::fmt::Write as _;

use super::{Kind, Plan};

/// Kinds written out, the most costly first.
const SHOWN: usize = 12;
/// So many times what is expected wants to be explained.
const FAR: u64 = 2;

pub(super) fn of(plan: &Plan) -> String {
    let mut out = String::new();
    if !plan.matrix.is_empty() {
        let sum = plan.matrix.told(plan.rows, plan.lines);
        let _infallible = writeln!(out, "{sum}, {}", cost(plan.expected, plan.ceiling));
    }
    let mut line = |name: &str, count: u64, note: &str| {
        let _infallible = writeln!(out, "{name:<16}{count:>9}  {note}");
        let trimmed = out.trim_end().len();
        out.truncate(trimmed);
        out.push('\n');
    };
    line("rows", plan.rows, "");
    if plan.skipped > 0 {
        line("bad rows", plan.skipped, "left out");
    }
    if plan.lines != plan.rows {
        line("lines", plan.lines, "");
    }
    line("images asked", plan.takes, &repeats(plan.duplicates));
    line("new", plan.new, "");
    line("already made", plan.already_made, "");
    line("already queued", plan.already_queued, "");
    if plan.failed_before > 0 {
        let note = if plan.retry_failed { "tried again" } else { "left alone; --retry-failed tries again" };
        line("failed before", plan.failed_before, note);
    }
    line("to make", plan.to_make, &cost(plan.expected, plan.ceiling));
    if let Some(model) = &plan.fallback {
        let _infallible = writeln!(
            out,
            "{:<17}{model} makes what its own model cannot; the dearer counts as the most",
            "fallback"
        );
    }
    if plan.kinds.len() > 1 || plan.kinds.iter().any(|kind| kind.quality.is_some() || kind.size.is_some()) {
        kinds(&mut out, &plan.kinds);
    }
    if let Some(why) = plan.far_apart() {
        let _infallible = writeln!(out, "{:>25}  {why}", "");
    }
    out
}

/// Why the most is several times what is expected: what is left to the models.
pub(super) fn far_apart(plan: &Plan) -> Option<String> {
    if plan.ceiling.0 < plan.expected.0.saturating_mul(FAR) {
        return None;
    }
    let open = |asked: &Option<String>| asked.as_ref().is_none_or(|asked| asked == "auto");
    let wide = || plan.kinds.iter().filter(|kind| kind.ceiling.0 >= kind.expected.0.saturating_mul(FAR));
    let what = if wide().any(|kind| open(&kind.quality)) {
        "quality"
    } else if wide().any(|kind| open(&kind.size)) {
        "size"
    } else {
        return None;
    };
    Some(format!(
        "at most is far more: where {what} is auto or empty the model chooses it; --{what} says which"
    ))
}

fn repeats(duplicates: u64) -> String {
    match duplicates {
        0 => String::new(),
        1 => "1 repeats another and is paid for once".to_owned(),
        many => format!("{many} repeat others and are paid for once"),
    }
}

fn cost(expected: pictor_common::MicroUsd, ceiling: pictor_common::MicroUsd) -> String {
    if expected == ceiling {
        format!("{expected}")
    } else {
        format!("{expected} expected, {ceiling} at most")
    }
}

fn kinds(out: &mut String, kinds: &[Kind]) {
    let mut sorted: Vec<_> = kinds.iter().collect();
    sorted.sort_by(|a, b| b.ceiling.cmp(&a.ceiling).then(b.images.cmp(&a.images)));
    let name = |kind: &Kind| {
        let parts = [Some(kind.model.as_str()), kind.quality.as_deref(), kind.size.as_deref()];
        parts.into_iter().flatten().collect::<Vec<_>>().join(" ")
    };
    for kind in sorted.iter().take(SHOWN) {
        let _infallible =
            writeln!(out, "{:>25}  {}, {}", kind.images, name(kind), cost(kind.expected, kind.ceiling));
    }
    if let Some(more) = sorted.len().checked_sub(SHOWN + 1) {
        let images: u64 = sorted.iter().skip(SHOWN).map(|kind| kind.images).sum();
        let _infallible = writeln!(out, "{images:>25}  of {} more kinds", more + 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vary::Matrix;
    use pictor_common::MicroUsd;

    #[test]
    fn a_wide_span_is_explained_by_what_the_model_chooses() {
        let plan = |quality: Option<&str>, size: Option<&str>, ceiling| Plan {
            expected: MicroUsd(50_000),
            ceiling: MicroUsd(ceiling),
            kinds: vec![Kind {
                quality: quality.map(str::to_owned),
                size: size.map(str::to_owned),
                expected: MicroUsd(50_000),
                ceiling: MicroUsd(ceiling),
                ..Kind::default()
            }],
            ..Plan::default()
        };
        let why = |what: &str| {
            Some(format!(
                "at most is far more: where {what} is auto or empty the model chooses it; --{what} says which"
            ))
        };
        assert_eq!(plan(None, Some("1024x1024"), 210_000).far_apart(), why("quality"));
        assert_eq!(plan(Some("auto"), None, 210_000).far_apart(), why("quality"));
        assert_eq!(plan(Some("low"), Some("auto"), 210_000).far_apart(), why("size"));
        assert_eq!(plan(Some("low"), Some("1024x1024"), 210_000).far_apart(), None);
        assert_eq!(plan(None, None, 60_000).far_apart(), None);
        let told = plan(None, None, 210_000).text();
        assert!(told.ends_with(&format!("  {}\n", why("quality").unwrap())), "{told}");
    }

    #[test]
    fn reads_like_a_bill() {
        let kind = |model: &str, quality: &str, images, cost| Kind {
            model: model.to_owned(),
            quality: Some(quality.to_owned()),
            size: Some("1024x1024".to_owned()),
            images,
            expected: MicroUsd(cost),
            ceiling: MicroUsd(cost),
        };
        let plan = Plan {
            rows: 200,
            lines: 200,
            takes: 212,
            assets: 190,
            duplicates: 22,
            new: 150,
            already_made: 38,
            failed_before: 2,
            to_make: 150,
            expected: MicroUsd(6_400_000),
            ceiling: MicroUsd(6_500_000),
            kinds: vec![kind("dall-e-3", "standard", 140, 5_600_000), kind("dall-e-3", "hd", 10, 800_000)],
            ..Plan::default()
        };
        let expected = "\
rows                  200
images asked          212  22 repeat others and are paid for once
new                   150
already made           38
already queued          0
failed before           2  left alone; --retry-failed tries again
to make               150  $6.40 expected, $6.50 at most
                      140  dall-e-3 standard 1024x1024, $5.60
                       10  dall-e-3 hd 1024x1024, $0.80
";
        assert_eq!(plan.text(), expected);
        let matrix = Matrix { axes: vec![("style".to_owned(), 2)], listed: Vec::new() };
        let varied = Plan { lines: 400, ..plan.of(&matrix, 3) }.text();
        let expected = "\
200 rows × style 2 = 400 lines, $6.40 expected, $6.50 at most
rows                  200
bad rows                3  left out
lines                 400
images asked          212  22 repeat others and are paid for once
";
        assert!(varied.starts_with(expected), "{varied}");
    }
}
