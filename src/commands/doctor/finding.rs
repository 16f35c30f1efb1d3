//! What a check found, and how it is shown.

use clap::ValueEnum;
use serde::Serialize;

/// What is checked together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Group {
    /// The queue's server
    Redis,
    /// Where images go
    Store,
    /// The accounts at image APIs
    Api,
    /// This host
    Machine,
}

/// How a check ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Status {
    Ok,
    Warning,
    Failed,
    NotChecked,
}

impl Status {
    const fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warning => "warning",
            Self::Failed => "failed",
            Self::NotChecked => "not checked",
        }
    }
}

/// The outcome of one check.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Finding {
    pub(super) group: Group,
    pub(super) check: String,
    pub(super) status: Status,
    /// What was found, or why nothing was looked at.
    pub(super) found: String,
    /// What to do; there whenever something is not as it should be.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) mend: Option<String>,
}

/// Makes the findings of one check.
#[derive(Clone, Debug)]
pub(super) struct Check {
    group: Group,
    name: String,
}

impl Check {
    pub(super) fn new(group: Group, name: impl Into<String>) -> Self {
        Self { group, name: name.into() }
    }

    pub(super) fn ok(self, found: impl Into<String>) -> Finding {
        self.finding(Status::Ok, found.into(), None)
    }

    pub(super) fn warning(self, found: impl Into<String>, mend: impl Into<String>) -> Finding {
        self.finding(Status::Warning, found.into(), Some(mend.into()))
    }

    pub(super) fn failed(self, found: impl Into<String>, mend: impl Into<String>) -> Finding {
        self.finding(Status::Failed, found.into(), Some(mend.into()))
    }

    /// Looked at nothing, for a reason that is in order.
    pub(super) fn skipped(self, reason: impl Into<String>) -> Finding {
        self.finding(Status::NotChecked, reason.into(), None)
    }

    fn finding(self, status: Status, found: String, mend: Option<String>) -> Finding {
        Finding { group: self.group, check: self.name, status, found, mend }
    }
}

/// How many findings ended in a way.
pub(super) fn count(findings: &[Finding], status: Status) -> usize {
    findings.iter().filter(|finding| finding.status == status).count()
}

/// One line a finding; below what is not in order, how to mend it.
pub(super) fn lines(findings: &[Finding]) -> String {
    let longest = findings.iter().map(|finding| finding.check.chars().count()).max().unwrap_or(0);
    let mut text = String::new();
    for finding in findings {
        let group = format!("{:?}", finding.group).to_lowercase();
        let status = coloured(finding.status, &format!("{:<11}", finding.status.word()));
        text += &format!("{status}  {group:<7}  {:<longest$}  {}\n", finding.check, finding.found);
        if let Some(mend) = &finding.mend {
            text += &format!("{:13}→ {mend}\n", "");
        }
    }
    text
}

fn coloured(status: Status, word: &str) -> String {
    let styled = console::style(word);
    match status {
        Status::Ok => styled.green(),
        Status::Warning => styled.yellow(),
        Status::Failed => styled.red().bold(),
        Status::NotChecked => styled.dim(),
    }
    .to_string()
}

/// A size for people: `512 MiB`, `3.2 GiB`.
pub(super) fn size(bytes: u64) -> String {
    const GIB: u64 = 1 << 30;
    const MIB: u64 = 1 << 20;
    if bytes >= GIB {
        let tenths = bytes.saturating_mul(10) / GIB;
        return format!("{}.{} GiB", tenths / 10, tenths % 10);
    }
    if bytes >= MIB { format!("{} MiB", bytes / MIB) } else { format!("{} KiB", bytes / 1024) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_says_how_to_mend_it() {
        let findings = [
            Check::new(Group::Redis, "version").ok("Redis 7.0.15"),
            Check::new(Group::Redis, "eviction").failed("allkeys-lru", "set it"),
            Check::new(Group::Api, "a.key").skipped("asked with --offline"),
        ];
        let text = lines(&findings);
        assert_eq!(
            console::strip_ansi_codes(&text),
            "ok           redis    version   Redis 7.0.15\n\
             failed       redis    eviction  allkeys-lru\n             → set it\n\
             not checked  api      a.key     asked with --offline\n"
        );
        assert_eq!(count(&findings, Status::Failed), 1);
        let json = serde_json::to_value(&findings[1]).unwrap();
        assert_eq!((json["status"].as_str(), json["group"].as_str()), (Some("failed"), Some("redis")));
        assert!(serde_json::to_value(&findings[0]).unwrap()["mend"].is_null());
    }

    #[test]
    fn sizes_for_people() {
        let told: Vec<_> = [512, 5 << 20, (3 << 30) + (1 << 29)].into_iter().map(size).collect();
        assert_eq!(told, ["0 KiB", "5 MiB", "3.5 GiB"]);
    }
}
