//! Schedules: what is due when, and who fires it.
//!
//! What is submitted, and when that is due, is decided elsewhere; here a due time is taken once, whoever asks.
//! Each call may be given the time; without it, the server's holds.

use std::{collections::HashMap, time::Duration};

use redis::AsyncCommands;
use serde::Serialize;

use super::{Queue, QueueError, connection::micros, read::number, script};

/// Longest reason of a try in vain that is kept, in characters.
const LONGEST: usize = 500;

/// A schedule as Redis knows it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ScheduleState {
    /// Its name.
    pub name: String,
    /// What is submitted when, as JSON.
    pub definition: String,
    /// Tells it from others that had its name.
    pub revision: String,
    /// Who added it.
    pub by: String,
    /// When, µs since 1970.
    pub added: u64,
    /// Times up to here were decided on.
    pub cursor: u64,
    /// When it is next due.
    pub next: u64,
    /// Why it is paused, if it is.
    pub paused: Option<String>,
    /// The due time that is being submitted.
    pub firing: Option<u64>,
    /// Whether somebody submits it just now, and does not wait to try again.
    pub held: bool,
    /// Until when that server is believed to live, or when it is tried again.
    pub lease: u64,
    /// Why tries at that time were in vain, if there were any.
    pub trouble: Option<Trouble>,
    /// Times up to here waited for the run before.
    pub waited: u64,
    /// What became of the last time, as JSON.
    pub last: Option<String>,
    /// The batch that was submitted last.
    pub batch: Option<String>,
}

/// Tries in vain.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Trouble {
    /// How many.
    pub tries: u64,
    /// Since when, µs since 1970.
    pub since: u64,
    /// Why the last one was.
    pub why: String,
}

/// What is done with a schedule's times, if nothing has changed since it was looked at.
#[derive(Clone, Debug, Default)]
pub struct Step<'a> {
    /// The time that is fired now.
    pub due: Option<u64>,
    /// Times up to here are decided.
    pub upto: u64,
    /// When it is next due.
    pub next: u64,
    /// When to look again, where that is not when it is due.
    pub look: Option<u64>,
    /// Times up to here wait for the run before.
    pub waited: Option<u64>,
    /// What became of the times that are not fired, as JSON.
    pub runs: &'a [String],
    /// A person asks: the schedule goes on as it was.
    pub by_hand: bool,
}

/// Who fires, and how long others take that for granted.
#[derive(Clone, Debug)]
pub struct Firing {
    /// Unique to this server and time.
    pub token: String,
    /// How long.
    pub lease: Duration,
}

/// What became of a try to take a due time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taken {
    /// It is ours.
    Ours,
    /// There is no such schedule any more.
    Gone,
    /// Somebody else was first, or the schedule is another now.
    Changed,
    /// It is paused.
    Paused,
    /// A time of it is being submitted.
    Busy,
}

/// Whether the right to fire holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Held {
    /// It does; with the due time, and how often it was tried in vain.
    Ours {
        /// The due time, µs since 1970.
        due: u64,
        /// Tries that failed.
        tries: u64,
    },
    /// Another has it, or nobody does.
    Lost,
    /// A pause came first; it was given up.
    Paused,
}

/// What a person does to a schedule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Steer<'a> {
    /// Nothing is fired.
    Pause(&'a str),
    /// It goes on; next due then.
    Resume(u64),
    /// It is forgotten.
    Remove,
}

impl Queue {
    /// The server's time, µs since 1970.
    pub async fn clock(&self) -> Result<u64, QueueError> {
        let mut connection = self.connection.clone();
        let (seconds, micros): (u64, u64) = redis::cmd("TIME").query_async(&mut connection).await?;
        Ok(seconds * 1_000_000 + micros)
    }

    /// Keeps a schedule; false where one of that name is there and not to be replaced.
    pub async fn keep_schedule(
        &self,
        name: &str,
        definition: &str,
        by: &str,
        next: u64,
        replace: bool,
        now: Option<u64>,
    ) -> Result<bool, QueueError> {
        let request = serde_json::json!({
            "name": name, "definition": definition, "by": by, "next": next, "replace": replace, "now": now,
        });
        let answer: String =
            script::SCHEDULE_PUT.run(&self.connection, self.keys.prefix(), &lean(request)).await?;
        Ok(answer == "ok")
    }

    /// One schedule.
    pub async fn schedule(&self, name: &str) -> Result<Option<ScheduleState>, QueueError> {
        let fields: HashMap<String, String> =
            self.connection.clone().hgetall(self.keys.schedule(name)).await?;
        Ok(state(name, &fields))
    }

    /// All schedules, by name.
    pub async fn schedules(&self) -> Result<Vec<ScheduleState>, QueueError> {
        self.schedules_due(u64::MAX, isize::MAX).await
    }

    /// Schedules that want to be looked at by a time.
    pub async fn schedules_due(&self, now: u64, most: isize) -> Result<Vec<ScheduleState>, QueueError> {
        let key = self.keys.schedules();
        let upto = if now == u64::MAX { "+inf".to_owned() } else { now.to_string() };
        let mut names: Vec<String> =
            self.connection.clone().zrangebyscore_limit(key, "-inf", upto, 0, most).await?;
        names.sort_unstable();
        let mut all = Vec::with_capacity(names.len());
        for name in names {
            all.extend(self.schedule(&name).await?);
        }
        Ok(all)
    }

    /// Takes a due time, or decides on times that are not fired.
    pub async fn step_schedule(
        &self,
        seen: &ScheduleState,
        step: &Step<'_>,
        firing: &Firing,
        now: Option<u64>,
    ) -> Result<Taken, QueueError> {
        let request = serde_json::json!({
            "name": seen.name, "revision": seen.revision, "cursor": seen.cursor, "due": step.due, "upto": step.upto,
            "next": step.next, "look": step.look, "waited": step.waited, "token": firing.token,
            "lease": micros(firing.lease), "runs": step.runs, "by_hand": step.by_hand, "now": now,
        });
        let answer: String =
            script::SCHEDULE_FIRE.run(&self.connection, self.keys.prefix(), &lean(request)).await?;
        Ok(match answer.as_str() {
            "ok" => Taken::Ours,
            "gone" => Taken::Gone,
            "paused" => Taken::Paused,
            "busy" => Taken::Busy,
            _ => Taken::Changed,
        })
    }

    /// Keeps the right to fire, or takes it over from a server that is silent.
    pub async fn hold_schedule(
        &self,
        name: &str,
        firing: &Firing,
        take: bool,
        now: Option<u64>,
    ) -> Result<Held, QueueError> {
        let request = serde_json::json!({
            "name": name, "token": firing.token, "lease": micros(firing.lease), "take": take, "now": now,
        });
        let answer: Vec<String> =
            script::SCHEDULE_HOLD.run(&self.connection, self.keys.prefix(), &lean(request)).await?;
        let number = |at: usize| answer.get(at).and_then(|text| text.parse().ok()).unwrap_or(0);
        Ok(match answer.first().map(String::as_str) {
            Some("ok") => Held::Ours { due: number(1), tries: number(2) },
            Some("paused") => Held::Paused,
            _ => Held::Lost,
        })
    }

    /// Says what became of a time that was taken, and the batch that was submitted; false where another has it by now.
    pub async fn end_schedule(
        &self,
        name: &str,
        token: &str,
        run: &str,
        batch: Option<&str>,
        now: Option<u64>,
    ) -> Result<bool, QueueError> {
        let request =
            serde_json::json!({ "name": name, "token": token, "run": run, "batch": batch, "now": now });
        self.let_go(request).await
    }

    /// Gives a time back that was taken; another may try at once, or after a while when it was tried in vain, and why.
    pub async fn return_schedule(
        &self,
        name: &str,
        token: &str,
        in_vain: Option<(Duration, &str)>,
        now: Option<u64>,
    ) -> Result<bool, QueueError> {
        let (again, trouble) = in_vain.unzip();
        // A reason that is empty would not count.
        let trouble = trouble.map(|why| if why.is_empty() { "for no reason" } else { why });
        let trouble = trouble.map(|why| why.chars().take(LONGEST).collect::<String>());
        let again = micros(again.unwrap_or_default());
        let request = serde_json::json!({
            "name": name, "token": token, "again": again, "trouble": trouble, "now": now,
        });
        self.let_go(request).await
    }

    async fn let_go(&self, request: serde_json::Value) -> Result<bool, QueueError> {
        let answer: String =
            script::SCHEDULE_END.run(&self.connection, self.keys.prefix(), &lean(request)).await?;
        Ok(answer == "ok")
    }

    /// Pauses, resumes or removes a schedule; false where it is unknown.
    pub async fn steer_schedule(
        &self,
        name: &str,
        steer: Steer<'_>,
        now: Option<u64>,
    ) -> Result<bool, QueueError> {
        let request = match steer {
            Steer::Pause(reason) => serde_json::json!({ "action": "pause", "reason": reason }),
            Steer::Resume(next) => serde_json::json!({ "action": "resume", "next": next }),
            Steer::Remove => serde_json::json!({ "action": "remove" }),
        };
        let mut request = request;
        request["name"] = name.into();
        request["now"] = now.into();
        let answer: String =
            script::SCHEDULE_STEER.run(&self.connection, self.keys.prefix(), &lean(request)).await?;
        Ok(answer == "ok")
    }

    /// What became of a schedule's times, as JSON, the newest first.
    pub async fn schedule_runs(&self, name: &str, most: usize) -> Result<Vec<String>, QueueError> {
        let entries: Vec<(String, HashMap<String, String>)> =
            self.connection.clone().xrevrange_count(self.keys.schedule_runs(name), "+", "-", most).await?;
        Ok(entries.into_iter().filter_map(|(_, mut fields)| fields.remove("run")).collect())
    }
}

/// Without what is null: a script would take that for something.
fn lean(mut request: serde_json::Value) -> serde_json::Value {
    if let Some(fields) = request.as_object_mut() {
        fields.retain(|_, value| !value.is_null());
    }
    request
}

fn state(name: &str, fields: &HashMap<String, String>) -> Option<ScheduleState> {
    let text = |field: &str| fields.get(field).cloned();
    let of = |field: &str| number(fields, field).unwrap_or(0);
    let trouble = || {
        // An older version counts tries, and leaves words of an earlier time where they are.
        let known = of("since") >= of("firing");
        let why = text("trouble").filter(|_| known).unwrap_or_default();
        Trouble { tries: of("tries"), since: if known { of("since") } else { of("firing") }, why }
    };
    Some(ScheduleState {
        name: name.to_owned(),
        definition: text("definition")?,
        revision: text("revision").unwrap_or_default(),
        by: text("by").unwrap_or_default(),
        added: of("added"),
        cursor: of("cursor"),
        next: of("next"),
        paused: text("paused"),
        firing: number(fields, "firing"),
        held: fields.get("token").is_some_and(|token| !token.is_empty()),
        lease: of("lease"),
        trouble: Some(trouble()).filter(|trouble| trouble.tries > 0),
        waited: of("waited"),
        last: text("last"),
        batch: text("batch"),
    })
}
