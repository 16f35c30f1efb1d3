//! One asset, from grant to books: intent, begin, send, verdict, delivery.
//!
//! The whole path runs in a task of its own that nothing cancels; the apalis handler only awaits it.

use std::{sync::Arc, time::Duration};

use apalis_core::{error::BoxDynError, task::data::Data};
use pictor_common::{
    MicroUsd,
    queue::{Attempt, Begun, Billed, Failure, Fault, Grant, LanePause, Outcome, Unmade},
};
use tokio::time::Instant;
use tracing::{Instrument as _, debug, error, info, warn};

use crate::{
    backoff_delay::retry_delay,
    deliver::{Delivery, remove},
    engine::{Engine, LEASE, SEND_MARGIN, client_request_id, wall_ms},
    learning::refusal_of,
    provider::{Answer, AnswerHeaders, Ask, Received},
    source::Work,
    spool::{Image, Record},
    trace::{self, stage},
    verdict::{FailureClass, Next, Tries, Verdict, judge},
};

/// The apalis handler.
pub(crate) async fn generate(work: Work, engine: Data<Arc<Engine>>) -> Result<(), BoxDynError> {
    let engine = Arc::clone(&engine);
    let span = trace::attempt(&unsent_attempt(&work.grant));
    let task = tokio::spawn(
        async move {
            let Work { grant, slot, place } = work;
            perform(&engine, &grant, slot).await;
            drop(place);
        }
        .instrument(span),
    );
    if let Err(panicked) = task.await {
        error!(error = %panicked, "a handler panicked; its asset is judged when the lease ends");
    }
    Ok(())
}

async fn perform(engine: &Arc<Engine>, grant: &Grant, slot: Instant) {
    let mut attempt = unsent_attempt(grant);
    let intent = Record::Intent {
        attempt: attempt.clone(),
        spec: Box::new(grant.spec.clone()),
        ceiling: grant.ceiling,
    };
    if engine.journal.sync(intent).instrument(stage!("intent")).await.is_err() {
        give_back(engine, grant).await;
        tokio::time::sleep(Duration::from_secs(1)).await;
        return;
    }
    let Some((number, epoch)) = begin(engine, grant, slot).instrument(stage!("begin")).await else {
        engine.journal.note(Record::Ended { token: attempt.token });
        return;
    };
    attempt.attempt = number;
    trace::begun(number);
    send(engine, grant, attempt, epoch).await;
}

/// The attempt a grant allows, before it has a number of its own.
fn unsent_attempt(grant: &Grant) -> Attempt {
    Attempt {
        key: grant.key.clone(),
        token: grant.token.clone(),
        attempt: grant.attempts,
        payer: grant.payer.clone(),
        tenant: grant.tenant.clone(),
        lane: grant.lane.clone(),
        model: grant.spec.model.clone(),
        request_id: None,
    }
}

/// Waits for the slot and asks Redis whether this request may go out; the number of the attempt and what its lane knew
/// then, or none.
async fn begin(engine: &Engine, grant: &Grant, slot: Instant) -> Option<(u32, u64)> {
    let allowance = engine.timeout(&grant.spec.model) + SEND_MARGIN;
    let mut wait = slot.saturating_duration_since(Instant::now());
    let mut tries = 0;
    loop {
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            () = engine.draining.cancelled() => {}
        }
        if engine.draining.is_cancelled() || engine.refused.has(&grant.lane) {
            give_back(engine, grant).await;
            return None;
        }
        match engine.queue.begin(&grant.key, &grant.token, allowance, LEASE).await {
            Ok(Begun::Go { attempt, deadline, epoch }) => {
                engine.held.sent(&grant.token, attempt, deadline);
                // On disk before it is sent: after a power cut nobody may take it for unsent.
                if engine.journal.sync(Record::Sent { token: grant.token.clone(), attempt }).await.is_err() {
                    give_back(engine, grant).await;
                    return None;
                }
                return Some((attempt, epoch));
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
            let attempt = unsent_attempt(grant);
            let failure = Failure { class: "given_back".to_owned(), at_ms: wall_ms(), ..Failure::default() };
            let unmade = Unmade {
                billed: Billed::No,
                cost: MicroUsd::ZERO,
                outcome: Outcome::Refused(Duration::ZERO),
                max_unknown: 0,
                failure: &failure,
                pause: None,
                refusal: None,
                fault: None,
                doubt: false,
            };
            if let Err(error) = engine.queue.fail(&attempt, &unmade).await {
                debug!(%error, "not given back; the lease ends by itself");
            }
        }
        Err(error) => debug!(%error, "not given back; the lease ends by itself"),
    }
}

async fn send(engine: &Arc<Engine>, grant: &Grant, mut attempt: Attempt, epoch: u64) {
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
    let begun = Instant::now();
    let answer = lane.provider.perform(ask).await;
    if let Answer::Image(received) = answer {
        engine.metrics.answered(&grant.lane, &attempt.model, begun.elapsed());
        let headers = received.headers.clone();
        received_image(engine, grant, attempt, *received).await;
        engine.learn(&grant.lane, epoch, &headers).await;
    } else {
        let latency = (!matches!(answer, Answer::Unsent(_))).then(|| begun.elapsed());
        let tries = Tries {
            attempt: attempt.attempt,
            unknowns: grant.unknowns,
            bad_answers: grant.bad_answers,
            unsent: grant.unsent,
        };
        let verdict = judge(&answer, &tries, &engine.patience());
        count(engine, &attempt, &answer, &verdict);
        let seen = seen(&answer);
        trace::answered(seen.request_id.as_deref(), seen.status);
        trace::billed(verdict.billed);
        attempt.request_id.clone_from(&seen.request_id);
        no_image(engine, grant, attempt, &verdict, Seen { epoch, latency, ..seen }).await;
    }
}

/// Counts a request that brought no image.
fn count(engine: &Engine, attempt: &Attempt, answer: &Answer, verdict: &Verdict) {
    let class = verdict.class.map_or("", FailureClass::as_str);
    if matches!(answer, Answer::Unsent(_)) {
        engine.metrics.unsent(&attempt.lane, class);
    } else {
        let by_limit = matches!(verdict.next, Next::Refused(_));
        engine.metrics.unanswered(&attempt.lane, &attempt.model, class, by_limit);
    }
}

async fn received_image(engine: &Arc<Engine>, grant: &Grant, mut attempt: Attempt, received: Received) {
    engine.room.note(received.bytes);
    engine.held.received(&attempt.token);
    let image = Image {
        digest: received.sha256,
        bytes: received.bytes,
        request_id: received.headers.request_id,
        revised_prompt: received.revised_prompt,
        usage: received.usage,
        at_ms: wall_ms(),
    };
    engine.journal.note(Record::Received { token: attempt.token.clone(), image: image.clone() });
    attempt.request_id.clone_from(&image.request_id);
    trace::answered(image.request_id.as_deref(), Some(200));
    trace::billed(Billed::Yes);
    let token = attempt.token.clone();
    let delivery = Delivery {
        attempt,
        spec: grant.spec.clone(),
        ceiling: grant.ceiling,
        file: received.file,
        image,
        bad_answers: grant.bad_answers,
    };
    if let Some(at_ms) = engine.deliver(&delivery).await {
        engine.derive_soon(&delivery, at_ms).await;
    }
    remove(&delivery.file);
    engine.journal.note(Record::Ended { token });
}

/// What an answer without an image says of itself.
#[derive(Default)]
struct Seen {
    status: Option<u16>,
    request_id: Option<String>,
    refused_key: Option<String>,
    epoch: u64,
    latency: Option<Duration>,
}

fn seen(answer: &Answer) -> Seen {
    match answer {
        Answer::Refused(error) => Seen {
            status: Some(error.status),
            request_id: error.headers.request_id.clone(),
            refused_key: error.refused_key.as_ref().map(|key| key.digest.clone()),
            ..Seen::default()
        },
        Answer::Unusable(unusable) => {
            Seen { request_id: unusable.headers.request_id.clone(), ..Seen::default() }
        }
        Answer::Image(_) | Answer::Unsent(_) | Answer::Lost { .. } => Seen::default(),
    }
}

async fn no_image(engine: &Engine, grant: &Grant, attempt: Attempt, verdict: &Verdict, seen: Seen) {
    let failure = Failure {
        class: verdict.class.map(|class| class.to_string()).unwrap_or_default(),
        message: verdict.message.clone(),
        status: seen.status,
        code: verdict.code.clone(),
        request_id: attempt.request_id.clone(),
        model: attempt.model.clone(),
        attempt: attempt.attempt,
        at_ms: wall_ms(),
        latency_ms: seen.latency.and_then(|took| took.as_millis().try_into().ok()),
        ..Failure::default()
    };
    let (outcome, mut lane_pause) = consequence(verdict, grant, attempt.attempt);
    if let Some(pause) = lane_pause.as_mut().filter(|_| verdict.class == Some(FailureClass::Auth)) {
        pause.key = seen.refused_key;
        engine.refuse(&grant.lane, pause.key.as_deref());
    }
    let refusal = match &verdict.next {
        Next::Refused(limit) => Some(refusal_of(limit, seen.epoch, &verdict.message)),
        _ => None,
    };
    let cost = match verdict.billed {
        Billed::No => MicroUsd::ZERO,
        Billed::Yes | Billed::Unknown => grant.ceiling,
    };
    info!(class = failure.class, billed = ?verdict.billed, next = ?verdict.next, said = failure.message, "no image");
    let unmade = Unmade {
        billed: verdict.billed,
        cost,
        outcome,
        max_unknown: engine.settings.max_unknown,
        failure: &failure,
        pause: lane_pause.as_ref(),
        refusal: refusal.as_ref(),
        fault: verdict
            .class
            .filter(|class| class.is_fault())
            .map(|_| Fault { reason: &verdict.message, epoch: seen.epoch }),
        doubt: false,
    };
    if outcome == Outcome::Failed
        && unmade.billed == Billed::No
        && verdict.class.is_some_and(FailureClass::is_of_the_model)
    {
        engine.part_until_done(&attempt, &unmade, &grant.spec).await;
    } else {
        engine.fail_until_done(&attempt, &unmade).await;
    }
    engine.journal.note(Record::Ended { token: attempt.token });
    // It took the trouble to judge the request: it works.
    if matches!(verdict.class, Some(FailureClass::Moderation | FailureClass::BadSpec)) {
        engine.learn(&grant.lane, seen.epoch, &AnswerHeaders::default()).await;
    }
}

/// What a verdict means for the asset and for its lane.
fn consequence(verdict: &Verdict, grant: &Grant, attempt: u32) -> (Outcome, Option<LanePause>) {
    let pause = |delay| {
        Some(LanePause { lane: grant.lane.clone(), delay, reason: verdict.message.clone(), key: None })
    };
    match &verdict.next {
        Next::Retry | Next::Done => (Outcome::Retry(retry_delay(attempt, rand::random())), None),
        Next::RetryAfter(wait) => (Outcome::Retry(*wait), None),
        Next::GiveBack => (Outcome::Unsent(retry_delay(grant.unsent + 1, rand::random())), None),
        // The lane learns when to go on; another one may take the asset at once.
        Next::Refused(_) => (Outcome::Refused(Duration::ZERO), None),
        Next::AnotherKey => (Outcome::Refused(Duration::ZERO), None),
        Next::PauseLane { expires } if verdict.billed == Billed::No => {
            (Outcome::Refused(Duration::ZERO), pause(*expires))
        }
        // Paid for: not to be tried over and over while people mend the lane.
        Next::PauseLane { expires } => (Outcome::Failed, pause(*expires)),
        Next::Fail => (Outcome::Failed, None),
        Next::Park => (Outcome::Parked, None),
    }
}
