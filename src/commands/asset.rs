//! `pictor asset`: one image, with everything known of it.

use clap::Subcommand;
use pictor_common::{AssetKey, queue::AssetState};
use serde_json::json;

use super::{Context, when};
use crate::{
    exit::{Exit, refused},
    parts,
};

#[derive(Debug, Subcommand)]
pub(crate) enum AssetCommand {
    /// Where it is, what it cost, or why it is not there
    Show {
        /// The asset key
        key: String,
    },
}

pub(crate) async fn run(command: AssetCommand, context: &Context) -> anyhow::Result<Exit> {
    let AssetCommand::Show { key } = command;
    let key: AssetKey = key.parse().map_err(|error| refused(format!("{error}")))?;
    let opened = context.look().await?;
    let states = opened.queue.assets(std::slice::from_ref(&key)).await;
    opened.close().await?;
    let Some(state) = states?.pop().flatten() else {
        return Err(refused(format!("asset {key} is unknown")));
    };
    let url = parts::store_url(&context.settings, None);
    let place = match &state.made {
        Some(made) => Some(parts::open_store(&context.settings, url).await?.location(&made.object)),
        None => None,
    };
    context.output.result(&json!({ "key": key, "place": place, "asset": state }), || {
        let place = place.as_ref().map_or_else(String::new, |place| format!("place     {place}\n"));
        told(&key, &state) + &place
    })?;
    Ok(Exit::Done)
}

/// An asset for people.
pub(crate) fn told(key: &AssetKey, state: &AssetState) -> String {
    let mut lines = vec![
        ("key", key.to_string()),
        ("phase", state.phase.clone()),
        ("route", state.route.clone()),
        ("lane", state.lane.clone().unwrap_or_default()),
        ("attempts", format!("{} ({} unknown)", state.attempts, state.unknowns)),
    ];
    if let Some(spec) = &state.spec {
        lines.push(("spec", serde_json::to_string(spec).unwrap_or_default()));
    }
    if let Some(made) = &state.made {
        lines.push((
            "made",
            format!("{}, {} bytes, {}x{}", made.content_type, made.bytes, made.width, made.height),
        ));
        lines.push(("cost", made.cost.to_string()));
        lines.push(("revised", made.revised_prompt.clone().unwrap_or_default()));
        lines.push(("mismatch", made.mismatch.clone().unwrap_or_default()));
        lines.push(("stored", when(made.at_ms * 1_000)));
    }
    if let Some(failure) = &state.failure {
        let status = failure.status.map(|status| format!("HTTP {status} ")).unwrap_or_default();
        let code = failure.code.as_ref().map(|code| format!("{code} ")).unwrap_or_default();
        lines.push(("failure", format!("{}: {status}{code}{}", failure.class, failure.message)));
        lines.push(("when", when(failure.at_ms * 1_000)));
        lines.push(("request", failure.request_id.clone().unwrap_or_default()));
    }
    lines
        .into_iter()
        .filter(|(_, text)| !text.is_empty())
        .map(|(name, text)| format!("{name:<9} {text}\n"))
        .collect()
}
