//! Puts the images of a batch under names of their own.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use pictor_common::{Spec, batch::Made, derivative::Derivative, store::Store};
use pictor_producer::results::{Image, Layout, Name, Nameless};

use super::{
    links::{Link, Links},
    pages::Item,
    target::{Laid, Order, Target},
};

/// Where images go, and how they are named there.
#[derive(Debug)]
pub(super) struct Laying {
    layout: Layout,
    batch: String,
    pub(super) store: Arc<dyn Store>,
    /// What is laid out in the place of the images.
    pub(super) derivative: Option<Derivative>,
    pub(super) target: Target,
    pub(super) links: Links,
    overwrite: bool,
    /// The table lies among the images, and names files from there.
    beside_table: bool,
    pub(super) tally: Tally,
}

impl Laying {
    pub(super) fn new(
        layout: Layout,
        batch: &str,
        store: Arc<dyn Store>,
        target: Target,
        links: Links,
        overwrite: bool,
        beside_table: bool,
    ) -> Self {
        let batch = batch.to_owned();
        let derivative = None;
        Self {
            layout,
            batch,
            store,
            derivative,
            target,
            links,
            overwrite,
            beside_table,
            tally: Tally::default(),
        }
    }

    /// The same of derivatives.
    pub(super) fn of(self, derivative: Option<Derivative>) -> Self {
        Self { derivative, ..self }
    }

    /// The name of an image, made or not.
    pub(super) fn name(&self, item: &Item) -> Result<Name, Nameless> {
        let spec = item.state.spec.as_ref();
        let made = item.state.made.as_ref();
        let pixels = made.filter(|made| made.width > 0).map(|made| format!("{}x{}", made.width, made.height));
        let asked = spec.and_then(|spec| spec.size.clone()).filter(|size| size != "auto");
        let size = asked.or(pixels).unwrap_or_else(|| "auto".to_owned());
        self.layout.name(&Image {
            line: &item.line,
            take: item.take,
            key: &item.key,
            model: &item.state.model,
            size: &size,
            ext: match &self.derivative {
                Some(derivative) => derivative.encoding.extension(),
                None => extension(made, spec),
            },
            batch: &self.batch,
        })
    }

    /// Puts one image where it belongs and links it, or says why it is not there.
    pub(super) async fn place(&self, item: &Item, made: &Made) -> anyhow::Result<Result<Link, String>> {
        let name = match self.name(item) {
            Ok(name) => name.text,
            Err(why) => return Ok(Err(self.tally.refused(why.to_string()))),
        };
        let order = Order {
            name: name.clone(),
            key: item.key.clone(),
            made: made.clone(),
            overwrite: self.overwrite,
        };
        let laid = self.target.put(&*self.store, order).await?;
        if let Some(why) = self.tally.count(laid) {
            return Ok(Err(why));
        }
        let location = || if self.beside_table { name.clone() } else { self.target.location(&name) };
        Ok(Ok(self.links.link(self.target.store(), &name, location).await?))
    }
}

/// By the bytes as they are, where they are known: a provider may have sent another format.
fn extension<'a>(made: Option<&'a Made>, spec: Option<&'a Spec>) -> &'a str {
    let asked = || spec.map_or("png", Spec::extension);
    match made.map(|made| made.content_type.as_str()) {
        Some("image/png") => "png",
        Some("image/jpeg") => "jpg",
        Some("image/webp") => "webp",
        Some("image/avif") => "avif",
        Some("image/gif") => "gif",
        Some("image/svg+xml") => "svg",
        Some(_) | None => asked(),
    }
}

/// How it went so far.
#[derive(Debug, Default)]
pub(super) struct Tally {
    copied: AtomicU64,
    linked: AtomicU64,
    there: AtomicU64,
    refused: AtomicU64,
    without: AtomicU64,
}

/// How it went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Sums {
    pub(super) copied: u64,
    pub(super) linked: u64,
    pub(super) there: u64,
    pub(super) refused: u64,
    pub(super) without: u64,
}

impl Tally {
    fn count(&self, laid: Laid) -> Option<String> {
        let counter = match laid {
            Laid::Copied => &self.copied,
            Laid::Linked => &self.linked,
            Laid::There => &self.there,
            Laid::Refused(why) => return Some(self.refused(why)),
        };
        counter.fetch_add(1, Ordering::Relaxed);
        None
    }

    fn refused(&self, why: String) -> String {
        self.refused.fetch_add(1, Ordering::Relaxed);
        why
    }

    /// Counts an image that was not made.
    pub(super) fn without(&self) {
        self.without.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn sums(&self) -> Sums {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Sums {
            copied: read(&self.copied),
            linked: read(&self.linked),
            there: read(&self.there),
            refused: read(&self.refused),
            without: read(&self.without),
        }
    }
}

impl Sums {
    pub(super) fn text(self) -> String {
        let parts = [
            (self.copied, "copied"),
            (self.linked, "linked"),
            (self.there, "there already"),
            (self.refused, "not delivered (see the column error)"),
            (self.without, "without an image"),
        ];
        let told: Vec<_> =
            parts.iter().filter(|(n, _)| *n > 0).map(|(n, words)| format!("{n} {words}")).collect();
        if told.is_empty() { "no images".to_owned() } else { told.join(", ") }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_extension_is_that_of_the_bytes() {
        let jpeg = Spec { format: Some("jpeg".to_owned()), ..Spec::default() };
        let made = |kind: &str| Made { content_type: kind.to_owned(), ..Made::default() };
        assert_eq!(extension(None, None), "png");
        assert_eq!(extension(None, Some(&jpeg)), "jpg");
        assert_eq!(extension(Some(&made("image/webp")), Some(&jpeg)), "webp");
        assert_eq!(extension(Some(&made("")), Some(&jpeg)), "jpg");
    }
}
