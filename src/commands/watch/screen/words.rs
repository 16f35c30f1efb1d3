//! What strangers wrote, made fit for a cell: nothing in it that a terminal acts on, and cut by its width.

/// Marks above and below one character that are kept; more of them would cover the lines around it.
const MARKS: usize = 2;

/// A text in one line, without controls, escapes, invisible and direction-changing characters.
pub(crate) fn shown(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let (mut marks, mut blank) = (0, true);
    for c in text.chars() {
        let Some(c) = fit(c) else { continue };
        if c == ' ' {
            if !blank {
                out.push(' ');
            }
            blank = true;
            continue;
        }
        let mark = width(c.encode_utf8(&mut [0; 4])) == 0;
        marks = if mark { marks + 1 } else { 0 };
        if !mark || marks <= MARKS && !blank {
            out.push(c);
        }
        blank = blank && mark;
    }
    out.truncate(out.trim_end().len());
    out
}

/// What stands for a character; `None` where nothing does.
fn fit(c: char) -> Option<char> {
    match c {
        _ if c.is_whitespace() || c.is_control() => Some(' '),
        // Flags, and what changes or joins the character before, are wider or narrower on each terminal.
        '\u{1f1e6}'..='\u{1f1ff}' => u8::try_from(u32::from(c) - 0x1f1e6).ok().map(|n| char::from(b'A' + n)),
        '\u{1f3fb}'..='\u{1f3ff}' | '\u{fe00}'..='\u{fe0f}' | '\u{e0000}'..='\u{e0fff}' => None,
        // Zero-width ones, directions and isolates, the soft hyphen, the byte order mark, fillers.
        '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}'..='\u{1160}' | '\u{17b4}'..='\u{17b5}' => None,
        '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' => None,
        '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}' => None,
        c => Some(c),
    }
}

/// Columns that a text takes.
pub(super) fn width(text: &str) -> usize {
    console::measure_text_width(text)
}

/// A text that was [`shown`], cut to so many columns.
pub(super) fn cut(text: &str, columns: usize) -> String {
    if width(text) <= columns {
        return text.to_owned();
    }
    if columns == 0 {
        return String::new();
    }
    console::truncate_str(text, columns, "…").into_owned()
}

/// A text in lines of so many columns, broken at blanks where there are any.
pub(super) fn wrapped(text: &str, columns: usize) -> Vec<String> {
    let columns = columns.max(1);
    let mut lines = vec![String::new()];
    for word in text.split(' ') {
        let mut rest = word.to_owned();
        loop {
            let line = lines.last_mut().expect("there is one");
            let gap = usize::from(!line.is_empty());
            if width(line) + gap + width(&rest) <= columns {
                *line += &" ".repeat(gap);
                *line += &rest;
                break;
            }
            if line.is_empty() {
                let end = fitting(&rest, columns);
                line.push_str(&rest[..end]);
                rest = rest.split_off(end);
                if rest.is_empty() {
                    break;
                }
            }
            lines.push(String::new());
        }
    }
    lines
}

/// How many bytes of a text fit; one character at least.
fn fitting(text: &str, columns: usize) -> usize {
    let ends = text.char_indices().map(|(at, c)| at + c.len_utf8());
    let fits = ends.take_while(|end| width(&text[..*end]) <= columns).last();
    fits.unwrap_or_else(|| text.chars().next().map_or(0, char::len_utf8))
}

/// A word of a command as a shell takes it.
pub(super) fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "._/:=@%+,-".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', "'\\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_left_that_a_terminal_acts_on() {
        for (text, shows) in [
            ("a\u{1b}[2Jb\u{7}\u{9b}31mc", "a [2Jb 31mc"),
            ("\u{1b}]0;title\u{7}x\r\ny\tz", "]0;title x y z"),
            ("abc\u{202e}gpj.exe\u{2066}", "abcgpj.exe"),
            ("z\u{300}\u{301}\u{302}\u{303}a", "z\u{300}\u{301}a"),
            ("\u{300}a\u{200b}b\u{ad}c\u{feff}", "abc"),
            ("👩\u{200d}👧 👍\u{1f3fd} 🇩🇪 ❤\u{fe0f}", "👩👧 👍 DE ❤"),
            ("  much   room  ", "much room"),
            ("שלום 漢字", "שלום 漢字"),
        ] {
            assert_eq!(shown(text), shows);
        }
    }

    #[test]
    fn texts_are_cut_and_broken_by_their_width() {
        assert_eq!(cut("漢字漢字", 5), "漢字…");
        assert_eq!(cut("漢字", 4), "漢字");
        assert_eq!(cut("abc", 0), "");
        assert_eq!(wrapped("one two three", 7), ["one two", "three"]);
        assert_eq!(wrapped("漢字漢字x", 5), ["漢字", "漢字x"]);
        assert_eq!(wrapped("abcdefgh ij", 3), ["abc", "def", "gh", "ij"]);
    }

    #[test]
    fn a_word_of_a_command_stays_one() {
        assert_eq!(quoted("nightly-2026"), "nightly-2026");
        assert_eq!(quoted("it's $HOME; x"), "'it'\\''s $HOME; x'");
        assert_eq!(quoted(""), "''");
    }
}
