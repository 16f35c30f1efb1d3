//! Lays settings over each other, and remembers where each value comes from.

use std::collections::BTreeMap;

use config::{Map, Value, ValueKind};

use super::origin::Origin;

/// Ways to say where an account's key comes from; a later layer's replaces an earlier one's.
pub(super) const KEY_SOURCES: [&str; 4] = ["api_key_env", "api_key_file", "key_command", "api_key"];

pub(super) type Table = Map<String, Value>;

/// All that was set, and by whom.
#[derive(Clone, Debug, Default)]
pub(crate) struct Layers {
    pub(super) values: Table,
    origins: BTreeMap<Vec<String>, Origin>,
}

impl Layers {
    /// Lays a table over what is there; `origin` tells whence the value at a path is.
    pub(super) fn lay(&mut self, table: Table, origin: impl Fn(&[String]) -> Origin) {
        self.drop_replaced_keys(&table);
        let mut path = Vec::new();
        lay(&mut self.values, &mut self.origins, &mut path, table, &origin);
    }

    /// Where a value comes from; what nobody has set is a default.
    pub(super) fn origin(&self, path: &[&str]) -> Origin {
        // A value within a list or a table that is set as one has its origin.
        let path: Vec<String> = path.iter().map(|part| (*part).to_owned()).collect();
        let of = |end: usize| path.get(..end).and_then(|path| self.origins.get(path));
        (1..=path.len()).rev().find_map(of).cloned().unwrap_or_default()
    }

    pub(super) fn get(&self, path: &[&str]) -> Option<&Value> {
        let (last, above) = path.split_last()?;
        let mut table = &self.values;
        for part in above {
            let ValueKind::Table(below) = &table.get(*part)?.kind else { return None };
            table = below;
        }
        table.get(*last)
    }

    pub(super) fn text(&self, path: &[&str]) -> Option<String> {
        self.get(path).and_then(|value| value.clone().into_string().ok())
    }

    /// Sets one value.
    pub(super) fn set(&mut self, path: &[&str], value: String, origin: &Origin) {
        let mut table = Table::new();
        let path: Vec<String> = path.iter().map(|part| (*part).to_owned()).collect();
        put(&mut table, &path, value.into());
        self.lay(table, |_| origin.clone());
    }

    /// Drops all accounts but those named.
    pub(super) fn keep_accounts(&mut self, named: &Table) {
        if let Some(ValueKind::Table(accounts)) = self.values.get_mut("accounts").map(|value| &mut value.kind)
        {
            accounts.retain(|name, _| named.contains_key(name));
        }
        self.origins.retain(|path, _| match path.as_slice() {
            [section, account, ..] if section == "accounts" => named.contains_key(account),
            _ => true,
        });
    }

    fn drop_replaced_keys(&mut self, table: &Table) {
        let Some(ValueKind::Table(accounts)) = table.get("accounts").map(|value| &value.kind) else { return };
        for (name, account) in accounts {
            let ValueKind::Table(account) = &account.kind else { continue };
            if !KEY_SOURCES.iter().any(|source| account.contains_key(*source)) {
                continue;
            }
            let Some(ValueKind::Table(ours)) = self.values.get_mut("accounts").map(|value| &mut value.kind)
            else {
                return;
            };
            if let Some(ValueKind::Table(ours)) = ours.get_mut(name).map(|value| &mut value.kind) {
                ours.retain(|field, _| !KEY_SOURCES.contains(&field.as_str()));
            }
            self.origins.retain(|path, _| match path.as_slice() {
                [section, account, field, ..] => {
                    section != "accounts" || account != name || !KEY_SOURCES.contains(&field.as_str())
                }
                _ => true,
            });
        }
    }
}

fn lay(
    values: &mut Table,
    origins: &mut BTreeMap<Vec<String>, Origin>,
    path: &mut Vec<String>,
    table: Table,
    origin: &impl Fn(&[String]) -> Origin,
) {
    for (name, value) in table {
        path.push(name.clone());
        if let ValueKind::Table(above) = value.kind {
            let below = values.entry(name).or_insert_with(empty);
            if !matches!(below.kind, ValueKind::Table(_)) {
                *below = empty();
                origins.remove(path);
            }
            if let ValueKind::Table(below) = &mut below.kind {
                lay(below, origins, path, above, origin);
            }
        } else {
            values.insert(name, value);
            origins.retain(|other, _| !other.starts_with(path));
            origins.insert(path.clone(), origin(path));
        }
        path.pop();
    }
}

/// A table with nothing in it.
pub(super) fn empty() -> Value {
    Value::new(None, Table::new())
}

/// Puts a value into nested tables.
pub(super) fn put(table: &mut Table, path: &[String], value: ValueKind) {
    match path {
        [] => {}
        [name] => {
            table.insert(name.clone(), Value::new(None, value));
        }
        [name, rest @ ..] => {
            let below = table.entry(name.clone()).or_insert_with(empty);
            if !matches!(below.kind, ValueKind::Table(_)) {
                *below = empty();
            }
            if let ValueKind::Table(below) = &mut below.kind {
                put(below, rest, value);
            }
        }
    }
}
