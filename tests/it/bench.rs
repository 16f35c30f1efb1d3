//! `pictor bench drain`: real workers against the simulator, and what its books say of their pace.

use std::{fs, process::Command};

use serde_json::Value;

use crate::{demo::search_path, world::told};

/// A row of the table of what must hold.
pub(crate) struct Case {
    pub(crate) name: &'static str,
    pub(crate) args: &'static str,
    /// The least share of what the policy could have let in.
    pub(crate) utilisation: f64,
    /// Images that may be missing beside it.
    pub(crate) slack: f64,
    /// The largest share of refused requests.
    pub(crate) refused: f64,
}

const fn case(name: &'static str, args: &'static str, utilisation: f64, refused: f64) -> Case {
    Case { name, args, utilisation, slack: 0.0, refused }
}

/// Windows are shorter than a minute, so that each run has 2,000 requests in less than that many seconds.
pub(crate) const CASES: &[Case] = &[
    case(
        "3 processes, 250 a window, known",
        "--processes 3 --limit 250 --window 10 --requests 2000",
        0.99,
        0.001,
    ),
    case(
        "16 processes, 250 a window, known",
        "--processes 16 --limit 250 --window 10 --requests 2000",
        0.99,
        0.001,
    ),
    case(
        "3 processes, 3,000 a window, known",
        "--processes 3 --limit 3000 --window 30 --requests 3000",
        0.99,
        0.001,
    ),
    case(
        "16 processes, 3,000 a window, known",
        "--processes 16 --limit 3000 --window 30 --requests 3000",
        0.99,
        0.001,
    ),
    Case {
        slack: 1.0,
        ..case("8 processes, 5 a window", "--processes 8 --limit 5 --window 1 --requests 2000", 0.98, 0.01)
    },
    case(
        "a guess, twice too high, no headers",
        "--limit 250 --window 10 --believed 500 --kind guess --headers off --requests 2000",
        0.97,
        0.005,
    ),
    case(
        "a guess, half of the truth, no headers, after 5 windows",
        "--limit 250 --window 10 --believed 125 --kind guess --headers off --settle-windows 5 --requests 2000",
        0.97,
        0.005,
    ),
    case("others take 30 %", "--limit 250 --window 10 --foreign-load 0.3 --requests 2000", 0.97, 0.005),
    case(
        "others take 30 %, after 5 windows, when the bucket that was full at first is empty",
        "--limit 250 --window 10 --foreign-load 0.3 --settle-windows 5 --requests 2000",
        0.97,
        0.005,
    ),
    case(
        "quantised to 1 s, 600 in 60 s",
        "--limit 600 --window 60 --quantised 1 --requests 2000",
        0.95,
        0.01,
    ),
    case(
        "refusals are charged, others take 30 %",
        "--limit 250 --window 10 --foreign-load 0.3 --charge-refusals --requests 2000",
        0.93,
        0.01,
    ),
    case(
        "refusals are charged, others take 30 %, after 5 windows",
        "--limit 250 --window 10 --foreign-load 0.3 --charge-refusals --settle-windows 5 --requests 2000",
        0.93,
        0.01,
    ),
    case(
        "250, then 100, then 400, with headers",
        "--limit 250 --window 10 --kind guess --change 6:100,12:400 --headers late --minutes 3",
        0.95,
        0.01,
    ),
    case(
        "250, then 100, then 400, without headers",
        "--limit 250 --window 10 --kind guess --change 6:100,12:400 --headers off --minutes 3",
        0.95,
        0.01,
    ),
    case(
        "three lanes, one paused, one broken: the healthy one",
        "--limit 250 --window 10 --lanes 3 --pause-lane 2 --break-lane 3 --requests 2000",
        0.99,
        1.0,
    ),
];

/// Runs a bench in a directory of its own, which must be as empty afterwards, and reads its last line.
pub(crate) fn drain(args: &str) -> Value {
    let dir = tempfile::tempdir().unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_pictor"))
        .args(["bench", "drain", "--json"])
        .args(args.split_whitespace())
        .env_clear()
        .env("HOME", dir.path())
        .env("TMPDIR", dir.path())
        .env("PATH", search_path())
        .current_dir(dir.path())
        .output()
        .unwrap();
    assert!(output.status.success(), "{args}: {}", told(&output));
    let left: Vec<_> = fs::read_dir(dir.path()).unwrap().collect();
    assert!(left.is_empty(), "{args}: left behind: {left:?}");
    let text = String::from_utf8(output.stdout).unwrap();
    serde_json::from_str(text.lines().last().unwrap()).unwrap()
}

/// Three runs at the same time, each with servers and workers of its own.
pub(crate) fn three_times(args: &str) -> [Value; 3] {
    std::thread::scope(|scope| {
        let runs = [1, 2, 3].map(|seed| scope.spawn(move || drain(&format!("{args} --seed {seed}"))));
        runs.map(|run| run.join().unwrap())
    })
}

pub(crate) fn number(value: &Value, name: &str) -> f64 {
    value[name].as_f64().unwrap_or_else(|| panic!("{name} in {value}"))
}

impl Case {
    /// What a run lacks, if anything.
    pub(crate) fn lacks(&self, run: &Value) -> Option<String> {
        let (images, possible) = (number(run, "images"), number(run, "possible"));
        let mut lacks = Vec::new();
        if images + self.slack < possible * self.utilisation {
            lacks.push("used too little");
        }
        if number(run, "refused") > self.refused {
            lacks.push("refused too often");
        }
        (!lacks.is_empty()).then(|| lacks.join(", "))
    }
}

#[test]
fn a_known_limit_is_used_and_every_figure_is_told() {
    let told = drain("--processes 3 --limit 300 --window 5 --minutes 0.25 --latency-ms 500 --seed 7");
    assert!(number(&told, "utilisation") > 0.9 && number(&told, "refused") < 0.01, "{told}");
    let (requests, run) = (number(&told, "requests"), &told["runs"][0]);
    assert!((600.0..1_300.0).contains(&requests), "{told}");
    assert_eq!(told["runs"].as_array().unwrap().len(), 1);
    assert!(number(run, "seconds") >= 9.5 && number(run, "assets") > 0.0, "{told}");
    for name in ["wait_p50_ms", "wait_p99_ms", "redis_cmds_per_asset", "redis_us_per_asset"] {
        assert!(number(&told, name) >= 0.0 && number(run, name) == number(&told, name), "{name} in {told}");
    }
    assert!((1.0..100.0).contains(&number(&told, "redis_cmds_per_asset")), "{told}");
    let settings = &told["settings"];
    assert_eq!(
        (number(settings, "limit"), number(settings, "window"), number(&told, "seed")),
        (300.0, 5.0, 7.0)
    );
}

#[test]
fn a_paused_and_a_broken_lane_take_nothing_from_the_healthy_one() {
    let told = drain(
        "--processes 2 --limit 100 --window 4 --minutes 0.25 --latency-ms 500 --lanes 3 --pause-lane 2 --break-lane 3",
    );
    assert!(number(&told, "utilisation") > 0.9, "{told}");
    let lanes = told["runs"][0]["lanes"].as_array().unwrap();
    let states: Vec<&str> = lanes.iter().map(|lane| lane["state"].as_str().unwrap()).collect();
    assert_eq!(states, ["healthy", "paused", "broken"]);
    assert_eq!(lanes[1]["requests"], 0);
    assert!(lanes[2]["requests"].as_u64().unwrap() > 0, "{told}");
}

#[test]
fn what_cannot_be_measured_is_bad_input() {
    for args in ["--minutes 0.01", "--change 5:1,4:1", "--foreign-load 1.5", "--model no-such-model"] {
        let mut pictor = Command::new(env!("CARGO_BIN_EXE_pictor"));
        pictor.args(["bench", "drain"]).args(args.split_whitespace()).env_clear();
        let output = pictor.output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{args}: {}", told(&output));
    }
}
