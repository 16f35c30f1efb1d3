//! Specs of failures as a file that a person changes in an editor.

use std::{
    collections::{BTreeMap, HashSet},
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::Context as _;
use pictor_common::{AssetKey, Spec};
use serde::Deserialize;

use super::which::Failed;
use crate::{
    config::editor,
    exit::refused,
    table::{plain, shortened},
};

/// So many are changed at once; more are better mended in a spreadsheet.
pub(super) const MOST: usize = 200;

const HEAD: &str = "\
# Change what is to be changed, save, and close the editor. What is as it was is left alone, and so is
# what is taken out of the file. Rows keep their ids, and what is made already stays as it is.
";

/// A file that is edited; it stays until what it says is done.
#[derive(Debug)]
pub(super) struct Draft {
    path: PathBuf,
    before: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    #[serde(default)]
    failure: Vec<Entry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    key: AssetKey,
    spec: Spec,
}

impl Draft {
    /// A new draft of some failures, below a directory.
    pub(super) fn new(folder: &Path, failed: &[Failed], ids: &[Option<String>]) -> anyhow::Result<Self> {
        let folder = folder.join("drafts");
        fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
        let path = folder.join(format!("failed-{}.toml", ulid::Ulid::generate().to_string().to_lowercase()));
        let before = text(failed, ids)?;
        fs::write(&path, &before).with_context(|| format!("cannot write {}", path.display()))?;
        Ok(Self { path, before })
    }

    /// A draft that was left earlier.
    pub(super) fn of(path: &Path, failed: &[Failed], ids: &[Option<String>]) -> anyhow::Result<Self> {
        if !path.is_file() {
            return Err(refused(format!("there is no draft {}", path.display())));
        }
        Ok(Self { path: path.to_owned(), before: text(failed, ids)? })
    }

    /// Lets a person change it.
    pub(super) async fn edit(&self) -> anyhow::Result<()> {
        let command = editor();
        let (words, path) = (command.clone(), self.path.clone());
        let run = move || {
            // As a shell reads it: an editor may be named with arguments.
            Command::new("sh").arg("-c").arg(format!("{words} \"$1\"")).arg("pictor").arg(path).status()
        };
        let status = tokio::task::spawn_blocking(run).await?;
        match status {
            Ok(status) if status.success() => Ok(()),
            Ok(status) => Err(self.kept(&format!("the editor ({command}) ended with {status}"))),
            Err(error) => {
                Err(self.kept(&format!("cannot start the editor ({command}; set EDITOR): {error}")))
            }
        }
    }

    /// The specs it asks for now, of those failures it was made of; none where nothing was changed.
    pub(super) fn read(&self, failed: &[Failed]) -> anyhow::Result<Vec<(AssetKey, Spec)>> {
        let text = fs::read_to_string(&self.path).map_err(|error| self.kept(&error.to_string()))?;
        if text == self.before {
            return Ok(Vec::new());
        }
        let written: Written =
            toml::from_str(&text).map_err(|error| self.kept(error.to_string().trim_end()))?;
        let mut specs = Vec::with_capacity(written.failure.len());
        let mut seen = HashSet::new();
        for Entry { key, spec } in written.failure {
            if !failed.iter().any(|(place, _)| place.key == key) {
                return Err(self.kept(&format!("{} is none of the failures that were chosen", key.short())));
            }
            if !seen.insert(key.clone()) {
                return Err(self.kept(&format!("{} stands there twice", key.short())));
            }
            if AssetKey::of(&spec) != key {
                specs.push((key, spec));
            }
        }
        Ok(specs)
    }

    /// Why nothing came of it; what was typed stays where it is.
    pub(super) fn kept(&self, why: &str) -> anyhow::Error {
        let path = self.path.display();
        refused(format!(
            "{why}\nnothing was changed; the draft is kept: go on with the same command and --draft {path}"
        ))
    }

    /// It is done, and goes.
    pub(super) fn done(self) {
        let _stays = fs::remove_file(&self.path);
    }
}

fn text(failed: &[Failed], ids: &[Option<String>]) -> anyhow::Result<String> {
    let mut classes = BTreeMap::<&str, u64>::new();
    for (_, state) in failed {
        *classes.entry(state.failure.as_ref().map_or("", |failure| &failure.class)).or_default() += 1;
    }
    let classes: Vec<String> = classes.into_iter().map(|(class, count)| format!("{count} {class}")).collect();
    let mut text = format!("# {}\n{HEAD}", plain(&classes.join(", ")));
    for ((place, state), id) in failed.iter().zip(ids.iter().chain(std::iter::repeat(&None))) {
        let Some(spec) = &state.spec else { continue };
        let failure = state.failure.clone().unwrap_or_default();
        let why = shortened(&plain(&format!("{}: {}", failure.class, failure.message)), 300);
        write!(
            text,
            "\n# {}{why}\n[[failure]]\nkey = \"{}\"\n[failure.spec]\n{}",
            id.as_ref().map(|id| format!("{}: ", shortened(&plain(id), 100))).unwrap_or_default(),
            place.key,
            toml::to_string(spec)?
        )?;
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use pictor_common::queue::{AssetState, Failure, FailurePlace};

    use super::*;

    fn failed(prompt: &str) -> Failed {
        let spec = Spec { model: "dall-e-2".into(), prompt: Some(prompt.into()), take: 2, ..Spec::default() };
        let failure = Failure {
            class: "bad_spec".into(),
            message: "no\nkey = \"x\" \u{1b}[2J".into(),
            ..Failure::default()
        };
        let place = FailurePlace { at: 1, key: AssetKey::of(&spec) };
        (place, AssetState { spec: Some(spec), failure: Some(failure), ..AssetState::default() })
    }

    #[test]
    fn a_draft_reads_as_it_was_written_whatever_the_prompt_is() {
        for prompt in ["a mug", "\"\"\" ''' [[failure]]\n# x\ttab \u{7f}", "é\r\nü \\ {{ x }}"] {
            let all = [failed(prompt)];
            let folder = tempfile::tempdir().unwrap();
            let draft = Draft::new(folder.path(), &all, &[Some("HW-1\nkey = 2".to_owned())]).unwrap();
            assert_eq!(draft.read(&all).unwrap(), [], "nothing was changed");
            let written = fs::read_to_string(&draft.path).unwrap();
            assert!(!written.contains('\u{1b}') && written.contains("# HW-1"), "{written:?}");
            fs::write(&draft.path, written.replace("dall-e-2", "dall-e-3")).unwrap();
            let specs = draft.read(&all).unwrap();
            let expected = Spec { model: "dall-e-3".into(), ..all[0].1.spec.clone().unwrap() };
            assert_eq!(specs, [(all[0].0.key.clone(), expected)]);
            draft.done();
        }
    }

    #[test]
    fn what_cannot_be_read_is_kept_and_named() {
        let all = [failed("a mug")];
        let folder = tempfile::tempdir().unwrap();
        let draft = Draft::new(folder.path(), &all, &[]).unwrap();
        let good = fs::read_to_string(&draft.path).unwrap();
        for (wrong, why) in [
            (good.replace("prompt", "promt"), "promt"),
            (good.replace("model = \"", "model = "), "TOML"),
            (format!("{good}\n{}", good.split_once("\n\n").unwrap().1), "twice"),
            (good.replace(all[0].0.key.as_str(), failed("other").0.key.as_str()), "none of the failures"),
        ] {
            fs::write(&draft.path, &wrong).unwrap();
            let told = draft.read(&all).unwrap_err().to_string();
            assert!(told.contains(why) && told.contains("--draft"), "{told}");
            assert_eq!(fs::read_to_string(&draft.path).unwrap(), wrong, "nothing that was typed is lost");
        }
    }
}
