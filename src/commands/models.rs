//! `pictor models`: which models there are, and until when.

use serde_json::json;

use super::Context;
use crate::{accounts, exit::Exit, parts, table::table};

pub(crate) fn run(context: &Context) -> anyhow::Result<Exit> {
    let settings = &context.settings;
    let today = parts::today();
    let hosts = accounts::hosts(settings, &today);
    let default = settings.catalogue.default_model();
    let mut values = Vec::new();
    let mut rows = Vec::new();
    for model in settings.catalogue.models() {
        let host = hosts.of(&model.family).unwrap_or_default();
        let status = model.status(host, &today);
        values.push(json!({
            "model": model.id, "family": model.family, "host": host, "status": status, "priced": model.is_priced(),
            "default": model.id == default, "sizes": model.sizes(), "qualities": model.qualities(),
            "formats": model.formats(), "prompt_limit": model.prompt_limit(), "released": model.released(),
        }));
        let mark = if model.id == default { " (default)" } else { "" };
        rows.push(vec![
            format!("{}{mark}", model.id),
            model.family.clone(),
            host.to_owned(),
            status,
            model.qualities().join(" "),
        ]);
    }
    context
        .output
        .result(&values, || table(&["model", "family", "host", "status", "qualities"], &[], &rows))?;
    Ok(Exit::Done)
}
