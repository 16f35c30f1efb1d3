//! `pictor config`: what is set, and by whom.

use clap::Subcommand;
use serde_json::Value;

use super::Context;
use crate::{
    config::{self, Flags, Row, Shown},
    exit::Exit,
    parts,
    table::table,
};

#[derive(Debug, Subcommand)]
pub(crate) enum ConfigCommand {
    /// Every setting with its value and where that comes from; secrets are masked
    #[command(after_help = "Defaults < file < profile < environment < flags: the last of them wins.")]
    Show,
}

pub(crate) fn run(command: &ConfigCommand, flags: &Flags, context: &Context) -> anyhow::Result<Exit> {
    let ConfigCommand::Show = command;
    let shown = config::explain(flags, &parts::today())?;
    context.output.result(&shown, || told(&shown))?;
    Ok(Exit::Done)
}

fn told(shown: &Shown) -> String {
    let profile = match (&shown.profile, &shown.selected_by) {
        (Some(profile), Some(origin)) => format!("{profile} ({origin})"),
        (Some(profile), None) => profile.clone(),
        (None, _) => "none (--profile or PICTOR_PROFILE selects one)".to_owned(),
    };
    let file = shown.file.as_ref().map_or_else(|| "none".to_owned(), |file| file.display().to_string());
    let mut text = format!("profile        {profile}\nsettings file  {file}\n");
    let mut rest = shown.settings.as_slice();
    while let Some(first) = rest.first() {
        let end = rest.iter().position(|row| row.section != first.section).unwrap_or(rest.len());
        let (section, after) = rest.split_at(end);
        rest = after;
        let title = if first.section.is_empty() { String::new() } else { format!("[{}]", first.section) };
        text += &format!("\n{}", table(&[&title, "value", "origin"], &[], &cells(section)));
    }
    text
}

fn cells(rows: &[Row]) -> Vec<Vec<String>> {
    let cell = |row: &Row| {
        let origin = row.origin.as_ref().map(ToString::to_string).unwrap_or_default();
        vec![row.name.clone(), plain(&row.value), origin]
    };
    rows.iter().map(cell).collect()
}

fn plain(value: &Value) -> String {
    match value {
        Value::Null => "not set".to_owned(),
        Value::String(text) => text.clone(),
        Value::Array(values) => values.iter().map(plain).collect::<Vec<_>>().join(", "),
        other => other.to_string(),
    }
}
