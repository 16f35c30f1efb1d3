//! Bad rows that were left out: where they go, and what is said of them.

use std::path::{Path, PathBuf};

use pictor_producer::{
    manifest::Format,
    submit::{Checked, Manifest, Request, Source},
};
use serde::Serialize;

use crate::{
    exit::{Exit, refused},
    output::Output,
};

/// Errors told on stderr; the file has all of them.
const TOLD: usize = 5;

/// Bad rows that were left out.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Rejected {
    /// Where they are, to be mended.
    pub(crate) file: Option<PathBuf>,
    /// How many.
    pub(crate) rows: usize,
}

impl Rejected {
    /// How a command ends that left rows out.
    pub(crate) const fn exit(rejected: Option<&Self>, otherwise: Exit) -> Exit {
        if rejected.is_some() { Exit::SomeFailed } else { otherwise }
    }

    /// For people.
    pub(crate) fn told(&self) -> String {
        let rows = if self.rows == 1 { "1 is bad" } else { &format!("{} are bad", self.rows) };
        match &self.file {
            Some(file) => format!("{rows} and left out: mend in {} and submit that file", file.display()),
            None => format!("{rows} and left out"),
        }
    }
}

/// Where the bad rows of a manifest go; none for what is no file.
pub(crate) fn place(asked: Option<&Path>, manifest: &Manifest) -> anyhow::Result<Option<PathBuf>> {
    let ending = manifest.format.format().extension();
    let place = match (asked, &manifest.source) {
        (Some(path), _) => path.to_owned(),
        (None, Source::File(path)) => path.with_added_extension(format!("rejected.{ending}")),
        (None, Source::Bytes(_)) if manifest.name == "-" => PathBuf::from(format!("stdin.rejected.{ending}")),
        (None, Source::Bytes(_)) => return Ok(None),
    };
    if !keeps_kinds(&place, manifest.format.format()) {
        return Err(refused(format!(
            "--rejected {}: the rows come as they are in {}; name it {}",
            place.display(),
            manifest.name,
            place.with_extension(ending).display()
        )));
    }
    if let Source::File(path) = &manifest.source
        && let (Ok(one), Ok(other)) = (path.canonicalize(), place.canonicalize())
        && one == other
    {
        return Err(refused(format!("--rejected {}: this is the manifest itself", place.display())));
    }
    Ok(Some(place))
}

/// Whether rows written to a file of this name are read again in their own format.
fn keeps_kinds(place: &Path, format: Format) -> bool {
    let begins: &[u8] = match format {
        Format::Csv => b"id",
        Format::Jsonl => b"{",
        Format::Xlsx => b"",
    };
    Format::detect(&place.to_string_lossy(), begins) == format
}

/// Writes down the rows that a check left out, and says so.
pub(crate) fn keep(
    request: &Request<'_>,
    checked: &Checked,
    place: Option<&Path>,
    output: &Output,
) -> anyhow::Result<Option<Rejected>> {
    if let Some(path) = place {
        let kept = request.write_rejected(checked, path).map_err(|error| {
            let told = format!("cannot write the rejected rows to {}: {error}", path.display());
            match error.kind() {
                std::io::ErrorKind::AlreadyExists => {
                    refused(format!("{told}; name another file with --rejected"))
                }
                _ => anyhow::Error::msg(format!(
                    "{told}; name another place with --rejected; nothing was queued"
                )),
            }
        })?;
        if let Some(kept) = kept {
            let (path, kept) = (path.display(), kept.display());
            output.note(&format!(
                "{path} was there, and is kept as {kept}: if you mended rows in it, submit that file"
            ));
        }
    }
    let Some(errors) = &checked.skipped.errors else { return Ok(None) };
    let rejected = Rejected { file: place.map(Path::to_owned), rows: checked.skipped.rows.len() };
    if checked.rows > 0 {
        for error in errors.errors.iter().take(TOLD) {
            output.note(&format!("{}: {}", errors.source_name, error.told()));
        }
        if errors.total > TOLD as u64 {
            output.note(&format!("{}: and {} more errors", errors.source_name, errors.total - TOLD as u64));
        }
        let all = checked.data_rows + rejected.rows as u64;
        output.note(&format!("{}: of {all} rows, {}", errors.source_name, rejected.told()));
    } else if let Some(file) = &rejected.file {
        output.note(&format!("every row is bad, and nothing was queued; they are in {}", file.display()));
    }
    Ok(Some(rejected))
}

/// Adds them to a result.
pub(crate) fn add_to(value: &mut serde_json::Value, rejected: Option<&Rejected>) {
    if let Some(rejected) = rejected {
        value["rejected"] = serde_json::json!(rejected);
    }
}
