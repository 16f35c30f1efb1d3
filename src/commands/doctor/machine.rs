//! Looks at this host: open files, memory, and the spool's disk.

use std::{fs, path::PathBuf};

use pictor_worker::Leftovers;

use super::{
    disk::{self, Need},
    finding::{Check, Finding, Group, size},
};
use crate::config::Settings;

/// Files a request needs: its connection, the image, and both again on the way to the store.
const PER_REQUEST: u64 = 4;
/// For the queue, logs, and what the system opens.
const MARGIN: u64 = 64;

/// Measured: a request on its way, and a worker without any.
const MEMORY_PER_REQUEST: u64 = 256 << 10;
const MEMORY_BASE: u64 = 64 << 20;
/// Pixels of the largest picture, while they are checked.
const MEMORY_PER_CORE: u64 = 64 << 20;

/// The largest image that any account may send.
pub(super) fn largest_image(settings: &Settings) -> u64 {
    settings.accounts.values().map(|account| account.account.max_image_bytes).max().unwrap_or(0)
}

/// What a disk must hold.
pub(super) fn need(settings: &Settings) -> Need {
    let at_once = settings.worker.concurrency as u64;
    Need { largest: largest_image(settings), at_once, files: at_once.saturating_mul(PER_REQUEST) }
}

pub(super) async fn look(settings: &Settings) -> Vec<Finding> {
    let concurrency = settings.worker.concurrency as u64;
    let spool = settings.worker.spool.clone().unwrap_or_else(|| settings.data_dir.join("spool"));
    let need = need(settings);
    let looking = tokio::task::spawn_blocking(move || {
        let mut findings = vec![judge_files(open_files(), concurrency)];
        findings.extend(available().map(|(free, cores)| judge_memory(free, concurrency, cores)));
        findings.extend(look_at_spool(spool, &need));
        findings
    });
    match looking.await {
        Ok(findings) => findings,
        Err(error) => vec![Check::new(Group::Machine, "machine").skipped(error.to_string())],
    }
}

fn look_at_spool(spool: PathBuf, need: &Need) -> Vec<Finding> {
    const SETTING: &str = "worker.spool";
    let facts = disk::look(&spool);
    let mut findings = vec![facts.judge_writing(Group::Machine, "spool", SETTING)];
    if facts.written.is_err() {
        return findings;
    }
    findings.push(facts.judge_kind(Group::Machine, "spool disk", SETTING));
    findings.push(facts.judge_room(Group::Machine, "spool room", need));
    let check = Check::new(Group::Machine, "spool leftovers");
    findings.push(match pictor_worker::leftovers(&spool) {
        Ok(left) => judge_leftovers(check, &left, &spool.display().to_string()),
        Err(error) => check.failed(
            format!("{} cannot be read: {error}", spool.display()),
            "let this user read it: chown, chmod",
        ),
    });
    findings
}

/// The most files this process may open; a worker raises its own limit up to that. None is no limit.
fn open_files() -> Option<u64> {
    rustix::process::getrlimit(rustix::process::Resource::Nofile).maximum
}

fn judge_files(most: Option<u64>, concurrency: u64) -> Finding {
    let check = Check::new(Group::Machine, "open files");
    let need = concurrency.saturating_mul(PER_REQUEST).saturating_add(MARGIN);
    let Some(most) = most.filter(|most| *most < need) else {
        let allowed = most.map_or("without a limit".to_owned(), |most| format!("{most} allowed"));
        return check.ok(format!("{allowed}, {need} are enough for {concurrency} requests at once"));
    };
    let fits = most.saturating_sub(MARGIN) / PER_REQUEST;
    let lower = if fits > 0 { format!(", or set worker.concurrency to {fits}") } else { String::new() };
    check.failed(
        format!("{most} allowed, {concurrency} requests at once (worker.concurrency) need {need}"),
        format!("ulimit -n {need} before pictor (systemd: LimitNOFILE={need}){lower}"),
    )
}

/// Memory that is free, and cores.
fn available() -> Option<(u64, u64)> {
    let told = fs::read_to_string("/proc/meminfo").ok()?;
    let host = kib(&told, "MemAvailable:")?.saturating_mul(1024);
    let number =
        |name: &str| fs::read_to_string(format!("/sys/fs/cgroup/{name}")).ok()?.trim().parse::<u64>().ok();
    let own = number("memory.max").map(|most| most.saturating_sub(number("memory.current").unwrap_or(0)));
    let cores = std::thread::available_parallelism().map_or(1, |cores| cores.get() as u64);
    Some((own.map_or(host, |own| own.min(host)), cores))
}

fn kib(told: &str, name: &str) -> Option<u64> {
    let line = told.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next()?.parse().ok()
}

fn judge_memory(free: u64, concurrency: u64, cores: u64) -> Finding {
    let check = Check::new(Group::Machine, "memory");
    let need =
        MEMORY_BASE + concurrency.saturating_mul(MEMORY_PER_REQUEST) + cores.saturating_mul(MEMORY_PER_CORE);
    let found = format!("{} free, a worker may take {}", size(free), size(need));
    if free < need {
        return check.warning(found, "give it more (a container's limit, too), or lower worker.concurrency");
    }
    check.ok(found)
}

fn judge_leftovers(check: Check, left: &Leftovers, spool: &str) -> Finding {
    let counted = |number: usize, one: &str, more: &str| {
        if number == 1 { format!("1 {one}") } else { format!("{number} {more}") }
    };
    if left.unreadable > 0 {
        return check.failed(
            format!(
                "{} of dead workers in {spool} cannot be read",
                counted(left.unreadable, "spool", "spools")
            ),
            "let this user read them (chown), and keep them: images that were paid for may lie there",
        );
    }
    if left.dead > 0 {
        return check.warning(
            format!(
                "{} left {} and {} in {spool}",
                counted(left.dead, "dead worker", "dead workers"),
                counted(left.intents, "request", "requests"),
                counted(left.images, "image", "images"),
            ),
            "start pictor worker, or pictor run, with this spool: it delivers and declares what they left",
        );
    }
    if left.kept > 0 {
        return check.warning(
            format!(
                "{} kept aside in {spool}: an image there belongs to no request",
                counted(left.kept, "directory", "directories")
            ),
            format!("look at the .img files in {spool}/.kept-*, and delete what nobody needs"),
        );
    }
    check.ok(match left.live {
        0 => "none".to_owned(),
        live => format!("none; {} at work", counted(live, "worker is", "workers are")),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::doctor::finding::Status;

    #[test]
    fn files_are_counted_by_requests() {
        assert_eq!(judge_files(Some(320), 64).status, Status::Ok);
        assert_eq!(judge_files(None, 1_000_000).status, Status::Ok);
        let few = judge_files(Some(319), 64);
        assert_eq!(few.status, Status::Failed);
        assert_eq!(
            few.mend.as_deref(),
            Some("ulimit -n 320 before pictor (systemd: LimitNOFILE=320), or set worker.concurrency to 63")
        );
        assert!(!judge_files(Some(64), 64).mend.unwrap().contains("worker.concurrency"));
    }

    #[test]
    fn memory_is_judged_by_requests_and_cores() {
        assert_eq!(kib("MemTotal: 5 kB\nMemAvailable:   7 kB\n", "MemAvailable:"), Some(7));
        assert_eq!(judge_memory(1 << 30, 64, 2).status, Status::Ok);
        let short = judge_memory(100 << 20, 64, 2);
        assert_eq!(short.status, Status::Warning);
        assert!(short.mend.unwrap().contains("worker.concurrency"));
    }

    #[test]
    fn leftovers_say_what_to_do() {
        let judge = |left: Leftovers| judge_leftovers(Check::new(Group::Machine, "x"), &left, "/s");
        assert_eq!(judge(Leftovers::default()).found, "none");
        assert_eq!(judge(Leftovers { live: 1, ..Leftovers::default() }).found, "none; 1 worker is at work");
        let dead = judge(Leftovers { dead: 1, intents: 3, images: 1, ..Leftovers::default() });
        assert_eq!(
            (dead.status, &*dead.found),
            (Status::Warning, "1 dead worker left 3 requests and 1 image in /s")
        );
        let kept = judge(Leftovers { kept: 2, ..Leftovers::default() });
        assert_eq!(kept.status, Status::Warning);
        assert!(kept.mend.unwrap().contains(".kept-"));
        assert_eq!(
            judge(Leftovers { dead: 1, unreadable: 1, ..Leftovers::default() }).status,
            Status::Failed
        );
    }
}
