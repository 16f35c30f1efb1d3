//! Exports what happens to attempts as OpenTelemetry traces, where `OTEL_EXPORTER_OTLP_ENDPOINT` says; only in builds with
//! the feature `otel`. What cannot be exported at once is dropped: nothing waits for it.

use std::time::Duration;

use anyhow::Context as _;
use opentelemetry::trace::TracerProvider as _;
use opentelemetry_otlp::SpanExporter;
use opentelemetry_sdk::{
    Resource, runtime,
    trace::{SdkTracerProvider, span_processor_with_async_runtime::BatchSpanProcessor},
};
use tracing::Subscriber;
use tracing_subscriber::{Layer, filter::filter_fn, registry::LookupSpan};

use crate::config;

/// How long the end of a process may wait for its last traces.
const FAREWELL: Duration = Duration::from_secs(5);

/// Where traces go until the process ends.
#[derive(Debug)]
pub(crate) struct Traces {
    provider: SdkTracerProvider,
}

impl Traces {
    /// None where nobody asks for traces.
    pub(crate) fn open() -> anyhow::Result<Option<Self>> {
        let Some(asked) = config::traces() else { return Ok(None) };
        // The standard variables are read by the exporter itself: endpoint, headers, timeout.
        let exporter = SpanExporter::builder().with_http().build().context("cannot export traces")?;
        let processor = BatchSpanProcessor::builder(exporter, runtime::Tokio).build();
        let resource = Resource::builder();
        let resource = if asked.named { resource } else { resource.with_service_name("pictor") };
        let provider = SdkTracerProvider::builder()
            .with_span_processor(processor)
            .with_resource(resource.build())
            .build();
        Ok(Some(Self { provider }))
    }

    /// Takes the spans of attempts, and no log lines: these may hold the provider's words.
    pub(crate) fn layer<S>(&self) -> impl Layer<S> + use<S>
    where
        S: Subscriber + for<'span> LookupSpan<'span>,
    {
        tracing_opentelemetry::layer()
            .with_tracer(self.provider.tracer("pictor"))
            .with_location(false)
            .with_threads(false)
            .with_tracked_inactivity(false)
            .with_filter(filter_fn(|metadata| {
                metadata.is_span() && metadata.target().starts_with("pictor_worker")
            }))
    }

    /// Sends what is left, for a moment.
    pub(crate) async fn finish(self) {
        let sending = tokio::task::spawn_blocking(move || self.provider.shutdown());
        match tokio::time::timeout(FAREWELL, sending).await {
            Ok(Ok(Ok(()))) => {}
            Ok(Ok(Err(error))) => tracing::debug!(%error, "the last traces were not exported"),
            Ok(Err(_)) | Err(_) => tracing::debug!("no time to export the last traces"),
        }
    }
}
