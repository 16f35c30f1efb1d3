//! Long proofs of the queue alone, by `make prove-NAME`; the result in `docs/measured/`.

use std::{fmt::Write as _, fs, path::Path, process::Command, time::Instant};

use crate::weave::{self, FULL};

fn output(root: &Path, program: &str, args: &[&str]) -> String {
    let output = Command::new(program).args(args).current_dir(root).output().unwrap();
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

/// Writes a result with the commit and the machine it came from.
#[expect(clippy::print_stdout, reason = "whoever runs a proof wants to see its result")]
fn record(name: &str, title: &str, body: &str) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let cpu = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let cpu = cpu.lines().find_map(|line| line.strip_prefix("model name"));
    let cpu = cpu.map_or("", |line| line.trim_start_matches([' ', '\t', ':']));
    let changes = ["status", "--porcelain", "--untracked-files=no", "--", ".", ":!docs/measured"];
    let dirty = if output(&root, "git", &changes).is_empty() { "" } else { " with changes" };
    let commit = output(&root, "git", &["rev-parse", "--short", "HEAD"]);
    let cores = std::thread::available_parallelism().unwrap();
    let text = format!(
        "# {title}\n\nBy `make prove-{name}`, commit {commit}{dirty}, {cores} cores of {cpu}.\n\n{body}"
    );
    fs::write(root.join(format!("docs/measured/{name}.md")), &text).unwrap();
    println!("{text}");
}

#[tokio::test]
#[ignore = "full size: make prove-weave"]
#[expect(clippy::print_stderr, reason = "it takes minutes: whoever waits wants to see it go on")]
async fn weave() {
    let mut body = "Two workers that claim, a reaper that also takes over the disks of the dead, a person who cancels, on a real Redis. \
        Every order of their calls within the bounds of a row was gone through to its end; no rule was broken. \
        Rules and bounds: `crates/common/tests/queue/weave/rules.rs`, `weave.rs`.\n\n\
        | bounds | states | steps | longest way | contents of Redis | script calls on them | time |\n\
        |---|---|---|---|---|---|---|\n"
        .to_owned();
    for (name, bounds) in FULL {
        let began = Instant::now();
        let found = weave::all(bounds).await;
        let took = began.elapsed().as_secs();
        eprintln!("{name}: {found:?}, {took} s");
        let weave::Searched { states, transitions, depth, contents, calls } = found;
        writeln!(body, "| {name} | {states} | {transitions} | {depth} | {contents} | {calls} | {took} s |")
            .unwrap();
    }
    record("weave", "All orders of calls about the same assets", &body);
}

#[tokio::test]
#[ignore = "full size: make prove-failed"]
async fn failed() {
    let sizes = crate::listing::Sizes { assets: 1_000_000, failures: 100_000 };
    let rows = crate::listing::measure(sizes).await;
    let mut body = format!(
        "{} assets, of which {} failed, of 40 causes in 4 classes, for two tenants and three batches, one of them with three \
         failures. Each question was asked a hundred times; pages have 50 failures, with what is known of each; the limit \
         is 100 ms. Rules: `crates/common/tests/queue/listing.rs`.\n\n\
         | question | median | longest |\n|---|---|---|\n",
        sizes.assets, sizes.failures
    );
    for row in &rows {
        writeln!(body, "| {} | {:.1} ms | {:.1} ms |", row.what, row.median, row.longest).unwrap();
    }
    record("failed", "How long causes and lists of failures take", &body);
    for row in rows {
        assert!(row.longest <= 100.0, "{} took {:.1} ms", row.what, row.longest);
    }
}
