//! Every cap as it stands, and who changed it.

use pictor_common::{
    MicroUsd,
    queue::{Audited, Budget, Counter, Counters, Queue},
};
use serde::Serialize;

use super::Context;
use crate::{commands::when, table::table, waits::left};

/// Days that people are shown.
const DAYS: usize = 7;
const TITLES: [&str; 8] = ["", "cap", "spent", "of it unknown", "set aside", "left", "%", "set by"];

/// A cap with what is counted against it.
#[derive(Debug, Serialize)]
struct Row {
    scope: &'static str,
    name: Option<String>,
    #[serde(flatten)]
    counter: Counter,
    left: Option<MicroUsd>,
    percent: Option<u64>,
}

impl Row {
    fn new(scope: &'static str, name: Option<&str>, counter: Counter) -> Self {
        Self {
            scope,
            name: name.map(str::to_owned),
            counter,
            left: counter.left(),
            percent: counter.percent(),
        }
    }

    fn cells(&self, day: &str) -> Vec<String> {
        let what = match (self.scope, self.name.as_deref().unwrap_or_default()) {
            ("total", _) => "in all".to_owned(),
            ("day", _) => day.to_owned(),
            ("tenant", name) => format!("tenant {name}"),
            ("tenant_day", name) => format!("tenant {name}, {day}"),
            (_, name) => format!("batch {name}"),
        };
        let dollars = |amount: Option<MicroUsd>| amount.map(|amount| amount.to_string()).unwrap_or_default();
        let Counter { cap, spent, reserved, unknown, by_person } = self.counter;
        let setter = match (cap, by_person, self.scope) {
            (_, _, "batch") => "its submission, or a person",
            (_, true, _) => "a person",
            (Some(_), false, _) => "settings",
            (None, false, _) => "",
        };
        vec![
            what,
            cap.map_or_else(|| "none".to_owned(), |cap| cap.to_string()),
            spent.to_string(),
            unknown.to_string(),
            reserved.to_string(),
            dollars(self.left),
            self.percent.map(|percent| percent.to_string()).unwrap_or_default(),
            setter.to_owned(),
        ]
    }
}

fn rows(budget: &Budget) -> Vec<Row> {
    let Counters { total, today, .. } = budget.money;
    let mut rows = vec![Row::new("total", None, total), Row::new("day", None, today)];
    for of in &budget.tenants {
        rows.push(Row::new("tenant", Some(&of.tenant), of.money.total));
        // The day of a tenant is of interest where it is capped.
        if of.money.today.cap.is_some() {
            rows.push(Row::new("tenant_day", Some(&of.tenant), of.money.today));
        }
    }
    rows.extend(budget.batches.iter().map(|(id, counter)| Row::new("batch", Some(id), *counter)));
    rows
}

/// Shows every cap.
pub(super) async fn caps(context: &Context, queue: &Queue) -> anyhow::Result<()> {
    let budget = queue.budget().await?;
    let rows = rows(&budget);
    let Counter { cap, spent, reserved, unknown, .. } = budget.money.total;
    let zone = context.settings.budget.time_zone.iana_name().unwrap_or("UTC");
    let value = serde_json::json!({
        "spent": spent, "reserved": reserved, "unknown": unknown, "cap": cap,
        "day": budget.day, "time_zone": zone, "day_resets_at": budget.resets_at,
        "caps": rows, "days": budget.money.days,
    });
    context.output.result(&value, || told(&budget, &rows, zone))
}

fn told(budget: &Budget, rows: &[Row], zone: &str) -> String {
    let cells: Vec<Vec<String>> = rows.iter().map(|row| row.cells(&budget.day)).collect();
    let mut text = table(&TITLES, &[1, 2, 3, 4, 5, 6], &cells);
    let now = u64::try_from(jiff::Timestamp::now().as_microsecond()).unwrap_or(0);
    text += &format!(
        "\nthe day ends at {} ({}), midnight in {zone}\n",
        when(budget.resets_at),
        left(budget.resets_at, now)
    );
    let days = &budget.money.days;
    let before: Vec<String> = days
        .iter()
        .rev()
        .filter(|day| day.day != budget.day)
        .take(DAYS)
        .map(|day| format!("{} {}", day.day, day.spent))
        .collect();
    if !before.is_empty() {
        text += &format!("spent before: {}\n", before.join(", "));
    }
    text
}

/// Shows who changed which cap.
pub(super) async fn audit(context: &Context, queue: &Queue, limit: usize) -> anyhow::Result<()> {
    let changes = queue.audit(limit.max(1)).await?;
    context.output.result(&changes, || changed(&changes))
}

fn changed(changes: &[Audited]) -> String {
    if changes.is_empty() {
        return "no cap was ever changed".to_owned();
    }
    let amount =
        |amount: Option<MicroUsd>| amount.map_or_else(|| "none".to_owned(), |amount| amount.to_string());
    let cells: Vec<Vec<String>> = changes
        .iter()
        .map(|change| {
            let who = match change.by.as_str() {
                "settings" => format!("settings of {}", change.who),
                _ => change.who.clone(),
            };
            let why = if change.by == "reset" {
                format!("back to the settings; {}", change.why)
            } else {
                change.why.clone()
            };
            let why = why.trim_end_matches("; ").to_owned();
            vec![when(change.at), who, change.of.to_string(), amount(change.from), amount(change.to), why]
        })
        .collect();
    table(&["when", "who", "what", "from", "to", "why"], &[3, 4], &cells)
}
