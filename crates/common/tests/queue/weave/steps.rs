//! What can happen next: a call by a worker, the reaper or a person, an answer of the API, a death, time that passes.
//!
//! Steps are as the worker crate takes them: `generate`, `deliver`, `reaper`, `certify`.

use super::{
    calls::{Verdict, token_name},
    content::{AHEAD, Content, PAST},
    names::Names,
    state::{At, Bounds, Hand, REAPER, Seen, State},
};

/// Whether the caller hears the reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reply {
    Heard,
    Lost,
}
use Reply::{Heard, Lost};

/// A step. What belongs to an asset in hand names its token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    Claim(usize, Reply),
    /// The claim whose reply was lost is asked again.
    ClaimAgain(usize),
    Own(u8, Act),
    /// A renewal that left earlier arrives.
    Arrive(usize),
    /// With `true` the disk stays.
    Die(usize, bool),
    Reap(Reply),
    /// The reaper looks into the store for a token's image.
    Look(u8),
    /// The reaper says what it saw.
    Judge(u8),
    Cancel(u8),
    Retry(u8),
    /// A lease ends without a renewal.
    Expire(u8),
    /// A send deadline, or the time of the next look, has come.
    Deadline(u8),
    /// The time of a retry has come.
    Due(u8),
    /// Two minutes after tokens have ended.
    Forget,
}

/// What the owner of an asset does, or whoever has taken its disk over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Act {
    Begin(Reply),
    Release(Reply),
    /// Says that what Redis takes for sent was not.
    Return,
    Tell(Verdict, Reply),
    Receive,
    Put,
    SettleRival,
    Settle(Reply),
    Extend,
    /// A renewal leaves, and arrives later.
    Leave,
    Certify,
    Adopt,
}

impl Step {
    /// Whether it happens also when no worker does anything any more.
    pub(super) fn without_workers(self) -> bool {
        matches!(
            self,
            Self::Reap(Heard)
                | Self::Look(_)
                | Self::Judge(_)
                | Self::Expire(_)
                | Self::Deadline(_)
                | Self::Due(_)
                | Self::Forget
        )
    }
}

/// All that can happen next.
pub(super) fn steps(state: &State, content: &Content, bounds: &Bounds, names: &Names) -> Vec<Step> {
    let mut all = Vec::new();
    let replies: &[Reply] = if state.budget.lost > 0 { &[Heard, Lost] } else { &[Heard] };
    for worker in 0..REAPER {
        claims(&mut all, state, bounds, worker, replies);
    }
    for (place, worker) in state.workers.iter().enumerate() {
        for hand in &worker.hands {
            let acts = if worker.dead { after_death(hand) } else { acts(hand, bounds, replies) };
            all.extend(acts.into_iter().map(|act| Step::Own(hand.right.token, act)));
            if !worker.dead && worker.renewal.is_none() && state.budget.lost > 0 {
                all.push(Step::Own(hand.right.token, Act::Leave));
            }
        }
        if worker.renewal.is_some() {
            all.push(Step::Arrive(place));
        }
    }
    all.extend(replies.iter().map(|reply| Step::Reap(*reply)));
    for look in &state.looks {
        let token = look.right.token;
        all.push(if look.seen == Seen::NotYet { Step::Look(token) } else { Step::Judge(token) });
    }
    if state.budget.cancels > 0 {
        all.extend((0..bounds.batches).filter(|b| names.open(content, *b)).map(Step::Cancel));
    }
    let given_up = |asset: &u8| matches!(names.phase(content, *asset), Some("failed" | "parked"));
    if state.budget.retries > 0 {
        all.extend((0..bounds.assets).filter(given_up).map(Step::Retry));
    }
    times(&mut all, state, content, bounds, names);
    all
}

fn claims(all: &mut Vec<Step>, state: &State, bounds: &Bounds, worker: usize, replies: &[Reply]) {
    let w = &state.workers[worker];
    // Of two that are alike, one does it.
    if w.dead || worker > 0 && *w == state.workers[worker - 1] {
        return;
    }
    if w.asked.is_some() {
        all.push(Step::ClaimAgain(worker));
    } else if w.hands.len() < bounds.hands && state.budget.claims > 0 {
        all.extend(replies.iter().map(|reply| Step::Claim(worker, *reply)));
    }
    if state.budget.deaths > 0 && (w.asked.is_some() || !w.hands.is_empty()) {
        all.extend([true, false].map(|disk| Step::Die(worker, disk)));
    }
}

fn acts(hand: &Hand, bounds: &Bounds, replies: &[Reply]) -> Vec<Act> {
    let both = |act: fn(Reply) -> Act| replies.iter().map(move |reply| act(*reply));
    let mut acts = vec![Act::Extend];
    match hand.at {
        At::Claimed => acts.extend(both(Act::Begin).chain(both(Act::Release))),
        At::Returning => acts.push(Act::Return),
        At::Sent => {
            let verdicts = bounds.verdicts.iter();
            acts.extend(verdicts.flat_map(|verdict| replies.iter().map(|reply| Act::Tell(*verdict, *reply))));
            acts.push(Act::Receive);
        }
        At::Telling(verdict) => acts.push(Act::Tell(verdict, Heard)),
        At::Received => acts.push(Act::Put),
        At::Rival => acts.push(Act::SettleRival),
        At::Stored => acts.extend(both(Act::Settle)),
        At::Found | At::Missing => {}
    }
    acts
}

fn after_death(hand: &Hand) -> Vec<Act> {
    match hand.at {
        At::Received | At::Rival | At::Stored => vec![Act::Adopt],
        _ => vec![Act::Certify],
    }
}

fn times(all: &mut Vec<Step>, state: &State, content: &Content, bounds: &Bounds, names: &Names) {
    for (token, facts) in (1..).zip(&state.facts) {
        let member = names.member(token, facts.asset);
        let (lease, doubt) = (content.at("leases", &member), content.at("doubt", &member));
        if lease == Some(AHEAD) {
            all.push(Step::Expire(token));
        }
        let home = &names.homes[usize::from(facts.asset)];
        let owner = content.at(home, "token") == Some(&token_name(token));
        let sent = matches!(content.at(home, "phase"), Some("sent" | "received"));
        let waits = owner && sent && content.at(home, "deadline") == Some(AHEAD);
        if doubt == Some(AHEAD) || lease == Some(PAST) && waits {
            all.push(Step::Deadline(token));
        }
    }
    for asset in 0..bounds.assets {
        if content.at("later", &names.keys[usize::from(asset)]) == Some(AHEAD) {
            all.push(Step::Due(asset));
        }
    }
    // What somebody saw in the store, he says within two minutes.
    let told = state.looks.is_empty() && state.workers.iter().all(|worker| !worker.certifies());
    if bounds.forgetful && told && content.names().any(|name| name.starts_with("ended:")) {
        all.push(Step::Forget);
    }
}
