//! What a table says of one image.

use std::sync::Arc;

use pictor_common::{
    batch::Made,
    derivative::Derivative,
    store::{Store, StoreError},
};
use pictor_producer::results::ResultRow;

use super::{laying::Laying, links::Links, pages::Item};

/// How an image is told of.
#[derive(Debug)]
pub(super) enum Way {
    /// Where the store has it.
    Stored { store: Arc<dyn Store>, links: Links, derivative: Option<Derivative> },
    /// Under a name of its own, where it is put first.
    Laid(Laying),
}

impl Way {
    pub(super) const fn links(&self) -> &Links {
        match self {
            Self::Stored { links, .. } | Self::Laid(Laying { links, .. }) => links,
        }
    }

    /// An image, or what was derived from it where that is asked for; else why there is none.
    async fn told_of(&self, item: &Item, made: &Made) -> Result<Result<Made, String>, StoreError> {
        let (Self::Stored { store, derivative, .. } | Self::Laid(Laying { store, derivative, .. })) = self;
        let Some(derivative) = derivative else { return Ok(Ok(made.clone())) };
        let object = derivative.name(&item.key);
        Ok(match store.head(&object).await? {
            Some(found) => Ok(Made {
                object,
                digest: String::new(),
                content_type: derivative.encoding.content_type().to_owned(),
                bytes: found.length,
                ..made.clone()
            }),
            None => Err(format!("not derived: {derivative} (pictor derive makes it)")),
        })
    }

    /// The row of an image, once it is where the row says.
    pub(super) async fn row(&self, item: Item) -> anyhow::Result<ResultRow> {
        let made = item.state.made.as_ref();
        let mut row = row(&item, made);
        let Some(made) = made.filter(|_| row.error.is_none()) else {
            if let Self::Laid(laying) = self {
                laying.tally.without();
            }
            return Ok(row);
        };
        let made = match self.told_of(&item, made).await? {
            Ok(made) => made,
            Err(why) => {
                if let Self::Laid(laying) = self {
                    laying.tally.without();
                }
                row.error = Some(why);
                return Ok(row);
            }
        };
        let told = match self {
            Self::Stored { store, links, .. } => {
                Ok(links.link(Some(&**store), &made.object, || store.location(&made.object)).await?)
            }
            Self::Laid(laying) => laying.place(&item, &made).await?,
        };
        match told {
            Ok(link) => {
                row.place = Some(link.place);
                row.expires = link.expires;
            }
            Err(why) => row.error = Some(why),
        }
        Ok(row)
    }
}

fn row(item: &Item, made: Option<&Made>) -> ResultRow {
    let state = &item.state;
    ResultRow {
        cells: item.line.cells.clone(),
        take: item.take,
        key: Some(item.key.clone()),
        original_key: item.original_key.clone(),
        cost: made.or(state.removed.as_ref().map(|removed| &removed.made)).map(|made| made.cost),
        model: state.model.clone(),
        revised_prompt: made.and_then(|made| made.revised_prompt.clone()),
        error: made.is_none().then(|| unmade(item)),
        note: note(item, made),
        ..ResultRow::default()
    }
}

/// In what an image differs from what was asked.
fn note(item: &Item, made: Option<&Made>) -> Option<String> {
    let other = item.instead_of.as_ref().map(|model| match &item.how {
        Some(how) => format!("replaced by hand: {how}"),
        // A person has mended it, with an earlier version.
        None if *model == item.state.model => {
            "replaced by hand: asked for otherwise than the row is".to_owned()
        }
        None => format!("substituted: {model} could not make it"),
    });
    let redone = item.redone.then(|| "redone: another take of what was submitted".to_owned());
    let mismatch = made.and_then(|made| made.mismatch.clone());
    let parts: Vec<String> = other.into_iter().chain(redone).chain(mismatch).collect();
    (!parts.is_empty()).then(|| parts.join("; "))
}

fn unmade(item: &Item) -> String {
    let state = &item.state;
    match (state.phase.as_str(), &state.failure) {
        ("failed", Some(failure)) => format!("{}: {}", failure.class, failure.message),
        ("parked", failure) => {
            let why = failure.as_ref().map(|failure| failure.message.as_str()).unwrap_or_default();
            format!("perhaps paid, outcome unknown: {why}")
        }
        ("" | "ready" | "claimed" | "sent" | "received" | "orphan", _) => "not made yet".to_owned(),
        ("removed", _) if item.original_key.is_some() => {
            "removed by somebody; pictor asset redo gives the line another picture".to_owned()
        }
        ("removed", _) => "removed by somebody; submitted again, it is made and paid anew".to_owned(),
        (other, _) => other.to_owned(),
    }
}
