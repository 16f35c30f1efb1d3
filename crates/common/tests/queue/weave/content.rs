//! What a namespace holds, freed of clocks: two contents are equal where every script would act alike.

use std::{
    collections::{BTreeMap, BTreeSet},
    rc::Rc,
};

use serde::{Deserialize, Serialize};

/// A time that has come.
pub(super) const PAST: &str = "@past";
/// A time that is far ahead.
pub(super) const AHEAD: &str = "@ahead";
/// The time at which a call begins.
const NOW: &str = "@now";

/// One key's value.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(super) enum Value {
    Text(String),
    Hash(BTreeMap<String, String>),
    Scores(BTreeMap<String, String>),
    Members(BTreeSet<String>),
    List(Vec<String>),
}

/// All keys, by their names without the prefix. The lines of batches, which never change, stay on the server.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Content(BTreeMap<Rc<str>, Rc<Value>>);

impl Content {
    pub(super) fn new(keys: BTreeMap<String, Value>) -> Self {
        Self(keys.into_iter().map(|(name, value)| (name.into(), Rc::new(value))).collect())
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    fn map(&self, name: &str) -> Option<&BTreeMap<String, String>> {
        match self.0.get(name).map(Rc::as_ref) {
            Some(Value::Hash(map) | Value::Scores(map)) => Some(map),
            _ => None,
        }
    }

    /// A field of a hash, or a member's score.
    pub(super) fn at(&self, name: &str, field: &str) -> Option<&str> {
        self.map(name)?.get(field).map(String::as_str)
    }

    /// A field that counts; 0 where it is absent.
    pub(super) fn count(&self, name: &str, field: &str) -> u64 {
        self.at(name, field).and_then(|text| text.parse().ok()).unwrap_or(0)
    }

    /// Fields of a hash, or members and their scores.
    pub(super) fn entries(&self, name: &str) -> impl Iterator<Item = (&str, &str)> {
        self.map(name).into_iter().flatten().map(|(field, value)| (field.as_str(), value.as_str()))
    }

    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(AsRef::as_ref)
    }

    /// Sets a field or a score that is there.
    pub(super) fn set(&mut self, name: &str, field: &str, text: &str) {
        let Some(value) = self.0.get_mut(name) else { return };
        if let Value::Hash(map) | Value::Scores(map) = Rc::make_mut(value)
            && let Some(old) = map.get_mut(field)
        {
            text.clone_into(old);
        }
    }

    pub(super) fn retain(&mut self, keep: impl Fn(&str) -> bool) {
        self.0.retain(|name, _| keep(name));
    }

    /// Has equal values share their memory with those of contents seen before.
    pub(super) fn share(&mut self, seen: &mut std::collections::HashSet<Rc<Value>>) {
        for value in self.0.values_mut() {
            match seen.get(value.as_ref()) {
                Some(same) => *value = Rc::clone(same),
                None => {
                    seen.insert(Rc::clone(value));
                }
            }
        }
    }

    pub(super) fn to_json(&self) -> String {
        let keys: BTreeMap<&str, &Value> =
            self.0.iter().map(|(name, value)| (name.as_ref(), value.as_ref())).collect();
        serde_json::to_string(&keys).unwrap()
    }
}

/// Clears a namespace but for the lines of its batches, and fills it again.
/// KEYS[1] the prefix, ARGV[1] the content.
pub(super) const RESTORE: &str = r"
local P, call = KEYS[1], redis.call
local time = call('TIME')
local now = time[1] * 1000000 + time[2]
local times = { ['@past'] = '1', ['@now'] = string.format('%.0f', now), ['@ahead'] = string.format('%.0f', now + 3600000000) }
for _, name in ipairs(call('KEYS', '*')) do
  if call('TYPE', name).ok ~= 'stream' or not string.find(name, ':lines:', 1, true) then call('DEL', name) end
end
for short, value in pairs(cjson.decode(ARGV[1])) do
  local name = P .. short
  local kind, data = next(value)
  if kind == 'Text' then
    call('SET', name, data)
  elseif kind == 'Hash' then
    for field, text in pairs(data) do call('HSET', name, field, times[text] or text) end
  elseif kind == 'Scores' then
    for member, score in pairs(data) do call('ZADD', name, times[score] or score, member) end
  elseif kind == 'Members' then
    call('SADD', name, unpack(data))
  else
    call('RPUSH', name, unpack(data))
  end
end
return 1";

/// Reads a namespace: its keys, and what its ledger and its events say.
/// KEYS[1] the prefix.
pub(super) const READ: &str = r"
local P, call = KEYS[1], redis.call
local time = call('TIME')
local out = { now = string.format('%.0f', time[1] * 1000000 + time[2]), keys = {} }
local function map(flat)
  local fields = {}
  for i = 1, #flat, 2 do fields[flat[i]] = flat[i + 1] end
  return fields
end
for _, name in ipairs(call('KEYS', '*')) do
  local short, kind = string.sub(name, #P + 1), call('TYPE', name).ok
  if kind == 'string' then
    out.keys[short] = { Text = call('GET', name) }
  elseif kind == 'hash' then
    out.keys[short] = { Hash = map(call('HGETALL', name)) }
  elseif kind == 'zset' then
    out.keys[short] = { Scores = map(call('ZRANGE', name, 0, -1, 'WITHSCORES')) }
  elseif kind == 'set' then
    out.keys[short] = { Members = call('SMEMBERS', name) }
  elseif kind == 'list' then
    out.keys[short] = { List = call('LRANGE', name, 0, -1) }
  elseif short == 'ledger' or short == 'events' then
    out[short] = {}
    for i, entry in ipairs(call('XRANGE', name, '-', '+')) do out[short][i] = map(entry[2]) end
  end
end
return cjson.encode(out)";

/// What [`READ`] returns.
#[derive(Deserialize)]
pub(super) struct Reading {
    now: String,
    keys: BTreeMap<String, Value>,
    #[serde(default)]
    pub(super) ledger: Vec<BTreeMap<String, String>>,
    #[serde(default)]
    pub(super) events: Vec<BTreeMap<String, String>>,
}

impl Reading {
    /// The content, with all that clocks have written told as past, now or ahead.
    pub(super) fn content(self) -> Content {
        let now: u64 = self.now.parse().unwrap();
        let mut keys = self.keys;
        keys.remove("times");
        for (name, value) in &mut keys {
            free_of_clocks(name, value, now);
        }
        Content::new(keys)
    }
}

fn free_of_clocks(name: &str, value: &mut Value, now: u64) {
    let kind = name.split(':').next().unwrap_or(name);
    match (kind, value) {
        ("leases" | "doubt" | "later" | "inflight", Value::Scores(scores)) => {
            scores.values_mut().for_each(|score| *score = tell(score, now));
        }
        // Only one tenant asks, so that its virtual time is compared with nobody's.
        ("route" | "batches" | "failures" | "listed" | "failed", Value::Scores(scores)) => {
            scores.values_mut().for_each(|score| "0".clone_into(score));
        }
        ("meta", Value::Hash(fields)) => {
            fields.remove("grace_until");
            replace(fields, "stamp", |_| NOW.to_owned());
        }
        ("a", Value::Hash(fields)) => {
            replace(fields, "deadline", |at| tell(at, now));
            let fresh = |at: &str| at.parse::<u64>().is_ok_and(|at| at + 1_000_000 > now);
            replace(fields, "slot", |at| if fresh(at) { NOW } else { PAST }.to_owned());
        }
        ("batch", Value::Hash(fields)) => {
            replace(fields, "created", |_| "0".to_owned());
            replace(fields, "completed", |_| "0".to_owned());
        }
        ("reservations", Value::Hash(fields)) => {
            fields.values_mut().for_each(|json| *json = ordered(json));
        }
        ("work", Value::List(items)) => items.iter_mut().for_each(|json| *json = ordered(json)),
        ("failure", Value::Text(json)) => *json = last(json),
        ("answer", Value::Text(json)) => *json = timeless(json),
        _ => {}
    }
}

fn tell(at: &str, now: u64) -> String {
    // What clocks write beyond 2^53 or as a fraction, nobody compares exactly.
    let at = at.parse::<f64>().unwrap_or(0.0);
    if at > now as f64 { AHEAD } else { PAST }.to_owned()
}

fn replace(fields: &mut BTreeMap<String, String>, name: &str, with: impl Fn(&str) -> String) {
    if let Some(text) = fields.get_mut(name) {
        *text = with(text);
    }
}

fn parsed(json: &str) -> BTreeMap<String, serde_json::Value> {
    serde_json::from_str(json).unwrap()
}

/// JSON with its fields in order: Lua has them in any.
fn ordered(json: &str) -> String {
    serde_json::to_string(&parsed(json)).unwrap()
}

/// The last attempt's failure: no script looks at those before it.
fn last(json: &str) -> String {
    let mut failure = parsed(json);
    failure.remove("before");
    serde_json::to_string(&failure).unwrap()
}

/// A kept answer to a claim, without the times in it.
fn timeless(json: &str) -> String {
    let mut answer = parsed(json);
    for (name, value) in [("now", "0"), ("wake", "0-0"), ("sleep", "0")] {
        answer.insert(name.to_owned(), value.into());
    }
    for grant in answer.get_mut("grants").and_then(serde_json::Value::as_array_mut).into_iter().flatten() {
        grant["slot"] = "0".into();
    }
    serde_json::to_string(&answer).unwrap()
}
