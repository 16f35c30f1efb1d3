//! Rows, cells and columns that cannot be used.

use pictor_producer::manifest::IgnoreColumns;

use super::{Case, assert_refused, case, verdict};

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
            "F: row 1, column \"prompt\": byte 4 of the cell (0xE9) is not UTF-8; give --encoding windows-1252 if the file is from Excel on Windows, or save it as UTF-8",
        ),
        case(
            "a.jsonl",
            b"{\"prompt\":\"caf\xE9\"}\n".as_slice(),
            "F: row 1: byte 15 of the line (0xE9) is not UTF-8; give --encoding windows-1252 if the file is from Excel on Windows, or save it as UTF-8",
        ),
        case(
            "a.jsonl",
            "{\"prompt\":\"mug\"\n[1]\n{\"prompt\":[\"mug\"],\"size\":{\"w\":1}}\n",
            "F: row 1: not one JSON object: the line ends before the object does\n\
             F: row 2: not one JSON object: invalid type: sequence, expected an object\n\
             F: row 3, column \"size\": an object inside an object; give each value a name of its own",
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
            "F: row 1, prompt: there is no prompt; add a column named prompt, or make it of other columns with --template",
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
