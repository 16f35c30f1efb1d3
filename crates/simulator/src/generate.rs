//! One generation: refused at the door, or run to its end in a task of its own and billed,
//! whether or not the client still listens.

use std::{
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};

use axum::{
    extract::{ConnectInfo, State},
    http::{HeaderMap, StatusCode, header},
    response::Response,
};
use bytes::Bytes;
use tokio::sync::oneshot;

use crate::{
    answer::{Delivered, envelope, error_response, picture_response, raw_response, set, tagged},
    auth::{KeyIndex, authenticate},
    body::{Ending, Manner, Piece},
    errors::ApiError,
    faults::{Effect, Fault, Moment, Spoil, Stage, Wire},
    gauge::Flight,
    invoice::{Payer, Refusal},
    latency,
    limiter::{Admitted, Asked, LimitHeaders, Refused},
    picture::Recipe,
    seed::{Seed, sha256_hex},
    serve::Connection,
    state::{Simulator, lock, now_ms},
    tokens::{Charge, charge, expected},
    validate::{self, ImageRequest},
};

/// Answers `POST /v1/images/generations`.
pub(crate) async fn generate(
    State(simulator): State<Arc<Simulator>>,
    ConnectInfo(connection): ConnectInfo<Connection>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let began = Instant::now();
    simulator.requests.fetch_add(1, Ordering::Relaxed);
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
    let mut payer = Payer {
        request_id: format!("req_{}", simulator.unique()),
        client_request_id: text("x-client-request-id"),
        api_key_fingerprint: String::new(),
    };
    let (response, limits) = match enter(&simulator, &headers, &body, &mut payer) {
        Ok(entered) => {
            let (limits, lane) = (entered.limits.clone(), (entered.key, entered.request.model.family));
            let host = text(header::HOST.as_str()).unwrap_or_default();
            let response = run(&simulator, entered, &payer, connection, &host).await;
            let fresh = lock(&simulator.limiter).headers_at_the_end(lane, simulator.now());
            (response, fresh.unwrap_or(limits))
        }
        Err(refused) => (refuse(&simulator, &payer, &refused.error), refused.headers),
    };
    let mut response =
        tagged(response, &payer.request_id, &simulator.options.organization, Some(began.elapsed()));
    for (name, value) in limits {
        set(&mut response, &name, &value);
    }
    response
}

/// A request that was let in.
#[derive(Clone, Debug)]
struct Entered {
    key: KeyIndex,
    request: ImageRequest,
    fault: Option<&'static Fault>,
    latency: Duration,
    charge: Charge,
    limits: LimitHeaders,
    flight: Flight,
}

fn enter(
    simulator: &Simulator,
    headers: &HeaderMap,
    body: &[u8],
    payer: &mut Payer,
) -> Result<Entered, Box<Refused>> {
    let plain = |error| Box::new(Refused { error, headers: LimitHeaders::new() });
    let options = &simulator.options;
    let key = {
        let keys = lock(&simulator.keys);
        let key = authenticate(headers, &keys).map_err(plain)?;
        payer.api_key_fingerprint = keys.fingerprint(key);
        key
    };
    let request = validate::parse(body).map_err(plain)?;
    let (model, images) = (request.model, request.count as u64);
    let tokens = expected(&request);
    let asked = Asked { key, model, organization: &options.organization, images, tokens };
    let Admitted { in_flight, headers: limits } = lock(&simulator.limiter).admit(&asked, simulator.now())?;
    let ordinal = simulator.admitted.fetch_add(1, Ordering::Relaxed) + 1;
    let mut chance = Seed::numbered(options.seed, ordinal);
    let prompt_sha256 = sha256_hex(request.prompt.as_bytes());
    let fault = lock(&simulator.triggers)
        .choose(key, ordinal, &request.prompt, &prompt_sha256, &mut chance)
        .map_err(|unknown| {
            plain(ApiError::invalid(format!("The simulator has no fault '{}'.", unknown.0)))
        })?;
    let latency = latency::draw(options, model, request.quality, &mut chance);
    let vary = options.output_tokens_vary_percent;
    let charge =
        charge(model, request.quality, request.size, &request.prompt, request.count, vary, &mut chance);
    let flight = Arc::new([simulator.in_flight.hold(), in_flight]);
    Ok(Entered { key, request, fault, latency, charge, limits, flight })
}

async fn run(
    simulator: &Arc<Simulator>,
    entered: Entered,
    payer: &Payer,
    connection: Connection,
    host: &str,
) -> Response {
    if entered.fault.is_some_and(|fault| fault.moment == Moment::Arrival) {
        return deliver(simulator, &entered, Vec::new(), payer, connection).await;
    }
    let (done, made) = oneshot::channel();
    let generation = Generation {
        simulator: Arc::clone(simulator),
        entered: entered.clone(),
        payer: payer.clone(),
        host: host.to_owned(),
    };
    simulator.generations.spawn(async move {
        let stopped = generation.simulator.stopped.clone();
        if let Some(made) = stopped.run_until_cancelled(generation.complete()).await
            && let Err(Ok(unheard)) = done.send(made)
        {
            lock(&generation.simulator.invoice).unheard(unheard.billed);
        }
    });
    match made.await {
        Ok(Ok(made)) => deliver(simulator, &entered, made.pictures, payer, connection).await,
        Ok(Err(error)) => {
            tracing::error!(%error, "cannot draw a picture");
            let error =
                ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, "server_error", format!("{error:#}"));
            refuse(simulator, payer, &error.code("server_error"))
        }
        Err(_stopped) => std::future::pending().await,
    }
}

/// What runs to its end without the client.
struct Generation {
    simulator: Arc<Simulator>,
    entered: Entered,
    payer: Payer,
    host: String,
}

/// What a generation came to.
#[derive(Debug)]
struct Made {
    pictures: Vec<Delivered>,
    /// How many pictures are on the invoice.
    billed: usize,
}

impl Generation {
    async fn complete(&self) -> anyhow::Result<Made> {
        let Entered { request, fault, latency, charge, .. } = &self.entered;
        tokio::time::sleep(*latency).await;
        if fault.is_some_and(|fault| !fault.billed) {
            return Ok(Made { pictures: Vec::new(), billed: 0 });
        }
        let mut pictures = Vec::new();
        if fault.is_none_or(Fault::answers_with_picture) {
            for index in 0..request.count {
                pictures.push(self.picture(index).await?);
            }
        }
        let name = fault.map(|fault| fault.name);
        lock(&self.simulator.invoice).bill(&self.payer, request, &charge.micro_usd, name, now_ms());
        Ok(Made { pictures, billed: charge.micro_usd.len() })
    }

    async fn picture(&self, index: usize) -> anyhow::Result<Delivered> {
        let Entered { request, fault, .. } = &self.entered;
        let spoil = fault.and_then(spoil);
        let recipe =
            Recipe { request: request.clone(), index, padded_to: self.simulator.options.image_bytes, spoil };
        if !request.by_url {
            return self.simulator.draw(recipe).await.map(Delivered::Inline);
        }
        let name = format!("img-{}.{}", self.simulator.unique(), request.format.name());
        if spoil != Some(Spoil::UrlGone) {
            lock(&self.simulator.files).put(name.clone(), recipe, self.simulator.now());
        }
        Ok(Delivered::At(format!("http://{}/_simulator/files/{name}?sp=r&sig=simulated", self.host)))
    }
}

fn spoil(fault: &'static Fault) -> Option<Spoil> {
    match fault.effect {
        Effect::Spoilt(spoil) => Some(spoil),
        _ => None,
    }
}

async fn deliver(
    simulator: &Simulator,
    entered: &Entered,
    pictures: Vec<Delivered>,
    payer: &Payer,
    connection: Connection,
) -> Response {
    let Entered { request, fault, charge, flight, .. } = entered;
    let wire = match fault.map(|fault| (fault, fault.effect)) {
        None | Some((_, Effect::Spoilt(_))) => None,
        Some((fault, Effect::Api(words))) => {
            let error = words.error(request, &simulator.options.organization);
            record(simulator, payer, error.code.unwrap_or(fault.name), Some(words.status));
            return error_response(&error);
        }
        Some((fault, Effect::Raw { status, content_type, body })) => {
            if !fault.billed || status >= 400 {
                record(simulator, payer, fault.name, Some(status));
            }
            return raw_response(status, content_type, body);
        }
        Some((fault, Effect::Wire(wire))) => {
            if !fault.billed {
                record(simulator, payer, fault.name, None);
            }
            Some(wire)
        }
    };
    let pieces = envelope(request, &pictures, charge.usage, fault.and_then(spoil), now_ms() / 1000);
    let half = pieces.iter().map(Piece::sent_len).sum::<usize>() / 2;
    let broken = |after, reset, connection| Ending::Broken { after, reset, connection };
    let after = |stage| if stage == Stage::AfterHeaders { 0 } else { half };
    let ending = match wire {
        None => Ending::Whole,
        Some(Wire::Truncated) => Ending::Short(half),
        Some(Wire::Stalled) => Ending::Silent(half),
        Some(Wire::Hang) => return std::future::pending().await,
        Some(Wire::Cut(Stage::BeforeHeaders)) => return sever(&connection, false).await,
        Some(Wire::Reset(Stage::BeforeHeaders)) => return sever(&connection, true).await,
        Some(Wire::Cut(stage)) => broken(after(stage), false, connection),
        Some(Wire::Reset(stage)) => broken(after(stage), true, connection),
    };
    let manner = Manner {
        ending,
        bytes_per_second: simulator.options.body_bytes_per_second,
        begun: simulator.bodies_part_sent.clone(),
        in_flight: Some(Arc::clone(flight)),
    };
    picture_response(pieces, manner)
}

async fn sever(connection: &Connection, reset: bool) -> Response {
    connection.sever(reset);
    std::future::pending().await
}

fn refuse(simulator: &Simulator, payer: &Payer, error: &ApiError) -> Response {
    let code = error.code.unwrap_or(error.kind);
    record(simulator, payer, code, Some(error.status.as_u16()));
    error_response(error)
}

fn record(simulator: &Simulator, payer: &Payer, code: &str, status: Option<u16>) {
    lock(&simulator.invoice).refuse(Refusal {
        code: code.to_owned(),
        status,
        request_id: payer.request_id.clone(),
        client_request_id: payer.client_request_id.clone(),
        at_ms: now_ms(),
    });
}
