//! How results say where an image is: a path, an address of the bucket's, or a URL for everybody.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, SystemTime},
};

use anyhow::Context as _;
use jiff::{Span, SpanRelativeTo, Timestamp};
use pictor_common::store::{Store, StoreErrorKind};
use pictor_producer::results::Place;
use pictor_store::PublicBase;
use secrecy::ExposeSecret as _;

use crate::exit::refused;

const LONGEST: Duration = Duration::from_hours(7 * 24);

/// How an image is linked.
#[derive(Debug)]
pub(crate) struct Links {
    form: Form,
    in_bucket: bool,
    /// Some URL was signed with credentials that may end before it.
    temporary: AtomicBool,
}

#[derive(Debug)]
enum Form {
    Location,
    Public(PublicBase),
    Signed { from: SystemTime, lasts: Duration, until: String },
}

/// A place as a table says it.
#[derive(Debug)]
pub(crate) struct Link {
    pub(crate) place: String,
    pub(crate) expires: Option<String>,
}

impl Links {
    /// Plain places in a store, or URLs below the base that the settings name.
    pub(crate) fn usual(base: Option<&PublicBase>, url: &str) -> Self {
        let form = base.map_or(Form::Location, |base| Form::Public(base.clone()));
        Self { form, in_bucket: url.starts_with("s3://"), temporary: AtomicBool::new(false) }
    }

    /// What the flags ask for, if what is at `url` can do it.
    pub(crate) async fn asked(
        base: Option<&str>,
        expires: Option<&str>,
        usual: Option<&PublicBase>,
        url: &str,
        store: Option<&dyn Store>,
    ) -> anyhow::Result<Self> {
        if let Some(text) = base {
            let base = text.parse().map_err(|error| refused(format!("--public-base-url: {error}")))?;
            return Ok(Self::usual(Some(&base), url));
        }
        let Some(text) = expires else { return Ok(Self::usual(usual, url)) };
        let lasts = lifetime(text).map_err(|why| refused(format!("--expires {text}: {why}")))?;
        let from = SystemTime::now();
        let until = Timestamp::try_from(from + lasts).context("the time is out of reach")?;
        let until = until.strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
        let form = Form::Signed { from, lasts, until };
        let links = Self { form, in_bucket: true, temporary: AtomicBool::new(false) };
        // Whether it can be done at all is known before anything is written.
        links.link(store, "assets", String::new).await?;
        Ok(links)
    }

    pub(crate) const fn place(&self) -> Place {
        match (&self.form, self.in_bucket) {
            (Form::Signed { .. }, _) => Place::SignedUrl,
            (Form::Public(_), _) | (Form::Location, true) => Place::Url,
            (Form::Location, false) => Place::File,
        }
    }

    /// The link to an object of `store`.
    pub(crate) async fn link(
        &self,
        store: Option<&dyn Store>,
        name: &str,
        location: impl FnOnce() -> String,
    ) -> anyhow::Result<Link> {
        let (from, lasts, until) = match &self.form {
            Form::Location => return Ok(Link { place: location(), expires: None }),
            Form::Public(base) => return Ok(Link { place: base.url(name), expires: None }),
            Form::Signed { from, lasts, until } => (*from, *lasts, until),
        };
        let unsupported = || {
            refused(
                "--expires: only images in a bucket (s3://…) have URLs that can be signed; for files that a web \
                 server serves, give its address with --public-base-url",
            )
        };
        let store = store.ok_or_else(unsupported)?;
        match store.presign(name, from, lasts).await {
            Ok(signed) => {
                if signed.temporary {
                    self.temporary.store(true, Ordering::Relaxed);
                }
                Ok(Link { place: signed.url.expose_secret().to_owned(), expires: Some(until.clone()) })
            }
            Err(error) if error.kind == StoreErrorKind::Unsupported => Err(unsupported()),
            Err(error) => Err(error.into()),
        }
    }

    /// What a person should know of the links.
    pub(crate) fn warning(&self) -> Option<&'static str> {
        self.temporary.load(Ordering::Relaxed).then_some(
            "the URLs were signed with temporary credentials and end with these, perhaps before url_expires; \
             sign with the keys of a user for the full time",
        )
    }
}

/// Reads `36h` or `7d`.
fn lifetime(text: &str) -> Result<Duration, String> {
    let wanted = "write how long the URLs hold, such as 36h or 7d";
    let span: Span = text.trim().parse().map_err(|_cause| wanted.to_owned())?;
    let length = span.to_duration(SpanRelativeTo::days_are_24_hours()).map_err(|_cause| wanted.to_owned())?;
    let length = Duration::try_from(length).map_err(|_cause| wanted.to_owned())?;
    if length > LONGEST {
        return Err(
            "S3 signs URLs for 7 days at most; for longer, let a web server or CDN serve the bucket and \
                    set store.public_base_url"
                .to_owned(),
        );
    }
    if length < Duration::from_secs(1) { Err(wanted.to_owned()) } else { Ok(length) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lifetimes_are_read_and_bounded() {
        let hours = |hours: u64| Ok(Duration::from_hours(hours));
        for (text, expected) in [
            ("36h", hours(36)),
            ("7d", hours(168)),
            (" 1w ", hours(168)),
            ("1d 12h", hours(36)),
            ("168h", hours(168)),
        ] {
            assert_eq!(lifetime(text), expected, "{text}");
        }
        assert_eq!(lifetime("90s"), Ok(Duration::from_secs(90)));
        for text in ["", "7", "d", "-1h", "0s", "1ms", "1mo", "soon"] {
            assert!(lifetime(text).unwrap_err().contains("36h or 7d"), "{text}");
        }
        for text in ["8d", "169h", "604801s", "2w"] {
            assert!(lifetime(text).unwrap_err().contains("7 days at most"), "{text}");
        }
    }
}
