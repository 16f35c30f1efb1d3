//! Makes derivatives: decodes once, resizes and encodes as often as asked.

mod avif;
mod encode;
mod hot;
mod memory;
mod pass;
mod picture;
mod pool;
mod riff;
mod sweep;
#[cfg(test)]
mod tests;

use fast_image_resize::Resizer;
use pictor_common::derivative::Derivative;

pub use avif::{MAKES_AVIF, can_make};
pub(crate) use hot::Deriver;
pub use pass::{Pass, PassError, Problem, Tally, Wanted};
pub(crate) use pass::{kept, take_back};
use picture::Picture;
pub use pool::{DeriveError, Made, Making, Pool};
pub(crate) use sweep::run as sweep;

/// Why something was not derived from an image, and never will be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct NotDerived(pub(super) String);

/// Derives from the bytes of an image, in the order asked. The same bytes give the same bytes.
pub fn derive(image: &[u8], wanted: &[Derivative]) -> Result<Vec<Vec<u8>>, NotDerived> {
    let mut all = Vec::with_capacity(wanted.len());
    derive_each(image, wanted, |_, bytes| {
        all.push(bytes);
        true
    })?;
    Ok(all)
}

/// Derives one after the other, and hands over each before the next is begun, for as long as it is taken.
fn derive_each(
    image: &[u8],
    wanted: &[Derivative],
    mut take: impl FnMut(Derivative, Vec<u8>) -> bool,
) -> Result<(), NotDerived> {
    let picture = Picture::decode(image)?;
    let mut resizer = Resizer::new();
    for derivative in wanted {
        let made = encode::encode(&picture, derivative, &mut resizer)?;
        if !take(*derivative, made) {
            break;
        }
    }
    Ok(())
}
