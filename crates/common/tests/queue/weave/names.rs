//! Names in Redis, and the questions that are asked of a content.

use super::{
    calls::{batch_name, token_name},
    content::Content,
};
use crate::world::{LANE, key, route};

/// Names of what a search is about.
pub(super) struct Names {
    /// Keys of the assets, and of their hashes.
    pub(super) keys: Vec<String>,
    pub(super) homes: Vec<String>,
    pub(super) in_flight: String,
    route: String,
}

impl Names {
    pub(super) fn new(assets: u8) -> Self {
        let keys: Vec<String> = (0..assets).map(|n| key(n.into()).as_str().to_owned()).collect();
        let homes = keys.iter().map(|key| format!("a:{key}")).collect();
        Self { keys, homes, in_flight: format!("inflight:{LANE}"), route: route().to_string() }
    }

    /// A token's member in the sets of leases and doubts.
    pub(super) fn member(&self, token: u8, asset: u8) -> String {
        format!("{} {}", token_name(token), self.keys[usize::from(asset)])
    }

    pub(super) fn phase<'a>(&self, content: &'a Content, asset: u8) -> Option<&'a str> {
        content.at(&self.homes[usize::from(asset)], "phase")
    }

    pub(super) fn state_of<'a>(&self, content: &'a Content, batch: u8) -> &'a str {
        content.at(&self.batch(batch), "state").unwrap_or("none")
    }

    pub(super) fn batch(&self, batch: u8) -> String {
        format!("batch:{}", batch_name(batch))
    }

    pub(super) fn open(&self, content: &Content, batch: u8) -> bool {
        self.state_of(content, batch) == "open"
    }

    /// Whether a claim finds an asset by a batch's flow.
    pub(super) fn in_line(&self, content: &Content, asset: u8, batch: u8) -> bool {
        let (route, batch) = (&self.route, batch_name(batch));
        let key = &self.keys[usize::from(asset)];
        content.at(&format!("flow:{route}:{batch}"), key).is_some()
            && content.at(&format!("flows:{route}:shop|normal"), &batch).is_some()
            && content.at(&format!("route:{route}"), "shop|normal").is_some()
    }
}
