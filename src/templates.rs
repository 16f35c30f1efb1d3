//! Which prompt template is meant.
//!
//! A text with `{{` or `{%` in it is the template itself. Anything else is a file, if there is one of that name, and
//! otherwise the name of a template that ships with Pictor. `--template-file` is always a file.

use std::{collections::BTreeMap, path::Path};

use pictor_producer::{
    gallery::{self, Shipped},
    manifest::normalized,
    template::Template,
    vary::Axis,
};

use crate::exit::refused;

/// The template of a submission.
#[derive(Debug)]
pub(crate) enum Chosen {
    /// The user's own.
    Own(Template),
    /// One that ships with Pictor.
    Shipped(Shipped),
}

/// Finds the template that the flags name.
pub(crate) fn chosen(text: Option<&str>, file: Option<&Path>) -> anyhow::Result<Option<Chosen>> {
    match (text, file) {
        (Some(text), _) if text.contains("{{") || text.contains("{%") => own("--template", text).map(Some),
        (Some(name), _) => named(name).map(Some),
        (None, Some(path)) => read(path).map(Some),
        (None, None) => Ok(None),
    }
}

/// A file, or else one that ships.
pub(crate) fn named(name: &str) -> anyhow::Result<Chosen> {
    let path = Path::new(name);
    if path.exists() {
        return read(path);
    }
    if let Some(shipped) = gallery::named(name) {
        return Ok(Chosen::Shipped(shipped));
    }
    let names: Vec<String> = gallery::shipped().into_iter().map(|it| it.name).collect();
    let near = gallery::nearest(name).map(|near| format!("; did you mean {near}?")).unwrap_or_default();
    Err(refused(format!(
        "cannot read the template {name}: there is no such file, and the templates that ship are {}{near}",
        names.join(", ")
    )))
}

/// The template as text, or the name of one that ships: what can be kept elsewhere, and is found without a file.
pub(crate) fn kept(text: Option<&str>, file: Option<&Path>) -> anyhow::Result<Option<String>> {
    let path = match (text, file) {
        (Some(text), _) if text.contains("{{") || text.contains("{%") => return Ok(Some(text.to_owned())),
        (Some(name), _) if !Path::new(name).exists() => {
            named(name)?;
            return Ok(Some(name.to_owned()));
        }
        (Some(name), _) => Path::new(name),
        (None, Some(path)) => path,
        (None, None) => return Ok(None),
    };
    let text = std::fs::read_to_string(path)
        .map_err(|error| refused(format!("cannot read the template {}: {error}", path.display())))?;
    if !text.contains("{{") && !text.contains("{%") {
        return Err(refused(format!("the template {} names no column", path.display())));
    }
    own(&path.display().to_string(), &text)?;
    Ok(Some(text))
}

/// What [`kept`] gave; no file is read, whatever it says.
pub(crate) fn found_again(kept: Option<&str>) -> anyhow::Result<Option<Chosen>> {
    match kept {
        None => Ok(None),
        Some(text) if text.contains("{{") || text.contains("{%") => own("the template", text).map(Some),
        Some(name) => match gallery::named(name) {
            Some(shipped) => Ok(Some(Chosen::Shipped(shipped))),
            None => Err(refused(format!("no template ships under the name {name:?}"))),
        },
    }
}

fn read(path: &Path) -> anyhow::Result<Chosen> {
    let text = std::fs::read_to_string(path)
        .map_err(|error| refused(format!("cannot read the template {}: {error}", path.display())))?;
    own(&path.display().to_string(), &text)
}

fn own(name: &str, text: &str) -> anyhow::Result<Chosen> {
    Template::new(text).map(Chosen::Own).map_err(|error| refused(format!("{name}: {error}")))
}

impl Chosen {
    /// The template, with what is set and what varies. What was asked for explicitly wins over what ships; who names
    /// another model gets none of the settings that were chosen for the recommended one.
    pub(crate) fn with(
        self,
        explicit: BTreeMap<String, String>,
        axes: Vec<Axis>,
    ) -> (Option<Template>, BTreeMap<String, String>, Vec<Axis>) {
        let shipped = match self {
            Self::Own(template) => return (Some(template), explicit, axes),
            Self::Shipped(shipped) => shipped,
        };
        let asked = |name: &str| {
            explicit.keys().any(|key| normalized(key) == name) || axes.iter().any(|axis| axis.name == name)
        };
        let mut defaults = shipped.variable_defaults();
        if !asked("model") {
            defaults.extend(shipped.defaults.clone());
        }
        defaults.retain(|name, _| !asked(name));
        let mut all: Vec<Axis> = shipped.axes().into_iter().filter(|axis| !asked(&axis.name)).collect();
        defaults.extend(explicit);
        all.extend(axes);
        (Some(shipped.template()), defaults, all)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(explicit: &[(&str, &str)], vary: &[&str]) -> (BTreeMap<String, String>, Vec<(String, usize)>) {
        let explicit =
            explicit.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let axes = vary.iter().map(|text| Axis::parse(text).unwrap()).collect();
        let (_, defaults, axes) = named("consistent-character").unwrap().with(explicit, axes);
        (defaults, axes.into_iter().map(|axis| (axis.name, axis.values.len())).collect())
    }

    #[test]
    fn what_is_asked_for_wins_over_what_ships() {
        let (defaults, axes) = with(&[], &[]);
        assert_eq!(defaults["model"], "gpt-image-2.5-sunburst");
        assert_eq!(axes, [("pose".to_owned(), 6)]);
        let (defaults, axes) = with(&[("quality", "low"), ("Pose", "front")], &["mood=happy,sad"]);
        assert_eq!((defaults["quality"].as_str(), defaults.get("mood")), ("low", None));
        assert_eq!(axes, [("mood".to_owned(), 2)]);
        let (_, axes) = with(&[], &["mood=happy,sad", "pose=a,b,c"]);
        assert_eq!(axes, [("mood".to_owned(), 2), ("pose".to_owned(), 3)]);
        let (defaults, _) = with(&[("model", "dall-e-3")], &[]);
        assert_eq!((defaults.get("quality"), defaults["model"].as_str()), (None, "dall-e-3"));
        assert!(defaults.contains_key("art"));
    }

    #[test]
    fn an_unknown_name_is_told_what_there_is() {
        let told = named("product-shoot").unwrap_err().to_string();
        assert_eq!(
            told,
            "cannot read the template product-shoot: there is no such file, and the templates that ship are \
             product-shot, consistent-character, illustration-pack; did you mean product-shot?"
        );
    }
}
