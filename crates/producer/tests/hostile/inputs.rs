//! What every reader owes to any bytes at all; shared by the tests and the fuzz targets.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::LazyLock,
};

use super::workbook;
use pictor_common::catalogue::Catalogue;
use pictor_producer::{
    manifest::{Format, Hosts, IgnoreColumns, RowError, Rows, Rules, Setup, check},
    template::Template,
};

static CATALOGUE: LazyLock<Catalogue> = LazyLock::new(Catalogue::embedded);
static HOSTS: LazyLock<Hosts> = LazyLock::new(Hosts::default);
static NO_DEFAULTS: BTreeMap<String, String> = BTreeMap::new();
static TEMPLATE: LazyLock<Template> = LazyLock::new(|| {
    Template::new("{{ title or 'a thing' }}{% if colour %} in {{ colour }}{% endif %}").expect("it compiles")
});
static PLAIN: LazyLock<Rules<'static>> = LazyLock::new(|| rules(None));
static FILLED: LazyLock<Rules<'static>> = LazyLock::new(|| rules(Some(&TEMPLATE)));

fn rules(template: Option<&'static Template>) -> Rules<'static> {
    let setup = Setup {
        catalogue: &CATALOGUE,
        hosts: &HOSTS,
        today: "2026-11-21",
        template,
        defaults: &NO_DEFAULTS,
        ignore: IgnoreColumns::All,
    };
    Rules::new(setup).expect("there are no defaults to be wrong")
}

/// Reads bytes as CSV.
pub(crate) fn csv(data: &[u8]) {
    read(data, "fuzz.csv", Format::Csv);
}

/// Reads bytes as JSON lines.
pub(crate) fn jsonl(data: &[u8]) {
    read(data, "fuzz.jsonl", Format::Jsonl);
}

/// Reads bytes as the parts of a workbook.
pub(crate) fn xlsx(data: &[u8]) {
    let packed = if data.starts_with(b"PK") { data.to_vec() } else { workbook::packed(data) };
    read(&packed, "fuzz.xlsx", Format::Xlsx);
}

/// Whatever the bytes: a manifest without a mistake reads the same again, and a mistake is told by name.
fn read(data: &[u8], name: &str, format: Format) {
    let rules = if data.len().is_multiple_of(2) { &*PLAIN } else { &*FILLED };
    let mut first = Vec::new();
    match check(data, name, format, rules, &NO_DEFAULTS, |row| first.push(row)) {
        Ok(checked) => {
            assert_eq!(checked.lines, first.len() as u64);
            let rows: BTreeSet<u64> = first.iter().map(|line| line.row).collect();
            assert_eq!(checked.rows, rows.len() as u64, "a row that lists several prompts is one row");
            let ids: BTreeSet<&str> = first.iter().map(|row| row.id.as_str()).collect();
            assert_eq!(ids.len(), first.len(), "ids differ");
            assert!(first.iter().all(|row| !row.specs.is_empty()), "a row asks for an image");
            let again = Rows::again(data, format, rules, &checked.columns).expect("it was opened before");
            let again: Vec<_> = again.map(|row| row.expect("it was good before")).collect();
            assert!(
                again.iter().zip(&first).all(|(one, other)| one.specs == other.specs && one.id == other.id)
            );
            assert_eq!(again.len(), first.len());
        }
        Err(bad) => {
            assert!(bad.total > 0 && !bad.errors.is_empty());
            let told = bad.to_string();
            assert!(told.lines().all(|line| line.starts_with(name)), "every line names the file: {told:?}");
            assert!(bad.errors.iter().all(|error| !error.message.is_empty()));
            let one_line = |error: &RowError| !error.told().to_string().contains(char::is_control);
            assert!(bad.errors.iter().all(one_line), "with its id each is one line: {:?}", bad.errors);
        }
    }
}
