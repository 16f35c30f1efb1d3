//! Looks at one row as it would be submitted; asks nobody.

use crate::{
    manifest::{BadInput, RowError, RowSpecs, Rows},
    submit::{Request, SubmitError},
};

impl Request<'_> {
    /// The lines of a data row, counted from 1. What is wrong with other rows does not matter here.
    pub fn row(&self, number: u64) -> Result<Vec<RowSpecs>, SubmitError> {
        let name = &self.manifest.name;
        let manifest =
            self.manifest.open().map_err(|source| SubmitError::Read { name: name.clone(), source })?;
        let refused = |errors: Vec<RowError>| {
            let total = errors.len() as u64;
            SubmitError::BadInput(BadInput { source_name: name.clone(), errors, total })
        };
        let mut lines: Vec<RowSpecs> = Vec::new();
        let mut last = 0;
        for row in Rows::open(manifest, self.manifest.format.clone(), self.rules).map_err(refused)? {
            match row {
                Ok(line) if line.row == number => lines.push(line),
                Ok(line) if line.row > number => break,
                Ok(line) => last = line.row,
                Err(bad) if bad.row.is_none_or(|row| row == number) => return Err(refused(bad.errors)),
                Err(bad) if bad.row > Some(number) => break,
                Err(bad) => last = bad.row.unwrap_or(last),
            }
        }
        if lines.is_empty() {
            let message =
                format!("there is no row {number}, or it is empty; the last one before it is {last}");
            return Err(refused(vec![RowError { message: message.into(), ..RowError::default() }]));
        }
        Ok(lines)
    }
}
