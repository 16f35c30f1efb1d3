//! What is owed to any value of a setting: amounts, names and limits are read exactly or refused; shared by the tests
//! and the fuzz target.

use pictor_common::{MicroUsd, batch::check_name, queue::LaneLimits};

/// Reads bytes as an amount, as a name, and as the limits of a lane.
pub(crate) fn setting(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    assert_eq!(text.parse::<MicroUsd>().ok().map(|amount| amount.0), amount(text), "{text:?}");
    assert_eq!(check_name(text).is_ok(), is_name(text), "{text:?}");
    let mut digits = [0; 8];
    data.iter().zip(&mut digits).for_each(|(byte, place)| *place = *byte);
    let some = MicroUsd(u64::from_le_bytes(digits));
    assert_eq!(some.to_string().parse(), Ok(some), "what is printed can be read");
    limits(text);
}

/// Dollars in millionths, digit by digit.
fn amount(text: &str) -> Option<u64> {
    let plain = text.trim().trim_start_matches('$');
    let (mut micros, mut decimals, mut whole) = (0_u128, None, 0);
    for character in plain.chars() {
        match (character, decimals) {
            ('.', None) => decimals = Some(0),
            ('0'..='9', None) => whole += 1,
            ('0'..='9', Some(places)) if places < 6 => decimals = Some(places + 1),
            _ => return None,
        }
        if let Some(digit) = character.to_digit(10) {
            micros = micros.checked_mul(10)?.checked_add(u128::from(digit))?;
        }
    }
    let missing = 6 - decimals.unwrap_or(0);
    let micros = (0..missing).try_fold(micros, |micros, _| micros.checked_mul(10))?;
    u64::try_from(micros).ok().filter(|_| whole > 0)
}

fn is_name(text: &str) -> bool {
    let letter = |byte: u8| matches!(byte, b'0'..=b'9' | b'A'..=b'Z' | b'a'..=b'z');
    let bytes = text.as_bytes();
    (1..=100).contains(&bytes.len())
        && letter(bytes[0])
        && bytes.iter().all(|byte| letter(*byte) || b"._-".contains(byte))
}

/// Limits that are read stand there as they are, each under its own name, and read the same again.
fn limits(text: &str) {
    const NUMBERS: [&str; 6] =
        ["requests", "images", "tokens", "in_flight", "requests_per_day", "images_per_day"];
    let Ok(table) = text.parse::<toml::Table>() else {
        return assert!(toml::from_str::<LaneLimits>(text).is_err());
    };
    let read = toml::from_str::<LaneLimits>(text);
    let fits = |(name, value): (&String, &toml::Value)| match name.as_str() {
        "window_seconds" => value.is_float() || value.is_integer(),
        "kind" => matches!(value.as_str(), Some("fixed" | "guess")),
        name => NUMBERS.contains(&name) && value.as_integer().is_some_and(|number| number >= 0),
    };
    // A table with one key of its own is how an enum may be written.
    let odd = table.get("kind").is_some_and(toml::Value::is_table);
    assert!(odd || read.is_ok() == table.iter().all(fits), "{read:?} of {table:?}");
    let Ok(read) = read else { return };
    let found =
        [read.requests, read.images, read.tokens, read.in_flight, read.requests_per_day, read.images_per_day];
    for (name, found) in NUMBERS.iter().zip(found) {
        let stands = table.get(*name).and_then(toml::Value::as_integer);
        assert_eq!(found.map(|number| i64::try_from(number).expect("TOML holds no more")), stands, "{name}");
    }
    let again: LaneLimits =
        toml::from_str(&toml::to_string(&read).expect("limits can be written")).expect("and read");
    assert_eq!(format!("{again:?}"), format!("{read:?}"));
}
