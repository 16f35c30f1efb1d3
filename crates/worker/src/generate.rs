//! One asset, from grant to books: intent, begin, send, verdict, delivery.
//!
//! The whole path runs in a task of its own that nothing cancels; the apalis handler only awaits it.

use std::{sync::Arc, time::Duration};

use apalis_core::{error::BoxDynError, task::data::Data};
use pictor_common::{
    MicroUsd,
    queue::{Attempt, Begun, Billed, Failure, Grant, LanePause, Outcome},
};
use tracing::{Instrument as _, debug, error, info, info_span, warn};

use crate::{
    backoff_delay::retry_delay,
    deliver::{Delivery, remove},
    engine::{Engine, LEASE, SEND_MARGIN, client_request_id, wall_ms},
    provider::{Answer, Ask, Received},
    source::Work,
    spool::{Image, Record},
    verdict::{Next, Verdict, verdict},
};

/// The apalis handler.
pub(crate) async fn generate(work: Work, engine: Data<Arc<Engine>>) -> Result<(), BoxDynError> {
    let engine = Arc::clone(&engine);
    let span = info_span!("asset", key = %work.grant.key.short(), token = work.grant.token);
    let task = tokio::spawn(async move { perform(&engine, &work).await }.instrument(span));
    if let Err(panicked) = task.await {
        error!(error = %panicked, "a handler panicked; its asset is judged when the lease ends");
    }
    Ok(())
}

async fn perform(engine: &Engine, work: &Work) {
    let grant = &work.grant;
    let mut attempt = Attempt {
        key: grant.key.clone(),
        token: grant.token.clone(),
        attempt: grant.attempts,
        payer: grant.payer.clone(),
        lane: grant.lane.clone(),
        model: grant.spec.model.clone(),
        request_id: None,
    };
    let intent =
        Record::Intent { attempt: attempt.clone(), spec: Box::new(grant.spec.clone()), ceiling: grant.ceiling };
    if engine.journal.sync(intent).await.is_err() {
        give_back(engine, grant).await;
        tokio::time::sleep(Duration::from_secs(1)).await;
        return;
    }
    let Some(number) = begin(engine, work).await else {
        engine.journal.note(Record::Ended { token: attempt.token });
        return;
    };
    attempt.attempt = number;
    send(engine, grant, attempt).await;
}

/// Waits for the slot and asks Redis whether this request may go out; the number of the attempt, or none.
async fn begin(engine: &Engine, work: &Work) -> Option<u32> {
    let grant = &work.grant;
    let allowance = engine.timeout(&grant.spec.model) + SEND_MARGIN;
    let mut wait = work.slot.saturating_duration_since(tokio::time::Instant::now());
    let mut tries = 0;
    loop {
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            () = engine.draining.cancelled() => {}
        }
        if engine.draining.is_cancelled() {
            give_back(engine, grant).await;
            return None;
        }
        match engine.queue.begin(&grant.key, &grant.token, allowance, LEASE).await {
            Ok(Begun::Go { attempt, deadline }) => {
                engine.held.sent(&grant.token, attempt, deadline);
                engine.journal.note(Record::Sent { token: grant.token.clone(), attempt });
                return Some(attempt);
            }
            Ok(Begun::Wait(more)) => wait = more,
            Ok(Begun::No(reason)) => {
                debug!(reason, "not sent");
                return None;
            }
            Err(error) => {
                if tries == 0 {
                    warn!(%error, "cannot begin: without an answer from Redis nothing is sent");
                }
                tries += 1;
                wait = Duration::from_millis(250);
            }
        }
    }
}

/// Gives an asset back that was surely not sent, even if Redis noted it as sent before its reply was lost.
async fn give_back(engine: &Engine, grant: &Grant) {
    let given = engine.queue.release(&[(grant.key.clone(), grant.token.clone())]).await;
    match given {
        Ok(1..) => {}
        Ok(0) => {
            let attempt = Attempt {
                key: grant.key.clone(),
                token: grant.token.clone(),
                attempt: grant.attempts,
                payer: grant.payer.clone(),
                lane: grant.lane.clone(),
                model: grant.spec.model.clone(),
                request_id: None,
            };
            let failure = Failure { class: "given_back".to_owned(), at_ms: wall_ms(), ..Failure::default() };
            let outcome = Outcome::Refused(Duration::ZERO);
            let unsent = engine.queue.fail(&attempt, Billed::No, MicroUsd::ZERO, outcome, 0, &failure, None).await;
            if let Err(error) = unsent {
                debug!(%error, "not given back; the lease ends by itself");
            }
        }
        Err(error) => debug!(%error, "not given back; the lease ends by itself"),
    }
}

async fn send(engine: &Engine, grant: &Grant, attempt: Attempt) {
    let Some(lane) = engine.lanes.get(&grant.lane) else {
        error!(lane = grant.lane, "claimed for a lane this worker does not have");
        give_back(engine, grant).await;
        return;
    };
    let ask = Ask {
        spec: &grant.spec,
        client_request_id: &client_request_id(&attempt),
        timeout: engine.timeout(&grant.spec.model),
        sink: engine.spool.image(&attempt.token),
    };
    debug!(attempt = attempt.attempt, lane = grant.lane, "sending");
    let answer = lane.provider.perform(ask).await;
    if let Answer::Image(received) = answer {
        received_image(engine, grant, attempt, *received).await;
    } else {
        let verdict = verdict(&answer, attempt.attempt, engine.settings.max_attempts);
        no_image(engine, grant, attempt, &verdict).await;
    }
}

async fn received_image(engine: &Engine, grant: &Grant, mut attempt: Attempt, received: Received) {
    engine.held.received(&attempt.token);
    let image = Image {
        digest: received.sha256,
        bytes: received.bytes,
        request_id: received.headers.request_id,
        revised_prompt: received.revised_prompt,
        usage: received.usage,
    };
    engine.journal.note(Record::Received { token: attempt.token.clone(), image: image.clone() });
    attempt.request_id.clone_from(&image.request_id);
    let token = attempt.token.clone();
    let delivery =
        Delivery { attempt, spec: grant.spec.clone(), ceiling: grant.ceiling, file: received.file, image };
    if let Err(error) = engine.deliver(&delivery).await {
        error!(error = format!("{error:#}"), "an image stays in the spool; it is delivered when this worker is started again");
        return;
    }
    remove(&delivery.file);
    engine.journal.note(Record::Ended { token });
}

async fn no_image(engine: &Engine, grant: &Grant, mut attempt: Attempt, verdict: &Verdict) {
    attempt.request_id.clone_from(&verdict.request_id);
    let failure = Failure {
        class: verdict.class.as_str().to_owned(),
        message: verdict.message.clone(),
        status: verdict.status,
        code: verdict.code.clone(),
        request_id: verdict.request_id.clone(),
        model: attempt.model.clone(),
        attempt: attempt.attempt,
        at_ms: wall_ms(),
    };
    let backoff = || retry_delay(attempt.attempt, rand::random());
    let pause = |reason: &str, delay| LanePause { lane: grant.lane.clone(), delay, reason: reason.to_owned() };
    let (outcome, lane_pause) = match &verdict.next {
        Next::Retry { after } => (Outcome::Retry(after.unwrap_or_else(backoff)), None),
        Next::Refused { wait } => (Outcome::Refused(*wait), Some(pause(&verdict.message, *wait))),
        Next::PauseLane { reason, wait } => (Outcome::Refused(*wait), Some(pause(reason, *wait))),
        Next::Fail => (Outcome::Failed, None),
    };
    let cost = match verdict.billed {
        Billed::No => MicroUsd::ZERO,
        Billed::Yes | Billed::Unknown => grant.ceiling,
    };
    info!(class = failure.class, billed = ?verdict.billed, next = ?verdict.next, message = failure.message, "no image");
    let mut tries = 0;
    let max_unknown = engine.settings.max_unknown;
    let queue = &engine.queue;
    while let Err(error) =
        queue.fail(&attempt, verdict.billed, cost, outcome, max_unknown, &failure, lane_pause.as_ref()).await
    {
        if tries == 0 {
            warn!(%error, "cannot record a failed attempt yet: waiting for Redis");
        }
        Engine::pause(&mut tries).await;
    }
    engine.journal.note(Record::Ended { token: attempt.token });
}
