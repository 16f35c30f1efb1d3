//! How the page leads to the images themselves.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use pictor_common::store::{Body, Store};
use pictor_producer::results;
use url::Url;

use super::{Full, GalleryArgs, card::Card};
use crate::{
    commands::{Context, results::links::Links},
    exit::refused,
};

/// Where links lead.
#[derive(Debug)]
pub(super) enum FullImages {
    /// Nowhere.
    None,
    /// To files, as paths from the page's folder.
    Files { store: PathBuf, page: Box<Url> },
    /// To URLs; an address of the bucket's own is told as a text.
    Urls(Links),
}

impl FullImages {
    /// What the flags ask for, if the store can do it.
    pub(super) async fn asked(
        args: &GalleryArgs,
        context: &Context,
        url: &str,
        store: &Arc<dyn Store>,
        folder: &Path,
    ) -> anyhow::Result<Self> {
        let (base, expires) = (args.public_base_url.as_deref(), args.expires.as_deref());
        if args.full == Full::None {
            return match base.or(expires) {
                None => Ok(Self::None),
                Some(_) => {
                    Err(refused("--full none leads nowhere; leave --expires and --public-base-url out"))
                }
            };
        }
        let usual = context.settings.store.public_base_url.as_ref();
        let links = Links::asked(base, expires, usual, url, Some(&**store)).await?;
        Ok(match (links.place(), store.body("assets")) {
            (results::Place::File, Ok(Body::File(assets))) => {
                let root = assets.parent().map(real).unwrap_or_default();
                Url::from_file_path(real(folder).join("page.html"))
                    .map_or(Self::None, |page| Self::Files { store: root, page: Box::new(page) })
            }
            _ => Self::Urls(links),
        })
    }

    /// Whether the page shows the images themselves, from files beside it.
    pub(super) const fn are_files(&self) -> bool {
        matches!(self, Self::Files { .. })
    }

    /// What a person should know of the links.
    pub(super) fn warning(&self) -> Option<&'static str> {
        match self {
            Self::Urls(links) => links.warning(),
            Self::None | Self::Files { .. } => None,
        }
    }

    /// Adds the way to an object to its card.
    pub(super) async fn link(&self, store: &dyn Store, object: &str, card: &mut Card) -> anyhow::Result<()> {
        match self {
            Self::None => {}
            Self::Files { store: root, page } => card.link = from_page(page, &root.join(object)),
            Self::Urls(links) => {
                let link = links.link(Some(store), object, || store.location(object)).await?;
                if link.place.starts_with("https://") || link.place.starts_with("http://") {
                    card.link = Some(link.place);
                    card.expires = link.expires;
                } else {
                    card.place = Some(link.place);
                }
            }
        }
        Ok(())
    }
}

/// The path of a file as a page writes it: it begins with a dot, so that no name is taken for a scheme.
fn from_page(page: &Url, file: &Path) -> Option<String> {
    let relative = page.make_relative(&Url::from_file_path(file).ok()?)?;
    Some(if relative.starts_with("../") { relative } else { format!("./{relative}") })
}

fn real(path: &Path) -> PathBuf {
    let here = if path.as_os_str().is_empty() { Path::new(".") } else { path };
    here.canonicalize().or_else(|_error| std::path::absolute(here)).unwrap_or_else(|_error| here.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_lead_from_the_page_and_never_look_like_a_scheme() {
        let page = Url::from_file_path("/shop/out/page.html").unwrap();
        let link = |file: &str| from_page(&page, Path::new(file)).unwrap();
        assert_eq!(link("/shop/out/images/a.png"), "./images/a.png");
        assert_eq!(link("/shop/images/a b#1?.png"), "../images/a%20b%231%3F.png");
        assert_eq!(link("/shop/out/javascript:alert(1)/a.png"), "./javascript:alert(1)/a.png");
        assert_eq!(link("/a.png"), "../../a.png");
    }
}
