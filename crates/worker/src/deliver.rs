//! Takes an image from the spool to the bucket and the books: verify, store, settle.
//!
//! The same path serves live handlers and the replay of a dead worker's spool. Outages of
//! Redis and the store make it wait, never give up: what was paid for is not dropped.

use std::{
    path::{Path, PathBuf},
    time::Instant,
};

use bytes::Bytes;
use pictor_common::{
    MicroUsd, Spec,
    batch::Made,
    catalogue::Catalogue,
    price::{self, Terms, Usage},
    queue::{Attempt, Billed, Failure, Outcome, QueueError, Settled, Unmade},
    stamp::Stamp,
    store::{Body, NewObject, Put, StoreError, StoreErrorKind, image_name, rejected_name, sidecar_name},
};
use tracing::{Instrument as _, error, info, warn};

use crate::{
    backoff_delay::retry_delay,
    books::What,
    engine::{Engine, Settings, wall_ms},
    provider::remove_beside,
    spool::Image,
    trace::stage,
    verdict::{FailureClass, Next, Patience, Tries, judge_undecodable},
    verify::{Checked, VerifyError, verify},
};

/// An image that lies on this disk and is on its way to the store.
#[derive(Clone, Debug)]
pub(crate) struct Delivery {
    pub(crate) attempt: Attempt,
    pub(crate) spec: Spec,
    pub(crate) ceiling: MicroUsd,
    pub(crate) file: PathBuf,
    pub(crate) image: Image,
    /// Earlier attempts that were paid for and brought nothing usable.
    pub(crate) bad_answers: u32,
}

impl Engine {
    /// Verifies, stores and settles an image; returns when it is in the store and the books, or
    /// kept as rejected. When the file became the asset's image, ms since 1970, if it did.
    pub(crate) async fn deliver(&self, delivery: &Delivery) -> Option<u64> {
        let checked = self.check(delivery).await;
        self.finish(delivery, checked).await
    }

    /// Decodes an image, waiting until its file can be read: giving it up would buy it again.
    pub(crate) async fn check(&self, delivery: &Delivery) -> Result<Checked, String> {
        let mut tries = 0;
        loop {
            let (file, spec) = (delivery.file.clone(), delivery.spec.clone());
            let decoding = self.decoders.acquire().await;
            let verified =
                tokio::task::spawn_blocking(move || verify(&file, &spec)).instrument(stage!("verify")).await;
            drop(decoding);
            match verified {
                Ok(Ok(checked)) => return Ok(checked),
                Ok(Err(VerifyError::Undecodable(reason))) => return Err(reason),
                Ok(Err(VerifyError::Read(cause))) if tries == 0 => {
                    error!(error = %cause, file = %delivery.file.display(), "cannot read an image back; trying again");
                }
                Ok(Err(VerifyError::Read(_))) => {}
                Err(died) => return Err(format!("the decoder failed: {died}")),
            }
            Self::pause(&mut tries).await;
        }
    }

    /// Takes a checked image to the store and the books. When the file became the asset's image, ms since 1970, if it did.
    pub(crate) async fn finish(&self, delivery: &Delivery, checked: Result<Checked, String>) -> Option<u64> {
        match checked {
            Ok(checked) => self.keep(delivery, &checked).await,
            Err(reason) => {
                self.reject(delivery, &reason).await;
                None
            }
        }
    }

    async fn keep(&self, delivery: &Delivery, verified: &Checked) -> Option<u64> {
        let attempt = delivery.attempt.clone();
        let made = self.made(delivery, verified);
        if made.cost > delivery.ceiling {
            warn!(key = %attempt.key, model = attempt.model, cost = %made.cost, ceiling = %delivery.ceiling, "an image cost more than its ceiling: the catalogue's is too low, and caps may be exceeded by the difference");
        }
        if let Some(mismatch) = &made.mismatch {
            warn!(key = %attempt.key, mismatch, "the image is not exactly what was asked for; it is kept");
        }
        let mut stamp = Stamp { attempt, made };
        let object = NewObject {
            name: stamp.made.object.clone(),
            body: Body::File(delivery.file.clone()),
            content_type: stamp.made.content_type.clone(),
            metadata: stamp.to_metadata(),
        };
        let put = self.store_until_done(&object, true).await;
        if let Put::Exists(existing) = put {
            self.compare(&mut stamp, Stamp::of(&existing), &object).await;
        }
        self.put_sidecar(&stamp, &delivery.spec).await;
        let used = delivery.image.usage.as_ref().map(Usage::tokens);
        self.settle_until_done(&stamp, used).await;
        (stamp.made.digest == delivery.image.digest).then_some(stamp.made.at_ms)
    }

    /// An object stands under our name: ours after a lost reply, or a rival's image.
    async fn compare(&self, ours: &mut Stamp, existing: Option<Stamp>, object: &NewObject) {
        let Some(existing) = existing else {
            warn!(key = %ours.attempt.key, "an object that Pictor did not write stands under the image's name; it is left alone, and ours is kept as rejected");
            let name = rejected_name(&ours.attempt.key, &ours.attempt.token);
            self.store_until_done(&NewObject { name: name.clone(), ..object.clone() }, false).await;
            ours.made.object = name;
            return;
        };
        if existing.attempt.token == ours.attempt.token || existing.made.digest == ours.made.digest {
            ours.made.at_ms = existing.made.at_ms;
            return;
        }
        warn!(key = %ours.attempt.key, token = ours.attempt.token, first = existing.attempt.token, "another attempt's image stands; both were paid for");
        let cost = ours.made.cost;
        ours.made = existing.made.clone();
        self.settle_until_done(&existing, None).await;
        ours.made.cost = cost;
    }

    fn made(&self, delivery: &Delivery, verified: &Checked) -> Made {
        Made {
            object: image_name(&delivery.attempt.key, &delivery.spec),
            digest: delivery.image.digest.clone(),
            content_type: verified.content_type.to_string(),
            bytes: delivery.image.bytes,
            width: verified.width,
            height: verified.height,
            cost: cost(&self.catalogue, delivery),
            request_id: delivery.image.request_id.clone(),
            revised_prompt: delivery.image.revised_prompt.clone(),
            mismatch: verified.mismatch.clone(),
            at_ms: wall_ms(),
        }
    }

    /// Bytes that cost money and are no image: kept for a person to see, tried once more at most.
    async fn reject(&self, delivery: &Delivery, reason: &str) {
        let attempt = &delivery.attempt;
        let tries = Tries { attempt: attempt.attempt, bad_answers: delivery.bad_answers, ..Tries::default() };
        let verdict = judge_undecodable(reason, &tries, &self.patience());
        let outcome = match verdict.next {
            Next::Retry => Outcome::Retry(retry_delay(attempt.attempt, rand::random())),
            _ => Outcome::Failed,
        };
        let message = format!("the answer was no image: {reason}");
        self.set_aside(delivery, verdict.class.unwrap_or(FailureClass::BadAnswer), message, outcome).await;
    }

    /// An image over which workers died is not tried again; its bytes are kept.
    pub(crate) async fn reject_poison(&self, delivery: &Delivery) {
        let message = "workers died three times while they decoded this image".to_owned();
        self.set_aside(delivery, FailureClass::Poison, message, Outcome::Failed).await;
    }

    async fn set_aside(&self, delivery: &Delivery, class: FailureClass, message: String, outcome: Outcome) {
        let attempt = &delivery.attempt;
        warn!(key = %attempt.key, token = attempt.token, said = message, "paid for, and no image; the bytes are kept");
        let object = NewObject {
            name: rejected_name(&attempt.key, &attempt.token),
            body: Body::File(delivery.file.clone()),
            content_type: "application/octet-stream".to_owned(),
            metadata: std::collections::BTreeMap::new(),
        };
        self.store_until_done(&object, false).await;
        let failure = Failure {
            class: class.to_string(),
            message,
            request_id: delivery.image.request_id.clone(),
            model: attempt.model.clone(),
            attempt: attempt.attempt,
            at_ms: wall_ms(),
            ..Failure::default()
        };
        let unmade = Unmade {
            billed: Billed::Yes,
            cost: cost(&self.catalogue, delivery),
            outcome,
            max_unknown: self.settings.max_unknown,
            failure: &failure,
            pause: None,
            refusal: None,
            fault: None,
            doubt: false,
        };
        self.fail_until_done(attempt, &unmade).await;
    }

    pub(crate) fn patience(&self) -> Patience {
        let Settings { max_attempts, max_unknown, .. } = self.settings;
        Patience { max_attempts, max_unknown, ..Patience::default() }
    }

    /// Writes an object, waiting out every outage and every refusal until it is mended.
    async fn store_until_done(&self, object: &NewObject, once: bool) -> Put {
        let mut tries = 0;
        loop {
            // Not kept between two tries: what the store refuses for ever stands in nobody's way.
            let upload = self.uploads.acquire().await;
            let begun = Instant::now();
            let result = if once {
                self.store.put_if_absent(object.clone()).instrument(stage!("store")).await
            } else {
                self.store.put(object.clone()).instrument(stage!("store")).await.map(|()| Put::Created)
            };
            drop(upload);
            match result {
                Ok(put) => {
                    self.metrics.stored(begun.elapsed());
                    self.health.store(Ok(()));
                    if tries > 0 {
                        info!(name = object.name, "the store takes images again");
                    }
                    return put;
                }
                Err(problem) => {
                    self.metrics.not_stored(problem.kind);
                    self.health.store(Err(problem.kind));
                    if tries == 0 {
                        report(&object.name, &problem);
                    }
                    Self::pause(&mut tries).await;
                }
            }
        }
    }

    async fn put_sidecar(&self, stamp: &Stamp, spec: &Spec) {
        let body = serde_json::json!({ "key": stamp.attempt.key, "spec": spec, "made": stamp.made, "attempt": stamp.attempt });
        let sidecar = NewObject {
            name: sidecar_name(&stamp.attempt.key),
            body: Body::Bytes(Bytes::from(body.to_string())),
            content_type: "application/json".to_owned(),
            metadata: std::collections::BTreeMap::new(),
        };
        if let Err(problem) = self.store.put(sidecar).await {
            warn!(error = %problem, key = %stamp.attempt.key, "cannot write the JSON beside an image; it can be derived again");
        }
    }

    /// Settles, waiting out Redis.
    pub(crate) async fn settle_until_done(&self, stamp: &Stamp, tokens: Option<u64>) {
        let mut tries = 0;
        loop {
            match self
                .queue
                .settle_used(&stamp.attempt, &stamp.made, tokens)
                .instrument(stage!("settle"))
                .await
            {
                Ok(settled) => {
                    // What was settled long ago is in the archive. After a lost reply it may be our own word.
                    if settled != Settled::Again || tries > 0 {
                        self.metrics.made(&stamp.attempt, &stamp.made, settled != Settled::Duplicate);
                        self.books.note(&stamp.attempt, What::Image(Box::new(stamp.made.clone())));
                    }
                    if settled == Settled::Done {
                        info!(cost = %stamp.made.cost, bytes = stamp.made.bytes, "made");
                    }
                    if settled == Settled::Duplicate {
                        warn!(key = %stamp.attempt.key, token = stamp.attempt.token, "paid twice: another attempt's image was settled first");
                    }
                    return;
                }
                Err(error) => {
                    if tries == 0 {
                        warn!(%error, key = %stamp.attempt.key, "cannot settle yet: waiting for Redis");
                    }
                    Self::pause(&mut tries).await;
                }
            }
        }
    }

    /// Settles an image that was found in the store.
    pub(crate) async fn settle_found(&self, stamp: &Stamp) -> Result<(), QueueError> {
        let settled = self.queue.settle(&stamp.attempt, &stamp.made).await?;
        if settled != Settled::Again {
            self.metrics.made(&stamp.attempt, &stamp.made, settled == Settled::Done);
            self.books.note(&stamp.attempt, What::Image(Box::new(stamp.made.clone())));
        }
        Ok(())
    }

    /// Records an attempt that made no image, waiting out Redis.
    pub(crate) async fn fail_until_done(&self, attempt: &Attempt, unmade: &Unmade<'_>) {
        let mut tries = 0;
        let ended = loop {
            match self.queue.fail(attempt, unmade).instrument(stage!("settle")).await {
                Ok(ended) => break ended,
                Err(error) if tries == 0 => {
                    warn!(%error, key = %attempt.key, "cannot record a failed attempt yet: waiting for Redis");
                }
                Err(_still_away) => {}
            }
            Self::pause(&mut tries).await;
        };
        self.metrics.ended(attempt, unmade, ended);
        self.books.note_unmade(attempt, unmade, ended);
    }
}

/// What an image cost on the day it came; its ceiling where the catalogue has no price for it.
fn cost(catalogue: &Catalogue, delivery: &Delivery) -> MicroUsd {
    let Delivery { spec, image, .. } = delivery;
    let came = if image.at_ms == 0 { wall_ms() } else { image.at_ms };
    let priced = catalogue
        .model(&spec.model)
        .map(|model| price::actual(model, spec, image.usage.as_ref(), Terms::at_ms(came)));
    priced.and_then(Result::ok).unwrap_or(delivery.ceiling)
}

fn report(name: &str, problem: &StoreError) {
    match problem.kind {
        StoreErrorKind::Unavailable => {
            warn!(name, error = %problem, "the store is away: images wait in the spool")
        }
        _ => {
            error!(name, error = %problem, "the store refuses images: they wait in the spool until this is mended")
        }
    }
}

/// Removes an image from the spool; what stays behind is only replayed once more.
pub(crate) fn remove(file: &Path) {
    if let Err(error) = std::fs::remove_file(file).and_then(|()| remove_beside(file)) {
        warn!(%error, file = %file.display(), "cannot remove a spool file");
    }
}

#[cfg(test)]
mod tests {
    use pictor_common::price::Usage;

    use super::*;

    /// What an image of 2026-11-21, or of the day before, costs.
    fn paid(toml: &str, usage: Option<Usage>, at_ms: u64) -> u64 {
        let catalogue = Catalogue::embedded().overridden(toml).unwrap();
        let (size, quality) = (Some("1024x1024".to_owned()), Some("low".to_owned()));
        let delivery = Delivery {
            attempt: Attempt {
                key: pictor_common::AssetKey::of(&Spec::default()),
                token: "token".to_owned(),
                attempt: 1,
                payer: "shop".to_owned(),
                tenant: String::new(),
                lane: "lane".to_owned(),
                model: "gpt-image-2".to_owned(),
                request_id: None,
            },
            spec: Spec { model: "gpt-image-2".to_owned(), size, quality, ..Spec::default() },
            ceiling: MicroUsd(77_777),
            file: PathBuf::new(),
            image: Image { usage, at_ms, ..Image::default() },
            bad_answers: 0,
        };
        cost(&catalogue, &delivery).0
    }

    const TODAY: u64 = 1_795_219_200_000;

    #[test]
    fn cached_input_is_settled_at_its_own_rate() {
        let usage = Usage { text_input: 100, image_input: 2000, image_output: 200, ..Usage::default() };
        assert_eq!(paid("", Some(usage), TODAY), 100 * 5 + 2000 * 8 + 200 * 30);
        let cached = Usage { cached_text_input: 80, cached_image_input: 1000, ..usage };
        assert_eq!(paid("", Some(cached), TODAY), 20 * 5 + 100 + 1000 * 8 + 1000 * 2 + 200 * 30);
    }

    #[test]
    fn the_day_an_image_came_decides_and_not_the_day_it_is_settled() {
        let toml = r#"
            [models.gpt-image-2]
            priced_from = "2026-01-01"
            per_token.image_output = [{ usd = "30" }, { from = "2026-11-21", usd = "10" }]
        "#;
        let usage = Some(Usage { image_output: 200, ..Usage::default() });
        assert_eq!((paid(toml, usage, TODAY - 1), paid(toml, usage, TODAY)), (6000, 2000));
        assert_eq!(paid(toml, usage, 0), 2000, "not written down: that of now");
        assert_eq!(paid(toml, usage, 1), 77_777, "no price was in force: what was set aside");
    }
}
