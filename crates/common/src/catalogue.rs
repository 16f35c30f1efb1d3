//! The model catalogue: what each model accepts, costs and allows, and until when.

mod check;
mod dated;
mod layers;
mod model;
mod rates;
mod retirement;
pub(crate) mod size;

use std::{collections::BTreeMap, sync::LazyLock};

use serde::Deserialize;

pub use check::{VERBATIM_PREAMBLE, sent_prompt_chars};
pub use dated::{Price, Step};
pub use model::{ByQualityAndSize, InputImage, Limits, Model, ResponseFormat};
pub use rates::{Dollars, Rates};
pub use retirement::Retirement;
pub use size::SizeRule;

static EMBEDDED: LazyLock<Catalogue> = LazyLock::new(|| {
    Catalogue::default().overridden(include_str!("models.toml")).expect("a test reads the embedded catalogue")
});

/// A set of models, embedded and overridable by a file.
#[derive(Clone, Debug, Default)]
pub struct Catalogue {
    models: BTreeMap<String, Model>,
    default_model: String,
    source: toml::Table,
}

/// One thing wrong with one field of a spec.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Name of the spec field, as in a manifest.
    pub field: &'static str,
    /// What is wrong and what would be right, as one lower-case sentence without a full stop.
    pub message: String,
}

/// Why a catalogue file cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct CatalogueError(pub String);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    default: String,
    #[serde(default)]
    models: toml::Table,
}

impl Catalogue {
    /// The catalogue that ships with Pictor.
    #[must_use]
    pub fn embedded() -> Self {
        EMBEDDED.clone()
    }

    /// Lays a catalogue file over this one: its models are added, or replace the fields they name.
    pub fn overridden(self, toml: &str) -> Result<Self, CatalogueError> {
        let over: toml::Table = toml.parse().map_err(|e| CatalogueError(format!("not a catalogue: {e}")))?;
        let source = layers::lay_file(self.source, over);
        let file: File = source
            .clone()
            .try_into()
            .map_err(|e| CatalogueError(format!("not a catalogue: {}", one_line(&e))))?;
        let models = file
            .models
            .keys()
            .map(|id| Ok((id.clone(), read_model(&file.models, id)?)))
            .collect::<Result<BTreeMap<_, _>, CatalogueError>>()?;
        let catalogue = Self { models, default_model: file.default, source };
        catalogue.check_default()?;
        Ok(catalogue)
    }

    /// Looks a model up by its id.
    #[must_use]
    pub fn model(&self, id: &str) -> Option<&Model> {
        self.models.get(id)
    }

    /// All models in order of id.
    pub fn models(&self) -> impl Iterator<Item = &Model> {
        self.models.values()
    }

    /// The model used where none is named; always one that is known and priced.
    #[must_use]
    pub fn default_model(&self) -> &str {
        &self.default_model
    }

    /// The default model for an account's host on a day (`YYYY-MM-DD`).
    ///
    /// A default that has been retired there is refused instead of replaced: another model
    /// means other asset keys, and everything bought again.
    pub fn default_model_on(&self, host: &str, today: &str) -> Result<&Model, String> {
        let id = self.default_model();
        let model =
            self.model(id).ok_or_else(|| format!("the default model {id:?} is not in the catalogue"))?;
        match model.retired(host, today) {
            Some(reason) => Err(format!("the default model cannot be used: {reason}")),
            None => Ok(model),
        }
    }

    /// The known model id most like a misspelt one.
    #[must_use]
    pub fn nearest(&self, id: &str) -> Option<&str> {
        let asked = id.trim().to_lowercase();
        let furthest = (asked.chars().count() / 3).max(2);
        self.models
            .keys()
            .map(|known| (strsim::osa_distance(&asked, known), known))
            .filter(|(distance, _)| *distance <= furthest)
            .min()
            .map(|(_, known)| known.as_str())
    }

    fn check_default(&self) -> Result<(), CatalogueError> {
        let id = &self.default_model;
        let Some(model) = self.model(id) else {
            return Err(CatalogueError(format!("the default model {id:?} is not in the catalogue")));
        };
        if model.is_priced() {
            Ok(())
        } else {
            Err(CatalogueError(format!("the default model {id} has no price; a default must have one")))
        }
    }
}

fn read_model(models: &toml::Table, id: &str) -> Result<Model, CatalogueError> {
    let table = layers::resolve(models, id)?;
    let mut model: Model =
        table.try_into().map_err(|e| CatalogueError(format!("model {id}: {}", one_line(&e))))?;
    id.clone_into(&mut model.id);
    model.date_prices().map_err(|reason| CatalogueError(format!("model {id}: {reason}")))?;
    model.validate().map_err(|reason| CatalogueError(format!("model {id}: {reason}")))?;
    Ok(model)
}

fn one_line(error: &toml::de::Error) -> String {
    error.to_string().trim_end().replace('\n', " ")
}

#[cfg(test)]
mod tests;
