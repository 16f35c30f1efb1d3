//! Every setting as it holds, and where it comes from; no secret is among it.

mod account;
mod rows;
mod webhook;

use std::path::{Path, PathBuf};

use pictor_common::{MicroUsd, retention::Retention};
use pictor_store::{Checksums, S3Settings, Sse};
use secrecy::ExposeSecret as _;
use serde::Serialize;

use super::{
    AssetSettings, BudgetSettings, LedgerSettings, RedisSettings, ScheduleSettings, Settings, StoreSettings,
    TenantBudget, WorkerSettings, layers::Layers, mask, origin::Origin, retention::written,
};
use crate::parts::DEFAULT_STORE;
pub(crate) use rows::Row;
use rows::{Rows, text};

/// What holds for this process.
#[derive(Debug, Serialize)]
pub(crate) struct Shown {
    /// The profile, if one is selected.
    pub(crate) profile: Option<String>,
    /// Who selected it.
    pub(crate) selected_by: Option<Origin>,
    /// The settings file, if there is one.
    pub(crate) file: Option<PathBuf>,
    /// One for each setting.
    pub(crate) settings: Vec<Row>,
}

/// Tells all of it.
///
/// Each struct is taken apart without `..`: a new setting cannot be forgotten here.
pub(super) fn show(
    settings: &Settings,
    layers: &Layers,
    file: Option<&Path>,
    profile: Option<(String, Origin)>,
    today: &str,
) -> Shown {
    let mut rows = Rows::of(layers);
    let Settings {
        profile: _,
        redis,
        store,
        accounts,
        worker,
        budget,
        ledger: LedgerSettings { keep_days },
        assets: AssetSettings { max_takes },
        retention,
        schedule: ScheduleSettings { read_from },
        webhooks,
        catalogue: _,
        derive,
        data_dir,
        log,
        log_format,
    } = settings;
    rows.add("", &["data_dir"], data_dir.display().to_string());
    let words: Vec<String> = derive.iter().map(ToString::to_string).collect();
    rows.add("", &["derive"], words.join(" | "));
    rows.add("", &["log"], log.clone());
    rows.add("", &["log_format"], log_format.as_str());
    show_redis(&mut rows, redis);
    show_store(&mut rows, store);
    for (name, account) in accounts {
        account::show(&mut rows, settings, name, account, today);
    }
    let WorkerSettings {
        concurrency,
        spool,
        spool_keep_free_mib,
        max_attempts,
        on_unknown,
        max_unknown,
        listen,
        drain_seconds,
        derive_threads: _,
    } = worker;
    rows.add("worker", &["concurrency"], *concurrency);
    match spool {
        Some(spool) => rows.add("worker", &["spool"], spool.display().to_string()),
        None => {
            let origin = rows.origin("", &["data_dir"]);
            rows.add_from("worker", "spool", data_dir.join("spool").display().to_string().into(), origin);
        }
    }
    rows.add("worker", &["spool_keep_free_mib"], *spool_keep_free_mib);
    rows.add("worker", &["max_attempts"], *max_attempts);
    rows.add("worker", &["on_unknown"], on_unknown.as_str());
    rows.add("worker", &["max_unknown"], *max_unknown);
    rows.add("worker", &["listen"], text(listen.map(|address| address.to_string())));
    rows.add("worker", &["drain_seconds"], *drain_seconds);
    rows.add("worker", &["derive_threads"], worker.derive_threads());
    show_budget(&mut rows, budget);
    rows.add("ledger", &["keep_days"], *keep_days);
    rows.add("assets", &["max_takes"], *max_takes);
    show_retention(&mut rows, retention);
    rows.add("schedule", &["read_from"], read_from.clone());
    for (name, webhook) in webhooks {
        webhook::show(&mut rows, name, webhook);
    }
    rows.add("catalogue", &["file"], layers.text(&["catalogue", "file"]));
    let (profile, selected_by) = profile.unzip();
    Shown { profile, selected_by, file: file.map(Path::to_owned), settings: rows.done() }
}

fn show_retention(rows: &mut Rows<'_>, retention: &Retention) {
    let Retention { batches, max_batches, failures, events, assets, max_assets } = retention;
    let ages = [("batches", batches), ("failures", failures), ("events", events), ("assets", assets)];
    for (name, age) in ages {
        rows.add("retention", &[name], text(age.map(written)));
    }
    rows.add("retention", &["max_batches"], *max_batches);
    rows.add("retention", &["max_assets"], *max_assets);
}

fn show_budget(rows: &mut Rows<'_>, budget: &BudgetSettings) {
    let BudgetSettings { total, per_day, time_zone, tenants, alert_command, alert_url } = budget;
    let dollars = |amount: &Option<MicroUsd>| text(amount.map(|amount| amount.to_string()));
    rows.add("budget", &["total"], dollars(total));
    rows.add("budget", &["per_day"], dollars(per_day));
    rows.add("budget", &["time_zone"], time_zone.iana_name().unwrap_or_default());
    for (name, TenantBudget { total, per_day }) in tenants {
        rows.add("budget", &["tenants", name, "total"], dollars(total));
        rows.add("budget", &["tenants", name, "per_day"], dollars(per_day));
    }
    // An argument may be a secret.
    let command = alert_command.split_first().map(|(program, arguments)| match arguments.len() {
        0 => program.clone(),
        1 => format!("{program} and an argument"),
        more => format!("{program} and {more} arguments"),
    });
    rows.add("budget", &["alert_command"], text(command));
    rows.add("budget", &["alert_url"], rows::secret(alert_url.as_ref()));
}

fn show_redis(rows: &mut Rows<'_>, redis: &RedisSettings) {
    let RedisSettings { url, namespace, ca_file, cert_file, key_file, sentinel_user, sentinel_password } =
        redis;
    let path = |file: &Option<PathBuf>| file.as_ref().map(|file| file.display().to_string());
    rows.add("redis", &["url"], url.as_ref().map(|url| mask::address(url.expose_secret())));
    rows.add("redis", &["namespace"], namespace.clone());
    rows.add("redis", &["ca_file"], path(ca_file));
    rows.add("redis", &["cert_file"], path(cert_file));
    rows.add("redis", &["key_file"], path(key_file));
    rows.add("redis", &["sentinel_user"], sentinel_user.clone());
    rows.add("redis", &["sentinel_password"], rows::secret(sentinel_password.as_ref()));
}

fn show_store(rows: &mut Rows<'_>, store: &StoreSettings) {
    let StoreSettings { url, s3, public_base_url } = store;
    let S3Settings {
        endpoint,
        region,
        path_style,
        checksums,
        cache_control,
        sse,
        sse_kms_key_id,
        access_key_id,
        secret_access_key,
        session_token,
        connect_timeout_seconds,
        attempt_timeout_seconds,
        operation_timeout_seconds,
        max_attempts,
    } = s3;
    let mut add = |name: &str, value: serde_json::Value| rows.add("store", &[name], value);
    add("url", mask::address(url.as_deref().unwrap_or(DEFAULT_STORE)).into());
    add("public_base_url", text(public_base_url.as_ref().map(|base| base.url(""))));
    add("endpoint", text(endpoint.as_deref().map(mask::address)));
    add("region", text(region.clone()));
    add("path_style", (*path_style).into());
    let checksums = match checksums {
        Checksums::WhenSupported => "when_supported",
        Checksums::WhenRequired => "when_required",
    };
    add("checksums", checksums.into());
    add("cache_control", text(cache_control.clone()));
    let sse = sse.map(|sse| match sse {
        Sse::Aes256 => "AES256",
        Sse::AwsKms => "aws:kms",
    });
    add("sse", sse.into());
    add("sse_kms_key_id", text(sse_kms_key_id.clone()));
    add("access_key_id", text(access_key_id.clone()));
    add("secret_access_key", rows::secret(secret_access_key.as_ref()));
    add("session_token", rows::secret(session_token.as_ref()));
    add("connect_timeout_seconds", (*connect_timeout_seconds).into());
    add("attempt_timeout_seconds", (*attempt_timeout_seconds).into());
    add("operation_timeout_seconds", (*operation_timeout_seconds).into());
    add("max_attempts", (*max_attempts).into());
}
