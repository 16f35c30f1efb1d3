//! The embedded catalogue, overrides of it, and retirement.

use super::*;
use std::time::Duration;

use crate::{MicroUsd, spec::Operation};

const OPENAI: &str = "api.openai.com";

#[test]
fn the_embedded_catalogue_names_every_model() {
    let catalogue = Catalogue::embedded();
    for id in [
        "dall-e-2",
        "dall-e-3",
        "gpt-image-1",
        "gpt-image-1-mini",
        "gpt-image-1.5",
        "gpt-image-2",
        "gpt-image-2.5-flare",
        "gpt-image-2.5-sunburst",
        "gpt-image-2.6-flare",
        "gpt-image-2.6-sunburst",
    ] {
        let model = catalogue.model(id).unwrap();
        assert_eq!(model.id, id);
        assert_eq!(model.family, if id.starts_with("dall-e") { id } else { "gpt-image" });
        let chosen = id.starts_with("dall-e");
        assert_eq!(model.response_format() == ResponseFormat::Choose, chosen);
        assert!(
            model.is_priced() && model.released().is_some() && model.default_limits().1 == Some(5),
            "{id}"
        );
        assert!(model.latency() > Duration::ZERO && model.timeout() >= Duration::from_secs(300), "{id}");
    }
    let variations = catalogue.models().filter(|model| model.operations.contains(&Operation::Variation));
    assert_eq!(variations.map(|model| model.id.as_str()).collect::<Vec<_>>(), ["dall-e-2"]);
    let limits: Vec<usize> =
        ["dall-e-2", "dall-e-3", "gpt-image-2"].map(|id| catalogue.model(id).unwrap().prompt_limit()).into();
    assert_eq!(limits, [1000, 4000, 32_000]);
    assert!(catalogue.model("gpt-image-2").unwrap().per_token_batch().is_some());
    assert!(catalogue.model("gpt-image-2.6-flare").unwrap().per_token_batch().is_none());
}

#[test]
fn retirement_is_the_hosts() {
    let catalogue = Catalogue::embedded();
    let retired = |id: &str, host: &str, today: &str| catalogue.model(id).unwrap().retired(host, today);
    assert_eq!(
        retired("dall-e-3", OPENAI, "2026-11-21").as_deref(),
        Some("dall-e-3 was retired on api.openai.com on 2026-05-12; use gpt-image-2.5-sunburst")
    );
    for host in ["API.openai.com", "api.openai.com:443", "eu.api.openai.com", "api.openai.com."] {
        assert!(retired("dall-e-2", host, "2026-11-21").is_some(), "{host}");
    }
    for host in
        ["127.0.0.1:8080", "images.example.com", "notapi.openai.com", "api.openai.com.example.org", ""]
    {
        assert_eq!(retired("dall-e-3", host, "2026-11-21"), None, "{host}");
    }
    for id in ["gpt-image-1.5", "gpt-image-1-mini", "chatgpt-image-latest"] {
        assert_eq!(retired(id, OPENAI, "2026-11-21"), None, "{id}");
        assert_eq!(retired(id, OPENAI, "2026-11-30"), None, "{id}");
        assert!(retired(id, OPENAI, "2026-12-01").is_some(), "{id}");
    }
    assert_eq!(retired("gpt-image-1", OPENAI, "2026-10-22"), None);
    assert!(retired("gpt-image-1", OPENAI, "2026-10-23").is_some());
    assert_eq!(retired("gpt-image-2.6-flare", "shop.openai.azure.com", "2030-01-01"), None);
    assert!(retired("gpt-image-2", "shop.openai.azure.com", "2027-10-21").is_some());
}

#[test]
fn the_status_of_a_model_is_said_in_words() {
    let catalogue = Catalogue::embedded();
    let status = |id: &str, host: &str| catalogue.model(id).unwrap().status(host, "2026-11-21");
    assert_eq!(status("gpt-image-2", OPENAI), "current");
    assert_eq!(status("gpt-image-1.5", OPENAI), "retires 2026-12-01, use gpt-image-2.5-sunburst");
    assert_eq!(status("dall-e-3", OPENAI), "retired 2026-05-12, use gpt-image-2.5-sunburst");
    assert_eq!(status("dall-e-3", "localhost"), "current");
}

#[test]
fn every_replacement_is_a_model_that_outlives_what_it_replaces() {
    let catalogue = Catalogue::embedded();
    for model in catalogue.models() {
        for (host, end) in model.retires() {
            let Some(id) = &end.replacement else { continue };
            let instead = catalogue.model(id).unwrap();
            assert_eq!(instead.retired(host, &end.on.to_string()), None, "{} → {id}", model.id);
        }
    }
}

#[test]
fn a_retired_or_unpriced_model_is_never_a_default() {
    let catalogue = Catalogue::embedded();
    assert_eq!(catalogue.default_model(), "gpt-image-2");
    let default = catalogue.model("gpt-image-2").unwrap();
    assert!(default.is_priced() && default.retires_on(OPENAI).is_none());
    assert_eq!(catalogue.default_model_on(OPENAI, "2026-11-21").unwrap().id, "gpt-image-2");

    let refused = |toml: &str| Catalogue::embedded().overridden(toml).unwrap_err().to_string();
    assert_eq!(
        refused("default = \"gpt-image-9\""),
        "the default model \"gpt-image-9\" is not in the catalogue"
    );
    let free = "default = \"free\"\n[models.free]\nlike = \"gpt-image-2\"\nper_token = {}";
    assert_eq!(refused(free), "the default model free has no price; a default must have one");

    let old = Catalogue::embedded().overridden("default = \"dall-e-3\"").unwrap();
    assert!(old.default_model_on("localhost", "2026-11-21").is_ok());
    let reason = old.default_model_on(OPENAI, "2026-11-21").unwrap_err();
    assert!(
        reason.contains("dall-e-3 was retired") && reason.contains("use gpt-image-2.5-sunburst"),
        "{reason}"
    );
}

#[test]
fn misspelt_models_find_their_neighbour() {
    let catalogue = Catalogue::embedded();
    for (asked, meant) in [
        ("dalle-3", Some("dall-e-3")),
        ("DALL-E-3", Some("dall-e-3")),
        ("dall-e3", Some("dall-e-3")),
        ("gpt-imgae-2", Some("gpt-image-2")),
        ("gpt-image-2.6-flair", Some("gpt-image-2.6-flare")),
        ("flux", None),
        ("", None),
    ] {
        assert_eq!(catalogue.nearest(asked), meant, "{asked}");
    }
}

#[test]
fn a_file_changes_what_it_names_and_nothing_else() {
    let file = r#"
        [models.dall-e-3.per_image.standard]
        "1024x1024" = "0.035"
        [models.my-model]
        like = "dall-e-3"
        family = "local"
        retires = {}
        [models.my-model.limits]
        requests = 60
        [models.flat]
        like = "gpt-image-2"
        per_image.high = { "1024x1024" = "0.01" }
    "#;
    let catalogue = Catalogue::embedded().overridden(file).unwrap();
    let day = jiff::civil::date(2026, 11, 21);
    let price = |id: &str, size: &str| {
        catalogue.model(id).unwrap().per_image()["standard"][size].on(day).unwrap().usd.0
    };
    assert_eq!(price("dall-e-3", "1024x1024"), MicroUsd(35_000));
    assert_eq!(price("dall-e-3", "1792x1024"), MicroUsd(80_000));
    assert_eq!(price("my-model", "1024x1024"), MicroUsd(35_000));
    let mine = catalogue.model("my-model").unwrap();
    assert_eq!((mine.id.as_str(), mine.family.as_str()), ("my-model", "local"));
    assert_eq!(mine.default_limits(), (Some(60), Some(5)));
    assert_eq!(mine.retired(OPENAI, "2026-11-21"), None);
    assert!(catalogue.model("flat").unwrap().per_token().is_none());
    assert_eq!(catalogue.models().count(), Catalogue::embedded().models().count() + 2);

    let again = catalogue.overridden("models.my-model.family = \"other\"").unwrap();
    assert_eq!(again.model("my-model").unwrap().family, "other");
    assert_eq!(again.model("my-model").unwrap().default_limits().0, Some(60));
}

#[test]
fn an_empty_table_clears_in_any_layer() {
    let copy = "[models.copy]\nlike = \"gpt-image-2\"\n";
    let clears = "[models.copy]\nper_token = {}";
    let once = Catalogue::embedded().overridden(&format!("{copy}per_token = {{}}")).unwrap();
    let later = Catalogue::embedded().overridden(copy).unwrap().overridden(clears).unwrap();
    let twice = once.clone().overridden(clears).unwrap();
    for catalogue in [once, later, twice] {
        assert!(catalogue.model("copy").unwrap().per_token().is_none(), "what is copied is cleared");
    }
    // What is only cleared takes the place of nothing else.
    let priced = format!("{copy}per_image = {{}}");
    let catalogue = Catalogue::embedded().overridden(&priced).unwrap();
    assert!(catalogue.model("copy").unwrap().per_token().is_some());
    // Nothing can be cleared of what is not there, however often.
    let inner = "[models.flat]\nlike = \"gpt-image-2\"\nper_image.low = {}";
    let mut catalogue = Catalogue::embedded();
    for _ in 0..2 {
        catalogue = catalogue.overridden(inner).unwrap();
        assert!(catalogue.model("flat").unwrap().per_image().is_empty());
    }
}

#[test]
fn a_bad_file_names_the_model_and_what_is_wrong() {
    for (toml, why) in [
        ("models.dall-e-3.promt_limit = 3", "model dall-e-3: unknown field `promt_limit`"),
        ("models.x = {}", "model x: family"),
        ("models.x = { like = \"y\" }", "model x: \"y\" is not a model"),
        ("models.x = { like = \"x\" }", "model x: `like` leads back to itself"),
        ("models.dall-e-3.sizes = [\"1024\"]", "model dall-e-3: \"1024\" is not a size"),
        ("models.dall-e-3.per_image.hd.\"1024x1024\" = 0.08", "model dall-e-3: invalid type: floating point"),
        ("models.dall-e-3.per_image.hd.\"1024x1024\" = \"free\"", "\"free\" is not an amount"),
        (
            "models.dall-e-3.per_image.hd.\"1024x1024\" = [{ usd = \"1\" }, { usd = \"2\" }]",
            "model dall-e-3: the days of a price must be in order",
        ),
        ("models.dall-e-3.per_image_batch.hd.\"big\" = \"1\"", "model dall-e-3: \"big\" is not a size"),
        ("models.dall-e-3.priced_from = \"now\"", "model dall-e-3:"),
        (
            "models.x = { like = \"dall-e-3\", priced_from = \"2026-01-01\", per_image.hd.\"1024x1024\" = [{ usd = \"1\" }, { from = \"2025-01-01\", usd = \"2\" }] }",
            "model x: a price changes on 2025-01-01, before prices begin on 2026-01-01",
        ),
        ("models.dall-e-3.operations = [\"paint\"]", "model dall-e-3: unknown variant `paint`"),
        (
            "models.gpt-image-2.output_grid = {}",
            "model gpt-image-2: per_token needs output_tokens or output_grid",
        ),
        ("models.gpt-image-2.ceiling_percent = 90", "model gpt-image-2: ceiling_percent is 100 to 10000"),
        ("models.dall-e-3.retires.\"h\" = { on = \"soon\" }", "model dall-e-3:"),
        ("colour = 1", "unknown field `colour`"),
        ("models = 3", "not a catalogue"),
        ("default = ", "not a catalogue"),
    ] {
        let error = Catalogue::embedded().overridden(toml).unwrap_err().to_string();
        assert!(error.contains(why), "{toml}\n→ {error}");
    }
}
