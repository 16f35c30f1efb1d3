//! Every fault the simulator knows: one table.

use crate::faults::{Effect, Fault, Moment, Spoil, Stage, Wire, Words};

const INVALID: &str = "invalid_request_error";
const USER: &str = "image_generation_user_error";
const QUOTA: &str = "insufficient_quota";
const SAFETY: &str = "Your request was rejected by the safety system. If you believe this is an error, contact us at \
                      help.openai.com and include the request ID. safety_violations=[violence].";
const UNVERIFIED: &str = "Your organization must be verified to use the model `{model}`. Please go to: \
                          https://platform.openai.com/settings/organization/general and click on Verify \
                          Organization. If you just verified, it can take up to 15 minutes for access to propagate.";
const SERVER: &str = "The server had an error while processing your request. Sorry about that!";
const OVERLOADED: &str = "The server is currently overloaded with other requests. Please try again later.";
const SLOW_DOWN: &str =
    "You have increased your request rate too quickly. Please slow down and try again later.";
const BILLING: &str = "Billing hard limit has been reached.";
const SPENT: &str = "You exceeded your current quota, please check your plan and billing details. For more \
                     information on this error, read the docs: \
                     https://platform.openai.com/docs/guides/error-codes/api-errors.";
const BAD_GATEWAY: &str = "<html>\r\n<head><title>502 Bad Gateway</title></head>\r\n<body>\r\n<center><h1>502 Bad \
                           Gateway</h1></center>\r\n<hr><center>cloudflare</center>\r\n</body>\r\n</html>\r\n";
const TIMED_OUT: &str = "<!DOCTYPE html>\n<html lang=\"en-US\"><head><title>api.openai.com | 504: Gateway time-out\
                         </title></head><body><h1>Gateway time-out</h1><p>Error code 504</p></body></html>\n";

const fn api(
    name: &'static str,
    status: u16,
    kind: &'static str,
    code: &'static str,
    message: &'static str,
) -> Fault {
    let moment = if status == 500 { Moment::Completion } else { Moment::Arrival };
    let words = Words {
        status,
        kind,
        code: if code.is_empty() { None } else { Some(code) },
        param: None,
        message,
        moderation_stage: None,
        retry_after_ms: None,
    };
    Fault { name, billed: false, moment, effect: Effect::Api(words) }
}

const fn raw(name: &'static str, status: u16, content_type: &'static str, body: &'static str) -> Fault {
    Fault {
        name,
        billed: false,
        moment: Moment::Completion,
        effect: Effect::Raw { status, content_type, body },
    }
}

const fn spoilt(name: &'static str, spoil: Spoil) -> Fault {
    Fault { name, billed: true, moment: Moment::Completion, effect: Effect::Spoilt(spoil) }
}

const fn wire(name: &'static str, wire: Wire) -> Fault {
    Fault { name, billed: true, moment: Moment::Completion, effect: Effect::Wire(wire) }
}

impl Fault {
    const fn param(self, param: &'static str) -> Self {
        self.worded(Some(param), None, None)
    }

    const fn stage(self, stage: &'static str) -> Self {
        self.worded(None, Some(stage), None)
    }

    const fn retry_ms(self, millis: u64) -> Self {
        self.worded(None, None, Some(millis))
    }

    const fn worded(
        mut self,
        param: Option<&'static str>,
        stage: Option<&'static str>,
        retry: Option<u64>,
    ) -> Self {
        if let Effect::Api(words) = self.effect {
            self.effect =
                Effect::Api(Words { param, moderation_stage: stage, retry_after_ms: retry, ..words });
        }
        self
    }

    const fn billed(mut self) -> Self {
        self.billed = true;
        self.moment = Moment::Completion;
        self
    }

    const fn on_arrival(mut self) -> Self {
        self.billed = false;
        self.moment = Moment::Arrival;
        self
    }
}

pub(crate) static FAULTS: [Fault; 75] = [
    // 400: the request's own fault
    api("moderation_blocked", 400, USER, "moderation_blocked", SAFETY).stage("input"),
    api("moderation_blocked_output", 400, USER, "moderation_blocked", SAFETY).stage("output").billed(),
    api("content_policy_violation", 400, INVALID, "content_policy_violation", SAFETY),
    api("image_content_policy_violation", 400, USER, "image_content_policy_violation", SAFETY),
    api(
        "invalid_value",
        400,
        USER,
        "invalid_value",
        "Invalid size '{size}'. The requested resolution is below the current minimum pixel budget.",
    )
    .param("size"),
    api(
        "invalid_image_file",
        400,
        USER,
        "invalid_image_file",
        "Invalid image file or mode for image 1, please check your image file.",
    )
    .param("image"),
    api(
        "invalid_image",
        400,
        INVALID,
        "invalid_image",
        "The image data you provided does not represent a valid image.",
    )
    .param("image"),
    api(
        "invalid_input_fidelity_model",
        400,
        INVALID,
        "invalid_input_fidelity_model",
        "The model '{model}' does not support the 'input_fidelity' parameter.",
    )
    .param("input_fidelity"),
    api("unknown_parameter", 400, INVALID, "unknown_parameter", "Unknown parameter: 'seed'.").param("seed"),
    api(
        "unsupported_file_mimetype",
        400,
        INVALID,
        "unsupported_file_mimetype",
        "Invalid file 'image': unsupported mimetype ('application/octet-stream'). Supported file formats are \
         'image/jpeg', 'image/png', and 'image/webp'.",
    )
    .param("image"),
    // 400, 401, 403, 404, 410: the account's or the model's fault
    api("billing_hard_limit_reached", 400, USER, "billing_hard_limit_reached", BILLING),
    api("billing_hard_limit_reached_legacy", 400, INVALID, "billing_hard_limit_reached", BILLING),
    api("invalid_api_key", 401, INVALID, "invalid_api_key", "Incorrect API key provided."),
    api(
        "ip_not_authorized",
        401,
        INVALID,
        "ip_not_authorized",
        "Your IP address is not authorized to use this API key or project.",
    ),
    api("organization_unverified", 403, INVALID, "", UNVERIFIED),
    api("unsupported_model", 403, INVALID, "unsupported_model", UNVERIFIED),
    api(
        "unsupported_country",
        403,
        "request_forbidden",
        "unsupported_country_region_territory",
        "Country, region, or territory not supported",
    ),
    api(
        "model_not_found",
        404,
        INVALID,
        "model_not_found",
        "The model '{model}' does not exist or you do not have access to it.",
    ),
    api("model_retired", 410, INVALID, "model_deprecated", "The model `{model}` has been deprecated and shut down."),
    // 429: too fast
    api(
        "rate_limit_exceeded",
        429,
        "input-images",
        "rate_limit_exceeded",
        "Rate limit reached for {model} (for limit gpt-image) in organization {organization} on input-images per \
         min: Limit 250, Used 250, Requested 1. Please try again in 240ms.",
    )
    .retry_ms(240),
    api(
        "rate_limit_requests",
        429,
        "requests",
        "rate_limit_exceeded",
        "Rate limit reached for {model} in organization {organization} on requests per min (RPM): Limit 500, Used \
         500, Requested 1. Please try again in 120ms.",
    )
    .retry_ms(120),
    api(
        "rate_limit_tokens",
        429,
        "tokens",
        "rate_limit_exceeded",
        "Rate limit reached for {model} in organization {organization} on tokens per min (TPM): Limit 30000, Used \
         29446, Requested 821. Please try again in 534ms.",
    )
    .retry_ms(534),
    api(
        "rate_limit_plain",
        429,
        "rate_limit_error",
        "rate_limit_exceeded",
        "You've exceeded the rate limit, please slow down and try again after 0.84 seconds.",
    ),
    api(
        "rate_limit_too_large",
        429,
        "input-images",
        "rate_limit_exceeded",
        "Request too large for {model} (for limit gpt-image) in organization {organization} on input-images per \
         min: Limit 1, Requested 2. The input or output tokens must be reduced in order to run successfully.",
    ),
    api(
        "rate_limit_zero",
        429,
        "input-images",
        "rate_limit_exceeded",
        "Rate limit reached for {model} (for limit gpt-image) in organization {organization} on input-images per \
         min: Limit 0, Used 0, Requested 1.",
    ),
    api("slow_down", 429, "rate_limit_error", "slow_down", SLOW_DOWN).retry_ms(1000),
    // What a LiteLLM proxy makes of a 429.
    api("proxy_throttling", 429, "throttling_error", "429", "litellm.RateLimitError: rate limit reached"),
    // 429: out of money
    api("credit_balance_exhausted", 429, QUOTA, "credit_balance_exhausted", "Your credit balance is exhausted."),
    api("organization_spend_limit_exceeded", 429, QUOTA, "organization_spend_limit_exceeded", SPENT),
    api("project_spend_limit_exceeded", 429, QUOTA, "project_spend_limit_exceeded", SPENT),
    api("organization_usage_limit_exceeded", 429, QUOTA, "organization_usage_limit_exceeded", SPENT),
    api("insufficient_quota", 429, QUOTA, "insufficient_quota", SPENT),
    // 5xx
    api("server_error", 500, "server_error", "server_error", SERVER),
    api("server_is_overloaded", 503, "service_unavailable_error", "server_is_overloaded", OVERLOADED).retry_ms(1000),
    api("slow_down_503", 503, "service_unavailable_error", "slow_down", SLOW_DOWN).retry_ms(1000),
    raw("bad_gateway_html", 502, "text/html", BAD_GATEWAY),
    raw("gateway_timeout_html", 504, "text/html", TIMED_OUT),
    raw("bad_gateway_billed", 502, "text/html", BAD_GATEWAY).billed(),
    raw("gateway_timeout_billed", 504, "text/html", TIMED_OUT).billed(),
    raw("empty_502", 502, "text/plain", ""),
    raw("error_string", 500, "application/json", r#"{"error":"out of memory"}"#),
    raw("error_string_400", 400, "application/json", r#"{"error":"prompt required"}"#),
    // 200 without a picture
    raw("empty_body", 200, "application/json", "").billed(),
    raw("not_json", 200, "text/html", "<html><body>Please sign in to the network.</body></html>").billed(),
    raw(
        "error_in_200",
        200,
        "application/json",
        r#"{"error":{"message":"The server had an error.","type":"server_error","param":null,"code":"server_error"}}"#,
    ),
    raw("error_string_in_200", 200, "application/json", r#"{"error":"generation failed"}"#),
    spoilt("no_data", Spoil::NoData),
    spoilt("no_image", Spoil::NoImage),
    spoilt("null_image", Spoil::NullImage),
    spoilt("empty_image", Spoil::EmptyImage),
    raw("null_data", 200, "application/json", r#"{"created":1,"data":null}"#).billed(),
    raw("data_not_a_list", 200, "application/json", r#"{"created":1,"data":{}}"#).billed(),
    // 200 with a picture, oddly told
    spoilt("two_images", Spoil::TwoImages),
    spoilt("base64_in_lines", Spoil::InLines),
    spoilt("base64_as_data_url", Spoil::AsDataUrl),
    // 200 with a spoilt picture
    spoilt("bad_base64", Spoil::BadBase64),
    spoilt("wrong_format", Spoil::WrongFormat),
    spoilt("wrong_size", Spoil::WrongSize),
    spoilt("undecodable_image", Spoil::Undecodable),
    spoilt("not_an_image", Spoil::NotAnImage),
    spoilt("shortened_image", Spoil::Shortened),
    spoilt("bad_checksum", Spoil::BadChecksum),
    spoilt("bomb_image", Spoil::Bomb),
    spoilt("url_gone", Spoil::UrlGone),
    // The wire
    wire("truncated_body", Wire::Truncated),
    wire("stalled_body", Wire::Stalled),
    wire("hang", Wire::Hang),
    wire("cut_before_headers", Wire::Cut(Stage::BeforeHeaders)),
    wire("cut_after_headers", Wire::Cut(Stage::AfterHeaders)),
    wire("cut_mid_body", Wire::Cut(Stage::MidBody)),
    wire("reset_before_headers", Wire::Reset(Stage::BeforeHeaders)),
    wire("reset_after_headers", Wire::Reset(Stage::AfterHeaders)),
    wire("reset_mid_body", Wire::Reset(Stage::MidBody)),
    wire("cut_on_arrival", Wire::Cut(Stage::BeforeHeaders)).on_arrival(),
    wire("reset_on_arrival", Wire::Reset(Stage::BeforeHeaders)).on_arrival(),
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn names_are_unique_and_errors_are_not_billed_unless_named_so() {
        let names: BTreeSet<_> = FAULTS.iter().map(|fault| fault.name).collect();
        assert_eq!(names.len(), FAULTS.len());
        for fault in &FAULTS {
            if fault.billed && fault.status().is_some_and(|status| status >= 400) {
                assert!(fault.name.ends_with("_billed") || fault.name.ends_with("_output"), "{}", fault.name);
            }
        }
    }
}
