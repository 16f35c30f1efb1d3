//! Ids that stand in a column that is not called so.

use std::collections::BTreeMap;

use pictor_common::catalogue::Catalogue;
use pictor_producer::{
    manifest::{Format, Hosts, IgnoreColumns, Rules, Setup, check},
    template::Template,
    vary::Axis,
};

/// The ids and prompts of all lines, or what is wrong.
fn lines(
    column: Option<&str>,
    template: Option<&str>,
    ignore: &[&str],
    format: Format,
    manifest: &str,
) -> Result<Vec<(String, String)>, String> {
    let (catalogue, hosts) = (Catalogue::embedded(), Hosts::default());
    let template = template.map(|source| Template::new(source).expect("a good template"));
    let ignore = match ignore {
        [] => IgnoreColumns::None,
        ["*"] => IgnoreColumns::All,
        names => IgnoreColumns::Named(names.iter().map(|name| (*name).to_owned()).collect()),
    };
    let setup = Setup {
        catalogue: &catalogue,
        hosts: &hosts,
        today: "2026-11-21",
        template: template.as_ref(),
        defaults: &BTreeMap::new(),
        ignore,
    };
    let rules = Rules::new(setup).expect("no defaults").with_ids_in(column)?;
    let mut lines = Vec::new();
    check(manifest.as_bytes(), "F", format, &rules, &BTreeMap::new(), |row| {
        lines.push((row.id, row.specs[0].prompt.clone().unwrap_or_default()));
    })
    .map_err(|bad| bad.to_string())?;
    Ok(lines)
}

fn ids(found: Result<Vec<(String, String)>, String>) -> Vec<String> {
    found.expect("a good manifest").into_iter().map(|(id, _)| id).collect()
}

const SHOP: &str = "Artikel-Nr;prompt\nA1;a mug\nA2;a cup\n";

#[test]
fn any_column_may_hold_the_ids() {
    assert_eq!(ids(lines(Some("artikel nr"), None, &[], Format::Csv, SHOP)), ["A1", "A2"]);
    let json =
        "{\"prompt\":\"a mug\",\"SKU\":\"A1\"}\n{\"SKU\":2,\"prompt\":\"a cup\"}\n{\"prompt\":\"a jug\"}\n";
    assert_eq!(ids(lines(Some("SKU"), None, &[], Format::Jsonl, json)), ["A1", "2", "3"]);
    // The template may read it too, by either name.
    let template = Some("{{ sku }}/{{ id }} {{ what }}");
    let table = "SKU,what\nA1,mug\n";
    let found = lines(Some("SKU"), template, &[], Format::Csv, table);
    assert_eq!(found, Ok(vec![("A1".to_owned(), "A1/A1 mug".to_owned())]));
    assert_eq!(
        ids(lines(Some("id"), None, &[], Format::Csv, "id,prompt\nA1,a mug\n")),
        ["A1"],
        "it may be named as it is"
    );
    let both = "id,SKU,prompt\n7,A1,a mug\n";
    for ignored in [&["id"][..], &["*"]] {
        assert_eq!(ids(lines(Some("SKU"), None, ignored, Format::Csv, both)), ["A1"]);
    }
    assert_eq!(ids(lines(None, None, &["SKU"], Format::Csv, both)), ["7"]);
}

#[test]
fn what_is_wrong_with_it_is_told() {
    for (column, format, manifest, why) in [
        (
            None,
            Format::Csv,
            SHOP,
            "F: column \"Artikel-Nr\": not a spec field; if these are the ids, say so with --id-column \"Artikel-Nr\"",
        ),
        (
            None,
            Format::Csv,
            "SKU,prompt\nA1,a mug\n",
            "F: column \"SKU\": not a spec field; if these are the ids, say so with --id-column \"SKU\"",
        ),
        (
            Some("SKU"),
            Format::Csv,
            "id,prompt\nA1,a mug\n",
            "F: column \"id\": the ids are in \"sku\", as --id-column says; leave this column out with --ignore-columns \"id\"\n\
             F: --id-column: there is no column \"sku\"; the columns are id, prompt",
        ),
        (
            Some("artikelnr"),
            Format::Jsonl,
            "{\"artikel_n\":\"A1\",\"prompt\":\"a mug\"}\n",
            "F: --id-column: there is no column \"artikelnr\"; did you mean \"artikel_n\"?\n\
             F: row 1, column \"artikel_n\": not a spec field; use it in a template, remove it, or leave it out with --ignore-columns \"artikel_n\"",
        ),
        (
            Some("SKU"),
            Format::Csv,
            "SKU,prompt\nA1,a mug\n../x,a cup\nA1,a jug\n",
            "F: row 2, column \"SKU\": the id \"../x\" would be a path; leave out / and \\\n\
             F: row 3, column \"SKU\": the id \"A1\" is already that of row 1; ids must differ",
        ),
    ] {
        assert_eq!(lines(column, None, &[], format, manifest), Err(why.to_owned()), "{manifest}");
    }
    for (column, why) in [
        ("size", "--id-column \"size\": that is the size of an image; name the column of the ids"),
        ("N", "--id-column \"N\": that says how many images a prompt gets; name the column of the ids"),
        (" ", "--id-column \" \": that names no column; name the column of the ids"),
    ] {
        assert_eq!(lines(Some(column), None, &[], Format::Csv, SHOP), Err(why.to_owned()));
    }
}

#[test]
fn ids_do_not_vary() {
    let (catalogue, hosts) = (Catalogue::embedded(), Hosts::default());
    let template = Template::new("{{ sku }}").expect("a good template");
    let setup = Setup {
        catalogue: &catalogue,
        hosts: &hosts,
        today: "2026-11-21",
        template: Some(&template),
        defaults: &BTreeMap::new(),
        ignore: IgnoreColumns::None,
    };
    let rules = Rules::new(setup).expect("no defaults").with_ids_in(Some("SKU")).expect("a column");
    let varied = rules.varied(vec![Axis::parse("sku=a,b").expect("an axis")]);
    let errors: Vec<String> = varied.expect_err("refused").iter().map(ToString::to_string).collect();
    assert_eq!(errors, ["--vary sku: an id belongs to one row"]);
}
