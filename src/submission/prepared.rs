//! Everything said of a submission, and what it makes of a manifest: rules, rows that are checked, a plan.

use std::{collections::BTreeMap, path::PathBuf};

use pictor_common::{
    MicroUsd,
    batch::{Band, OnUnknown, check_name},
    derivative::{self, Derivative},
    queue::{Counter, Queue},
    store::Store,
};
use pictor_producer::{
    manifest::{Hosts, IgnoreColumns, RowError, Rules, Setup, normalized},
    submit::{Checked, Manifest, Planned, Request, SubmitError},
    template::Template,
    vary::{self, Axis},
};

use super::{BatchArgs, RejectedArgs};
use crate::{
    config::Settings,
    exit::refused,
    output::Output,
    rejected::{self, Rejected},
    templates::{self, Chosen},
};

impl BatchArgs {
    /// Reads everything that does not depend on the manifest.
    pub(crate) fn prepare(
        &self,
        manifest: Manifest,
        band: Band,
        settings: &Settings,
        today: &str,
    ) -> anyhow::Result<Prepared> {
        let chosen = templates::chosen(self.template.as_deref(), self.template_file.as_deref())?;
        self.prepare_with(chosen, manifest, band, settings, today)
    }

    /// The same with a template that was found already: nothing is read here.
    pub(crate) fn prepare_with(
        &self,
        chosen: Option<Chosen>,
        manifest: Manifest,
        band: Band,
        settings: &Settings,
        today: &str,
    ) -> anyhow::Result<Prepared> {
        check_name(&self.tenant).map_err(|error| refused(format!("--tenant {error}")))?;
        let run_id = self.run_id.as_deref().map(str::parse).transpose();
        let run_id = run_id.map_err(|error| refused(format!("--run-id {error}")))?;
        let max_cost = self.max_cost.as_deref().map(str::parse).transpose();
        let max_cost = max_cost.map_err(|error| refused(format!("--max-cost {error}")))?;
        let cap = self.cap.as_deref().map(str::parse).transpose();
        let cap = cap.map_err(|error| refused(format!("--cap {error}")))?;
        let explicit = self.spec.defaults()?;
        let axes = axes(&self.vary, &explicit)?;
        let ignore = self.ignored();
        let mut options = manifest.format.options();
        if ignore != IgnoreColumns::None {
            let names = self.ignore_columns.as_deref().unwrap_or_default().join(",");
            options.insert("ignore_columns".to_owned(), names);
        }
        let (template, defaults, axes) = match chosen {
            Some(chosen) => chosen.with(explicit, axes),
            None => (None, explicit, axes),
        };
        if let Some(column) = &self.read.id_column {
            options.insert("id_column".to_owned(), normalized(column));
        }
        if let Some(model) = &self.fallback {
            options.insert("fallback".to_owned(), model.clone());
        }
        if !axes.is_empty() {
            options.insert("vary".to_owned(), vary::canonical(&axes));
        }
        Ok(Prepared {
            manifest,
            template,
            defaults,
            axes,
            skip_bad: self.skip_bad,
            rejected: None,
            id_column: self.read.id_column.clone(),
            fallback: self.fallback.clone(),
            hosts: crate::accounts::hosts(settings, today),
            today: today.to_owned(),
            options,
            ignore,
            tenant: self.tenant.clone(),
            band,
            run_id,
            retry_failed: self.retry_failed,
            max_cost,
            cap,
            on_unknown: self.on_unknown,
            deadline: None,
            derive: match derivatives(&self.derive)? {
                said if said.is_empty() => {
                    let can = settings.derive.iter().try_for_each(can_derive);
                    can.map_err(|why| refused(format!("settings: derive: {why}")))?;
                    settings.derive.clone()
                }
                said => said,
            },
            webhooks: self.webhook.clone(),
        })
    }
}

/// Everything said of a submission.
#[derive(Debug)]
pub(crate) struct Prepared {
    manifest: Manifest,
    template: Option<Template>,
    defaults: BTreeMap<String, String>,
    axes: Vec<Axis>,
    skip_bad: bool,
    id_column: Option<String>,
    fallback: Option<String>,
    /// Where bad rows go, if they are to be kept.
    rejected: Option<PathBuf>,
    hosts: Hosts,
    today: String,
    options: BTreeMap<String, String>,
    ignore: IgnoreColumns,
    tenant: String,
    band: Band,
    run_id: Option<pictor_common::batch::BatchId>,
    retry_failed: bool,
    max_cost: Option<MicroUsd>,
    cap: Option<MicroUsd>,
    on_unknown: Option<OnUnknown>,
    deadline: Option<u64>,
    derive: Vec<Derivative>,
    pub(super) webhooks: Vec<String>,
}

impl Prepared {
    /// The same, with nothing sent after a moment, µs since 1970.
    pub(crate) const fn until(mut self, deadline: Option<u64>) -> Self {
        self.deadline = deadline;
        self
    }

    /// The same, writing down rows that are left out.
    pub(crate) fn keeping(mut self, args: &RejectedArgs) -> anyhow::Result<Self> {
        if self.skip_bad {
            self.rejected = rejected::place(args.rejected.as_deref(), &self.manifest)?;
        }
        Ok(self)
    }

    /// The rules for all rows.
    pub(crate) fn rules<'a>(&'a self, settings: &'a Settings) -> anyhow::Result<Rules<'a>> {
        let setup = Setup {
            catalogue: &settings.catalogue,
            hosts: &self.hosts,
            today: &self.today,
            template: self.template.as_ref(),
            defaults: &self.defaults,
            ignore: self.ignore.clone(),
        };
        let rules = Rules::new(setup).map_err(|errors| bad_defaults(&errors))?.deriving(can_derive);
        let rules = rules.falling_back_to(self.fallback.as_deref()).map_err(refused)?;
        let rules = rules.with_ids_in(self.id_column.as_deref()).map_err(refused)?.varied(self.axes.clone());
        rules.map(|rules| rules.skipping_bad(self.skip_bad)).map_err(|errors| bad_defaults(&errors))
    }

    /// Reads the whole manifest. Bad rows that are to be left out are written down before anything is queued.
    pub(crate) fn check(
        &self,
        request: &Request<'_>,
        output: &Output,
    ) -> anyhow::Result<(Checked, Option<Rejected>)> {
        tokio::task::block_in_place(|| {
            let mut checked = request.check().inspect_err(|error| {
                if self.skip_bad && !output.json && matches!(error, SubmitError::BadInput(_)) {
                    output
                        .note("--skip-bad leaves rows out, and something is wrong with the file as a whole:");
                }
            })?;
            checked.head.cap = self.cap;
            checked.head.on_unknown = self.on_unknown;
            checked.head.deadline = self.deadline;
            if !self.derive.is_empty() {
                checked.head.derive = Some(self.derive.clone());
            }
            let rejected = rejected::keep(request, &checked, self.rejected.as_deref(), output)?;
            match checked.skipped.errors.clone().filter(|_| checked.rows == 0) {
                Some(bad) => Err(bad.into()),
                None => Ok((checked, rejected)),
            }
        })
    }

    /// What is submitted under these rules.
    pub(crate) fn request<'a>(&'a self, rules: &'a Rules<'a>) -> Request<'a> {
        Request {
            manifest: &self.manifest,
            rules,
            options: &self.options,
            tenant: &self.tenant,
            band: self.band,
            run_id: self.run_id.clone(),
            retry_failed: self.retry_failed,
        }
    }

    /// Plans, and refuses what may cost too much.
    pub(crate) async fn plan(
        &self,
        request: &Request<'_>,
        checked: &Checked,
        queue: &Queue,
        store: &dyn Store,
    ) -> anyhow::Result<Planned> {
        let planned = request.plan(checked, queue, store).await?;
        if let Some(why) = self.max_cost.and_then(|most| planned.plan.refuses(most)) {
            return Err(refused(why));
        }
        let totals = queue.totals().await?;
        let all =
            Counter { cap: totals.cap, spent: totals.spent, reserved: totals.reserved, ..Counter::default() };
        let tenant = queue.tenant_money(&self.tenant).await?.total;
        let whose = format!("the budget of tenant {}", self.tenant);
        for (name, counter) in [("the total budget", all), (whose.as_str(), tenant)] {
            let why = counter.left().and_then(|left| planned.plan.refuses(left));
            if let (Some(why), Counter { cap: Some(cap), spent, reserved, .. }) = (why, counter) {
                return Err(refused(format!(
                    "{why} by {name} of {cap} ({spent} spent, {reserved} set aside)"
                )));
            }
        }
        Ok(planned)
    }
}

/// What `--derive` names.
pub(crate) fn derivatives(words: &[String]) -> anyhow::Result<Vec<Derivative>> {
    let mut list = Vec::new();
    for words in words {
        let named = derivative::of_cell(words).and_then(|named| derivative::add(&mut list, named));
        named.map_err(|wrong| refused(format!("--derive {wrong}")))?;
    }
    list.iter().try_for_each(can_derive).map_err(|why| refused(format!("--derive {why}")))?;
    Ok(list)
}

/// Why this build does not make a derivative, if so.
fn can_derive(derivative: &Derivative) -> Result<(), String> {
    pictor_worker::derive::can_make(derivative).map_err(|why| format!("'{derivative}': {why}"))
}

/// What varies, as the flags say it.
fn axes(flags: &[String], explicit: &BTreeMap<String, String>) -> anyhow::Result<Vec<Axis>> {
    let axes: Result<Vec<Axis>, String> = flags.iter().map(|flag| Axis::parse(flag)).collect();
    let axes = axes.map_err(|why| refused(format!("--vary {why}")))?;
    let both = axes.iter().find(|axis| explicit.keys().any(|name| normalized(name) == axis.name));
    match both {
        Some(axis) => Err(refused(format!(
            "{0} is given once for all and varies too; leave out one of them (--vary {0}=…)",
            axis.name
        ))),
        None => Ok(axes),
    }
}

fn bad_defaults(errors: &[RowError]) -> anyhow::Error {
    let text: Vec<String> = errors.iter().map(ToString::to_string).collect();
    refused(text.join("\n"))
}
