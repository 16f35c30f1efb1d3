//! What the ledger says of the requests for one asset: once paid, perhaps twice, or made again on purpose.

use serde::Serialize;

use super::Kind;
use crate::{MicroUsd, queue::LedgerEntry};

/// The kind of entry that says that an image was gone from the store and is made again, as somebody asked. It costs
/// nothing itself.
pub const REMADE: &str = "remade";
/// The kind of entry that says that somebody has removed an image. Whoever submits it again pays again, on purpose.
pub const REMOVED: &str = "removed";

/// The requests for one asset, taken from its entries in any order. Small, since there are millions.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Requests {
    /// What the first settled one cost.
    first: Option<MicroUsd>,
    /// When the last one was settled, µs since 1970.
    last: u64,
    more: Option<Box<More>>,
}

/// What most assets have none of.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct More {
    /// What further settled ones cost.
    settled: Vec<MicroUsd>,
    /// Tokens of those whose outcome is unknown still, and what they may have cost.
    open: Vec<(String, MicroUsd)>,
    /// Tokens that turned out before their unknown was read.
    ended: Vec<String>,
    remade: u32,
    /// When its image was removed.
    removed: Vec<u64>,
}

/// The same in numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct RequestSums {
    /// Requests that were charged.
    pub settled: u64,
    /// What for.
    pub settled_cost: MicroUsd,
    /// Requests that may have been charged.
    pub unknown: u64,
    /// What for.
    pub unknown_cost: MicroUsd,
    /// Times it was made again on purpose.
    pub remade: u64,
    /// Times its image was removed.
    pub removed: u64,
    /// What may have been paid beyond the first request, because an outcome was unknown.
    pub perhaps_twice: MicroUsd,
    /// Requests that were charged beyond the first and those that were asked for.
    pub charged_again: u64,
}

impl Requests {
    /// Takes an entry of the asset in.
    pub fn add(&mut self, entry: &LedgerEntry) {
        match entry.meaning() {
            Some(Kind::Settled) => {
                self.end(&entry.token);
                self.last = self.last.max(at(entry));
                match self.first {
                    None => self.first = Some(entry.amount()),
                    Some(_) => self.more().settled.push(entry.amount()),
                }
            }
            Some(Kind::Unknown) => {
                let (token, cost) = (entry.token.clone(), entry.amount());
                let more = self.more();
                if !more.ended.contains(&token) {
                    more.open.push((token, cost));
                }
            }
            Some(Kind::Resolved) => {
                self.end(&entry.token);
                let token = entry.token.clone();
                self.more().ended.push(token);
            }
            None if entry.kind == REMADE => self.more().remade += 1,
            None if entry.kind == REMOVED => self.more().removed.push(at(entry)),
            None => {}
        }
    }

    fn more(&mut self) -> &mut More {
        self.more.get_or_insert_default()
    }

    fn end(&mut self, token: &str) {
        if let Some(more) = &mut self.more {
            more.open.retain(|(open, _)| open != token);
        }
    }

    /// Whether some request was charged.
    #[must_use]
    pub const fn is_settled(&self) -> bool {
        self.first.is_some()
    }

    /// Whether some request was charged at this amount.
    #[must_use]
    pub fn charged(&self, cost: MicroUsd) -> bool {
        self.first == Some(cost) || self.more.as_ref().is_some_and(|more| more.settled.contains(&cost))
    }

    /// What the requests were charged at, the first one first.
    pub fn costs(&self) -> impl Iterator<Item = MicroUsd> {
        self.first.into_iter().chain(self.more.iter().flat_map(|more| more.settled.iter().copied()))
    }

    /// All of it in numbers.
    #[must_use]
    pub fn sums(&self) -> RequestSums {
        let settled = self.costs().count() as u64;
        let open = || self.more.iter().flat_map(|more| more.open.iter().map(|(_, cost)| *cost));
        let remade = self.more.as_ref().map_or(0, |more| u64::from(more.remade));
        let removed = || self.more.iter().flat_map(|more| &more.removed);
        // Only what was paid after it was removed was asked for again.
        let made_anew = removed().filter(|at| **at < self.last).count() as u64;
        // Where nothing was charged for sure, one of those that may have been is the one that was to be paid.
        let excused = usize::from(settled == 0);
        RequestSums {
            settled,
            settled_cost: self.costs().sum(),
            unknown: open().count() as u64,
            unknown_cost: open().sum(),
            remade,
            removed: removed().count() as u64,
            perhaps_twice: open().skip(excused).sum(),
            charged_again: settled.saturating_sub(1 + remade + made_anew),
        }
    }
}

fn at(entry: &LedgerEntry) -> u64 {
    entry.at.parse().unwrap_or(0)
}

impl RequestSums {
    /// Whether there is more to say than that it was paid once.
    #[must_use]
    pub fn is_odd(&self) -> bool {
        self.unknown > 0 || self.remade > 0 || self.removed > 0 || self.settled > 1
    }

    /// What a person should know of it; nothing where it was paid once.
    #[must_use]
    pub fn told(&self) -> String {
        let mut words = Vec::new();
        if self.perhaps_twice > MicroUsd::ZERO {
            words.push(format!("may have been paid twice: {}", self.perhaps_twice));
        } else if self.unknown > 0 {
            words.push(format!("may have been paid, without an image: {}", self.unknown_cost));
        }
        if self.charged_again > 0 {
            let times = self.charged_again + 1;
            words.push(format!("charged {times} times: {}", self.settled_cost));
        }
        if self.remade > 0 {
            words.push("made again on purpose, since its image was gone or damaged".to_owned());
        }
        if self.removed > 0 {
            words.push("its image was removed on purpose".to_owned());
        }
        words.join("; ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sums(entries: &[(&str, &str, u64)]) -> RequestSums {
        let mut requests = Requests::default();
        for (at, (kind, token, cost)) in entries.iter().enumerate() {
            let text = |text: &str| text.to_owned();
            requests.add(&LedgerEntry {
                kind: text(kind),
                key: text("k"),
                token: text(token),
                attempt: text("1"),
                cost: cost.to_string(),
                batch: text("b"),
                tenant: text(""),
                lane: text("acme.x"),
                model: text("x"),
                request_id: text(""),
                at: at.to_string(),
                day: text(""),
            });
        }
        requests.sums()
    }

    #[test]
    fn what_was_paid_once_is_nothing_to_tell_of() {
        let once = sums(&[("settled", "a", 5)]);
        assert_eq!((once.is_odd(), once.told().as_str()), (false, ""));
        let late = sums(&[("unknown", "a", 9), ("resolved", "a", 9), ("settled", "a", 5)]);
        assert_eq!(late, once, "its own word came late");
        let read_back = sums(&[("resolved", "a", 9), ("unknown", "a", 9), ("settled", "a", 5)]);
        assert_eq!(read_back, once, "in whatever order it is read");
    }

    #[test]
    fn an_unknown_before_an_image_may_be_a_second_bill() {
        let twice = sums(&[("unknown", "a", 9), ("settled", "b", 5)]);
        assert_eq!((twice.perhaps_twice.0, twice.charged_again), (9, 0));
        assert_eq!(twice.told(), "may have been paid twice: $0.000009");
        let parked = sums(&[("unknown", "a", 9)]);
        assert_eq!(parked.perhaps_twice, MicroUsd::ZERO);
        assert_eq!(parked.told(), "may have been paid, without an image: $0.000009");
        assert_eq!(sums(&[("unknown", "a", 9), ("unknown", "b", 8)]).perhaps_twice.0, 8);
    }

    #[test]
    fn what_was_asked_for_is_not_called_a_second_bill() {
        let remade = sums(&[("settled", "a", 5), ("remade", "a", 0), ("settled", "b", 5)]);
        assert_eq!((remade.charged_again, remade.settled_cost.0), (0, 10));
        assert!(remade.told().contains("on purpose"), "{}", remade.told());
        let removed = sums(&[("settled", "a", 5), ("removed", "k@1", 0), ("settled", "b", 5)]);
        assert_eq!((removed.charged_again, removed.settled_cost.0), (0, 10));
        assert_eq!(removed.told(), "its image was removed on purpose");
        let rivals =
            sums(&[("settled", "a", 5), ("settled", "b", 5), ("removed", "k@1", 0), ("settled", "c", 5)]);
        assert_eq!(rivals.charged_again, 1, "two before it was removed");
        assert_eq!(rivals.told(), "charged 2 times: $0.000015; its image was removed on purpose");
        let gone = sums(&[("settled", "a", 5), ("settled", "b", 5), ("removed", "k@1", 0)]);
        assert_eq!((gone.charged_again, gone.removed), (1, 1), "and not made since");
        let rivals = sums(&[("settled", "a", 5), ("settled", "b", 5)]);
        assert_eq!(rivals.charged_again, 1);
        assert_eq!(rivals.told(), "charged 2 times: $0.00001");
    }
}
