//! Death certificates: whoever can take the lock of another incarnation's spool knows that its
//! process is dead, delivers the images that had arrived and says what is unknown.

use std::{
    sync::Arc,
    time::{Duration, UNIX_EPOCH},
};

use anyhow::Context;
use futures::{FutureExt as _, StreamExt as _, TryStreamExt as _, stream};
use pictor_common::{
    queue::{HeldAsset, HeldPhase},
    stamp::Stamp,
    store::image_name,
};
use tracing::{Instrument as _, error, info};

use crate::{
    deliver::{Delivery, remove},
    engine::{Engine, LEASE, UPLOADS},
    provider::Beside,
    reaper::declare_unknown,
    spool::{DeadSpool, Image, Open},
    trace,
};

/// Deaths of a worker with an image in hand after which the image is given up.
const POISON: usize = 3;
/// Looks at the store at once.
const LOOKS: usize = 16;

/// Looks for the dead until the worker drains.
pub(crate) async fn run(engine: Arc<Engine>) {
    loop {
        match engine.spool.dead() {
            Ok(dead) => {
                for spool in dead {
                    let incarnation = spool.incarnation.clone();
                    if let Err(error) = replay(&engine, spool).await {
                        error!(
                            error = format!("{error:#}"),
                            incarnation, "cannot replay the spool of a dead worker; trying again"
                        );
                    }
                }
            }
            Err(error) => error!(%error, "cannot look for the spools of dead workers"),
        }
        tokio::select! {
            () = engine.draining.cancelled() => return,
            () = tokio::time::sleep(Duration::from_millis(1_500)) => {}
        }
    }
}

async fn replay(engine: &Arc<Engine>, spool: DeadSpool) -> anyhow::Result<()> {
    let open = spool.open().context("cannot read its journal")?;
    if !open.is_empty() {
        info!(incarnation = spool.incarnation, intents = open.len(), "a worker died; its spool is replayed");
    }
    // What has no image is declared first, so that its work resumes at once.
    let (arrived, missing): (Vec<_>, Vec<_>) =
        open.into_iter().partition(|intent| spool.image(&intent.attempt.token).is_some());
    // The images are ours now: the lease thread keeps everybody else from judging them.
    for intent in &arrived {
        engine.held.adopt(held(intent));
    }
    let replayed = take_over(engine, &spool, &arrived, &missing).await;
    for intent in &arrived {
        engine.held.ended(&intent.attempt.token);
    }
    replayed?;
    spool.remove().context("cannot remove it")
}

async fn take_over(
    engine: &Arc<Engine>,
    spool: &DeadSpool,
    arrived: &[Open],
    missing: &[Open],
) -> anyhow::Result<()> {
    let adopted: Vec<_> = arrived.iter().map(held).collect();
    engine.queue.extend(&adopted, LEASE).await?;
    // Each takes a look at the store: one after the other they would keep hundreds waiting for the last.
    let certificates: Vec<_> =
        missing.iter().map(|intent| certify(engine, intent).instrument(span(intent)).boxed()).collect();
    stream::iter(certificates).buffer_unordered(LOOKS).try_collect::<()>().await?;
    let deliveries: Vec<_> = arrived
        .iter()
        .map(|intent| deliver(engine, spool, intent).instrument(span(intent)).boxed())
        .collect();
    stream::iter(deliveries).buffer_unordered(UPLOADS).try_collect().await
}

/// What is said of an attempt that a dead worker left.
fn span(intent: &Open) -> tracing::Span {
    let span = trace::attempt(&intent.attempt);
    let id = intent.image.as_ref().and_then(|image| image.request_id.as_deref());
    span.in_scope(|| {
        trace::begun(intent.attempt.attempt);
        trace::answered(id, None);
    });
    span
}

fn held(intent: &Open) -> HeldAsset {
    HeldAsset {
        key: intent.attempt.key.clone(),
        token: intent.attempt.token.clone(),
        phase: HeldPhase::Received,
        lane: intent.attempt.lane.clone(),
        payer: intent.attempt.payer.clone(),
        tenant: intent.attempt.tenant.clone(),
        ceiling: intent.ceiling,
        attempt: intent.attempt.attempt,
        deadline: 0,
    }
}

/// The owner is dead and left no image: unsent goes back, sent is unknown unless the store has it.
async fn certify(engine: &Engine, intent: &Open) -> anyhow::Result<()> {
    let attempt = &intent.attempt;
    let key = attempt.key.clone();
    let unsent = !intent.sent && engine.queue.release(&[(key, attempt.token.clone())]).await? > 0;
    if unsent {
        return Ok(());
    }
    if !intent.sent && !engine.queue.owns(&attempt.key, &attempt.token).await? {
        return Ok(());
    }
    let found = engine.store.head(&image_name(&attempt.key, &intent.spec)).await?;
    let stamp = found.as_ref().and_then(Stamp::of);
    if let Some(stamp) = &stamp {
        engine.settle_found(stamp).await?;
    }
    if stamp.is_none_or(|stamp| stamp.attempt.token != attempt.token) {
        declare_unknown(engine, attempt, intent.ceiling, "the worker died before the answer came", false)
            .await?;
    }
    Ok(())
}

async fn deliver(engine: &Engine, spool: &DeadSpool, intent: &Open) -> anyhow::Result<()> {
    let token = &intent.attempt.token;
    let Some(file) = spool.image(token) else { return Ok(()) };
    let image = match &intent.image {
        Some(image) => image.clone(),
        None => measured(&file)?,
    };
    let mut attempt = intent.attempt.clone();
    attempt.request_id.clone_from(&image.request_id);
    let spec = intent.spec.clone();
    let delivery = Delivery { attempt, spec, ceiling: intent.ceiling, file, image, bad_answers: 0 };
    if spool.take_up(token)? >= POISON {
        engine.reject_poison(&delivery).await;
    } else {
        let checked = engine.check(&delivery).await;
        // Only decoding can kill; what follows waits for the network and does not count.
        spool.survived(token)?;
        engine.finish(&delivery, checked).await;
    }
    remove(&delivery.file);
    Ok(())
}

/// The process died between the image and the line about it: digest and length are taken anew, the rest lies beside it.
fn measured(file: &std::path::Path) -> anyhow::Result<Image> {
    use sha2::Digest as _;
    let bytes = std::fs::read(file)?;
    let came = std::fs::metadata(file)?.modified()?.duration_since(UNIX_EPOCH).unwrap_or_default();
    let Beside { request_id, revised_prompt, usage } = Beside::read(file);
    Ok(Image {
        request_id,
        revised_prompt,
        usage,
        at_ms: u64::try_from(came.as_millis()).unwrap_or_default(),
        digest: pictor_common::asset_key::hex(&sha2::Sha256::digest(&bytes)),
        bytes: bytes.len() as u64,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_lies_beside_an_image_is_known_without_its_line() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("token.img");
        std::fs::write(&file, b"hello").unwrap();
        let alone = measured(&file).unwrap();
        assert_eq!((alone.bytes, &alone.request_id, alone.usage), (5, &None, None));
        assert!(alone.digest.starts_with("2cf24dba") && alone.at_ms > 1_700_000_000_000, "{alone:?}");

        let told = r#"{"request_id":"req_1","revised_prompt":"a cat","usage":{"image_output":272}}"#;
        std::fs::write(dir.path().join("token.img.told"), told).unwrap();
        let image = measured(&file).unwrap();
        let usage = pictor_common::price::Usage { image_output: 272, ..Default::default() };
        assert_eq!((image.request_id.as_deref(), image.usage), (Some("req_1"), Some(usage)));
        assert_eq!((image.revised_prompt.as_deref(), image.digest), (Some("a cat"), alone.digest));
    }
}
