//! Hostile texts in a page: as HTML, and as JSON inside of a script element.

use std::fmt::{self, Write as _};

/// A text as HTML, in an element or in a quoted attribute. Control characters, and those that turn the direction of what
/// follows, are replaced, so that no text changes what stands beside it.
pub(super) struct Html<'a>(pub(super) &'a str);

impl fmt::Display for Html<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for character in self.0.chars() {
            match character {
                '&' => f.write_str("&amp;")?,
                '<' => f.write_str("&lt;")?,
                '>' => f.write_str("&gt;")?,
                '"' => f.write_str("&quot;")?,
                '\'' => f.write_str("&#39;")?,
                '\n' | '\t' => f.write_char(character)?,
                _ if character.is_control() || turns(character) => {
                    f.write_char(char::REPLACEMENT_CHARACTER)?
                }
                _ => f.write_char(character)?,
            }
        }
        Ok(())
    }
}

/// Marks, embeddings, overrides and isolates of bidirectional text.
const fn turns(character: char) -> bool {
    matches!(character, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// JSON that can stand in a script element and means the same: no text in it can end the element, or begin a comment.
pub(super) fn in_script(json: &str) -> String {
    let mut out = String::with_capacity(json.len() + json.len() / 16);
    for character in json.chars() {
        match character {
            '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => escaped(&mut out, character),
            _ if turns(character) => escaped(&mut out, character),
            _ => out.push(character),
        }
    }
    out
}

fn escaped(out: &mut String, character: char) {
    write!(out, "\\u{:04x}", u32::from(character)).expect("a String takes everything");
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOSTILE: &str = "</script><img src=x onerror=alert(1)> \"'&<!-- \u{2028}\u{2029}\u{202e}gnp.exe\u{0}\u{1b}[31m =1+1 ${a} `b` \\";

    #[test]
    fn no_text_ends_its_element_or_attribute() {
        let shown = Html(HOSTILE).to_string();
        assert!(!shown.contains(['<', '>', '"', '\'', '\u{202e}', '\u{1b}', '\u{0}']), "{shown}");
        assert!(shown.starts_with("&lt;/script&gt;&lt;img src=x onerror=alert(1)&gt; &quot;&#39;&amp;"));
        assert_eq!(Html("a\nb\tc é 🦊 שלום").to_string(), "a\nb\tc é 🦊 שלום");
    }

    #[test]
    fn json_in_a_script_means_the_same_and_ends_nothing() {
        let json = serde_json::to_string(&[HOSTILE, &"x<".repeat(5_000)]).unwrap();
        let inside = in_script(&json);
        assert!(!inside.contains(['<', '>', '&', '\u{2028}', '\u{2029}', '\u{202e}']), "{inside}");
        let read: Vec<String> = serde_json::from_str(&inside).unwrap();
        assert_eq!(read[0], HOSTILE);
        assert_eq!(read[1].len(), 10_000);
    }
}
