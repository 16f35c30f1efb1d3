//! Images as plain files in a directory that belongs to the user.
//!
//! Every file is made beside its place and appears whole under its name. Nothing is fsynced: the store
//! has the images, and running the command again makes what a power cut took.

use std::{
    fs::{self, DirBuilder, File},
    io::{self, ErrorKind, Read},
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, SystemTime},
};

use anyhow::Context as _;
use pictor_common::{
    batch::Made,
    store::{Body, Store, StoreErrorKind},
};
use sha2::{Digest as _, Sha256};

use super::target::{Laid, Order, own};

/// Files on their way; no name of an image begins with a dot.
const PARTS: &str = ".pictor-parts";
const LEFTOVER: Duration = Duration::from_hours(24);
/// Times a download that breaks off is begun.
const TRIES: u32 = 3;

/// A directory of the user's.
#[derive(Debug)]
pub(super) struct Folder {
    root: PathBuf,
    parts: PathBuf,
    link: bool,
    unlinked: AtomicBool,
    next: AtomicU64,
}

/// A file on its way, removed unless it was moved.
struct Part(PathBuf);

impl Drop for Part {
    fn drop(&mut self) {
        // Mostly it was moved away.
        let _gone = fs::remove_file(&self.0);
    }
}

/// What is at a place.
enum Standing {
    Free,
    Same,
    Other,
}

impl Folder {
    pub(super) fn new(root: PathBuf, link: bool) -> Self {
        let parts = root.join(PARTS).join(ulid::Ulid::generate().to_string());
        Self { root, parts, link, unlinked: AtomicBool::new(false), next: AtomicU64::new(0) }
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }

    pub(super) fn warning(&self) -> Option<String> {
        self.unlinked.load(Ordering::Relaxed).then(|| {
            format!(
                "{} cannot link to the store's files, as on another disk: images were copied",
                self.root.display()
            )
        })
    }

    pub(super) async fn begin(self: Arc<Self>) -> anyhow::Result<()> {
        blocking(move || {
            let told = || format!("cannot write to {}", self.root.display());
            let parts = self.root.join(PARTS);
            anyhow::ensure!(!is_link(&parts), "{}", Self::is_a_link(&parts));
            DirBuilder::new().recursive(true).create(&self.parts).with_context(told)?;
            self.sweep();
            Ok(())
        })
        .await
    }

    pub(super) async fn end(self: Arc<Self>) {
        let gone = blocking(move || {
            fs::remove_dir(&self.parts)?;
            // Another run may still have files on their way.
            let _left = fs::remove_dir(self.root.join(PARTS));
            Ok(())
        });
        if let Err(error) = gone.await {
            tracing::debug!(%error, "a directory for files on their way stays");
        }
    }

    /// Removes what killed runs left.
    fn sweep(&self) {
        let old = |entry: &fs::DirEntry| {
            let written = entry.metadata().and_then(|found| found.modified());
            written.is_ok_and(|at| SystemTime::now().duration_since(at).is_ok_and(|age| age > LEFTOVER))
        };
        let entries = fs::read_dir(self.root.join(PARTS)).into_iter().flatten().flatten();
        for entry in entries.filter(old) {
            if let Err(error) = fs::remove_dir_all(entry.path()) {
                tracing::debug!(%error, "a leftover stays");
            }
        }
    }

    /// Puts an image under its name.
    pub(super) async fn put(
        self: Arc<Self>,
        store: &dyn Store,
        body: Body,
        order: Order,
    ) -> anyhow::Result<Laid> {
        if let Body::File(source) = body {
            return blocking(move || self.copy_or_link(&source, &order)).await;
        }
        let looking = (Arc::clone(&self), order.clone());
        if let Some(laid) = blocking(move || looking.0.stands(&looking.1)).await? {
            return Ok(laid);
        }
        let mut tries = 0;
        let part = loop {
            let part = self.part();
            tries += 1;
            match store.save(&order.made.object, &part.0).await {
                Ok(true) => break part,
                Ok(false) => {
                    return Ok(Laid::Refused(format!("the store no longer has {}", order.made.object)));
                }
                Err(error) if error.kind == StoreErrorKind::Unavailable && tries < TRIES => {
                    tracing::warn!(%error, "a download is begun again");
                }
                Err(error) => return own(error).context("cannot fetch an image"),
            }
        };
        blocking(move || self.move_in(&part, &order, Laid::Copied)).await
    }

    /// The folder of a name that is a link, and would lead out of the directory.
    fn link_to(&self, path: &Path) -> Option<PathBuf> {
        let folders = path.ancestors().skip(1).take_while(|folder| *folder != self.root);
        folders.filter(|folder| is_link(folder)).last().map(Path::to_owned)
    }

    fn is_a_link(folder: &Path) -> String {
        format!("{} is a link, and nothing is written through it; remove it", folder.display())
    }

    fn part(&self) -> Part {
        Part(self.parts.join(self.next.fetch_add(1, Ordering::Relaxed).to_string()))
    }

    /// What there is to say without the image: it is there, or something else is.
    fn stands(&self, order: &Order) -> anyhow::Result<Option<Laid>> {
        let path = self.path(&order.name);
        if let Some(link) = self.link_to(&path) {
            return Ok(Some(Laid::Refused(Self::is_a_link(&link))));
        }
        let told = || format!("cannot look at {}", path.display());
        Ok(match standing(&path, &order.made, None).with_context(told)? {
            Standing::Same => Some(Laid::There),
            Standing::Other if !order.overwrite => Some(Laid::differs(&path.display().to_string())),
            Standing::Free | Standing::Other => None,
        })
    }

    fn copy_or_link(&self, source: &Path, order: &Order) -> anyhow::Result<Laid> {
        let gone = || Ok(Laid::Refused(format!("the store no longer has {}", source.display())));
        let Ok(found) = fs::symlink_metadata(source) else { return gone() };
        let path = self.path(&order.name);
        if let Some(link) = self.link_to(&path) {
            return Ok(Laid::Refused(Self::is_a_link(&link)));
        }
        let told = || format!("cannot look at {}", path.display());
        match standing(&path, &order.made, Some(&found)).with_context(told)? {
            Standing::Same => return Ok(Laid::There),
            Standing::Other if !order.overwrite => return Ok(Laid::differs(&path.display().to_string())),
            Standing::Free | Standing::Other => {}
        }
        let part = self.part();
        if self.link {
            match fs::hard_link(source, &part.0) {
                Ok(()) => return self.move_in(&part, order, Laid::Linked),
                Err(error) if error.kind() == ErrorKind::NotFound => return gone(),
                // Another disk, too many links, or a file system without them.
                Err(error) => {
                    tracing::debug!(%error, "copied instead of linked");
                    self.unlinked.store(true, Ordering::Relaxed);
                }
            }
        }
        let mut from = match File::open(source) {
            Err(error) if error.kind() == ErrorKind::NotFound => return gone(),
            opened => opened.with_context(|| format!("cannot read {}", source.display()))?,
        };
        // Not fs::copy: the store's files are for their owner alone, and these are for others too.
        File::create_new(&part.0)
            .and_then(|mut file| io::copy(&mut from, &mut file))
            .with_context(|| format!("cannot write to {}", self.root.display()))?;
        self.move_in(&part, order, Laid::Copied)
    }

    /// Lets a complete file appear under its name.
    fn move_in(&self, part: &Part, order: &Order, laid: Laid) -> anyhow::Result<Laid> {
        let path = self.path(&order.name);
        let length =
            fs::symlink_metadata(&part.0).with_context(|| format!("cannot write {}", path.display()))?.len();
        if length != order.made.bytes {
            let made = order.made.bytes;
            return Ok(Laid::Refused(format!("the store has {length} bytes of it, and {made} were made")));
        }
        let unusable =
            |error: io::Error| Ok(Laid::Refused(format!("{} cannot be written: {error}", path.display())));
        match path.parent().map_or(Ok(()), fs::create_dir_all) {
            Err(error) if is_in_the_way(&error) || error.kind() == ErrorKind::AlreadyExists => {
                return unusable(error);
            }
            made => made.with_context(|| format!("cannot make a folder for {}", path.display()))?,
        }
        let moved = if order.overwrite { fs::rename(&part.0, &path) } else { appear(&part.0, &path) };
        match moved {
            Ok(()) => Ok(laid),
            // Another delivery came first, or a folder has the name.
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                Ok(match standing(&path, &order.made, None) {
                    Ok(Standing::Same) => Laid::There,
                    _ => Laid::differs(&path.display().to_string()),
                })
            }
            Err(error) if is_in_the_way(&error) => unusable(error),
            Err(error) => Err(error).with_context(|| format!("cannot write {}", path.display())),
        }
    }
}

fn is_link(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|found| found.is_symlink())
}

/// The name itself cannot be used here; others can.
fn is_in_the_way(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::NotADirectory | ErrorKind::IsADirectory | ErrorKind::InvalidFilename)
}

/// Names a file, unless the name is taken; atomic where there are hard links.
fn appear(part: &Path, path: &Path) -> io::Result<()> {
    match fs::hard_link(part, path) {
        Err(error) if error.kind() != ErrorKind::AlreadyExists && !is_in_the_way(&error) => {
            match fs::symlink_metadata(path) {
                Ok(_) => Err(ErrorKind::AlreadyExists.into()),
                Err(_absent) => fs::rename(part, path),
            }
        }
        linked => linked,
    }
}

/// Compares what is at a place with an image, by size and digest; a link to the source is the image.
fn standing(path: &Path, made: &Made, source: Option<&fs::Metadata>) -> io::Result<Standing> {
    let found = match fs::symlink_metadata(path) {
        Err(error) if error.kind() == ErrorKind::NotFound || is_in_the_way(&error) => {
            return Ok(Standing::Free);
        }
        found => found?,
    };
    if !found.is_file() || found.len() != made.bytes {
        return Ok(Standing::Other);
    }
    if source.is_some_and(|source| (source.dev(), source.ino()) == (found.dev(), found.ino())) {
        return Ok(Standing::Same);
    }
    let digest = sha256(&mut File::open(path)?)?;
    Ok(if digest == made.digest { Standing::Same } else { Standing::Other })
}

/// SHA-256 in hex.
pub(super) fn sha256(from: &mut impl Read) -> io::Result<String> {
    let mut digest = Sha256::new();
    let mut buffer = vec![0; 64 * 1024];
    loop {
        match from.read(&mut buffer) {
            Ok(0) => return Ok(digest.finalize().iter().map(|byte| format!("{byte:02x}")).collect()),
            Ok(length) => digest.update(&buffer[..length]),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

async fn blocking<T, F>(work: F) -> anyhow::Result<T>
where
    T: Send + 'static,
    F: FnOnce() -> anyhow::Result<T> + Send + 'static,
{
    tokio::task::spawn_blocking(work).await.context("a thread broke off")?
}
