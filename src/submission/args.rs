//! What the command line says of a submission.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use clap::Args;
use pictor_common::batch::OnUnknown;
use pictor_producer::manifest::{Format, IgnoreColumns, Reading, Told};
use serde::{Deserialize, Serialize};

use crate::exit::refused;

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
    pub(super) fn defaults(&self) -> anyhow::Result<BTreeMap<String, String>> {
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
    pub(super) id_column: Option<String>,
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
    pub(super) fn ignored(&self) -> IgnoreColumns {
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
}
