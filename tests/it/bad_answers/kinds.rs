//! Kinds of bad answer, one a row: what is said, and what must become of it.

use super::{
    addresses::ADDRESSES,
    front::{Honest, Step},
    pictures::PICTURES,
    text::TEXT,
    wire::WIRE,
};

/// What must become of an asset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// The very image that was made is in the store.
    Image,
    /// What came is in the store, though it is not the plain image that was made.
    Altered,
    /// The same, and told apart from what was asked for.
    Mismatch,
    Failed(&'static str),
    Parked(&'static str),
}

type Answer = fn(&Honest) -> Vec<Step>;

/// One kind.
#[derive(Clone, Copy, Debug)]
pub(super) struct Kind {
    pub(super) name: &'static str,
    /// Bad answers before good ones.
    pub(super) times: u32,
    /// The image behind a bad answer was made, and is on the invoice.
    pub(super) billed: bool,
    pub(super) answer: Answer,
    /// What the ledger says of each request that was or may have been paid.
    pub(super) ledger: &'static [&'static str],
    pub(super) end: End,
}

/// The image is taken from the odd answer.
pub(super) const fn taken(name: &'static str, answer: Answer) -> Kind {
    Kind { name, times: 1, billed: true, answer, ledger: &["settled"], end: End::Image }
}

/// Paid for, no image in it, and made again.
pub(super) const fn paid(name: &'static str, answer: Answer) -> Kind {
    Kind { ledger: &["settled", "settled"], ..taken(name, answer) }
}

/// Nobody can say whether it was paid, and made again.
pub(super) const fn unknown(name: &'static str, answer: Answer) -> Kind {
    Kind { ledger: &["unknown", "settled"], ..taken(name, answer) }
}

impl Kind {
    /// Nothing was made for it.
    pub(super) const fn free(self) -> Self {
        Self { billed: false, ..self }
    }

    /// It never becomes better.
    pub(super) const fn always(self, ledger: &'static [&'static str], end: End) -> Self {
        Self { times: u32::MAX, ledger, end, ..self }
    }

    /// How many requests there must be in all.
    pub(super) fn requests(&self) -> u32 {
        let of_the_ledger = u32::try_from(self.ledger.len()).unwrap();
        of_the_ledger + u32::from(!self.billed && self.ledger[0] == "settled")
    }

    pub(super) const fn ends(self, end: End) -> Self {
        Self { end, ..self }
    }
}

/// All of them.
pub(super) fn all() -> impl Iterator<Item = &'static Kind> + Clone {
    [TEXT, PICTURES, WIRE, ADDRESSES].into_iter().flatten()
}

/// Each bad answer is its connection's last word: a client told otherwise may send on what is about to be closed, and
/// never know what became of it.
pub(super) const LAST: &str = "connection: close";

/// The head of an answer that goes on with a body of this length.
pub(super) fn head(honest: &Honest, length: usize) -> String {
    format!(
        "HTTP/1.1 200 OK\r\n{LAST}\r\ncontent-type: application/json\r\nx-request-id: {}\r\ncontent-length: {length}\r\n\r\n",
        honest.request_id
    )
}

/// A well-formed answer with any body.
pub(super) fn body(honest: &Honest, body: impl AsRef<[u8]>) -> Vec<Step> {
    let body = body.as_ref();
    vec![Step::Send([head(honest, body.len()).as_bytes(), body].concat())]
}

/// The JSON around an image string, or whatever stands in its place.
pub(super) fn json(base64: &str) -> String {
    format!("{{\"created\": 1, \"data\": [{{\"b64_json\": \"{base64}\"}}]}}")
}
