//! What a month costs.

use super::*;

fn each(model: &str, quality: &str, size: &str) -> Estimate {
    estimated(&spec(model, quality, size))
}

fn month(parts: &[(u64, &str, &str, &str)]) -> Estimate {
    let parts = parts.iter().map(|(per_day, model, quality, size)| {
        monthly(each(model, quality, size), *per_day, DAYS_OF_A_MONTH).unwrap()
    });
    parts.reduce(|sum, part| sum.plus(part).unwrap()).unwrap()
}

#[test]
fn published_estimates_of_a_month_are_reproduced_to_the_cent() {
    for (parts, dollars) in [
        (&[(20, "dall-e-2", "standard", "512x512"), (2, "dall-e-3", "standard", "1024x1024")][..], "$13.20"),
        (&[(50, "dall-e-3", "standard", "1024x1024")], "$60.00"),
        (&[(300, "dall-e-2", "standard", "1024x1024")], "$180.00"),
        (&[(40, "dall-e-3", "hd", "1024x1024"), (10, "dall-e-3", "hd", "1024x1792")], "$132.00"),
    ] {
        let sum = month(parts);
        assert_eq!((sum.expected.to_string(), sum.ceiling), (dollars.to_owned(), sum.expected));
    }
    let by_month = each("dall-e-3", "standard", "1024x1024").times(15_000).unwrap();
    assert_eq!(by_month.expected.to_string(), "$600.00");
    assert_eq!(by_month, month(&[(500, "dall-e-3", "", "")]));
}

#[test]
fn nothing_is_rounded_after_the_single_image_and_nothing_wraps() {
    let one = Estimate { expected: MicroUsd(7), ceiling: MicroUsd(11), tokens: 3 };
    let many = monthly(one, 999_999_999, 31).unwrap();
    assert_eq!((many.expected.0, many.ceiling.0), (999_999_999 * 31 * 7, 999_999_999 * 31 * 11));
    assert_eq!(monthly(one, u64::MAX, 2), None);
    assert_eq!(one.times(u64::MAX / 10), None);
    assert_eq!(Estimate { ceiling: MicroUsd(u64::MAX), ..one }.plus(one), None);
}
