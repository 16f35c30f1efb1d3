//! The model catalogue: what each model accepts, costs and allows, and until when.

use std::{collections::BTreeMap, time::Duration};

use crate::{Spec, spec::Operation};

/// A set of models, embedded and overridable by a file.
#[derive(Clone, Debug, Default)]
pub struct Catalogue {
    models: BTreeMap<String, Model>,
}

/// One model.
#[derive(Clone, Debug, Default)]
pub struct Model {
    /// Id as the API names it.
    pub id: String,
    /// Family: models that share a limit, such as `gpt-image`; part of the route.
    pub family: String,
    /// What it can be asked.
    pub operations: Vec<Operation>,
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

impl Catalogue {
    /// The catalogue that ships with Pictor.
    #[must_use]
    pub fn embedded() -> Self {
        Self::default()
    }

    /// Lays a catalogue file over this one: its models are added, or replace the fields they name.
    pub fn overridden(self, toml: &str) -> Result<Self, CatalogueError> {
        let _ = toml;
        Ok(self)
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

    /// The model used where none is named.
    #[must_use]
    pub fn default_model(&self) -> &str {
        "gpt-image-2"
    }

    /// The known model id most like a misspelt one.
    #[must_use]
    pub fn nearest(&self, id: &str) -> Option<&str> {
        let _ = id;
        None
    }
}

impl Model {
    /// Everything about a spec that this model would refuse; empty when it is fine.
    #[must_use]
    pub fn check(&self, spec: &Spec) -> Vec<Problem> {
        let _ = spec;
        Vec::new()
    }

    /// Says why the model cannot be used on a host on a day (`YYYY-MM-DD`), and what replaces it.
    ///
    /// Retirement is the host's: `dall-e-3` is gone from `api.openai.com` and alive elsewhere.
    #[must_use]
    pub fn retired(&self, host: &str, today: &str) -> Option<String> {
        let _ = (host, today);
        None
    }

    /// How long one request may take before it is given up as unknown.
    #[must_use]
    pub fn timeout(&self) -> Duration {
        Duration::from_secs(600)
    }

    /// Default limits per minute of this model's family: requests, images. `None` is no known limit.
    #[must_use]
    pub fn default_limits(&self) -> (Option<u64>, Option<u64>) {
        (None, None)
    }
}
