//! What names and metadata may hold, so that every object fits every store.

use pictor_common::store::{NewObject, StoreError};

use crate::invalid;

/// The first part of names that stores keep to themselves.
pub(crate) const RESERVED: &str = ".pictor";

/// S3 allows 1,024 bytes with the prefix.
const NAME_BYTES: usize = 900;
/// File systems allow 255 bytes, and a directory adds a suffix.
const PART_BYTES: usize = 240;
const METADATA_BYTES: usize = 2048;

pub(crate) fn check(object: &NewObject) -> Result<(), StoreError> {
    check_name(&object.name)?;
    check_metadata(object)
}

pub(crate) fn check_name(name: &str) -> Result<(), StoreError> {
    let wrong = if name.is_empty() || name.len() > NAME_BYTES {
        Some("its length must be 1 to 900 bytes")
    } else if name.chars().any(char::is_control) {
        Some("it holds a control character")
    } else if name.split('/').any(|part| matches!(part, "" | "." | "..")) {
        Some("it holds an empty part, `.` or `..`")
    } else if name.split('/').any(|part| part.len() > PART_BYTES) {
        Some("a part between slashes is longer than 240 bytes")
    } else if name.split('/').next() == Some(RESERVED) {
        Some("`.pictor` is reserved")
    } else {
        None
    };
    wrong.map_or(Ok(()), |why| Err(invalid(format!("{name:?} cannot name an object: {why}"))))
}

fn check_metadata(object: &NewObject) -> Result<(), StoreError> {
    let name = &object.name;
    if !is_header_value(&object.content_type) || object.content_type.is_empty() {
        return Err(invalid(format!("{name:?}: the content type is not printable ASCII")));
    }
    for (key, value) in &object.metadata {
        let good_key = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
        if key.is_empty() || !key.bytes().all(good_key) {
            return Err(invalid(format!("{name:?}: metadata name {key:?} is not lower-case ASCII")));
        }
        if !is_header_value(value) {
            return Err(invalid(format!(
                "{name:?}: the value of metadata {key:?} is not plain printable ASCII"
            )));
        }
    }
    let bytes: usize = object.metadata.iter().map(|(key, value)| key.len() + value.len()).sum();
    if bytes > METADATA_BYTES {
        return Err(invalid(format!("{name:?}: {bytes} bytes of metadata, {METADATA_BYTES} are allowed")));
    }
    Ok(())
}

/// HTTP drops spaces at the ends of a value, so they would not come back.
fn is_header_value(value: &str) -> bool {
    value.bytes().all(|b| (b' '..=b'~').contains(&b)) && value.trim() == value
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use pictor_common::store::Body;

    use super::*;

    #[test]
    fn names_stay_inside_the_store() {
        for good in ["a", "assets/ab/cd.png", "a b/ü+%20#?&=~.png", "..a/b..", ".meta/x", "a\\b"] {
            check_name(good).unwrap();
        }
        let long = "x".repeat(241);
        for bad in ["", "/a", "a/", "a//b", "..", "a/../b", "./a", "a\0b", "a\nb", ".pictor/meta/a", &long] {
            check_name(bad).unwrap_err();
        }
    }

    #[test]
    fn metadata_fits_in_headers() {
        let object = |key: &str, value: &str| NewObject {
            name: "a".to_owned(),
            body: Body::Bytes(Vec::new().into()),
            content_type: "image/png".to_owned(),
            metadata: BTreeMap::from([(key.to_owned(), value.to_owned())]),
        };
        check(&object("request-id", "req 1")).unwrap();
        check(&object("empty", "")).unwrap();
        for (key, value) in
            [("Upper", "x"), ("", "x"), ("a_b", "x"), ("a", "é"), ("a", " x"), ("a", "x\r\nb: c")]
        {
            check(&object(key, value)).unwrap_err();
        }
        check(&object("a", &"x".repeat(2048))).unwrap_err();
    }
}
