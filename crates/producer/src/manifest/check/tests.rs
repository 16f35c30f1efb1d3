//! Rows that multiply, and rows that are left out.

use pictor_common::catalogue::Catalogue;

use super::*;
use crate::{
    manifest::{Hosts, IgnoreColumns, Setup},
    template::Template,
    vary::Axis,
};

#[derive(Clone, Copy, Debug, Default)]
struct Case<'a> {
    csv: &'a str,
    json: &'a str,
    template: Option<&'a str>,
    vary: &'a [&'a str],
    refuse: bool,
}

impl Case<'_> {
    fn format(&self) -> Format {
        if self.json.is_empty() { Format::Csv } else { Format::Jsonl }
    }

    fn bytes(&self) -> &[u8] {
        if self.json.is_empty() { self.csv.as_bytes() } else { self.json.as_bytes() }
    }

    fn with<T>(&self, act: impl FnOnce(&Rules<'_>) -> T) -> Result<T, String> {
        let catalogue = Catalogue::embedded();
        let hosts = Hosts::default();
        let template = self.template.map(|text| Template::new(text).unwrap());
        let setup = Setup {
            catalogue: &catalogue,
            hosts: &hosts,
            today: "2026-11-21",
            template: template.as_ref(),
            defaults: &BTreeMap::new(),
            ignore: IgnoreColumns::None,
        };
        let axes = self.vary.iter().map(|text| Axis::parse(text).unwrap()).collect();
        let rules = Rules::new(setup).and_then(|rules| rules.varied(axes));
        let rules =
            rules.map_err(|errors| errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))?;
        Ok(act(&rules.skipping_bad(!self.refuse)))
    }

    /// Both passes, which must agree.
    fn read(&self) -> Result<(Checked, Vec<RowSpecs>), String> {
        self.with(|rules| {
            let mut first = Vec::new();
            let each = |line| first.push(line);
            let checked = check(self.bytes(), "F", self.format(), rules, &BTreeMap::new(), each)
                .map_err(|bad| bad.to_string())?;
            let again = Rows::again(self.bytes(), self.format(), rules, &checked.columns)
                .map_err(|errors| format!("{errors:?}"))?;
            let second: Vec<_> = again
                .without(std::sync::Arc::new(checked.skipped.clone()))
                .map(|row| row.unwrap_or_else(|bad| panic!("{bad:?}")))
                .collect();
            let plain = |lines: &[RowSpecs]| -> Vec<_> {
                lines.iter().map(|it| (it.row, it.line, it.id.clone(), it.specs.clone())).collect()
            };
            assert_eq!(plain(&first), plain(&second));
            Ok((checked, second))
        })?
    }

    fn told(&self) -> String {
        match self.read() {
            Ok((checked, _)) => checked.skipped.errors.map(|bad| bad.to_string()).unwrap_or_default(),
            Err(told) => told,
        }
    }
}

fn prompts(lines: &[RowSpecs]) -> Vec<(u64, &str, &str)> {
    lines.iter().map(|it| (it.line, it.id.as_str(), it.specs[0].prompt.as_deref().unwrap())).collect()
}

#[test]
fn every_row_becomes_all_combinations() {
    let case = Case {
        csv: "id,title,size\nmug,a mug,\n,,\ncup,a cup,\n",
        template: Some("{{ title }}, {{ style }}, {{ season }}"),
        vary: &["style=studio,life style", "season=summer,winter"],
        ..Case::default()
    };
    let (checked, lines) = case.read().unwrap();
    assert_eq!(
        prompts(&lines),
        [
            (1, "mug-studio-summer", "a mug, studio, summer"),
            (2, "mug-studio-winter", "a mug, studio, winter"),
            (3, "mug-life-style-summer", "a mug, life style, summer"),
            (4, "mug-life-style-winter", "a mug, life style, winter"),
            (6, "cup-studio-summer", "a cup, studio, summer"),
            (7, "cup-studio-winter", "a cup, studio, winter"),
            (8, "cup-life-style-summer", "a cup, life style, summer"),
            (9, "cup-life-style-winter", "a cup, life style, winter"),
        ]
    );
    assert_eq!((checked.rows, checked.lines), (2, 8));
    assert_eq!(lines[4].row, 3, "errors name the row of the file");
    assert_eq!(checked.columns, ["id", "title", "size", "style", "season"]);
    assert_eq!(lines[7].cells, ["cup", "a cup", "", "life style", "winter"]);
    assert_eq!(lines[0].specs[0].style, None, "words for the template are no field of the spec");
    assert_eq!(checked.matrix.told(checked.rows, checked.lines), "2 rows × style 2 × season 2 = 8 lines");
}

#[test]
fn fields_vary_and_fill_the_columns_they_have() {
    let case = Case {
        csv: "id,Quality,prompt\na,,mug\n",
        vary: &["quality=low,high", "size=1024x1024,1536 x 1024"],
        ..Case::default()
    };
    let (checked, lines) = case.read().unwrap();
    let found: Vec<_> = lines
        .iter()
        .map(|it| {
            (it.id.as_str(), it.specs[0].quality.as_deref().unwrap(), it.specs[0].size.as_deref().unwrap())
        })
        .collect();
    assert_eq!(
        found,
        [
            ("a-low-1024x1024", "low", "1024x1024"),
            ("a-low-1536-x-1024", "low", "1536x1024"),
            ("a-high-1024x1024", "high", "1024x1024"),
            ("a-high-1536-x-1024", "high", "1536x1024"),
        ]
    );
    assert_eq!(checked.columns, ["id", "Quality", "prompt", "size"]);
    assert_eq!(lines[3].cells, ["a", "high", "mug", "1536 x 1024"]);
}

#[test]
fn a_cell_may_list_values_in_a_table_and_in_json() {
    let template = Some("a {{ colour }} {{ what }}{% if gift %}, a gift{% endif %}");
    let csv = Case {
        csv: "id,what,colour[]\n1,mug,red | dark blue\n2,cup,white\n",
        template: Some("a {{ colour }} {{ what }}"),
        ..Case::default()
    };
    let (checked, lines) = csv.read().unwrap();
    let expected =
        [(1, "1-red", "a red mug"), (2, "1-dark-blue", "a dark blue mug"), (3, "2-white", "a white cup")];
    assert_eq!(prompts(&lines), expected);
    assert_eq!(checked.columns, ["id", "what", "colour"]);
    assert_eq!(lines[1].cells, ["1", "mug", "dark blue"]);
    assert_eq!(checked.matrix.told(2, 3), "2 rows × colour as listed = 3 lines");

    let json = Case {
        json: "{\"id\":1,\"what\":\"mug\",\"colour\":[\"red\",\"dark blue\"],\"gift\":[true,false]}\n\
               {\"id\":2,\"what\":\"a|b\",\"colour\":\"white|black\",\"gift\":false}\n",
        template,
        ..Case::default()
    };
    let (checked, lines) = json.read().unwrap();
    assert_eq!(
        prompts(&lines),
        [
            (1, "1-red-true", "a red mug, a gift"),
            (2, "1-red-false", "a red mug"),
            (3, "1-dark-blue-true", "a dark blue mug, a gift"),
            (4, "1-dark-blue-false", "a dark blue mug"),
            (5, "2", "a white|black a|b"),
        ]
    );
    assert_eq!(checked.columns, ["id", "what", "colour", "gift"]);
}

#[test]
fn what_cannot_vary_is_told() {
    let many = (0..101).map(|i| i.to_string()).collect::<Vec<_>>();
    let long = format!("{}|x", many.join("|"));
    let too_many = format!("id,a[],b[]\n1,{long},{long}\n");
    let template = Some("{{ a }} {{ b }}");
    let list = format!("a={}", many.join(","));
    let other = format!("b={}", many.join(","));
    let cases: &[(Case<'_>, &str)] = &[
        (
            Case {
                csv: "id,prompt,size\n1,mug,1024x1024\n",
                vary: &["size=auto,1536x1024"],
                ..Case::default()
            },
            "F: row 1, column \"size\": the row says \"1024x1024\", and --vary size gives auto, 1536x1024; \
             empty the cell or leave --vary size out",
        ),
        (
            Case { csv: "prompt\nmug\n", vary: &["qualty=low,high"], ..Case::default() },
            "--vary qualty: not a spec field or variable of the template; did you mean \"quality\"?",
        ),
        (
            Case { csv: "prompt\nmug\n", vary: &["n=1,2"], ..Case::default() },
            "--vary n: n says how many images a prompt gets; use n",
        ),
        (
            Case { csv: "prompt\nmug\n", vary: &["size=big,small"], ..Case::default() },
            "--vary size: \"big\" is not a size; write WIDTHxHEIGHT, such as 1024x1024, or auto",
        ),
        (
            Case { csv: "prompt\nmug\n", vary: &["size=auto", "size=1024x1024"], ..Case::default() },
            "--vary size: given twice; name all values at once",
        ),
        (
            Case { csv: "prompt\nmug\n", vary: &["model=dall-e-3,dalle-2"], ..Case::default() },
            "--vary model: unknown model \"dalle-2\"; did you mean \"dall-e-2\"?",
        ),
        (
            Case { csv: "prompt\nmug\n", vary: &["quality=low,hd"], ..Case::default() },
            "F: row 1, quality: gpt-image-2 takes quality auto, low, medium or high, not hd (with quality hd)",
        ),
        (
            Case { csv: "id,prompt\n1,\n", vary: &["quality=low,high"], ..Case::default() },
            "F: row 1, column \"prompt\": the prompt is empty",
        ),
        (
            Case { csv: "id,prompt,size[]\n1,mug,auto||auto\n2,mug,auto|auto\n", ..Case::default() },
            "F: row 1, column \"size[]\": a value is empty; leave it out, or name it\n\
             F: row 2, column \"size[]\": \"auto\" stands there twice; each value makes a line of its own",
        ),
        (
            Case { csv: "id[],prompt\n1,mug\n", ..Case::default() },
            "F: column \"id[]\": id is one value; leave [] out of the title",
        ),
        (
            Case { csv: "prompt,size,size[]\nmug,,\n", ..Case::default() },
            "F: column \"size[]\": columns 2 and 3 have the same name; rename or remove one",
        ),
        (
            Case { json: "{\"id\":[1,2],\"prompt\":\"mug\"}\n", ..Case::default() },
            "F: row 1, column \"id\": a list; give one value",
        ),
        (
            Case { json: "{\"prompt\":[\"a\",[\"b\"]]}\n", ..Case::default() },
            "F: row 1, column \"prompt\": a list inside a list; give texts, numbers or booleans",
        ),
        (
            Case { csv: &too_many, template, ..Case::default() },
            "F: row 1: a 102 × b 102 make 10404 lines of this row; at most 10000 are allowed",
        ),
        (
            Case { csv: "id\n1\n", template, vary: &[&list, &other], ..Case::default() },
            "--vary a 101 × b 101 makes 10201 lines of every row; at most 10000 are allowed",
        ),
        (
            Case { csv: "id,prompt,size[]\nmug,a,auto|1024x1024\nmug-auto,b,\n", ..Case::default() },
            "F: row 2, column \"id\": the id \"mug-auto\" is already that of row 1; ids must differ",
        ),
        (
            Case { csv: "id,prompt,size[]\nmug-auto,b,\nmug,a,auto|1024x1024\n", ..Case::default() },
            "F: row 2, column \"id\": with what varies the id becomes \"mug-auto\", which is already that of row 1; \
             ids must differ",
        ),
    ];
    for (case, expected) in cases {
        assert_eq!(case.told(), *expected);
    }
}

#[test]
fn a_file_does_not_become_millions_of_lines() {
    let values = (0..1_000).map(|i| i.to_string()).collect::<Vec<_>>().join(",");
    let csv = format!("a\n{}", "mug\n".repeat(1_002));
    let vary = format!("b={values}");
    let case = Case { csv: &csv, template: Some("{{ a }} {{ b }}"), vary: &[&vary], ..Case::default() };
    let told = case.with(|rules| check(csv.as_bytes(), "F", Format::Csv, rules, &BTreeMap::new(), drop));
    assert_eq!(
        told.unwrap().unwrap_err().to_string(),
        "F: b 1000 makes more than 1000000 lines of the first 1001 rows; split the file, or vary less"
    );
}

#[test]
fn bad_rows_are_left_out_and_the_others_keep_their_numbers() {
    let csv = "id,prompt,size\n1,mug,1024x1024\n2,,big\n3,a,b,c\n4,cup,\n1,jug,\n";
    let case = Case { csv, ..Case::default() };
    let (checked, lines) = case.read().unwrap();
    assert_eq!(prompts(&lines), [(1, "1", "mug"), (4, "4", "cup")]);
    assert_eq!(checked.skipped.rows, [2, 3, 5]);
    assert_eq!((checked.rows, checked.lines), (2, 2));
    let refused = Case { refuse: true, ..case };
    assert_eq!(refused.read().unwrap_err(), case.told(), "the same words, skipped or refused");

    let varied = Case { vary: &["quality=low,high"], ..case };
    let (_, lines) = varied.read().unwrap();
    let numbers: Vec<_> = lines.iter().map(|it| (it.line, it.id.as_str())).collect();
    assert_eq!(numbers, [(1, "1-low"), (2, "1-high"), (7, "4-low"), (8, "4-high")]);
}

#[test]
fn what_is_wrong_with_the_file_is_refused_whole() {
    for (csv, json, told) in [
        ("id,prompt,qualty\n1,mug,\n", "", "column \"qualty\": not a spec field"),
        ("id,prompt\n1,mug\n2,\"cup\n", "", "not closed before the end of the file"),
        ("id,prompt\n1,mug\n2", "", "the file seems cut off; get it again"),
        ("id,prompt\n", "", "has no rows"),
        ("", "{\"prompt\":\"mug\"}\n{\"prompt\":\"c", "the file seems cut off; get it again"),
        // The column would be passed over in all rows behind the one that is blamed.
        (
            "",
            "{\"prompt\":\"mug\"}\n{\"prompt\":\"cup\",\"qualty\":1}\n",
            "row 2, column \"qualty\": not a spec",
        ),
    ] {
        let case = Case { csv, json, ..Case::default() };
        let refused = case.read().unwrap_err();
        assert!(refused.contains(told), "{refused}");
    }
    let whole = Case { csv: "id,prompt\n1,mug\n2\n", ..Case::default() };
    assert_eq!(whole.read().unwrap().0.skipped.rows, [2], "with its line end it is one bad row");
}

#[test]
fn all_rows_bad_is_no_good_file_but_one_that_can_be_written_down() {
    let case = Case { csv: "id,prompt\n1,\n2,\n", ..Case::default() };
    let (checked, lines) = case.read().unwrap();
    assert_eq!((checked.rows, lines.len(), checked.skipped.rows.len()), (0, 0, 2));
}

#[test]
fn our_own_errors_are_passed_over() {
    let mended = "id,prompt,error\n1,'=a mug,\"row 1: wrong\"\n2,'tis a cup,\n";
    let (checked, lines) = Case { csv: mended, ..Case::default() }.read().unwrap();
    assert_eq!(checked.columns, ["id", "prompt"]);
    assert_eq!(prompts(&lines), [(1, "1", "=a mug"), (2, "2", "'tis a cup")]);
    assert_eq!(lines[0].cells, ["1", "=a mug"]);

    let plain = Case { csv: "id,prompt\n1,'=a mug\n", ..Case::default() };
    assert_eq!(prompts(&plain.read().unwrap().1), [(1, "1", "'=a mug")], "only of our own tables");
    let elsewhere = Case { csv: "id,error,prompt\n1,x,mug\n", ..Case::default() };
    assert!(elsewhere.read().unwrap_err().contains("column \"error\": not a spec field"));
    let used = Case { csv: "id,error\n1,x\n", template: Some("{{ error }}"), ..Case::default() };
    assert_eq!(prompts(&used.read().unwrap().1), [(1, "1", "x")]);
}

#[test]
fn a_garbled_character_is_not_paid_for() {
    let told = Case { csv: "prompt\ncaf\u{fffd}\n", ..Case::default() }.told();
    assert!(told.contains("U+FFFD"), "{told}");
}
