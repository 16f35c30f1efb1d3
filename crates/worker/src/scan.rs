//! Takes the image out of a streamed JSON answer.
//!
//! A push parser: it is fed the body in whatever chunks arrive, hands the decoded bytes of the
//! first image on at once, and keeps the rest of the JSON, with every image string emptied, for
//! `serde_json` to judge at the end. It never holds more than one chunk and a capped skeleton. It
//! does not validate JSON: whatever it lets through wrongly, the parse of the skeleton refuses.

mod base64_stream;
mod skeleton;
mod unescape;

use memchr::memchr2;

use base64_stream::{Base64Stream, Fault};
use skeleton::Skeleton;
use unescape::Unescape;

/// Deeper nesting is not parsed; `serde_json` itself stops at 128.
const MAX_DEPTH: usize = 200;

/// Longer keys cannot be one we look for, however they are escaped.
const MAX_KEY: usize = 64;

const DATA_URL: &[u8] = b"data:";

/// How the first image string of a body ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ImageText {
    /// There is none.
    Absent,
    /// It was decoded to its closing quote.
    Complete,
    /// The body ended inside it.
    Cut,
    /// It is not base64.
    NotBase64,
    /// It holds more bytes than allowed.
    TooLarge,
}

/// What is left of a body once it has been scanned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scanned {
    /// How the first image string ended.
    pub image: ImageText,
    /// Image strings that were not empty, the first included.
    pub images: u32,
    /// The JSON with every image string emptied and spaces collapsed.
    pub skeleton: Vec<u8>,
    /// The skeleton outgrew its cap, so its end is missing.
    pub skeleton_cut: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Target {
    Image,
    Url,
    Other,
}

#[derive(Debug)]
enum State {
    Structure,
    Key { escaped: bool },
    Text { escaped: bool },
    MaybeDataUrl { matched: usize },
    Image,
    ExtraImage { escaped: bool, empty: bool },
    Broken,
}

/// Scans one body.
#[derive(Debug)]
pub struct Scanner {
    state: State,
    in_object: Vec<bool>,
    expects_key: bool,
    key: Vec<u8>,
    target: Target,
    skeleton: Skeleton,
    unescape: Unescape,
    base64: Base64Stream,
    first: ImageText,
    images: u32,
}

impl Scanner {
    /// A scanner that accepts images of at most so many bytes.
    #[must_use]
    pub fn new(max_image_bytes: u64) -> Self {
        Self {
            state: State::Structure,
            in_object: Vec::new(),
            expects_key: false,
            key: Vec::new(),
            target: Target::Other,
            skeleton: Skeleton::default(),
            unescape: Unescape::default(),
            base64: Base64Stream::new(max_image_bytes),
            first: ImageText::Absent,
            images: 0,
        }
    }

    /// Takes the next chunk of the body and appends what it decodes of the first image to `image`.
    pub fn push(&mut self, chunk: &[u8], image: &mut Vec<u8>) {
        let mut rest = chunk;
        while !rest.is_empty() {
            let used = match self.state {
                State::Structure => self.structure(rest),
                State::Key { escaped } => self.key(rest, escaped),
                State::Text { escaped } => self.text(rest, escaped),
                State::MaybeDataUrl { matched } => self.maybe_data_url(rest, matched, image),
                State::Image => self.image(rest, image),
                State::ExtraImage { escaped, empty } => self.extra_image(rest, escaped, empty),
                State::Broken => rest.len(),
            };
            rest = &rest[used..];
        }
    }

    /// Whether any text of an image has arrived.
    #[must_use]
    pub fn saw_image(&self) -> bool {
        self.images > 0 || matches!(self.state, State::Image)
    }

    /// How the first image string stands so far; `Cut` while it is still open.
    #[must_use]
    pub fn image_text(&self) -> ImageText {
        match (&self.state, self.base64.fault()) {
            (State::Image, None) => ImageText::Cut,
            (State::Image, Some(fault)) => fault.into(),
            _ => self.first,
        }
    }

    /// Ends the scan, whether the body is whole or was cut.
    #[must_use]
    pub fn finish(self) -> Scanned {
        let image = self.image_text();
        let images =
            self.images + u32::from(matches!(self.state, State::Image) && !self.base64.is_untouched());
        let (skeleton, skeleton_cut) = self.skeleton.into_parts();
        Scanned { image, images, skeleton, skeleton_cut }
    }

    fn structure(&mut self, rest: &[u8]) -> usize {
        for (at, &byte) in rest.iter().enumerate() {
            match byte {
                b'"' => {
                    self.open_string();
                    return at + 1;
                }
                b'{' | b'[' => {
                    if self.in_object.len() >= MAX_DEPTH {
                        self.state = State::Broken;
                        self.skeleton.byte(byte);
                        return rest.len();
                    }
                    self.in_object.push(byte == b'{');
                    self.expects_key = byte == b'{';
                    self.target = Target::Other;
                }
                b'}' | b']' => {
                    self.in_object.pop();
                    self.expects_key = false;
                }
                b',' => {
                    self.expects_key = self.in_object.last().copied().unwrap_or(false);
                    self.target = Target::Other;
                }
                b':' => self.expects_key = false,
                _ => {}
            }
            self.skeleton.structural(byte);
        }
        rest.len()
    }

    fn open_string(&mut self) {
        self.skeleton.byte(b'"');
        self.state = match (self.expects_key, self.target) {
            (true, _) => {
                self.key.clear();
                State::Key { escaped: false }
            }
            (false, Target::Image) if self.images == 0 => State::Image,
            (false, Target::Image) => State::ExtraImage { escaped: false, empty: true },
            (false, Target::Url) if self.images == 0 => State::MaybeDataUrl { matched: 0 },
            (false, Target::Url | Target::Other) => State::Text { escaped: false },
        };
    }

    fn close_string(&mut self) {
        self.skeleton.byte(b'"');
        self.target = Target::Other;
        self.state = State::Structure;
    }

    fn key(&mut self, rest: &[u8], escaped: bool) -> usize {
        let (end, open) = skip_string(rest, escaped);
        self.skeleton.bytes(&rest[..end]);
        let room = (MAX_KEY + 1).saturating_sub(self.key.len());
        self.key.extend_from_slice(&rest[..end.min(room)]);
        let used = self.after_skip(end, open, |escaped| State::Key { escaped });
        if open.is_none() {
            self.target = self.target_of_key();
        }
        used
    }

    fn target_of_key(&self) -> Target {
        let unescaped: Option<String> = if self.key.contains(&b'\\') {
            serde_json::from_slice(&[b"\"", &*self.key, b"\""].concat()).ok()
        } else {
            None
        };
        match unescaped.as_deref().map_or(&*self.key, str::as_bytes) {
            b"b64_json" => Target::Image,
            b"url" => Target::Url,
            _ => Target::Other,
        }
    }

    fn text(&mut self, rest: &[u8], escaped: bool) -> usize {
        let (end, next) = skip_string(rest, escaped);
        self.skeleton.bytes(&rest[..end]);
        self.after_skip(end, next, |escaped| State::Text { escaped })
    }

    fn extra_image(&mut self, rest: &[u8], escaped: bool, empty: bool) -> usize {
        let (end, next) = skip_string(rest, escaped);
        let empty = empty && end == 0;
        self.images += u32::from(next.is_none() && !empty);
        self.after_skip(end, next, |escaped| State::ExtraImage { escaped, empty })
    }

    fn after_skip(&mut self, end: usize, open: Option<bool>, state: impl FnOnce(bool) -> State) -> usize {
        match open {
            Some(escaped) => {
                self.state = state(escaped);
                end
            }
            None => {
                self.close_string();
                end + 1
            }
        }
    }

    fn maybe_data_url(&mut self, rest: &[u8], matched: usize, image: &mut Vec<u8>) -> usize {
        let same = DATA_URL[matched..].iter().zip(rest).take_while(|(a, b)| a == b).count();
        let matched = matched + same;
        if matched == DATA_URL.len() {
            self.base64.push(DATA_URL, image);
            self.state = State::Image;
        } else if same < rest.len() {
            self.skeleton.bytes(&DATA_URL[..matched]);
            self.state = State::Text { escaped: false };
        } else {
            self.state = State::MaybeDataUrl { matched };
        }
        same
    }

    fn image(&mut self, rest: &[u8], image: &mut Vec<u8>) -> usize {
        if self.unescape.is_open() {
            if let Some(byte) = self.unescape.push(rest[0]) {
                self.base64.push(&[byte], image);
            }
            return 1;
        }
        let end = memchr2(b'"', b'\\', rest).unwrap_or(rest.len());
        self.base64.push(&rest[..end], image);
        match rest.get(end) {
            None => end,
            Some(b'"') => {
                self.close_image(image);
                end + 1
            }
            Some(_) => {
                self.unescape.open();
                end + 1
            }
        }
    }

    fn close_image(&mut self, image: &mut Vec<u8>) {
        if !self.base64.is_untouched() {
            self.first = self.base64.finish(image).map_or_else(ImageText::from, |()| ImageText::Complete);
            self.images = 1;
        }
        self.close_string();
    }
}

impl From<Fault> for ImageText {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::NotBase64 => Self::NotBase64,
            Fault::TooLarge => Self::TooLarge,
        }
    }
}

/// Finds the end of a string: how many bytes belong to it and, if it goes on, whether an escape
/// is open.
fn skip_string(rest: &[u8], mut escaped: bool) -> (usize, Option<bool>) {
    let mut at = 0;
    while at < rest.len() {
        if escaped {
            escaped = false;
            at += 1;
            continue;
        }
        match memchr2(b'"', b'\\', &rest[at..]) {
            None => return (rest.len(), Some(false)),
            Some(found) if rest[at + found] == b'"' => return (at + found, None),
            Some(found) => {
                escaped = true;
                at += found + 1;
            }
        }
    }
    (at, Some(escaped))
}

#[cfg(test)]
#[path = "scan/tests.rs"]
mod tests;
