//! Writes failures to a CSV that can be mended and submitted as it is.

use std::{
    collections::{BTreeMap, HashSet},
    fs::{self, File},
    io::{self, Write as _},
    path::Path,
};

use pictor_common::{
    AssetKey, Spec,
    queue::{AssetState, FailurePlace, Queue},
    spec::MANIFEST_FIELDS,
};
use pictor_producer::defused;
use serde_json::{Value, json};

use super::which::Filter;
use crate::{
    commands::Context,
    exit::{Exit, refused},
    table::plain,
};

/// The column that a submission passes over.
const ERROR: &str = "error";

/// A failure as a row.
struct Row {
    id: String,
    fields: BTreeMap<String, String>,
    error: String,
}

pub(super) async fn run(
    out: &Path,
    filter: &Filter,
    context: &Context,
    queue: &Queue,
) -> anyhow::Result<Exit> {
    let mut failed: Vec<(FailurePlace, AssetState)> = Vec::new();
    filter
        .each(queue, &context.output, |one| {
            failed.push(one);
            Ok(true)
        })
        .await?;
    let (mut rows, mut left, mut taken) = (Vec::new(), 0_u64, HashSet::new());
    for page in failed.chunks(PAGE) {
        let ids = ids(page, queue).await?;
        for ((place, state), id) in page.iter().zip(ids) {
            match state.spec.as_ref().filter(|spec| spec.inputs.is_empty() && spec.mask.is_none()) {
                Some(spec) => {
                    let mut id = id.unwrap_or_else(|| place.key.short().to_owned());
                    // Several images of one line have rows of their own here.
                    if !taken.insert(id.clone()) {
                        id = format!("{id}-{}", place.key.short());
                    }
                    rows.push(row(id, spec, state)?);
                }
                None => left += 1,
            }
        }
    }
    // As they stood in their file, as far as that is known.
    rows.reverse();
    write(out, &rows)?;
    let to = out.display().to_string();
    if to == "-" {
        return Ok(Exit::Done);
    }
    context.output.result(&json!({ "file": to, "rows": rows.len(), "left_out": left }), || {
        let mut text = format!(
            "{} in {to}: mend them, then pictor submit {to} (or run); rows that stay as they are fail as before\n",
            rows.len()
        );
        if left > 0 {
            text += &format!("{left} left out: they have input images, which a CSV does not hold\n");
        }
        text
    })?;
    Ok(Exit::Done)
}

const PAGE: usize = 500;

/// The id of the first line that asks for each.
pub(super) async fn ids(
    page: &[(FailurePlace, AssetState)],
    queue: &Queue,
) -> anyhow::Result<Vec<Option<String>>> {
    let keys: Vec<AssetKey> = page.iter().map(|(place, _)| place.key.clone()).collect();
    let mut ids = Vec::with_capacity(keys.len());
    for (key, batches) in keys.iter().zip(queue.asking(&keys).await?) {
        let asked = queue.asked(key, &batches[..batches.len().min(1)]).await?;
        ids.push(asked.into_iter().find_map(|asked| asked.line).map(|line| line.id));
    }
    Ok(ids)
}

fn row(id: String, spec: &Spec, state: &AssetState) -> anyhow::Result<Row> {
    let failure = state.failure.clone().unwrap_or_default();
    let Value::Object(all) = serde_json::to_value(spec)? else { return Err(refused("a spec is no table")) };
    let mut fields = BTreeMap::new();
    for name in MANIFEST_FIELDS {
        let text = match all.get(*name) {
            None | Some(Value::Null) => continue,
            Some(Value::String(text)) if *name == "operation" && text == "generate" => continue,
            Some(Value::Number(take)) if *name == "take" && take.as_u64() == Some(0) => continue,
            Some(Value::String(text)) => text.clone(),
            Some(other) => other.to_string(),
        };
        fields.insert((*name).to_owned(), text);
    }
    Ok(Row { id, fields, error: format!("{}: {}", failure.class, plain(&failure.message)) })
}

fn write(out: &Path, rows: &[Row]) -> anyhow::Result<()> {
    let titles: Vec<&str> = MANIFEST_FIELDS
        .iter()
        .copied()
        .filter(|name| rows.iter().any(|row| row.fields.contains_key(*name)))
        .collect();
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record(std::iter::once("id").chain(titles.iter().copied()).chain([ERROR]))?;
    for row in rows {
        let cell = |name: &&str| defused(row.fields.get(*name).map_or("", String::as_str)).into_owned();
        let cells = titles.iter().map(cell);
        let id = defused(&row.id).into_owned();
        writer.write_record(std::iter::once(id).chain(cells).chain([defused(&row.error).into_owned()]))?;
    }
    let bytes = writer.into_inner()?;
    if out == Path::new("-") {
        crate::output::heard(io::stdout().lock().write_all(&bytes))?;
        return Ok(());
    }
    // Somebody may have mended the file of an hour ago.
    let mut file = File::create_new(out).map_err(|error| match error.kind() {
        io::ErrorKind::AlreadyExists => {
            refused(format!("{} is there already, perhaps mended: name another file", out.display()))
        }
        _ => refused(format!("cannot write {}: {error}", out.display())),
    })?;
    if let Err(error) = file.write_all(&bytes).and_then(|()| file.sync_all()) {
        let _half = fs::remove_file(out);
        return Err(error.into());
    }
    Ok(())
}
