//! What one worker counts.

use std::{collections::BTreeSet, time::Duration};

use super::{Counter, Histogram, Page, families};
use crate::{
    batch::Made,
    queue::{Alert, Attempt, Billed, CapOf, Ended, Outcome, PARTS, Unmade},
    store::StoreErrorKind,
};

const GENERATION_BOUNDS: &[f64] =
    &[0.5, 1.0, 2.0, 5.0, 10.0, 15.0, 20.0, 30.0, 45.0, 60.0, 90.0, 120.0, 180.0, 300.0, 600.0];
const PUT_BOUNDS: &[f64] = &[0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0];
/// What a request is counted as that brought an image.
const IMAGE: &str = "image";
/// A model that the catalogue does not have.
const OTHER: &str = "other";

const DERIVED: &str = "made";
const UNDERIVABLE: &str = "failed";
const UNDERIVED: &str = "left";

/// The counters of one worker.
#[derive(Debug)]
pub struct Work {
    models: BTreeSet<String>,
    requests: Counter,
    refusals: Counter,
    unsent: Counter,
    retries: Counter,
    unknown: Counter,
    failures: Counter,
    parked: Counter,
    images: Counter,
    image_bytes: Counter,
    charged: Counter,
    alerts: Counter,
    store_errors: Counter,
    derivatives: Counter,
    webhooks: Counter,
    generation: Histogram,
    store_put: Histogram,
}

impl Work {
    /// Starts at nothing, for these lanes; models of other names count as one.
    #[must_use]
    pub fn new<'n>(
        lanes: impl IntoIterator<Item = &'n str>,
        models: impl IntoIterator<Item = String>,
    ) -> Self {
        let work = Self {
            models: models.into_iter().collect(),
            requests: Counter::new(&families::REQUESTS),
            refusals: Counter::new(&families::REFUSALS),
            unsent: Counter::new(&families::UNSENT),
            retries: Counter::new(&families::RETRIES),
            unknown: Counter::new(&families::UNKNOWN),
            failures: Counter::new(&families::FAILURES),
            parked: Counter::new(&families::PARKED),
            images: Counter::new(&families::IMAGES),
            image_bytes: Counter::new(&families::IMAGE_BYTES),
            charged: Counter::new(&families::CHARGED),
            alerts: Counter::new(&families::ALERTS),
            store_errors: Counter::new(&families::STORE_ERRORS),
            derivatives: Counter::new(&families::DERIVATIVES),
            webhooks: Counter::new(&families::WEBHOOKS),
            generation: Histogram::new(&families::GENERATION, GENERATION_BOUNDS),
            store_put: Histogram::new(&families::STORE_PUT, PUT_BOUNDS),
        };
        for lane in lanes {
            work.refusals.add(&[lane], 0);
            work.unknown.add(&[lane], 0);
            work.parked.add(&[lane], 0);
        }
        for scope in CapOf::SCOPES {
            for percent in PARTS {
                work.alerts.add(&[scope, &percent.to_string()], 0);
            }
        }
        for kind in StoreErrorKind::ALL {
            work.store_errors.add(&[kind.as_str()], 0);
        }
        for result in [DERIVED, UNDERIVABLE, UNDERIVED] {
            work.derivatives.add(&[result], 0);
        }
        work
    }

    fn model<'m>(&self, model: &'m str) -> &'m str {
        if self.models.contains(model) { model } else { OTHER }
    }

    /// A request that brought an image, after so long.
    pub fn answered(&self, lane: &str, model: &str, took: Duration) {
        let model = self.model(model);
        self.requests.add(&[lane, model, IMAGE], 1);
        self.generation.observe(&[lane, model], took);
    }

    /// A request that brought none.
    pub fn unanswered(&self, lane: &str, model: &str, class: &str, by_limit: bool) {
        self.requests.add(&[lane, self.model(model), class], 1);
        self.refusals.add(&[lane], u64::from(by_limit));
    }

    /// Nothing could be sent.
    pub fn unsent(&self, lane: &str, class: &str) {
        self.unsent.add(&[lane, class], 1);
    }

    /// An attempt without an image, and what became of its asset.
    pub fn ended(&self, attempt: &Attempt, unmade: &Unmade<'_>, ended: Ended) {
        let (lane, model) = (attempt.lane.as_str(), self.model(&attempt.model));
        let class = unmade.failure.class.as_str();
        match unmade.billed {
            Billed::No => {}
            Billed::Yes => self.charged.add(&[lane, model], unmade.cost.0),
            Billed::Unknown => self.unknown.add(&[lane], 1),
        }
        if matches!(ended, Ended::Parked) {
            self.parked.add(&[lane], 1);
        }
        match ended {
            Ended::Retry if matches!(unmade.outcome, Outcome::Retry(_)) => {
                self.retries.add(&[lane, class], 1)
            }
            Ended::Failed | Ended::Parked => self.failures.add(&[model, class], 1),
            Ended::Retry | Ended::Substituted | Ended::Lost => {}
        }
    }

    /// A settled image; `first` unless another attempt's stands in its place.
    pub fn made(&self, attempt: &Attempt, made: &Made, first: bool) {
        let labels = [attempt.lane.as_str(), self.model(&attempt.model)];
        self.charged.add(&labels, made.cost.0);
        if first {
            self.images.add(&labels, 1);
            self.image_bytes.add(&labels, made.bytes);
        }
    }

    /// The store has taken an image.
    pub fn stored(&self, took: Duration) {
        self.store_put.observe(&[], took);
    }

    /// The store has not.
    pub fn not_stored(&self, kind: StoreErrorKind) {
        self.store_errors.add(&[kind.as_str()], 1);
    }

    /// An alert of the budget was announced.
    pub fn alerted(&self, alert: &Alert) {
        self.alerts.add(&[alert.of.scope(), &alert.percent.to_string()], 1);
    }

    /// So many derivatives were made.
    pub fn derived(&self, made: u64) {
        self.derivatives.add(&[DERIVED], made);
    }

    /// So many can never be made.
    pub fn not_derived(&self, failed: u64) {
        self.derivatives.add(&[UNDERIVABLE], failed);
    }

    /// So many are made later: no thread was free, or the store away.
    pub fn derived_later(&self, left: u64) {
        self.derivatives.add(&[UNDERIVED], left);
    }

    /// This worker tells these webhooks.
    pub fn tells<'n>(&self, endpoints: impl IntoIterator<Item = &'n str>) {
        for endpoint in endpoints {
            for outcome in ["delivered", "refused", "given_up", "dropped"] {
                self.webhooks.add(&[endpoint, outcome], 0);
            }
        }
    }

    /// What became of a notice to a webhook.
    pub fn webhook(&self, endpoint: &str, outcome: &str) {
        self.webhooks.add(&[endpoint, outcome], 1);
    }

    /// Tells all of it.
    pub fn write(&self, page: &mut Page) {
        let counters = [
            &self.requests,
            &self.refusals,
            &self.unsent,
            &self.retries,
            &self.unknown,
            &self.failures,
            &self.parked,
            &self.images,
            &self.image_bytes,
            &self.charged,
            &self.alerts,
            &self.store_errors,
            &self.derivatives,
            &self.webhooks,
        ];
        for counter in counters {
            page.counter(counter);
        }
        page.histogram(&self.generation);
        page.histogram(&self.store_put);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{AssetKey, MicroUsd, Spec, queue::Failure};

    fn told(work: &Work, what: &str) -> Vec<String> {
        let mut page = Page::default();
        work.write(&mut page);
        let text = page.finish();
        text.lines().filter(|line| line.starts_with(what)).map(str::to_owned).collect()
    }

    fn attempt(model: &str) -> Attempt {
        Attempt {
            key: AssetKey::of(&Spec::default()),
            token: "t".to_owned(),
            attempt: 1,
            payer: "b".to_owned(),
            tenant: String::new(),
            lane: "a.dall-e-2".to_owned(),
            model: model.to_owned(),
            request_id: None,
        }
    }

    fn end(work: &Work, class: &str, billed: Billed, outcome: Outcome, ended: Ended) {
        let failure = Failure { class: class.to_owned(), ..Failure::default() };
        let unmade = Unmade {
            billed,
            cost: MicroUsd(700),
            outcome,
            max_unknown: 1,
            failure: &failure,
            pause: None,
            refusal: None,
            fault: None,
            doubt: false,
        };
        work.ended(&attempt("dall-e-2"), &unmade, ended);
    }

    #[test]
    fn each_end_of_an_attempt_counts_where_it_belongs() {
        let work = Work::new(["a.dall-e-2"], ["dall-e-2".to_owned()]);
        let soon = Duration::ZERO;
        end(&work, "server_error", Billed::No, Outcome::Retry(soon), Ended::Retry);
        end(&work, "rate_limit", Billed::No, Outcome::Refused(soon), Ended::Retry);
        end(&work, "timeout", Billed::Unknown, Outcome::Retry(soon), Ended::Parked);
        end(&work, "bad_answer", Billed::Yes, Outcome::Failed, Ended::Failed);
        assert_eq!(
            told(&work, "pictor_retries_total{"),
            ["pictor_retries_total{lane=\"a.dall-e-2\",class=\"server_error\"} 1"]
        );
        assert_eq!(
            told(&work, "pictor_unknown_outcomes_total{"),
            ["pictor_unknown_outcomes_total{lane=\"a.dall-e-2\"} 1"]
        );
        assert_eq!(told(&work, "pictor_parked_total{"), ["pictor_parked_total{lane=\"a.dall-e-2\"} 1"]);
        assert_eq!(
            told(&work, "pictor_failures_total{"),
            [
                "pictor_failures_total{model=\"dall-e-2\",class=\"bad_answer\"} 1",
                "pictor_failures_total{model=\"dall-e-2\",class=\"timeout\"} 1",
            ]
        );
        let made = Made { cost: MicroUsd(16_000), bytes: 9, ..Made::default() };
        work.made(&attempt("dall-e-2"), &made, true);
        work.made(&attempt("dall-e-2"), &made, false);
        work.made(&attempt("a model of next year"), &made, true);
        assert_eq!(
            told(&work, "pictor_charged_micro_usd_total{"),
            [
                "pictor_charged_micro_usd_total{lane=\"a.dall-e-2\",model=\"dall-e-2\"} 32700",
                "pictor_charged_micro_usd_total{lane=\"a.dall-e-2\",model=\"other\"} 16000",
            ]
        );
        assert_eq!(told(&work, "pictor_images_total{").len(), 2);
    }

    #[test]
    fn what_may_never_happen_stands_at_nothing_from_the_start() {
        let work = Work::new(["a.dall-e-2"], []);
        assert_eq!(told(&work, "pictor_refusals_total{"), ["pictor_refusals_total{lane=\"a.dall-e-2\"} 0"]);
        assert_eq!(told(&work, "pictor_parked_total{"), ["pictor_parked_total{lane=\"a.dall-e-2\"} 0"]);
        assert_eq!(told(&work, "pictor_budget_alerts_total{").len(), 15);
        assert_eq!(told(&work, "pictor_store_errors_total{").len(), 6);
    }
}
