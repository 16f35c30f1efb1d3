//! `pictor price monthly`: what so many images a day cost in a month, and what that takes to be so.

use std::{collections::BTreeSet, num::NonZeroU64};

use clap::Args;
use jiff::civil::Date;
use pictor_common::{MicroUsd, price::DAYS_OF_A_MONTH};
use serde_json::json;

use super::{
    Context, day,
    month::{Assumed, Entry, Month},
    part::{Count, Part, number},
    terms,
};
use crate::{accounts, exit::Exit, table::table};

#[derive(Debug, Args)]
pub(crate) struct MonthlyArgs {
    /// Images a day
    #[arg(long, value_name = "NUMBER", value_parser = number, required_unless_present = "per_month")]
    per_day: Option<NonZeroU64>,
    /// Images a month, instead
    #[arg(long, value_name = "NUMBER", value_parser = number, conflicts_with = "per_day")]
    per_month: Option<NonZeroU64>,
    /// Model [default: that of the catalogue]
    #[arg(long)]
    model: Option<String>,
    /// Size, as in 1024x1024 [default: the model's]
    #[arg(long)]
    size: Option<String>,
    /// Quality [default: the model's]
    #[arg(long)]
    quality: Option<String>,
    /// Others besides, as in per-day=10,model=dall-e-3,size=1024x1792,quality=hd; what it leaves out is as above
    #[arg(long, value_name = "WHAT", value_parser = Part::parse)]
    plus: Vec<Part>,
    /// Days of the month
    #[arg(long, value_name = "NUMBER", default_value_t = DAYS_OF_A_MONTH, value_parser = clap::value_parser!(u64).range(1..=366))]
    days: u64,
    /// At the prices of the provider's batch API
    #[arg(long = "batch")]
    batch_api: bool,
    /// Characters of each prompt: they cost where tokens are priced
    #[arg(long, value_name = "NUMBER", default_value_t = 400, value_parser = clap::value_parser!(u64).range(1..=100_000))]
    prompt_chars: u64,
    /// Input images of each request; with one it is an edit
    #[arg(long, value_name = "NUMBER", default_value_t = 0, value_parser = clap::value_parser!(u64).range(0..=100))]
    input_images: u64,
    /// At the prices of this day, as in 2026-11-21 [default: today, in UTC]
    #[arg(long, value_name = "DATE", value_parser = day)]
    on: Option<Date>,
}

pub(super) fn run(args: &MonthlyArgs, context: &Context) -> anyhow::Result<Exit> {
    let catalogue = &context.settings.catalogue;
    let terms = terms(args.on)?;
    let terms = if args.batch_api { terms.through_batch_api() } else { terms };
    let count = args.per_day.map(Count::PerDay).or_else(|| args.per_month.map(Count::PerMonth));
    let first = Part {
        count: count.expect("one of the two is required"),
        model: Some(args.model.clone().unwrap_or_else(|| catalogue.default_model().to_owned())),
        size: args.size.clone(),
        quality: args.quality.clone(),
    };
    let (days, prompt_chars, input_images) = (args.days, args.prompt_chars, args.input_images);
    let assumed = Assumed { catalogue, terms, days, prompt_chars, input_images };
    let month = assumed.month(&first, &args.plus)?;
    let (assumptions, notes) = (assumptions(&assumed, &month), notes(&assumed, &month, context));
    let mut value = serde_json::to_value(&month)?;
    value["on"] = json!(terms.day);
    value["currency"] = json!("USD");
    value["unit"] = json!("micro-USD");
    value["batch"] = json!(args.batch_api);
    value["days"] = json!(days);
    value["expected_usd"] = json!(cents(month.expected).trim_start_matches('$'));
    value["ceiling_usd"] = json!(cents_up(month.ceiling).trim_start_matches('$'));
    value["assumptions"] = json!(assumptions);
    value["notes"] = json!(notes);
    context.output.result(&value, || told(&month, &assumptions, &notes))?;
    Ok(Exit::Done)
}

/// What the sum takes to be so.
fn assumptions(assumed: &Assumed<'_>, month: &Month) -> Vec<String> {
    let Assumed { terms, days, prompt_chars, input_images, .. } = assumed;
    let door = if terms.batch_api { "prices of the provider's batch API" } else { "standard prices" };
    let mut lines = vec![format!("{door} of {}, in US dollars and without tax, all month", terms.day)];
    if month.entries.iter().any(|entry| entry.per_day.is_some()) {
        lines.push(format!("a month has {days} days (--days)"));
    }
    lines.push("each image is made once; what fails and is billed comes on top".to_owned());
    if let Some(counted) = month.entries.iter().find_map(|entry| entry.tokens) {
        let (expected, most) = (counted.expected.text_input, counted.most.text_input);
        lines.push(format!(
            "a prompt of {prompt_chars} characters (--prompt-chars) is {expected} tokens, {most} at most; nothing is cached"
        ));
        if *input_images > 0 {
            lines.push(input_tokens(&month.entries, *input_images));
        }
        let by_model = |entry: &Entry| {
            entry.tokens.is_some() && [&entry.quality, &entry.size].iter().any(|it| *it == "auto")
        };
        if month.entries.iter().any(by_model) {
            lines.push(
                "auto is expected to be medium at 1024x1024, and at most the dearest it may be".to_owned(),
            );
        }
        lines.push(
            "expected is by the published tables; at most is what Pictor sets aside before it sends"
                .to_owned(),
        );
    }
    lines.push(
        "one image is rounded to $0.000001 (at most: up), then multiplied and added exactly; totals to the cent (at most: up)"
            .to_owned(),
    );
    lines
}

fn input_tokens(entries: &[Entry], images: u64) -> String {
    let counts: BTreeSet<(u64, u64)> = entries
        .iter()
        .filter_map(|entry| entry.tokens)
        .map(|tokens| (tokens.expected.image_input, tokens.most.image_input))
        .collect();
    let counts: Vec<String> =
        counts.iter().map(|(expected, most)| format!("{expected} tokens, {most} at most")).collect();
    let what = if images == 1 { "input image takes" } else { "input images take" };
    format!("{images} {what} {} (--input-images)", counts.join("; or "))
}

/// What one should know of the models.
fn notes(assumed: &Assumed<'_>, month: &Month, context: &Context) -> Vec<String> {
    let today = assumed.terms.day.to_string();
    let hosts = accounts::hosts(&context.settings, &today);
    let named: BTreeSet<&str> = month.entries.iter().map(|entry| entry.model.as_str()).collect();
    let models = named.into_iter().filter_map(|id| assumed.catalogue.model(id));
    let of_model = |model: &pictor_common::catalogue::Model| {
        let retired = hosts.of(&model.family).and_then(|host| model.retired(host, &today));
        let changes = model.prices_change_after(assumed.terms.day);
        let changes = changes.map(|day| format!("prices of {} change on {day}: add --on {day}", model.id));
        [retired, changes]
    };
    models.flat_map(of_model).flatten().collect()
}

fn told(month: &Month, assumptions: &[String], notes: &[String]) -> String {
    let uncertain = month.expected != month.ceiling;
    let mut rows: Vec<Vec<String>> = month.entries.iter().map(|entry| row(entry, uncertain)).collect();
    let mut total = vec![month.images.to_string(), "total".to_owned(), String::new(), cents(month.expected)];
    if uncertain {
        total.extend([String::new(), cents_up(month.ceiling)]);
    }
    rows.push(total);
    let titles = ["images", "a month", "each", "expected", "each at most", "at most"];
    let shown = if uncertain { &titles[..] } else { &["images", "a month", "each", "cost"] };
    let list = |title: &str, lines: &[String]| {
        let lines: String = lines.iter().map(|line| format!("  {line}\n")).collect();
        if lines.is_empty() { lines } else { format!("\n{title}\n{lines}") }
    };
    table(shown, &[0, 2, 3, 4, 5], &rows) + &list("Assumed", assumptions) + &list("Note", notes)
}

fn row(entry: &Entry, uncertain: bool) -> Vec<String> {
    let Entry { model, quality, size, per_day, images, each, expected, ceiling, .. } = entry;
    let pace = per_day.map_or_else(String::new, |count| format!(", {count} a day"));
    let mut cells = vec![
        images.to_string(),
        format!("{model} {quality} {size}{pace}"),
        each.expected.to_string(),
        expected.to_string(),
    ];
    if uncertain {
        cells.extend([each.ceiling.to_string(), ceiling.to_string()]);
    }
    cells
}

/// To the nearest cent.
fn cents(amount: MicroUsd) -> String {
    whole_cents(amount.0 / 10_000 + u64::from(amount.0 % 10_000 >= 5_000))
}

/// Up to the next cent.
fn cents_up(amount: MicroUsd) -> String {
    whole_cents(amount.0.div_ceil(10_000))
}

fn whole_cents(cents: u64) -> String {
    format!("${}.{:02}", cents / 100, cents % 100)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn totals_are_told_to_the_cent() {
        for (micro, near, up) in [
            (0, "$0.00", "$0.00"),
            (4_999, "$0.00", "$0.01"),
            (5_000, "$0.01", "$0.01"),
            (13_200_000, "$13.20", "$13.20"),
            (13_204_999, "$13.20", "$13.21"),
            (u64::MAX, "$18446744073709.55", "$18446744073709.56"),
        ] {
            assert_eq!((cents(MicroUsd(micro)).as_str(), cents_up(MicroUsd(micro)).as_str()), (near, up));
        }
    }
}
