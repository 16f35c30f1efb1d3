//! What a person edits texts with.

use super::surroundings::{environment, set};

/// The command of the editor, with its arguments.
pub(crate) fn editor() -> String {
    let environment = environment();
    let named = ["VISUAL", "EDITOR"].into_iter().find_map(|name| set(&environment, name));
    named.unwrap_or("vi").to_owned()
}
