//! Looks at the store, and judges what it does.

use std::{
    error::Error as _,
    path::{Path, PathBuf},
};

use pictor_common::store::{StoreError, StoreErrorKind};
use pictor_store::S3Settings;

use super::{
    Reach, disk,
    finding::{Check, Finding, Group, size},
    machine,
    store_probe::{StoreFacts, WRITERS, probe},
};
use crate::{config::Settings, parts};

/// What S3 takes in one PUT.
const LONGEST_PUT: u64 = 5 << 30;
const KNOWN: &str = "known to keep it: Amazon S3, Cloudflare R2, MinIO of 2024 and later, SeaweedFS 4; \
                     known not to: Ceph RGW 16, MinIO of 2023, s3s-fs";

fn check(name: &str) -> Check {
    Check::new(Group::Store, name)
}

pub(super) fn is_s3(settings: &Settings) -> bool {
    parts::store_url(settings, None).starts_with("s3://")
}

pub(super) async fn look(settings: &Settings, reach: Reach) -> Vec<Finding> {
    let url = parts::store_url(settings, None);
    if !is_s3(settings) {
        return in_directory(settings, url).await;
    }
    let s3 = &settings.store.s3;
    let host = s3.endpoint.as_ref().and_then(|endpoint| url::Url::parse(endpoint).ok());
    let host = host.and_then(|url| url.host_str().map(str::to_owned)).unwrap_or_default();
    if !reach.allows(&host) {
        return vec![check("reach").skipped(format!("{url}: {}", Reach::WHY))];
    }
    let largest = machine::largest_image(settings);
    let mut findings = vec![single_put(largest)];
    let patient = S3Settings {
        connect_timeout_seconds: 3,
        attempt_timeout_seconds: 5,
        operation_timeout_seconds: 7,
        max_attempts: 2,
        ..s3.clone()
    };
    match pictor_store::open(url, &patient).await {
        Ok(store) => {
            findings.extend(judge(&probe(&store).await, url, Kind::S3 { keys: s3.access_key_id.is_some() }))
        }
        Err(error) => findings.push(check("reach").failed(
            told(&error),
            "set what it names in [store] of the settings, or PICTOR_STORE__NAME in the environment",
        )),
    }
    findings
}

/// The directory a URL names, as the store reads it.
fn directory(url: &str) -> PathBuf {
    let parsed = url.starts_with("file:///").then(|| url::Url::parse(url).ok()).flatten();
    parsed.and_then(|url| url.to_file_path().ok()).unwrap_or_else(|| PathBuf::from(url))
}

async fn in_directory(settings: &Settings, url: &str) -> Vec<Finding> {
    let dir = directory(url);
    let need = machine::need(settings);
    let (facts, scratch) = match tokio::task::spawn_blocking(move || place(&dir)).await {
        Ok(found) => found,
        Err(error) => return vec![check("reach").skipped(error.to_string())],
    };
    let Ok(scratch) = scratch else {
        return vec![facts.judge_writing(Group::Store, "reach", "store.url")];
    };
    let mut findings = match scratch.try_out(url).await {
        Ok(found) => judge(&found, &facts.place(), Kind::Directory),
        Err(error) => vec![check("reach").failed(told(&error), mend(&error, "writing", Kind::Directory))],
    };
    findings.push(facts.judge_kind(Group::Store, "disk", "store.url"));
    findings.push(facts.judge_room(Group::Store, "room", &need));
    findings
}

/// Where a directory store is tried: in itself where there is one, else in a directory that goes again.
enum Scratch {
    Itself(PathBuf),
    Beside(PathBuf),
}

fn place(dir: &Path) -> (disk::DiskFacts, Result<Scratch, ()>) {
    let facts = disk::look(dir);
    let scratch = if facts.written.is_err() {
        Err(())
    } else if facts.dir.join(".pictor").is_dir() {
        Ok(Scratch::Itself(facts.dir.clone()))
    } else {
        Ok(Scratch::Beside(facts.existing.join(format!(".pictor-doctor-{}", ulid::Ulid::generate()))))
    };
    (facts, scratch)
}

impl Scratch {
    async fn try_out(&self, url: &str) -> Result<StoreFacts, StoreError> {
        let (Self::Itself(root) | Self::Beside(root)) = self;
        let opened = match self {
            Self::Itself(_) => pictor_store::open(url, &S3Settings::default()).await,
            Self::Beside(root) => {
                pictor_store::open(&root.display().to_string(), &S3Settings::default()).await
            }
        };
        let found = match opened {
            Ok(store) => Ok(probe(&store).await),
            Err(error) => Err(error),
        };
        let gone = match self {
            Self::Itself(_) => {
                // Only when they are empty; others' doctors may be at work.
                for folder in ["doctor", ".pictor/meta/doctor"] {
                    let _kept = tokio::fs::remove_dir(root.join(folder)).await;
                }
                Ok(())
            }
            Self::Beside(root) => tokio::fs::remove_dir_all(root).await,
        };
        if let Err(error) = gone {
            tracing::warn!(%error, path = %root.display(), "cannot remove what the doctor made");
        }
        found
    }
}

/// What a store is, for the words of its findings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Directory,
    /// With keys in the settings, or else by the AWS chain.
    S3 {
        keys: bool,
    },
}

fn single_put(largest: u64) -> Finding {
    if largest > LONGEST_PUT {
        return check("upload").failed(
            format!("an image may take {}, and one PUT takes {}", size(largest), size(LONGEST_PUT)),
            "set max_image_bytes of the accounts to 5368709120 or less",
        );
    }
    check("upload").ok(format!(
        "the largest image, {}, goes in one PUT: multipart uploads are not needed",
        size(largest)
    ))
}

fn judge(facts: &StoreFacts, place: &str, kind: Kind) -> Vec<Finding> {
    let mut findings = vec![judge_reach(facts, place, kind)];
    findings.extend(facts.write.as_ref().map(|write| judge_write(write, facts, kind)));
    findings.extend(facts.read.as_ref().map(|read| judge_read(read, kind)));
    findings.extend(facts.metadata.as_ref().map(|metadata| judge_metadata(metadata, kind)));
    findings.extend(facts.second.as_ref().map(|second| judge_second(second, kind)));
    findings.extend(facts.winners.as_ref().map(|winners| judge_race(winners, kind)));
    if let Some((place, error)) = facts.left.first() {
        let more = facts.left.len() - 1;
        let all = if more > 0 { format!("{place} and {more} more") } else { place.clone() };
        findings.push(check("delete").warning(
            format!("{all} could not be taken away again: {}", told(error)),
            "delete it by hand; but for pictor asset remove and verify --remake, Pictor does without that permission",
        ));
    } else if matches!(facts.write, Some(Ok(()))) {
        findings.push(check("delete").ok("what was tried is gone again"));
    }
    findings
}

fn judge_reach(facts: &StoreFacts, place: &str, kind: Kind) -> Finding {
    let with = match kind {
        Kind::Directory => return directory_reach(facts, place),
        Kind::S3 { keys: true } => ", with store.access_key_id",
        Kind::S3 { keys: false } => ", with credentials of the AWS chain",
    };
    match &facts.list {
        Some(Err(error)) => check("reach").failed(told(error), mend(error, "s3:ListBucket", kind)),
        _ => check("reach").ok(format!("{place} answers and may be listed{with}")),
    }
}

fn directory_reach(facts: &StoreFacts, place: &str) -> Finding {
    match &facts.list {
        Some(Err(error)) => check("reach").failed(told(error), mend(error, "reading", Kind::Directory)),
        _ => check("reach").ok(place),
    }
}

fn judge_write(write: &Result<(), StoreError>, facts: &StoreFacts, kind: Kind) -> Finding {
    let Err(error) = write else { return check("write").ok("objects can be written") };
    if matches!(facts.plain, Some(Ok(()))) {
        return check("write").failed(
            format!("it can be written, but not with If-None-Match: *: {}", told(error)),
            format!("take a store that writes on condition, or an image could be overwritten; {KNOWN}"),
        );
    }
    check("write").failed(told(error), mend(error, "s3:PutObject", kind))
}

fn judge_read(read: &Result<bool, StoreError>, kind: Kind) -> Finding {
    match read {
        Ok(true) => check("read").ok("what was written comes back"),
        Ok(false) => check("read").failed(
            "what was written does not come back as it was",
            "look for a proxy or gateway that changes bodies, or set store.checksums = \"when_required\"",
        ),
        Err(error) => check("read").failed(told(error), mend(error, "s3:GetObject", kind)),
    }
}

fn judge_metadata(metadata: &Result<Vec<String>, StoreError>, kind: Kind) -> Finding {
    match metadata {
        Ok(lost) if lost.is_empty() => check("metadata").ok("cost, digest and token stay with the image"),
        Ok(lost) => check("metadata").failed(
            format!("the store loses {}", lost.join(", ")),
            "take a store that keeps x-amz-meta-* headers: without them the ledger cannot be rebuilt",
        ),
        Err(error) => check("metadata").failed(told(error), mend(error, "s3:GetObject", kind)),
    }
}

fn judge_second(second: &Result<bool, StoreError>, kind: Kind) -> Finding {
    match second {
        Ok(true) => check("write once").ok("a second write of a name is refused"),
        Ok(false) => check("write once").failed(
            "If-None-Match is ignored: a second write replaced the first, so images could be overwritten",
            format!("take a store that writes on condition, or bring this one up to date; {KNOWN}"),
        ),
        Err(error) => check("write once").failed(told(error), mend(error, "s3:PutObject", kind)),
    }
}

fn judge_race(winners: &Result<usize, StoreError>, kind: Kind) -> Finding {
    match winners {
        Ok(1) => check("race").ok(format!("of {WRITERS} writers at once, one wins")),
        Ok(0) => check("race").warning(
            format!("of {WRITERS} writers at once none was told that it won: answers were lost on the way"),
            "run pictor doctor again; if it stays so, look at the network to the store",
        ),
        Ok(several) => check("race").failed(
            format!(
                "of {WRITERS} writers at once {several} were told that they won: images could be overwritten"
            ),
            format!("take a store whose conditional writes are atomic; {KNOWN}"),
        ),
        Err(error) => check("race").failed(told(error), mend(error, "s3:PutObject", kind)),
    }
}

/// An error and its cause, without saying the same twice.
fn told(error: &StoreError) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(next) = cause {
        let words = next.to_string();
        if !text.contains(&words) {
            text = format!("{text}: {words}");
        }
        cause = next.source();
    }
    text
}

fn mend(error: &StoreError, permission: &str, kind: Kind) -> String {
    let message = &error.message;
    let says = |words: &[&str]| words.iter().any(|word| message.contains(word));
    match (error.kind, kind) {
        (StoreErrorKind::Full, _) => "free room there, or raise its quota".to_owned(),
        (StoreErrorKind::Denied, Kind::Directory) => {
            "let this user write there (chown, chmod), or set store.url to another directory".to_owned()
        }
        (_, Kind::Directory) => "set store.url to a directory that can be used".to_owned(),
        (StoreErrorKind::Denied, Kind::S3 { .. }) if says(&["RequestTimeTooSkewed", "RequestExpired"]) => {
            "let this machine's clock be set: timedatectl set-ntp true".to_owned()
        }
        (StoreErrorKind::Denied, Kind::S3 { .. }) if says(&["PermanentRedirect", "AuthorizationHeaderMalformed"]) => {
            "set store.region to the bucket's region".to_owned()
        }
        (StoreErrorKind::Denied, Kind::S3 { keys }) if says(&["no credentials", "InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken", "InvalidToken"]) => {
            if keys {
                "set store.access_key_id and PICTOR_STORE__SECRET_ACCESS_KEY to keys that live and belong together".to_owned()
            } else {
                "give AWS credentials (AWS_PROFILE, AWS_ACCESS_KEY_ID, a role), or store.access_key_id and PICTOR_STORE__SECRET_ACCESS_KEY".to_owned()
            }
        }
        (StoreErrorKind::Denied, Kind::S3 { .. }) => {
            format!("allow {permission} on the bucket; Pictor needs s3:ListBucket, s3:GetObject and s3:PutObject")
        }
        (StoreErrorKind::NotFound, _) => "make the bucket, or set store.url to one that exists".to_owned(),
        (StoreErrorKind::Unavailable, _) => {
            "see whether store.endpoint and store.region are right, the server runs, and no firewall is on the way".to_owned()
        }
        (StoreErrorKind::Invalid | StoreErrorKind::Unsupported, _) => {
            "set store.checksums = \"when_required\" or store.path_style, as the server wants it; its words say which".to_owned()
        }
    }
}

#[cfg(test)]
mod tests;
