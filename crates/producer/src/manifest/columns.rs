//! What each column of a manifest is for, and what to say of one that is for nothing.

use std::collections::{HashMap, hash_map::Entry};

use pictor_common::{derivative::COLUMN, spec::MANIFEST_FIELDS};

use super::{RowError, error::shortened};
use crate::template::Template;

/// Columns that may stand in a manifest although neither field nor template uses them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum IgnoreColumns {
    /// None: a misspelt column must not be paid for.
    #[default]
    None,
    /// All that are unknown.
    All,
    /// These, even where they are spec fields.
    Named(Vec<String>),
}

/// What a column is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Use {
    /// The row's own id.
    Id,
    /// How many takes.
    Count,
    /// A spec field.
    Field(&'static str),
    /// What is derived from its images.
    Derive,
    /// The template reads it, or nobody.
    Other,
    /// It has no name, which is fine while it is empty.
    Unnamed,
}

/// Names that other tools use for our fields.
const ALIASES: &[(&str, &str)] = &[
    ("output_format", "format"),
    ("response_format", "format"),
    ("output_compression", "compression"),
    ("aspect_ratio", "size"),
    ("dimensions", "size"),
    ("count", "n"),
    ("copies", "n"),
    ("variations", "n"),
    ("sku", "id"),
    ("variant_sku", "id"),
    ("custom_id", "id"),
    ("artikelnummer", "id"),
    ("artikel_nr", "id"),
    ("art_nr", "id"),
    ("article_number", "id"),
    ("item_number", "id"),
    ("product_id", "id"),
    ("ean", "id"),
    ("gtin", "id"),
    ("asin", "id"),
    ("handle", "id"),
    ("text", "prompt"),
    ("derivative", "derive"),
    ("derivatives", "derive"),
    ("thumbnails", "derive"),
];

/// A column's name as it is compared: trimmed, lower-case, `_` for spaces and hyphens, and
/// nothing that has no width.
#[must_use]
pub fn normalized(title: &str) -> String {
    let lower = trimmed(title).to_lowercase();
    let seen = lower.chars().filter(|c| !is_invisible(*c));
    seen.map(|c| if c == '-' || c.is_whitespace() { '_' } else { c }).collect()
}

/// A title without what surrounds it unseen: blanks, and characters of no width.
pub(super) fn trimmed(title: &str) -> &str {
    title.trim_matches(|c: char| c.is_whitespace() || is_invisible(c))
}

/// Characters of no width, which web pages and chats leave in what is copied from them.
pub(super) const fn is_invisible(c: char) -> bool {
    matches!(c, '\u{200B}'..='\u{200F}' | '\u{2060}'..='\u{2064}' | '\u{FEFF}' | '\u{00AD}')
}

/// What is wrong with a header: columns of one name, and what no title holds.
pub(super) fn wrong_titles(titles: &[String]) -> Vec<RowError> {
    let mut errors = Vec::new();
    let mut firsts: HashMap<String, usize> = HashMap::with_capacity(titles.len());
    for (i, title) in titles.iter().enumerate() {
        let mut wrong = |message| {
            errors.push(RowError { column: Some(title.clone()), ..RowError::file(message) });
        };
        if let Some(control) = title.chars().find(|c| c.is_control() && !matches!(c, '\n' | '\r' | '\t')) {
            wrong(format!(
                "the column's name holds the control character U+{:04X}; is the file a table of text?",
                u32::from(control)
            ));
        }
        let name = normalized(title);
        match firsts.entry(name) {
            Entry::Occupied(first) if !first.key().is_empty() => wrong(format!(
                "columns {} and {} have the same name; rename or remove one",
                first.get() + 1,
                i + 1
            )),
            Entry::Occupied(_) => {}
            Entry::Vacant(entry) => {
                entry.insert(i);
            }
        }
    }
    errors
}

/// Tells what a column is for, or why it may not stand there.
pub(super) fn classify(
    title: &str,
    template: Option<&Template>,
    ignore: &IgnoreColumns,
) -> Result<Use, RowError> {
    let name = normalized(title);
    if name.is_empty() {
        return Ok(Use::Unnamed);
    }
    if matches!(ignore, IgnoreColumns::Named(names) if names.iter().any(|n| normalized(n) == name)) {
        return Ok(Use::Other);
    }
    let in_template = template.is_some_and(|t| t.variables().contains(&name));
    match name.as_str() {
        "id" => return Ok(Use::Id),
        "n" => return Ok(Use::Count),
        COLUMN if !in_template => return Ok(Use::Derive),
        "prompt" if template.is_some() => {}
        _ => {
            if let Some(field) = field_named(&name) {
                return Ok(Use::Field(field));
            }
        }
    }
    if in_template || *ignore == IgnoreColumns::All {
        return Ok(Use::Other);
    }
    let message = format!("{}; {}", unused(&name, template), remedy(&name, title, template));
    Err(RowError { column: Some(title.to_owned()), ..RowError::file(message) })
}

/// The spec field of this name.
pub(super) fn field_named(name: &str) -> Option<&'static str> {
    MANIFEST_FIELDS.iter().copied().find(|field| *field == name)
}

fn unused(name: &str, template: Option<&Template>) -> &'static str {
    match (name, template) {
        ("prompt", Some(_)) => "the template makes the prompt and does not use this column",
        (_, Some(_)) => "neither a spec field nor used by the template",
        (_, None) => "not a spec field",
    }
}

fn remedy(name: &str, title: &str, template: Option<&Template>) -> String {
    match nearest(name, template) {
        Some("id") => format!("if these are the ids, say so with --id-column {:?}", shortened(title)),
        Some(near) if near != name => format!("did you mean {near:?}?"),
        _ => format!(
            "use it in a template, remove it, or leave it out with --ignore-columns {:?}",
            shortened(title)
        ),
    }
}

/// The column name most like a misspelt one.
pub(super) fn nearest<'n>(name: &str, template: Option<&'n Template>) -> Option<&'n str> {
    if let Some((_, field)) = ALIASES.iter().find(|(alias, _)| *alias == name) {
        return Some(field);
    }
    let allowed = (name.chars().count() / 3).clamp(1, 3);
    let variables = template.into_iter().flat_map(|t| t.variables().iter().map(String::as_str));
    // One letter is close to everything: `n` is never a suggestion, `id` only for what starts like it.
    let fields =
        MANIFEST_FIELDS.iter().copied().chain(["id"]).filter(|field| name.len() > 2 || *field == "id");
    fields
        .chain(variables)
        .map(|candidate| (strsim::damerau_levenshtein(name, candidate), candidate))
        .filter(|(distance, candidate)| *distance <= allowed && *distance < candidate.chars().count())
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn suggests_what_was_probably_meant() {
        let template = Template::new("{{ colour }}").unwrap();
        for (name, near) in [
            ("qualty", Some("quality")),
            ("prompts", Some("prompt")),
            ("szie", Some("size")),
            ("modle", Some("model")),
            ("output_format", Some("format")),
            ("color", Some("colour")),
            ("ids", Some("id")),
            ("listing_title", None),
            ("a", None),
        ] {
            assert_eq!(nearest(name, Some(&template)), near, "{name}");
        }
    }

    #[test]
    fn a_prompt_beside_a_template_is_a_variable_like_any_other() {
        let none = IgnoreColumns::None;
        let using = Template::new("{{ prompt }}, on white").unwrap();
        let fixed = Template::new("a mug").unwrap();
        assert_eq!(classify("Prompt", Some(&using), &none), Ok(Use::Other));
        assert_eq!(classify("Prompt", None, &none), Ok(Use::Field("prompt")));
        assert!(classify("Prompt", Some(&fixed), &none).is_err());
        assert_eq!(classify("Prompt", Some(&fixed), &IgnoreColumns::All), Ok(Use::Other));
    }

    #[test]
    fn named_columns_are_ignored_even_when_they_are_fields() {
        let named = IgnoreColumns::Named(vec!["Quality".to_owned(), "listing-title".to_owned()]);
        assert_eq!(classify("quality", None, &named), Ok(Use::Other));
        assert_eq!(classify("Listing Title", None, &named), Ok(Use::Other));
        assert_eq!(classify("size", None, &named), Ok(Use::Field("size")));
        assert!(classify("qualty", None, &named).is_err());
    }

    proptest! {
        #[test]
        fn normalizing_twice_changes_nothing(title in "\\PC{0,20}") {
            let once = normalized(&title);
            prop_assert_eq!(normalized(&once), once);
        }

        #[test]
        fn spelling_of_a_title_does_not_matter(words in prop::collection::vec("[a-z]{1,6}", 1..4)) {
            let name = words.join("_");
            prop_assert_eq!(&normalized(&format!(" {}\t", words.join(" ").to_uppercase())), &name);
            prop_assert_eq!(&normalized(&words.join("-")), &name);
        }
    }
}
