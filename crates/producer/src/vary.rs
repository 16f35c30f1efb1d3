//! What multiplies every row: `style=studio,lifestyle` asks for both of every row.

use std::collections::{BTreeMap, HashSet};

use serde::Serialize;

use crate::manifest::normalized;

/// Most lines that one row may become.
pub(crate) const MOST_OF_ROW: u64 = 10_000;
/// Most lines that a file whose rows are multiplied may become.
pub(crate) const MOST_OF_FILE: u64 = 1_000_000;
/// Longest part of a line id that one value gives.
const LONGEST_SLUG: usize = 32;

/// One thing that varies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Axis {
    /// The column it stands for, as columns are compared.
    pub name: String,
    /// What it may be, each different.
    pub values: Vec<String>,
    /// A row that has a value of its own keeps it. Otherwise that is an error.
    pub gives_way: bool,
    slugs: Vec<String>,
}

impl Axis {
    /// Reads `NAME=VALUE,VALUE`; a value with a comma stands in double quotes.
    pub fn parse(text: &str) -> Result<Self, String> {
        let (name, list) = text
            .split_once('=')
            .ok_or_else(|| format!("{text:?} is not NAME=VALUE,VALUE, such as season=summer,winter"))?;
        let values = values(list).map_err(|why| format!("{}: {why}", name.trim()))?;
        Self::new(name, values)
    }

    /// An axis of these values.
    pub fn new(name: &str, values: Vec<String>) -> Result<Self, String> {
        let name = normalized(name);
        if name.is_empty() {
            return Err("has no name; write NAME=VALUE,VALUE".to_owned());
        }
        if let Some(why) = wrong_values(&values) {
            return Err(format!("{name}: {why}"));
        }
        let slugs = slugs(values.iter().map(String::as_str));
        Ok(Self { name, values, gives_way: false, slugs })
    }

    /// The same, for which a row's own value is no error.
    #[must_use]
    pub fn giving_way(self) -> Self {
        Self { gives_way: true, ..self }
    }

    /// What each value adds to a line id.
    pub(crate) fn slugs(&self) -> &[String] {
        &self.slugs
    }
}

/// Values with commas between them; one with a comma in it stands in double quotes.
fn values(list: &str) -> Result<Vec<String>, String> {
    let mut values = Vec::new();
    let mut rest = list;
    loop {
        let Some(quoted) = rest.trim_start().strip_prefix('"') else {
            let (value, more) =
                rest.split_once(',').map_or((rest, None), |(value, more)| (value, Some(more)));
            values.push(value.trim().to_owned());
            match more {
                Some(more) => rest = more,
                None => return Ok(values),
            }
            continue;
        };
        let doubled = "\"\"";
        let mut end = quoted.find('"');
        while let Some(at) = end.filter(|at| quoted[*at..].starts_with(doubled)) {
            end = quoted[at + 2..].find('"').map(|next| at + 2 + next);
        }
        let end = end.ok_or("a double quote is not closed")?;
        values.push(quoted[..end].replace(doubled, "\"").trim().to_owned());
        rest = quoted[end + 1..].trim_start();
        match rest.strip_prefix(',') {
            Some(more) => rest = more,
            None if rest.is_empty() => return Ok(values),
            None => return Err("text follows a closing double quote; put a comma before it".to_owned()),
        }
    }
}

/// What is wrong with a list of values.
pub(crate) fn wrong_values(values: &[String]) -> Option<String> {
    if values.is_empty() || values.iter().any(|value| value.trim().is_empty()) {
        return Some("a value is empty; leave it out, or name it".to_owned());
    }
    let mut seen = HashSet::new();
    let twice = values.iter().find(|value| !seen.insert(value.trim()))?;
    Some(format!("{twice:?} stands there twice; each value makes a line of its own"))
}

/// The axes as they enter the digest of what is submitted, one text for each matrix.
#[must_use]
pub fn canonical(axes: &[Axis]) -> String {
    let pairs: Vec<_> = axes.iter().map(|axis| (&axis.name, &axis.values, axis.gives_way)).collect();
    serde_json::to_string(&pairs).expect("texts are JSON")
}

/// How many lines some counts make of one row.
pub(crate) fn product(counts: impl IntoIterator<Item = usize>) -> u64 {
    counts.into_iter().fold(1, |lines, count| lines.saturating_mul(count as u64))
}

/// Short forms of values for line ids: each different, and the same in every run.
pub(crate) fn slugs<'v>(values: impl IntoIterator<Item = &'v str>) -> Vec<String> {
    let mut taken: BTreeMap<String, u32> = BTreeMap::new();
    let mut used = HashSet::new();
    let mut unique = |value: &str| {
        let plain = slug(value);
        loop {
            let count = taken.entry(plain.clone()).or_default();
            *count += 1;
            let candidate = if *count == 1 { plain.clone() } else { format!("{plain}-{count}") };
            if used.insert(candidate.clone()) {
                return candidate;
            }
        }
    };
    values.into_iter().map(&mut unique).collect()
}

/// Letters and digits of a value, in lower case, with hyphens between the words.
fn slug(value: &str) -> String {
    let mut out = String::new();
    for word in value.to_lowercase().split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()) {
        let hyphen = usize::from(!out.is_empty());
        if out.len() + hyphen + word.len() > LONGEST_SLUG {
            if out.is_empty() {
                let end = (0..=LONGEST_SLUG).rev().find(|end| word.is_char_boundary(*end)).unwrap_or(0);
                out.push_str(&word[..end]);
            }
            break;
        }
        if hyphen == 1 {
            out.push('-');
        }
        out.push_str(word);
    }
    if out.is_empty() { "x".to_owned() } else { out }
}

/// What multiplied the rows of a file, for the plan.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Matrix {
    /// What varies in every row, and how many values it has.
    pub axes: Vec<(String, usize)>,
    /// Columns that had several values in a cell.
    pub listed: Vec<String>,
}

impl Matrix {
    /// Whether nothing is multiplied.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.axes.is_empty() && self.listed.is_empty()
    }

    /// What the rows are multiplied by: `style 2 × season 2`.
    pub(crate) fn factors(&self) -> String {
        let axes = self.axes.iter().map(|(name, count)| format!("{name} {count}"));
        let listed = self.listed.iter().map(|column| format!("{column} as listed"));
        axes.chain(listed).collect::<Vec<_>>().join(" × ")
    }

    /// The sum in words: `200 rows × style 2 × season 2 = 800 lines`.
    #[must_use]
    pub fn told(&self, rows: u64, lines: u64) -> String {
        let plural = |count: u64, what: &str| format!("{count} {what}{}", if count == 1 { "" } else { "s" });
        let exact = !self.listed.is_empty()
            || product(self.axes.iter().map(|(_, count)| *count)).saturating_mul(rows) == lines;
        let axes: String = self
            .axes
            .iter()
            .map(|(name, count)| format!(" × {name} {}{count}", if exact { "" } else { "up to " }))
            .collect();
        let listed: String = self.listed.iter().map(|column| format!(" × {column} as listed")).collect();
        format!("{}{axes}{listed} = {}", plural(rows, "row"), plural(lines, "line"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_flag_names_values() {
        let axis = Axis::parse("Style = studio, \"oak table, \"\"dusk\"\"\" ,lifestyle").unwrap();
        assert_eq!(axis.name, "style");
        assert_eq!(axis.values, ["studio", "oak table, \"dusk\"", "lifestyle"]);
        assert_eq!(axis.slugs(), ["studio", "oak-table-dusk", "lifestyle"]);
        assert_eq!(Axis::parse("a=\"x,y\"").unwrap().values, ["x,y"]);
    }

    #[test]
    fn a_flag_that_names_none_is_refused() {
        for (text, why) in [
            ("style", "\"style\" is not NAME=VALUE,VALUE, such as season=summer,winter"),
            ("=a,b", "has no name; write NAME=VALUE,VALUE"),
            ("style=", "style: a value is empty; leave it out, or name it"),
            ("style=a,,b", "style: a value is empty; leave it out, or name it"),
            ("style=a,b, a", "style: \"a\" stands there twice; each value makes a line of its own"),
            ("style=a,\"b", "style: a double quote is not closed"),
            ("style=\"a\"b", "style: text follows a closing double quote; put a comma before it"),
        ] {
            assert_eq!(Axis::parse(text).unwrap_err(), why, "{text}");
        }
    }

    #[test]
    fn slugs_are_short_plain_and_different() {
        let long = "a very long description of a place by the sea in the early morning";
        assert_eq!(
            slugs(["Red!", "red", "red-2", "Blåbær 5", "!?", long, &"w".repeat(50)]),
            ["red", "red-2", "red-2-2", "blåbær-5", "x", "a-very-long-description-of-a", &"w".repeat(32)]
        );
    }

    #[test]
    fn the_sum_is_told_as_it_comes_out() {
        let axes = vec![("style".to_owned(), 2), ("season".to_owned(), 2)];
        let matrix = Matrix { axes, listed: Vec::new() };
        assert_eq!(matrix.told(200, 800), "200 rows × style 2 × season 2 = 800 lines");
        let listed = Matrix { listed: vec!["colour".to_owned()], ..Matrix::default() };
        assert_eq!(listed.told(1, 3), "1 row × colour as listed = 3 lines");
    }

    proptest! {
        #[test]
        fn slugs_differ_whatever_the_values(values in prop::collection::vec("[aA -]{0,3}[2é]?", 1..12)) {
            let all = slugs(values.iter().map(String::as_str));
            let different: HashSet<_> = all.iter().collect();
            prop_assert_eq!(different.len(), values.len());
        }
    }
}
