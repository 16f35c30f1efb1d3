//! Prices that change, prices of the batch API, and cached input.

use super::*;

/// One of each kind, both of which change on the first of a month.
fn changing() -> Catalogue {
    let toml = r#"
        [models.flat]
        like = "dall-e-3"
        priced_from = "2026-01-01"
        per_image.standard."1024x1024" = [{ usd = "0.040" }, { from = "2026-06-01", usd = "0.050" }, { from = "2026-09-01", usd = "0.030" }]
        per_image_batch.standard."1024x1024" = [{ from = "2026-07-01", usd = "0.020" }]
        [models.tokens]
        like = "gpt-image-2"
        priced_from = "2026-01-01"
        batch_priced_from = "2026-02-01"
        per_token.image_output = [{ usd = "30" }, { from = "2026-06-01", usd = "60" }]
        per_token_batch.image_output = "15"
    "#;
    Catalogue::embedded().overridden(toml).unwrap()
}

fn terms(day: &str) -> Terms {
    day.parse().unwrap()
}

#[test]
fn the_price_of_the_day_holds_and_the_ceiling_knows_what_comes() {
    let catalogue = changing();
    let (model, asked) = (catalogue.model("flat").unwrap(), spec("flat", "standard", "1024x1024"));
    for (day, expected, ceiling, from) in [
        ("2026-01-01", 40_000, 50_000, "2026-01-01"),
        ("2026-05-31", 40_000, 50_000, "2026-01-01"),
        ("2026-06-01", 50_000, 50_000, "2026-06-01"),
        ("2026-09-01", 30_000, 30_000, "2026-09-01"),
        ("2030-01-01", 30_000, 30_000, "2026-09-01"),
    ] {
        let found = estimate(model, &asked, terms(day)).unwrap();
        assert_eq!((found.expected.0, found.ceiling.0), (expected, ceiling), "{day}");
        assert_eq!(actual(model, &asked, None, terms(day)), Ok(MicroUsd(expected)), "{day}");
        assert_eq!(since(model, &asked, terms(day)).unwrap().to_string(), from, "{day}");
    }
    let before = estimate(model, &asked, terms("2025-12-31")).unwrap_err().to_string();
    assert_eq!(
        before,
        "model flat has no price for standard 1024x1024 on 2025-12-31; set one in the catalogue"
    );
    let next = |day| model.prices_change_after(terms(day).day).map(|day| day.to_string());
    assert_eq!(next("2026-06-01").as_deref(), Some("2026-07-01"), "the batch price begins");
    assert_eq!(next("2026-09-01"), None);
}

#[test]
fn tokens_cost_what_they_cost_on_the_day() {
    let catalogue = changing();
    let (model, asked) = (catalogue.model("tokens").unwrap(), spec("tokens", "low", "1024x1024"));
    let usage = Usage { text_input: 10, image_output: 200, ..Usage::default() };
    let on = |day: &str| actual(model, &asked, Some(&usage), terms(day)).unwrap().0;
    assert_eq!((on("2026-05-31"), on("2026-06-01")), (10 * 5 + 200 * 30, 10 * 5 + 200 * 60));
    let [before, after] =
        ["2026-05-31", "2026-06-01"].map(|day| estimate(model, &asked, terms(day)).unwrap());
    assert_eq!((before.expected.0, after.expected.0), (5 + 196 * 30, 5 + 196 * 60));
    assert_eq!(before.ceiling, after.ceiling, "it may be sent after the change");
    assert!(actual(model, &asked, Some(&usage), terms("2025-12-31")).is_err());
    let day = |day| since(model, &asked, terms(day)).unwrap().to_string();
    assert_eq!((day("2026-05-31"), day("2026-06-01")), ("2026-01-01".into(), "2026-06-01".into()));
}

#[test]
fn the_batch_api_has_prices_of_its_own_or_none() {
    let catalogue = changing();
    let price = |model: &str, day: &str| {
        let asked = spec(model, if model == "flat" { "standard" } else { "low" }, "1024x1024");
        let found = estimate(catalogue.model(model).unwrap(), &asked, terms(day).through_batch_api());
        found.map(|found| found.expected.0).map_err(|error| error.what)
    };
    assert_eq!(price("flat", "2026-07-01"), Ok(20_000));
    let early = "standard 1024x1024 through the provider's batch API on 2026-06-30";
    assert_eq!(price("flat", "2026-06-30").unwrap_err(), early);
    // .0025 for a prompt of one token is 2.5 µ$.
    assert_eq!(price("tokens", "2026-06-01"), Ok(196 * 15 + 3));
    assert!(price("tokens", "2026-01-31").is_err());
    assert_eq!(price("gpt-image-2", "2026-11-21"), Ok(196 * 15 + 3));
    let none = price("gpt-image-2.6-flare", "2026-11-21").unwrap_err();
    assert_eq!(none, "tokens through the provider's batch API");
    assert!(price("dall-e-2", "2026-11-21").is_err());
}

#[test]
fn cached_input_costs_less_and_never_more_is_cached_than_was_read() {
    let catalogue = Catalogue::embedded();
    let model = catalogue.model("gpt-image-2").unwrap();
    let asked = spec("gpt-image-2", "low", "1024x1024");
    let usage = Usage {
        text_input: 1000,
        image_input: 400,
        image_output: 196,
        cached_text_input: 800,
        cached_image_input: 100,
        ..Usage::default()
    };
    let cost = |usage: &Usage, terms| actual(model, &asked, Some(usage), terms).unwrap().0;
    let expected = 200 * 5 + 800 * 125 / 100 + 300 * 8 + 100 * 2 + 196 * 30;
    assert_eq!(cost(&usage, TODAY), expected);
    let batch = 200 * 25 / 10 + 800 * 625 / 1000 + 300 * 4 + 100 + 196 * 15;
    assert_eq!(cost(&usage, TODAY.through_batch_api()), batch);
    let odd = Usage { cached_text_input: u64::MAX, cached_image_input: 401, ..usage };
    assert_eq!(cost(&odd, TODAY), 1000 * 125 / 100 + 400 * 2 + 196 * 30);

    let uncached = r#"models.x = { like = "dall-e-2", qualities = ["low"], per_token = { text_input = "5", image_input = "8", image_output = "30" }, output_grid = { low = 16 } }"#;
    let catalogue = catalogue.overridden(uncached).unwrap();
    let full = actual(catalogue.model("x").unwrap(), &asked, Some(&usage), TODAY).unwrap().0;
    assert_eq!(
        full,
        1000 * 5 + 400 * 8 + 196 * 30,
        "without a rate of their own they cost as much as others"
    );
}

#[test]
fn every_embedded_price_has_a_day_and_batch_is_never_dearer() {
    let catalogue = Catalogue::embedded();
    for model in catalogue.models() {
        assert_eq!(model.prices_change_after(TODAY.day), None, "{}", model.id);
        let released = model.released().unwrap();
        for quality in model.qualities().iter().filter(|quality| *quality != "auto") {
            let asked = spec(&model.id, quality, "1024x1024");
            let found = estimate(model, &asked, TODAY).unwrap();
            assert_eq!(since(model, &asked, TODAY).unwrap().to_string(), released, "{}", model.id);
            let Ok(batch) = estimate(model, &asked, TODAY.through_batch_api()) else { continue };
            assert!(batch.expected < found.expected && batch.ceiling < found.ceiling, "{}", model.id);
            assert!(since(model, &asked, TODAY.through_batch_api()).unwrap().to_string() > released);
        }
        let Some((standard, batch)) = model.per_token().zip(model.per_token_batch()) else { continue };
        for (name, price) in standard.named() {
            let usd = price.on(TODAY.day).unwrap().usd.0;
            let found = batch.named().find(|(other, _)| *other == name);
            assert!(found.is_none_or(|(_, price)| price.on(TODAY.day).unwrap().usd.0 <= usd), "{name}");
        }
    }
}

/// A catalogue from before prices had days, as its owner left it.
#[test]
fn a_catalogue_without_days_holds_on_every_day() {
    let toml = r#"
        [models.dall-e-3.per_image.standard]
        "1024x1024" = "0.035"
        [models.gpt-image-2]
        per_token = { image_output = "25" }
    "#;
    let catalogue = Catalogue::embedded().overridden(toml).unwrap();
    assert!(
        estimate(catalogue.model("dall-e-3").unwrap(), &spec("dall-e-3", "", ""), terms("1999-01-01"))
            .is_ok()
    );
    let hd = spec("dall-e-3", "hd", "1024x1024");
    let kept = since(catalogue.model("dall-e-3").unwrap(), &hd, TODAY).unwrap().to_string();
    assert_eq!(kept, "2023-11-06", "what the file does not name keeps its day");
    for day in ["2026-04-21", "2026-11-21", "2099-12-31"] {
        let asked = spec("dall-e-3", "standard", "1024x1024");
        let flat = catalogue.model("dall-e-3").unwrap();
        assert_eq!(estimate(flat, &asked, terms(day)).unwrap().expected, MicroUsd(35_000));
        assert_eq!(since(flat, &asked, terms(day)), None, "whose day it is nobody said");
        let asked = spec("gpt-image-2", "low", "1024x1024");
        let tokens = catalogue.model("gpt-image-2").unwrap();
        assert_eq!(estimate(tokens, &asked, terms(day)).unwrap().expected, MicroUsd(5 + 196 * 25));
    }
}

proptest::proptest! {
    /// Whatever prices do and whenever it is sent, what is set aside is enough.
    #[test]
    fn no_later_price_is_above_the_ceiling(
        rates in proptest::collection::vec(1..2_000_000_u64, 1..6),
        asked in 0..400_i64,
        later in 0..400_i64,
        text in 0..33_u64,
        image in 1..=196_u64,
    ) {
        let first = date(2026, 1, 1);
        let day = |days: i64| first.checked_add(jiff::Span::new().days(days)).unwrap();
        let steps: Vec<String> = rates
            .iter()
            .enumerate()
            .map(|(i, rate)| format!("{{ from = \"{}\", usd = \"{}\" }}", day(60 * i as i64), MicroUsd(rate * 1000)))
            .collect();
        let toml = format!("models.x = {{ like = \"gpt-image-2\", priced_from = \"2026-01-01\", per_token.image_output = [{}] }}", steps.join(","));
        let catalogue = Catalogue::embedded().overridden(&toml).unwrap();
        let model = catalogue.model("x").unwrap();
        let spec = spec("x", "low", "1024x1024");
        let ceiling = estimate(model, &spec, Terms::on(day(asked))).unwrap().ceiling;
        let usage = Usage { text_input: text, image_output: image, ..Usage::default() };
        let paid = actual(model, &spec, Some(&usage), Terms::on(day(asked + later))).unwrap();
        proptest::prop_assert!(paid <= ceiling, "{paid} > {ceiling}");
    }
}
