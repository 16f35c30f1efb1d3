//! What the page says of one image.

use pictor_common::{MicroUsd, Spec, batch::Made, queue::AssetState};
use serde::Serialize;

use crate::commands::results::pages::Item;

/// How it stands, as the page sorts it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum State {
    Made,
    Failed,
    Parked,
    Removed,
    #[default]
    Waiting,
}

impl State {
    fn of(state: &AssetState) -> Self {
        match (state.phase.as_str(), &state.made) {
            (_, Some(_)) => Self::Made,
            ("failed" | "substituted", None) => Self::Failed,
            ("parked", None) => Self::Parked,
            ("removed", None) => Self::Removed,
            _ => Self::Waiting,
        }
    }

    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Made => "made",
            Self::Failed => "failed",
            Self::Parked => "parked",
            Self::Removed => "removed",
            Self::Waiting => "waiting",
        }
    }
}

/// One image of one line, as it stands in the page's data. What is not known is left out.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) struct Card {
    pub(super) row: u64,
    pub(super) id: String,
    /// Which of the line's images, from 1; where there are several.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) take: Option<u32>,
    pub(super) key: String,
    pub(super) state: State,
    /// In words of its own, where it is not made yet.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) phase: Option<&'static str>,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(super) model: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) size: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) quality: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) prompt: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) revised_prompt: Option<String>,
    /// In micro-USD.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) cost: Option<MicroUsd>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) bytes: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) content_type: Option<String>,
    /// When it was stored, in milliseconds since 1970.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) at: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) request_id: Option<String>,
    #[serde(skip_serializing_if = "is_zero")]
    pub(super) attempts: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) failure: Option<Trouble>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) mismatch: Option<String>,
    /// The model that was asked first and could not make it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) instead_of: Option<String>,
    /// In what a person had it made otherwise than its row says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) how: Option<String>,
    /// Why there is no picture of an image that is made.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) problem: Option<String>,
    /// Where the image itself is, to follow.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) link: Option<String>,
    /// When the link ends.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) expires: Option<String>,
    /// Where the image itself is, where a browser cannot follow.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) place: Option<String>,
}

/// Why it failed, or last stumbled.
#[derive(Debug, Serialize)]
pub(super) struct Trouble {
    pub(super) class: String,
    pub(super) message: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) status: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) code: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) request_id: Option<String>,
    pub(super) at: u64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes references")]
const fn is_zero(count: &u32) -> bool {
    *count == 0
}

impl Card {
    /// What the queue knows; the rest lies beside the image in the store.
    pub(super) fn of(item: &Item) -> Self {
        let state = &item.state;
        let kind = State::of(state);
        let failure = state.failure.as_ref().filter(|_| kind != State::Made);
        let mut card = Self {
            row: item.line.row,
            id: item.line.id.clone(),
            take: (item.line.keys.len() > 1).then_some(item.take + 1),
            key: item.key.to_string(),
            state: kind,
            phase: phase(&state.phase),
            model: state.model.clone(),
            attempts: state.attempts,
            failure: failure.map(|failure| Trouble {
                class: failure.class.clone(),
                message: failure.message.clone(),
                status: failure.status,
                code: failure.code.clone(),
                request_id: failure.request_id.clone(),
                at: failure.at_ms,
            }),
            instead_of: item.instead_of.clone().filter(|_| item.how.is_none()),
            how: item.how.clone(),
            ..Self::default()
        };
        if let Some(spec) = &state.spec {
            card.asked(spec);
        }
        if let Some(made) = &state.made {
            card.came(made);
        }
        card.cost = card.cost.or_else(|| Some(state.removed.as_ref()?.made.cost));
        card
    }

    /// Adds what was asked for.
    pub(super) fn asked(&mut self, spec: &Spec) {
        self.prompt.clone_from(&spec.prompt);
        self.quality.clone_from(&spec.quality);
        if self.model.is_empty() {
            self.model.clone_from(&spec.model);
        }
        if self.size.is_none() {
            self.size.clone_from(&spec.size);
        }
    }

    /// Adds what was made. What is known already is not taken back.
    pub(super) fn came(&mut self, made: &Made) {
        self.cost = Some(made.cost);
        self.bytes = Some(made.bytes).filter(|bytes| *bytes > 0);
        self.at = Some(made.at_ms).filter(|at| *at > 0);
        if made.width > 0 {
            self.size = Some(format!("{}x{}", made.width, made.height));
        }
        let fill = |to: &mut Option<String>, from: &Option<String>| {
            if from.is_some() {
                to.clone_from(from);
            }
        };
        fill(&mut self.request_id, &made.request_id);
        fill(&mut self.revised_prompt, &made.revised_prompt);
        fill(&mut self.mismatch, &made.mismatch);
        if !made.content_type.is_empty() {
            self.content_type = Some(made.content_type.clone());
        }
    }
}

/// What happens to an image that is not made yet, in words.
fn phase(phase: &str) -> Option<&'static str> {
    match phase {
        "" => Some("not known to the queue"),
        "ready" => Some("waits for its turn"),
        "claimed" => Some("about to be sent"),
        "sent" => Some("being made"),
        "received" => Some("being stored"),
        "orphan" => Some("its worker is gone; its outcome is being found out"),
        "substituted" => Some("left to another model"),
        "removed" => Some("by somebody; it stays paid"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use pictor_common::{AssetKey, batch::Line, queue::Failure};

    use super::*;

    fn item(phase: &str, keys: usize, made: Option<Made>) -> Item {
        let spec = Spec { model: "m".into(), prompt: Some("a mug".into()), ..Spec::default() };
        let key = AssetKey::of(&spec);
        let line = Line { row: 7, id: "mug".into(), keys: vec![key.clone(); keys], cells: vec![] };
        let failure = Failure { class: "moderation".into(), message: "no".into(), ..Failure::default() };
        let state = AssetState {
            phase: phase.into(),
            spec: Some(spec),
            made,
            failure: Some(failure),
            ..AssetState::default()
        };
        Item {
            line: Arc::new(line),
            take: 0,
            key,
            original_key: None,
            instead_of: None,
            how: None,
            redone: false,
            state,
        }
    }

    #[test]
    fn every_phase_is_one_of_five_states() {
        let of = |phase| Card::of(&item(phase, 1, None)).state;
        for phase in ["", "ready", "claimed", "sent", "received", "orphan", "later versions' word"] {
            assert_eq!(of(phase), State::Waiting, "{phase}");
        }
        assert_eq!((of("failed"), of("parked")), (State::Failed, State::Parked));
        assert_eq!(of("removed"), State::Removed);
        let made = Card::of(&item("done", 1, Some(Made::default())));
        assert_eq!(made.state, State::Made);
        assert!(made.failure.is_none(), "what it stumbled over before is not why it failed");
    }

    #[test]
    fn takes_are_counted_from_one_where_there_are_several() {
        assert_eq!(Card::of(&item("ready", 1, None)).take, None);
        assert_eq!(Card::of(&item("ready", 3, None)).take, Some(1));
    }

    #[test]
    fn what_lies_beside_the_image_adds_and_takes_nothing_back() {
        let known = Made { mismatch: Some("asked for png".into()), width: 8, height: 4, ..Made::default() };
        let mut card = Card::of(&item("done", 1, Some(known.clone())));
        card.came(&Made { mismatch: None, request_id: Some("req_1".into()), ..known });
        assert_eq!(
            (card.mismatch.as_deref(), card.request_id.as_deref()),
            (Some("asked for png"), Some("req_1"))
        );
        assert_eq!(card.size.as_deref(), Some("8x4"));
    }
}
