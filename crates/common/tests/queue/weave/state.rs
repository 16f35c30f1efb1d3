//! Everything there is at a moment: what Redis and the store hold, who has what in hand, and what really happened.

use super::calls::{Right, Verdict};

/// What a search explores.
#[derive(Clone, Debug)]
pub(crate) struct Bounds {
    pub(super) assets: u8,
    /// Batches, each of which asks for all of the assets.
    pub(super) batches: u8,
    pub(super) budget: Budget,
    /// Most assets in a worker's hands.
    pub(super) hands: usize,
    /// How a request that brings no image may end.
    pub(super) verdicts: &'static [Verdict],
    /// Whether tokens that ended may be forgotten, as they are after two minutes.
    pub(super) forgetful: bool,
    /// A worker that sends whatever Redis answers: the search must find it.
    pub(super) careless: bool,
}

/// What may still happen, how often.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Budget {
    /// Assets claimed.
    pub(super) claims: u8,
    /// Replies lost, or renewals that arrive late.
    pub(super) lost: u8,
    /// Deaths of workers.
    pub(super) deaths: u8,
    pub(super) cancels: u8,
    /// Failed or parked assets that a person retries.
    pub(super) retries: u8,
}

/// How far an asset is in its owner's hands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum At {
    Claimed,
    /// Being given back unsent, but Redis does not take it for unsent.
    Returning,
    Sent,
    /// It was told, and the reply was lost.
    Telling(Verdict),
    Received,
    /// Another attempt's image is in the store; it is settled first.
    Rival,
    Stored,
    /// The owner is dead: its image, or another's, is in the store.
    Found,
    /// The owner is dead, and there is no image of its own.
    Missing,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Hand {
    pub(super) right: Right,
    pub(super) at: At,
    /// Whether the send deadline is still ahead, as the owner knows it.
    pub(super) deadline_ahead: bool,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Worker {
    pub(super) dead: bool,
    pub(super) hands: Vec<Hand>,
    /// A claim whose reply was lost: its first token, and how many were asked for.
    pub(super) asked: Option<(u8, u8)>,
    /// A renewal that is under way: what the hand was when it left.
    pub(super) renewal: Option<Hand>,
}

impl Worker {
    /// Whether somebody has looked for what this one, which is dead, has sent, and has not said yet what he saw.
    pub(super) fn certifies(&self) -> bool {
        self.hands.iter().any(|hand| matches!(hand.at, At::Found | At::Missing))
    }
}

/// What a look at the store showed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Seen {
    NotYet,
    Image,
    Nothing,
}

/// An orphan that the reaper looks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Look {
    pub(super) right: Right,
    pub(super) last: bool,
    pub(super) seen: Seen,
}

/// What the owner of a token has said of its request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(super) enum Word {
    #[default]
    Nothing,
    Unbilled,
    Bad,
}

/// What is true of a token, whatever Redis holds: no actor reads this.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Facts {
    pub(super) asset: u8,
    pub(super) payer: u8,
    pub(super) sent: bool,
    pub(super) word: Word,
    /// Entries of the ledger.
    pub(super) unknown: u8,
    pub(super) resolved: u8,
    pub(super) settled: u8,
    /// Sum of what was settled.
    pub(super) cost: u64,
}

/// The reaper's place among the workers: it adopts what the dead had received, and claims nothing.
pub(super) const REAPER: usize = 2;

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct State {
    /// Number of what Redis holds.
    pub(super) content: u32,
    pub(super) workers: [Worker; 3],
    pub(super) looks: Vec<Look>,
    /// By asset: whose image the store has. The first one stays.
    pub(super) store: Vec<Option<Right>>,
    /// By token, from 1.
    pub(super) facts: Vec<Facts>,
    /// By batch: how often it was completed, and how often it had reason to be.
    pub(super) completed: Vec<(u8, u8)>,
    pub(super) budget: Budget,
}

impl State {
    pub(super) fn new(content: u32, bounds: &Bounds) -> Self {
        Self {
            content,
            workers: Default::default(),
            looks: Vec::new(),
            store: vec![None; bounds.assets.into()],
            facts: Vec::new(),
            completed: vec![(0, 1); bounds.batches.into()],
            budget: bounds.budget,
        }
    }

    /// Who has a token in hand, and where.
    pub(super) fn find(&self, token: u8) -> (usize, usize) {
        let places = self.workers.iter().enumerate();
        let mut found = places.filter_map(|(w, worker)| {
            worker.hands.iter().position(|hand| hand.right.token == token).map(|h| (w, h))
        });
        found.next().expect("somebody has it in hand")
    }

    pub(super) fn hand(&mut self, token: u8) -> &mut Hand {
        let (worker, hand) = self.find(token);
        &mut self.workers[worker].hands[hand]
    }

    pub(super) fn drop_hand(&mut self, token: u8) {
        let (worker, hand) = self.find(token);
        self.workers[worker].hands.remove(hand);
    }

    pub(super) fn facts(&mut self, token: u8) -> &mut Facts {
        &mut self.facts[usize::from(token) - 1]
    }

    /// Tokens by which somebody may still call.
    pub(super) fn tokens_in_use(&self) -> Vec<u8> {
        let hands = self.workers.iter().flat_map(|worker| worker.hands.iter().chain(&worker.renewal));
        let granted = self.workers.iter().filter_map(|worker| worker.asked);
        hands
            .map(|hand| hand.right.token)
            .chain(self.looks.iter().map(|look| look.right.token))
            .chain(granted.flat_map(|(first, free)| first..first + free))
            .collect()
    }

    /// Puts what has no order into one: workers are alike.
    pub(super) fn sort(&mut self) {
        for worker in &mut self.workers {
            worker.hands.sort_unstable();
        }
        self.workers[..REAPER].sort_unstable();
        self.looks.sort_unstable();
    }
}
