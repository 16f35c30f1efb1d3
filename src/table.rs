//! Lays out columns for people.

/// Columns as wide as their widest cell, two spaces between them; those named in `right` end alike.
pub(crate) fn table(titles: &[&str], right: &[usize], rows: &[Vec<String>]) -> String {
    let mut widths: Vec<usize> = titles.iter().map(|title| title.chars().count()).collect();
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(console::measure_text_width(cell));
        }
    }
    let line = |cells: &mut dyn Iterator<Item = &str>| {
        let padded: Vec<String> = cells
            .enumerate()
            .map(|(i, cell)| {
                let gap = " "
                    .repeat(widths.get(i).map_or(0, |w| w.saturating_sub(console::measure_text_width(cell))));
                if right.contains(&i) { gap + cell } else { cell.to_owned() + &gap }
            })
            .collect();
        padded.join("  ").trim_end().to_owned() + "\n"
    };
    let mut text = line(&mut titles.iter().copied());
    for row in rows {
        text += &line(&mut row.iter().map(String::as_str));
    }
    text
}

/// A text of a stranger without what a terminal would act on.
pub(crate) fn plain(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// The first line of a text, shortened to so many characters.
pub(crate) fn shortened(text: &str, most: usize) -> String {
    let line: String = text.split_whitespace().collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(most) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line,
    }
}

/// A text without what a terminal would obey.
pub(crate) fn harmless(text: &str) -> String {
    text.chars().map(|c| if c.is_control() && c != '\n' { '\u{fffd}' } else { c }).collect()
}

/// Those of some counts that are not zero, as ", 3 failed".
pub(crate) fn some_of(named: &[(u64, &str)]) -> String {
    let some = named.iter().filter(|(count, _)| *count > 0);
    some.map(|(count, what)| format!(", {count} {what}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up() {
        let rows = [vec!["a".to_owned(), "10".to_owned()], vec!["long".to_owned(), "5".to_owned()]];
        assert_eq!(table(&["name", "n"], &[1], &rows), "name   n\na     10\nlong   5\n");
    }

    #[test]
    fn long_texts_are_cut_by_characters() {
        assert_eq!(shortened("é\n é é", 3), "é é…");
    }
}
