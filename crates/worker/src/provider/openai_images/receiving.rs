//! Receives a success: the image to disk, and the rest of the answer read.

use std::io;

use reqwest::Response;
use serde_json::Value;
use tokio::time::Instant;

use crate::{
    provider::{
        FETCH_MARGIN,
        answer::{Answer, ApiError, Moderation, ModerationStage, Received, Unusable, UnusableReason},
        beside::Beside,
        error_body,
        headers::AnswerHeaders,
        landing::Landing,
        receive::{self, End, ReceivedJson, longest_body},
        result_url::FetchProblem,
        transport,
        wide_streams::{BodyStream, Broken},
    },
    scan::ImageText,
};

use super::{OpenAiImages, response::Told};

impl OpenAiImages {
    /// Receives a success, and the image it holds or points to.
    pub(super) async fn receive(
        &self,
        response: Response,
        mut landing: Landing,
        deadline: Instant,
    ) -> Answer {
        let status = response.status().as_u16();
        let headers = AnswerHeaders::read(response.headers());
        let unusable = |(reason, saw_image, detail): (UnusableReason, bool, String)| {
            let detail = self.redactor.clean(&detail);
            Answer::Unusable(Box::new(Unusable { reason, saw_image, detail, headers: headers.clone() }))
        };
        let limit = self.account.max_image_bytes;
        if response.content_length().is_some_and(|length| length > longest_body(limit)) {
            return unusable((
                UnusableReason::TooLarge,
                false,
                "the answer announces too many bytes".to_owned(),
            ));
        }
        let mut body = BodyStream::new(response, deadline, &self.wide);
        let got = receive::json(&mut body, &mut landing, limit).await;
        drop(body);
        let parsed = serde_json::from_slice::<Value>(&got.scanned.skeleton).ok();
        let told = parsed.as_ref().map(Told::read).unwrap_or_default();
        let whole_image = got.scanned.image == ImageText::Complete && landing.written() > 0;
        if !whole_image || matches!(got.end, End::Disk(_)) {
            let reason = imageless(&got, parsed.is_some());
            match (reason, &parsed) {
                (UnusableReason::NoImage, Some(body)) if error_body::states_error(body) || told.withheld => {
                    return Answer::Refused(Box::new(self.stated(status, headers, body, told.withheld)));
                }
                (UnusableReason::NoImage, _) if told.url.is_some() => {}
                _ => return unusable((reason, got.saw_image, self.imageless_detail(&got))),
            }
            let address = told.url.as_deref().unwrap_or_default();
            if let Err(problem) = self.fetch(address, &mut landing, deadline).await {
                return unusable(problem);
            }
        }
        let images = got.scanned.images.max(1);
        match keep(landing, told, headers.clone(), images, parsed.is_none()).await {
            Ok(received) => Answer::Image(Box::new(received)),
            Err(error) => unusable((UnusableReason::Disk, true, error.to_string())),
        }
    }

    async fn fetch(
        &self,
        address: &str,
        landing: &mut Landing,
        deadline: Instant,
    ) -> Result<(), (UnusableReason, bool, String)> {
        let deadline = deadline.max(Instant::now() + FETCH_MARGIN);
        landing.extend(deadline);
        let fetched = self.fetcher.fetch(address, landing, deadline, &self.wide).await;
        fetched.map_err(|problem| match problem {
            FetchProblem::HostRefused(detail) => (UnusableReason::HostRefused, true, detail),
            FetchProblem::TooLarge => {
                (UnusableReason::TooLarge, true, "it is larger than allowed".to_owned())
            }
            FetchProblem::Failed(detail) => (UnusableReason::FetchFailed, true, detail),
            FetchProblem::Disk(error) => (UnusableReason::Disk, true, error.to_string()),
        })
    }

    fn stated(&self, status: u16, headers: AnswerHeaders, body: &Value, withheld: bool) -> ApiError {
        let mut error = error_body::read(status, headers, body.to_string().as_bytes(), &self.redactor);
        if withheld && error.code.is_none() {
            error.message = "the image was withheld by moderation".to_owned();
            error.code = Some("moderation_blocked".to_owned());
            error.moderation = Some(Moderation { stage: ModerationStage::Output, categories: Vec::new() });
        }
        error
    }

    fn imageless_detail(&self, got: &ReceivedJson) -> String {
        match &got.end {
            End::Disk(error) => error.to_string(),
            End::Broken(Broken::Connection(error)) => transport::describe(error),
            End::Broken(Broken::TimedOut) => "the answer did not arrive in time".to_owned(),
            _ => {
                let headers = AnswerHeaders::default();
                error_body::read(200, headers, &got.scanned.skeleton, &self.redactor).message
            }
        }
    }
}

async fn keep(
    landing: Landing,
    told: Told,
    headers: AnswerHeaders,
    images: u32,
    cut: bool,
) -> io::Result<Received> {
    let (file, bytes) = (landing.sink().to_owned(), landing.written());
    let beside = Beside {
        request_id: headers.request_id.clone(),
        revised_prompt: told.revised_prompt.clone(),
        usage: told.usage,
    };
    let sha256 = landing.seal(beside).await?;
    let Told { revised_prompt, usage, echo, .. } = told;
    Ok(Received { file, bytes, sha256, revised_prompt, usage, echo, images, cut, headers })
}

fn imageless(got: &ReceivedJson, is_json: bool) -> UnusableReason {
    match (&got.end, got.scanned.image) {
        (End::Disk(_), _) => UnusableReason::Disk,
        (_, ImageText::TooLarge) | (End::TooLarge, _) => UnusableReason::TooLarge,
        (_, ImageText::NotBase64) => UnusableReason::NotBase64,
        (End::Broken(Broken::TimedOut), _) => UnusableReason::Stalled,
        (End::Broken(Broken::Connection(_)), _) | (End::Whole, ImageText::Cut) => UnusableReason::Truncated,
        (End::Whole, _) if is_json || got.scanned.skeleton_cut => UnusableReason::NoImage,
        (End::Whole, _) => UnusableReason::NotJson,
    }
}
