//! `pictor completions`: a script that makes a shell ask Pictor for the rest of a word.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::{Args, ValueEnum};
use clap_complete::env::Shells;

use crate::{
    completion::VARIABLE,
    exit::Exit,
    output::{Output, heard},
};

#[derive(Debug, Args)]
pub(crate) struct CompletionsArgs {
    /// The shell that will read it
    shell: Shell,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Shell {
    Bash,
    Zsh,
    Fish,
    Powershell,
    Elvish,
}

impl Shell {
    const fn name(self) -> &'static str {
        match self {
            Self::Bash => "bash",
            Self::Zsh => "zsh",
            Self::Fish => "fish",
            Self::Powershell => "powershell",
            Self::Elvish => "elvish",
        }
    }
}

pub(crate) fn run(args: &CompletionsArgs, output: &Output) -> anyhow::Result<Exit> {
    let shells = Shells::builtins();
    let shell = shells.completer(args.shell.name()).context("clap_complete does not know this shell")?;
    let mut script = output.stream();
    let written = shell.write_registration(VARIABLE, "pictor", "pictor", &called_as(), &mut script);
    heard(written.and_then(|()| std::io::Write::flush(&mut script)))?;
    Ok(Exit::Done)
}

/// The name this process was called by; a path is made absolute, since a shell moves about.
fn called_as() -> String {
    let name = std::env::args_os().next().map_or_else(|| PathBuf::from("pictor"), PathBuf::from);
    let bare = name.components().count() == 1;
    let path = if bare { name } else { std::path::absolute(&name).unwrap_or(name) };
    Path::to_string_lossy(&path).into_owned()
}
