//! Where the objects of a store are for everybody: a base URL, and names as parts of URLs.

use std::str::FromStr;

use pictor_common::store::StoreError;

use crate::invalid;

/// The address under which a web server or CDN serves what is in a store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicBase(String);

impl PublicBase {
    /// The URL of an object.
    #[must_use]
    pub fn url(&self, name: &str) -> String {
        format!("{}/{}", self.0, encoded(name))
    }
}

impl FromStr for PublicBase {
    type Err = StoreError;

    fn from_str(text: &str) -> Result<Self, StoreError> {
        // The URL is not repeated in errors, since it may hold a password.
        let wrong =
            |why: &str| invalid(format!("a public base URL is like https://cdn.example.com/images: {why}"));
        let url = url::Url::parse(text.trim()).map_err(|_cause| wrong("this is no URL"))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(wrong("it begins with https:// or http://"));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(wrong("it holds no user or password"));
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err(wrong("it ends before any `?` or `#`, since names are put after it"));
        }
        Ok(Self(url.as_str().trim_end_matches('/').to_owned()))
    }
}

/// A name as it stands in a URL: all but letters, digits, `-._~` and slashes percent-encoded.
pub(crate) fn encoded(name: &str) -> String {
    let mut out = String::with_capacity(name.len());
    for byte in name.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_become_urls() {
        let url = |base: &str, name: &str| base.parse::<PublicBase>().unwrap().url(name);
        assert_eq!(url("https://cdn.shop.example", "a/b.png"), "https://cdn.shop.example/a/b.png");
        assert_eq!(
            url(" http://h:8080/im ages// ", "50% off?/é #1+2.png"),
            "http://h:8080/im%20ages/50%25%20off%3F/%C3%A9%20%231%2B2.png"
        );
    }

    #[test]
    fn what_is_no_base_is_refused_without_repeating_it() {
        for bad in [
            "",
            "cdn.shop.example",
            "ftp://h/",
            "https://h/?v=1",
            "https://h/#x",
            "https://u:hunter2@h/",
            "https://",
        ] {
            let error = bad.parse::<PublicBase>().unwrap_err().to_string();
            assert!(error.contains("https://") && !error.contains("hunter2"), "{bad}: {error}");
        }
    }
}
