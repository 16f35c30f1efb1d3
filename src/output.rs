//! The only place that prints: results to stdout, progress, warnings and errors to stderr.
#![expect(clippy::print_stderr, reason = "what people are told goes through here")]

use std::io::{self, IsTerminal as _, Write as _};

use serde::Serialize;
use tracing_subscriber::EnvFilter;

use crate::cli::LogFormat;

/// What goes on being written until the process ends.
#[derive(Debug)]
pub(crate) struct Logs {
    #[cfg(feature = "otel")]
    traces: Option<crate::otel::Traces>,
}

impl Logs {
    /// Writes what is left.
    pub(crate) async fn finish(self) {
        #[cfg(feature = "otel")]
        if let Some(traces) = self.traces {
            traces.finish().await;
        }
    }
}

/// How this process speaks.
#[derive(Clone, Debug)]
pub(crate) struct Output {
    /// JSON instead of text.
    pub(crate) json: bool,
    /// Somebody watches stderr.
    pub(crate) terminal: bool,
    /// Only what went wrong is told.
    pub(crate) quiet: bool,
}

impl Output {
    pub(crate) fn new(json: bool) -> Self {
        Self { json, terminal: io::stderr().is_terminal(), quiet: false }
    }

    /// The same, telling only what went wrong.
    pub(crate) fn quietly(self, quiet: bool) -> Self {
        Self { terminal: self.terminal && !quiet, quiet: self.quiet || quiet, ..self }
    }

    /// Prints a result, as JSON or in words.
    pub(crate) fn result(&self, value: &impl Serialize, text: impl FnOnce() -> String) -> anyhow::Result<()> {
        let text = if self.json { serde_json::to_string(value)? } else { text() };
        self.line(text.trim_end_matches('\n'))
    }

    /// Prints a line of a result.
    pub(crate) fn line(&self, text: &str) -> anyhow::Result<()> {
        let mut out = io::stdout().lock();
        let written = out.write_all(text.as_bytes()).and_then(|()| out.write_all(b"\n"));
        heard(written.and_then(|()| out.flush()))?;
        Ok(())
    }

    /// Lets a result be written piece by piece.
    pub(crate) fn stream(&self) -> impl io::Write + use<> {
        io::BufWriter::new(io::stdout())
    }

    /// Says something by the way, to people.
    pub(crate) fn note(&self, text: &str) {
        if !self.quiet {
            eprintln!("{text}");
        }
    }

    /// Says what went wrong, to people, however quiet it is to be.
    pub(crate) fn problem(&self, text: &str) {
        eprintln!("{text}");
    }

    /// Tells why nothing came of it.
    pub(crate) fn error(&self, message: &str, value: &serde_json::Value) {
        if self.json {
            eprintln!("{value}");
        } else {
            eprintln!("{message}");
        }
    }

    /// Sends logs to stderr.
    pub(crate) fn log_to_stderr(&self, level: &str, format: LogFormat) -> anyhow::Result<Logs> {
        let quiet = format!(
            "{level},aws_config=warn,aws_smithy_runtime=warn,hyper=warn,hyper_util=warn,reqwest=warn,h2=warn"
        );
        let filter = EnvFilter::try_new(if level.contains(['=', ',']) { level } else { &quiet })
            .map_err(|error| crate::exit::refused(format!("log level {level:?} means nothing: {error}")))?;
        #[cfg(feature = "otel")]
        if let Some(traces) = crate::otel::Traces::open()? {
            self.log_beside(&traces, filter, format);
            return Ok(Logs { traces: Some(traces) });
        }
        let logs = tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr);
        match format {
            LogFormat::Text => logs.with_ansi(self.terminal).init(),
            LogFormat::Json => logs.json().init(),
        }
        Ok(Logs {
            #[cfg(feature = "otel")]
            traces: None,
        })
    }

    /// Sends logs to stderr, and traces where they go.
    #[cfg(feature = "otel")]
    fn log_beside(&self, traces: &crate::otel::Traces, filter: EnvFilter, format: LogFormat) {
        use tracing_subscriber::{
            Layer as _, Registry, fmt, layer::SubscriberExt as _, util::SubscriberInitExt as _,
        };
        let logs = fmt::layer().with_writer(io::stderr);
        let logs = match format {
            LogFormat::Text => logs.with_ansi(self.terminal).with_filter(filter).boxed(),
            LogFormat::Json => logs.json().with_filter(filter).boxed(),
        };
        Registry::default().with(logs).with(traces.layer()).init();
    }
}

/// A reader that went away, such as `head`, has heard enough.
pub(crate) fn heard(written: io::Result<()>) -> io::Result<()> {
    match written {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        other => other,
    }
}
