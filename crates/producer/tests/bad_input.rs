//! What a person reads when a manifest is wrong, word for word.

use std::collections::BTreeMap;

use pictor_common::catalogue::Catalogue;
use pictor_producer::{
    manifest::{Format, Hosts, IgnoreColumns, Rules, Setup, check},
    template::Template,
};

struct Case {
    file: &'static str,
    content: Vec<u8>,
    template: Option<&'static str>,
    defaults: &'static [(&'static str, &'static str)],
    ignore: IgnoreColumns,
    host: Option<&'static str>,
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
    let format = Format::detect(case.file, &case.content);
    let mut prompts = Vec::new();
    check(case.content.as_slice(), case.file, format, &rules, &BTreeMap::new(), |row| {
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
                String::from_utf8_lossy(&case.content),
                case.expected
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

#[test]
fn files_that_are_no_table() {
    assert_refused([
        case("a.csv", "", "F: the file is empty; its first row names the columns"),
        case("a.csv", "id,prompt\n", "F: the file names columns and has no rows"),
        case("a.csv", "id,prompt\n,\n\n", "F: the file names columns and has no rows"),
        case("a.jsonl", "\n", "F: the file is empty; write one JSON object a line"),
        case(
            "a.csv",
            "id;prompt\n1;mug\n",
            "F: the cells seem to be separated by ';'; save the file with commas",
        ),
        case(
            "a.csv",
            b"\xFF\xFEi\0d\0".as_slice(),
            "F: the file is UTF-16; save it as UTF-8 (in a spreadsheet: \"CSV UTF-8\")",
        ),
        case(
            "a.csv",
            b"PK\x03\x04rest".as_slice(),
            "F: the file is a spreadsheet or zip file, not text; save it as \"CSV UTF-8\"",
        ),
        case(
            "a.json",
            "[\n{\"prompt\":\"mug\"}\n]\n",
            "F: the file is one JSON array; write one object a line, without [ ] and commas between",
        ),
        case(
            "a.csv",
            "prompt,Prompt \nmug,cup\n",
            "F: column \"Prompt\": columns 1 and 2 have the same name; rename or remove one",
        ),
    ]);
}

#[test]
fn columns_nobody_uses() {
    assert_refused([
        case(
            "a.csv",
            "prompt,qualty\nmug,high\n",
            "F: column \"qualty\": not a spec field; did you mean \"quality\"?",
        ),
        case(
            "a.csv",
            "prompt,Listing Title\nmug,Mug\n",
            "F: column \"Listing Title\": not a spec field; use it in a template, remove it, or leave it out with \
             --ignore-columns \"Listing Title\"",
        ),
        case(
            "a.jsonl",
            "{\"prompt\":\"mug\"}\n{\"prompt\":\"cup\",\"output_format\":\"png\"}\n",
            "F: row 2, column \"output_format\": not a spec field; did you mean \"format\"?",
        ),
        Case {
            template: Some("a {{ colour }} mug"),
            ..case(
                "a.csv",
                "id,color,prompt\n1,red,mug\n",
                "F: column \"color\": neither a spec field nor used by the template; did you mean \"colour\"?\n\
                 F: column \"prompt\": the template makes the prompt and does not use this column; use it in a \
                 template, remove it, or leave it out with --ignore-columns \"prompt\"\n\
                 F: the template uses \"colour\", and there is no such column; did you mean \"color\"?",
            )
        },
        Case {
            ignore: IgnoreColumns::Named(vec!["note".to_owned()]),
            ..case(
                "a.csv",
                "prompt,Note,szie\nmug,x,1\n",
                "F: column \"szie\": not a spec field; did you mean \"size\"?",
            )
        },
        case(
            "a.csv",
            "prompt,\nmug,\ncup,red\n",
            "F: row 2: column 2 has no name in the header; name it or empty it",
        ),
    ]);
}

#[test]
fn rows_that_are_no_rows() {
    assert_refused([
        case(
            "a.csv",
            "id,prompt\n1,red, mug\n2\n",
            "F: row 1: it has 3 cells and the header has 2; a cell with a comma in it needs double quotes around it\n\
             F: row 2: it has 1 cell and the header has 2; is a comma missing?",
        ),
        case(
            "a.csv",
            "id,prompt\r\n1,mug\r\n2,\"cup\r\n3,jug\r\n",
            "F: row 2: a double quote opened in this row (line 3) is not closed before the end of the file; \
             close it, or write \"\" for a quote inside a cell",
        ),
        case(
            "a.csv",
            "id,prompt\n1,\"mug\n2,cup\n3,\"jug\"\n",
            "F: row 1: text follows a closing double quote in line 4; close the quote opened before it, or write \"\" \
             for a quote inside a cell",
        ),
        case(
            "a.csv",
            "id,prompt\n1,\"mug\n2,cup\n3,\",jug\n",
            "F: row 1: it has 3 cells and the header has 2; it spans lines 2 to 4: is a double quote left open?",
        ),
        case(
            "a.csv",
            b"id,prompt\n1,caf\xE9 mug\n".as_slice(),
            "F: row 1, column \"prompt\": byte 4 of the cell (0xE9) is not UTF-8; save the file as UTF-8",
        ),
        case(
            "a.jsonl",
            b"{\"prompt\":\"caf\xE9\"}\n".as_slice(),
            "F: row 1: byte 15 of the line (0xE9) is not UTF-8; save the file as UTF-8",
        ),
        case(
            "a.jsonl",
            "{\"prompt\":\"mug\"\n[1]\n{\"prompt\":[\"mug\"],\"size\":{\"w\":1}}\n",
            "F: row 1: not one JSON object: the line ends before the object does\n\
             F: row 2: not one JSON object: invalid type: sequence, expected an object\n\
             F: row 3, column \"prompt\": a list; give a text, number or boolean\n\
             F: row 3, column \"size\": an object inside an object; give each value a name of its own",
        ),
    ]);
}

#[test]
fn ids_that_are_no_ids() {
    assert_refused([
        case(
            "a.csv",
            "id,prompt\nsku-1,mug\n2,cup\nsku-1,jug\n",
            "F: row 3, column \"id\": the id \"sku-1\" is already that of row 1; ids must differ",
        ),
        case(
            "a.csv",
            "id,prompt\n2,mug\n,cup\n",
            "F: row 2, column \"id\": the row has no id, and its number 2 is already the id of row 1",
        ),
        case(
            "a.csv",
            "id,prompt\n../x,mug\na\\b,cup\n..,jug\n",
            "F: row 1, column \"id\": the id \"../x\" would be a path; leave out / and \\\n\
             F: row 2, column \"id\": the id \"a\\\\b\" would be a path; leave out / and \\\n\
             F: row 3, column \"id\": the id \"..\" would be a path; leave out / and \\",
        ),
        case(
            "a.csv",
            "id,prompt\na\0b,mug\n",
            "F: row 1, column \"id\": the id holds the control character U+0000; remove it",
        ),
    ]);
}

#[test]
fn cells_that_are_no_values() {
    assert_refused([
        case("a.csv", "id,prompt\n1,\n2,mug\n", "F: row 1, column \"prompt\": the prompt is empty"),
        case(
            "a.csv",
            "id\n1\n",
            "F: row 1, prompt: there is no prompt; add a column named prompt, or give a template",
        ),
        case(
            "a.csv",
            "prompt\nmu\u{7}g\n",
            "F: row 1, column \"prompt\": holds the control character U+0007; remove it",
        ),
        case(
            "a.csv",
            "prompt,size,compression,verbatim,take,n,operation\nmug,big,101,ja,-1,0,paint\n",
            "F: row 1, column \"size\": \"big\" is not a size; write WIDTHxHEIGHT, such as 1024x1024, or auto\n\
             F: row 1, column \"compression\": \"101\" is not a whole number from 0 to 100\n\
             F: row 1, column \"verbatim\": \"ja\" is neither yes nor no; write yes, no, true, false, 1 or 0\n\
             F: row 1, column \"take\": \"-1\" is not a whole number from 0\n\
             F: row 1, column \"operation\": \"paint\" is not an operation; use generate, edit or variation\n\
             F: row 1, column \"n\": \"0\" is not a whole number from 1 to 100",
        ),
        case(
            "a.csv",
            "prompt,n,take\nmug,4,2\n",
            "F: row 1, column \"n\": n and take are both given; n asks for takes 0 to n-1, take for one of them",
        ),
    ]);
}

#[test]
fn what_a_model_refuses() {
    assert_refused([
        case(
            "a.csv",
            "prompt,model\nmug,dalle-3\ncup,midjourney\n",
            "F: row 1, column \"model\": unknown model \"dalle-3\"; did you mean \"dall-e-3\"?\n\
             F: row 2, column \"model\": unknown model \"midjourney\"",
        ),
        case(
            "a.csv",
            "prompt,model,size,n,quality\nmug,dall-e-3,512x512,3,high\n",
            "F: row 1, column \"size\": dall-e-3 makes 1024x1024, 1024x1792 or 1792x1024, not 512x512\n\
             F: row 1, column \"quality\": dall-e-3 takes quality standard or hd, not high",
        ),
        Case {
            host: Some("api.openai.com"),
            ..case(
                "a.csv",
                "prompt,model\nmug,dall-e-3\n",
                "F: row 1, column \"model\": dall-e-3 was retired on api.openai.com on 2026-05-12; use gpt-image-2.5-sunburst",
            )
        },
        case(
            "a.csv",
            format!("prompt,model\n{},dall-e-3\n", "mug ".repeat(1_001)),
            "F: row 1, column \"prompt\": dall-e-3 takes at most 4000 characters, not 4003",
        ),
        Case {
            defaults: &[("style", "vivid")],
            ..case(
                "a.csv",
                "prompt,compression\nmug,80\n",
                "F: row 1, style: gpt-image-2 takes no style; leave it out\n\
                 F: row 1, column \"compression\": compression is for format jpeg or webp, not png; leave it out",
            )
        },
        case("a.csv", "prompt,operation\nmug,edit\n", "F: row 1, inputs: an edit needs an input image"),
    ]);
    let elsewhere =
        Case { host: Some("images.example.com"), ..case("a.csv", "prompt,model\nmug,dall-e-3\n", "") };
    assert_eq!(verdict(&elsewhere).unwrap(), ["mug"]);
}

#[test]
fn prompts_a_template_cannot_make() {
    assert_refused([
        Case {
            template: Some("a mug,\n{{ colour }}"),
            ..case(
                "a.csv",
                "id,colour\n1,red\n2,\n",
                "F: row 2, prompt: template line 2: it needs colour, which is empty in this row; fill the cell, or \
                 write {{ colour or \"…\" }} or {% if colour %}",
            )
        },
        Case {
            template: Some("{% if colour %}{{ colour }}{% endif %}"),
            ..case(
                "a.csv",
                "id,colour\n1,\n",
                "F: row 1, prompt: the template gives an empty prompt for this row",
            )
        },
    ]);
}

#[test]
fn good_rows_beside_a_template() {
    let template = Some("{% if gift %}gift: {% endif %}a {{ colour }} mug by {{ brand }}");
    let content = "{\"colour\":\"red\",\"gift\":true}\n{\"colour\":\"blue\",\"gift\":false,\"n\":2}\n";
    let good = Case { template, defaults: &[("brand", "Acme")], ..case("a.jsonl", content, "") };
    let (gift, plain) = ("gift: a red mug by Acme", "a blue mug by Acme");
    assert_eq!(verdict(&good).unwrap(), [gift, plain, plain]);
}
