//! Bodies that are sent piece by piece, slowly if asked, and break off where they are told to.

use std::{
    pin::Pin,
    sync::LazyLock,
    task::{Context, Poll},
    time::Duration,
};

use base64_simd::STANDARD;
use bytes::{Buf, Bytes};
use http_body::{Body, Frame};
use tokio::time::{Instant, Sleep, sleep_until};

use crate::{
    gauge::{Flight, Gauge, Held},
    seed::Seed,
    serve::Connection,
};

/// Bytes of padding that are kept, and repeated; a multiple of three.
const PAD_BLOCK: usize = 48 * 1024;

static PAD: LazyLock<Bytes> = LazyLock::new(|| {
    let mut seed = Seed::numbered(0, 1);
    (0..PAD_BLOCK).map(|_| seed.next() as u8).collect()
});
static PAD_BASE64: LazyLock<Bytes> = LazyLock::new(|| STANDARD.encode_to_string(&*PAD).into());

/// A part of a body.
#[derive(Clone, Debug)]
pub(crate) enum Piece {
    Bytes { bytes: Bytes, base64: bool },
    Padding { left: usize, at: usize, base64: bool },
}

impl Piece {
    pub(crate) fn text(text: impl Into<Bytes>) -> Self {
        Self::Bytes { bytes: text.into(), base64: false }
    }

    /// How many bytes it is when sent.
    pub(crate) fn sent_len(&self) -> usize {
        match self {
            Self::Bytes { bytes, base64: false } => bytes.len(),
            Self::Bytes { bytes, base64: true } => bytes.len().div_ceil(3) * 4,
            Self::Padding { left, base64: false, .. } => *left,
            Self::Padding { left, base64: true, .. } => left / 3 * 4,
        }
    }

    /// All of it, unencoded.
    pub(crate) fn into_bytes(self) -> Vec<u8> {
        match self {
            Self::Bytes { bytes, .. } => bytes.to_vec(),
            Self::Padding { left, .. } => PAD.iter().copied().cycle().take(left).collect(),
        }
    }

    /// Takes the next chunk of about `size` sent bytes; none at the end.
    fn take(&mut self, size: usize) -> Option<Bytes> {
        match self {
            Self::Bytes { bytes, .. } if bytes.is_empty() => None,
            Self::Bytes { bytes, base64: false } => Some(bytes.split_to(size.min(bytes.len()))),
            Self::Bytes { bytes, base64: true } => {
                let raw = bytes.split_to((size / 4 * 3).min(bytes.len()));
                Some(STANDARD.encode_to_string(&raw).into())
            }
            Self::Padding { left: 0, .. } => None,
            Self::Padding { left, at, base64 } => {
                let most = if *base64 { size / 4 * 3 } else { size };
                let raw = most.min(*left).min(PAD_BLOCK - *at);
                let range = *at..*at + raw;
                (*left, *at) = (*left - raw, (*at + raw) % PAD_BLOCK);
                Some(match base64 {
                    true => PAD_BASE64.slice(range.start / 3 * 4..range.end / 3 * 4),
                    false => PAD.slice(range),
                })
            }
        }
    }
}

/// Checksum of a chunk whose data ends in padding.
pub(crate) fn pad_crc(start: &[u8], padding: usize) -> u32 {
    let mut crc = crc32fast::Hasher::new();
    crc.update(start);
    for _ in 0..padding / PAD_BLOCK {
        crc.update(&PAD);
    }
    crc.update(PAD.get(..padding % PAD_BLOCK).unwrap_or_default());
    crc.finalize()
}

/// How a body ends.
#[derive(Clone, Debug)]
pub(crate) enum Ending {
    Whole,
    /// The stream ends after so many bytes.
    Short(usize),
    /// Nothing comes after so many bytes.
    Silent(usize),
    /// The connection breaks after so many bytes, with a reset or without.
    Broken {
        after: usize,
        reset: bool,
        connection: Connection,
    },
}

/// A body on its way.
#[derive(Debug)]
pub(crate) struct Sending {
    pieces: std::vec::IntoIter<Piece>,
    piece: Option<Piece>,
    sent: usize,
    ending: Ending,
    chunk: Seed,
    pace: Option<Pace>,
    /// Lets what was sent leave before the connection breaks.
    flushed: Option<Pin<Box<Sleep>>>,
    begun: Gauge,
    part_sent: Option<Held>,
    _in_flight: Option<Flight>,
}

#[derive(Debug)]
struct Pace {
    bytes_per_second: u64,
    next: Pin<Box<Sleep>>,
}

/// What a body needs besides its pieces.
#[derive(Debug)]
pub(crate) struct Manner {
    pub(crate) ending: Ending,
    pub(crate) bytes_per_second: Option<u64>,
    /// Counts bodies begun and not finished.
    pub(crate) begun: Gauge,
    pub(crate) in_flight: Option<Flight>,
}

const FLUSH: Duration = Duration::from_millis(30);

impl Sending {
    pub(crate) fn new(pieces: Vec<Piece>, manner: Manner) -> Self {
        let mut pieces = pieces.into_iter();
        let pace = manner.bytes_per_second.map(|bytes_per_second| Pace {
            bytes_per_second: bytes_per_second.max(1),
            next: Box::pin(sleep_until(Instant::now())),
        });
        Self {
            piece: pieces.next(),
            pieces,
            sent: 0,
            ending: manner.ending,
            chunk: Seed::numbered(1, 1),
            pace,
            flushed: None,
            begun: manner.begun,
            part_sent: None,
            _in_flight: manner.in_flight,
        }
    }

    fn next_chunk(&mut self) -> Option<Bytes> {
        let size = (16 + self.chunk.below(13) * 4) * 1024;
        while let Some(piece) = &mut self.piece {
            if let Some(chunk) = piece.take(size) {
                return Some(chunk);
            }
            self.piece = self.pieces.next();
        }
        None
    }

    fn stop(&self) -> Option<usize> {
        match self.ending {
            Ending::Whole => None,
            Ending::Short(after) | Ending::Silent(after) | Ending::Broken { after, .. } => Some(after),
        }
    }

    /// Ends as asked, once what was sent has left.
    fn stopped(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let flushed = self.flushed.get_or_insert_with(|| Box::pin(tokio::time::sleep(FLUSH)));
        if flushed.as_mut().poll(cx).is_pending() {
            return Poll::Pending;
        }
        match &self.ending {
            Ending::Whole | Ending::Short(_) => Poll::Ready(()),
            Ending::Silent(_) => Poll::Pending,
            Ending::Broken { reset, connection, .. } => {
                connection.sever(*reset);
                Poll::Pending
            }
        }
    }
}

impl Body for Sending {
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, std::io::Error>>> {
        let this = &mut *self;
        if this.stop().is_some_and(|after| this.sent >= after) {
            return this.stopped(cx).map(|()| None);
        }
        if let Some(pace) = &mut this.pace
            && pace.next.as_mut().poll(cx).is_pending()
        {
            return Poll::Pending;
        }
        let Some(mut chunk) = this.next_chunk() else {
            this.part_sent = None;
            return Poll::Ready(None);
        };
        if let Some(after) = this.stop() {
            chunk.truncate(after - this.sent);
        }
        this.part_sent.get_or_insert_with(|| this.begun.hold());
        this.sent += chunk.remaining();
        if let Some(pace) = &mut this.pace {
            let rest = Duration::from_secs_f64(chunk.len() as f64 / pace.bytes_per_second as f64);
            pace.next.as_mut().reset(Instant::now() + rest);
        }
        Poll::Ready(Some(Ok(Frame::data(chunk))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_come_out_whole_in_any_chunks() {
        let raw: Vec<u8> = PAD.iter().cycle().take(PAD_BLOCK * 2 + 300).copied().collect();
        for base64 in [false, true] {
            let expected = if base64 { STANDARD.encode_to_string(&raw).into_bytes() } else { raw.clone() };
            for size in [4, 1000, 16 * 1024, 64 * 1024] {
                let whole = Piece::Bytes { bytes: raw.clone().into(), base64 };
                for mut piece in [whole, Piece::Padding { left: raw.len(), at: 0, base64 }] {
                    assert_eq!(piece.sent_len(), expected.len());
                    let mut sent = Vec::new();
                    while let Some(chunk) = piece.take(size) {
                        sent.extend_from_slice(&chunk);
                    }
                    assert!(sent == expected, "{base64} {size}");
                }
            }
        }
        assert_eq!(pad_crc(b"piCt", raw.len()), crc32fast::hash(&[b"piCt".as_slice(), &raw].concat()));
    }
}
