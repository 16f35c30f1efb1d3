//! Goes through all states that steps lead to, breadth first, so that what is found is as short as can be.

use std::{
    collections::{HashMap, VecDeque},
    hash::{DefaultHasher, Hash, Hasher},
};

use super::{
    calls::Calls,
    names::Names,
    rules::{Broken, quiet},
    state::{Bounds, State},
    steps::{Step, steps},
    taking::Taking,
};

/// What a search went through, all of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Searched {
    pub(crate) states: usize,
    pub(crate) transitions: usize,
    pub(crate) depth: usize,
    /// Different contents of Redis, and calls of scripts on them.
    pub(crate) contents: usize,
    pub(crate) calls: usize,
}

/// A way to a state that breaks a rule.
#[derive(Debug)]
pub(super) struct Way {
    pub(super) broken: Broken,
    pub(super) steps: Vec<Step>,
}

/// What is remembered of a state: the one before it and the step from there, how deep it is.
struct Known {
    from: u32,
    step: Option<Step>,
    depth: u32,
    quiet: bool,
}

#[derive(Default)]
struct Graph {
    known: Vec<Known>,
    /// Steps that need no worker, backwards: to, from.
    back: Vec<(u32, u32)>,
}

/// States are told apart by 128 bits of hash.
fn digest(state: &State) -> u128 {
    let half = |salt: u64| {
        let mut hasher = DefaultHasher::new();
        salt.hash(&mut hasher);
        state.hash(&mut hasher);
        u128::from(hasher.finish())
    };
    half(1) << 64 | half(2)
}

/// Goes through all states within bounds; stops at the first that breaks a rule.
pub(super) async fn search(bounds: Bounds) -> Result<Searched, Way> {
    let mut calls = Calls::new(bounds.assets, bounds.batches).await;
    let start = State::new(calls.start().await, &bounds);
    let names = Names::new(bounds.assets);
    let mut taking = Taking { calls, bounds, names };
    let mut graph = Graph::default();
    let mut numbers = HashMap::from([(digest(&start), 0_u32)]);
    taking.check(&start).map_err(|broken| Way { broken, steps: Vec::new() })?;
    graph.known.push(Known { from: 0, step: None, depth: 0, quiet: true });
    let mut waiting = VecDeque::from([(0_u32, start)]);
    let mut transitions = 0;
    while let Some((number, state)) = waiting.pop_front() {
        let content = taking.calls.content(state.content);
        for step in steps(&state, &content, &taking.bounds, &taking.names) {
            let next = match taking.take(&state, step).await {
                Ok(next) => next,
                Err(broken) => return Err(graph.way(number, Some(step), broken)),
            };
            transitions += 1;
            let fresh = u32::try_from(graph.known.len()).unwrap();
            let at = *numbers.entry(digest(&next)).or_insert(fresh);
            if step.without_workers() && at != number {
                graph.back.push((at, number));
            }
            if at == fresh {
                taking.check(&next).map_err(|broken| graph.way(number, Some(step), broken))?;
                let content = taking.calls.content(next.content);
                let depth = graph.known[number as usize].depth + 1;
                let quiet = quiet(&next, &content, &taking.names);
                graph.known.push(Known { from: number, step: Some(step), depth, quiet });
                waiting.push_back((at, next));
            }
        }
    }
    graph.all_come_to_rest()?;
    let (contents, calls) = taking.calls.counts();
    let depth = graph.known.last().map_or(0, |known| known.depth as usize);
    Ok(Searched { states: graph.known.len(), transitions, depth, contents, calls })
}

impl Graph {
    fn way(&self, mut at: u32, last: Option<Step>, broken: Broken) -> Way {
        let mut steps: Vec<Step> = last.into_iter().collect();
        while let Some(step) = self.known[at as usize].step {
            steps.push(step);
            at = self.known[at as usize].from;
        }
        steps.reverse();
        Way { broken, steps }
    }

    /// From every state the reaper alone leads to one in which nothing is left to be looked after.
    fn all_come_to_rest(&mut self) -> Result<(), Way> {
        self.back.sort_unstable();
        let mut rests: Vec<bool> = self.known.iter().map(|known| known.quiet).collect();
        let mut next: Vec<u32> = (0..).zip(&rests).filter(|(_, quiet)| **quiet).map(|(at, _)| at).collect();
        while let Some(to) = next.pop() {
            let from = self.back.partition_point(|(at, _)| *at < to);
            for (_, from) in self.back[from..].iter().take_while(|(at, _)| *at == to) {
                if !std::mem::replace(&mut rests[*from as usize], true) {
                    next.push(*from);
                }
            }
        }
        let Some(stuck) = rests.iter().position(|rests| !rests) else { return Ok(()) };
        let broken = "the reaper alone never comes to rest from here".to_owned();
        Err(self.way(u32::try_from(stuck).unwrap(), None, broken))
    }
}
