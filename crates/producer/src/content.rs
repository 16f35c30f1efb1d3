//! The digest of what is submitted, and the batch id taken from it.

use std::{
    collections::BTreeMap,
    io::{self, Read},
};

use pictor_common::{asset_key::hex, batch::BatchId};
use sha2::{Digest as _, Sha256};

/// Passes a manifest on and digests it on the way.
///
/// The digest covers template, defaults, options and every byte of the manifest, each
/// preceded by its length, so that no two submissions run into one another.
#[derive(Debug)]
pub struct Content<R> {
    manifest: R,
    hasher: Sha256,
    /// The last two bytes read.
    end: [u8; 2],
}

impl<R: Read> Content<R> {
    /// Starts a digest; the manifest is read through the value returned.
    pub fn new(
        template: Option<&str>,
        defaults: &BTreeMap<String, String>,
        options: &BTreeMap<String, String>,
        manifest: R,
    ) -> Self {
        let mut hasher = Sha256::new();
        hasher.update(b"pictor content 1\n");
        hasher.update([u8::from(template.is_some())]);
        part(&mut hasher, template.unwrap_or_default());
        for map in [defaults, options] {
            hasher.update((map.len() as u64).to_be_bytes());
            for (name, value) in map {
                part(&mut hasher, name);
                part(&mut hasher, value);
            }
        }
        Self { manifest, hasher, end: *b"\n\n" }
    }

    /// Whether what was read ends in the middle of a line.
    pub(crate) fn ends_open(&self) -> bool {
        // The second form is a line end of UTF-16.
        !matches!(self.end, [_, b'\n' | b'\r'] | [b'\n' | b'\r', 0])
    }

    /// Reads what is left and returns the digest in hexadecimal digits.
    pub fn finish(mut self) -> io::Result<String> {
        io::copy(&mut self, &mut io::sink())?;
        Ok(hex(&self.hasher.finalize()))
    }
}

impl<R: Read> Read for Content<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let length = self.manifest.read(buf)?;
        self.hasher.update(&buf[..length]);
        match buf[..length] {
            [.., before, last] => self.end = [before, last],
            [last] => self.end = [self.end[1], last],
            [] => {}
        }
        Ok(length)
    }
}

/// The digest of a submission that leaves rows out: it is another one once a row is good.
#[must_use]
pub fn without_rows(content: String, rows: &[u64]) -> String {
    if rows.is_empty() {
        return content;
    }
    let mut hasher = Sha256::new();
    part(&mut hasher, &content);
    hasher.update((rows.len() as u64).to_be_bytes());
    for row in rows {
        hasher.update(row.to_be_bytes());
    }
    hex(&hasher.finalize())
}

fn part(hasher: &mut Sha256, text: &str) {
    hasher.update((text.len() as u64).to_be_bytes());
    hasher.update(text.as_bytes());
}

/// Digests a whole submission.
pub fn content_digest(
    template: Option<&str>,
    defaults: &BTreeMap<String, String>,
    options: &BTreeMap<String, String>,
    manifest: impl Read,
) -> io::Result<String> {
    Content::new(template, defaults, options, manifest).finish()
}

/// The batch id of a submission that names none: the same tenant and content give the same batch.
#[must_use]
pub fn batch_id(tenant: &str, content: &str) -> BatchId {
    let mut hasher = Sha256::new();
    part(&mut hasher, tenant);
    part(&mut hasher, content);
    let digits = hex(&hasher.finalize());
    format!("b-{}", &digits[..16]).parse().expect("a letter, a hyphen and hexadecimal digits are a name")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn every_part_counts_and_none_run_together() {
        let none = BTreeMap::new();
        let digest = |template, defaults: &_, options: &_, manifest: &[u8]| {
            content_digest(template, defaults, options, manifest).unwrap()
        };
        let all = [
            digest(None, &none, &none, b"a,b"),
            digest(Some(""), &none, &none, b"a,b"),
            digest(Some("a"), &none, &none, b",b"),
            digest(None, &map(&[("a", "b")]), &none, b"a,b"),
            digest(None, &none, &map(&[("a", "b")]), b"a,b"),
            digest(None, &map(&[("ab", "")]), &none, b"a,b"),
            digest(None, &none, &none, b"a,b\n"),
        ];
        for (i, one) in all.iter().enumerate() {
            assert!(all[i + 1..].iter().all(|other| other != one), "{i}");
        }
        assert_eq!(all[0], digest(None, &none, &none, b"a,b"));
    }

    #[test]
    fn digests_what_was_not_read() {
        let none = BTreeMap::new();
        let mut content = Content::new(None, &none, &none, &b"hello, world"[..]);
        let mut five = [0; 5];
        content.read_exact(&mut five).unwrap();
        assert_eq!(
            content.finish().unwrap(),
            content_digest(None, &none, &none, &b"hello, world"[..]).unwrap()
        );
    }

    #[test]
    fn tenants_do_not_share_a_batch() {
        let id = batch_id("shop", "c0ffee");
        assert_eq!(id, batch_id("shop", "c0ffee"));
        assert_ne!(id, batch_id("shopc", "0ffee"));
        assert!(id.as_str().starts_with("b-") && id.as_str().len() == 18);
    }
}
