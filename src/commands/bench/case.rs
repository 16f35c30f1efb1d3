//! What is measured: limits, what workers believe of them, and the times that count.

use std::time::Duration;

use anyhow::ensure;
use clap::ValueEnum;
use pictor_simulator::{Broken, Change, FamilyLimits, Limits, Options};
use serde::Serialize;
use serde_json::{Value, json};

/// Bodies are small; a worker waits at most so long for a slot before it sends.
const HORIZON_SECONDS: f64 = 1.0;
/// Requests at once beyond what the mean latency asks for.
const HEADROOM: f64 = 2.0;

/// What lanes are told of their limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub(super) enum Kind {
    /// It is known, and never probed above
    Fixed,
    /// It may be higher or lower
    Guess,
}

/// What the simulator says of limits in headers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub(super) enum Headers {
    /// As things stand when an answer goes out
    On,
    /// As they stood when its request was let in
    Late,
    /// Nothing
    Off,
}

/// One case: everything that a run depends on, but the seed.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Case {
    pub(super) processes: usize,
    pub(super) limit: u64,
    pub(super) window: f64,
    pub(super) foreign_load: f64,
    pub(super) believed: u64,
    pub(super) kind: Kind,
    pub(super) quantised: Option<f64>,
    pub(super) charge_refusals: bool,
    pub(super) headers: Headers,
    /// When, in windows, and the limit from then on.
    pub(super) change: Vec<(f64, u64)>,
    pub(super) minutes: Option<f64>,
    pub(super) requests: Option<u64>,
    pub(super) lanes: usize,
    pub(super) pause_lane: Option<usize>,
    pub(super) break_lane: Option<usize>,
    pub(super) latency_ms: u64,
    pub(super) settle_windows: f64,
    pub(super) settle_after_change: f64,
    pub(super) model: String,
    pub(super) family: String,
    pub(super) size: String,
    #[serde(skip)]
    pub(super) concurrency: Option<usize>,
}

impl Case {
    /// Refuses what cannot be measured.
    pub(super) fn check(&self) -> anyhow::Result<()> {
        ensure!(self.processes > 0 && self.lanes > 0, "--processes and --lanes must be 1 or more");
        ensure!(self.limit > 0 && self.believed > 0, "--limit and --believed must be 1 or more");
        ensure!(self.window.is_finite() && self.window > 0.0, "--window must be more than 0");
        ensure!((0.0..1.0).contains(&self.foreign_load), "--foreign-load is a share from 0 to less than 1");
        ensure!(self.quantised.is_none_or(|quantum| quantum > 0.0), "--quantised must be more than 0");
        ensure!(self.minutes.is_none_or(|minutes| minutes > 0.0), "--minutes must be more than 0");
        ensure!(
            self.settle_windows >= 0.0 && self.settle_after_change >= 0.0,
            "nothing settles before it begins"
        );
        for lane in [self.pause_lane, self.break_lane].into_iter().flatten() {
            ensure!((1..=self.lanes).contains(&lane), "there is no lane {lane}: --lanes is {}", self.lanes);
        }
        let mut last = 0.0;
        for (at, _) in &self.change {
            ensure!(*at > last, "--change wants windows after 0, in their order");
            last = *at;
        }
        let first = self.spans(u64::MAX).into_iter().next();
        ensure!(
            first.is_some_and(|(from, to)| from < to),
            "nothing is left to measure: everything is still settling"
        );
        if let (Some(minutes), Some((from, _))) = (self.minutes, first) {
            let ends = minutes * 60e3;
            ensure!(
                ends > from as f64,
                "--minutes ends after {:.1} s, before the measuring begins at {:.1} s",
                ends / 1e3,
                from as f64 / 1e3
            );
        }
        Ok(())
    }

    pub(super) fn lane(&self, number: usize) -> String {
        format!("{}.{}", account(number), self.family)
    }

    /// Whether a lane is expected to use its limit.
    pub(super) fn healthy(&self, number: usize) -> bool {
        self.pause_lane != Some(number) && self.break_lane != Some(number)
    }

    /// Images a second at most, of one lane.
    fn rate(&self) -> f64 {
        let limits = self.change.iter().map(|(_, limit)| *limit).chain([self.limit]);
        limits.max().unwrap_or(0) as f64 / self.window
    }

    /// Requests at once in each process: twice what the pace needs.
    pub(super) fn concurrency(&self) -> usize {
        let seconds = self.latency_ms as f64 / 1e3 + HORIZON_SECONDS;
        let needed =
            self.rate().max(self.believed as f64 / self.window) * self.lanes as f64 * seconds * HEADROOM;
        self.concurrency.unwrap_or(((needed / self.processes as f64).ceil() as usize).max(4))
    }

    /// Jobs that outlast a run.
    pub(super) fn backlog(&self) -> u64 {
        let lanes = self.lanes as f64;
        let by_time = self.minutes.map(|minutes| minutes * 60.0 * self.rate() * lanes);
        let settling =
            self.spans(u64::MAX).first().map_or(0.0, |(from, _)| *from as f64 / 1e3 * self.rate() * lanes);
        let by_count = self.requests.map(|requests| requests as f64 + settling);
        let made = by_time.into_iter().chain(by_count).reduce(f64::min).unwrap_or(0.0);
        // An idle account may begin with a whole window at once.
        let burst = self.limit.max(self.believed) as f64 * lanes;
        ((made + burst) * 1.5) as u64 + (2 * self.concurrency() * self.processes) as u64 + 100
    }

    /// How long a run may take at most, even one that makes less than half of what it could.
    pub(super) fn patience(&self) -> Duration {
        let least = self.change.iter().map(|(_, limit)| *limit).chain([self.limit]).min().unwrap_or(1).max(1);
        let pace = least as f64 / self.window * (1.0 - self.foreign_load);
        let by_count = self.requests.map(|requests| requests as f64 / pace * 2.0);
        let settling = self.spans(u64::MAX).first().map_or(0.0, |(from, _)| *from as f64 / 1e3);
        let by_time = self.minutes.map(|minutes| minutes * 60.0);
        let longest = by_time.into_iter().chain(by_count).reduce(f64::min).unwrap_or(0.0);
        Duration::from_secs_f64(longest + settling + 60.0)
    }

    /// The times that are measured, in milliseconds since the first request, until now.
    pub(super) fn spans(&self, now_ms: u64) -> Vec<(u64, u64)> {
        let windows = |count: f64| (count * self.window * 1e3).round() as u64;
        let mut starts = vec![windows(self.settle_windows)];
        starts.extend(self.change.iter().map(|(at, _)| windows(at + self.settle_after_change)));
        let ends = self.change.iter().map(|(at, _)| windows(*at)).chain([u64::MAX]);
        let spans = starts.into_iter().zip(ends).map(|(from, to)| (from, to.min(now_ms)));
        spans.filter(|(from, to)| from < to).collect()
    }

    pub(super) fn simulator(&self, seed: u64) -> Options {
        let family = |limit: u64| FamilyLimits {
            images: Some(limit),
            foreign_images: limit as f64 * self.foreign_load,
            ..FamilyLimits::default()
        };
        let changes = self.change.iter().map(|(at, limit)| Change {
            after_seconds: at * self.window,
            limits: json!({ self.family.as_str(): {
                "images": limit, "foreign_images": *limit as f64 * self.foreign_load
            } }),
        });
        let broken = self
            .break_lane
            .map(|lane| Broken { api_key: api_key(lane).into(), fault: "server_error".to_owned() });
        Options {
            api_keys: (1..=self.lanes).map(|lane| api_key(lane).into()).collect(),
            seed,
            latency_ms_p50: Some(self.latency_ms),
            one_picture: true,
            limits: Limits {
                window_seconds: self.window,
                quantum_seconds: self.quantised,
                charge_refusals: self.charge_refusals,
                headers: self.headers != Headers::Off,
                late_headers: self.headers == Headers::Late,
                dall_e_2: family(self.limit),
                dall_e_3: family(self.limit),
                gpt_image: family(self.limit),
            },
            changes: changes.collect(),
            broken: broken.into_iter().collect(),
            ..Options::default()
        }
    }

    /// The accounts of the workers' settings. What a lane is told of its limit is said here and nowhere else.
    pub(super) fn accounts(&self, base_url: &str) -> Value {
        let mut limits = json!({ "images": self.believed, "window_seconds": self.window });
        if self.window.fract() == 0.0 {
            limits["window_seconds"] = json!(self.window as u64);
        }
        if self.kind == Kind::Guess {
            limits["kind"] = json!("guess");
        }
        let accounts = (1..=self.lanes).map(|lane| {
            let settings = json!({
                "base_url": base_url,
                "api_key_env": key_variable(lane),
                "families": [self.family],
                "limits": { self.family.as_str(): limits },
            });
            (account(lane), settings)
        });
        Value::Object(accounts.collect())
    }
}

fn account(lane: usize) -> String {
    format!("bench-{lane}")
}

/// The variable that holds a lane's key.
pub(super) fn key_variable(lane: usize) -> String {
    format!("BENCH_KEY_{lane}")
}

pub(super) fn api_key(lane: usize) -> String {
    format!("bench-key-{lane}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn case() -> Case {
        Case {
            processes: 4,
            limit: 300,
            window: 5.0,
            foreign_load: 0.3,
            believed: 300,
            kind: Kind::Fixed,
            quantised: None,
            charge_refusals: false,
            headers: Headers::Late,
            change: Vec::new(),
            minutes: Some(1.0),
            requests: None,
            lanes: 1,
            pause_lane: None,
            break_lane: None,
            latency_ms: 2_000,
            settle_windows: 1.0,
            settle_after_change: 2.0,
            model: "dall-e-2".to_owned(),
            family: "dall-e-2".to_owned(),
            size: "256x256".to_owned(),
            concurrency: None,
        }
    }

    #[test]
    fn what_settles_is_not_measured() {
        assert_eq!(case().spans(60_000), [(5_000, 60_000)]);
        let changing = Case { change: vec![(6.0, 100), (12.0, 400)], ..case() };
        assert_eq!(changing.spans(90_000), [(5_000, 30_000), (40_000, 60_000), (70_000, 90_000)]);
        assert_eq!(changing.spans(35_000), [(5_000, 30_000)]);
        let options = changing.simulator(7);
        assert_eq!(options.changes[1].after_seconds, 60.0);
        assert_eq!(
            options.changes[1].limits,
            json!({ "dall-e-2": { "images": 400, "foreign_images": 120.0 } })
        );
    }

    #[test]
    fn workers_and_backlog_never_bind() {
        assert_eq!(case().concurrency(), 90);
        assert!(case().backlog() > 60 * 60 * 3 / 2 + 4 * 90, "{}", case().backlog());
        let slow = Case { limit: 5, believed: 5, window: 60.0, processes: 8, ..case() };
        assert_eq!(slow.concurrency(), 4);
        let counted = Case { minutes: None, requests: Some(2_000), ..case() };
        assert!(counted.backlog() > 3_000);
    }

    #[test]
    fn what_cannot_be_measured_is_refused() {
        assert!(case().check().is_ok());
        for wrong in [
            Case { limit: 0, ..case() },
            Case { foreign_load: 1.0, ..case() },
            Case { minutes: Some(0.05), ..case() },
            Case { change: vec![(3.0, 5), (2.0, 5)], ..case() },
            Case { break_lane: Some(2), ..case() },
            Case { settle_windows: 9.0, change: vec![(3.0, 5)], minutes: Some(0.2), ..case() },
        ] {
            assert!(wrong.check().is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn a_lane_is_told_what_it_is_to_believe() {
        let told = Case { believed: 600, kind: Kind::Guess, window: 2.5, lanes: 2, ..case() };
        let limits = &told.accounts("http://x/v1")["bench-2"]["limits"]["dall-e-2"];
        assert_eq!(*limits, json!({ "images": 600, "window_seconds": 2.5, "kind": "guess" }));
        let told = case().accounts("http://x/v1");
        assert_eq!(told["bench-1"]["limits"]["dall-e-2"], json!({ "images": 300, "window_seconds": 5 }));
    }
}
