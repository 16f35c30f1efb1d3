//! Every family of series by name, unit and labels. docs/metrics.md says what each is for.

/// How a family is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Only grows, and starts anew with the process.
    Counter,
    /// What is now.
    Gauge,
    /// How often a time was at most so long.
    Histogram,
}

impl Kind {
    /// Its name in the text format.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
        }
    }
}

/// Series that differ in their labels only.
#[derive(Debug)]
pub struct Family {
    /// Its name, unit included.
    pub name: &'static str,
    /// How it is read.
    pub kind: Kind,
    /// What its series differ in.
    pub labels: &'static [&'static str],
    /// What it is, in a line.
    pub help: &'static str,
}

type Labels = &'static [&'static str];

const fn counter(name: &'static str, labels: Labels, help: &'static str) -> Family {
    Family { name, kind: Kind::Counter, labels, help }
}

const fn gauge(name: &'static str, labels: Labels, help: &'static str) -> Family {
    Family { name, kind: Kind::Gauge, labels, help }
}

const fn histogram(name: &'static str, labels: Labels, help: &'static str) -> Family {
    Family { name, kind: Kind::Histogram, labels, help }
}

macro_rules! families {
    ($($(#[$doc:meta])* $constant:ident = $family:expr;)+) => {
        $($(#[$doc])* pub static $constant: Family = $family;)+

        /// All of them, in the order in which they are told.
        pub static ALL: &[&Family] = &[$(&$constant),+];
    };
}

families! {
    /// Requests by what came of them.
    REQUESTS = counter("pictor_requests_total", &["lane", "model", "class"], "Requests sent, by what came back: image, or the class of the failure.");
    /// 429s.
    REFUSALS = counter("pictor_refusals_total", &["lane"], "Requests that the API refused by a rate limit.");
    /// No connection.
    UNSENT = counter("pictor_unsent_total", &["lane", "class"], "Times that nothing could be sent.");
    /// What is tried again.
    RETRIES = counter("pictor_retries_total", &["lane", "class"], "Attempts after which the asset is tried again.");
    /// Perhaps billed.
    UNKNOWN = counter("pictor_unknown_outcomes_total", &["lane"], "Attempts of which nobody knows whether they were billed.");
    /// What ended without an image.
    FAILURES = counter("pictor_failures_total", &["model", "class"], "Assets that ended without an image: failed or parked.");
    /// What waits for a person, since it may have been billed.
    PARKED = counter("pictor_parked_total", &["lane"], "Assets that were parked: they may have been billed, and wait for a person.");
    /// Images made.
    IMAGES = counter("pictor_images_total", &["lane", "model"], "Images made: in the store and in the books.");
    /// Their bytes.
    IMAGE_BYTES = counter("pictor_image_bytes_total", &["lane", "model"], "Bytes of the images made.");
    /// What was charged.
    CHARGED = counter("pictor_charged_micro_usd_total", &["lane", "model"], "Charged for what this worker settled, in millionths of a US dollar.");
    /// Caps nearly reached.
    ALERTS = counter("pictor_budget_alerts_total", &["scope", "percent"], "Alerts of the budget that this worker announced.");
    /// Trouble with the store.
    STORE_ERRORS = counter("pictor_store_errors_total", &["kind"], "Writes of images that the store did not take; each is tried again.");
    /// What was derived.
    DERIVATIVES = counter("pictor_derivatives_total", &["result"], "Derivatives: made; failed, since the image cannot be decoded; or left for later.");
    /// What became of notices.
    WEBHOOKS = counter("pictor_webhook_notices_total", &["endpoint", "outcome"], "Notices to webhooks: delivered; refused, to be tried again; given_up; dropped since too many waited.");
    /// How long the API takes.
    GENERATION = histogram("pictor_generation_seconds", &["lane", "model"], "Time from sending a request to having its image on disk.");
    /// How long the store takes.
    STORE_PUT = histogram("pictor_store_put_seconds", &[], "Time of one successful write of an image to the store.");
    /// The version.
    BUILD = gauge("pictor_build_info", &["version"], "The version that runs; always 1.");
    /// Since when it runs.
    START_TIME = gauge("pictor_start_time_seconds", &[], "When this worker began to work, in seconds since 1970.");
    /// Whether it stops.
    DRAINING = gauge("pictor_draining", &[], "1 while this worker stops: it claims nothing and waits for what it has sent.");
    /// Why it takes no work.
    UNREADY = gauge("pictor_unready", &["reason"], "1 for each reason why /readyz answers 503.");
    /// How much it can do.
    CONCURRENCY = gauge("pictor_concurrency", &[], "Requests this worker can have on their way at once.");
    /// What it holds.
    HELD = gauge("pictor_held_assets", &["phase"], "Assets in this worker's hands: claimed, sent, or received and on their way to the store.");
    /// What it has sent.
    IN_FLIGHT = gauge("pictor_in_flight_requests", &["lane"], "Requests of this worker that wait for an answer.");
    /// Idle since.
    CLAIM_AGE = gauge("pictor_last_claim_age_seconds", &[], "Time since this worker last claimed an asset, or since it began.");
    /// Images on disk.
    SPOOL_FILES = gauge("pictor_spool_files", &[], "Images in this worker's spool that the store does not have yet.");
    /// Bytes on disk.
    SPOOL_BYTES = gauge("pictor_spool_bytes", &[], "Bytes of all files in this worker's spool.");
    /// Room on the disk.
    SPOOL_AVAILABLE = gauge("pictor_spool_available_bytes", &[], "Room left on the disk of the spool.");
    /// Whether the store answers.
    STORE_UP = gauge("pictor_store_up", &[], "1 when the store last took what it was asked, 0 when it did not, absent before the first word.");
    /// Whether Redis answers.
    REDIS_UP = gauge("pictor_redis_up", &[], "1 when Redis answered for this page. At 0 everything below is absent.");
    /// What is ready.
    READY = gauge("pictor_queue_ready_assets", &["route"], "Assets that can be claimed now, on the routes this worker serves.");
    /// What is elsewhere.
    QUEUE = gauge("pictor_queue_assets", &["phase"], "Assets of the namespace: leased, retrying, in doubt, failed.");
    /// Whose derivatives are missing.
    DERIVATIVE_BATCHES = gauge("pictor_derivative_batches", &["state"], "Batches whose derivatives are waiting to be made, or of which some could not be made (failed).");
    /// What all have sent.
    LANE_IN_FLIGHT = gauge("pictor_lane_in_flight_requests", &["lane"], "Permits in use on the lane, of all workers.");
    /// What the API allows.
    LANE_LIMIT = gauge("pictor_lane_limit", &["lane", "dimension"], "The limit that is believed, in units a window; in_flight has no window.");
    /// What is given out.
    LANE_GRANTED = gauge("pictor_lane_granted_per_second", &["lane", "dimension"], "The pace at which permits are given, in units a second.");
    /// How it is.
    LANE_STATE = gauge("pictor_lane_state", &["lane", "state"], "1 for the state the lane is in: healthy, paused, broken or probing.");
    /// Money spent.
    SPENT = gauge("pictor_budget_spent_micro_usd", &["scope", "name"], "Charged or possibly charged, in millionths of a US dollar.");
    /// Money set aside.
    RESERVED = gauge("pictor_budget_reserved_micro_usd", &["scope", "name"], "Set aside for what is on its way, in millionths of a US dollar.");
    /// Caps.
    CAP = gauge("pictor_budget_cap_micro_usd", &["scope", "name"], "The most that may be spent, in millionths of a US dollar; absent without a cap.");
    /// What webhooks wait for.
    WEBHOOK_WAITING = gauge("pictor_webhook_waiting_notices", &["endpoint"], "Notices that wait to be told to a webhook.");
    /// Who wants nothing any more.
    WEBHOOK_DISABLED = gauge("pictor_webhook_disabled", &["endpoint"], "1 when a webhook answered that it is gone for good, until somebody lets it be told again.");
    /// What is left out.
    CUT = gauge("pictor_snapshot_cut", &["of"], "1 when there are more lanes, flows, tenants or batches than one look counts.");
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::*;

    #[test]
    fn names_follow_the_conventions() {
        let names: BTreeSet<&str> = ALL.iter().map(|family| family.name).collect();
        assert_eq!(names.len(), ALL.len(), "a name is used twice");
        for family in ALL {
            let name = family.name;
            assert!(name.starts_with("pictor_"), "{name}");
            assert!(name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_'), "{name}");
            assert_eq!(name.ends_with("_total"), family.kind == Kind::Counter, "{name}");
            assert_eq!(
                family.kind == Kind::Histogram,
                name.ends_with("_seconds") && family.kind != Kind::Gauge,
                "{name}: a histogram is one of times"
            );
            assert!(!name.contains("usd") || name.contains("_micro_usd"), "{name}");
            assert!(family.help.ends_with('.'), "{name}");
            // What a look through the series must never show.
            for private in ["key", "prompt", "asset", "token", "request_id", "batch"] {
                assert!(!family.labels.contains(&private), "{name}");
            }
        }
    }

    /// Name, kind and labels of each row of the tables in the document.
    fn told() -> BTreeMap<String, (String, BTreeSet<String>)> {
        let text = include_str!("../../../../docs/metrics.md");
        let rows = text.lines().filter_map(|line| line.strip_prefix("| `pictor_"));
        let cell = |cell: Option<&str>| cell.unwrap_or_default().trim().to_owned();
        let row = |row: &str| {
            let mut cells = row.split('|');
            let name = format!("pictor_{}", cell(cells.next()).trim_end_matches('`'));
            let kind = cell(cells.next());
            let labels = cell(cells.nth(1));
            let labels = labels.split(',').map(|label| label.trim().trim_matches('`').to_owned());
            (name, (kind, labels.filter(|label| !label.is_empty()).collect()))
        };
        rows.map(row).collect()
    }

    #[test]
    fn the_document_has_each_of_them_and_no_other() {
        let known = ALL.iter().map(|family| {
            let labels = family.labels.iter().map(|label| (*label).to_owned()).collect();
            (family.name.to_owned(), (family.kind.as_str().to_owned(), labels))
        });
        assert_eq!(told(), known.collect());
    }
}
