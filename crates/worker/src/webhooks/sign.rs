//! Signatures of Standard Webhooks: HMAC-SHA256 over id, time and body.

use base64_simd::STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use secrecy::{ExposeSecret as _, SecretSlice};
use sha2::Sha256;

const PREFIX: &str = "whsec_";
/// What a secret may hold, in bytes.
const LENGTHS: std::ops::RangeInclusive<usize> = 24..=64;
/// An old one and a new one.
const MOST: usize = 2;

/// What signs.
pub(super) type Key = SecretSlice<u8>;

/// Reads one secret, or two with blanks or a line end between them.
pub(super) fn keys(text: &str) -> Result<Vec<Key>, String> {
    let words: Vec<&str> = text.split_whitespace().collect();
    if words.is_empty() || words.len() > MOST {
        return Err(format!(
            "there are {} secrets: one is wanted, or two while they are changed",
            words.len()
        ));
    }
    words.into_iter().map(key).collect()
}

fn key(word: &str) -> Result<Key, String> {
    let wanted = "a secret is whsec_ and the base64 of 24 to 64 random bytes: \
                  echo whsec_$(openssl rand -base64 32) makes one";
    let encoded = word.strip_prefix(PREFIX).ok_or(wanted)?;
    let bytes = STANDARD.decode_to_vec(encoded).map_err(|_invalid| wanted)?;
    if LENGTHS.contains(&bytes.len()) { Ok(bytes.into()) } else { Err(wanted.to_owned()) }
}

/// The header `webhook-signature`: a signature of each key.
pub(super) fn signatures(keys: &[Key], id: &str, at: u64, body: &str) -> String {
    let each = keys.iter().filter_map(|key| {
        // A key of any length is taken.
        let mut mac = Hmac::<Sha256>::new_from_slice(key.expose_secret()).ok()?;
        mac.update(format!("{id}.{at}.{body}").as_bytes());
        Some(format!("v1,{}", STANDARD.encode_to_string(mac.finalize().into_bytes())))
    });
    each.collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of the specification's reference libraries.
    const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

    #[test]
    fn a_signature_is_that_of_the_specification() {
        let keys = keys(SECRET).unwrap();
        let signed =
            signatures(&keys, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, "{\"test\": 2432232314}");
        assert_eq!(signed, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[test]
    fn while_secrets_are_changed_both_sign() {
        let other = format!("whsec_{}", STANDARD.encode_to_string([7; 32]));
        let both = keys(&format!("{SECRET}\n{other}\n")).unwrap();
        let signed = signatures(&both, "msg_1", 2, "{}");
        let (old, new) = signed.split_once(' ').unwrap();
        assert_eq!(old, signatures(&keys(SECRET).unwrap(), "msg_1", 2, "{}"));
        assert_eq!(new, signatures(&keys(&other).unwrap(), "msg_1", 2, "{}"));
    }

    #[test]
    fn what_is_no_secret_is_refused_without_being_told() {
        for wrong in ["", "hunter2", "whsec_", "whsec_short", "whsec_MfKQ9r8GKYqrTwjU!D8ILPZIo2LaLaSw"] {
            let error = keys(wrong).unwrap_err();
            assert!(wrong.len() < 8 || !error.contains(wrong), "{error}");
        }
        assert!(keys(&[SECRET; 3].join(" ")).unwrap_err().starts_with("there are 3 secrets"));
    }
}
