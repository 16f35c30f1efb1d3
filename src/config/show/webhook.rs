//! An endpoint of webhooks as it is set; its address is shown as far as its host.

use pictor_common::webhook::Wanted;
use pictor_worker::{Webhook, WebhookSecret};

use super::rows::{Rows, text};
use crate::config::WebhookSettings;

pub(super) fn show(rows: &mut Rows<'_>, name: &str, settings: &WebhookSettings) {
    let WebhookSettings { webhook, variable, lacks: _ } = settings;
    let Webhook { name: _, url: _, secret, wanted } = webhook;
    let Wanted { events, tenants, named_only, host } = wanted;
    let section = format!("webhooks.{name}");
    rows.add(&section, &["url"], format!("{host}/…"));
    match secret {
        WebhookSecret::Given(_) => rows.add(&section, &["secret_env"], text(variable.clone())),
        WebhookSecret::File(file) => rows.add(&section, &["secret_file"], file.display().to_string()),
    }
    let events: Vec<String> = events.iter().map(ToString::to_string).collect();
    rows.add(&section, &["events"], events);
    rows.add(&section, &["tenants"], tenants.clone());
    rows.add(&section, &["named_only"], *named_only);
}
