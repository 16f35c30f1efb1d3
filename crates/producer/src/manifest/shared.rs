//! What is wrong with the variants of one row, each thing told once.

use super::{
    RowError,
    error::one_line,
    variants::{Varied, named},
};

/// Errors of the variants of one row, each told once.
#[derive(Debug, Default)]
pub(super) struct Shared {
    errors: Vec<(RowError, u64, String)>,
}

impl Shared {
    /// Errors kept of one row.
    const MOST: usize = 20;

    pub(super) const fn is_empty(&self) -> bool {
        self.errors.is_empty()
    }

    pub(super) fn add(&mut self, errors: Vec<RowError>, variant: &[Varied<'_>]) {
        for error in errors {
            if let Some((_, count, _)) = self.errors.iter_mut().find(|(known, ..)| *known == error) {
                *count += 1;
            } else if self.errors.len() < Self::MOST {
                self.errors.push((error, 1, named(variant)));
            }
        }
    }

    /// The errors; one that not all variants have names the first that has it.
    pub(super) fn told(self, variants: u64) -> Vec<RowError> {
        let told = |(mut error, count, first): (RowError, u64, String)| {
            if count < variants {
                error.message = format!("{} (with {})", error.message, one_line(&first)).into();
            }
            error
        };
        self.errors.into_iter().map(told).collect()
    }
}
