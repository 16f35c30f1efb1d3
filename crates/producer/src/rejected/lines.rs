//! Bad lines of a JSONL file as they stand there, each with what is wrong with it.

use std::io::{self, BufRead as _, BufReader, Read};

use super::{ERROR, UTF8_MARK, told};
use crate::manifest::{BadRow, Pairs, Skipped, normalized};

/// The line of a bad row with its error as the last member. Before a line that is no object stands one with the error
/// alone.
pub(super) fn line(bad: &BadRow, line: &[u8], skipped: &Skipped) -> Vec<u8> {
    let error = (ERROR.to_owned(), quoted(&told(bad)));
    let line = line.strip_prefix(UTF8_MARK).unwrap_or(line).trim_ascii();
    let text = std::str::from_utf8(line).ok();
    let Some(Pairs(pairs)) = text.and_then(|text| serde_json::from_str::<Pairs<'_>>(text).ok()) else {
        return [object(&[error]).as_bytes(), b"\n", line, b"\n"].concat();
    };
    let id = missing_id(bad, &pairs, skipped);
    let is_ours = |name: &str| skipped.mended.is_some() && normalized(name) == ERROR;
    let is_empty_id =
        |name: &str| id.as_ref().is_some_and(|(title, _)| normalized(name) == normalized(title));
    let mut members: Vec<(String, String)> = Vec::new();
    for (name, value) in pairs.iter().filter(|(name, _)| !is_ours(name) && !is_empty_id(name)) {
        members.push((name.clone(), value.get().to_owned()));
    }
    members.extend(id.into_iter().map(|(title, id)| (title, quoted(&id))));
    members.push(error);
    (object(&members) + "\n").into_bytes()
}

/// The id of a row without one: its number in the manifest.
fn missing_id<V>(bad: &BadRow, pairs: &[(String, V)], skipped: &Skipped) -> Option<(String, String)> {
    let number = bad.row?.to_string();
    // A request without an id is to get one of its own.
    if pairs.iter().any(|(name, _)| name == "body") {
        return None;
    }
    match skipped.id {
        None => Some(("id".to_owned(), number)),
        Some(column) if bad.cells.get(column).is_none_or(|id| id.trim().is_empty()) => {
            Some((skipped.titles.get(column)?.clone(), number))
        }
        Some(_) => None,
    }
}

fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

fn object(members: &[(String, String)]) -> String {
    let members: Vec<String> =
        members.iter().map(|(name, value)| format!("{}:{value}", quoted(name))).collect();
    format!("{{{}}}", members.join(","))
}

/// Whether a file has lines of ours.
pub(super) fn are_ours(file: impl Read) -> io::Result<bool> {
    let mut lines = BufReader::new(file);
    let mut line = Vec::new();
    loop {
        line.clear();
        if lines.read_until(b'\n', &mut line)? == 0 {
            return Ok(false);
        }
        let text = line.strip_prefix(UTF8_MARK).unwrap_or(&line);
        if let Ok(Pairs(pairs)) = serde_json::from_slice(text)
            && pairs.last().is_some_and(|(name, value)| name == ERROR && value.get().starts_with('"'))
        {
            return Ok(true);
        }
    }
}
