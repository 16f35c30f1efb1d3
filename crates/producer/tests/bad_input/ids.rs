//! Ids that cannot be what somebody meant, or no file name.

use super::{assert_refused, case};

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
fn ids_that_are_no_file_names() {
    assert_refused([
        case(
            "a.csv",
            "id,prompt\nC:x,a\n.htaccess,b\nNUL,c\ncom1.png,d\nsku\u{200b}-1,e\n/etc/passwd,f\n",
            "F: row 1, column \"id\": the id \"C:x\" would be a drive; leave out the colon\n\
             F: row 2, column \"id\": the id \".htaccess\" would be a hidden file; begin it with another character\n\
             F: row 3, column \"id\": the id \"NUL\" is the name of a device on Windows; choose another\n\
             F: row 4, column \"id\": the id \"com1.png\" is the name of a device on Windows; choose another\n\
             F: row 5, column \"id\": the id holds U+200B, which cannot be seen; remove it\n\
             F: row 6, column \"id\": the id \"/etc/passwd\" would be a path; leave out / and \\",
        ),
        case(
            "a.csv",
            format!("id,prompt\n{},mug\n", "é".repeat(101)),
            "F: row 1, column \"id\": the id has 202 bytes; at most 200 are allowed",
        ),
        case(
            "a.csv",
            "id,prompt\n\"a\nb\",mug\n",
            "F: row 1, column \"id\": the id holds the control character U+000A; remove it",
        ),
    ]);
}

#[test]
fn ids_that_excel_wrote() {
    assert_refused([
        case(
            "a.csv",
            "id,prompt\n4.00638E+12,mug\n4.00638E+12,cup\n",
            "F: row 1, column \"id\": Excel turned the id into 4.00638E+12 and its digits are lost; in the spreadsheet, format \
             the column as Text and enter the ids again, then save it again\n\
             F: row 2, column \"id\": Excel turned the id into 4.00638E+12 and its digits are lost; in the spreadsheet, format \
             the column as Text and enter the ids again, then save it again",
        ),
        case(
            "a.csv",
            "ID;prompt\n1,2E+12;mug\n#REF!;cup\n",
            "F: row 1, column \"ID\": Excel turned the id into 1,2E+12 and its digits are lost; in the spreadsheet, format \
             the column as Text and enter the ids again, then save it again\n\
             F: row 2, column \"ID\": the error #REF! of a spreadsheet; mend the formula, or write the value itself",
        ),
        case(
            "a.jsonl",
            "{\"id\":1.10,\"prompt\":\"mug\"}\n{\"id\":true,\"prompt\":true}\n",
            "F: row 1, column \"id\": the id is the number 1.10, which may have lost zeros (1.100); write it as text\n\
             F: row 2, column \"id\": true is a yes or no, not a text; write it as text\n\
             F: row 2, column \"prompt\": true is a yes or no, not a text; write it as text",
        ),
    ]);
}
