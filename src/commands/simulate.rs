//! `pictor simulate`: an image API that behaves like the real one.

use std::{net::SocketAddr, path::PathBuf};

use anyhow::Context as _;
use clap::Args;
use pictor_simulator::{FamilyLimits, Limits, Options, Scheduled, serve};
use tokio::net::TcpListener;

use super::Context;
use crate::exit::{Exit, refused};

#[derive(Debug, Args)]
pub(crate) struct SimulateArgs {
    /// Address to listen on; port 0 takes a free one
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:0")]
    listen: SocketAddr,
    /// All options of the simulator as TOML; flags win
    #[arg(long, value_name = "FILE")]
    options: Option<PathBuf>,
    /// API key that is let in, repeatable [default: sim-key]
    #[arg(long, value_name = "KEY")]
    api_key: Vec<String>,
    /// Median latency in milliseconds [default: by model and quality]
    #[arg(long, value_name = "MS")]
    latency: Option<u64>,
    /// 99th percentile of the latency in milliseconds [default: 2.2 × the median]
    #[arg(long, value_name = "MS")]
    latency_p99: Option<u64>,
    /// Divides the latencies by model and quality
    #[arg(long, value_name = "FACTOR")]
    speed: Option<f64>,
    /// Decides latencies and faults
    #[arg(long)]
    seed: Option<u64>,
    /// Images per minute, of every family
    #[arg(long, value_name = "COUNT", conflicts_with = "unlimited")]
    images_per_minute: Option<u64>,
    /// Requests per minute, of every family
    #[arg(long, value_name = "COUNT", conflicts_with = "unlimited")]
    requests_per_minute: Option<u64>,
    /// No limits at all
    #[arg(long)]
    unlimited: bool,
    /// Probability of a fault, repeatable; /_simulator/faults lists them
    #[arg(long, value_name = "NAME=PROBABILITY")]
    fault: Vec<String>,
    /// A fault of one request, counted from 1, repeatable
    #[arg(long, value_name = "REQUEST=NAME")]
    schedule: Vec<String>,
    /// Pad PNG files up to this size
    #[arg(long, value_name = "BYTES")]
    image_bytes: Option<usize>,
    /// Send bodies of pictures this slowly
    #[arg(long, value_name = "BYTES")]
    body_bytes_per_second: Option<u64>,
}

pub(crate) async fn run(args: SimulateArgs, context: &Context) -> anyhow::Result<Exit> {
    let options = args.options()?;
    let key = if args.api_key.is_empty() && args.options.is_none() { "sim-key" } else { "…" };
    let listener =
        TcpListener::bind(args.listen).await.with_context(|| format!("cannot listen on {}", args.listen))?;
    let address = listener.local_addr()?;
    context.output.result(
        &serde_json::json!({ "address": address, "base_url": format!("http://{address}/v1") }),
        || format!("http://{address}/v1"),
    )?;
    if !context.output.json {
        context.output.note(&usage(address, key));
    }
    let stop = context.signals.stop.clone();
    serve(listener, options, stop.cancelled_owned()).await?;
    Ok(Exit::Done)
}

/// How another shell works with it.
fn usage(address: SocketAddr, key: &str) -> String {
    format!(
        "work with it, in another shell: export PICTOR_ACCOUNTS__OPENAI__BASE_URL=http://{address}/v1 \
         PICTOR_ACCOUNTS__OPENAI__API_KEY_ENV=SIM_KEY SIM_KEY={key}"
    )
}

impl SimulateArgs {
    fn options(&self) -> anyhow::Result<Options> {
        let mut options = match &self.options {
            None => Options::default(),
            Some(path) => {
                let told = |error: &dyn std::fmt::Display| {
                    refused(format!("{}: {}", path.display(), error.to_string().trim_end()))
                };
                let text = std::fs::read_to_string(path).map_err(|error| told(&error))?;
                toml::from_str(&text).map_err(|error| told(&error))?
            }
        };
        if !self.api_key.is_empty() {
            options.api_keys = self.api_key.iter().map(|key| key.clone().into()).collect();
        }
        options.latency_ms_p50 = self.latency.or(options.latency_ms_p50);
        options.latency_ms_p99 = self.latency_p99.or(options.latency_ms_p99);
        options.speed = self.speed.unwrap_or(options.speed);
        options.seed = self.seed.unwrap_or(options.seed);
        options.image_bytes = self.image_bytes.or(options.image_bytes);
        options.body_bytes_per_second = self.body_bytes_per_second.or(options.body_bytes_per_second);
        self.limit(&mut options.limits);
        for fault in &self.fault {
            let (name, probability) = pair("--fault", fault)?;
            let probability =
                probability.parse().map_err(|_error| refused(format!("--fault {fault}: no probability")))?;
            options.faults.insert(name.to_owned(), probability);
        }
        for entry in &self.schedule {
            let (request, fault) = pair("--schedule", entry)?;
            let request =
                request.parse().map_err(|_error| refused(format!("--schedule {entry}: no number")))?;
            options.schedule.push(Scheduled { request, fault: fault.to_owned() });
        }
        Ok(options)
    }

    fn limit(&self, limits: &mut Limits) {
        if self.unlimited {
            let family = FamilyLimits::default();
            (limits.dall_e_2, limits.dall_e_3, limits.gpt_image) = (family.clone(), family.clone(), family);
        }
        for family in [&mut limits.dall_e_2, &mut limits.dall_e_3, &mut limits.gpt_image] {
            let FamilyLimits { images, requests, .. } = family;
            *images = self.images_per_minute.or(*images);
            *requests = self.requests_per_minute.or(*requests);
        }
    }
}

fn pair<'t>(flag: &str, text: &'t str) -> anyhow::Result<(&'t str, &'t str)> {
    text.split_once('=').ok_or_else(|| refused(format!("{flag} {text:?} is not NAME=VALUE")))
}
