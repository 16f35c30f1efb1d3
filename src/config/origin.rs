//! Where a setting's value comes from.

use std::{fmt, path::PathBuf};

use serde::Serialize;

/// Where a value comes from; later ones win.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub(crate) enum Origin {
    /// Built in.
    #[default]
    Default,
    /// The model catalogue.
    Catalogue,
    /// The settings file.
    File {
        /// Its path.
        file: PathBuf,
    },
    /// The selected profile keeps apart what others have.
    Profile {
        /// Its name.
        profile: String,
    },
    /// The selected profile's table in the settings file.
    Table {
        /// The file.
        file: PathBuf,
        /// The profile.
        profile: String,
    },
    /// An environment variable.
    Environment {
        /// Its name.
        variable: String,
    },
    /// The command line.
    Flag {
        /// The flag.
        flag: &'static str,
    },
}

impl Origin {
    /// Whether it speaks of the selected profile alone, or of this one process.
    pub(super) const fn is_particular(&self) -> bool {
        matches!(self, Self::Table { .. } | Self::Environment { .. } | Self::Flag { .. })
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::Catalogue => f.write_str("model catalogue"),
            Self::File { file } => write!(f, "{}", file.display()),
            Self::Profile { profile } => write!(f, "profile {profile}"),
            Self::Table { file, profile } => write!(f, "{} [profiles.{profile}]", file.display()),
            Self::Environment { variable } => write!(f, "environment {variable}"),
            Self::Flag { flag } => write!(f, "flag {flag}"),
        }
    }
}
