//! What runs came to, for people and as JSON.

use anyhow::ensure;
use serde::Serialize;
use serde_json::{Value, json};

use super::{case::Case, judge::Pace, redis_load::Load};
use crate::table::table;

/// One run.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Run {
    seed: u64,
    /// How long was measured.
    seconds: f64,
    utilisation: f64,
    /// Share of all requests, from the first on.
    refused: f64,
    /// Share of the requests that were measured.
    refused_measured: f64,
    /// All requests, from the first on.
    requests: u64,
    requests_measured: u64,
    /// Images let in while measuring, and those that could have been.
    images: u64,
    possible: f64,
    wait_p50_ms: f64,
    wait_p99_ms: f64,
    #[serde(flatten)]
    load: Load,
    /// Settled while measuring.
    assets: u64,
    lanes: Vec<Lane>,
}

/// A lane of one run.
#[derive(Clone, Debug, Serialize)]
struct Lane {
    lane: String,
    state: &'static str,
    utilisation: f64,
    refused: f64,
    requests: u64,
}

/// All runs of a case.
#[derive(Debug)]
pub(super) struct Report {
    pub(super) case: Case,
    seed: u64,
    pub(super) runs: Vec<Run>,
}

fn share(part: u64, rest: u64) -> f64 {
    part as f64 / (part + rest).max(1) as f64
}

impl Run {
    pub(super) fn new(case: &Case, seed: u64, pace: &Pace, load: Load, assets: u64) -> anyhow::Result<Self> {
        let healthy: Vec<_> = pace.lanes.iter().filter(|lane| case.healthy(lane.key + 1)).collect();
        ensure!(!healthy.is_empty(), "no request came on a lane that is neither paused nor broken");
        let sum = |of: &dyn Fn(&super::judge::LanePace) -> u64| pace.lanes.iter().map(of).sum::<u64>();
        let (accepted, refused) = (sum(&|lane| lane.total.requests), sum(&|lane| lane.total.refused));
        let accepted_measured = sum(&|lane| lane.measured.counts.requests);
        let refused_measured = sum(&|lane| lane.measured.counts.refused);
        let images = healthy.iter().map(|lane| lane.measured.used.taken).sum::<u64>();
        // A healthy lane that nobody used counts with what it could have let in.
        let expected = (1..=case.lanes).filter(|lane| case.healthy(*lane)).count();
        let possible = healthy.iter().map(|lane| lane.measured.used.possible).sum::<f64>();
        let possible = possible / healthy.len() as f64 * expected as f64;
        let worst = |of: &dyn Fn(&super::judge::Used) -> f64| {
            healthy.iter().map(|lane| of(&lane.measured.used)).fold(0.0, f64::max)
        };
        Ok(Self {
            seed,
            seconds: healthy.first().map_or(0.0, |lane| lane.measured.seconds),
            utilisation: images as f64 / possible,
            refused: share(refused, accepted),
            refused_measured: share(refused_measured, accepted_measured),
            requests: accepted + refused,
            requests_measured: accepted_measured + refused_measured,
            images,
            possible,
            wait_p50_ms: worst(&|used| used.wait_p50_ms),
            wait_p99_ms: worst(&|used| used.wait_p99_ms),
            load,
            assets,
            lanes: (1..=case.lanes).map(|number| lane(case, number, pace)).collect(),
        })
    }
}

fn lane(case: &Case, number: usize, pace: &Pace) -> Lane {
    let paced = pace.lanes.iter().find(|lane| lane.key + 1 == number);
    let state = match number {
        number if case.pause_lane == Some(number) => "paused",
        number if case.break_lane == Some(number) => "broken",
        _ => "healthy",
    };
    Lane {
        lane: case.lane(number),
        state,
        utilisation: paced.map_or(0.0, |lane| lane.measured.used.utilisation),
        refused: paced.map_or(0.0, |lane| share(lane.total.refused, lane.total.requests)),
        requests: paced.map_or(0, |lane| lane.total.requests + lane.total.refused),
    }
}

impl Report {
    pub(super) fn new(case: Case, seed: u64) -> Self {
        Self { case, seed, runs: Vec::new() }
    }

    /// The worst of all runs, the case, and every run.
    pub(super) fn value(&self) -> Value {
        let most = |of: &dyn Fn(&Run) -> f64| self.runs.iter().map(of).fold(0.0, f64::max);
        json!({
            "utilisation": self.runs.iter().map(|run| run.utilisation).reduce(f64::min),
            "refused": most(&|run| run.refused),
            "requests": self.runs.iter().map(|run| run.requests).min(),
            "wait_p50_ms": most(&|run| run.wait_p50_ms),
            "wait_p99_ms": most(&|run| run.wait_p99_ms),
            "redis_cmds_per_asset": most(&|run| run.load.redis_cmds_per_asset),
            "redis_us_per_asset": most(&|run| run.load.redis_us_per_asset),
            "settings": self.case,
            "seed": self.seed,
            "runs": self.runs,
        })
    }

    pub(super) fn text(&self) -> String {
        let titles = [
            "run",
            "seed",
            "measured",
            "requests",
            "utilisation",
            "refused",
            "wait p50",
            "wait p99",
            "redis cmds",
            "in scripts",
            "redis us",
            "cpu us",
        ];
        let row = |(number, run): (usize, &Run)| {
            let load = run.load;
            vec![
                (number + 1).to_string(),
                run.seed.to_string(),
                format!("{:.1} s", run.seconds),
                run.requests.to_string(),
                format!("{:.2} %", run.utilisation * 100.0),
                format!("{:.2} %", run.refused * 100.0),
                format!("{:.0} ms", run.wait_p50_ms),
                format!("{:.0} ms", run.wait_p99_ms),
                format!("{:.1}", load.redis_cmds_per_asset),
                format!("{:.1}", load.redis_script_cmds_per_asset),
                format!("{:.0}", load.redis_us_per_asset),
                format!("{:.0}", load.redis_cpu_us_per_asset),
            ]
        };
        let rows: Vec<Vec<String>> = self.runs.iter().enumerate().map(row).collect();
        let right: Vec<usize> = (0..titles.len()).collect();
        table(&titles, &right, &rows) + &self.lanes()
    }

    /// By lane, where there are several.
    fn lanes(&self) -> String {
        if self.case.lanes < 2 {
            return String::new();
        }
        let rows = self.runs.iter().enumerate().flat_map(|(number, run)| {
            run.lanes.iter().map(move |lane| {
                vec![
                    (number + 1).to_string(),
                    lane.lane.clone(),
                    lane.state.to_owned(),
                    lane.requests.to_string(),
                    format!("{:.2} %", lane.utilisation * 100.0),
                    format!("{:.2} %", lane.refused * 100.0),
                ]
            })
        });
        let rows: Vec<Vec<String>> = rows.collect();
        let titles = ["run", "lane", "state", "requests", "utilisation", "refused"];
        format!("\n{}", table(&titles, &[0, 3, 4, 5], &rows))
    }
}
