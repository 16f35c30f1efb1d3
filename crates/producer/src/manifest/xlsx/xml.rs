//! Reads XML piece by piece, in bounded memory however the file is made.

use std::{
    borrow::Cow,
    io::{self, BufReader, Read},
};

use quick_xml::{
    Reader, XmlVersion,
    events::{BytesRef, BytesStart, Event},
};

use super::{
    super::error::one_line,
    package::{Unpacked, drain},
};

/// Longest tag or text; a cell holds 32,767 characters.
const LONGEST_PIECE: usize = 4 * 1024 * 1024;
/// Elements inside one another; spreadsheets need fewer than ten.
const DEEPEST: usize = 64;

/// One piece of XML.
#[derive(Debug)]
pub(super) enum Piece<'x> {
    Open(Tag),
    Close(&'x str),
    Text(Cow<'x, str>),
    End,
}

/// An element's name and attributes.
#[derive(Debug)]
pub(super) struct Tag(BytesStart<'static>);

/// An XML part of a spreadsheet.
#[derive(Debug)]
pub(super) struct Xml {
    reader: Reader<BufReader<Metered>>,
    buf: Vec<u8>,
    depth: usize,
    name: String,
    /// Holds the name or text of the piece handed out last.
    piece: String,
}

#[derive(Debug)]
struct Metered {
    part: Unpacked,
    allowed: usize,
}

impl Read for Metered {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        if self.allowed == 0 {
            return Err(io::Error::other(
                "the spreadsheet holds a text longer than 4 MiB; no cell may be that long",
            ));
        }
        let room = buf.len().min(self.allowed);
        let length = self.part.read(&mut buf[..room])?;
        self.allowed -= length;
        Ok(length)
    }
}

impl Xml {
    pub(super) fn new(part: Unpacked, name: &str) -> Self {
        let mut reader = Reader::from_reader(BufReader::with_capacity(
            64 * 1024,
            Metered { part, allowed: LONGEST_PIECE },
        ));
        reader.config_mut().expand_empty_elements = true;
        Self { reader, buf: Vec::new(), depth: 0, name: name.to_owned(), piece: String::new() }
    }

    /// The next piece; comments and the like are passed over.
    pub(super) fn next(&mut self) -> Result<Piece<'_>, String> {
        loop {
            self.buf.clear();
            self.reader.get_mut().get_mut().allowed = LONGEST_PIECE;
            let name = &self.name;
            let event = self.reader.read_event_into(&mut self.buf).map_err(|error| told(&error, name))?;
            self.piece.clear();
            match event {
                Event::Start(_) if self.depth == DEEPEST => {
                    return Err(damaged(name, "its elements are nested too deeply"));
                }
                Event::Start(tag) => {
                    self.depth += 1;
                    return Ok(Piece::Open(Tag(tag.into_owned())));
                }
                Event::End(tag) => {
                    self.depth = self.depth.saturating_sub(1);
                    self.piece.push_str(tag.local_name().as_ref());
                    return Ok(Piece::Close(&self.piece));
                }
                Event::Text(text) => self.piece.push_str(&text.xml10_content()),
                Event::CData(text) => self.piece.push_str(&text.xml10_content()),
                Event::GeneralRef(reference) => {
                    let Some(c) = character(&reference) else {
                        return Err(damaged(name, "it names a character that there is not"));
                    };
                    self.piece.push(c);
                }
                Event::Eof => return Ok(Piece::End),
                Event::Empty(_) | Event::Comment(_) | Event::Decl(_) | Event::PI(_) | Event::DocType(_) => {
                    continue;
                }
            }
            return Ok(Piece::Text(Cow::Borrowed(&self.piece)));
        }
    }

    /// Passes over the inside of the element just opened.
    pub(super) fn skip(&mut self) -> Result<(), String> {
        let outside = self.depth.saturating_sub(1);
        while self.depth > outside {
            if matches!(self.next()?, Piece::End) {
                return Err(self.cut());
            }
        }
        Ok(())
    }

    /// Adds the text inside the element just opened; elements inside it count for nothing.
    pub(super) fn text(&mut self, text: &mut String, most: usize) -> Result<(), String> {
        let outside = self.depth.saturating_sub(1);
        while self.depth > outside {
            match self.next()? {
                Piece::Text(more) => text.push_str(&more),
                Piece::Open(_) => self.skip()?,
                Piece::Close(_) => {}
                Piece::End => return Err(self.cut()),
            }
            if text.len() > most {
                return Err(
                    "the spreadsheet holds a text longer than any cell may be (32,767 characters)".to_owned()
                );
            }
        }
        Ok(())
    }

    /// What to say of a part that ends too early.
    pub(super) fn cut(&self) -> String {
        damaged(&self.name, "it ends too early")
    }

    /// Reads the rest, so that the checksum is compared.
    pub(super) fn finish(&mut self) -> Result<(), String> {
        self.reader.get_mut().get_mut().allowed = usize::MAX;
        drain(self.reader.get_mut()).map_err(|error| error.to_string())
    }
}

impl Tag {
    /// The name without its prefix.
    pub(super) fn name(&self) -> &str {
        let whole = self.0.name().into_inner();
        whole.rsplit_once(':').map_or(whole, |(_, local)| local)
    }

    /// An attribute by its name without a prefix.
    pub(super) fn attribute(&self, name: &str) -> Option<Cow<'_, str>> {
        let found = self.0.attributes().with_checks(false).flatten().find(|attribute| {
            let key = attribute.key.into_inner();
            key.rsplit_once(':').map_or(key, |(_, local)| local) == name
        })?;
        found.normalized_value(XmlVersion::Implicit1_0).ok()
    }
}

fn character(reference: &BytesRef<'_>) -> Option<char> {
    match &**reference {
        "amp" => Some('&'),
        "lt" => Some('<'),
        "gt" => Some('>'),
        "quot" => Some('"'),
        "apos" => Some('\''),
        _ => reference.resolve_char_ref().ok().flatten(),
    }
}

fn told(error: &quick_xml::Error, part: &str) -> String {
    match error {
        quick_xml::Error::Io(error) => error.to_string(),
        error => damaged(part, &error.to_string()),
    }
}

fn damaged(part: &str, why: &str) -> String {
    let (part, why) = (one_line(part), one_line(why));
    format!("the spreadsheet's part {part} is damaged: {why}; save it again")
}
