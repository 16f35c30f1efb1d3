//! The settings of one account.

use pictor_common::queue::{LaneLimits, LimitKind};
use pictor_worker::provider::openai_images::{Account, Auth, Paths, ResponseFormat};
use serde_json::Value;

use super::rows::{Rows, secret, text};
use crate::{
    accounts,
    config::{AccountSettings, Key, Settings, mask, origin::Origin},
};

pub(super) fn show(
    rows: &mut Rows<'_>,
    settings: &Settings,
    name: &str,
    account: &AccountSettings,
    today: &str,
) {
    let section = format!("accounts.{name}");
    let AccountSettings { account: api, key, families, limits: _ } = account;
    rows.add(&section, &["dialect"], "openai_images");
    show_key(rows, &section, account, key);
    let mut add = |name: &str, value: Value| rows.add(&section, &[name], value);
    show_api(&mut add, api);
    let families = families.as_ref().map(|families| families.iter().cloned().collect::<Vec<_>>());
    add("families", families.into());
    for secrets in [("headers", &api.headers), ("query", &api.query)] {
        for (name, value) in secrets.1 {
            rows.add(&section, &[secrets.0, name], secret(Some(value)));
        }
    }
    for (model, called) in &api.models {
        rows.add(&section, &["models", model], called.clone());
    }
    for (family, limits, own) in accounts::limits(settings, account, today) {
        show_limits(rows, &section, family, &limits, own);
    }
}

fn show_key(rows: &mut Rows<'_>, section: &str, account: &AccountSettings, key: &Key) {
    let api = &account.account;
    let (source, variable) = match key {
        Key::Variable(name) => ("api_key_env", Some(name.clone())),
        Key::File(_) => ("api_key_file", None),
        Key::Command(_) => ("key_command", None),
        Key::Settings => ("api_key", None),
    };
    let lacks = account.lacks_key();
    let is_set = |place: String| match &lacks {
        None => format!("set ({place})"),
        Some(missing) => format!("missing: {missing}"),
    };
    let shown = match key {
        _ if api.auth == Auth::None => "none is wanted".to_owned(),
        Key::Variable(name) => is_set(format!("environment {name}")),
        Key::File(file) => is_set(format!("file {}", file.display())),
        Key::Command(_) => "command, not run".to_owned(),
        Key::Settings => is_set("the settings".to_owned()),
    };
    let origin = rows.origin(section, &[source]);
    rows.add_from(section, "api_key", shown.into(), origin);
    let mut add = |name: &str, value: Value| rows.add(section, &[name], value);
    add("api_key_env", text(variable));
    add("api_key_file", text(api.api_key_file.as_ref().map(|file| file.display().to_string())));
    // Its arguments may be secrets.
    let command = api.key_command.as_ref().map(|command| match command.0.len() {
        0 | 1 => command.program().to_owned(),
        many => format!("{} and {} arguments", command.program(), many - 1),
    });
    add("key_command", text(command));
    add("key_refresh_seconds", api.key_refresh_seconds.into());
}

fn show_api(add: &mut impl FnMut(&str, Value), api: &Account) {
    let Account {
        name: _,
        base_url,
        paths: Paths { generate, edit, variation },
        auth,
        api_key: _,
        api_key_file: _,
        key_command: _,
        key_refresh_seconds: _,
        without_variables: _,
        organization,
        project,
        headers: _,
        query: _,
        models: _,
        omit_model,
        response_format,
        result_hosts,
        allow_http,
        max_image_bytes,
    } = api;
    add("base_url", mask::address(base_url).into());
    let auth = match auth {
        Auth::Bearer => "bearer".to_owned(),
        Auth::Header(name) => format!("header {name}"),
        Auth::None => "none".to_owned(),
    };
    add("auth", auth.into());
    add("organization", text(organization.clone()));
    add("project", text(project.clone()));
    for (operation, path) in [("generate", generate), ("edit", edit), ("variation", variation)] {
        add(&format!("paths.{operation}"), text(path.clone()));
    }
    add("omit_model", (*omit_model).into());
    let format = match response_format {
        ResponseFormat::B64Json => "b64_json",
        ResponseFormat::Url => "url",
        ResponseFormat::Unsaid => "unsaid",
    };
    add("response_format", format.into());
    add("result_hosts", result_hosts.clone().into());
    add("allow_http", (*allow_http).into());
    add("max_image_bytes", (*max_image_bytes).into());
}

fn show_limits(rows: &mut Rows<'_>, section: &str, family: &str, limits: &LaneLimits, own: bool) {
    let LaneLimits {
        requests,
        images,
        tokens,
        in_flight,
        requests_per_day,
        images_per_day,
        window_seconds,
        kind,
    } = limits;
    let all: [(&str, Value); 8] = [
        ("requests", (*requests).into()),
        ("images", (*images).into()),
        ("tokens", (*tokens).into()),
        ("in_flight", (*in_flight).into()),
        ("requests_per_day", (*requests_per_day).into()),
        ("images_per_day", (*images_per_day).into()),
        ("window_seconds", (*window_seconds).into()),
        ("kind", kind.map(LimitKind::as_str).into()),
    ];
    for (name, limit) in all {
        if own {
            rows.add(section, &["limits", family, name], limit);
        } else {
            let origin = if limit.is_null() { Origin::Default } else { Origin::Catalogue };
            rows.add_from(section, &format!("limits.{family}.{name}"), limit, origin);
        }
    }
}
