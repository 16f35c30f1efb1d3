//! The invoice: every picture that was paid for, and every refusal.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use serde_json::{Value, json};

use crate::{seed::sha256_hex, sizes::Size, validate::ImageRequest};

#[derive(Debug, Default, Serialize)]
pub(crate) struct Invoice {
    images: Vec<Billed>,
    refusals: Vec<Refusal>,
    #[serde(skip)]
    completed_after_disconnect: u64,
}

/// A picture that was paid for.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Billed {
    request_id: String,
    client_request_id: Option<String>,
    api_key_fingerprint: String,
    model: &'static str,
    size: Size,
    quality: &'static str,
    cost_micro_usd: u64,
    prompt_sha256: String,
    at_ms: u64,
    /// Which of the pictures of one request.
    index: usize,
    /// What went wrong with it, if anything did.
    fault: Option<&'static str>,
}

/// A request that got no picture.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Refusal {
    pub(crate) code: String,
    /// Absent where the client saw none.
    pub(crate) status: Option<u16>,
    pub(crate) request_id: String,
    pub(crate) client_request_id: Option<String>,
    pub(crate) at_ms: u64,
}

/// Who is to pay, and for which request.
#[derive(Clone, Debug)]
pub(crate) struct Payer {
    pub(crate) request_id: String,
    pub(crate) client_request_id: Option<String>,
    pub(crate) api_key_fingerprint: String,
}

impl Invoice {
    /// Bills the pictures of one request, each at its cost.
    pub(crate) fn bill(
        &mut self,
        payer: &Payer,
        request: &ImageRequest,
        costs: &[u64],
        fault: Option<&'static str>,
        at_ms: u64,
    ) {
        let prompt_sha256 = sha256_hex(request.prompt.as_bytes());
        self.images.extend(costs.iter().enumerate().map(|(index, cost)| Billed {
            request_id: payer.request_id.clone(),
            client_request_id: payer.client_request_id.clone(),
            api_key_fingerprint: payer.api_key_fingerprint.clone(),
            model: request.model.id,
            size: request.size,
            quality: request.quality,
            cost_micro_usd: *cost,
            prompt_sha256: prompt_sha256.clone(),
            at_ms,
            index,
            fault,
        }));
    }

    pub(crate) fn refuse(&mut self, refusal: Refusal) {
        self.refusals.push(refusal);
    }

    /// Notes that pictures were made for a client that no longer listened.
    pub(crate) fn unheard(&mut self, pictures: usize) {
        self.completed_after_disconnect += pictures as u64;
    }

    pub(crate) fn totals(&self, in_flight: u64) -> Value {
        let mut by_code = BTreeMap::<&str, u64>::new();
        for refusal in &self.refusals {
            *by_code.entry(&refusal.code).or_default() += 1;
        }
        let prompts: BTreeSet<_> = self.images.iter().map(|image| &image.prompt_sha256).collect();
        json!({
            "images": self.images.len(),
            "cost_micro_usd": self.images.iter().map(|image| image.cost_micro_usd).sum::<u64>(),
            "refusals": self.refusals.len(),
            "by_code": by_code,
            "distinct_prompts": prompts.len(),
            "in_flight": in_flight,
            "completed_after_disconnect": self.completed_after_disconnect,
        })
    }

    /// The pictures as CSV.
    pub(crate) fn csv(&self) -> String {
        let mut csv = String::from(
            "request_id,client_request_id,api_key_fingerprint,model,size,quality,cost_micro_usd,prompt_sha256,\
             at_ms,index,fault\n",
        );
        for image in &self.images {
            let row = [
                image.request_id.clone(),
                image.client_request_id.clone().unwrap_or_default(),
                image.api_key_fingerprint.clone(),
                image.model.to_owned(),
                image.size.to_string(),
                image.quality.to_owned(),
                image.cost_micro_usd.to_string(),
                image.prompt_sha256.clone(),
                image.at_ms.to_string(),
                image.index.to_string(),
                image.fault.unwrap_or_default().to_owned(),
            ];
            csv += &row.map(|cell| quoted(&cell)).join(",");
            csv.push('\n');
        }
        csv
    }
}

fn quoted(cell: &str) -> String {
    if cell.contains(['"', ',', '\n', '\r']) {
        return format!("\"{}\"", cell.replace('"', "\"\""));
    }
    cell.to_owned()
}
