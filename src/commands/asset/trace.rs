//! All that is known of one asset: where it is, every attempt, who asked, and why it waits.

use std::collections::BTreeSet;

use pictor_common::{
    AssetKey, Spec,
    derivative::folder,
    queue::{
        Asked, AssetDetail, AssetState, Attempts, Billed, Hints, LedgerEntry, Overview, Queue, Tried, Which,
        WorkerState, why,
    },
    stamp::Stamp,
    store::{image_name, sidecar_name},
};
use pictor_worker::SEND_MARGIN;
use serde::Serialize;
use serde_json::json;

use super::{facts, find, lines};
use crate::{
    commands::{Context, when},
    exit::refused,
    parts,
    table::{plain, table},
    waits,
};

/// Batches whose reasons to wait are told.
const BATCHES: usize = 5;
/// Derivatives that are listed.
const DERIVATIVES: usize = 100;

/// Why an asset is not made yet.
#[derive(Debug, Serialize)]
struct Waits {
    kind: &'static str,
    text: String,
}

/// Shows an asset.
pub(super) async fn show(key: &AssetKey, context: &Context, queue: &Queue) -> anyhow::Result<()> {
    let known = queue.asset_detail(key).await?;
    let in_store_alone = known.is_none();
    let found = match known {
        None => stored(key, context).await,
        known => known,
    };
    let mut detail = found.ok_or_else(|| refused(format!("asset {key} is unknown")))?;
    let (place, derivatives) = place(key, &mut detail, context).await.unzip();
    let derivatives = derivatives.unwrap_or_default();
    let mut asked = queue.asked(key, &detail.batches).await?;
    let attempts = queue.attempts(key, &hints(&detail, &asked)).await?;
    further(key, &attempts, &mut asked, queue).await?;
    let ids: Vec<_> = asked.iter().rev().take(BATCHES).filter_map(|asked| asked.batch.parse().ok()).collect();
    let overview = queue.overview(Which::These(&ids)).await?;
    let waits = waits_of(&detail, &overview);
    // What the store alone has tells no time of the queue.
    let since = since(&detail, &asked, context).filter(|_| !in_store_alone);
    let value = json!({
        "key": key, "place": place, "derivatives": derivatives, "since": since, "asset": detail.state, "detail": {
            "ceiling": detail.ceiling, "payer": detail.payer, "token": detail.token, "slot": detail.slot,
            "deadline": detail.deadline, "lease_until": detail.lease_until, "retry_at": detail.retry_at,
        },
        "attempts": attempts, "asked": asked, "waits": waits,
    });
    context.output.result(&value, || {
        let mut facts = facts(key, &detail.state);
        if let Some(since) = since {
            let long = waits::span(detail.now.saturating_sub(since) / 1_000_000);
            facts[1].1 += &format!(", for {long}");
        }
        facts.push(("place", place.clone().unwrap_or_default()));
        if in_store_alone {
            facts.push(("", "the store alone has it; asked for again, it costs nothing".to_owned()));
        }
        let names = derivatives.iter().enumerate();
        facts.extend(names.map(|(at, name)| (if at == 0 { "derived" } else { "" }, name.clone())));
        let mut text = lines(&facts);
        for (at, wait) in waits.iter().enumerate() {
            text += &format!("{:<9} {}\n", if at == 0 { "waits" } else { "" }, wait.text);
        }
        text += &tries_told(&detail.state);
        text + "\n" + &attempts_told(&attempts, &detail.state) + "\n" + &asked_told(&asked)
    })
}

/// What the store has of an asset that Redis does not know, or no more.
async fn stored(key: &AssetKey, context: &Context) -> Option<AssetDetail> {
    let url = parts::store_url(&context.settings, None);
    let store = parts::open_store(&context.settings, url).await.ok()?;
    let beside = store.get(&sidecar_name(key)).await.ok()??;
    let spec = serde_json::from_slice::<Sidecar>(&beside).ok()?.spec;
    let spec = spec.filter(|spec| AssetKey::of(spec) == *key)?;
    let object = store.head(&image_name(key, &spec)).await.ok()??;
    let Stamp { attempt, made } = Stamp::of(&object).filter(|stamp| stamp.attempt.key == *key)?;
    let state = AssetState {
        phase: "done".to_owned(),
        attempts: attempt.attempt,
        model: attempt.model,
        made: Some(made),
        spec: Some(spec),
        ..AssetState::default()
    };
    Some(AssetDetail { state, paid_tokens: vec![attempt.token], ..AssetDetail::default() })
}

/// Adds who else asked. Once an asset is made, Redis keeps no more of that than who paid: the lines of the newest
/// batches are looked through.
async fn further(
    key: &AssetKey,
    attempts: &Attempts,
    asked: &mut Vec<Asked>,
    queue: &Queue,
) -> anyhow::Result<()> {
    let payers: BTreeSet<String> = attempts.entries.iter().map(|entry| entry.batch.clone()).collect();
    let newest = queue.batches(find::BATCHES).await?;
    let newest = newest.into_iter().map(|batch| batch.id).filter(|id| !payers.contains(id));
    let known: BTreeSet<String> = asked.iter().map(|asked| asked.batch.clone()).collect();
    let others = payers.iter().cloned().chain(newest).filter(|id| !known.contains(id));
    let others = queue.asked(key, &Vec::from_iter(others)).await?;
    asked.extend(others.into_iter().filter(|other| other.line.is_some() || payers.contains(&other.batch)));
    asked.sort_by_key(|asked| asked.created);
    Ok(())
}

/// Where the image and its derivatives are. A spec that the queue no longer has is taken from the JSON beside the image.
async fn place(key: &AssetKey, detail: &mut AssetDetail, context: &Context) -> Option<(String, Vec<String>)> {
    let object = detail.state.made.as_ref()?.object.clone();
    let url = parts::store_url(&context.settings, None);
    let store = match parts::open_store(&context.settings, url).await {
        Ok(store) => store,
        Err(error) => {
            tracing::debug!(%error, "the store cannot be opened");
            return Some((object, Vec::new()));
        }
    };
    if detail.state.spec.is_none()
        && let Ok(Some(beside)) = store.get(&sidecar_name(key)).await
        && let Ok(Sidecar { spec }) = serde_json::from_slice(&beside)
    {
        detail.state.spec = spec;
    }
    let derivatives = store.list(&folder(key), None, DERIVATIVES).await.unwrap_or_default();
    Some((store.location(&object), derivatives.iter().map(|name| store.location(name)).collect()))
}

/// What is read of the JSON beside an image.
#[derive(serde::Deserialize)]
struct Sidecar {
    spec: Option<Spec>,
}

/// When its ledger entries were written, as far as that is known.
fn hints<'d>(detail: &'d AssetDetail, asked: &[Asked]) -> Hints<'d> {
    let made = detail.state.made.as_ref().map(|made| made.at_ms * 1_000);
    let failed = detail.state.failure.as_ref().map(|failure| failure.at_ms * 1_000);
    Hints {
        tokens: &detail.paid_tokens,
        moments: [made, failed].into_iter().flatten().filter(|at| *at > 0).collect(),
        since: asked.iter().map(|asked| asked.created).min().unwrap_or(0),
    }
}

/// Since when it is in its phase, where that can be told.
fn since(detail: &AssetDetail, asked: &[Asked], context: &Context) -> Option<u64> {
    let state = &detail.state;
    let stumbled = state.failure.as_ref().map(|failure| failure.at_ms * 1_000);
    match state.phase.as_str() {
        "done" => state.made.as_ref().map(|made| made.at_ms * 1_000).filter(|at| *at > 0),
        "failed" | "parked" => detail.ended_at.or(stumbled),
        "removed" => state.removed.as_ref().map(|removed| removed.at),
        "substituted" => stumbled,
        "ready" => stumbled.max(asked.iter().map(|asked| asked.created).min()),
        "sent" | "orphan" => {
            let model = context.settings.catalogue.model(&state.spec.as_ref()?.model)?;
            let allowance = u64::try_from((model.timeout() + SEND_MARGIN).as_micros()).ok()?;
            detail.deadline?.checked_sub(allowance)
        }
        _ => None,
    }
}

fn waits_of(detail: &AssetDetail, overview: &Overview) -> Vec<Waits> {
    let now = detail.now;
    let told = |kind, text| vec![Waits { kind, text }];
    let until = |at: u64| format!("{} ({})", when(at), waits::left(at, now));
    let lease = detail.lease_until.map(|at| format!(", its lease ends {}", until(at))).unwrap_or_default();
    match detail.state.phase.as_str() {
        "ready" => match detail.retry_at {
            Some(at) => {
                let why = detail.state.failure.as_ref().map(|failure| failure.class.clone());
                let why = why.map(|class| format!(" after {class}")).unwrap_or_default();
                told("retry", format!("tried again{why} from {} on", until(at)))
            }
            None => of_batches(overview),
        },
        "claimed" => {
            let slot = detail.slot.map(until).unwrap_or_default();
            told("claimed", format!("{} has it and sends it {slot}{lease}", owner(detail, overview)))
        }
        "sent" => {
            let deadline = detail.deadline.map(until).unwrap_or_default();
            let who = owner(detail, overview);
            told("sent", format!("{who} waits for the answer; none can come after {deadline}{lease}"))
        }
        "received" => {
            told("received", format!("{} has the image and stores it{lease}", owner(detail, overview)))
        }
        "orphan" => {
            let judged = detail.judged_at.or(detail.deadline).map(until).unwrap_or_default();
            told("orphan", format!("{} is gone; its outcome is judged from {judged} on", owner(detail, overview)))
        }
        "substituted" => told(
            "substituted",
            "its model cannot make it, and every batch that asked has another model's instead".to_owned(),
        ),
        "removed" => {
            let again = "until a row that asks for it is submitted again, and pays anew, or asset redo gives its line another";
            told("removed", format!("{again} (pictor audit says who removed it)"))
        }
        "failed" => told("failed", "it failed for good: pictor failed retry tries it again".to_owned()),
        "parked" => told(
            "parked",
            "it may have been paid without an image: pictor failed retry --parked tries, and may pay, again; pictor failed discard --parked gives it up"
                .to_owned(),
        ),
        _ => Vec::new(),
    }
}

/// A ready asset waits for what its batches wait for.
fn of_batches(overview: &Overview) -> Vec<Waits> {
    let mut all = Vec::new();
    for view in &overview.batches {
        if view.state.state == "cancelled" {
            let id = &view.state.id;
            let text = match view.state.expired {
                Some(_) => {
                    format!(
                        "batch {id} is past its deadline: submitted again with a later moment, it goes on"
                    )
                }
                None => format!("batch {id} was cancelled"),
            };
            all.push(Waits { kind: "cancelled", text });
        }
        for told in waits::told(why(view, overview), overview) {
            all.push(Waits { kind: "batch", text: format!("batch {}: {}", view.state.id, told.text) });
        }
    }
    if all.is_empty() {
        all.push(Waits { kind: "turn", text: "for its turn; nothing else keeps it".to_owned() });
    }
    all
}

/// The worker that holds an asset.
fn owner(detail: &AssetDetail, overview: &Overview) -> String {
    let Some((incarnation, _)) = detail.token.as_deref().and_then(|token| token.rsplit_once('-')) else {
        return "a worker".to_owned();
    };
    let alive = overview.workers.iter().find(|worker| worker.incarnation == incarnation);
    match alive {
        Some(WorkerState { beat, .. }) => format!("worker {incarnation} ({} {})", beat.host, beat.pid),
        None => format!("worker {incarnation}, not heard of lately,"),
    }
}

/// Attempts that made no image, as far as they are kept: paid ones are in the ledger, too.
fn tries_told(state: &AssetState) -> String {
    let Some(failure) = &state.failure else { return String::new() };
    let last = Tried {
        attempt: failure.attempt,
        class: failure.class.clone(),
        status: failure.status,
        request_id: failure.request_id.clone(),
        model: failure.model.clone(),
        lane: failure.lane.clone(),
        billed: failure.billed,
        cost: failure.cost,
        latency_ms: failure.latency_ms,
        at_ms: failure.at_ms,
    };
    let rows: Vec<Vec<String>> = failure.before.iter().chain([&last]).map(try_told).collect();
    let titles = ["attempt", "failed as", "status", "took", "billed", "when", "request"];
    format!("\n{}", table(&titles, &[0, 2, 3], &rows))
}

fn try_told(tried: &Tried) -> Vec<String> {
    let billed = match tried.billed {
        Some(Billed::Yes) => tried.cost.to_string(),
        Some(Billed::Unknown) => format!("perhaps {}", tried.cost),
        Some(Billed::No) => "no".to_owned(),
        None => String::new(),
    };
    vec![
        tried.attempt.to_string(),
        tried.class.clone(),
        tried.status.map(|status| status.to_string()).unwrap_or_default(),
        tried.latency_ms.map(|took| format!("{:.1} s", took as f64 / 1e3)).unwrap_or_default(),
        billed,
        when(tried.at_ms * 1_000),
        plain(tried.request_id.as_deref().unwrap_or_default()),
    ]
}

fn attempts_told(attempts: &Attempts, state: &AssetState) -> String {
    let family = state.route.rsplit_once('.').map_or("", |(family, _)| family);
    let rows: Vec<Vec<String>> = attempts.entries.iter().map(|entry| entry_told(entry, family)).collect();
    let titles = ["attempt", "outcome", "cost", "when", "batch", "tenant", "account", "lane", "request"];
    let mut text = if rows.is_empty() { String::new() } else { table(&titles, &[0, 2], &rows) };
    let told: BTreeSet<_> = attempts.entries.iter().map(|entry| &entry.token).collect();
    let free = (state.attempts as usize).saturating_sub(told.len());
    text += &match (free, told.len()) {
        (0, 0) => "nothing was sent for it\n".to_owned(),
        (0, _) => String::new(),
        (free, 0) => {
            format!("{free} sent, and none billed: the ledger has only what was or may have been paid\n")
        }
        (free, _) => {
            format!("{free} more sent and not billed: the ledger has only what was or may have been paid\n")
        }
    };
    if attempts.bounded {
        text += &format!("older entries may exist: {} of the ledger were looked at\n", attempts.looked_at);
    }
    text
}

fn entry_told(entry: &LedgerEntry, family: &str) -> Vec<String> {
    let outcome = match entry.kind.as_str() {
        "settled" => "paid",
        "unknown" => "perhaps paid",
        "resolved" => "found out",
        other => other,
    };
    let cost: u64 = entry.cost.parse().unwrap_or(0);
    vec![
        entry.attempt.clone(),
        outcome.to_owned(),
        pictor_common::MicroUsd(cost).to_string(),
        entry.at.parse().map(when).unwrap_or_default(),
        entry.batch.clone(),
        entry.tenant.clone(),
        entry.lane.trim_end_matches(family).trim_end_matches('.').to_owned(),
        entry.lane.clone(),
        entry.request_id.clone(),
    ]
}

fn asked_told(asked: &[Asked]) -> String {
    if asked.is_empty() {
        return "no batch asks for it any more\n".to_owned();
    }
    let rows: Vec<Vec<String>> = asked
        .iter()
        .map(|asked| {
            let line = asked.line.as_ref();
            vec![
                asked.batch.clone(),
                line.map(|line| line.row.to_string()).unwrap_or_default(),
                line.map(|line| line.id.clone()).unwrap_or_default(),
                asked.tenant.clone(),
                asked.state.clone(),
                when(asked.created),
            ]
        })
        .collect();
    table(&["asked by", "row", "id", "tenant", "state", "created"], &[1], &rows)
}
