//! Turns the text of a cell into the value of a spec field.

use pictor_common::{Spec, spec::Operation};

use super::error::shortened;

/// Most takes of one row; more is likelier a slip than a wish.
pub(super) const MOST_TAKES: u32 = 100;
pub(super) const LONGEST_ID: usize = 200;

/// Sets a field of a spec from the text of a cell, trimmed and not empty; says what would be right.
pub(super) fn set(spec: &mut Spec, field: &str, text: &str) -> Result<(), String> {
    if let Some(control) = control_character(text, field == "prompt") {
        return Err(format!("holds the control character U+{:04X}; remove it", u32::from(control)));
    }
    // What decoders put where they could not read on; a picture of a garbled text is not worth paying for.
    if field == "prompt" && text.contains('\u{FFFD}') {
        return Err(
            "holds U+FFFD, which stands where a character could not be read; write that character".to_owned()
        );
    }
    let word = || Some(text.to_lowercase());
    match field {
        "operation" => spec.operation = operation(text)?,
        "model" => text.clone_into(&mut spec.model),
        "prompt" => spec.prompt = Some(with_plain_line_ends(text)),
        "size" => spec.size = Some(size(text)?),
        "quality" => spec.quality = word(),
        "style" => spec.style = word(),
        "background" => spec.background = word(),
        "format" => spec.format = word().map(|name| if name == "jpg" { "jpeg".to_owned() } else { name }),
        "compression" => {
            let percent = whole(text, 0, 100)?;
            spec.compression = Some(u8::try_from(percent).expect("at most 100"));
        }
        "moderation" => spec.moderation = word(),
        "input_fidelity" => spec.input_fidelity = word(),
        "complexity" => spec.complexity = word(),
        "frame_count" => spec.frame_count = Some(whole(text, 1, u32::MAX)?),
        "frame_duration_ms" => spec.frame_duration_ms = Some(whole(text, 1, u32::MAX)?),
        "svg_model" => spec.svg_model = Some(text.to_owned()),
        "svg_effort" => spec.svg_effort = word(),
        "verbatim" => spec.verbatim = yes_or_no(text)?,
        "take" => spec.take = whole(text, 0, u32::MAX)?,
        _ => unreachable!("a field of MANIFEST_FIELDS"),
    }
    Ok(())
}

/// How many takes a row wants.
pub(super) fn count(text: &str) -> Result<u32, String> {
    whole(text, 1, MOST_TAKES)
}

/// Checks a row's own id, which may become a file name.
pub(super) fn check_id(id: &str) -> Result<(), String> {
    if let Some(control) = control_character(id, false) {
        return Err(format!("the id holds the control character U+{:04X}; remove it", u32::from(control)));
    }
    if id.contains(['/', '\\']) || matches!(id, "." | "..") {
        return Err(format!("the id {:?} would be a path; leave out / and \\", shortened(id)));
    }
    if id.len() > LONGEST_ID {
        return Err(format!("the id has {} bytes; at most {LONGEST_ID} are allowed", id.len()));
    }
    Ok(())
}

fn operation(text: &str) -> Result<Operation, String> {
    let known = [Operation::Generate, Operation::Edit, Operation::Variation];
    known
        .into_iter()
        .find(|operation| operation.as_str().eq_ignore_ascii_case(text))
        .ok_or_else(|| format!("{:?} is not an operation; use generate, edit or variation", shortened(text)))
}

/// `1024×1024`, `1024 x 1024` and `1024*1024` are all `1024x1024`.
fn size(text: &str) -> Result<String, String> {
    let lower = text.to_lowercase();
    if lower == "auto" {
        return Ok(lower);
    }
    let wrong =
        || format!("{:?} is not a size; write WIDTHxHEIGHT, such as 1024x1024, or auto", shortened(text));
    let (width, height) = lower.split_once(['x', '×', '*']).ok_or_else(wrong)?;
    let pixels = |side: &str| {
        let side = side.trim();
        let plain = !side.is_empty() && side.bytes().all(|byte| byte.is_ascii_digit());
        side.parse::<u32>().ok().filter(|pixels| plain && *pixels > 0)
    };
    let (width, height) = (pixels(width).ok_or_else(wrong)?, pixels(height).ok_or_else(wrong)?);
    Ok(format!("{width}x{height}"))
}

/// A whole number; spreadsheets and data frames also write it as `4.0`.
fn whole(text: &str, least: u32, most: u32) -> Result<u32, String> {
    let digits = match text.split_once('.') {
        Some((whole, zeros)) if !zeros.is_empty() && zeros.bytes().all(|byte| byte == b'0') => whole,
        _ => text,
    };
    let plain = digits.bytes().all(|byte| byte.is_ascii_digit());
    let number = digits.parse::<u32>().ok().filter(|number| plain && (least..=most).contains(number));
    number.ok_or_else(|| match most {
        u32::MAX => format!("{:?} is not a whole number from {least}", shortened(text)),
        _ => format!("{:?} is not a whole number from {least} to {most}", shortened(text)),
    })
}

fn yes_or_no(text: &str) -> Result<bool, String> {
    match text.to_lowercase().as_str() {
        "yes" | "true" | "1" => Ok(true),
        "no" | "false" | "0" => Ok(false),
        _ => Err(format!("{:?} is neither yes nor no; write yes, no, true, false, 1 or 0", shortened(text))),
    }
}

fn control_character(text: &str, lines: bool) -> Option<char> {
    if text.bytes().all(|byte| (0x20..0x7F).contains(&byte)) {
        return None;
    }
    text.chars().find(|c| c.is_control() && !(lines && matches!(c, '\n' | '\r' | '\t')))
}

/// One line end for all systems: the same words must give the same key.
fn with_plain_line_ends(text: &str) -> String {
    if text.contains('\r') { text.replace("\r\n", "\n").replace('\r', "\n") } else { text.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pictor_common::spec::MANIFEST_FIELDS;
    use proptest::prelude::*;

    fn parsed(field: &str, text: &str) -> Result<Spec, String> {
        let mut spec = Spec::default();
        set(&mut spec, field, text).map(|()| spec)
    }

    #[test]
    fn every_manifest_field_can_be_set() {
        for field in MANIFEST_FIELDS {
            let text = match *field {
                "operation" => "Edit",
                "size" => "AUTO",
                "verbatim" => "Yes",
                _ => "7",
            };
            assert_ne!(parsed(field, text), Ok(Spec::default()), "{field}");
        }
    }

    #[test]
    fn sizes_are_written_in_many_ways() {
        for text in ["1024x1536", "1024×1536", " 1024 X 1536", "1024*1536", "01024x1536"] {
            assert_eq!(size(text).as_deref(), Ok("1024x1536"), "{text}");
        }
        for text in ["1024", "x", "1024x", "10+24x10", "-1x5", "0x0", "1024x1024x3", "99999999999x1"] {
            assert!(size(text).is_err(), "{text}");
        }
    }

    #[test]
    fn numbers_and_switches() {
        assert_eq!(parsed("compression", "80.0").unwrap().compression, Some(80));
        for text in ["101", "-1", "8e1", "80.5", "80.", "+80", ".0", "eighty"] {
            assert!(parsed("compression", text).is_err(), "{text}");
        }
        assert_eq!(parsed("verbatim", "TRUE").map(|spec| spec.verbatim), Ok(true));
        assert!(parsed("verbatim", "maybe").is_err());
        assert_eq!(parsed("format", "JPG").unwrap().format.as_deref(), Some("jpeg"));
    }

    #[test]
    fn prompts_keep_lines_and_refuse_other_controls() {
        assert_eq!(parsed("prompt", "a\r\nb\rc\td").unwrap().prompt.as_deref(), Some("a\nb\nc\td"));
        assert!(parsed("prompt", "a\0b").unwrap_err().contains("U+0000"));
        assert!(parsed("quality", "hi\ngh").unwrap_err().contains("U+000A"));
    }

    #[test]
    fn ids_are_no_paths() {
        for id in ["sku-1", "Ä 3", "..a", "a.b"] {
            assert_eq!(check_id(id), Ok(()), "{id}");
        }
        for id in ["../x", "/etc", "a\\b", ".", "..", "a\u{7}"] {
            assert!(check_id(id).is_err(), "{id}");
        }
        assert!(check_id(&"a".repeat(201)).is_err());
    }

    proptest! {
        #[test]
        fn nothing_a_person_types_panics(text in "\\PC{1,20}", i in 0..MANIFEST_FIELDS.len()) {
            let _either_way = parsed(MANIFEST_FIELDS[i], &text);
        }

        #[test]
        fn a_normalized_size_is_stable(width in 1_u32.., height in 1_u32..) {
            let once = size(&format!("{width} × {height}")).unwrap();
            prop_assert_eq!(size(&once), Ok(once.clone()));
            let spec = Spec { size: Some(once), ..Spec::default() };
            prop_assert_eq!(spec.dimensions(), Some((width, height)));
        }
    }
}
