//! `pictor webhooks`: who is told of batches and failures, and what waits to be told.

use std::{collections::BTreeSet, fmt::Write as _};

use clap::Subcommand;
use pictor_common::{
    batch::BatchId,
    queue::{Endpoint, Queue, Told},
    webhook::{EventType, Wanted},
};
use pictor_worker::{WebhookVerdict, send_test};
use serde_json::json;

use super::{Context, when};
use crate::{
    config::Settings,
    exit::{Exit, refused},
    table::{shortened, table},
};

/// Notices that are shown of an endpoint.
const SHOWN: usize = 50;

#[derive(Debug, Subcommand)]
pub(crate) enum WebhooksCommand {
    /// All endpoints: those of the settings, and those that workers tell
    List,
    /// One endpoint: what it wants, what it was told lately, and what it answered
    Show {
        /// Its name in the settings
        name: String,
    },
    /// Let an endpoint have what was given up, and at once what waits; one that was disabled is told again
    Retry {
        /// Its name in the settings
        name: String,
        /// Say how much that is, and stop
        #[arg(long)]
        dry_run: bool,
    },
    /// Send an endpoint of the settings a signed event that says nothing
    Test {
        /// Its name in the settings
        name: String,
    },
}

pub(crate) async fn run(command: WebhooksCommand, context: &Context) -> anyhow::Result<Exit> {
    if let WebhooksCommand::Test { name } = &command {
        return test(name, context).await;
    }
    let opened = context.look().await?;
    let done = Box::pin(perform(command, context, &opened.queue)).await;
    opened.close().await?;
    done
}

async fn perform(command: WebhooksCommand, context: &Context, queue: &Queue) -> anyhow::Result<Exit> {
    let endpoints = known(queue, &context.settings).await?;
    let output = &context.output;
    match command {
        WebhooksCommand::List => output.result(&endpoints, || list(&endpoints, &context.settings))?,
        WebhooksCommand::Show { name } => {
            let endpoint = find(&endpoints, &name)?;
            let notices = queue.notices(&name, SHOWN).await?;
            let value = json!({ "endpoint": endpoint, "notices": notices });
            output.result(&value, || shown(endpoint, &notices, &context.settings))?;
        }
        WebhooksCommand::Retry { name, dry_run } => {
            find(&endpoints, &name)?;
            let (given_up, waiting, disabled) = queue.tell_again(&name, dry_run).await?.unwrap_or_default();
            let value = json!({
                "endpoint": name, "given_up": given_up, "waiting": waiting, "was_disabled": disabled,
                "dry_run": dry_run,
            });
            output.result(&value, || {
                let (is, are) = if dry_run { ("would be", "would be") } else { ("is", "are") };
                let again =
                    if disabled { format!("; it {is} told again from now on") } else { String::new() };
                format!("{given_up} given up and {waiting} that wait {are} sent to {name} at once{again}")
            })?;
        }
        WebhooksCommand::Test { .. } => {}
    }
    Ok(Exit::Done)
}

async fn test(name: &str, context: &Context) -> anyhow::Result<Exit> {
    let settings = &context.settings;
    let endpoint = settings.webhooks.get(name).ok_or_else(|| unknown(name, settings.webhooks.keys()))?;
    if let Some(lacks) = &endpoint.lacks {
        anyhow::bail!("nothing can be sent to {name}: {lacks}");
    }
    let sent = send_test(&endpoint.webhook, &settings.redis.namespace).await;
    let taken = sent.verdict == WebhookVerdict::Taken;
    let millis = u64::try_from(sent.took.as_millis()).unwrap_or(u64::MAX);
    let value = json!({ "endpoint": name, "taken": taken, "answer": sent.answer, "milliseconds": millis });
    context.output.result(&value, || {
        let did = if taken { "has taken it" } else { "has not taken it" };
        format!("{name} {did}: {} after {millis} ms", sent.answer)
    })?;
    Ok(if taken { Exit::Done } else { Exit::SomeFailed })
}

/// Notes that a batch names endpoints; one that nobody knows is bad input.
pub(crate) async fn named(
    names: &[String],
    batch: &BatchId,
    queue: &Queue,
    settings: &Settings,
) -> anyhow::Result<()> {
    if names.is_empty() {
        return Ok(());
    }
    let endpoints = known(queue, settings).await?;
    for name in names {
        find(&endpoints, name).map_err(|error| refused(format!("--webhook {name}: {error}")))?;
    }
    for name in names {
        queue.name_webhook(batch, name).await?;
    }
    Ok(())
}

/// Endpoints that workers tell, and those of the settings that none has told anything yet.
async fn known(queue: &Queue, settings: &Settings) -> anyhow::Result<Vec<Endpoint>> {
    let mut endpoints = queue.endpoints().await?;
    let told: BTreeSet<String> = endpoints.iter().map(|endpoint| endpoint.name.clone()).collect();
    for (name, own) in settings.webhooks.iter().filter(|(name, _)| !told.contains(*name)) {
        let wanted = Some(own.webhook.wanted.clone());
        endpoints.push(Endpoint { name: name.clone(), wanted, ..Endpoint::default() });
    }
    endpoints.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(endpoints)
}

fn find<'e>(endpoints: &'e [Endpoint], name: &str) -> anyhow::Result<&'e Endpoint> {
    let found = endpoints.iter().find(|endpoint| endpoint.name == name);
    found.ok_or_else(|| unknown(name, endpoints.iter().map(|endpoint| &endpoint.name)))
}

fn unknown<'n>(name: &str, known: impl Iterator<Item = &'n String>) -> anyhow::Error {
    let known: Vec<&str> = known.map(String::as_str).collect();
    refused(if known.is_empty() {
        format!("there is no webhook {name:?}, and no other: [webhooks.{name}] in the settings makes one")
    } else {
        format!("there is no webhook {name:?}; there are {}", known.join(", "))
    })
}

/// How an endpoint is, in a few words.
fn state(endpoint: &Endpoint, settings: &Settings) -> String {
    let answer = endpoint.answer.as_deref().unwrap_or("no answer");
    let lacks = settings.webhooks.get(&endpoint.name).and_then(|own| own.lacks.as_deref());
    if let Some(why) = &endpoint.disabled {
        format!("disabled: {}", shortened(why, 40))
    } else if endpoint.seen == 0 {
        lacks.map_or_else(|| "no worker has told it anything yet".to_owned(), str::to_owned)
    } else if let Some(since) = endpoint.failing {
        format!("fails since {}: {}", when(since), shortened(answer, 30))
    } else if endpoint.delivered > 0 {
        "well".to_owned()
    } else {
        "nothing to tell yet".to_owned()
    }
}

fn list(endpoints: &[Endpoint], settings: &Settings) -> String {
    if endpoints.is_empty() {
        return "no webhooks: [webhooks.NAME] in the settings makes one\n".to_owned();
    }
    let rows: Vec<Vec<String>> = endpoints
        .iter()
        .map(|endpoint| {
            let lost = endpoint.given_up + endpoint.dropped;
            vec![
                endpoint.name.clone(),
                endpoint.delivered.to_string(),
                endpoint.waiting.to_string(),
                lost.to_string(),
                state(endpoint, settings),
            ]
        })
        .collect();
    table(&["webhook", "told", "waiting", "given up", "state"], &[1, 2, 3], &rows)
}

fn shown(endpoint: &Endpoint, notices: &[Told], settings: &Settings) -> String {
    let mut text = format!("{}\n{}\n", endpoint.name, state(endpoint, settings));
    if let Some(Wanted { events, tenants, named_only, host }) = &endpoint.wanted {
        let names: Vec<String> = events.iter().map(ToString::to_string).collect();
        let events =
            if names.len() == EventType::ALL.len() { "all events".to_owned() } else { names.join(", ") };
        let whose = if tenants.is_empty() { "all tenants".to_owned() } else { tenants.join(", ") };
        let which = if *named_only { ", batches that name it" } else { "" };
        let _written = writeln!(text, "at      {host}\ntold    {}\nof      {whose}{which}", events);
    }
    let Endpoint { delivered, waiting, given_up, dropped, .. } = endpoint;
    let _written =
        writeln!(text, "so far  {delivered} told, {waiting} wait, {given_up} given up, {dropped} dropped\n");
    if notices.is_empty() {
        return text;
    }
    let rows: Vec<Vec<String>> = notices
        .iter()
        .map(|told| {
            // Year and seconds are in the JSON.
            let made = when(told.created).get(5..16).unwrap_or_default().to_owned();
            let state = told.state.replace('_', " ");
            vec![made, told.event.clone(), shortened(&told.about, 20), told.attempts.to_string(), state]
        })
        .collect();
    let lines = table(&["made", "event", "about", "tries", "state"], &[3], &rows);
    let mut lines = lines.lines();
    let _written = writeln!(text, "{}", lines.next().unwrap_or_default());
    for (line, told) in lines.zip(notices) {
        let _written = writeln!(text, "{line}");
        if let Some(answer) = told.answer.as_ref().filter(|_| told.state != "delivered") {
            let next = told.next.map_or_else(String::new, |next| format!("; again at {}", when(next)));
            let _written = writeln!(text, "  {}{next}", shortened(answer, 45));
        }
    }
    text
}
