//! What holds at every moment.

use super::{
    calls::{CEILING, batch_name, cost, last_number},
    content::Content,
    names::Names,
    state::{Bounds, Facts, State, Word},
};

/// A rule that was broken, for people.
pub(super) type Broken = String;

fn same<T: PartialEq + std::fmt::Debug>(what: &str, holds: &T, should: &T) -> Result<(), Broken> {
    if holds == should { Ok(()) } else { Err(format!("{what}: {holds:?}, should be {should:?}")) }
}

/// Checks a state.
pub(super) fn check(state: &State, content: &Content, bounds: &Bounds, names: &Names) -> Result<(), Broken> {
    for (token, facts) in (1..).zip(&state.facts) {
        entries(token, facts)?;
    }
    money(state, content, bounds, names)?;
    for asset in 0..bounds.assets {
        kept(state, content, bounds, names, asset)?;
    }
    for batch in 0..bounds.batches {
        counted(state, content, bounds, names, batch)?;
    }
    Ok(())
}

/// Each token is charged once, and an unknown that turned out is off the books.
fn entries(token: u8, facts: &Facts) -> Result<(), Broken> {
    let Facts { unknown, resolved, settled, .. } = *facts;
    if settled > 1 {
        return Err(format!("token {token} was settled {settled} times"));
    }
    let open = unknown.checked_sub(resolved).ok_or(format!("token {token}: resolved without an unknown"))?;
    if open + settled > 1 {
        return Err(format!("token {token} is counted twice: {open} unknown, {settled} settled"));
    }
    if open > 0 && facts.word == Word::Unbilled {
        return Err(format!("token {token} stays unknown though its owner said that nothing was billed"));
    }
    if settled == 1 && facts.cost != cost(token) && facts.cost != CEILING {
        return Err(format!("token {token} was settled for {}", facts.cost));
    }
    Ok(())
}

fn money(state: &State, content: &Content, bounds: &Bounds, names: &Names) -> Result<(), Broken> {
    let doubted = |facts: &Facts| u64::from(facts.unknown - facts.resolved) * CEILING;
    let unknown: u64 = state.facts.iter().map(doubted).sum();
    let spent: u64 = state.facts.iter().map(|facts| facts.cost + doubted(facts)).sum();
    let tokens: Vec<u8> = content.entries("reservations").map(|(token, _)| last_number(token)).collect();
    let reserved = tokens.len() as u64 * CEILING;
    for purse in ["budget", "tenant:shop"] {
        same(&format!("{purse} spent"), &content.count(purse, "spent"), &spent)?;
        same(&format!("{purse} unknown"), &content.count(purse, "unknown"), &unknown)?;
        same(&format!("{purse} reserved"), &content.count(purse, "reserved"), &reserved)?;
    }
    for batch in 0..bounds.batches {
        let purse = names.batch(batch);
        let paid = state.facts.iter().filter(|facts| facts.payer == batch);
        let spent: u64 = paid.map(|facts| facts.cost + doubted(facts)).sum();
        same(&format!("{purse} spent"), &content.count(&purse, "spent"), &spent)?;
        let own = tokens.iter().filter(|token| state.facts[usize::from(**token) - 1].payer == batch);
        let reserved = own.count() as u64 * CEILING;
        same(&format!("{purse} reserved"), &content.count(&purse, "reserved"), &reserved)?;
    }
    for token in tokens {
        let member = names.member(token, state.facts[usize::from(token) - 1].asset);
        let looked_after = content.at("leases", &member).is_some() || content.at("doubt", &member).is_some();
        if !looked_after {
            return Err(format!("nobody looks after what token {token} has set aside"));
        }
    }
    Ok(())
}

/// What an open batch asks for is made, given up, in line, or in hands that are looked after.
fn kept(state: &State, content: &Content, bounds: &Bounds, names: &Names, asset: u8) -> Result<(), Broken> {
    let phase = names.phase(content, asset);
    if phase == Some("done") && state.store[usize::from(asset)].is_none() {
        return Err(format!("asset {asset} is done without an image"));
    }
    let home = &names.homes[usize::from(asset)];
    let asked = (0..bounds.batches).any(|batch| names.open(content, batch));
    let safe = match phase {
        Some("done" | "failed" | "parked") => true,
        Some("ready") => {
            content.at("later", &names.keys[usize::from(asset)]).is_some()
                || (0..bounds.batches)
                    .any(|batch| names.open(content, batch) && names.in_line(content, asset, batch))
        }
        Some("claimed" | "sent" | "received" | "orphan") => {
            let token = content.at(home, "token").map_or(0, last_number);
            let member = names.member(token, asset);
            content.at("leases", &member).is_some() || content.at("doubt", &member).is_some()
        }
        _ => false,
    };
    if asked && !safe {
        return Err(format!("asset {asset} is lost: {phase:?}"));
    }
    Ok(())
}

/// A batch counts each of its assets once, and is complete once all have ended.
fn counted(
    state: &State,
    content: &Content,
    bounds: &Bounds,
    names: &Names,
    batch: u8,
) -> Result<(), Broken> {
    let word = names.state_of(content, batch);
    if word == "cancelled" {
        return Ok(());
    }
    let name = names.batch(batch);
    let mut ended = 0;
    for phase in ["done", "failed", "parked"] {
        let there =
            (0..bounds.assets).filter(|asset| names.phase(content, *asset) == Some(phase)).count() as u64;
        same(&format!("{} {phase}", batch_name(batch)), &content.count(&name, phase), &there)?;
        ended += there;
    }
    let whole = ended == u64::from(bounds.assets);
    same(&name, &word, &if whole { "complete" } else { "open" })?;
    let (times, reasons) = state.completed[usize::from(batch)];
    if times > reasons || whole && times == 0 {
        return Err(format!("{name} was completed {times} times, for {reasons} reasons"));
    }
    Ok(())
}

/// Checks that a request may go out.
pub(super) fn may_send(state: &State, content: &Content, names: &Names, token: u8) -> Result<(), Broken> {
    let Facts { asset, payer, .. } = state.facts[usize::from(token) - 1];
    if names.state_of(content, payer) == "cancelled" {
        return Err(format!("token {token} is sent for a batch that was cancelled"));
    }
    for (earlier, facts) in (1..).zip(&state.facts) {
        if earlier == token || facts.asset != asset || !facts.sent {
            continue;
        }
        if facts.settled > 0 && facts.word != Word::Bad {
            return Err(format!("token {token} is sent after the image of token {earlier} was settled"));
        }
        if facts.unknown == 0 && facts.word == Word::Nothing {
            return Err(format!("token {token} is sent beside token {earlier}, and no unknown says so"));
        }
    }
    Ok(())
}

/// Whether nothing is left to be looked after.
pub(super) fn quiet(state: &State, content: &Content, names: &Names) -> bool {
    let sets = ["leases", "doubt", "later", "reservations", "work", &names.in_flight];
    state.looks.is_empty() && !sets.iter().any(|set| content.has(set))
}
