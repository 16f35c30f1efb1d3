//! Who it is that changes something others will ask about.

use super::surroundings::{environment, set};

/// The user and this machine, as `USER@host`.
pub(crate) fn who() -> String {
    let environment = environment();
    let user = set(&environment, "USER").or_else(|| set(&environment, "LOGNAME")).map(str::to_owned);
    let user = user.unwrap_or_else(|| format!("uid-{}", rustix::process::getuid().as_raw()));
    format!("{user}@{}", rustix::system::uname().nodename().to_string_lossy())
}
