//! What stands on an image in the store: enough to rebuild ledger and state from it.

use std::collections::BTreeMap;

use crate::{MicroUsd, batch::Made, queue::Attempt, store::StoredObject};

/// Longest revised prompt kept on the object, in encoded bytes; the whole is in Redis and the JSON beside it.
const PROMPT_BYTES: usize = 900;

/// The metadata of an image object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stamp {
    /// The attempt that made it.
    pub attempt: Attempt,
    /// What was made.
    pub made: Made,
}

impl Stamp {
    /// As object metadata: ASCII names and values, below 2 KiB.
    #[must_use]
    pub fn to_metadata(&self) -> BTreeMap<String, String> {
        let made = &self.made;
        let mut fields = BTreeMap::from([
            ("key".to_owned(), self.attempt.key.to_string()),
            ("token".to_owned(), self.attempt.token.clone()),
            ("attempt".to_owned(), self.attempt.attempt.to_string()),
            ("payer".to_owned(), self.attempt.payer.clone()),
            ("lane".to_owned(), self.attempt.lane.clone()),
            ("model".to_owned(), encoded(&self.attempt.model, 100)),
            ("cost".to_owned(), made.cost.0.to_string()),
            ("digest".to_owned(), made.digest.clone()),
            ("bytes".to_owned(), made.bytes.to_string()),
            ("pixels".to_owned(), format!("{}x{}", made.width, made.height)),
            ("at".to_owned(), made.at_ms.to_string()),
        ]);
        let optional = [
            ("request-id", &made.request_id, 200),
            ("revised-prompt", &made.revised_prompt, PROMPT_BYTES),
            ("mismatch", &made.mismatch, 200),
        ];
        if !self.attempt.tenant.is_empty() {
            fields.insert("tenant".to_owned(), self.attempt.tenant.clone());
        }
        for (name, value, most) in optional {
            if let Some(text) = value {
                fields.insert(name.to_owned(), encoded(text, most));
            }
        }
        fields
    }

    /// Reads the metadata back; `None` when the object was not written by Pictor.
    #[must_use]
    pub fn of(object: &StoredObject) -> Option<Self> {
        let field = |name: &str| object.metadata.get(name).map(|text| decoded(text));
        let (width, height) = field("pixels")
            .and_then(|pixels| {
                pixels.split_once('x').map(|(w, h)| (w.parse().unwrap_or(0), h.parse().unwrap_or(0)))
            })
            .unwrap_or((0, 0));
        let attempt = Attempt {
            key: field("key")?.parse().ok()?,
            token: field("token")?,
            attempt: field("attempt")?.parse().ok()?,
            payer: field("payer").unwrap_or_default(),
            tenant: field("tenant").unwrap_or_default(),
            lane: field("lane").unwrap_or_default(),
            model: field("model").unwrap_or_default(),
            request_id: field("request-id"),
        };
        let made = Made {
            object: object.name.clone(),
            digest: field("digest")?,
            content_type: object.content_type.clone().unwrap_or_default(),
            bytes: object.length,
            width,
            height,
            cost: MicroUsd(field("cost")?.parse().ok()?),
            request_id: field("request-id"),
            revised_prompt: field("revised-prompt"),
            mismatch: field("mismatch"),
            at_ms: field("at").and_then(|at| at.parse().ok()).unwrap_or(0),
        };
        Some(Self { attempt, made })
    }
}

/// Percent-encodes all but printable ASCII, stopping before `most` bytes at a whole character.
fn encoded(text: &str, most: usize) -> String {
    let mut out = String::new();
    for character in text.chars() {
        let mut buffer = [0; 4];
        let mut piece = String::new();
        for byte in character.encode_utf8(&mut buffer).bytes() {
            if (b' '..=b'~').contains(&byte) && byte != b'%' {
                piece.push(char::from(byte));
            } else {
                piece.push_str(&format!("%{byte:02X}"));
            }
        }
        if out.len() + piece.len() > most {
            break;
        }
        out.push_str(&piece);
    }
    out.trim().to_owned()
}

fn decoded(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let hex = text.get(at + 1..at + 3).and_then(|digits| u8::from_str_radix(digits, 16).ok());
        match (bytes[at], hex) {
            (b'%', Some(byte)) => {
                out.push(byte);
                at += 3;
            }
            (byte, _) => {
                out.push(byte);
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{AssetKey, Spec};

    #[test]
    fn metadata_is_ascii_small_and_comes_back() {
        let key = AssetKey::of(&Spec { model: "m".into(), ..Spec::default() });
        let stamp = Stamp {
            attempt: Attempt {
                key,
                token: "01J-7".into(),
                attempt: 2,
                payer: "b-1".into(),
                tenant: "shop".to_owned(),
                lane: "openai.gpt-image".into(),
                model: "gpt-image-2".into(),
                request_id: Some("req_1".into()),
            },
            made: Made {
                object: "assets/aa/x.png".into(),
                digest: "d".repeat(64),
                content_type: "image/png".into(),
                bytes: 12,
                width: 256,
                height: 512,
                cost: MicroUsd(40_000),
                request_id: Some("req_1".into()),
                revised_prompt: Some("caf\u{e9} 100 % 🦊\nnew line".into()),
                mismatch: None,
                at_ms: 5,
            },
        };
        let metadata = stamp.to_metadata();
        assert!(metadata.values().all(|v| v.bytes().all(|b| (b' '..=b'~').contains(&b))));
        let object = StoredObject {
            name: stamp.made.object.clone(),
            length: 12,
            content_type: Some("image/png".into()),
            metadata,
        };
        assert_eq!(Stamp::of(&object), Some(stamp.clone()));

        let long =
            Stamp { made: Made { revised_prompt: Some("é".repeat(5_000)), ..stamp.made.clone() }, ..stamp };
        assert!(long.to_metadata().iter().map(|(k, v)| k.len() + v.len()).sum::<usize>() < 2_048);
    }
}
