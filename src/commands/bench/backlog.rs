//! A backlog that outlasts the run, submitted by the real `pictor submit`.

use std::{
    fs::File,
    io::{BufWriter, Write as _},
    path::Path,
    process::Command,
};

use anyhow::{Context as _, ensure};
use pictor_common::batch::BatchId;

use super::case::Case;

/// Its run id.
const RUN: &str = "bench";

/// Writes a file of different prompts.
pub(super) fn write(case: &Case, path: &Path) -> anyhow::Result<()> {
    let mut file = BufWriter::new(File::create(path)?);
    writeln!(file, "id,prompt,model,size")?;
    for row in 1..=case.backlog() {
        writeln!(file, "row-{row},picture number {row} of a bench,{},{}", case.model, case.size)?;
    }
    file.flush()?;
    Ok(())
}

/// Queues the file and names its batch.
pub(super) async fn submit(mut command: Command, path: &Path) -> anyhow::Result<BatchId> {
    command.arg("submit").arg(path).args(["--run-id", RUN, "--json"]);
    let mut command = tokio::process::Command::from(command);
    let output = command.kill_on_drop(true).output().await.context("cannot submit the backlog")?;
    let words = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "cannot submit the backlog: {}", words.trim_end());
    Ok(RUN.parse()?)
}
