//! Names images as a shop wants them: a pattern with placeholders, such as `{id}/{take}.{ext}`.

mod names;
mod safe;

use std::fmt;

use pictor_common::{AssetKey, batch::Line};

pub use self::names::{Clash, Names};
use crate::manifest::normalized;

/// What object names may measure with room for a prefix; paths may be longer.
const NAME_BYTES: usize = 900;
/// Stand in file names on no Windows.
const FORBIDDEN: &[char] = &['\\', ':', '*', '?', '"', '<', '>', '|'];

/// A pattern for names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    /// The pieces of each part between slashes.
    parts: Vec<Vec<Piece>>,
    columns: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Text(String),
    Field(Field),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Field {
    Id,
    Row,
    Take,
    TakeFromOne,
    Key,
    Model,
    Size,
    Ext,
    Batch,
    Column(usize),
}

const FIELDS: &[(&str, Field)] = &[
    ("id", Field::Id),
    ("row", Field::Row),
    ("take", Field::Take),
    ("take1", Field::TakeFromOne),
    ("key", Field::Key),
    ("model", Field::Model),
    ("size", Field::Size),
    ("ext", Field::Ext),
    ("batch", Field::Batch),
];

/// Why a pattern cannot name images.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LayoutError {
    /// There is none.
    #[error("it is empty; write for example {{id}}/{{take}}.{{ext}}")]
    Empty,
    /// A brace has no partner.
    #[error("{0:?} has no partner; a brace that is meant as such is written twice, as {{{{ or }}}}")]
    Brace(char),
    /// No such placeholder.
    #[error("there is no {{{name}}}{}known are {known}", meant(.nearest.as_deref()))]
    Unknown {
        /// As it was written.
        name: String,
        /// What may have been meant.
        nearest: Option<String>,
        /// All there are.
        known: String,
    },
    /// Begins with a slash.
    #[error("it begins with a slash; names lie below --to")]
    Absolute,
    /// Ends with a slash.
    #[error("it ends with a slash; its last part names the file")]
    Folder,
    /// A part that is empty or made of dots.
    #[error("{0:?} cannot stand between slashes")]
    Part(String),
    /// A character that file names cannot hold.
    #[error("{0:?} cannot stand in a file name on every system")]
    Character(char),
}

fn meant(nearest: Option<&str>) -> String {
    nearest.map_or_else(|| "; ".to_owned(), |name| format!("; did you mean {{{name}}}? "))
}

/// An image to be named.
#[derive(Clone, Copy, Debug)]
pub struct Image<'a> {
    /// Its line.
    pub line: &'a Line,
    /// Which of the line's images, from 0.
    pub take: u32,
    /// Its asset.
    pub key: &'a AssetKey,
    /// The model that was asked.
    pub model: &'a str,
    /// Its size, as `WIDTHxHEIGHT`.
    pub size: &'a str,
    /// Extension that fits its bytes.
    pub ext: &'a str,
    /// The batch.
    pub batch: &'a str,
}

/// A name, relative and with slashes, that is a good file name on every system.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Name {
    /// The name.
    pub text: String,
    /// Something in the values had to be replaced or shortened.
    pub altered: bool,
}

/// Why an image has no name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Nameless {
    /// Nothing is left but an extension.
    #[error("{{{0}}} is empty")]
    Empty(String),
    /// All parts together are too long.
    #[error("its name has {0} bytes; {NAME_BYTES} are allowed")]
    Long(usize),
}

impl Layout {
    /// Reads a pattern for a batch with these columns.
    pub fn parse(pattern: &str, columns: &[String]) -> Result<Self, LayoutError> {
        if pattern.trim().is_empty() {
            return Err(LayoutError::Empty);
        }
        let mut parts = vec![Vec::new()];
        let mut text = String::new();
        let mut rest = pattern.chars().peekable();
        while let Some(character) = rest.next() {
            match character {
                '{' | '}' if rest.peek() == Some(&character) => {
                    rest.next();
                    text.push(character);
                }
                '{' => {
                    let mut name = String::new();
                    let closed = rest.by_ref().any(|c| {
                        c == '}' || {
                            name.push(c);
                            false
                        }
                    });
                    if !closed || name.contains(['{', '/']) {
                        return Err(LayoutError::Brace('{'));
                    }
                    let last = parts.last_mut().expect("there is always a part");
                    last.push(Piece::Text(std::mem::take(&mut text)));
                    last.push(Piece::Field(field(&name, columns)?));
                }
                '}' => return Err(LayoutError::Brace('}')),
                '/' => {
                    parts.last_mut().expect("there is always a part").push(Piece::Text(text.split_off(0)));
                    parts.push(Vec::new());
                }
                bad if bad.is_control() || FORBIDDEN.contains(&bad) => {
                    return Err(LayoutError::Character(bad));
                }
                other => text.push(other),
            }
        }
        parts.last_mut().expect("there is always a part").push(Piece::Text(text));
        for part in &mut parts {
            part.retain(|piece| *piece != Piece::Text(String::new()));
        }
        check_parts(&parts)?;
        Ok(Self { parts, columns: columns.to_vec() })
    }

    /// Names an image.
    pub fn name(&self, image: &Image<'_>) -> Result<Name, Nameless> {
        let mut name = Name { text: String::new(), altered: false };
        for part in &self.parts {
            let (mut raw, mut safe) = (String::new(), String::new());
            let mut empty = None;
            let mut says_something = false;
            for piece in part {
                match piece {
                    Piece::Text(text) => {
                        says_something |= text.contains(char::is_alphanumeric);
                        raw += text;
                        safe += text;
                    }
                    Piece::Field(field) => {
                        let value = field.value(image);
                        let clean = safe::value(&value);
                        if clean.is_empty() {
                            empty = empty.or(Some(*field));
                        } else if *field != Field::Ext {
                            says_something = true;
                        }
                        raw += &value;
                        safe += &clean;
                    }
                }
            }
            if let Some(field) = empty.filter(|_| !says_something) {
                return Err(Nameless::Empty(field.title(&self.columns).to_owned()));
            }
            let safe = safe::part(safe);
            name.altered |= safe != raw;
            if !name.text.is_empty() {
                name.text.push('/');
            }
            name.text += &safe;
        }
        match name.text.len() {
            1..=NAME_BYTES => Ok(name),
            bytes => Err(Nameless::Long(bytes)),
        }
    }
}

impl Field {
    fn value(self, image: &Image<'_>) -> String {
        match self {
            Self::Id => image.line.id.clone(),
            Self::Row => image.line.row.to_string(),
            Self::Take => image.take.to_string(),
            Self::TakeFromOne => (u64::from(image.take) + 1).to_string(),
            Self::Key => image.key.to_string(),
            Self::Model => image.model.to_owned(),
            Self::Size => image.size.to_owned(),
            Self::Ext => image.ext.to_owned(),
            Self::Batch => image.batch.to_owned(),
            Self::Column(at) => image.line.cells.get(at).cloned().unwrap_or_default(),
        }
    }

    fn title(self, columns: &[String]) -> &str {
        match self {
            Self::Column(at) => columns.get(at).map_or("", String::as_str),
            own => FIELDS.iter().find(|(_, field)| *field == own).map_or("", |(name, _)| name),
        }
    }
}

/// A word of ours, else a column; `_original` tells a column from a word that is spelt alike.
fn field(name: &str, columns: &[String]) -> Result<Field, LayoutError> {
    let wanted = normalized(name);
    let column = |wanted: &str| columns.iter().position(|title| normalized(title) == wanted);
    let own = FIELDS.iter().find(|(own, _)| *own == wanted).map(|(_, field)| *field);
    let column_of_ours = || column(wanted.strip_suffix("_original")?);
    let found = own.or_else(|| column(&wanted).or_else(column_of_ours).map(Field::Column));
    found.filter(|_| !wanted.is_empty()).ok_or_else(|| unknown(name, &wanted, columns))
}

fn unknown(name: &str, wanted: &str, columns: &[String]) -> LayoutError {
    let own = FIELDS.iter().map(|(own, _)| *own);
    let all =
        || own.clone().chain(columns.iter().map(String::as_str)).filter(|title| !title.trim().is_empty());
    let near = |title: &&str| strsim::damerau_levenshtein(&normalized(title), wanted) <= 2;
    let nearest =
        all().filter(near).min_by_key(|title| strsim::damerau_levenshtein(&normalized(title), wanted));
    let others = columns
        .iter()
        .filter(|title| !title.trim().is_empty() && !FIELDS.iter().any(|(own, _)| *own == normalized(title)));
    let ours = List(FIELDS.iter().map(|(own, _)| *own).collect());
    let theirs = List(others.map(String::as_str).collect());
    let known =
        if theirs.0.is_empty() { ours.to_string() } else { format!("{ours} and the columns {theirs}") };
    LayoutError::Unknown { name: name.to_owned(), nearest: nearest.map(str::to_owned), known }
}

struct List<'a>(Vec<&'a str>);

impl fmt::Display for List<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.0.iter().map(|name| format!("{{{name}}}")).collect();
        f.write_str(&names.join(" "))
    }
}

fn check_parts(parts: &[Vec<Piece>]) -> Result<(), LayoutError> {
    for (i, part) in parts.iter().enumerate() {
        match part.as_slice() {
            [] if i == 0 => return Err(LayoutError::Absolute),
            [] if i + 1 == parts.len() => return Err(LayoutError::Folder),
            [] => return Err(LayoutError::Part(String::new())),
            [Piece::Text(text)] if text.trim().chars().all(|c| c == '.') => {
                return Err(LayoutError::Part(text.clone()));
            }
            _ => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
