//! Examples of every command, by its path. Each is parsed by a test, so none can drift from the command line.

mod around;
mod failing;
mod keeping;
mod submitting;
mod working;

/// What one does, and the line to type.
pub(crate) type Example = (&'static str, &'static str);

/// Those of the command at a path; the program itself is the empty path.
pub(crate) type Examples = (&'static str, &'static [Example]);

/// By families of commands.
const FAMILIES: [&[Examples]; 5] =
    [submitting::SUBMITTING, working::WORKING, failing::FAILING, keeping::KEEPING, around::AROUND];

/// Those of all commands.
pub(super) fn all() -> impl Iterator<Item = &'static Examples> {
    FAMILIES.into_iter().flatten()
}

/// What `pictor` alone says.
pub(crate) const FIRST_STEPS: &str = "\
Turns a catalogue of prompts into images through paid image APIs, and never pays twice.

  pictor demo                          200 sample images against a built-in simulator; costs nothing
  pictor run listings.csv --dry-run    checks a file of yours and says what it would cost
  pictor status                        what is queued, running or paused, and why

`pictor --help` names all commands; `pictor COMMAND --help` says the rest, with examples.";
