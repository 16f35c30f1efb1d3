//! Moves a body to disk piece by piece.

use std::io;

use crate::scan::{ImageText, Scanned, Scanner};

use super::{
    landing::Landing,
    wide_streams::{BodyStream, Broken},
};

/// Bodies are taken apart in slices of this size, whatever the network delivers.
const SLICE: usize = 8 * 1024;

/// Decoded bytes are written when this many have gathered.
const WRITE: usize = 16 * 1024;

/// An error body is worth no more memory.
const LONGEST_ERROR: usize = 64 * 1024;

/// A JSON body once it is received.
#[derive(Debug)]
pub(super) struct ReceivedJson {
    pub(super) scanned: Scanned,
    pub(super) saw_image: bool,
    pub(super) end: End,
}

/// How receiving ended.
#[derive(Debug)]
pub(super) enum End {
    Whole,
    Broken(Broken),
    TooLarge,
    Disk(io::Error),
}

/// Receives a JSON body; the image goes to the landing.
pub(super) async fn json(
    body: &mut BodyStream<'_>,
    landing: &mut Landing,
    max_image_bytes: u64,
) -> ReceivedJson {
    let mut scanner = Scanner::new(max_image_bytes);
    let end = scan_all(body, landing, &mut scanner, longest_body(max_image_bytes)).await;
    let saw_image = scanner.saw_image();
    ReceivedJson { scanned: scanner.finish(), saw_image, end }
}

/// Base64 takes a third more than the image, and escaped line ends a little again.
pub(super) const fn longest_body(max_image_bytes: u64) -> u64 {
    max_image_bytes.saturating_add(max_image_bytes / 2).saturating_add(1 << 20)
}

async fn scan_all(
    body: &mut BodyStream<'_>,
    landing: &mut Landing,
    scanner: &mut Scanner,
    longest: u64,
) -> End {
    let mut buffer = Vec::new();
    let mut received = 0;
    let end = loop {
        let piece = match body.next().await {
            Ok(Some(piece)) => piece,
            Ok(None) => break End::Whole,
            Err(broken) => break End::Broken(broken),
        };
        received += piece.len() as u64;
        for slice in piece.chunks(SLICE) {
            scanner.push(slice, &mut buffer);
            if buffer.len() >= WRITE {
                buffer = match landing.write(buffer).await {
                    Ok(buffer) => buffer,
                    Err(error) => return End::Disk(error),
                };
            }
        }
        if received > longest || scanner.image_text() == ImageText::TooLarge {
            break End::TooLarge;
        }
    };
    match landing.write(buffer).await {
        Ok(_) => end,
        Err(error) => End::Disk(error),
    }
}

/// Receives a body that is the image itself.
pub(super) async fn raw(body: &mut BodyStream<'_>, landing: &mut Landing, max_image_bytes: u64) -> End {
    let mut buffer = Vec::new();
    let mut received = 0;
    let end = loop {
        let piece = match body.next().await {
            Ok(Some(piece)) => piece,
            Ok(None) => break End::Whole,
            Err(broken) => return End::Broken(broken),
        };
        received += piece.len() as u64;
        if received > max_image_bytes {
            return End::TooLarge;
        }
        for slice in piece.chunks(SLICE) {
            buffer.extend_from_slice(slice);
            if buffer.len() >= WRITE {
                buffer = match landing.write(buffer).await {
                    Ok(buffer) => buffer,
                    Err(error) => return End::Disk(error),
                };
            }
        }
    };
    match landing.write(buffer).await {
        Ok(_) => end,
        Err(error) => End::Disk(error),
    }
}

/// Receives the body of a refusal, or as much of it as comes.
pub(super) async fn error(body: &mut BodyStream<'_>) -> Vec<u8> {
    let mut kept = Vec::new();
    while let Ok(Some(piece)) = body.next().await {
        let room = LONGEST_ERROR - kept.len();
        kept.extend_from_slice(&piece[..piece.len().min(room)]);
        if kept.len() == LONGEST_ERROR {
            break;
        }
    }
    kept
}
