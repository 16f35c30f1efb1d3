//! Packs XML into a workbook, so that changed bytes reach the reader instead of breaking the zip.

const PARTS: [(&str, &str); 6] = [
    ("xl/worksheets/sheet1.xml", "<worksheet><sheetData/></worksheet>"),
    ("xl/sharedStrings.xml", "<sst><si><t>id</t></si><si><t>prompt</t></si><si><t>a red mug</t></si></sst>"),
    (
        "xl/styles.xml",
        r#"<styleSheet><numFmts count="1"><numFmt numFmtId="164" formatCode="00000"/></numFmts><cellXfs count="3"><xf numFmtId="0"/><xf numFmtId="14"/><xf numFmtId="164"/></cellXfs></styleSheet>"#,
    ),
    (
        "xl/workbook.xml",
        r#"<workbook xmlns:r="http://schemas.openxmlformats.org/officeDocument/2006/relationships"><sheets><sheet name="A" sheetId="1" r:id="rId1"/></sheets></workbook>"#,
    ),
    (
        "xl/_rels/workbook.xml.rels",
        r#"<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships"><Relationship Id="rId1" Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/worksheet" Target="worksheets/sheet1.xml"/></Relationships>"#,
    ),
    (
        "[Content_Types].xml",
        r#"<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types"/>"#,
    ),
];

/// A workbook whose parts are the texts between `~` marks, in the order sheet, strings, styles,
/// workbook, relations; a part that is empty or absent is an ordinary one.
pub(crate) fn packed(texts: &[u8]) -> Vec<u8> {
    let mut given = texts.split(|byte| *byte == b'~');
    let (mut zip, mut directory) = (Vec::new(), Vec::new());
    for (name, usual) in PARTS {
        let content = given.next().filter(|text| !text.is_empty()).unwrap_or(usual.as_bytes());
        let at = number(zip.len());
        let facts = facts(name, content);
        zip.extend(b"PK\x03\x04");
        zip.extend(&facts);
        zip.extend(name.as_bytes());
        zip.extend(content);
        directory.extend(b"PK\x01\x02\x14\x00");
        directory.extend(&facts);
        directory.extend([0; 10]);
        directory.extend(at);
        directory.extend(name.as_bytes());
    }
    let (at, length) = (number(zip.len()), number(directory.len()));
    let count = [number(PARTS.len())[0], 0];
    zip.extend(directory);
    zip.extend(b"PK\x05\x06\0\0\0\0");
    zip.extend(count.iter().chain(&count).chain(&length).chain(&at).chain(&[0, 0]));
    zip
}

/// What a file's header and the directory say alike: stored as it is, without a time.
fn facts(name: &str, content: &[u8]) -> Vec<u8> {
    let length = number(content.len());
    let mut facts = vec![0x14, 0, 0, 0, 0, 0, 0, 0, 0x21, 0];
    facts.extend(checksum(content).to_le_bytes());
    facts.extend(length.iter().chain(&length).chain(&number(name.len())[..2]).chain(&[0, 0]));
    facts
}

fn number(value: usize) -> [u8; 4] {
    u32::try_from(value).unwrap_or(u32::MAX).to_le_bytes()
}

/// CRC-32 as zip files have it.
fn checksum(content: &[u8]) -> u32 {
    const TABLE: [u32; 256] = table();
    !content.iter().fold(u32::MAX, |sum, byte| TABLE[usize::from(sum.to_le_bytes()[0] ^ byte)] ^ (sum >> 8))
}

const fn table() -> [u32; 256] {
    let mut table = [0; 256];
    let mut at = 0;
    while at < 256 {
        let mut sum = at as u32;
        let mut bit = 0;
        while bit < 8 {
            sum = (sum >> 1) ^ (0xEDB8_8320 & 0_u32.wrapping_sub(sum & 1));
            bit += 1;
        }
        table[at] = sum;
        at += 1;
    }
    table
}
