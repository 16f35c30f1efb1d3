//! Long proofs, by `make prove-NAME`: the same code at full size, the result in `docs/measured/`.

use std::{fmt::Write as _, fs, process::Command, time::Duration};

use crate::{
    bench, budget,
    chaos::{
        Played, clocks, cut_off, failover, kill as killing, links, redis_dies, stopped, store_away, wiped,
    },
    cost, death,
    derive_speed::{self, median},
    measures, power_cut, producing,
    schedule::nights,
    upgrade, watch_speed,
};

const CHAOS: &str = "Each scenario judged by the simulator's invoice, the objects in the store and the ledger: `lost` are assets \
    without a bill or an object, `paid twice` bills beyond one an asset, each of them a request that the ledger calls \
    unknown. `recovered` is p50 and max: from a worker's SIGKILL to the next claim of the last asset it held, from Redis' \
    return, its successor's coming or its wipe to the next claim or request, from SIGTERM to the end. `at least` are requests in flight and bodies \
    part-received when a fault came. A seed has the same faults at the same times: `PICTOR_CHAOS_SEED=SEED make \
    prove-chaos-NAME`.\n\n\
    | fault | faults | assets | billed | lost | paid twice | unknown | recovered | at least | seed | proof, commit |\n\
    |---|---|---|---|---|---|---|---|---|---|---|\n";

/// Writes a row of what was played, in the place of the one before.
fn played(proof: &str, fault: &str, run: &Played) {
    let path = format!("{}/docs/measured/chaos.md", env!("CARGO_MANIFEST_DIR"));
    let before = fs::read_to_string(path).unwrap_or_default();
    let is_row = |line: &&str| line.starts_with("| ") && !line.starts_with("| fault |");
    let start = format!("| {fault} |");
    let mut rows: Vec<&str> = before.lines().filter(is_row).filter(|row| !row.starts_with(&start)).collect();
    let commit = output("git", &["rev-parse", "--short", "HEAD"]);
    let row = format!("{start} {} | `{proof}`, {commit} |", run.cells());
    rows.push(&row);
    rows.sort_unstable();
    keep("chaos", "Faults at random", &format!("{CHAOS}{}\n", rows.join("\n")));
    run.in_time();
}

fn output(program: &str, args: &[&str]) -> String {
    let output = Command::new(program).args(args).current_dir(env!("CARGO_MANIFEST_DIR")).output().unwrap();
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

/// Writes a result as a list.
fn record(name: &str, title: &str, lines: &[String]) {
    keep(name, title, &lines.iter().map(|line| format!("- {line}\n")).collect::<String>());
}

/// Writes a result with the commit and the machine it came from.
#[expect(clippy::print_stdout, reason = "whoever runs a proof wants to see its result")]
fn keep(name: &str, title: &str, body: &str) {
    let cpu = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let cpu = cpu
        .lines()
        .find_map(|l| l.strip_prefix("model name"))
        .map_or("", |l| l.trim_start_matches([' ', '\t', ':']));
    let cores = std::thread::available_parallelism().unwrap();
    let dirty =
        if output("git", &["status", "--porcelain", "--untracked-files=no", "--", ".", ":!docs/measured"])
            .is_empty()
        {
            ""
        } else {
            " with changes"
        };
    let commit = output("git", &["rev-parse", "--short", "HEAD"]);
    let text = format!(
        "# {title}\n\nBy `make prove-{name}`, commit {commit}{dirty}, {cores} cores of {cpu}.\n\n{body}"
    );
    fs::write(format!("{}/docs/measured/{name}.md", env!("CARGO_MANIFEST_DIR")), &text).unwrap();
    println!("{text}");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "full size: make prove-kill"]
async fn kill() {
    let run = death::killed(&death::FULL).await;
    let lines = [
        format!(
            "10,000 assets, 3 worker processes, SeaweedFS, latency p50 2 s: all made in {:.0?}, one object each",
            run.elapsed
        ),
        format!(
            "at the SIGKILL of one worker: {} requests in flight, {} bodies part-received",
            run.in_flight, run.bodies
        ),
        format!("the dead worker's claimed and sent work was free again after {:.1?}", run.recovery),
        format!(
            "bills beyond one an asset: {}, each in the ledger as unknown; unknown entries: {}",
            run.extra, run.unknown
        ),
    ];
    record("kill", "A worker killed at full speed", &lines);
    assert!(run.recovery <= Duration::from_secs(20) && run.extra <= run.in_flight);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "full size: make prove-nights"]
async fn nights() {
    let mut lines = Vec::new();
    for (season, size) in [("spring", nights::SPRING), ("autumn", nights::AUTUMN)] {
        let run = nights::played(&size).await;
        lines.push(format!(
            "{season}, from {}: {} nights, 2 servers, {} SIGKILLs, {} of them of the one that fired, taken over after its lease; \
             {} fired once each, of which {} late since nobody served; {} skipped since the run before went on",
            size.start, size.nights, run.killed, run.taken_over, run.submitted, run.made_up, run.skipped
        ));
        lines.push(format!(
            "{season}: {} different rows, as many images on the invoice, in {:.0?}; the last nights have all rows of the first",
            run.rows, run.elapsed
        ));
    }
    record("nights", "Thirty nights by the clock of Europe/Berlin, with both changes of the clocks", &lines);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "full size: make prove-drain"]
async fn drain() {
    let (billed, elapsed) = death::drained(&death::FULL).await;
    let line = format!(
        "10,000 assets, 3 worker processes, SeaweedFS, latency p50 2 s: {billed} billed, 10,000 objects, {elapsed:.0?}"
    );
    record("drain", "A large catalogue, nobody dies", &[line]);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "full size: make prove-cut"]
async fn cut() {
    let one = death::cut_off(&death::FULL, false).await;
    let both = death::cut_off(&death::FULL, true).await;
    let lines = [
        format!(
            "one of two workers cut off from Redis for 60 s with 250 requests in flight: {one} assets, {one} billed"
        ),
        format!("both cut off: {both} assets, {both} billed"),
        "no process ended".to_owned(),
    ];
    record("cut", "Workers cut off from Redis", &lines);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "full size: make prove-claim"]
async fn claim() {
    let mut lines = Vec::new();
    let mut holds = true;
    for (retries, what) in [(false, "waiting"), (true, "due for a retry")] {
        let (few, many) = measures::claim_rates(retries).await;
        holds &= many >= few * 0.8;
        lines.push(format!(
            "claims with 500 assets {what}: {few:.0}/s; with 50,000: {many:.0}/s ({:+.0} %)",
            (many / few - 1.0) * 100.0
        ));
    }
    record("claim", "Claim rate by backlog", &lines);
    assert!(holds);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "full size: make prove-memory"]
async fn memory() {
    let worker = measures::memory_in_flight(1_000).await;
    let plan = tokio::task::spawn_blocking(|| measures::memory_of_a_catalogue(200)).await.unwrap();
    let lines = [
        format!("a worker with 1,000 answers of 3 MiB in flight: {worker} MiB at most"),
        format!("planning a CSV of 200 MiB: {plan} MiB at most"),
    ];
    record("memory", "Peak memory", &lines);
    assert!(worker <= 250 && plan <= 150);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "full size: make prove-submit"]
async fn submit() {
    let [first, again, plan] = producing::submissions(1_000_000).await;
    let lines = [
        ("CSV to submitted assets", &first),
        ("the same again, nothing new", &again),
        ("the plan of it alone", &plan),
    ]
    .map(|(what, run)| {
        let (rate, elapsed, mib, [own, redis]) = (run.rate(), run.elapsed, run.peak_mib, run.cpu);
        format!(
            "1,000,000 rows with a template, {what}: {rate:.0} rows/s ({elapsed:.1?}), {mib} MiB at most; {own:.1} s of processor time, Redis {redis:.1} s"
        )
    });
    record("submit", "Rows a second from CSV to Redis", &lines);
    assert!(first.rate() >= 40_000.0);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "full size: make prove-bytes"]
async fn bytes() {
    let mut lines = Vec::new();
    let (mut waiting, mut done) = (0.0, 0.0);
    for prompt in [150, 400, 1_000] {
        let bytes = producing::bytes_per_asset(100_000, prompt).await;
        let net = bytes.waiting - prompt as f64;
        lines.push(format!(
            "100,000 assets with prompts of {prompt} bytes: {net:.0} bytes and the prompt each while they wait; {:.0} and no prompt when made, and {:.0} of ledger",
            bytes.done, bytes.ledger,
        ));
        let kinds: Vec<String> =
            bytes.kinds.iter().map(|(kind, waits, made)| format!("`{kind}` {waits:.0}/{made:.0}")).collect();
        lines.push(format!("of that by kind of key, waiting/made: {}", kinds.join(", ")));
        // Beyond that, what the allocator rounds up is most of it.
        if prompt <= 400 {
            waiting = f64::max(waiting, net);
        }
        done = f64::max(done, bytes.done);
    }
    lines.push(
        "with a line of four cells; the allocator rounds a spec up to its next size, by a fifth at most"
            .to_owned(),
    );
    record("bytes", "Bytes of an asset in Redis", &lines);
    assert!(waiting <= 725.0 && done <= 300.0, "{waiting:.0} waiting, {done:.0} made");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "full size: make prove-cost"]
async fn cost() {
    let steps = cost::of_a_life(10_000).await;
    let mut lines: Vec<String> = steps
        .iter()
        .map(|(name, step)| {
            format!(
                "{name}: {:.2} scripts, {:.1} commands in them, {:.0} µs",
                step.sent, step.called, step.micros
            )
        })
        .collect();
    let sum = |of: fn(&cost::Step) -> f64| steps.iter().map(|(_, step)| of(step)).sum::<f64>();
    let (sent, micros) = (sum(|step| step.sent), sum(|step| step.micros));
    lines.push(format!(
        "all its life: {sent:.2} scripts, {:.1} commands in them, {micros:.0} µs, of which 30 µs and 10 commands were wanted",
        sum(|step| step.called),
    ));
    lines.push(
        "each of 10,000 assets, with four limits and three caps; 8 a claim, two renewals while it is out"
            .to_owned(),
    );
    record("cost", "What an asset costs Redis", &lines);
    assert!(sent <= 10.0 && micros <= 30.0, "{sent:.2} commands, {micros:.0} µs");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "full size: make prove-latency"]
async fn latency() {
    let times = measures::idle_latencies(500).await;
    let at = |percent: usize| times[times.len() * percent / 100];
    let line = format!(
        "submit to sent, one idle worker, 500 assets one by one: p50 {:.1?}, p90 {:.1?}, p99 {:.1?}, max {:.1?}",
        at(50),
        at(90),
        at(99),
        times[times.len() - 1]
    );
    record("latency", "From submit to send", &[line]);
    assert!(at(99) <= Duration::from_millis(100));
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "full size: make prove-status"]
async fn status() {
    let times = watch_speed::look_times(1_000_000).await;
    let lines: Vec<String> = times
        .iter()
        .map(|(command, median)| {
            format!("pictor {command}, 1,000,000 assets in Redis: {median:.0?}, median of 20 whole processes")
        })
        .collect();
    record("status", "Looking at a large queue", &lines);
    watch_speed::assert_quick(&times);
}

#[test]
#[ignore = "full size: make prove-pacing"]
#[expect(clippy::print_stdout, reason = "it takes an hour: whoever runs it wants to see that it goes on")]
fn pacing() {
    let mut body = String::from(
        "Every run of every case, 3 each, at the same time. Latency p50 2 s. Windows are shorter than a \
         minute; `utilisation` is from one window after the first request to the end where no other time is named, of what \
         the policy could have let in from an empty bucket, by the simulator's books: more than 100 % where a bucket that \
         was full gets emptied. `refused` is of all requests, from the first one.\n\n\
         | case | wanted | run | requests | utilisation | refused | wait p50, p99 | Redis commands, µs |\n|---|---|---|---|---|---|---|---|\n",
    );
    let mut lacking = Vec::new();
    for case in bench::CASES {
        for (number, told) in (1..).zip(bench::three_times(case.args)) {
            let run = &told["runs"][0];
            println!("{} {}: {run}", case.name, case.args);
            let of = |name: &str| bench::number(run, name);
            lacking.extend(case.lacks(run).map(|why| format!("{}, run {number}: {why}", case.name)));
            writeln!(
                body,
                "| {} | ≥ {:.0} %, ≤ {:.1} % | {number} | {:.0} | {:.2} % | {:.2} % | {:.0} ms, {:.0} ms | {:.1}, {:.0} |",
                case.name,
                case.utilisation * 100.0,
                case.refused * 100.0,
                of("requests"),
                of("utilisation") * 100.0,
                of("refused") * 100.0,
                of("wait_p50_ms"),
                of("wait_p99_ms"),
                of("redis_cmds_per_asset"),
                of("redis_us_per_asset"),
            )
            .unwrap();
        }
    }
    for case in bench::CASES {
        write!(body, "\n- {}: `pictor bench drain {}`, seeds 1 to 3", case.name, case.args).unwrap();
    }
    for why in &lacking {
        write!(body, "\n- **missed**: {why}").unwrap();
    }
    body.push('\n');
    keep("pacing", "How much of a limit workers use", &body);
    assert!(lacking.is_empty(), "{lacking:?}");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "full size: make prove-budget"]
async fn budget() {
    let mut lines = vec![
        "16 worker processes, 5,000 assets whose usage varies by 9 % either way, a cap for 1,000; judged by the invoice"
            .to_owned(),
    ];
    for run in 0..20 {
        let cap_of = budget::CAPS[run % budget::CAPS.len()];
        let budget::Spent { cap, ceiling, billed, images, elapsed } =
            budget::capped(&budget::FULL, cap_of, run as u64).await;
        lines.push(format!(
            "run {}, {}: {billed} of {cap} µ$ billed for {images} images, {} left, one ceiling is {ceiling}; raised, all 5,000 made; {elapsed:.0?}",
            run + 1,
            cap_of.join(" "),
            cap - billed,
        ));
    }
    record("budget", "Many processes, one wallet", &lines);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "full size: make prove-chaos-kill"]
async fn chaos_kill() {
    let run = killing::killed(&killing::KEPT_FULL, true).await;
    played("chaos-kill", "SIGKILL of a random of 4 workers every 5–15 s, disk kept", &run);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "full size: make prove-chaos-disk"]
async fn chaos_disk() {
    let run = killing::killed(&killing::LOST_FULL, false).await;
    let fault = "the same, disk lost; a request is given up after 90 s, its send deadline is 120 s";
    played("chaos-disk", fault, &run);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "full size: make prove-chaos-redis"]
async fn chaos_redis() {
    for (file, fault) in [
        (redis_dies::File::EverySecond, "SIGKILL of Redis, appendfsync everysec"),
        (redis_dies::File::Always, "SIGKILL of Redis, appendfsync always"),
        (redis_dies::File::EverySecondCut, "SIGKILL of Redis, the last second cut off its append-only file"),
    ] {
        played("chaos-redis", fault, &redis_dies::redis_dies(&redis_dies::FULL, file).await);
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "full size: make prove-chaos-failover"]
async fn chaos_failover() {
    let fault = "SIGKILL of Redis, a replica takes over that lags by one to two seconds";
    played("chaos-failover", fault, &failover::failover(&failover::FULL).await);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "full size: make prove-chaos-cut"]
async fn chaos_cut() {
    for (silence, timeout) in cut_off::SILENCES {
        for (all, who) in [(false, "one worker"), (true, "all workers")] {
            let fault =
                format!("Redis silent to {who} for {silence} s, requests are given up after {timeout} s");
            played("chaos-cut", &fault, &cut_off::cut_off(&cut_off::full(silence, timeout), all).await);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "full size: make prove-chaos-links"]
async fn chaos_links() {
    let fault = "links to Redis and the store broken off, half-closed, stalled or reset in the midst of answers, \
        that to the API stalled or slow";
    played("chaos-links", fault, &links::links(&links::FULL).await);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "full size: make prove-chaos-store"]
async fn chaos_store() {
    let fault = "the store away for 120 s, then 503 on 30 % of requests";
    played("chaos-store", fault, &store_away::store_away(&store_away::FULL).await);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "full size: make prove-chaos-wipe"]
async fn chaos_wipe() {
    let run = wiped::wiped(&wiped::FULL).await;
    played("chaos-wipe", "Redis wiped, the catalogue submitted again; the cap of the day held", &run);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "full size: make prove-chaos-freeze"]
async fn chaos_freeze() {
    played("chaos-freeze", "SIGSTOP of a worker for 60 s, SIGCONT", &stopped::frozen(&stopped::FULL).await);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "full size: make prove-chaos-end"]
async fn chaos_end() {
    played(
        "chaos-end",
        "SIGTERM under load, another worker in its place",
        &stopped::ended(&stopped::FULL).await,
    );
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "full size: make prove-upgrade"]
async fn upgrade() {
    let older = std::env::var_os("PICTOR_OLDER").expect("PICTOR_OLDER, set by tools/prove.sh");
    let mut lines = Vec::new();
    for _ in 0..5 {
        lines.push(upgrade::rolled(older.as_ref(), &upgrade::FULL).await);
    }
    upgrade::keep_what_an_older_version_leaves(older.as_ref()).await;
    record("upgrade", "Old and new workers together through a rolling restart", &lines);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "full size: make prove-chaos-clocks"]
async fn chaos_clocks() {
    let run = clocks::of_workers(&clocks::FULL).await;
    played("chaos-clocks", "clocks of workers 10 minutes ahead, behind, and jumping", &run);
    let run = clocks::of_redis(&clocks::FULL, 60).await;
    played("chaos-clocks", "the clock of Redis jumps by 10 minutes, ahead and back", &run);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "full size: make prove-power-cut"]
async fn power_cut() {
    let power_cut::Cuts { seed, calm, cuts, billed, twice, unknown, images } =
        power_cut::power_cuts(&power_cut::FULL).await;
    let lines = [
        format!(
            "a worker in peace: at each of {} steps of its system calls, as strace tells them, a disk that keeps only what \
             was synced has the intent of every request before it goes out ({} requests), and every image in the store and \
             in Redis' hands before it leaves the spool ({} images)",
            calm.steps, calm.sent, calm.stored
        ),
        format!(
            "{cuts} power cuts at random calls, seed {seed}: two fifths left what was synced, two fifths some of the rest \
             as well, torn in the middle, one fifth all; another worker took up what was left"
        ),
        format!(
            "lost: 0; {images} images lay in a spool when the power was back; {billed} billed, {twice} of them beyond one an \
             asset, each a request that the ledger calls unknown; {unknown} unknown in all"
        ),
    ];
    record("power-cut", "Power cuts", &lines);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "full size: make prove-derive"]
async fn derive() {
    const ROUNDS: usize = 5;
    let rates = derive_speed::rates(1_000, 3, true);
    let (ours, vips) = (median(&rates.ours), median(&rates.vips));
    let (without, with) = derive_speed::throughput(400, ROUNDS, 32).await;
    let slowed = 100.0 * (1.0 - median(&with) / median(&without));
    let listed =
        |numbers: &[f64]| numbers.iter().map(|number| format!("{number:.1}")).collect::<Vec<_>>().join(", ");
    let lines = [
        format!(
            "1,000 images of 1024x1024 (20 different) to 3 derivatives each, by `pictor derive` with one thread and by {}, \
             both on one core, in turns; median of 3: **{ours:.1} images a second against {vips:.1}** ({:.2} times)",
            output("vipsthumbnail", &["--vips-version"]),
            ours / vips
        ),
        format!("rounds: {} against {}", listed(&rates.ours), listed(&rates.vips)),
        format!(
            "400 images of an API that takes 1 s, 32 requests at once, without and with 3 derivatives each, in turns; median of \
             {ROUNDS}: {:.2} and {:.2} images a second: **slowed by {slowed:.1} %**",
            median(&without),
            median(&with)
        ),
        format!("rounds: {} and {}", listed(&without), listed(&with)),
    ];
    record("derive", "Derivatives", &lines);
    assert!(ours >= vips, "slower than vipsthumbnail: {ours:.1} < {vips:.1}");
    assert!(slowed <= 2.0, "paid work is slowed by {slowed:.1} %");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "writes docs/on-call.md: make prove-on-call"]
async fn on_call() {
    crate::failed::write_page().await;
}
