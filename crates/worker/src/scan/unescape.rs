//! Undoes JSON escapes inside an image string, one byte at a time.

/// Stands for any character that base64 cannot contain.
const NEVER_BASE64: u8 = 0;

#[derive(Debug, Default)]
enum State {
    #[default]
    Closed,
    Backslash,
    Unicode {
        digits: u8,
        value: u32,
    },
}

/// An escape that may be spread over chunks.
#[derive(Debug, Default)]
pub(super) struct Unescape(State);

impl Unescape {
    pub(super) const fn is_open(&self) -> bool {
        !matches!(self.0, State::Closed)
    }

    /// A backslash was read.
    pub(super) fn open(&mut self) {
        self.0 = State::Backslash;
    }

    /// Takes the next byte of the escape; gives the character when it is complete.
    pub(super) fn push(&mut self, byte: u8) -> Option<u8> {
        let (next, done) = match self.0 {
            State::Closed => (State::Closed, Some(byte)),
            State::Backslash => match byte {
                b'u' => (State::Unicode { digits: 0, value: 0 }, None),
                b'n' => (State::Closed, Some(b'\n')),
                b'r' => (State::Closed, Some(b'\r')),
                b't' => (State::Closed, Some(b'\t')),
                b'f' => (State::Closed, Some(b'\x0c')),
                b'/' => (State::Closed, Some(b'/')),
                _ => (State::Closed, Some(NEVER_BASE64)),
            },
            State::Unicode { digits, value } => unicode(digits, value, byte),
        };
        self.0 = next;
        done
    }
}

fn unicode(digits: u8, value: u32, byte: u8) -> (State, Option<u8>) {
    let Some(digit) = char::from(byte).to_digit(16) else {
        return (State::Closed, Some(NEVER_BASE64));
    };
    let value = value * 16 + digit;
    if digits < 3 {
        return (State::Unicode { digits: digits + 1, value }, None);
    }
    (State::Closed, Some(u8::try_from(value).unwrap_or(NEVER_BASE64)))
}
