//! `pictor price list`: what is in force on a day.

use std::collections::BTreeMap;

use clap::Args;
use jiff::civil::Date;
use pictor_common::{
    MicroUsd, Spec,
    catalogue::{Model, Price, Step},
    price::{self, Terms},
};
use serde::Serialize;
use serde_json::json;

use super::{Context, day, known, terms};
use crate::{exit::Exit, table::table};

#[derive(Debug, Args)]
pub(crate) struct ListArgs {
    /// Only this model
    #[arg(long)]
    model: Option<String>,
    /// Prices of this day, as in 2026-11-21 [default: today, in UTC]
    #[arg(long, value_name = "DATE", value_parser = day)]
    on: Option<Date>,
}

/// A price in force.
#[derive(Clone, Debug, PartialEq, Serialize)]
struct Amount {
    price: MicroUsd,
    /// Its first day; none where the catalogue does not say.
    from: Option<Date>,
}

/// Of 1,000,000 tokens of one kind.
#[derive(Clone, Debug, PartialEq, Serialize)]
struct Rate {
    tokens: &'static str,
    standard: Option<Amount>,
    batch: Option<Amount>,
}

/// What one image costs, its prompt not counted.
#[derive(Clone, Debug, PartialEq, Serialize)]
struct Cost {
    expected: MicroUsd,
    ceiling: MicroUsd,
    from: Option<Date>,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
struct Image {
    quality: String,
    size: String,
    standard: Option<Cost>,
    batch: Option<Cost>,
}

/// What a model costs, without its name: several have the same.
#[derive(Clone, Debug, PartialEq, Serialize)]
struct Prices {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    rates: Vec<Rate>,
    images: Vec<Image>,
    /// The next day on which one of them changes.
    changes: Option<Date>,
}

#[derive(Debug, Serialize)]
struct OfModel<'m> {
    model: &'m str,
    priced_per: &'static str,
    #[serde(flatten)]
    prices: Prices,
}

pub(super) fn run(args: &ListArgs, context: &Context) -> anyhow::Result<Exit> {
    let catalogue = &context.settings.catalogue;
    let terms = terms(args.on)?;
    let models: Vec<&Model> = match args.model.as_deref() {
        Some(id) => vec![known(catalogue, id)?],
        None => catalogue.models().collect(),
    };
    let listed: Vec<OfModel<'_>> = models.into_iter().map(|model| of(model, terms)).collect();
    let value = json!({ "on": terms.day, "currency": "USD", "unit": "micro-USD", "models": listed });
    context.output.result(&value, || told(&listed, terms.day))?;
    Ok(Exit::Done)
}

fn of(model: &Model, terms: Terms) -> OfModel<'_> {
    let sizes = || model.sizes().iter().filter(|size| *size != "auto");
    let qualities = model.qualities().iter().filter(|quality| *quality != "auto");
    let pairs = qualities.flat_map(|quality| sizes().map(move |size| (quality, size)));
    let images = pairs.map(|(quality, size)| image(model, quality, size, terms));
    let prices = Prices {
        rates: rates(model, terms.day),
        images: images.filter(|image| image.standard.is_some() || image.batch.is_some()).collect(),
        changes: model.prices_change_after(terms.day),
    };
    let priced_per = if model.per_token().is_some() { "token" } else { "image" };
    OfModel { model: &model.id, priced_per, prices }
}

fn image(model: &Model, quality: &str, size: &str, terms: Terms) -> Image {
    let spec = Spec {
        model: model.id.clone(),
        prompt: Some(String::new()),
        quality: Some(quality.to_owned()),
        size: Some(size.to_owned()),
        ..Spec::default()
    };
    let cost = |terms| {
        let found = price::estimate(model, &spec, terms).ok()?;
        let from = price::since(model, &spec, terms);
        Some(Cost { expected: found.expected, ceiling: found.ceiling, from })
    };
    Image {
        quality: quality.to_owned(),
        size: size.to_owned(),
        standard: cost(terms),
        batch: cost(terms.through_batch_api()),
    }
}

fn rates(model: &Model, day: Date) -> Vec<Rate> {
    let Some(standard) = model.per_token() else { return Vec::new() };
    let batch: BTreeMap<&str, &Price> =
        model.per_token_batch().into_iter().flat_map(|rates| rates.named()).collect();
    let amount = |price: &Price| price.on(day).map(|Step { usd, from }| Amount { price: usd.0, from });
    let rate = |(tokens, price): (&'static str, &Price)| Rate {
        tokens,
        standard: amount(price),
        batch: batch.get(tokens).copied().and_then(amount),
    };
    standard.named().map(rate).filter(|rate| rate.standard.is_some() || rate.batch.is_some()).collect()
}

/// Models that cost the same stand together.
fn told(listed: &[OfModel<'_>], day: Date) -> String {
    let mut groups: Vec<(Vec<&str>, &Prices)> = Vec::new();
    for OfModel { model, prices, .. } in listed {
        match groups.iter_mut().find(|(_, same)| *same == prices) {
            Some((models, _)) => models.push(model),
            None => groups.push((vec![model], prices)),
        }
    }
    let mut text = format!("US dollars on {day}, without tax. Batch: through the provider's batch API.\n");
    for (models, prices) in groups {
        text += &format!("\n{}\n", models.join(", "));
        if prices.images.is_empty() {
            text += "  no price on this day\n";
            continue;
        }
        if prices.rates.is_empty() {
            text += &indented(&per_image(&prices.images));
        } else {
            text += &(indented(&per_token(&prices.rates)) + "\n");
            text += &indented(&computed(&prices.images));
        }
        if let Some(day) = prices.changes {
            text += &format!("  changes on {day}: pictor price list --on {day}\n");
        }
    }
    text
}

fn indented(text: &str) -> String {
    text.lines().map(|line| format!("  {line}\n")).collect()
}

fn per_image(images: &[Image]) -> String {
    let cells = |image: &Image| {
        let standard = image.standard.as_ref().map(|cost| (cost.expected, cost.from));
        let batch = image.batch.as_ref().map(|cost| (cost.expected, cost.from));
        [vec![image.quality.clone(), image.size.clone()], dated(standard, batch)].concat()
    };
    let rows: Vec<_> = images.iter().map(cells).collect();
    table(&["quality", "size", "one image", "from", "batch", "from"], &[2, 4], &rows)
}

fn per_token(rates: &[Rate]) -> String {
    let cells = |rate: &Rate| {
        let amount = |amount: &Option<Amount>| amount.as_ref().map(|it| (it.price, it.from));
        [vec![meaning(rate.tokens).to_owned()], dated(amount(&rate.standard), amount(&rate.batch))].concat()
    };
    let rows: Vec<_> = rates.iter().map(cells).collect();
    table(&["1,000,000 tokens of", "standard", "from", "batch", "from"], &[1, 3], &rows)
}

/// Images of a model that is priced per token.
fn computed(images: &[Image]) -> String {
    let cells = |image: &Image| {
        let both = |cost: &Option<Cost>| {
            let cost = cost.as_ref().map(|cost| [cost.expected.to_string(), cost.ceiling.to_string()]);
            cost.unwrap_or_else(|| [none(), none()]).to_vec()
        };
        let name = vec![image.quality.clone(), image.size.clone()];
        [name, both(&image.standard), both(&image.batch)].concat()
    };
    let rows: Vec<_> = images.iter().map(cells).collect();
    let titles = ["quality", "size", "one image*", "at most", "batch", "at most"];
    table(&titles, &[2, 3, 4, 5], &rows)
        + "* expected, by its tokens; its prompt and input images come on top\n"
}

type Dated = Option<(MicroUsd, Option<Date>)>;

fn dated(standard: Dated, batch: Dated) -> Vec<String> {
    let cells = |one: Dated| {
        let from = |day: Option<Date>| day.map_or_else(none, |day| day.to_string());
        one.map_or_else(|| [none(), none()], |(price, day)| [price.to_string(), from(day)])
    };
    [cells(standard), cells(batch)].concat()
}

fn none() -> String {
    "-".to_owned()
}

fn meaning(tokens: &'static str) -> &'static str {
    match tokens {
        "text_input" => "prompt",
        "cached_text_input" => "prompt, cached",
        "image_input" => "input images",
        "cached_image_input" => "input images, cached",
        "image_output" => "image",
        "text_output" => "text the model writes",
        other => other,
    }
}
