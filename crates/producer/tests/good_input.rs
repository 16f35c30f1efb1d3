//! What rows become when nothing is wrong with them.

use std::collections::BTreeMap;

use pictor_common::{AssetKey, catalogue::Catalogue};
use pictor_producer::{
    content::content_digest,
    manifest::{Checked, Format, Hosts, IgnoreColumns, RowSpecs, Rows, Rules, Setup, check},
    plan::{Plan, Standing},
    template::Template,
};

struct Shop {
    catalogue: Catalogue,
    hosts: Hosts,
    template: Option<Template>,
    defaults: BTreeMap<String, String>,
    ignore: IgnoreColumns,
}

impl Shop {
    fn new(template: Option<&str>, defaults: &[(&str, &str)]) -> Self {
        Self {
            catalogue: Catalogue::embedded(),
            hosts: Hosts::default(),
            template: template.map(|source| Template::new(source).expect("a good template")),
            defaults: defaults.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect(),
            ignore: IgnoreColumns::None,
        }
    }

    fn rules(&self) -> Rules<'_> {
        Rules::new(Setup {
            catalogue: &self.catalogue,
            hosts: &self.hosts,
            today: "2026-11-21",
            template: self.template.as_ref(),
            defaults: &self.defaults,
            ignore: self.ignore.clone(),
        })
        .expect("good defaults")
    }

    /// Both passes over a manifest, which must agree.
    fn read(&self, format: Format, content: &str) -> (Checked, Vec<RowSpecs>) {
        let rules = self.rules();
        let mut first = Vec::new();
        let checked = check(content.as_bytes(), "a", format, &rules, &BTreeMap::new(), |row| first.push(row));
        let checked = checked.unwrap_or_else(|bad| panic!("{bad}"));
        let again = Rows::again(content.as_bytes(), format, &rules, &checked.columns).expect("a good header");
        let second: Vec<_> = again.map(Result::unwrap).collect();
        for (early, late) in first.iter_mut().zip(&second) {
            early.cells.resize(late.cells.len(), String::new());
        }
        assert_eq!(first, second);
        (checked, second)
    }
}

#[test]
fn a_real_export_with_its_mess() {
    let shop = Shop::new(None, &[("quality", "low")]);
    let content = "\u{feff}ID, Prompt ,Size,Quality,N,\r\n\
                   sku-1,\"  a \"\"red\"\" mug,\r\nlarge \",1024 × 1536,,2.0,\r\n\
                   ,,,,,\r\n\
                   ,cup,AUTO,High,,\r\n";
    let (checked, rows) = shop.read(Format::Csv, content);
    assert_eq!(checked.columns, ["ID", "Prompt", "Size", "Quality", "N", ""]);
    assert_eq!(checked.rows, 2);

    let [mug, cup] = rows.as_slice() else { panic!("{rows:?}") };
    assert_eq!((mug.row, mug.id.as_str(), mug.specs.len()), (1, "sku-1", 2));
    assert_eq!(mug.cells[1], "  a \"red\" mug,\r\nlarge ");
    let [first, second] = mug.specs.as_slice() else { panic!("{mug:?}") };
    assert_eq!(first.prompt.as_deref(), Some("a \"red\" mug,\nlarge"));
    assert_eq!((first.size.as_deref(), first.quality.as_deref()), (Some("1024x1536"), Some("low")));
    assert_eq!((first.take, second.take), (0, 1));
    assert_eq!(first.model, shop.catalogue.default_model());

    assert_eq!((cup.row, cup.id.as_str()), (3, "3"));
    assert_eq!((cup.specs[0].size.as_deref(), cup.specs[0].quality.as_deref()), (Some("auto"), Some("high")));
    assert_eq!(cup.route.as_str(), "gpt-image.generate");
    assert!(cup.estimate.ceiling >= cup.estimate.expected && cup.estimate.expected.0 > 0);
}

#[test]
fn json_and_csv_of_one_catalogue_give_the_same_keys() {
    let shop =
        Shop::new(Some("{{ title }}{% if colour %}, {{ colour }}{% endif %}"), &[("size", "1024x1024")]);
    let csv = "title,colour,n,compression,format\nmug,red,2,80,jpeg\ncup,,,,\n";
    let jsonl = "{\"title\":\"mug\",\"colour\":\"red\",\"n\":2,\"compression\":80.0,\"format\":\"JPG\"}\n\
                 {\"title\":\"cup\",\"colour\":null}\n";
    let keys = |rows: Vec<RowSpecs>| -> Vec<AssetKey> {
        rows.iter().flat_map(|row| row.specs.iter().map(AssetKey::of)).collect()
    };
    let (_, from_csv) = shop.read(Format::Csv, csv);
    let (_, from_jsonl) = shop.read(Format::Jsonl, jsonl);
    assert_eq!(from_csv[1].specs[0].prompt.as_deref(), Some("cup"));
    assert_eq!(keys(from_csv), keys(from_jsonl));
}

#[test]
fn a_template_may_name_columns_as_the_file_does() {
    let shop = Shop::new(Some("{{ Title }} in {{ Colour }}, {{ Variant_SKU }}"), &[("Colour", "sage")]);
    let (_, rows) = shop.read(Format::Csv, "Title,COLOUR,Variant SKU\nmug,,A1\n");
    assert_eq!(rows[0].specs[0].prompt.as_deref(), Some("mug in sage, A1"));
    let (_, rows) =
        shop.read(Format::Jsonl, "{\"Title\":\"mug\",\"colour\":\"red\",\"variant-sku\":\"A1\"}\n");
    assert_eq!(rows[0].specs[0].prompt.as_deref(), Some("mug in red, A1"));
}

#[test]
fn columns_asked_to_be_ignored_are_kept_for_the_results() {
    let shop = Shop { ignore: IgnoreColumns::All, ..Shop::new(None, &[]) };
    let (checked, rows) = shop.read(Format::Csv, "prompt,stock,qualty\nmug,5,high\n");
    assert_eq!(checked.columns, ["prompt", "stock", "qualty"]);
    assert_eq!(rows[0].cells, ["mug", "5", "high"]);
    assert_eq!(rows[0].specs[0].quality, None);
}

#[test]
fn the_row_decides_over_the_default() {
    let shop = Shop::new(None, &[("n", "3"), ("model", "dall-e-3"), ("verbatim", "yes")]);
    let content = "prompt,model,n,take,verbatim\nmug,,,,\ncup,gpt-image-2,1,,no\njug,dall-e-2,,7,0\n";
    let (_, rows) = shop.read(Format::Csv, content);
    let shapes: Vec<_> = rows
        .iter()
        .map(|row| (row.specs[0].model.as_str(), row.specs.len(), row.specs[0].take, row.specs[0].verbatim))
        .collect();
    assert_eq!(shapes, [("dall-e-3", 3, 0, true), ("gpt-image-2", 1, 0, false), ("dall-e-2", 1, 7, false)]);
}

#[test]
fn the_content_digest_is_that_of_the_whole_submission() {
    let shop = Shop::new(Some("{{ title }}"), &[]);
    let content = "title\nmug\n";
    let (checked, _) = shop.read(Format::Csv, content);
    let rules = shop.rules();
    let alone =
        content_digest(Some("{{ title }}"), rules.defaults(), &BTreeMap::new(), content.as_bytes()).unwrap();
    assert_eq!(checked.content, alone);
    let (with_end, _) = shop.read(Format::Csv, "title\nmug\n\n");
    assert_ne!(with_end.content, checked.content);
}

#[test]
fn a_plan_from_a_manifest() {
    let shop = Shop::new(None, &[("model", "dall-e-3")]);
    let (_, rows) = shop.read(Format::Csv, "prompt,n,size\nmug,2,\nmug,,1024x1024\ncup,,1792x1024\n");
    let mut plan = Plan::new(false);
    let mut lines = Vec::new();
    for row in rows {
        let planned = plan.row(row);
        plan.add(planned.assets.iter().map(|asset| (asset, Standing::New)));
        lines.push(planned.line);
    }
    assert_eq!((plan.takes, plan.assets, plan.duplicates, plan.to_make), (4, 3, 1, 3));
    assert_eq!(lines[1].keys[0], lines[0].keys[0]);
    assert_eq!(plan.ceiling.to_string(), "$0.16");
    let json = serde_json::to_value(&plan).unwrap();
    assert_eq!((&json["ceiling"], &json["duplicates"]), (&160_000.into(), &1.into()));
}
