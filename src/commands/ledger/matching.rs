//! Compares the ledger with an invoice, request by request.
//!
//! A settled request has one line of the same amount; an unknown one may have one of its amount at most; every line
//! belongs to one of them. Memory: the invoice, a byte a line, and about 200 bytes for each unknown outcome.

use std::collections::HashMap;

use pictor_common::{MicroUsd, ledger::Kind, queue::LedgerEntry};
use serde::Serialize;

use super::{invoice::Invoice, period::Span};

/// How many, and how much.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub(super) struct Tally {
    pub(super) count: u64,
    pub(super) amount: MicroUsd,
}

impl Tally {
    fn add(&mut self, amount: MicroUsd) {
        self.count += 1;
        self.amount = self.amount + amount;
    }
}

/// Something that does not fit.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(super) struct Case {
    /// The provider's id, where it is known.
    pub(super) request_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) token: Option<String>,
    /// Row of the invoice.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) row: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) ledger: Option<MicroUsd>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) invoice: Option<MicroUsd>,
}

/// Cases of one sort: all are counted, some are told.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(super) struct Cases {
    pub(super) count: u64,
    pub(super) ledger: MicroUsd,
    pub(super) invoice: MicroUsd,
    pub(super) cases: Vec<Case>,
}

impl Cases {
    fn add(&mut self, case: Case, most: usize) {
        self.count += 1;
        self.ledger = self.ledger + case.ledger.unwrap_or_default();
        self.invoice = self.invoice + case.invoice.unwrap_or_default();
        if self.cases.len() < most {
            self.cases.push(case);
        }
    }
}

/// What came of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(super) struct Report {
    /// Whether every settled entry has its line and every line its entry.
    pub(super) agrees: bool,
    /// Settled entries of the time asked about.
    pub(super) settled: Tally,
    /// Lines of the invoice.
    pub(super) lines: Tally,
    /// Settled, and on the invoice with the same amount.
    pub(super) matched: Tally,
    /// On both, with other amounts.
    pub(super) differs: Cases,
    /// Settled, and not on the invoice.
    pub(super) not_invoiced: Cases,
    /// On the invoice, and not in the ledger.
    pub(super) not_in_ledger: Cases,
    /// On the invoice more than once.
    pub(super) repeated: Cases,
    /// Unknown, and found on the invoice by id: what it charges.
    pub(super) unknown_found: Tally,
    /// Unknown, and not on the invoice: what they would have cost.
    pub(super) unknown_not_found: Tally,
    /// Unknown, without an id that the invoice has: what they may have cost at most.
    pub(super) unknown_without_id: Tally,
    /// Lines without an entry of their id that entries without an id account for, by number and amount: what they charge.
    pub(super) by_amount: Tally,
}

#[derive(Debug)]
struct Pending {
    request_id: String,
    client: String,
    cost: MicroUsd,
    inside: bool,
}

/// A comparison under way.
#[derive(Debug)]
pub(super) struct Matching<'i> {
    invoice: &'i Invoice,
    span: Span,
    most: usize,
    taken: Vec<bool>,
    unknown: HashMap<String, Pending>,
    /// Settled entries that no id can find.
    nameless: Vec<(String, MicroUsd)>,
    report: Report,
}

impl<'i> Matching<'i> {
    /// Tells up to `most` cases of each sort.
    pub(super) fn new(invoice: &'i Invoice, span: Span, most: usize) -> Self {
        let mut matching = Self {
            invoice,
            span,
            most,
            taken: vec![false; invoice.lines.len()],
            unknown: HashMap::new(),
            nameless: Vec::new(),
            report: Report::default(),
        };
        for line in &invoice.lines {
            matching.report.lines.add(line.amount);
        }
        for at in &invoice.repeated {
            matching.taken[*at as usize] = true;
            let case = matching.line_case(*at);
            matching.report.repeated.add(case, most);
        }
        matching
    }

    /// Takes the next entry, in the order written.
    pub(super) fn add(&mut self, entry: LedgerEntry) {
        let inside = self.span.has(&entry);
        match entry.meaning() {
            Some(Kind::Settled) => {
                self.unknown.remove(&entry.token);
                self.settled(entry, inside);
            }
            Some(Kind::Unknown) => {
                let (client, cost) = (entry.client_request_id(), entry.amount());
                let pending = Pending { request_id: entry.request_id, client, cost, inside };
                self.unknown.insert(entry.token, pending);
            }
            Some(Kind::Resolved) => {
                self.unknown.remove(&entry.token);
            }
            None => {}
        }
    }

    fn settled(&mut self, entry: LedgerEntry, inside: bool) {
        let (cost, line) = (entry.amount(), self.take(&entry.request_id, &entry.client_request_id()));
        if inside || line.is_some() {
            self.report.settled.add(cost);
        }
        match line {
            Some(at) if self.invoice.lines[at as usize].amount == cost => self.report.matched.add(cost),
            Some(at) => {
                let case = Case { request_id: entry.request_id, ledger: Some(cost), ..self.line_case(at) };
                self.report.differs.add(Case { token: Some(entry.token), ..case }, self.most);
            }
            None if !inside => {}
            None if entry.request_id.is_empty() && !self.invoice.has_client => {
                self.nameless.push((entry.token, cost));
            }
            None => self.not_invoiced(entry.request_id, entry.token, cost),
        }
    }

    fn not_invoiced(&mut self, request_id: String, token: String, cost: MicroUsd) {
        let case = Case { request_id, token: Some(token), ledger: Some(cost), ..Case::default() };
        self.report.not_invoiced.add(case, self.most);
    }

    /// The line of a request, which belongs to no other from then on.
    fn take(&mut self, request: &str, client: &str) -> Option<u32> {
        let at = self.invoice.find(request, client)?;
        let free = !self.taken[at as usize];
        self.taken[at as usize] = true;
        free.then_some(at)
    }

    fn line_case(&self, at: u32) -> Case {
        let line = self.invoice.lines[at as usize];
        Case { row: Some(line.row), invoice: Some(line.amount), ..Case::default() }
    }

    /// Ends the comparison.
    pub(super) fn finish(mut self) -> Report {
        let mut ceilings = Vec::new();
        for (token, pending) in std::mem::take(&mut self.unknown) {
            match self.take(&pending.request_id, &pending.client) {
                Some(at) => self.unknown_line(token, pending, at),
                None if !pending.inside => {}
                None if pending.request_id.is_empty() && !self.invoice.has_client => {
                    self.report.unknown_without_id.add(pending.cost);
                    ceilings.push(pending.cost);
                }
                None => self.report.unknown_not_found.add(pending.cost),
            }
        }
        self.by_amount(ceilings);
        let report = &mut self.report;
        report.agrees = [&report.differs, &report.not_invoiced, &report.not_in_ledger, &report.repeated]
            .iter()
            .all(|c| c.count == 0);
        self.report
    }

    fn unknown_line(&mut self, token: String, pending: Pending, at: u32) {
        let amount = self.invoice.lines[at as usize].amount;
        self.report.unknown_found.add(amount);
        if amount > pending.cost {
            let case = Case { request_id: pending.request_id, token: Some(token), ..self.line_case(at) };
            self.report.differs.add(Case { ledger: Some(pending.cost), ..case }, self.most);
        }
    }

    /// What has no id on either side is compared by amounts: settled entries take lines that charge the same, unknown
    /// ones lines that charge no more.
    fn by_amount(&mut self, mut ceilings: Vec<MicroUsd>) {
        let mut left: Vec<u32> =
            (0..).zip(&self.taken).filter(|(_, taken)| !**taken).map(|(at, _)| at).collect();
        left.sort_by_key(|at| self.invoice.lines[*at as usize].amount);
        for (token, cost) in std::mem::take(&mut self.nameless) {
            let amount = |at: &u32| self.invoice.lines[*at as usize].amount;
            let from = left.partition_point(|at| amount(at) < cost);
            if left.get(from).is_some_and(|at| amount(at) == cost) {
                left.remove(from);
                self.report.by_amount.add(cost);
            } else {
                self.not_invoiced(String::new(), token, cost);
            }
        }
        // The largest line goes to the largest that may have been charged.
        ceilings.sort_unstable();
        let mut alone = Vec::new();
        for at in left.into_iter().rev() {
            let amount = self.invoice.lines[at as usize].amount;
            if ceilings.last().is_some_and(|most| *most >= amount) {
                ceilings.pop();
                self.report.by_amount.add(amount);
            } else {
                alone.push(at);
            }
        }
        alone.sort_unstable();
        for at in alone {
            let case = self.line_case(at);
            self.report.not_in_ledger.add(case, self.most);
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::super::{invoice::tests::columns, period::tests::always};
    use super::*;

    pub(crate) fn entry(kind: &str, token: &str, request_id: &str, cost: u64) -> LedgerEntry {
        LedgerEntry {
            kind: kind.to_owned(),
            key: "k".to_owned(),
            token: token.to_owned(),
            attempt: "1".to_owned(),
            cost: cost.to_string(),
            batch: "b".to_owned(),
            tenant: "shop".to_owned(),
            lane: "acme.dall-e-2".to_owned(),
            model: "dall-e-2".to_owned(),
            request_id: request_id.to_owned(),
            at: "5".to_owned(),
            day: String::new(),
        }
    }

    fn report(invoice: &str, entries: &[LedgerEntry]) -> Report {
        let invoice = Invoice::read(invoice.as_bytes(), &columns()).unwrap();
        let mut matching = Matching::new(&invoice, always(), 20);
        entries.iter().cloned().for_each(|entry| matching.add(entry));
        matching.finish()
    }

    const fn tally(count: u64, amount: u64) -> Tally {
        Tally { count, amount: MicroUsd(amount) }
    }

    const WITH_OURS: &str = "request_id,client_request_id,cost_micro_usd\n";
    const THEIRS: &str = "request_id,cost_micro_usd\n";

    #[test]
    fn what_is_settled_and_what_is_charged_agree() {
        let lines = format!("{WITH_OURS}r1,a:1,10\nr2,b:1,20\nr3,c:1,30\n");
        let report = report(
            &lines,
            &[
                entry("settled", "a", "r1", 10),
                entry("unknown", "b", "", 25),
                entry("unknown", "c", "", 40),
                entry("resolved", "c", "r3", 40),
                entry("settled", "c", "r3", 30),
                entry("unknown", "d", "", 40),
                entry("unknown", "e", "", 40),
                entry("resolved", "e", "", 40),
            ],
        );
        assert!(report.agrees, "{report:?}");
        assert_eq!(
            (report.matched, report.settled, report.lines),
            (tally(2, 40), tally(2, 40), tally(3, 60))
        );
        assert_eq!((report.unknown_found, report.unknown_not_found), (tally(1, 20), tally(1, 40)));
        assert_eq!(report.unknown_without_id, Tally::default());
    }

    #[test]
    fn every_way_to_differ_is_told() {
        let lines = format!("{WITH_OURS}r1,a:1,11\nr2,b:1,20\nr2,b:1,20\nr9,z:1,50\nr5,e:1,41\n");
        let found = report(
            &lines,
            &[
                entry("settled", "a", "r1", 10),
                entry("settled", "b", "r2", 20),
                entry("settled", "c", "r3", 30),
                entry("unknown", "e", "", 40),
            ],
        );
        assert!(!found.agrees);
        assert_eq!(found.matched, tally(1, 20));
        let one = |cases: &Cases| (cases.count, cases.ledger.0, cases.invoice.0, cases.cases[0].row);
        assert_eq!((found.differs.count, found.differs.cases[1].row), (2, Some(6)));
        assert_eq!(found.differs.cases[0].request_id, "r1");
        assert_eq!(one(&found.not_invoiced), (1, 30, 0, None));
        assert_eq!(one(&found.not_in_ledger), (1, 0, 50, Some(5)));
        assert_eq!(one(&found.repeated), (1, 0, 20, Some(4)));
        for (invoice, entries) in [
            (format!("{THEIRS}r1,10\n"), vec![]),
            (THEIRS.to_owned(), vec![entry("settled", "a", "r1", 10)]),
            (format!("{THEIRS}r1,10\nr1,10\n"), vec![entry("settled", "a", "r1", 10)]),
            (format!("{THEIRS}r1,10\n"), vec![entry("settled", "a", "r1", 9)]),
        ] {
            assert!(!report(&invoice, &entries).agrees, "{invoice}");
        }
    }

    #[test]
    fn without_our_ids_unknowns_are_compared_by_amount() {
        let lines = format!("{THEIRS}r1,10\nx,30\ny,20\nz,15\n");
        let mut entries = vec![
            entry("settled", "a", "r1", 10),
            // Whose answer had no id.
            entry("settled", "n", "", 15),
            entry("unknown", "b", "", 25),
            entry("unknown", "c", "", 30),
            entry("unknown", "d", "", 5),
        ];
        let found = report(&lines, &entries);
        assert!(found.agrees, "{found:?}");
        assert_eq!((found.by_amount, found.unknown_without_id), (tally(3, 65), tally(3, 60)));
        entries.remove(3);
        let found = report(&lines, &entries);
        assert_eq!(
            (found.agrees, found.not_in_ledger.count, found.not_in_ledger.cases[0].row),
            (false, 1, Some(3))
        );
    }

    #[test]
    fn all_cases_are_counted_and_some_told() {
        let lines: String = (0..100).map(|n| format!("r{n},10\n")).collect();
        let invoice = Invoice::read(format!("{THEIRS}{lines}").as_bytes(), &columns()).unwrap();
        let report = Matching::new(&invoice, always(), 3).finish();
        assert_eq!((report.not_in_ledger.count, report.not_in_ledger.cases.len()), (100, 3));
    }
}
