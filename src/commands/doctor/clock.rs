//! Whose clock is wrong: this machine's, or the Redis server's.

use super::finding::{Check, Finding, Group};

const SECOND: i64 = 1_000_000;
/// Below this nobody notices.
const SLIGHT: i64 = 2 * SECOND;
/// From here on signatures and dates are in danger.
const GRAVE: i64 = 60 * SECOND;

const MEND_HERE: &str = "let this machine's clock be set: timedatectl set-ntp true, or start chronyd or ntpd";

/// How far others' clocks are ahead of ours, in µs.
#[derive(Clone, Debug, Default)]
pub(super) struct Witnesses {
    pub(super) redis: Option<i64>,
    pub(super) apis: Vec<(String, i64)>,
    /// Whether requests are signed with the time.
    pub(super) s3: bool,
}

impl Witnesses {
    /// The API whose clock is nearest to ours: a wrong one among them must not convict us.
    fn nearest_api(&self) -> Option<&(String, i64)> {
        self.apis.iter().min_by_key(|(_, ahead)| ahead.abs())
    }
}

/// The server's clock; none when the server told no time, which its own findings say.
pub(super) fn of_redis(witnesses: &Witnesses) -> Option<Finding> {
    let check = Check::new(Group::Redis, "clock");
    let ahead = witnesses.redis?;
    if ahead.abs() <= SLIGHT {
        return Some(check.ok(format!("{} from this machine's", told(ahead))));
    }
    let found = format!("the server's clock is {} this machine's", direction(ahead));
    if ahead.abs() <= GRAVE {
        return Some(check.warning(found, "let both clocks be set by NTP: timedatectl set-ntp true"));
    }
    let (whose, mend) = match witnesses.nearest_api() {
        Some((name, api)) if api.abs() <= GRAVE => (
            format!("; the API of {name} agrees with this machine, so the server's is wrong"),
            "let the Redis server's clock be set: timedatectl set-ntp true on its host".to_owned(),
        ),
        Some((name, api)) if (api - ahead).abs() <= GRAVE => {
            (format!("; the API of {name} agrees with the server, so this machine's is wrong"), MEND_HERE.into())
        }
        Some((name, _)) => (
            format!("; the API of {name} agrees with neither"),
            "let both clocks be set by NTP: timedatectl set-ntp true".to_owned(),
        ),
        None => (
            "; no API was asked, so nobody says whose is wrong".to_owned(),
            "compare `date -u` here with `redis-cli TIME`, and let the wrong one be set: timedatectl set-ntp true"
                .to_owned(),
        ),
    };
    Some(check.failed(found + &whose, mend))
}

/// This machine's clock.
pub(super) fn of_machine(witnesses: &Witnesses) -> Finding {
    let check = Check::new(Group::Machine, "clock");
    let Some((name, ahead)) = witnesses.nearest_api() else {
        return check.skipped("no API answered with its time");
    };
    if ahead.abs() <= GRAVE {
        return check.ok(format!("within {} s of what the API of {name} says", ahead.abs() / SECOND + 1));
    }
    let found = format!("the clock of {name}'s API is {} this machine's", direction(*ahead));
    if witnesses.s3 {
        return check.failed(found + "; S3 refuses requests signed at the wrong time", MEND_HERE);
    }
    check.warning(found, MEND_HERE)
}

fn told(ahead: i64) -> String {
    format!("{} ms", ahead.abs() / 1_000)
}

fn direction(ahead: i64) -> String {
    let seconds = ahead.abs() / SECOND;
    let long = if seconds < 600 { format!("{seconds} s") } else { format!("{} min", seconds / 60) };
    format!("{long} {}", if ahead > 0 { "ahead of" } else { "behind" })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::doctor::finding::Status;

    fn witnesses(redis: i64, api: Option<i64>) -> Witnesses {
        let apis = api.map(|seconds| ("openai".to_owned(), seconds * SECOND)).into_iter().collect();
        Witnesses { redis: Some(redis * SECOND), apis, s3: false }
    }

    #[test]
    fn a_server_that_is_off_is_judged_by_how_far() {
        for (seconds, api, status, word) in [
            (1, None, Status::Ok, "1000 ms"),
            (-3, None, Status::Warning, "3 s behind"),
            (59, None, Status::Warning, "59 s ahead"),
            (90, None, Status::Failed, "nobody says"),
            (90, Some(1), Status::Failed, "so the server's is wrong"),
            (-3_600, Some(-3_599), Status::Failed, "60 min behind"),
            (-3_600, Some(-3_599), Status::Failed, "so this machine's is wrong"),
            (90, Some(-500), Status::Failed, "agrees with neither"),
        ] {
            let finding = of_redis(&witnesses(seconds, api)).unwrap();
            assert_eq!(finding.status, status, "{finding:?}");
            assert!(finding.found.contains(word), "{finding:?}");
            assert_eq!(finding.mend.is_some(), status != Status::Ok);
        }
        assert_eq!(of_redis(&Witnesses::default()), None);
    }

    #[test]
    fn this_machine_is_judged_by_the_best_witness() {
        let of = |api: Option<i64>, s3| of_machine(&Witnesses { s3, ..witnesses(0, api) });
        assert_eq!(of(None, true).status, Status::NotChecked);
        let near = of(Some(50), true);
        assert!(near.status == Status::Ok && near.found.starts_with("within 51 s "), "{near:?}");
        assert_eq!(of(Some(61), false).status, Status::Warning);
        let failed = of(Some(-120), true);
        assert_eq!(failed.status, Status::Failed);
        assert!(failed.found.contains("120 s behind") && failed.mend.unwrap().contains("timedatectl"));
        let mut two = witnesses(0, Some(9_000));
        two.apis.push(("studio".to_owned(), 0));
        assert_eq!(of_machine(&two).status, Status::Ok);
    }
}
