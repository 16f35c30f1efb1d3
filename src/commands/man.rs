//! `pictor man`: writes a manual page for every command.

use std::{fs, path::PathBuf};

use anyhow::Context as _;
use clap::Args;
use serde_json::json;

use crate::{cli, exit::Exit, man_page, output::Output};

#[derive(Debug, Args)]
pub(crate) struct ManArgs {
    /// Directory to write to, which is made if it is not there
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
}

pub(crate) fn run(args: &ManArgs, output: &Output) -> anyhow::Result<Exit> {
    let told = || format!("cannot write to {}", args.out.display());
    fs::create_dir_all(&args.out).with_context(told)?;
    let pages = man_page::all(cli::command()).with_context(told)?;
    let mut names = Vec::with_capacity(pages.len());
    for (name, page) in pages {
        fs::write(args.out.join(&name), page).with_context(told)?;
        names.push(name);
    }
    output.result(&json!({ "out": args.out, "pages": names }), || {
        format!("{} pages in {}", names.len(), args.out.display())
    })?;
    Ok(Exit::Done)
}
