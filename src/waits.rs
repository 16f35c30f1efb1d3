//! Says to people why something waits.

use pictor_common::queue::{Beat, CapOf, Overview, Why};
use serde::Serialize;

use crate::commands::when;

/// A reason in words and, for machines, as it is.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Told {
    pub(crate) text: String,
    #[serde(flatten)]
    pub(crate) why: Why,
}

/// Reasons in words.
pub(crate) fn told(reasons: Vec<Why>, overview: &Overview) -> Vec<Told> {
    reasons.into_iter().map(|why| Told { text: words(&why, overview.now), why }).collect()
}

/// The first reason, and how many more there are.
pub(crate) fn first(reasons: &[Told]) -> String {
    match reasons {
        [] => String::new(),
        [only] => only.text.clone(),
        [first, rest @ ..] => format!("{} (+{})", first.text, rest.len()),
    }
}

fn words(why: &Why, now: u64) -> String {
    match why {
        Why::Paused { reason } => format!("paused: {reason}"),
        Why::PastDeadline { deadline } => format!(
            "past its deadline, {}; submitted again with a later --deadline, it goes on",
            when(*deadline)
        ),
        Why::BatchCap { cap, spent, reserved } => {
            format!("its cap of {cap} is reached: {spent} spent, {reserved} set aside")
        }
        Why::Budget { of, until, cap, spent, reserved } => {
            let mended = until.map_or_else(
                || "pictor budget set raises it".to_owned(),
                |until| format!("goes on at {} ({})", when(until), left(until, now)),
            );
            let of = match of {
                CapOf::Total => "the budget".to_owned(),
                CapOf::Day => "the day's budget".to_owned(),
                CapOf::Tenant(tenant) => format!("the budget of tenant {tenant}"),
                CapOf::TenantDay(tenant) => format!("the day's budget of tenant {tenant}"),
                CapOf::Batch(batch) => format!("the cap of batch {batch}"),
            };
            format!("{of} of {cap} is reached: {spent} spent, {reserved} set aside; {mended}")
        }
        Why::NoWorker => "no worker is alive: start pictor worker".to_owned(),
        Why::Stopping => "all workers are stopping".to_owned(),
        Why::NotServed { route } => format!("no worker has an account for {route}"),
        Why::KeyRefused { lane } => format!(
            "the API key for lane {lane} was refused: give its workers another, or pictor lane resume {lane}"
        ),
        Why::Books => {
            "a worker looks up in the store what was spent before; if that lasts, its log says why".to_owned()
        }
        Why::Grace { until } => {
            format!("nothing starts for {}: workers that live say first what they hold", left(*until, now))
        }
        Why::LanePaused { lane, reason, until, others } => {
            let until = until.map_or_else(
                || format!("; pictor lane resume {lane}"),
                |until| format!("; until {} ({})", when(until), left(until, now)),
            );
            let others = if *others { ", others send" } else { "" };
            format!("lane {lane} is paused{others}: {}{until}", crate::table::shortened(reason, 120))
        }
        Why::Limit { lane, dimension, limit, window_seconds, next } => {
            let window =
                if *window_seconds == 60 { "minute".to_owned() } else { format!("{window_seconds} s") };
            let next = next.saturating_sub(now) as f64 / 1e6;
            format!(
                "lane {lane} is at its limit of {limit} {dimension} a {window}: next permit in {next:.1} s"
            )
        }
        Why::InFlightCap { lane, cap } => format!("lane {lane} has its {cap} requests on their way"),
        Why::WorkersBusy { places } => format!("all {places} places of the workers are taken"),
        Why::Behind { batch, waiting } => {
            format!("batch {batch} of the same tenant goes first: {waiting} waiting")
        }
        Why::Turns { sharers, percent } => {
            format!("{sharers} tenants take turns: about {percent} % for this one")
        }
        Why::BeingSubmitted => "still being submitted".to_owned(),
        Why::Retry { count, more, next } => {
            format!("{} tried again, from {} on ({})", counted(*count, *more), when(*next), left(*next, now))
        }
        Why::Doubt { count, more, until } => format!(
            "{} sent by a worker that is gone, judged from {} on ({})",
            counted(*count, *more),
            when(*until),
            left(*until, now)
        ),
        Why::InFlight { count } => format!("{count} on their way"),
    }
}

fn counted(count: u64, more: bool) -> String {
    format!("{count}{}", if more { " or more" } else { "" })
}

/// What keeps a worker from taking all that it could.
pub(crate) fn hindered(beat: &Beat) -> Option<String> {
    let of_profile = |profile: &String| format!("takes nothing: the namespace belongs to profile {profile}");
    let refused = || format!("takes nothing for {}: its API key was refused", beat.refused.join(", "));
    let full = || "takes nothing: the disk of its spool is full".to_owned();
    let other = beat.other_profile.as_ref().map(of_profile);
    let claims = || beat.cannot_claim.as_ref().map(|why| format!("takes nothing: {why}"));
    let refused = || (!beat.refused.is_empty()).then(refused);
    other.or_else(|| beat.disk_full.then(full)).or_else(claims).or_else(refused)
}

/// The time that is left until a moment.
pub(crate) fn left(until: u64, now: u64) -> String {
    if until <= now {
        return "now".to_owned();
    }
    span((until - now).div_ceil(1_000_000))
}

/// A length of time.
pub(crate) fn span(seconds: u64) -> String {
    match (seconds / 86_400, seconds / 3_600 % 24, seconds / 60 % 60, seconds % 60) {
        (0, 0, 0, s) => format!("{s} s"),
        (0, 0, m, s) => format!("{m} min {s} s"),
        (0, h, m, _) => format!("{h} h {m} min"),
        (d, h, _, _) => format!("{d} d {h} h"),
    }
}

#[cfg(test)]
mod tests {
    use pictor_common::MicroUsd;

    use super::*;

    #[test]
    fn a_reason_says_until_when_and_what_mends_it() {
        let now = 1_000_000_000;
        let paused = |until| Why::LanePaused {
            lane: "acme.dall-e-2".to_owned(),
            reason: "no\nmoney".to_owned(),
            until,
            others: false,
        };
        assert_eq!(
            words(&paused(None), now),
            "lane acme.dall-e-2 is paused: no money; pictor lane resume acme.dall-e-2"
        );
        assert!(words(&paused(Some(now + 90_000_000)), now).ends_with("(1 min 30 s)"));
        let day = Why::Budget {
            of: CapOf::TenantDay("shop".to_owned()),
            until: Some(now + 3_600_000_000),
            cap: MicroUsd(5_000_000),
            spent: MicroUsd(4_990_000),
            reserved: MicroUsd::ZERO,
        };
        let told = words(&day, now);
        assert!(
            told.starts_with("the day's budget of tenant shop of $5.00 is reached: $4.99 spent"),
            "{told}"
        );
        assert!(told.ends_with("(1 h 0 min)"), "{told}");
        let limit = Why::Limit {
            lane: "a.b".to_owned(),
            dimension: "images".to_owned(),
            limit: 5,
            window_seconds: 60,
            next: now + 11_540_000,
        };
        assert_eq!(
            words(&limit, now),
            "lane a.b is at its limit of 5 images a minute: next permit in 11.5 s"
        );
    }

    #[test]
    fn spans_name_two_units_at_most() {
        for (seconds, text) in [(0, "0 s"), (61, "1 min 1 s"), (3_725, "1 h 2 min"), (90_000, "1 d 1 h")] {
            assert_eq!(span(seconds), text);
        }
    }
}
