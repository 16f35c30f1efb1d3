//! The manifest that is submitted: a file, stdin, or one prompt.

use std::{io::Read as _, path::PathBuf};

use anyhow::Context as _;
use pictor_producer::{
    manifest::{BadInput, Format, RowError},
    submit::{Manifest, Source},
};

use super::ReadArgs;
use crate::exit::refused;

/// Opens a manifest file; `-` is stdin, which is kept in memory since it is read again.
pub(crate) fn manifest(path: &str, read: &ReadArgs) -> anyhow::Result<Manifest> {
    if path == "-" {
        let mut bytes = Vec::new();
        std::io::stdin().lock().read_to_end(&mut bytes).context("cannot read stdin")?;
        let format = read.reading("-", &bytes[..bytes.len().min(1_024)])?;
        return Ok(Manifest { name: "-".to_owned(), format, source: Source::Bytes(bytes.into()) });
    }
    let wrong = |why: &dyn std::fmt::Display| {
        let error = RowError { message: format!("cannot be read: {why}").into(), ..RowError::default() };
        BadInput { source_name: path.to_owned(), errors: vec![error], total: 1 }
    };
    let file = std::fs::File::open(path).map_err(|error| wrong(&error))?;
    let kind = file.metadata()?;
    if kind.is_dir() {
        return Err(wrong(&"it is a directory").into());
    }
    if !kind.is_file() {
        // A pipe gives its bytes once.
        let mut bytes = Vec::new();
        (&file).read_to_end(&mut bytes).map_err(|error| wrong(&error))?;
        let format = read.reading(path, &bytes[..bytes.len().min(1_024)])?;
        return Ok(Manifest { name: path.to_owned(), format, source: Source::Bytes(bytes.into()) });
    }
    let mut first = Vec::new();
    file.take(1_024).read_to_end(&mut first).map_err(|error| wrong(&error))?;
    Ok(Manifest {
        name: path.to_owned(),
        format: read.reading(path, &first)?,
        source: Source::File(PathBuf::from(path)),
    })
}

/// A manifest of one prompt.
pub(crate) fn one_prompt(prompt: &str) -> anyhow::Result<Manifest> {
    let line = serde_json::to_vec(&serde_json::json!({ "prompt": prompt }))?;
    Ok(Manifest {
        name: "--prompt".to_owned(),
        format: Format::Jsonl.into(),
        source: Source::Bytes(line.into()),
    })
}

/// Refuses a file that stands where `--ignore-columns` has its columns.
pub(crate) fn names_a_file(file: &str) -> anyhow::Error {
    refused(format!(
        "--ignore-columns {file}: this is a file, and no column; name it before --ignore-columns"
    ))
}
