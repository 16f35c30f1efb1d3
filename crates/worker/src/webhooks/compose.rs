//! Makes notices of news: what is said, and to whom. Nothing of a prompt is.

use jiff::Timestamp;
use pictor_common::{
    batch::BatchId,
    queue::{BatchState, CauseSeen, Endpoint, News, Notice, Queue, QueueError, What},
    webhook::{EventType, message_id},
};
use serde_json::{Value, json};

/// Causes of failures that are told of a batch.
const CAUSES: usize = 5;
/// An endpoint that no worker has named for so long gets nothing new, µs.
const SILENT: u64 = 3_600_000_000;

/// What is told of one piece of news, to each endpoint that wants it.
pub(super) async fn notices(queue: &Queue, news: &News) -> Result<Vec<Notice>, QueueError> {
    let (event, about, tenant, batch, data) = match &news.what {
        What::Batch(event, batch) => {
            let Some(state) = queue.batch(batch).await? else { return Ok(Vec::new()) };
            let data = of_batch(queue, batch, &state).await?;
            (*event, batch.to_string(), state.tenant, Some(batch), data)
        }
        What::Cause(event, name, count) => {
            let Some(seen) = queue.cause_seen(name).await? else { return Ok(Vec::new()) };
            (*event, seen.class.clone(), seen.tenant.clone(), None, of_cause(&seen, name, *count))
        }
        What::Other => return Ok(Vec::new()),
    };
    let namespace = queue.keys().namespace();
    let mut data = data;
    data["namespace"] = namespace.into();
    let body = json!({ "type": event, "timestamp": moment(news.at), "data": data }).to_string();
    let id = message_id(namespace, &news.text);
    let mut notices = Vec::new();
    for endpoint in queue.endpoints().await? {
        if wants(queue, &endpoint, event, &tenant, batch, news.at).await? {
            let (about, body) = (about.clone(), body.clone());
            notices.push(Notice { hook: endpoint.name, id: id.clone(), event, about, body });
        }
    }
    Ok(notices)
}

async fn wants(
    queue: &Queue,
    endpoint: &Endpoint,
    event: EventType,
    tenant: &str,
    batch: Option<&BatchId>,
    at: u64,
) -> Result<bool, QueueError> {
    let Some(wanted) = &endpoint.wanted else { return Ok(false) };
    if endpoint.disabled.is_some() || endpoint.since > at || endpoint.seen.saturating_add(SILENT) < at {
        return Ok(false);
    }
    let named = match batch {
        Some(batch) if wanted.named_only => queue.names_webhook(batch, &endpoint.name).await?,
        _ => false,
    };
    Ok(wanted.wants(event, tenant, named))
}

async fn of_batch(queue: &Queue, batch: &BatchId, state: &BatchState) -> Result<Value, QueueError> {
    let failed = state.counts.failed + state.counts.parked;
    let causes = if failed > 0 { queue.causes_in(batch, CAUSES).await? } else { Vec::new() };
    let failures: Vec<Value> = causes
        .into_iter()
        .map(|(cause, count)| {
            json!({ "group": cause.id, "class": cause.class, "message": cause.message, "count": count })
        })
        .collect();
    Ok(json!({
        "batch": state.id,
        "tenant": state.tenant,
        "source": state.source,
        "state": state.state,
        "assets": state.assets,
        "made": state.counts.done,
        "failed": state.counts.failed,
        "parked": state.counts.parked,
        "cost_micro_usd": state.spent,
        "unknown_cost_micro_usd": state.unknown,
        "created": moment(state.created),
        "ended": state.completed.map(moment),
        "reason": state.reason,
        "failures": failures,
        "commands": commands(&state.id, failed > 0),
    }))
}

fn commands(batch: &str, failed: bool) -> Vec<String> {
    let mut commands = vec![format!("pictor batch show {batch}"), format!("pictor results {batch}")];
    if failed {
        commands.push("pictor failed list".to_owned());
    }
    commands
}

fn of_cause(seen: &CauseSeen, name: &str, count: u64) -> Value {
    json!({
        "group": name.rsplit('|').next(),
        "tenant": seen.tenant,
        "class": seen.class,
        "message": seen.message,
        "count": count,
        "first_seen": moment(seen.first),
        "last_seen": moment(seen.last),
        "batch": seen.batch,
        "commands": [format!("pictor failed list --class {}", seen.class)],
    })
}

/// A time in µs since 1970, as RFC 3339 has it.
fn moment(micros: u64) -> String {
    let moment = i64::try_from(micros).ok().and_then(|micros| Timestamp::from_microsecond(micros).ok());
    moment.map_or_else(String::new, |moment| moment.to_string())
}
