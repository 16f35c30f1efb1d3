//! The OpenAI images dialect over real HTTP on loopback.

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
