//! Makes any text a file name that every system takes and nobody mistakes for a path.

use sha2::{Digest as _, Sha256};
use unicode_normalization::UnicodeNormalization as _;

/// Bytes of a part; file systems allow 255, and stores add a suffix.
pub(super) const PART_BYTES: usize = 240;
const EXTENSION_BYTES: usize = 16;
/// Names that Windows keeps for devices, whatever their extension.
const DEVICES: &[&str] = &["CON", "PRN", "AUX", "NUL", "CONIN$", "CONOUT$"];
const NUMBERED: &[&str] = &["COM", "LPT"];

/// A value as it may stand in a part: composed, trimmed, without separators and control characters.
pub(super) fn value(text: &str) -> String {
    let replaced = text.trim().nfc().map(|c| if is_bad(c) { '_' } else { c });
    // Composing again, since a replaced character may have stood between two that compose.
    replaced.nfc().collect()
}

fn is_bad(c: char) -> bool {
    c == '/'
        || super::FORBIDDEN.contains(&c)
        || c.is_control()
        || matches!(c, '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

/// A part as it may stand between slashes.
pub(super) fn part(text: String) -> String {
    let mut safe: String = text.nfc().collect();
    // Hidden on Unix, and the beginning of `..`.
    if safe.starts_with(['.', ' ']) {
        safe.replace_range(..1, "_");
    }
    // Windows drops these.
    let kept = safe.trim_end_matches(['.', ' ']).len();
    let dropped = safe.len() - kept;
    safe.truncate(kept);
    safe.push_str(&"_".repeat(dropped));
    if is_device(&safe) {
        safe.insert(0, '_');
    }
    if safe.len() > PART_BYTES { shortened(&safe) } else { safe }
}

fn is_device(part: &str) -> bool {
    let stem = part.split('.').next().unwrap_or(part).trim_end().to_uppercase();
    let numbered = |device: &&str| {
        stem.strip_prefix(*device).is_some_and(|number| {
            let mut digits = number.chars();
            matches!((digits.next(), digits.next()), (Some('0'..='9' | '¹' | '²' | '³'), None))
        })
    };
    DEVICES.contains(&stem.as_str()) || NUMBERED.iter().any(numbered)
}

/// Keeps beginning and extension; a digest of the whole tells long names apart.
fn shortened(part: &str) -> String {
    let (stem, ext) = match part.rsplit_once('.') {
        Some((stem, ext)) if !stem.is_empty() && ext.len() <= EXTENSION_BYTES => (stem, format!(".{ext}")),
        _ => (part, String::new()),
    };
    let digest: String =
        Sha256::digest(part.as_bytes()).iter().take(4).map(|byte| format!("{byte:02x}")).collect();
    let end = stem.floor_char_boundary(PART_BYTES - ext.len() - digest.len() - 1);
    format!("{}~{digest}{ext}", &stem[..end])
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn safe(text: &str) -> String {
        part(value(text))
    }

    #[test]
    fn tricks_come_to_plain_names() {
        for (text, expected) in [
            ("mug-1.png", "mug-1.png"),
            ("../../etc/passwd", "_._.._etc_passwd"),
            ("..", "__"),
            (".", "_"),
            ("/etc/passwd", "_etc_passwd"),
            ("C:\\Windows\\x", "C__Windows_x"),
            (".htaccess", "_htaccess"),
            ("a\0b\nc\u{7f}d\u{85}e", "a_b_c_d_e"),
            ("gpj\u{202e}.exe", "gpj_.exe"),
            ("nul", "_nul"),
            ("Con.tar.gz", "_Con.tar.gz"),
            ("COM1 .x", "_COM1 .x"),
            ("LPT²", "_LPT²"),
            ("COM10", "COM10"),
            ("console", "console"),
            ("name. . ", "name___"),
            ("  spaced  ", "spaced"),
            ("cafe\u{301}", "caf\u{e9}"),
            ("画像 🎨", "画像 🎨"),
            ("=1+1", "=1+1"),
        ] {
            assert_eq!(safe(text), expected, "{text:?}");
        }
    }

    #[test]
    fn long_names_stay_different_and_keep_their_extension() {
        let (a, b) = (format!("{}a.png", "é".repeat(200)), format!("{}b.png", "é".repeat(200)));
        for name in [&a, &b] {
            let short = safe(name);
            assert!((230..=PART_BYTES).contains(&short.len()) && short.ends_with(".png"), "{short}");
        }
        assert_ne!(safe(&a), safe(&b));
        assert_eq!(safe(&"x".repeat(PART_BYTES)).len(), PART_BYTES);
        assert!(safe(&format!("a.{}", "x".repeat(300))).len() <= PART_BYTES);
    }

    proptest! {
        #[test]
        fn every_text_is_a_safe_part(text in "\\PC*|[./\\\\ a\u{0}\u{301}\u{202e}:]{0,12}|(con|NUL|com1)[. ]{0,3}[a-z]{0,3}") {
            let name = safe(&format!("{text}x"));
            prop_assert!(!name.is_empty() && name.len() <= PART_BYTES);
            prop_assert!(!name.contains(['/', '\\', ':']) && !name.chars().any(char::is_control));
            prop_assert!(!name.starts_with('.') && !name.ends_with(['.', ' ']));
            prop_assert!(!is_device(&name));
            prop_assert_eq!(safe(&name), name, "safe names stay");
        }
    }
}
