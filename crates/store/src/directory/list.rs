//! Lists a directory tree in the order S3 would.

use std::{fs, io, path::Path};

use crate::object::RESERVED;

/// Which names are wanted.
pub(super) struct Wanted<'a> {
    pub(super) prefix: &'a str,
    pub(super) after: Option<&'a str>,
    pub(super) limit: usize,
}

impl Wanted<'_> {
    fn file(&self, name: &str) -> bool {
        name.starts_with(self.prefix) && self.after.is_none_or(|after| name > after)
    }

    /// Whether anything below `name`, which ends in a slash, can be wanted.
    fn folder(&self, name: &str) -> bool {
        (name.starts_with(self.prefix) || self.prefix.starts_with(name))
            && self.after.is_none_or(|after| name > after || after.starts_with(name))
    }
}

/// Appends the wanted names below `folder`, whose own name is `base`, up to the limit.
pub(super) fn walk(
    folder: &Path,
    base: &str,
    wanted: &Wanted<'_>,
    found: &mut Vec<String>,
) -> io::Result<()> {
    let mut names = match entries(folder, base, wanted) {
        Err(gone) if gone.kind() == io::ErrorKind::NotFound && !base.is_empty() => return Ok(()),
        read => read?,
    };
    // Folders carry their slash while sorting: `a-b` stands before `a/c`.
    names.sort_unstable();
    for name in names {
        if found.len() >= wanted.limit {
            break;
        }
        match name.strip_suffix('/') {
            Some(bare) => walk(&folder.join(&bare[base.len()..]), &name, wanted, found)?,
            None => found.push(name),
        }
    }
    Ok(())
}

fn entries(folder: &Path, base: &str, wanted: &Wanted<'_>) -> io::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let Ok(own) = entry.file_name().into_string() else { continue };
        let Some(kind) = kind_of(folder, &entry)? else { continue };
        let name = format!("{base}{own}");
        if kind.is_dir() {
            let name = name + "/";
            if wanted.folder(&name) && !(base.is_empty() && own == RESERVED) {
                names.push(name);
            }
        } else if kind.is_file() && wanted.file(&name) {
            names.push(name);
        }
    }
    Ok(names)
}

/// What an entry is. A link to a folder is that folder, as every look by name has it: images moved to another
/// disk are still there. One that leads back up is nothing; a link to a file is no object.
fn kind_of(folder: &Path, entry: &fs::DirEntry) -> io::Result<Option<fs::FileType>> {
    let kind = entry.file_type()?;
    if !kind.is_symlink() {
        return Ok(Some(kind));
    }
    let Ok(target) = fs::canonicalize(entry.path()) else { return Ok(None) };
    let leads_up = folder.ancestors().any(|above| fs::canonicalize(above).is_ok_and(|above| above == target));
    let kind = fs::metadata(target).ok().map(|found| found.file_type());
    Ok(kind.filter(|kind| kind.is_dir() && !leads_up))
}
