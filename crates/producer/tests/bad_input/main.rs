//! What a person reads when a manifest is wrong, word for word.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on stops")]

use std::collections::BTreeMap;

use pictor_common::catalogue::Catalogue;
use pictor_producer::{
    manifest::{Format, Hosts, IgnoreColumns, Reading, Rules, Setup, Told, check},
    template::Template,
};

mod book;
mod files;
mod hostile;
mod ids;
mod requests;
mod rows;
mod sheets;
mod text;

struct Case {
    file: &'static str,
    content: Vec<u8>,
    template: Option<&'static str>,
    defaults: &'static [(&'static str, &'static str)],
    ignore: IgnoreColumns,
    host: Option<&'static str>,
    told: Told<'static>,
    expected: &'static str,
}

fn case(file: &'static str, content: impl Into<Vec<u8>>, expected: &'static str) -> Case {
    Case {
        file,
        content: content.into(),
        template: None,
        defaults: &[],
        ignore: IgnoreColumns::None,
        host: None,
        told: Told::default(),
        expected,
    }
}

/// Checks a manifest; the columns and prompts found, or what is wrong.
fn verdict(case: &Case) -> Result<Vec<String>, String> {
    let catalogue = Catalogue::embedded();
    let family = catalogue.model("dall-e-3").expect("the catalogue knows it").family.clone();
    let hosts = Hosts(case.host.map(|host| (family, host.to_owned())).into_iter().collect());
    let template = case.template.map(|source| Template::new(source).expect("a good template"));
    let defaults: BTreeMap<_, _> =
        case.defaults.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect();
    let rules = Rules::new(Setup {
        catalogue: &catalogue,
        hosts: &hosts,
        today: "2026-11-21",
        template: template.as_ref(),
        defaults: &defaults,
        ignore: case.ignore.clone(),
    })
    .expect("good defaults");
    let reading = Reading::new(Format::detect(case.file, &case.content), case.told)?;
    let mut prompts = Vec::new();
    check(case.content.as_slice(), case.file, reading, &rules, &BTreeMap::new(), |row| {
        prompts.extend(row.specs.into_iter().filter_map(|spec| spec.prompt));
    })
    .map(|_| prompts)
    .map_err(|bad| bad.to_string())
}

fn assert_refused(cases: impl IntoIterator<Item = Case>) {
    let mut wrong = Vec::new();
    for case in cases {
        let found = verdict(&case).map_err(|text| text.replace(case.file, "F"));
        if found.as_ref().err().map(String::as_str) != Some(case.expected) {
            wrong.push(format!(
                "{}\nexpected:\n{}\nfound:\n{found:#?}",
                String::from_utf8_lossy(&case.content[..case.content.len().min(300)]),
                case.expected
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}
