//! Which sheets a workbook has, and which of them is read.

use std::sync::Arc;

use super::{
    LARGEST_SHEET, SMALL_PART,
    package::Package,
    sheet::Sheet,
    strings::Strings,
    styles::Styles,
    xml::{Piece, Tag, Xml},
};
use crate::manifest::{error::shortened, magic};

/// Sheets a workbook may have.
const MOST_SHEETS: usize = 1_000;

/// A workbook, with all it needs to read a sheet.
#[derive(Debug)]
pub(super) struct Workbook {
    package: Package,
    strings: Arc<Strings>,
    styles: Arc<Styles>,
    pub(super) since_1904: bool,
    sheets: Vec<Named>,
}

#[derive(Debug)]
struct Named {
    name: String,
    part: String,
    hidden: bool,
}

/// One relation of a part to another.
struct Relation {
    id: String,
    kind: String,
    part: String,
}

impl Workbook {
    pub(super) fn open(package: Package) -> Result<Self, String> {
        let root = relations(&package, "", "_rels/.rels")?;
        let main = root
            .iter()
            .find(|relation| relation.kind == "officeDocument")
            .map(|relation| relation.part.as_str());
        let main = main.unwrap_or("xl/workbook.xml");
        let binary = main.to_ascii_lowercase().ends_with(".bin");
        let Some(part) = package.part(main, SMALL_PART)?.filter(|_| !binary) else {
            return Err(magic::no_workbook(package.names()).to_owned());
        };
        let folder = main.rsplit_once('/').map_or("", |(folder, _)| folder);
        let file = main.rsplit_once('/').map_or(main, |(_, file)| file);
        let of_main = relations(&package, folder, &format!("{folder}/_rels/{file}.rels"))?;
        let part_of =
            |kind: &str| of_main.iter().find(|relation| relation.kind == kind).map(|r| r.part.clone());
        let (sheets, since_1904) = sheets(Xml::new(part, main), &of_main)?;
        if sheets.is_empty() {
            return Err(magic::no_workbook(package.names()).to_owned());
        }
        let mut book = Self { package, strings: Arc::default(), styles: Arc::default(), since_1904, sheets };
        if let Some(name) = part_of("styles")
            && let Some(part) = book.package.part(&name, SMALL_PART)?
        {
            book.styles = Arc::new(Styles::read(Xml::new(part, &name))?);
        }
        if let Some(name) = part_of("sharedStrings")
            && let Some(part) = book.package.part(&name, super::most_text(book.package.packed()))?
        {
            book.strings = Arc::new(Strings::read(Xml::new(part, &name))?);
        }
        Ok(book)
    }

    /// The sheet of a name, else the only one with cells in it.
    pub(super) fn sheet(&self, wanted: Option<&str>) -> Result<Sheet, String> {
        if let Some(wanted) = wanted {
            let name = wanted.trim().to_lowercase();
            return match self.sheets.iter().find(|sheet| sheet.name.trim().to_lowercase() == name) {
                Some(sheet) => self.opened(sheet),
                None => Err(format!(
                    "there is no sheet {:?}; the sheets are {}",
                    shortened(wanted),
                    listed(&self.sheets)
                )),
            };
        }
        let mut filled = Vec::new();
        for sheet in self.sheets.iter().filter(|sheet| !sheet.hidden) {
            if self.opened(sheet)?.has_cells()? {
                filled.push(sheet);
            }
        }
        match filled.as_slice() {
            [only] => self.opened(only),
            [] => Err("the spreadsheet is empty; the first row of a sheet names the columns".to_owned()),
            several => Err(format!(
                "several sheets have rows: {}; name one with --sheet",
                listed(several.iter().copied())
            )),
        }
    }

    fn opened(&self, sheet: &Named) -> Result<Sheet, String> {
        match self.package.part(&sheet.part, LARGEST_SHEET)? {
            Some(part) => {
                Sheet::open(Xml::new(part, &sheet.part), Arc::clone(&self.strings), Arc::clone(&self.styles))
            }
            None => Err(format!(
                "the spreadsheet is damaged: the part of sheet {:?} is missing; save it again",
                shortened(&sheet.name)
            )),
        }
    }
}

fn listed<'s>(sheets: impl IntoIterator<Item = &'s Named>) -> String {
    const MOST: usize = 20;
    let mut names: Vec<_> =
        sheets.into_iter().take(MOST + 1).map(|sheet| format!("{:?}", shortened(&sheet.name))).collect();
    if names.len() > MOST {
        names[MOST] = "…".to_owned();
    }
    names.join(", ")
}

/// The sheets of cells in their order, and whether days are counted from 1904.
fn sheets(mut xml: Xml, relations: &[Relation]) -> Result<(Vec<Named>, bool), String> {
    let mut sheets = Vec::new();
    let mut since_1904 = false;
    loop {
        match xml.next()? {
            Piece::Open(tag) if tag.name() == "workbookPr" => {
                since_1904 = tag.attribute("date1904").is_some_and(|said| matches!(&*said, "1" | "true"));
            }
            Piece::Open(tag) if tag.name() == "sheet" => sheets.extend(named(&tag, relations)),
            Piece::Open(_) | Piece::Close(_) | Piece::Text(_) => {}
            Piece::End => return Ok((sheets, since_1904)),
        }
        if sheets.len() > MOST_SHEETS {
            return Err(format!(
                "the spreadsheet has more than {MOST_SHEETS} sheets; save the one that counts as \"CSV UTF-8\""
            ));
        }
    }
}

/// A sheet of cells; charts and macros are none.
fn named(tag: &Tag, relations: &[Relation]) -> Option<Named> {
    let id = tag.attribute("id")?;
    let relation = relations.iter().find(|relation| relation.id == id && relation.kind == "worksheet")?;
    Some(Named {
        name: tag.attribute("name")?.into_owned(),
        part: relation.part.clone(),
        hidden: tag.attribute("state").is_some_and(|state| state != "visible"),
    })
}

/// The relations that a part lists, with the names of the parts they lead to.
fn relations(package: &Package, folder: &str, name: &str) -> Result<Vec<Relation>, String> {
    let Some(part) = package.part(name, SMALL_PART)? else { return Ok(Vec::new()) };
    let mut xml = Xml::new(part, name);
    let mut relations = Vec::new();
    loop {
        match xml.next()? {
            Piece::Open(tag) if tag.name() == "Relationship" => {
                let of = |name| tag.attribute(name).map(std::borrow::Cow::into_owned);
                if let (Some(id), Some(kind), Some(target)) = (of("Id"), of("Type"), of("Target")) {
                    let kind = kind.rsplit('/').next().unwrap_or_default().to_owned();
                    relations.push(Relation { id, kind, part: resolved(folder, &target) });
                }
            }
            Piece::Open(_) | Piece::Close(_) | Piece::Text(_) => {}
            Piece::End => return Ok(relations),
        }
    }
}

/// A part's name, from one that may be relative to a folder.
fn resolved(folder: &str, target: &str) -> String {
    if let Some(absolute) = target.strip_prefix('/') {
        return absolute.to_owned();
    }
    let mut names: Vec<&str> = folder.split('/').filter(|name| !name.is_empty()).collect();
    for name in target.split('/') {
        match name {
            "." | "" => {}
            ".." => {
                names.pop();
            }
            name => names.push(name),
        }
    }
    names.join("/")
}
