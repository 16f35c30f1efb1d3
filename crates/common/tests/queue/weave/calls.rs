//! Calls of the real scripts on a real server, each from a given content.

use std::{
    collections::{HashMap, HashSet},
    rc::Rc,
    time::{Duration, Instant},
};

use pictor_common::{
    MicroUsd,
    batch::Made,
    queue::{
        Attempt, Begun, Billed, Claim, Failure, FailureAction, Grant, HeldAsset, HeldPhase, LaneLimits,
        LaneOffer, Outcome, Unmade,
    },
};

use super::content::{Content, READ, RESTORE, Reading, Value};
use crate::world::{LANE, World, id, key, route};

/// What is set aside for a request, and what a bad answer costs.
pub(super) const CEILING: u64 = 20_000;
/// Longer than any step takes: times pass only where the search says so.
const LONG: Duration = Duration::from_secs(3_600);
/// A deadline after all of today's clocks, µs since 1970.
const FAR: u64 = 4_000_000_000_000_000;
/// A step that took longer is taken again: slots are void after a second.
const QUICK: Duration = Duration::from_millis(500);

/// What an image costs that came for a token; each another sum, so that none stands for another.
pub(super) fn cost(token: u8) -> u64 {
    1_000 + u64::from(token)
}

pub(super) fn token_name(token: u8) -> String {
    format!("w-{token}")
}

pub(super) fn batch_name(batch: u8) -> String {
    format!("b{batch}")
}

/// The right to make an asset, as its owner remembers it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Right {
    pub(super) token: u8,
    pub(super) asset: u8,
    pub(super) payer: u8,
    pub(super) attempt: u8,
}

impl Right {
    fn attempt(self) -> Attempt {
        Attempt {
            key: key(u64::from(self.asset)),
            token: token_name(self.token),
            attempt: self.attempt.into(),
            payer: batch_name(self.payer),
            tenant: "shop".into(),
            lane: LANE.into(),
            model: "dall-e-2".into(),
            request_id: None,
        }
    }
}

/// What a worker is told of a request that brought no image.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Verdict {
    /// Refused by a rate limit.
    Refused,
    /// Failed unbilled; to be tried again later.
    Later,
    /// Failed unbilled, for good.
    Failed,
    /// Billed, and nothing usable came.
    Bad,
    /// Nobody knows.
    Unknown,
}

impl Verdict {
    fn parts(self) -> (Billed, u64, Outcome) {
        match self {
            Self::Refused => (Billed::No, 0, Outcome::Refused(Duration::ZERO)),
            Self::Later => (Billed::No, 0, Outcome::Retry(LONG)),
            Self::Failed => (Billed::No, 0, Outcome::Failed),
            Self::Bad => (Billed::Yes, CEILING, Outcome::Retry(Duration::ZERO)),
            Self::Unknown => (Billed::Unknown, CEILING, Outcome::Retry(Duration::ZERO)),
        }
    }
}

/// A call, with all that decides what it does.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Call {
    Claim { first: u8, free: u8 },
    Begin(Right),
    Extend { right: Right, phase: Phase, deadline_ahead: bool },
    Release(Right),
    Settle(Right),
    Fail { right: Right, verdict: Verdict, doubt: bool },
    Reap,
    Cancel(u8),
    Retry(u8),
}

/// How far an asset is, as a renewal says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Phase {
    Claimed,
    Sent,
    Received,
}

/// What a call answers.
#[derive(Clone, Debug)]
pub(super) enum Answer {
    Granted(Vec<Right>),
    /// The number of the attempt, if it may be sent.
    Begun(Option<u8>),
    /// How many were still ours.
    Released(u64),
    /// Orphans to look for; with `true` the deadline has passed.
    Look(Vec<(Right, bool)>),
    Done,
}

/// An entry of the ledger.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) kind: String,
    pub(super) token: u8,
    pub(super) payer: u8,
    pub(super) cost: u64,
}

/// What a call does to a content.
#[derive(Debug)]
pub(super) struct Effect {
    pub(super) content: u32,
    pub(super) answer: Answer,
    pub(super) entries: Vec<Entry>,
    /// Batches that it completes.
    pub(super) completed: Vec<u8>,
}

/// A server, and all that it was seen to hold and to do.
pub(super) struct Calls {
    world: World,
    redis: pictor_common::queue::Connection,
    restore: redis::Script,
    read: redis::Script,
    contents: Vec<Rc<Content>>,
    numbers: HashMap<Rc<Content>, u32>,
    values: HashSet<Rc<Value>>,
    effects: HashMap<(u32, Call), Rc<Effect>>,
}

pub(super) fn last_number(text: &str) -> u8 {
    text.trim_start_matches(|c: char| !c.is_ascii_digit()).parse().unwrap()
}

impl Calls {
    /// A server on which batches ask for the same assets.
    pub(super) async fn new(assets: u8, batches: u8) -> Self {
        let world = World::alone().await;
        let limits = LaneLimits { in_flight: Some(100), ..LaneLimits::default() };
        world.queue.declare_lane(LANE, &limits).await.unwrap();
        for batch in 0..batches {
            world.submit(&batch_name(batch), "shop", 0..u64::from(assets)).await;
        }
        let redis = world.queue.own_connection().await.unwrap();
        Self {
            world,
            redis,
            restore: redis::Script::new(RESTORE),
            read: redis::Script::new(READ),
            contents: Vec::new(),
            numbers: HashMap::new(),
            values: HashSet::new(),
            effects: HashMap::new(),
        }
    }

    /// What the server holds now.
    pub(super) async fn start(&mut self) -> u32 {
        let content = self.reading().await.content();
        self.number(content)
    }

    pub(super) fn content(&self, number: u32) -> Rc<Content> {
        Rc::clone(&self.contents[number as usize])
    }

    /// The number of a content.
    pub(super) fn number(&mut self, mut content: Content) -> u32 {
        if let Some(number) = self.numbers.get(&content) {
            return *number;
        }
        content.share(&mut self.values);
        let content = Rc::new(content);
        let number = u32::try_from(self.contents.len()).unwrap();
        self.contents.push(Rc::clone(&content));
        self.numbers.insert(content, number);
        number
    }

    /// Different contents seen, and calls made on them.
    pub(super) fn counts(&self) -> (usize, usize) {
        (self.contents.len(), self.effects.len())
    }

    /// Makes a call on a content, once.
    pub(super) async fn make(&mut self, content: u32, call: &Call) -> Rc<Effect> {
        let place = (content, call.clone());
        if let Some(known) = self.effects.get(&place) {
            return Rc::clone(known);
        }
        let effect = loop {
            let began = Instant::now();
            let json = self.content(content).to_json();
            let prefix = self.world.queue.keys().prefix();
            let mut redis = self.redis.clone();
            let () = self.restore.key(prefix).arg(json).invoke_async(&mut redis).await.unwrap();
            let answer = self.ask(call).await;
            let reading = self.reading().await;
            if began.elapsed() < QUICK {
                break self.effect(answer, reading);
            }
        };
        let effect = Rc::new(effect);
        self.effects.insert(place, Rc::clone(&effect));
        effect
    }

    async fn reading(&self) -> Reading {
        let prefix = self.world.queue.keys().prefix();
        let mut redis = self.redis.clone();
        let json: String = self.read.key(prefix).invoke_async(&mut redis).await.unwrap();
        serde_json::from_str(&json).unwrap()
    }

    fn effect(&mut self, answer: Answer, reading: Reading) -> Effect {
        #[derive(serde::Deserialize)]
        struct Written {
            kind: String,
            token: String,
            batch: String,
            cost: String,
        }
        let entry = |fields: &std::collections::BTreeMap<String, String>| {
            let written: Written = serde_json::from_str(&fields["entry"]).unwrap();
            let cost = written.cost.parse().unwrap();
            Entry {
                token: last_number(&written.token),
                payer: last_number(&written.batch),
                kind: written.kind,
                cost,
            }
        };
        let entries = reading.ledger.iter().map(entry).collect();
        let complete = reading.events.iter().filter(|event| event["kind"] == "complete");
        let completed = complete.map(|event| last_number(&event["batch"])).collect();
        Effect { content: self.number(reading.content()), answer, entries, completed }
    }

    async fn ask(&self, call: &Call) -> Answer {
        let queue = &self.world.queue;
        match *call {
            Call::Claim { first, free } => self.claim(first, free).await,
            Call::Begin(right) => {
                let key = key(u64::from(right.asset));
                match queue.begin(&key, &token_name(right.token), LONG, LONG).await.unwrap() {
                    Begun::Go { attempt, .. } => Answer::Begun(Some(u8::try_from(attempt).unwrap())),
                    Begun::Wait(_) => panic!("nothing limits this lane"),
                    Begun::No(_) => Answer::Begun(None),
                }
            }
            Call::Extend { right, phase, deadline_ahead } => {
                self.extend(right, phase, deadline_ahead).await;
                Answer::Done
            }
            Call::Release(right) => {
                let held = [(key(u64::from(right.asset)), token_name(right.token))];
                Answer::Released(queue.release(&held).await.unwrap())
            }
            Call::Settle(right) => {
                let made = Made { object: "o".into(), cost: MicroUsd(cost(right.token)), ..Made::default() };
                queue.settle(&right.attempt(), &made).await.unwrap();
                Answer::Done
            }
            Call::Fail { right, verdict, doubt } => {
                self.fail(right, verdict, doubt).await;
                Answer::Done
            }
            Call::Reap => {
                let orphans = queue.reap(100).await.unwrap().orphans;
                // Of what Redis has no spec for, nobody can look for the image.
                let looked_for = orphans.into_iter().filter(|orphan| orphan.spec.is_some());
                Answer::Look(looked_for.map(|orphan| (right_of(&orphan.attempt), orphan.last)).collect())
            }
            Call::Cancel(batch) => {
                queue.cancel(&id(&batch_name(batch)), "changed our mind").await.unwrap();
                Answer::Done
            }
            Call::Retry(asset) => {
                queue.act_on_failures(&[key(u64::from(asset))], FailureAction::Retry).await.unwrap();
                Answer::Done
            }
        }
    }

    async fn claim(&self, first: u8, free: u8) -> Answer {
        let claim = Claim {
            request: format!("r{first}"),
            incarnation: "w".to_owned(),
            sequence: first.into(),
            lease: LONG,
            horizon: Duration::from_secs(1),
            free: free.into(),
            lanes: vec![LaneOffer { lane: LANE.to_owned(), routes: vec![route().to_string()] }],
        };
        let grants = self.world.queue.claim(&claim).await.unwrap().grants;
        let right = |grant: Grant| {
            let attempt = u8::try_from(grant.attempts).unwrap();
            Right { attempt, ..right_of(&crate::world::attempt(&grant)) }
        };
        Answer::Granted(grants.into_iter().map(right).collect())
    }

    async fn extend(&self, right: Right, phase: Phase, deadline_ahead: bool) {
        let Attempt { key, token, attempt, payer, tenant, lane, .. } = right.attempt();
        let phase = match phase {
            Phase::Claimed => HeldPhase::Claimed,
            Phase::Sent => HeldPhase::Sent,
            Phase::Received => HeldPhase::Received,
        };
        let deadline = if deadline_ahead { FAR } else { 0 };
        let ceiling = MicroUsd(CEILING);
        let held = HeldAsset { key, token, phase, lane, payer, tenant, ceiling, attempt, deadline };
        self.world.queue.extend(&[held], LONG).await.unwrap();
    }

    async fn fail(&self, right: Right, verdict: Verdict, doubt: bool) {
        let (billed, cost, outcome) = verdict.parts();
        let unmade = Unmade {
            billed,
            cost: MicroUsd(cost),
            outcome,
            max_unknown: 1,
            failure: &Failure::default(),
            pause: None,
            refusal: None,
            fault: None,
            doubt,
        };
        self.world.queue.fail(&right.attempt(), &unmade).await.unwrap();
    }
}

fn right_of(attempt: &Attempt) -> Right {
    let asset = (0..8).find(|n| key(u64::from(*n)) == attempt.key).unwrap();
    let number = u8::try_from(attempt.attempt).unwrap();
    Right { token: last_number(&attempt.token), asset, payer: last_number(&attempt.payer), attempt: number }
}
