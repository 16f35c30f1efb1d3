//! The profile a namespace belongs to, so that a worker with the wrong key does not take its work.

use super::{Queue, QueueError};

impl Queue {
    /// Works for a profile: in a namespace that belongs to another by now, nothing is claimed or looked after.
    #[must_use]
    pub fn of_profile(mut self, profile: Option<&str>) -> Self {
        self.profile = profile.map(str::to_owned);
        self
    }

    /// Notes the profile on first use, and refuses any other from then on.
    ///
    /// Whoever has no profile leaves no mark, and is refused where there is one.
    pub async fn belong_to(&self, profile: Option<&str>) -> Result<(), QueueError> {
        let mut connection = self.connection.clone();
        let name = self.keys.profile();
        let remembered: Option<String> = match profile {
            // One command, so that of two first users one is refused.
            Some(profile) => {
                redis::cmd("SET")
                    .arg(&name)
                    .arg(profile)
                    .arg("NX")
                    .arg("GET")
                    .query_async(&mut connection)
                    .await?
            }
            None => redis::cmd("GET").arg(&name).query_async(&mut connection).await?,
        };
        match remembered {
            Some(remembered) if Some(remembered.as_str()) != profile => Err(QueueError::OtherProfile {
                namespace: self.keys.namespace().to_owned(),
                remembered,
                asked: profile.map(str::to_owned),
            }),
            _ => Ok(()),
        }
    }
}
