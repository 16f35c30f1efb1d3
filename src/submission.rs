//! From arguments to a checked, planned and queued batch; shared by `run`, `demo` and `submit`.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::Read as _,
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use clap::Args;
use pictor_common::{
    MicroUsd,
    batch::{Band, OnUnknown, check_name},
    derivative::{self, Derivative},
    queue::{CapOf, Counter, Queue, QueueError, Setter, Submitted},
    store::Store,
};
use pictor_producer::{
    manifest::{BadInput, Format, Hosts, IgnoreColumns, Reading, RowError, Rules, Setup, Told, normalized},
    plan::Plan,
    submit::{Checked, Manifest, Planned, Request, Source, SubmitError},
    template::Template,
    vary::{self, Axis},
};
use serde::{Deserialize, Serialize};

use crate::{
    commands::{Context, webhooks},
    config::{Settings, who},
    exit::refused,
    output::Output,
    parts,
    rejected::{self, Rejected},
    templates::{self, Chosen},
};

/// What every image is, unless its row says otherwise.
#[derive(Clone, Debug, Default, Args, Serialize, Deserialize)]
#[serde(default)]
#[command(next_help_heading = "Defaults for empty cells")]
pub(crate) struct SpecArgs {
    /// Model [default: gpt-image-2]
    #[arg(long)]
    model: Option<String>,
    /// `WIDTHxHEIGHT`, or auto
    #[arg(long)]
    size: Option<String>,
    /// low, medium, high, xhigh, max, auto, standard or hd
    #[arg(long)]
    quality: Option<String>,
    /// vivid or natural
    #[arg(long)]
    style: Option<String>,
    /// transparent, opaque or auto
    #[arg(long)]
    background: Option<String>,
    /// png, jpeg or webp
    #[arg(long)]
    format: Option<String>,
    /// 0 to 100, for JPEG and WebP
    #[arg(long)]
    compression: Option<String>,
    /// auto or low
    #[arg(long)]
    moderation: Option<String>,
    /// Ask the model not to rewrite prompts
    #[arg(long)]
    verbatim: bool,
    /// Images of each prompt
    #[arg(short, long, value_name = "COUNT")]
    n: Option<String>,
    /// Any other field, or a variable of the template
    #[arg(long, value_name = "NAME=VALUE")]
    set: Vec<String>,
}

impl SpecArgs {
    fn defaults(&self) -> anyhow::Result<BTreeMap<String, String>> {
        let named = [
            ("model", &self.model),
            ("size", &self.size),
            ("quality", &self.quality),
            ("style", &self.style),
            ("background", &self.background),
            ("format", &self.format),
            ("compression", &self.compression),
            ("moderation", &self.moderation),
            ("n", &self.n),
        ];
        let mut defaults: BTreeMap<String, String> =
            named.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value.clone()?))).collect();
        if self.verbatim {
            defaults.insert("verbatim".to_owned(), "yes".to_owned());
        }
        for pair in &self.set {
            let (name, value) =
                pair.split_once('=').ok_or_else(|| refused(format!("--set {pair:?} is not NAME=VALUE")))?;
            if value.contains("{{") || value.contains("{%") {
                let why = "is not filled from columns; write {{ column }} in a template";
                return Err(refused(format!("--set {}: the value {why}", name.trim())));
            }
            defaults.insert(name.trim().to_owned(), value.to_owned());
        }
        Ok(defaults)
    }
}

/// How the bytes of a file are read, where they do not say it themselves.
#[derive(Clone, Debug, Default, Args, Serialize, Deserialize)]
#[serde(default)]
#[command(next_help_heading = "Reading the file")]
pub(crate) struct ReadArgs {
    /// Encoding of a CSV or JSONL file, such as windows-1252; UTF-8 and UTF-16 are recognised
    #[arg(long, value_name = "NAME")]
    encoding: Option<String>,
    /// What stands between the cells of a CSV file: one character, or tab [default: as its first line says]
    #[arg(long, value_name = "CHARACTER")]
    delimiter: Option<String>,
    /// Column that holds the ids of the rows [default: id]
    #[arg(long, value_name = "NAME")]
    id_column: Option<String>,
    /// Sheet of a spreadsheet [default: the only one with rows]
    #[arg(long, value_name = "NAME")]
    sheet: Option<String>,
}

impl ReadArgs {
    pub(crate) fn reading(&self, name: &str, first_bytes: &[u8]) -> anyhow::Result<Reading> {
        let told = Told {
            encoding: self.encoding.as_deref(),
            delimiter: self.delimiter.as_deref(),
            sheet: self.sheet.as_deref(),
        };
        Reading::new(Format::detect(name, first_bytes), told).map_err(refused)
    }
}

/// Where bad rows go, for commands that write them down.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct RejectedArgs {
    /// Where the bad rows go [default: FILE.rejected.csv, .jsonl or .xlsx, as the file is]
    #[arg(long, value_name = "FILE", requires = "skip_bad")]
    pub(crate) rejected: Option<PathBuf>,
}

/// How a file becomes a batch.
#[derive(Clone, Debug, Default, Args, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct BatchArgs {
    /// Prompt template: the text itself when it contains {{ or {%, a file, or else one that ships with Pictor
    /// (`pictor template list`)
    #[arg(long, value_name = "FILE|NAME|TEXT", conflicts_with = "template_file")]
    pub(crate) template: Option<String>,
    /// Prompt template, always a file
    #[arg(long, value_name = "FILE")]
    pub(crate) template_file: Option<PathBuf>,
    /// Make every row once for each of these values of a spec field or template variable; given again, all
    /// combinations are made
    #[arg(long, value_name = "NAME=VALUE,VALUE")]
    pub(crate) vary: Vec<String>,
    /// Leave bad rows out instead of refusing the file; `run`, `demo` and `submit` write them to FILE.rejected.csv
    /// (.jsonl, .xlsx: as the file is), each with its error, and the exit code is 1
    #[arg(long)]
    pub(crate) skip_bad: bool,
    /// Allow columns that nothing uses: all of them, or those named
    #[arg(long, value_name = "COLUMNS", num_args = 0..=1, value_delimiter = ',')]
    pub(crate) ignore_columns: Option<Vec<String>>,
    /// Who asks; tenants share workers fairly
    #[arg(long, default_value = "default")]
    pub(crate) tenant: String,
    /// Names the batch: submitting it again is the same batch
    #[arg(long, value_name = "NAME")]
    pub(crate) run_id: Option<String>,
    /// Refuse, as a whole, what may cost more than this many US dollars
    #[arg(long, value_name = "USD")]
    pub(crate) max_cost: Option<String>,
    /// Spend at most this many US dollars on the batch; what is over waits until it is submitted again with more, or
    /// `pictor budget set batch` raises it
    #[arg(long, value_name = "USD")]
    pub(crate) cap: Option<String>,
    /// Let another model make, at its own price, what the model asked for cannot: because it does not exist any more, or
    /// fails again and again. Never after an outcome that is unknown or a refusal of the content. Every row must suit both
    #[arg(long, value_name = "MODEL")]
    pub(crate) fallback: Option<String>,
    /// After a request that may have been billed and brought no answer: retry, as the workers' settings say, or park,
    /// which sends it never again unless `pictor failed retry` asks. For an image shared with another batch, park holds
    #[arg(long, value_name = "retry|park")]
    pub(crate) on_unknown: Option<OnUnknown>,
    /// Make this of every image too, locally and free, such as '256x256 cover webp q80', '1200w jpeg' or '2048 contain png';
    /// up to 16. A column `derive` asks for more of its row's images. `pictor derive` makes others later [default: those of
    /// the settings]
    #[arg(long, value_name = "WORDS")]
    pub(crate) derive: Vec<String>,
    /// Tell this webhook of the settings how the batch ends, also where it is told only of batches that name it
    #[arg(long, value_name = "NAME")]
    pub(crate) webhook: Vec<String>,
    /// Say what is new and what it would cost, and stop
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Make again what failed for good
    #[arg(long)]
    pub(crate) retry_failed: bool,
    #[command(flatten)]
    pub(crate) read: ReadArgs,
    #[command(flatten)]
    pub(crate) spec: SpecArgs,
}

impl BatchArgs {
    fn ignored(&self) -> IgnoreColumns {
        match self.ignore_columns.as_deref() {
            None => IgnoreColumns::None,
            Some([]) => IgnoreColumns::All,
            Some(names) => IgnoreColumns::Named(names.to_vec()),
        }
    }

    /// A file that `--ignore-columns` took for a column, as it does with what stands behind it.
    pub(crate) fn swallowed(&self) -> Option<&str> {
        let names = self.ignore_columns.iter().flatten();
        names.map(String::as_str).find(|name| Path::new(name).is_file())
    }

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
                said if said.is_empty() => settings.derive.clone(),
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
    webhooks: Vec<String>,
}

/// What `--derive` names.
pub(crate) fn derivatives(words: &[String]) -> anyhow::Result<Vec<Derivative>> {
    let mut list = Vec::new();
    for words in words {
        let named = derivative::of_cell(words).and_then(|named| derivative::add(&mut list, named));
        named.map_err(|wrong| refused(format!("--derive {wrong}")))?;
    }
    Ok(list)
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
        let rules = Rules::new(setup).map_err(|errors| bad_defaults(&errors))?;
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

/// Refuses a file that stands where `--ignore-columns` has its columns.
pub(crate) fn names_a_file(file: &str) -> anyhow::Error {
    refused(format!(
        "--ignore-columns {file}: this is a file, and no column; name it before --ignore-columns"
    ))
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

/// The model families a checked manifest needs.
pub(crate) fn families(checked: &Checked) -> BTreeSet<String> {
    let names = checked.routes.iter().filter_map(|route| Some(route.as_str().rsplit_once('.')?.0.to_owned()));
    names.collect()
}

/// Opens a manifest file; `-` is stdin, which is kept in memory since it is read again.
pub(crate) fn manifest(path: &str, read: &ReadArgs) -> anyhow::Result<Manifest> {
    if path == "-" {
        let mut bytes = Vec::new();
        std::io::stdin().lock().read_to_end(&mut bytes).context("cannot read stdin")?;
        let format = read.reading("-", &bytes[..bytes.len().min(1_024)])?;
        return Ok(Manifest { name: "-".to_owned(), format, source: Source::Bytes(bytes.into()) });
    }
    let wrong = |why: &dyn std::fmt::Display| {
        let error = RowError { message: format!("cannot be read: {why}").into(), ..RowError::default() };
        BadInput { source_name: path.to_owned(), errors: vec![error], total: 1 }
    };
    let file = std::fs::File::open(path).map_err(|error| wrong(&error))?;
    let kind = file.metadata()?;
    if kind.is_dir() {
        return Err(wrong(&"it is a directory").into());
    }
    if !kind.is_file() {
        // A pipe gives its bytes once.
        let mut bytes = Vec::new();
        (&file).read_to_end(&mut bytes).map_err(|error| wrong(&error))?;
        let format = read.reading(path, &bytes[..bytes.len().min(1_024)])?;
        return Ok(Manifest { name: path.to_owned(), format, source: Source::Bytes(bytes.into()) });
    }
    let mut first = Vec::new();
    file.take(1_024).read_to_end(&mut first).map_err(|error| wrong(&error))?;
    Ok(Manifest {
        name: path.to_owned(),
        format: read.reading(path, &first)?,
        source: Source::File(PathBuf::from(path)),
    })
}

/// A manifest of one prompt.
pub(crate) fn one_prompt(prompt: &str) -> anyhow::Result<Manifest> {
    let line = serde_json::to_vec(&serde_json::json!({ "prompt": prompt }))?;
    Ok(Manifest {
        name: "--prompt".to_owned(),
        format: Format::Jsonl.into(),
        source: Source::Bytes(line.into()),
    })
}

/// Submits what was planned. Where Redis has forgotten since, all is looked up and planned again, once.
pub(crate) async fn submit(
    prepared: &Prepared,
    request: &Request<'_>,
    checked: &Checked,
    planned: Planned,
    queue: &Queue,
    store: &dyn Store,
    context: &Context,
) -> anyhow::Result<(Planned, Submitted)> {
    let output = &context.output;
    if let Some(cap) = checked.head.cap {
        // One that is in already may be held by a lower one. Of a new batch nothing is known yet.
        let cap = (CapOf::Batch(checked.head.id.to_string()), Some(cap));
        queue.set_caps(Setter::Person, &who(), "submitted with --cap", &[cap]).await?;
    }
    webhooks::named(&prepared.webhooks, &checked.head.id, queue, &context.settings).await?;
    match send(request, checked, &planned, queue, store, output).await {
        Err(error) if error.forgot() => {
            let what = match error {
                SubmitError::Queue(QueueError::Gone) => "an image was removed",
                _ => "Redis was wiped, replaced or restarted",
            };
            output.note(&format!("{what} meanwhile: everything is looked up again"));
        }
        sent => return Ok((planned, sent?)),
    }
    queue.belong_to(context.settings.profile.as_deref()).await?;
    parts::apply_budget(&context.settings, queue).await?;
    let planned = prepared.plan(request, checked, queue, store).await?;
    let sums = send(request, checked, &planned, queue, store, output).await?;
    Ok((planned, sums))
}

/// Sends all rows, and says so where many take a while.
async fn send(
    request: &Request<'_>,
    checked: &Checked,
    planned: &Planned,
    queue: &Queue,
    store: &dyn Store,
    output: &Output,
) -> Result<Submitted, SubmitError> {
    let mut said = std::time::Instant::now();
    let told = |rows| {
        if said.elapsed().as_secs() >= 5 {
            said = std::time::Instant::now();
            output.note(&format!("submitted {rows} of {} rows", checked.rows));
        }
    };
    request.submit(checked, planned, queue, store, told).await
}

/// The plan, as a result: as a value, and for people.
pub(crate) fn plan_told(
    checked: &Checked,
    plan: &Plan,
    rejected: Option<&Rejected>,
) -> (serde_json::Value, String) {
    let mut value = serde_json::json!({ "batch": checked.head.id, "plan": plan });
    rejected::add_to(&mut value, rejected);
    (value, plan.text())
}
