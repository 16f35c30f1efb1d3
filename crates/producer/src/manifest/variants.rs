//! What a row becomes when something in it varies: one variant for each combination.

use std::{borrow::Cow, collections::HashSet};

use minijinja::Value;
use pictor_common::asset_key::hex;
use serde_json::value::RawValue;
use sha2::{Digest as _, Sha256};

use super::{
    RowError,
    cell::{Kind, RawRow},
    columns::Use,
    error::shortened,
    field::LONGEST_ID,
    layout::Layout,
    rules::Rules,
};
use crate::vary::{MOST_OF_ROW, product, slugs, wrong_values};

/// What a value is put into.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Target {
    pub(super) field: Option<&'static str>,
    /// Place among the variables of the template.
    pub(super) variable: Option<usize>,
}

/// One thing that varies in a row.
#[derive(Debug)]
struct Dimension<'v> {
    name: Cow<'v, str>,
    target: Target,
    /// The column it stands in or for, where the file has one.
    column: Option<usize>,
    /// Place among the axes that have no column in the file.
    extra: usize,
    /// Whether it stands in the row itself.
    list: bool,
    values: Cow<'v, [String]>,
    kinds: Vec<Kind>,
    slugs: Cow<'v, [String]>,
}

/// Everything that varies in a row; most often nothing.
#[derive(Debug, Default)]
pub(super) struct Variants<'v> {
    dimensions: Vec<Dimension<'v>>,
}

/// One value of one variant.
#[derive(Clone, Copy, Debug)]
pub(super) struct Varied<'v> {
    pub(super) name: &'v str,
    pub(super) target: Target,
    pub(super) column: Option<usize>,
    pub(super) text: &'v str,
    extra: usize,
    kind: Kind,
    slug: &'v str,
}

impl Varied<'_> {
    pub(super) fn value(&self) -> Value {
        self.kind.value(self.text)
    }
}

impl<'v> Variants<'v> {
    /// Works out what varies in a row; adds to `errors` what cannot.
    pub(super) fn of(
        rules: &'v Rules<'_>,
        layout: &Layout,
        titles: &[String],
        raw: &RawRow,
        errors: &mut Vec<RowError>,
    ) -> Self {
        let mut variants = Self::default();
        if rules.axes.is_empty() && !layout.has_lists && !raw.kinds.contains(&Kind::List) {
            return variants;
        }
        variants.add_axes(rules, layout, titles, raw, errors);
        variants.add_lists(layout, titles, raw, errors);
        let count = variants.count();
        if count > MOST_OF_ROW {
            let sum = variants.sum();
            let message = format!("{sum} make {count} lines of this row; at most {MOST_OF_ROW} are allowed");
            errors.push(RowError::row(raw.row, message));
            variants.dimensions.clear();
        }
        variants
    }

    fn add_axes(
        &mut self,
        rules: &'v Rules<'_>,
        layout: &Layout,
        titles: &[String],
        raw: &RawRow,
        errors: &mut Vec<RowError>,
    ) {
        let mut extra = 0;
        for (i, axis) in rules.axes.iter().enumerate() {
            let column = layout.axes[i];
            let own = column.and_then(|column| Some((column, raw.get(column)?)));
            match own {
                Some(_) if axis.axis.gives_way => continue,
                Some((column, text)) => {
                    let message = format!(
                        "the row says {:?}, and --vary {} gives {}; empty the cell or leave --vary {} out",
                        shortened(text),
                        axis.axis.name,
                        shortened(&axis.axis.values.join(", ")),
                        axis.axis.name,
                    );
                    errors.push(RowError::cell(raw.row, &titles[column], text, message));
                }
                None => {}
            }
            self.dimensions.push(Dimension {
                name: Cow::Borrowed(&axis.axis.name),
                target: axis.target,
                column,
                extra,
                list: false,
                values: Cow::Borrowed(&axis.axis.values),
                kinds: Vec::new(),
                slugs: Cow::Borrowed(axis.axis.slugs()),
            });
            extra += usize::from(column.is_none());
        }
    }

    fn add_lists(&mut self, layout: &Layout, titles: &[String], raw: &RawRow, errors: &mut Vec<RowError>) {
        for (column, what) in layout.uses.iter().enumerate() {
            let is_list = layout.lists[column] || raw.kind(column) == Kind::List;
            let Some(text) = raw.get(column).filter(|_| is_list) else { continue };
            let blame = |message: String| RowError::cell(raw.row, &titles[column], text, message);
            let variable = layout.variables.iter().position(|place| *place == Some(column));
            let field = match what {
                Use::Field("take") | Use::Id | Use::Count => {
                    errors.push(blame("a list; give one value".to_owned()));
                    continue;
                }
                Use::Field(field) => Some(*field),
                // All of it is for one image.
                Use::Derive => continue,
                Use::Other | Use::Unnamed => None,
            };
            // Columns that nothing uses may hold what they like.
            if (field.is_none() && variable.is_none()) || self.stands_for(column) {
                continue;
            }
            let (values, kinds): (Vec<_>, Vec<_>) = items(raw.kind(column), text).into_iter().unzip();
            if values.is_empty() {
                continue;
            }
            if let Some(why) = wrong_values(&values) {
                errors.push(blame(why));
            }
            self.dimensions.push(Dimension {
                name: Cow::Owned(layout.names[column].clone()),
                target: Target { field, variable },
                column: Some(column),
                extra: 0,
                list: true,
                slugs: Cow::Owned(slugs(values.iter().map(String::as_str))),
                values: Cow::Owned(values),
                kinds,
            });
        }
    }

    fn stands_for(&self, column: usize) -> bool {
        self.dimensions.iter().any(|dimension| dimension.column == Some(column))
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.dimensions.is_empty()
    }

    /// Columns of the row that hold several values.
    pub(super) fn lists(&self) -> impl Iterator<Item = usize> {
        self.dimensions.iter().filter(|it| it.list).filter_map(|it| it.column)
    }

    /// Lines that the row becomes.
    pub(super) fn count(&self) -> u64 {
        product(self.dimensions.iter().map(|dimension| dimension.values.len()))
    }

    /// `colour 40 × size 300`.
    fn sum(&self) -> String {
        let parts: Vec<String> =
            self.dimensions.iter().map(|it| format!("{} {}", it.name, it.values.len())).collect();
        parts.join(" × ")
    }

    /// The values of a variant, counted from 0; the last thing varies fastest.
    pub(super) fn variant(&self, number: u64) -> Vec<Varied<'_>> {
        let mut rest = number;
        let mut values: Vec<Varied<'_>> = self
            .dimensions
            .iter()
            .rev()
            .map(|it| {
                let count = it.values.len() as u64;
                let place = usize::try_from(rest % count).expect("a place in a list");
                rest /= count;
                Varied {
                    name: &it.name,
                    target: it.target,
                    column: it.column,
                    text: &it.values[place],
                    extra: it.extra,
                    kind: it.kinds.get(place).copied().unwrap_or_default(),
                    slug: &it.slugs[place],
                }
            })
            .collect();
        values.reverse();
        values
    }

    /// The ids of all variants of a row: each different, and the same in every run.
    pub(super) fn ids(&self, row_id: &str) -> Result<Vec<String>, String> {
        let mut ids = Vec::new();
        let mut used = HashSet::new();
        for number in 0..self.count() {
            let slugs: Vec<&str> = self.variant(number).iter().map(|it| it.slug).collect();
            let suffix = slugs.join("-");
            let suffixes = std::iter::once(suffix.clone()).chain((2_u64..).map(|n| format!("{suffix}-{n}")));
            let id = suffixes
                .map(|suffix| joined(row_id, &suffix))
                .find(|id| !used.contains(id))
                .expect("the numbers do not end");
            if id.len() > LONGEST_ID {
                return Err(format!(
                    "the id has {} bytes, too many for what its variants add; at most {LONGEST_ID} are allowed",
                    row_id.len()
                ));
            }
            used.insert(id.clone());
            ids.push(id);
        }
        Ok(ids)
    }
}

/// A line id; a suffix that does not fit is replaced by the start of its digest.
fn joined(row_id: &str, suffix: &str) -> String {
    let plain = format!("{row_id}-{suffix}");
    if plain.len() <= LONGEST_ID {
        return plain;
    }
    format!("{row_id}-{}", &hex(&Sha256::digest(suffix.as_bytes()))[..12])
}

/// Says what varied, for an error that not all variants share.
pub(super) fn named(variant: &[Varied<'_>]) -> String {
    let parts: Vec<String> = variant.iter().map(|it| format!("{} {}", it.name, shortened(it.text))).collect();
    parts.join(", ")
}

/// Puts the values of a variant where the results show them; `titles` is how many columns the file has.
pub(super) fn place(cells: &mut Vec<String>, variant: &[Varied<'_>], titles: usize) {
    for it in variant {
        let column = it.column.unwrap_or(titles + it.extra);
        if cells.len() <= column {
            cells.resize(column + 1, String::new());
        }
        it.text.clone_into(&mut cells[column]);
    }
}

/// The values of a list: a JSON array, or texts with `|` between them, where `\|` is a bar and `\\` a backslash.
pub(super) fn items(kind: Kind, text: &str) -> Vec<(String, Kind)> {
    if kind == Kind::List {
        let items: Vec<&RawValue> = serde_json::from_str(text).unwrap_or_default();
        return items.into_iter().map(item).collect();
    }
    let mut items = vec![String::new()];
    let mut rest = text.chars();
    while let Some(c) = rest.next() {
        let last = items.last_mut().expect("it never gets empty");
        match c {
            '|' => items.push(String::new()),
            '\\' if rest.as_str().starts_with(['|', '\\']) => last.extend(rest.next()),
            c => last.push(c),
        }
    }
    items.into_iter().map(|item| (item.trim().to_owned(), Kind::Text)).collect()
}

/// A number stays as it is written.
fn item(value: &RawValue) -> (String, Kind) {
    let json = value.get();
    match json.as_bytes().first() {
        Some(b'"') => {
            let text: String = serde_json::from_str(json).unwrap_or_default();
            (text.trim().to_owned(), Kind::Text)
        }
        Some(b't' | b'f') => (json.to_owned(), Kind::Bool),
        _ => (json.to_owned(), Kind::Number),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_cell_may_hold_several_values() {
        let texts = |text: &str| -> Vec<String> {
            items(Kind::Text, text).into_iter().map(|(text, _)| text).collect()
        };
        assert_eq!(texts("red | dark blue"), ["red", "dark blue"]);
        assert_eq!(texts(r"a\|b|c\\|d\e"), ["a|b", r"c\", r"d\e"]);
        assert_eq!(texts("red||blue"), ["red", "", "blue"]);
        let mixed = items(Kind::List, r#"["a|b",2,true]"#);
        assert_eq!(
            mixed,
            [("a|b".to_owned(), Kind::Text), ("2".to_owned(), Kind::Number), ("true".to_owned(), Kind::Bool)]
        );
    }

    #[test]
    fn ids_differ_and_fit() {
        let dimension = |values: &[&str]| Dimension {
            name: Cow::Borrowed("a"),
            target: Target::default(),
            column: None,
            extra: 0,
            list: false,
            values: values.iter().map(|value| (*value).to_owned()).collect::<Vec<_>>().into(),
            kinds: Vec::new(),
            slugs: slugs(values.iter().copied()).into(),
        };
        let variants = Variants { dimensions: vec![dimension(&["a", "a b"]), dimension(&["b c", "c"])] };
        assert_eq!(variants.ids("mug").unwrap(), ["mug-a-b-c", "mug-a-c", "mug-a-b-b-c", "mug-a-b-c-2"]);
        let long = variants.ids(&"i".repeat(187)).unwrap();
        assert!(long.iter().all(|id| id.len() <= LONGEST_ID));
        assert_eq!(long.iter().collect::<HashSet<_>>().len(), 4);
        assert!(variants.ids(&"i".repeat(200)).unwrap_err().contains("200 bytes"));
    }

    proptest! {
        #[test]
        fn a_list_comes_back(values in prop::collection::vec(r"[a-c\\|]{1,5}", 1..5)) {
            let escaped: Vec<_> = values.iter().map(|value| value.replace('\\', "\\\\").replace('|', "\\|")).collect();
            let cell = escaped.join("|");
            let back: Vec<String> = items(Kind::Text, &cell).into_iter().map(|(text, _)| text).collect();
            prop_assert_eq!(back, values);
        }
    }
}
