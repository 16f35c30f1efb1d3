//! Takes a step: makes its call, and notes what came of it.

use std::rc::Rc;

use super::{
    calls::{Answer, Call, Calls, Phase, Right, Verdict, last_number},
    content::{AHEAD, Content, PAST},
    names::Names,
    rules::{Broken, check, may_send},
    state::{At, Bounds, Facts, Hand, Look, REAPER, Seen, State, Word, Worker},
    steps::{Act, Reply, Step},
};

/// The server and the rules of a search.
pub(super) struct Taking {
    pub(super) calls: Calls,
    pub(super) bounds: Bounds,
    pub(super) names: Names,
}

impl Taking {
    /// The state that a step leads to.
    pub(super) async fn take(&mut self, before: &State, step: Step) -> Result<State, Broken> {
        let mut state = before.clone();
        match step {
            Step::Claim(worker, reply) => self.claim(&mut state, worker, reply).await?,
            Step::ClaimAgain(worker) => {
                if let Some((first, free)) = state.workers[worker].asked.take() {
                    self.granted(&mut state, worker, first, free).await?;
                }
            }
            Step::Own(token, act) => self.own(&mut state, token, act).await?,
            Step::Arrive(worker) => {
                if let Some(hand) = state.workers[worker].renewal.take() {
                    self.extend(&mut state, hand).await?;
                }
            }
            Step::Die(worker, disk) => die(&mut state, worker, disk),
            Step::Reap(reply) => self.reap(&mut state, reply).await?,
            Step::Look(token) => look(&mut state, token),
            Step::Judge(token) => self.judge(&mut state, token).await?,
            Step::Cancel(batch) => {
                state.budget.cancels -= 1;
                self.call(&mut state, &Call::Cancel(batch)).await?;
            }
            Step::Retry(asset) => {
                state.budget.retries -= 1;
                state.completed.iter_mut().for_each(|(_, reasons)| *reasons += 1);
                self.call(&mut state, &Call::Retry(asset)).await?;
            }
            Step::Expire(_) | Step::Deadline(_) | Step::Due(_) | Step::Forget => self.pass(&mut state, step),
        }
        self.tidy(&mut state);
        Ok(state)
    }

    /// Checks all rules on a state.
    pub(super) fn check(&self, state: &State) -> Result<(), Broken> {
        check(state, &self.calls.content(state.content), &self.bounds, &self.names)
    }

    /// Makes a call and notes what it wrote.
    async fn call(&mut self, state: &mut State, call: &Call) -> Result<Answer, Broken> {
        let before = self.calls.content(state.content);
        let effect = self.calls.make(state.content, call).await;
        let after = self.calls.content(effect.content);
        for asset in 0..self.bounds.assets {
            let phase = |content| self.names.phase(content, asset);
            if matches!(phase(&before), Some("failed" | "parked")) && phase(&after) == Some("done") {
                state.completed.iter_mut().for_each(|(_, reasons)| *reasons += 1);
            }
        }
        state.content = effect.content;
        for batch in &effect.completed {
            state.completed[usize::from(*batch)].0 += 1;
        }
        for entry in &effect.entries {
            let facts = state.facts(entry.token);
            if entry.payer != facts.payer {
                return Err(format!("token {} is charged to batch {}", entry.token, entry.payer));
            }
            match entry.kind.as_str() {
                "unknown" => facts.unknown += 1,
                "resolved" => facts.resolved += 1,
                _ => {
                    facts.settled += 1;
                    facts.cost += entry.cost;
                }
            }
        }
        Ok(effect.answer.clone())
    }

    async fn claim(&mut self, state: &mut State, worker: usize, reply: Reply) -> Result<(), Broken> {
        let free = (self.bounds.hands - state.workers[worker].hands.len()).min(state.budget.claims.into());
        let (first, free) = (u8::try_from(state.facts.len() + 1).unwrap(), u8::try_from(free).unwrap());
        let mut heard = state.clone();
        self.granted(&mut heard, worker, first, free).await?;
        let granted = heard.facts.len() - state.facts.len();
        heard.budget.claims -= u8::try_from(granted).unwrap();
        if reply == Reply::Lost && granted > 0 {
            heard.workers[worker].hands.clone_from(&state.workers[worker].hands);
            heard.workers[worker].asked = Some((first, free));
            heard.budget.lost -= 1;
        }
        *state = heard;
        Ok(())
    }

    /// Takes what a claim answers into a worker's hands.
    async fn granted(&mut self, state: &mut State, worker: usize, first: u8, free: u8) -> Result<(), Broken> {
        let Answer::Granted(rights) = self.call(state, &Call::Claim { first, free }).await? else {
            return Ok(());
        };
        let content = self.calls.content(state.content);
        for right in rights {
            let Right { token, asset, payer, .. } = right;
            if usize::from(token) > state.facts.len() {
                if self.names.state_of(&content, payer) == "cancelled" {
                    return Err(format!("token {token} is claimed for a batch that was cancelled"));
                }
                let (unknown, resolved, settled, cost) = (0, 0, 0, 0);
                let word = Word::default();
                state.facts.push(Facts { asset, payer, sent: false, word, unknown, resolved, settled, cost });
            }
            state.workers[worker].hands.push(Hand { right, at: At::Claimed, deadline_ahead: true });
        }
        Ok(())
    }

    async fn own(&mut self, state: &mut State, token: u8, act: Act) -> Result<(), Broken> {
        let hand = *state.hand(token);
        let right = hand.right;
        match act {
            Act::Begin(reply) => self.begin(state, right, reply).await?,
            Act::Release(reply) => {
                let answer = self.call(state, &Call::Release(right)).await?;
                // One that drains, and whose handler goes on.
                if reply == Reply::Lost {
                    state.budget.lost -= 1;
                } else if matches!(answer, Answer::Released(0)) {
                    state.hand(token).at = At::Returning;
                } else {
                    state.drop_hand(token);
                }
            }
            Act::Return => {
                self.tell(state, right, Verdict::Refused).await?;
                state.drop_hand(token);
            }
            Act::Tell(verdict, reply) => {
                self.tell(state, right, verdict).await?;
                if reply == Reply::Lost {
                    state.budget.lost -= 1;
                    state.hand(token).at = At::Telling(verdict);
                } else {
                    state.drop_hand(token);
                }
            }
            Act::Receive => state.hand(token).at = At::Received,
            Act::Put => put(state, right),
            Act::SettleRival => {
                self.settle_stored(state, right.asset).await?;
                state.hand(token).at = At::Stored;
            }
            Act::Settle(reply) => {
                self.call(state, &Call::Settle(right)).await?;
                if reply == Reply::Lost { state.budget.lost -= 1 } else { state.drop_hand(token) }
            }
            Act::Extend => self.extend(state, hand).await?,
            Act::Leave => {
                state.budget.lost -= 1;
                let (worker, _) = state.find(token);
                state.workers[worker].renewal = Some(hand);
            }
            Act::Certify => self.certify(state, hand).await?,
            Act::Adopt => {
                state.drop_hand(token);
                let adopted = Hand { right, at: At::Received, deadline_ahead: false };
                state.workers[REAPER].hands.push(adopted);
                self.extend(state, adopted).await?;
            }
        }
        Ok(())
    }

    async fn begin(&mut self, state: &mut State, right: Right, reply: Reply) -> Result<(), Broken> {
        let before = self.calls.content(state.content);
        let answer = self.call(state, &Call::Begin(right)).await?;
        if reply == Reply::Lost {
            state.budget.lost -= 1;
            return Ok(());
        }
        let Answer::Begun(begun) = answer else { return Ok(()) };
        if begun.is_none() && !self.bounds.careless {
            state.drop_hand(right.token);
            return Ok(());
        }
        // A batch that was cancelled while the reply was lost had it sent already, as far as Redis knows.
        if self.names.phase(&before, right.asset) == Some("claimed") || self.bounds.careless {
            may_send(state, &before, &self.names, right.token)?;
        }
        state.facts(right.token).sent = true;
        let hand = state.hand(right.token);
        hand.at = At::Sent;
        hand.deadline_ahead = true;
        hand.right.attempt = begun.unwrap_or(right.attempt);
        Ok(())
    }

    async fn tell(&mut self, state: &mut State, right: Right, verdict: Verdict) -> Result<(), Broken> {
        let word = match verdict {
            Verdict::Refused | Verdict::Later | Verdict::Failed => Word::Unbilled,
            Verdict::Bad => Word::Bad,
            Verdict::Unknown => Word::Nothing,
        };
        state.facts(right.token).word = word;
        self.call(state, &Call::Fail { right, verdict, doubt: false }).await?;
        Ok(())
    }

    /// Settles the image that the store has.
    async fn settle_stored(&mut self, state: &mut State, asset: u8) -> Result<(), Broken> {
        let stamp = state.store[usize::from(asset)].expect("it was seen there");
        self.call(state, &Call::Settle(stamp)).await?;
        Ok(())
    }

    async fn extend(&mut self, state: &mut State, hand: Hand) -> Result<(), Broken> {
        let phase = match hand.at {
            At::Claimed | At::Returning => Phase::Claimed,
            At::Sent | At::Telling(_) => Phase::Sent,
            _ => Phase::Received,
        };
        let deadline_ahead = hand.deadline_ahead && phase != Phase::Claimed;
        self.call(state, &Call::Extend { right: hand.right, phase, deadline_ahead }).await?;
        Ok(())
    }

    /// The owner is dead and left no image on its disk.
    async fn certify(&mut self, state: &mut State, hand: Hand) -> Result<(), Broken> {
        let (right, token) = (hand.right, hand.right.token);
        match hand.at {
            At::Claimed | At::Returning => {
                let answer = self.call(state, &Call::Release(right)).await?;
                let content = self.calls.content(state.content);
                let owner = content.at(&self.names.homes[usize::from(right.asset)], "token");
                if matches!(answer, Answer::Released(0)) && owner.map(last_number) == Some(token) {
                    state.hand(token).at = At::Sent;
                } else {
                    state.drop_hand(token);
                }
            }
            At::Found => {
                self.settle_stored(state, right.asset).await?;
                if state.store[usize::from(right.asset)].is_some_and(|stamp| stamp.token == token) {
                    state.drop_hand(token);
                } else {
                    state.hand(token).at = At::Missing;
                }
            }
            At::Missing => {
                self.call(state, &Call::Fail { right, verdict: Verdict::Unknown, doubt: false }).await?;
                state.drop_hand(token);
            }
            _ => {
                let there = state.store[usize::from(right.asset)].is_some();
                state.hand(token).at = if there { At::Found } else { At::Missing };
            }
        }
        Ok(())
    }

    async fn reap(&mut self, state: &mut State, reply: Reply) -> Result<(), Broken> {
        let Answer::Look(orphans) = self.call(state, &Call::Reap).await? else { return Ok(()) };
        if reply == Reply::Lost {
            state.budget.lost -= 1;
            return Ok(());
        }
        for (right, last) in orphans {
            match state.looks.iter_mut().find(|look| look.right.token == right.token) {
                Some(look) => look.last |= last,
                None => state.looks.push(Look { right, last, seen: Seen::NotYet }),
            }
        }
        Ok(())
    }

    async fn judge(&mut self, state: &mut State, token: u8) -> Result<(), Broken> {
        let at = place_of(state, token);
        let Look { right, seen, .. } = state.looks[at];
        if seen == Seen::Image {
            self.settle_stored(state, right.asset).await?;
            if state.store[usize::from(right.asset)].is_some_and(|stamp| stamp.token == token) {
                state.looks.remove(at);
            } else {
                state.looks[at].seen = Seen::Nothing;
            }
        } else {
            let (before, unknown) = (self.calls.content(state.content), state.facts(token).unknown);
            self.call(state, &Call::Fail { right, verdict: Verdict::Unknown, doubt: true }).await?;
            let owner = before.at(&self.names.homes[usize::from(right.asset)], "token").map(last_number);
            let lease = before.at("leases", &self.names.member(token, right.asset));
            if state.facts(token).unknown > unknown && owner == Some(token) && lease == Some(AHEAD) {
                return Err(format!("token {token} is doubted though its owner is back"));
            }
            state.looks.remove(at);
        }
        Ok(())
    }

    /// Time passes.
    fn pass(&mut self, state: &mut State, step: Step) {
        let mut content = Content::clone(&self.calls.content(state.content));
        match step {
            Step::Expire(token) => {
                let asset = state.facts(token).asset;
                content.set("leases", &self.names.member(token, asset), PAST);
                self.of_owner(&mut content, token, asset, "slot");
            }
            Step::Deadline(token) => {
                let asset = state.facts(token).asset;
                content.set("doubt", &self.names.member(token, asset), PAST);
                content.set(&self.names.in_flight, &super::calls::token_name(token), PAST);
                self.of_owner(&mut content, token, asset, "deadline");
                for hand in state.workers.iter_mut().flat_map(|worker| &mut worker.hands) {
                    hand.deadline_ahead &= hand.right.token != token;
                }
            }
            Step::Due(asset) => content.set("later", &self.names.keys[usize::from(asset)], PAST),
            _ => content.retain(|name| !name.starts_with("ended:")),
        }
        state.content = self.calls.number(content);
    }

    /// Has a time of an asset come, if a token still owns it.
    fn of_owner(&self, content: &mut Content, token: u8, asset: u8, field: &str) {
        let home = &self.names.homes[usize::from(asset)];
        if content.at(home, "token").map(last_number) == Some(token) {
            content.set(home, field, PAST);
        }
    }

    /// Forgets what no call can ask for any more.
    fn tidy(&mut self, state: &mut State) {
        state.sort();
        let content = self.calls.content(state.content);
        let asked: Vec<u8> = state.workers.iter().filter_map(|w| w.asked).map(|(first, _)| first).collect();
        let mut used = state.tokens_in_use();
        let kept = content.entries("leases").chain(content.entries("doubt"));
        used.extend(kept.filter_map(|(member, _)| member.split(' ').next().map(last_number)));
        let idle = |name: &str| match name.split_once(':') {
            Some(("answer", request)) => !asked.contains(&last_number(request)),
            Some(("ended", token)) => !used.contains(&last_number(token)),
            _ => false,
        };
        if content.names().any(idle) {
            let mut content = Rc::unwrap_or_clone(content);
            content.retain(|name| !idle(name));
            state.content = self.calls.number(content);
        }
    }
}

fn place_of(state: &State, token: u8) -> usize {
    state.looks.iter().position(|look| look.right.token == token).expect("it is looked for")
}

fn look(state: &mut State, token: u8) {
    let at = place_of(state, token);
    let Look { right, last, .. } = state.looks[at];
    if state.store[usize::from(right.asset)].is_some() {
        state.looks[at].seen = Seen::Image;
    } else if last {
        state.looks[at].seen = Seen::Nothing;
    } else {
        state.looks.remove(at);
    }
}

/// Stores an image under its name, unless there is one.
fn put(state: &mut State, right: Right) {
    let there = state.store[usize::from(right.asset)].get_or_insert(right);
    let rival = there.token != right.token;
    state.hand(right.token).at = if rival { At::Rival } else { At::Stored };
}

fn die(state: &mut State, worker: usize, disk: bool) {
    state.budget.deaths -= 1;
    let died = &mut state.workers[worker];
    let hands = if disk { std::mem::take(&mut died.hands) } else { Vec::new() };
    *died = Worker { dead: true, hands, asked: None, renewal: died.renewal.take() };
}
