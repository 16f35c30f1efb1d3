//! As much of `PromQL` as is needed to see which series an expression asks for.

use std::collections::BTreeSet;

/// One selector.
#[derive(Debug, PartialEq)]
pub(super) struct Selector {
    pub(super) name: String,
    pub(super) matchers: Vec<Matcher>,
}

/// A label, and what it is compared with.
#[derive(Debug, PartialEq)]
pub(super) struct Matcher {
    pub(super) label: String,
    /// The values that are named, where they are plain.
    pub(super) values: Vec<String>,
}

fn is_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte == b':'
}

/// The name at a place, and what is after it.
fn name(text: &str) -> (&str, &str) {
    let end = text.bytes().position(|byte| !is_name(byte)).unwrap_or(text.len());
    text.split_at(end)
}

/// Every selector of a metric of Pictor.
pub(super) fn selectors(expression: &str) -> Vec<Selector> {
    let mut found = Vec::new();
    let mut rest = expression;
    while let Some(at) = rest.find("pictor_") {
        let begins = rest[..at].bytes().last().is_none_or(|byte| !is_name(byte));
        let (metric, after) = name(&rest[at..]);
        if begins {
            let matchers = after.strip_prefix('{').map(matchers).unwrap_or_default();
            found.push(Selector { name: metric.to_owned(), matchers });
        }
        rest = after;
    }
    found
}

fn matchers(text: &str) -> Vec<Matcher> {
    let mut found = Vec::new();
    let mut rest = text;
    loop {
        let (label, after) = name(rest.trim_start_matches([',', ' ']));
        let operator: &str = &after[..after.find('"').unwrap()];
        assert!(["=", "!=", "=~", "!~"].contains(&operator), "{text}");
        let quoted = &after[operator.len() + 1..];
        let (value, after) = quoted.split_once('"').unwrap();
        let plain = |part: &&str| part.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        let values = value.split('|').filter(plain).map(str::to_owned).collect();
        found.push(Matcher { label: label.to_owned(), values });
        if after.starts_with('}') {
            return found;
        }
        rest = after;
    }
}

/// The labels that are grouped or joined by.
pub(super) fn grouped(expression: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for keyword in ["by", "on", "group_left"] {
        for (at, _) in expression.match_indices(keyword) {
            let begins = expression[..at].bytes().last().is_none_or(|byte| !is_name(byte));
            let Some(list) = expression[at + keyword.len()..].trim_start().strip_prefix('(') else {
                continue;
            };
            if begins {
                let list = list.split(')').next().unwrap();
                found.extend(list.split(',').map(|label| label.trim().to_owned()));
            }
        }
    }
    found
}

#[test]
fn selectors_and_groups_are_seen() {
    let expression = r#"max by (job, lane) (pictor_a{x="1|2",lane=~"$lane"}) / on (job) (not_pictor_b + sum(rate(pictor_c_total[5m])))"#;
    let matcher = |label: &str, values: &[&str]| Matcher {
        label: label.to_owned(),
        values: values.iter().map(|value| (*value).to_owned()).collect(),
    };
    let expected = [
        Selector {
            name: "pictor_a".to_owned(),
            matchers: vec![matcher("x", &["1", "2"]), matcher("lane", &[])],
        },
        Selector { name: "pictor_c_total".to_owned(), matchers: Vec::new() },
    ];
    assert_eq!(selectors(expression), expected);
    assert_eq!(grouped(expression).into_iter().collect::<Vec<_>>(), ["job", "lane"]);
}
