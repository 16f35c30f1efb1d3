//! Makes derivatives: decodes once, resizes and encodes as often as asked.

mod encode;
mod hot;
mod pass;
mod picture;
mod pool;
mod riff;
mod sweep;
#[cfg(test)]
mod tests;

use fast_image_resize::Resizer;
use pictor_common::derivative::Derivative;

pub(crate) use hot::Deriver;
pub(crate) use pass::kept;
pub use pass::{Pass, PassError, Problem, Tally, Wanted};
use picture::Picture;
pub use pool::Pool;
pub(crate) use sweep::run as sweep;

/// Why something was not derived from an image, and never will be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct NotDerived(pub(super) String);

/// Derives from the bytes of an image, in the order asked. The same bytes give the same bytes.
pub fn derive(image: &[u8], wanted: &[Derivative]) -> Result<Vec<Vec<u8>>, NotDerived> {
    let picture = Picture::decode(image)?;
    let mut resizer = Resizer::new();
    wanted.iter().map(|derivative| encode::encode(&picture, derivative, &mut resizer)).collect()
}
