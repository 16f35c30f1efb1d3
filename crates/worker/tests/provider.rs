//! The OpenAI images dialect over real HTTP on loopback.

#![expect(clippy::unwrap_used, reason = "a test may panic outside its test functions, too")]

#[path = "provider/below_http.rs"]
mod below_http;
#[path = "provider/refusals.rs"]
mod refusals;
#[path = "provider/scripted.rs"]
mod scripted;
#[path = "provider/success.rs"]
mod success;
#[path = "provider/url_answers.rs"]
mod url_answers;
