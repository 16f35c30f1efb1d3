//! The shipped templates do what they say.

use minijinja::Value;
use pictor_common::catalogue::Catalogue;

use super::*;
use crate::manifest::{Format, Hosts, IgnoreColumns, RowSpecs, Rules, Setup, check};

fn lines(shipped: &Shipped, csv: &str) -> Vec<RowSpecs> {
    let catalogue = Catalogue::embedded();
    let template = shipped.template();
    let mut defaults = shipped.defaults.clone();
    defaults.extend(shipped.variable_defaults());
    let hosts = Hosts::default();
    let setup = Setup {
        catalogue: &catalogue,
        hosts: &hosts,
        today: "2026-11-21",
        template: Some(&template),
        defaults: &defaults,
        ignore: IgnoreColumns::None,
    };
    let rules =
        Rules::new(setup).and_then(|rules| rules.varied(shipped.axes())).unwrap_or_else(|e| panic!("{e:?}"));
    let mut lines = Vec::new();
    check(csv.as_bytes(), "sample.csv", Format::Csv, &rules, &BTreeMap::new(), |line| lines.push(line))
        .unwrap_or_else(|bad| panic!("{}: {bad}", shipped.name));
    lines
}

#[test]
fn every_sample_becomes_prompts_without_a_mistake() {
    for shipped in shipped() {
        let lines = lines(&shipped, &shipped.sample_csv());
        assert_eq!(lines.len(), shipped.lines(), "{}", shipped.name);
        for line in lines {
            let prompt = line.specs[0].prompt.clone().unwrap();
            for odd in ["{{", "{%", "  ", "\n\n\n", " .", " ,", "..", "none", "undefined"] {
                assert!(!prompt.contains(odd), "{}: {odd:?} in\n{prompt}", line.id);
            }
            assert!(prompt.contains("no text") || prompt.contains("No text"), "{prompt}");
        }
    }
}

#[test]
fn variables_are_those_that_the_text_reads() {
    for shipped in shipped() {
        let mut told: Vec<_> = shipped.variables.iter().map(|it| it.name.clone()).collect();
        told.sort();
        assert_eq!(shipped.template().variables(), told, "{}", shipped.name);
        let given = |name: &str| shipped.vary.iter().any(|axis| axis.name == name);
        for it in &shipped.variables {
            assert!(!(it.required && (it.default.is_some() || given(&it.name))), "{}", it.name);
            assert!(!pictor_common::spec::MANIFEST_FIELDS.contains(&it.name.as_str()), "{}", it.name);
        }
        for name in shipped.sample.keys().filter(|name| *name != "id") {
            assert!(told.contains(name), "{name}");
        }
    }
}

#[test]
fn a_required_variable_is_needed_and_the_others_are_not() {
    for shipped in shipped() {
        let template = shipped.template();
        let fill = |leave_out: Option<&str>| {
            let values = template.variables().iter().map(|name| {
                let it = shipped.variables.iter().find(|it| it.name == *name).unwrap();
                let varied = shipped.vary.iter().find(|axis| axis.name == *name);
                match (it.required, varied, &it.default) {
                    (true, ..) if leave_out != Some(name) => Value::from("something"),
                    (_, Some(axis), _) => Value::from(axis.values[0].clone()),
                    (_, _, Some(default)) => Value::from(default.clone()),
                    _ => Value::UNDEFINED,
                }
            });
            template.render(values.collect())
        };
        assert!(fill(None).is_ok(), "{}: {:?}", shipped.name, fill(None));
        for it in shipped.variables.iter().filter(|it| it.required) {
            assert!(fill(Some(&it.name)).is_err(), "{}: {}", shipped.name, it.name);
        }
    }
}

#[test]
fn poses_and_pieces_come_out_as_meant() {
    let shipped = named("consistent-character").unwrap();
    let six = lines(&shipped, &shipped.sample_csv());
    assert_eq!(six[5].id, "mara-waving");
    let prompts: Vec<_> = six.iter().map(|line| line.specs[0].prompt.clone().unwrap()).collect();
    let without_pose = |prompt: &str| -> Vec<String> {
        prompt.lines().filter(|line| !line.starts_with("Pose:")).map(str::to_owned).collect()
    };
    assert!(prompts.iter().all(|prompt| without_pose(prompt) == without_pose(&prompts[0])));
    assert!(prompts[1].contains("Pose: standing, body turned three-quarters"), "{}", prompts[1]);

    let own = lines(&shipped, "id,name,look,outfit,pose\nm,Mara,tall,a red coat,juggling\n");
    assert_eq!(own.len(), 1, "a row's own pose is the only one");
    assert!(own[0].specs[0].prompt.as_ref().unwrap().contains("Pose: juggling."));

    let pack = named("illustration-pack").unwrap();
    let fifteen = lines(&pack, "theme,piece\na bakery,\na bakery,icon rolling pin\n");
    assert_eq!(fifteen.len(), 16);
    let is_icon = |line: &RowSpecs| line.specs[0].prompt.as_ref().unwrap().contains("This piece is an icon");
    assert_eq!(fifteen.iter().filter(|line| is_icon(line)).count(), 11);
    assert!(fifteen[15].specs[0].prompt.as_ref().unwrap().contains("an icon: rolling pin."));
    assert_eq!((fifteen[15].id.as_str(), fifteen[15].row, fifteen[15].line), ("2", 2, 16));
}

#[test]
fn a_name_almost_right_is_recognised() {
    assert_eq!(nearest("product-shots").as_deref(), Some("product-shot"));
    assert_eq!(nearest("character").as_deref(), Some("consistent-character"));
    assert_eq!(nearest("listing"), None);
}
