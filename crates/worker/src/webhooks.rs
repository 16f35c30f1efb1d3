//! Tells webhooks what happened: makes notices of the news that scripts leave, and sends them until they are taken.
//!
//! Any number of workers may do so. Whoever publishes news first has published it, and a notice is taken for a while by one.

mod compose;
mod endpoint;
mod send;
mod sign;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use futures::future::join_all;
use pictor_common::{
    queue::{Answered, Declared, Due, QueueError},
    webhook::tried_again,
};
use rand::Rng as _;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use crate::engine::Engine;
pub use endpoint::{Secret, Webhook};
pub use send::{Sent, Verdict, send_test};

/// How often it is said which endpoints there are.
const DECLARE_EVERY: Duration = Duration::from_secs(20);
/// Another worker may have made notices; ours are sent at once.
const LOOK_EVERY: Duration = Duration::from_secs(3);
/// News taken at once.
const AT_ONCE: usize = 20;
/// Notices sent to one endpoint at once.
const SENT_AT_ONCE: usize = 4;
/// How long a worker that stops tells what is left to tell.
const LAST: Duration = Duration::from_secs(10);

/// What Redis is told of the endpoints.
#[must_use]
pub fn declared(webhooks: &[Webhook]) -> Vec<Declared> {
    webhooks.iter().map(Webhook::declared).collect()
}

/// Tells until `stop`, and then what came before it.
pub(crate) async fn run(engine: Arc<Engine>, stop: CancellationToken) {
    let webhooks = &engine.settings.webhooks;
    if webhooks.is_empty() {
        return;
    }
    engine.metrics.tells(webhooks.iter().map(|webhook| webhook.name.as_str()));
    let news = Notify::new();
    let sending = join_all(webhooks.iter().map(|webhook| send_all(&engine, webhook, &news, &stop)));
    tokio::join!(publish_all(&engine, &news, &stop), sending);
    let last = async {
        publish(&engine).await?;
        let sent = join_all(webhooks.iter().map(|webhook| send_due(&engine, webhook))).await;
        sent.into_iter().try_for_each(|sent| sent.map(|_wait| ()))
    };
    match tokio::time::timeout(LAST, last).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => debug!(%error, "cannot tell webhooks what is left; another worker does"),
        Err(_elapsed) => debug!("no time to tell webhooks what is left; another worker does"),
    }
}

/// Declares endpoints and makes notices of news.
async fn publish_all(engine: &Engine, told: &Notify, stop: &CancellationToken) {
    let mut declared_at: Option<Instant> = None;
    let mut away = false;
    loop {
        let round = async {
            if declared_at.is_none_or(|at| at.elapsed() >= DECLARE_EVERY) {
                engine.queue.declare_webhooks(&declared(&engine.settings.webhooks)).await?;
                declared_at = Some(Instant::now());
            }
            publish(engine).await
        };
        match round.await {
            Ok(published) => {
                away = false;
                if published > 0 {
                    told.notify_waiters();
                }
            }
            Err(error) if !away => {
                warn!(%error, "webhooks are told nothing yet: waiting for Redis");
                away = true;
            }
            Err(_still_away) => {}
        }
        let pause = Duration::from_millis(rand::rng().random_range(700..1_300));
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(pause) => {}
        }
    }
}

/// Makes notices of all news there are; of how many.
async fn publish(engine: &Engine) -> Result<usize, QueueError> {
    let mut published = 0;
    loop {
        let page = engine.queue.news(AT_ONCE).await?;
        if page.is_empty() {
            return Ok(published);
        }
        for news in page {
            let notices = compose::notices(&engine.queue, &news).await?;
            for endpoint in engine.queue.announce(&news, &notices).await? {
                warn!(endpoint, "too much waits to be told to this webhook: the oldest was dropped");
                engine.metrics.webhook(&endpoint, "dropped");
            }
            published += 1;
        }
    }
}

/// Sends one endpoint what is due.
async fn send_all(engine: &Engine, webhook: &Webhook, told: &Notify, stop: &CancellationToken) {
    loop {
        let more = told.notified();
        let wait = send_due(engine, webhook).await.unwrap_or(LOOK_EVERY);
        let jitter = Duration::from_millis(rand::rng().random_range(0..200));
        tokio::select! {
            () = stop.cancelled() => return,
            () = more => {}
            () = tokio::time::sleep(wait.min(LOOK_EVERY) + jitter) => {}
        }
    }
}

/// Sends all that is due; says when more will be.
async fn send_due(engine: &Engine, webhook: &Webhook) -> Result<Duration, QueueError> {
    loop {
        let taken = engine.queue.take_notices(&webhook.name, &engine.incarnation, SENT_AT_ONCE).await;
        let (due, wait) =
            taken.inspect_err(|error| debug!(%error, "cannot take what is due to a webhook"))?;
        if due.is_empty() {
            return Ok(wait);
        }
        let sent = join_all(due.iter().map(|due| send_one(engine, webhook, due))).await;
        sent.into_iter().collect::<Result<(), _>>()?;
    }
}

async fn send_one(engine: &Engine, webhook: &Webhook, due: &Due) -> Result<(), QueueError> {
    let sent = send::send(webhook, &due.id, &due.body).await;
    let (answered, counted) = match sent.verdict {
        Verdict::Taken => (Answered::Delivered, "delivered"),
        Verdict::Gone => (Answered::Gone, "given_up"),
        Verdict::Refused => match tried_again(due.attempt, rand::random()) {
            Some(delay) => (Answered::Again(delay), "refused"),
            None => (Answered::GivenUp, "given_up"),
        },
    };
    let (endpoint, event, about, answer) = (&webhook.name, &due.event, &due.about, &sent.answer);
    let state = engine.queue.answered(endpoint, due, answered, answer).await?;
    if state == "lost" {
        return Ok(());
    }
    engine.metrics.webhook(endpoint, counted);
    match answered {
        Answered::Delivered => info!(endpoint, event, about, id = due.id, "webhook told"),
        Answered::Again(delay) if due.attempt == 1 => {
            warn!(endpoint, event, about, answer, again_s = delay.as_secs(), "webhook not told yet");
        }
        Answered::Again(_) => {}
        Answered::GivenUp => {
            warn!(endpoint, event, about, answer, "webhook given up: `pictor webhooks retry` tries again")
        }
        Answered::Gone => {
            warn!(endpoint, event, about, answer, "webhook disabled: it answered that it is gone for good")
        }
    }
    Ok(())
}
