//! The file of a schedule: only from places that the settings allow, and read once.
//!
//! Whoever can write to Redis can write a schedule. What it names is therefore not to be trusted.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read as _},
    os::unix::fs::{MetadataExt as _, OpenOptionsExt as _},
    path::{Component, Path},
};

use anyhow::Context as _;
use pictor_producer::submit::{Manifest, Source};
use rustix::fs::OFlags;
use tempfile::TempDir;

use crate::{config::Settings, exit::refused, submission::ReadArgs};

/// The longest file that is submitted.
const MOST_BYTES: u64 = 1 << 30;
const S3: &str = "s3://";

/// A copy of the file; gone when this is dropped.
#[derive(Debug)]
pub(super) struct Copied {
    pub(super) manifest: Manifest,
    _dir: TempDir,
}

/// Copies the file, so that what is checked is what is submitted.
pub(super) async fn copied(name: &str, read: &ReadArgs, settings: &Settings) -> anyhow::Result<Copied> {
    allowed_name(name)?;
    let dir = tempfile::Builder::new().prefix("pictor-schedule-").tempdir();
    let dir = dir.context("cannot write a copy of the schedule's file")?;
    let copy = dir.path().join("manifest");
    if name.starts_with(S3) {
        from_bucket(name, &copy, settings).await?;
    } else {
        tokio::task::block_in_place(|| from_disk(name, &copy, &settings.schedule.read_from))?;
    }
    let mut first = Vec::new();
    File::open(&copy)?.take(1_024).read_to_end(&mut first)?;
    let format = read.reading(name, &first)?;
    Ok(Copied { manifest: Manifest { name: name.to_owned(), format, source: Source::File(copy) }, _dir: dir })
}

/// Refuses names that lead elsewhere, or that hold a secret.
pub(super) fn allowed_name(name: &str) -> anyhow::Result<()> {
    if let Some(rest) = name.strip_prefix(S3) {
        let (bucket, key) = rest.split_once('/').unwrap_or((rest, ""));
        if bucket.is_empty() || key.is_empty() || key.ends_with('/') {
            return Err(refused(format!("{S3}BUCKET/KEY names a file in a bucket; {name:?} does not")));
        }
        if bucket.contains('@') || bucket.contains(':') || key.contains('?') {
            return Err(refused(
                "an s3:// address with a key or a signature in it is refused: it would be kept in Redis; the \
                 settings of the store say with which key files are read",
            ));
        }
        if key.split('/').any(|part| matches!(part, "." | ".." | "")) {
            return Err(refused(format!("{name:?} leads elsewhere: write it without '..', '.' and '//'")));
        }
        return Ok(());
    }
    let path = Path::new(name);
    if !path.is_absolute() || path.components().any(|part| part == Component::ParentDir) {
        return Err(refused(format!("{name:?}: a schedule names its file from the root on, without '..'")));
    }
    Ok(())
}

/// Whether a file is one that schedules may submit here, as far as its name says.
pub(super) fn is_allowed(name: &str, places: &[String]) -> bool {
    if name.starts_with(S3) {
        return places.iter().any(|place| below(name, place));
    }
    let places = places.iter().filter(|place| !place.starts_with(S3));
    let real = fs::canonicalize(name);
    places.into_iter().filter_map(|place| fs::canonicalize(place).ok()).any(|place| {
        real.as_ref()
            .map_or_else(|_gone| Path::new(name).starts_with(&place), |real| real.starts_with(&place))
    })
}

fn below(name: &str, place: &str) -> bool {
    let place = place.trim_end_matches('/');
    place.starts_with(S3) && name.strip_prefix(place).is_some_and(|rest| rest.starts_with('/'))
}

fn not_allowed(name: &str) -> anyhow::Error {
    refused(format!(
        "{name} is not below any place of schedule.read_from (PICTOR_SCHEDULE__READ_FROM), so it is not read here"
    ))
}

async fn from_bucket(name: &str, to: &Path, settings: &Settings) -> anyhow::Result<()> {
    if !is_allowed(name, &settings.schedule.read_from) {
        return Err(not_allowed(name));
    }
    let rest = name.strip_prefix(S3).unwrap_or(name);
    let (bucket, key) = rest.split_once('/').unwrap_or((rest, ""));
    let store = pictor_store::open(&format!("{S3}{bucket}"), &settings.store.s3).await?;
    let gone = || refused(format!("{name} does not exist"));
    let found = store.head(key).await.with_context(|| format!("cannot read {name}"))?.ok_or_else(gone)?;
    if found.length > MOST_BYTES {
        return Err(too_long(name));
    }
    if !store.save(key, to).await.with_context(|| format!("cannot read {name}"))? {
        return Err(gone());
    }
    if fs::metadata(to)?.len() > MOST_BYTES { Err(too_long(name)) } else { Ok(()) }
}

fn from_disk(name: &str, to: &Path, places: &[String]) -> anyhow::Result<()> {
    let wrong = |why: &dyn std::fmt::Display| refused(format!("cannot read {name}: {why}"));
    if !is_allowed(name, places) {
        return Err(not_allowed(name));
    }
    let kind = fs::metadata(name).map_err(|error| wrong(&error))?;
    if !kind.is_file() {
        return Err(wrong(&"it is no file"));
    }
    // A pipe in its place would be waited for.
    let nonblocking = OFlags::NONBLOCK.bits().cast_signed();
    let file =
        OpenOptions::new().read(true).custom_flags(nonblocking).open(name).map_err(|error| wrong(&error))?;
    // What was opened is what the name leads to, and that lies where it may: a link that is turned meanwhile shows.
    let real = fs::canonicalize(name).map_err(|error| wrong(&error))?;
    let (opened, there) = (file.metadata()?, fs::symlink_metadata(&real).map_err(|error| wrong(&error))?);
    let same = (opened.dev(), opened.ino()) == (there.dev(), there.ino());
    if !same || !opened.is_file() || !is_allowed(&real.display().to_string(), places) {
        return Err(wrong(&"it was replaced while it was opened"));
    }
    let mut copy = File::create_new(to)?;
    let copied = io::copy(&mut file.take(MOST_BYTES + 1), &mut copy).map_err(|error| wrong(&error))?;
    if copied > MOST_BYTES { Err(too_long(name)) } else { Ok(()) }
}

fn too_long(name: &str) -> anyhow::Error {
    refused(format!("{name} is longer than {} MiB", MOST_BYTES >> 20))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_lead_elsewhere_or_hold_a_secret_are_refused() {
        for name in [
            "nightly.csv",
            "/srv/../etc/passwd",
            "s3://bucket",
            "s3://bucket/",
            "s3://bucket/a/../b.csv",
            "s3://key:secret@bucket/a.csv",
            "s3://bucket/a.csv?X-Amz-Signature=1",
            "s3://bucket//a.csv",
        ] {
            assert!(allowed_name(name).is_err(), "{name}");
        }
        for name in ["/srv/nightly.csv", "s3://bucket/nightly/a.csv"] {
            assert!(allowed_name(name).is_ok(), "{name}");
        }
    }

    #[test]
    fn only_what_lies_below_an_allowed_place_is_read() {
        let dir = tempfile::tempdir().unwrap();
        let (good, bad) = (dir.path().join("good"), dir.path().join("good-not"));
        for place in [&good, &bad] {
            fs::create_dir(place).unwrap();
            fs::write(place.join("a.csv"), "prompt\nx\n").unwrap();
        }
        std::os::unix::fs::symlink(bad.join("a.csv"), good.join("out.csv")).unwrap();
        let places = [good.display().to_string(), "s3://bucket/night".to_owned()];
        let read = |path: &Path| {
            let copy = dir.path().join("copy");
            let _none = fs::remove_file(&copy);
            from_disk(&path.display().to_string(), &copy, &places).map(|()| fs::read(&copy).unwrap())
        };
        assert_eq!(read(&good.join("a.csv")).unwrap(), b"prompt\nx\n");
        for path in [good.join("out.csv"), bad.join("a.csv"), good.clone(), good.join("none.csv")] {
            assert!(read(&path).is_err(), "{}", path.display());
        }
        assert!(read(Path::new("/etc/passwd")).unwrap_err().to_string().contains("schedule.read_from"));
        assert!(is_allowed("s3://bucket/night/a.csv", &places));
        assert!(
            !is_allowed("s3://bucket/nights/a.csv", &places)
                && !is_allowed("s3://other/night/a.csv", &places)
        );
        assert!(!is_allowed("/etc/passwd", &[]));
    }
}
