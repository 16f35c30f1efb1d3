//! The JSON that stays when the images are taken out.

/// Usage, a rewritten prompt of 4,000 characters and an error fit many times over.
const CAP: usize = 48 * 1024;

/// Collects bytes up to a cap.
#[derive(Debug, Default)]
pub(super) struct Skeleton {
    kept: Vec<u8>,
    cut: bool,
}

impl Skeleton {
    /// Keeps a byte from outside strings, runs of white space as one space: some gateways send
    /// spaces to keep a connection alive.
    pub(super) fn structural(&mut self, byte: u8) {
        match byte {
            b' ' | b'\t' | b'\n' | b'\r' if self.kept.last() == Some(&b' ') => {}
            b' ' | b'\t' | b'\n' | b'\r' => self.byte(b' '),
            _ => self.byte(byte),
        }
    }

    pub(super) fn byte(&mut self, byte: u8) {
        self.bytes(&[byte]);
    }

    pub(super) fn bytes(&mut self, bytes: &[u8]) {
        let room = if self.cut { 0 } else { CAP - self.kept.len() };
        self.kept.extend_from_slice(&bytes[..bytes.len().min(room)]);
        self.cut |= bytes.len() > room;
    }

    pub(super) fn into_parts(self) -> (Vec<u8>, bool) {
        (self.kept, self.cut)
    }
}
