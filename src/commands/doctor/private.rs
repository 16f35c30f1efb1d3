//! Looks at what a private Redis needs, and at one that runs.

use std::{fs, path::Path};

use pictor_common::keys::Keys;
use tokio::time::timeout;

use super::{
    PATIENCE, disk,
    finding::{Check, Finding, Group},
    redis::{Look, look_at},
    redis_rules::judge_version,
};
use crate::{
    config::Settings,
    private_redis::{self, HOW_TO_GET},
};

pub(super) async fn look(settings: &Settings, keys: &Keys) -> Look {
    let mut findings = vec![program().await];
    let dir = settings.data_dir.clone();
    match tokio::task::spawn_blocking(move || disk::look(&dir)).await {
        Ok(facts) => {
            findings.push(facts.judge_writing(Group::Redis, "data directory", "data_dir (--data-dir)"));
            findings.push(facts.judge_kind(Group::Redis, "data disk", "data_dir (--data-dir)"));
        }
        Err(error) => findings.push(Check::new(Group::Redis, "data directory").skipped(error.to_string())),
    }
    let Some(socket) = running(&settings.data_dir) else {
        findings.push(Check::new(Group::Redis, "reach").ok("a server is started when one is needed"));
        return Look { findings, ahead: None };
    };
    match private_redis::client(&socket) {
        Ok(client) => {
            let look = look_at(&client.into(), keys, "the private server that runs").await;
            findings.extend(look.findings);
            Look { findings, ahead: look.ahead }
        }
        Err(error) => {
            let mend = "end the other pictor, or give --data-dir another directory";
            findings.push(Check::new(Group::Redis, "reach").failed(error.to_string(), mend));
            Look { findings, ahead: None }
        }
    }
}

/// The socket of a server that runs in a data directory.
fn running(data_dir: &Path) -> Option<std::path::PathBuf> {
    let path = fs::read_to_string(data_dir.join("socket")).ok()?;
    let socket = std::path::PathBuf::from(path.trim());
    std::os::unix::net::UnixStream::connect(&socket).is_ok().then_some(socket)
}

/// The program of the server, and its version.
async fn program() -> Finding {
    let check = Check::new(Group::Redis, "program");
    let Some(path) = private_redis::program() else { return not_found(check) };
    let asking = tokio::process::Command::new(&path).arg("--version").kill_on_drop(true).output();
    let shown = path.display();
    let mend = "install redis-server or valkey-server anew, or name a running server with PICTOR_REDIS__URL";
    match timeout(PATIENCE, asking).await {
        Ok(Ok(output)) => judge_program(check, &path, &String::from_utf8_lossy(&output.stdout)),
        Ok(Err(error)) => check.failed(format!("{shown} cannot be started: {error}"), mend),
        Err(_elapsed) => check.failed(format!("{shown} does not tell its version"), mend),
    }
}

fn not_found(check: Check) -> Finding {
    let (found, mend) = HOW_TO_GET.split_once("; ").unwrap_or((HOW_TO_GET, ""));
    check.failed(found, mend)
}

/// Judges `Redis server v=7.0.15 sha=…`.
fn judge_program(check: Check, path: &Path, told: &str) -> Finding {
    let version = told.split_whitespace().find_map(|word| word.strip_prefix("v="));
    let Some(version) = version else {
        let mend = "install redis-server or valkey-server, or name a running server with PICTOR_REDIS__URL";
        return check.failed(format!("{} is no Redis and no Valkey", path.display()), mend);
    };
    let (name, least) = if told.starts_with("Valkey") { ("Valkey", (7, 2)) } else { ("Redis", (7, 0)) };
    let mut finding = judge_version(check, name, version, least);
    finding.found = format!("{} at {}", finding.found, path.display());
    finding
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::doctor::finding::Status;

    #[test]
    fn programs_by_version() {
        let judge = |told: &str| judge_program(Check::new(Group::Redis, "program"), Path::new("/x"), told);
        for (told, status) in [
            ("Redis server v=7.0.15 sha=00000000:0 malloc=jemalloc-5.3.0 bits=64", Status::Ok),
            ("Redis server v=6.2.7 sha=00000000:0", Status::Failed),
            ("Valkey server v=9.0.0 sha=00000000:0", Status::Ok),
            ("Valkey server v=7.1.9 sha=00000000:0", Status::Failed),
            ("hello", Status::Failed),
        ] {
            assert_eq!(judge(told).status, status, "{told}");
        }
        assert_eq!(judge("Redis server v=7.0.15 x").found, "Redis 7.0.15 at /x");
        let missing = not_found(Check::new(Group::Redis, "program"));
        assert!(missing.found.starts_with("no redis-server"), "{missing:?}");
        assert!(missing.mend.unwrap().contains("apt-get install redis-server"));
    }
}
