//! What a dry run works with: it looks, and leaves nothing behind.
//!
//! Where there is no queue or no store yet, it gets empty ones for as long as it lasts.

use std::{
    os::unix::fs::DirBuilderExt as _,
    path::{Path, PathBuf},
};

use anyhow::Context as _;

use crate::config::{self, Settings};

/// Settings and store of a dry run.
#[derive(Debug)]
pub(crate) struct Rehearsal {
    pub(crate) settings: Settings,
    /// The store that is looked into.
    pub(crate) url: String,
    dir: Option<PathBuf>,
}

impl Rehearsal {
    pub(crate) fn new(settings: &Settings, url: &str) -> anyhow::Result<Self> {
        let no_queue = settings.redis.url.is_none() && !settings.data_dir.join("redis").is_dir();
        let no_store = !url.contains("://") && !Path::new(url).exists();
        let mut rehearsal = Self { settings: settings.clone(), url: url.to_owned(), dir: None };
        if !no_queue && !no_store {
            return Ok(rehearsal);
        }
        let dir = config::runtime_dir().join(format!("pictor-dry-run-{}", ulid::Ulid::generate()));
        let made = std::fs::DirBuilder::new().mode(0o700).create(&dir);
        made.with_context(|| format!("cannot use the directory {}", dir.display()))?;
        if no_queue {
            rehearsal.settings.data_dir = dir.join("queue");
        }
        if no_store {
            rehearsal.url = dir.join("store").display().to_string();
        }
        rehearsal.dir = Some(dir);
        Ok(rehearsal)
    }
}

impl Drop for Rehearsal {
    fn drop(&mut self) {
        if let Some(dir) = &self.dir
            && let Err(error) = std::fs::remove_dir_all(dir)
        {
            tracing::debug!(%error, "the directory of a dry run stays");
        }
    }
}
