//! Signs URLs from which anybody can read an object for a while.

use std::time::{Duration, SystemTime};

use aws_sdk_s3::presigning::PresigningConfig;
use pictor_common::store::{Presigned, Store as _, StoreError};

use super::{S3Store, errors::failed};
use crate::invalid;

/// S3's own limit.
const LONGEST: Duration = Duration::from_hours(7 * 24);

impl S3Store {
    pub(super) async fn presigned(
        &self,
        name: &str,
        from: SystemTime,
        lasts: Duration,
    ) -> Result<Presigned, StoreError> {
        if lasts > LONGEST || lasts.as_secs() == 0 {
            return Err(invalid("S3 signs URLs for 1 second to 7 days".to_owned()));
        }
        let config = PresigningConfig::builder().start_time(from).expires_in(lasts).build();
        let config = config.map_err(|cause| invalid(format!("a URL cannot be signed: {cause}")))?;
        let request = self.client.get_object().bucket(&self.bucket).key(self.key(name));
        let signed = request.presigned(config).await;
        let signed = signed.map_err(|error| failed("SIGN", &self.location(name), error))?;
        let temporary = signed.uri().contains("X-Amz-Security-Token=");
        Ok(Presigned { url: signed.uri().to_owned().into(), temporary })
    }
}
