//! What is owed to any catalogue file: it is refused with a reason, or what it makes of the catalogue below is sound;
//! shared by the tests and the fuzz target.

use std::sync::LazyLock;

use pictor_common::{
    Spec,
    catalogue::{Catalogue, Model},
    price::{Terms, Usage, actual, estimate},
};

/// What the file is laid over: a model priced by the image and one priced by tokens.
const BELOW: &str = r#"
default = "paint"
[models.paint]
family = "paint"
operations = ["generate", "edit"]
sizes = ["256x256", "1024x1024"]
qualities = ["standard", "hd"]
formats = ["png"]
prompt_limit = 1000
timeout_seconds = 300
priced_from = "2026-01-01"
[models.paint.per_image]
standard = { "256x256" = "0.016", "1024x1024" = [{ usd = "0.02" }, { from = "2026-12-01", usd = "0.03" }] }
hd = { "1024x1024" = "0.08" }
[models.draw]
family = "draw"
operations = ["generate", "edit", "variation"]
sizes = ["auto", "1024x1024"]
auto_sizes = ["1024x1024"]
size_rule = { multiple = 16, max_ratio = 3, max_edge = 3840, min_pixels = 655360, max_pixels = 8294400 }
qualities = ["low", "auto"]
formats = ["png", "webp"]
compression = true
max_inputs = 2
prompt_limit = 32000
timeout_seconds = 600
per_token = { text_input = "5", image_input = "8", image_output = "30" }
output_tokens = { low = { "1024x1024" = 272 } }
output_grid = { low = 16 }
input_image = { expected = 300, ceiling = 1500, high_fidelity = 4000 }
"#;

static BASE: LazyLock<Catalogue> =
    LazyLock::new(|| Catalogue::default().overridden(BELOW).expect("the catalogue below is sound"));

/// Lays bytes over a catalogue.
pub(crate) fn catalogue(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let once = match BASE.clone().overridden(text) {
        Ok(catalogue) => catalogue,
        Err(error) => return assert!(error.to_string().len() > 10, "{error:?} says nothing"),
    };
    let twice = once.clone().overridden(text).expect("what was fine once is fine twice");
    assert_eq!(told(&once), told(&twice), "laid once more, it changes nothing");
    let default = once.model(once.default_model()).expect("the default is known");
    assert!(default.is_priced());
    once.models().for_each(|model| sound(model, data.len()));
    let over: toml::Table = text.parse().expect("it was read before");
    let named = |id: &str| over.get("models").and_then(|models| models.get(id)).is_some();
    if !named("paint") && !named("draw") {
        for id in ["paint", "draw"] {
            let [above, below] = [&once, &*BASE].map(|catalogue| format!("{:?}", catalogue.model(id)));
            assert_eq!(above, below, "what is not named stays");
        }
    }
}

fn told(catalogue: &Catalogue) -> String {
    let models: Vec<&Model> = catalogue.models().collect();
    format!("{} {models:?}", catalogue.default_model())
}

/// Whatever a model says of itself holds together.
fn sound(model: &Model, number: usize) {
    assert!(model.prompt_limit() > 0 && !model.timeout().is_zero() && !model.sizes().is_empty());
    let qualities = model.qualities().iter().map(Some).chain([None]).take(3);
    for quality in qualities {
        for size in model.sizes().iter().map(Some).chain([None]).take(3) {
            let spec = Spec {
                model: model.id.clone(),
                prompt: Some("a mug".to_owned()),
                size: size.cloned(),
                quality: quality.cloned(),
                inputs: vec!["ab".repeat(32); number % 3],
                ..Spec::default()
            };
            let problems = model.check(&spec);
            assert!(
                problems.iter().all(|problem| !matches!(problem.field, "size" | "quality")),
                "{problems:?}"
            );
            priced(model, &spec, number);
        }
    }
}

/// What is reserved is enough for what is expected, and for what is charged without a word about tokens.
fn priced(model: &Model, spec: &Spec, number: usize) {
    for at_ms in [0, 1_795_219_200_000, 4_102_444_800_000] {
        let terms = Terms::at_ms(at_ms);
        let Ok(estimate) = estimate(model, spec, terms) else { continue };
        assert!(estimate.expected <= estimate.ceiling, "{spec:?} at {terms:?}: {estimate:?}");
        let charged = actual(model, spec, None, terms).expect("it has a price");
        assert!(charged <= estimate.ceiling, "{charged} of {estimate:?}");
        // Whatever an API claims to have used.
        let most = u64::MAX >> (number % 60);
        let usage = Usage {
            text_input: most,
            image_input: most,
            image_output: most,
            text_output: most,
            ..Usage::default()
        };
        let (_some, _cost) = (usage.tokens(), actual(model, spec, Some(&usage), terms));
    }
}
