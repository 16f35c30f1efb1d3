//! How catalogue files are laid over one another, and how `like` copies a model.

use toml::{Table, Value};

use super::CatalogueError;

/// Naming the first drops what the layer below says of the others.
const RIVALS: &[(&str, &[&str])] = &[
    ("per_image", &["per_token", "per_token_batch", "output_tokens", "output_grid", "ceiling_grid"]),
    ("per_token", &["per_image", "per_image_batch"]),
    ("output_tokens", &["output_grid", "ceiling_grid"]),
    ("output_grid", &["output_tokens"]),
];

/// The first day of prices that have none of their own, and which those are.
const FIRST_DAYS: &[(&str, [&str; 2])] = &[
    ("priced_from", ["per_image", "per_token"]),
    ("batch_priced_from", ["per_image_batch", "per_token_batch"]),
];

/// Lays one catalogue file over another.
pub(super) fn lay_file(mut base: Table, mut over: Table) -> Table {
    let models = over.remove("models");
    for (name, value) in over {
        base.insert(name, value);
    }
    match (base.get_mut("models").and_then(Value::as_table_mut), models) {
        (Some(below), Some(Value::Table(above))) => {
            for (id, model) in above {
                lay_named(below, id, model);
            }
        }
        (_, Some(models)) => {
            base.insert("models".to_owned(), models);
        }
        (_, None) => {}
    }
    base
}

fn lay_named(models: &mut Table, id: String, over: Value) {
    match (models.remove(&id), over) {
        (Some(Value::Table(below)), Value::Table(above)) => {
            models.insert(id, Value::Table(lay_model(below, above)));
        }
        (_, over) => {
            models.insert(id, over);
        }
    }
}

/// One model with everything it is `like` laid below it.
pub(super) fn resolve(models: &Table, id: &str) -> Result<Table, CatalogueError> {
    let mut model = resolve_from(models, id, &mut Vec::new())?;
    drop_cleared(&mut model);
    Ok(model)
}

fn resolve_from(models: &Table, id: &str, seen: &mut Vec<String>) -> Result<Table, CatalogueError> {
    if seen.iter().any(|earlier| earlier == id) {
        return Err(CatalogueError(format!("model {id}: `like` leads back to itself")));
    }
    seen.push(id.to_owned());
    let Some(Value::Table(own)) = models.get(id) else {
        let asked_by = seen.first().map_or("", String::as_str);
        return Err(CatalogueError(format!("model {asked_by}: {id:?} is not a model of the catalogue")));
    };
    let mut own = own.clone();
    match own.remove("like") {
        None => Ok(own),
        Some(Value::String(parent)) => Ok(lay_model(resolve_from(models, &parent, seen)?, own)),
        Some(_) => Err(CatalogueError(format!("model {id}: `like` must be the id of a model, as text"))),
    }
}

fn lay_model(mut base: Table, over: Table) -> Table {
    keep_days(&mut base, &over);
    for (name, rivals) in RIVALS {
        if says(&over, name) {
            for rival in *rivals {
                base.remove(*rival);
            }
        }
    }
    lay(&mut base, over);
    base
}

/// Whether something is said of this; an empty table only clears it.
fn says(over: &Table, name: &str) -> bool {
    over.get(name).is_some_and(|value| !value.as_table().is_some_and(Table::is_empty))
}

/// Prices that are named without a day hold on every day; the day of the others stays with them.
fn keep_days(base: &mut Table, over: &Table) {
    for (first_day, prices) in FIRST_DAYS {
        if over.contains_key(*first_day) || !prices.iter().any(|name| says(over, name)) {
            continue;
        }
        let Some(day) = base.remove(*first_day) else { continue };
        for name in prices {
            if let Some(below) = base.get_mut(*name) {
                date(below, &day);
            }
        }
    }
}

fn date(prices: &mut Value, day: &Value) {
    match prices {
        Value::Table(by_name) => by_name.iter_mut().for_each(|(_, below)| date(below, day)),
        Value::Array(steps) => {
            if let Some(Value::Table(first)) = steps.first_mut() {
                first.entry("from").or_insert_with(|| day.clone());
            }
        }
        usd => {
            let step = [("from".to_owned(), day.clone()), ("usd".to_owned(), usd.clone())];
            *usd = Value::Array(vec![Value::Table(step.into_iter().collect())]);
        }
    }
}

/// Tables merge, everything else replaces; so does an empty table, which stays until the model is whole: it clears what
/// comes by `like` as well.
fn lay(base: &mut Table, over: Table) {
    for (name, value) in over {
        match (base.get_mut(&name), value) {
            (Some(Value::Table(below)), Value::Table(above)) if !above.is_empty() => lay(below, above),
            (_, value) => {
                base.insert(name, value);
            }
        }
    }
}

/// An empty table says that there is nothing.
fn drop_cleared(table: &mut Table) {
    table.retain(|_, value| !value.as_table().is_some_and(Table::is_empty));
    table.iter_mut().filter_map(|(_, value)| value.as_table_mut()).for_each(drop_cleared);
}
