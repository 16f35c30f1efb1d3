//! The file that becomes the page: beside its name until it is whole, and never in place of something else.

use std::{
    fs::{self, File},
    io::{ErrorKind, Read as _},
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use pictor_producer::fresh::Fresh;

use super::page::BEGINS;
use crate::exit::refused;

/// A page on its way, and its data, which stands behind the pictures.
#[derive(Debug)]
pub(super) struct Place {
    path: PathBuf,
    page: Fresh,
    data: Fresh,
}

impl Place {
    /// Begins a page. Only an earlier gallery is replaced, unless more was asked for.
    pub(super) fn of(path: &Path, force: bool) -> anyhow::Result<Self> {
        if !force && !is_free(path).with_context(|| format!("cannot read {}", path.display()))? {
            return Err(refused(format!(
                "{} is there and is no gallery; name another file with --out, or replace it with --force",
                path.display()
            )));
        }
        if path.is_dir() {
            return Err(refused(format!("{} is a directory; name a file", path.display())));
        }
        let told = || format!("cannot write {}", path.display());
        let page = Fresh::of(path).with_context(told)?;
        let data = Fresh::of(&path.with_added_extension("data")).with_context(told)?;
        Ok(Self { path: path.to_owned(), page, data })
    }

    pub(super) fn folder(&self) -> &Path {
        self.path.parent().unwrap_or_else(|| Path::new(""))
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn page(&self) -> std::io::Result<File> {
        self.page.file()
    }

    /// The data, to write to and to read again.
    pub(super) fn data(&self) -> std::io::Result<File> {
        fs::OpenOptions::new().read(true).write(true).open(self.data.path())
    }

    /// Lets the page appear under its name.
    pub(super) fn arrive(self) -> std::io::Result<()> {
        self.page.arrive()
    }
}

/// Whether nothing is there, or an earlier gallery.
fn is_free(path: &Path) -> std::io::Result<bool> {
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(true),
        Err(error) => return Err(error),
        Ok(found) if !found.is_file() => return Ok(false),
        Ok(_) => {}
    }
    let mut start = Vec::new();
    File::open(path)?.take(BEGINS.len() as u64).read_to_end(&mut start)?;
    Ok(start == BEGINS.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_gallery_is_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        fs::write(at("own.html"), "<!doctype html>\n<html lang=\"en\"><p>mine").unwrap();
        fs::write(at("empty.html"), "").unwrap();
        fs::write(at("old.html"), format!("{BEGINS}\n<p>")).unwrap();
        std::os::unix::fs::symlink(at("old.html"), at("link.html")).unwrap();
        for name in ["own.html", "empty.html", "link.html"] {
            Place::of(&at(name), false).unwrap_err();
            Place::of(&at(name), true).unwrap();
        }
        for name in ["old.html", "new.html"] {
            Place::of(&at(name), false).unwrap();
        }
        Place::of(dir.path(), true).unwrap_err();
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 4, "nothing is left behind");
    }
}
