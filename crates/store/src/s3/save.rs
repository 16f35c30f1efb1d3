//! Writes an object into a file as it arrives.

use std::{io, path::Path};

use pictor_common::store::{Store as _, StoreError, StoreErrorKind};
use tokio::{fs::File, io::AsyncWriteExt as _, time::timeout};

use super::{S3Store, errors::failed};
use crate::unavailable;

impl S3Store {
    pub(super) async fn save_to(&self, name: &str, path: &Path) -> Result<bool, StoreError> {
        let request = self.client.get_object().bucket(&self.bucket).key(self.key(name));
        let mut found = match request.send().await {
            Ok(found) => found,
            Err(error) if error.as_service_error().is_some_and(|cause| cause.is_no_such_key()) => {
                return Ok(false);
            }
            Err(error) => return Err(failed("GET", &self.location(name), error)),
        };
        let broken = |cause| unavailable(format!("GET {}: the body broke off", self.location(name)), cause);
        let unwritten = |cause: io::Error| {
            let kind = match cause.kind() {
                io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => StoreErrorKind::Full,
                io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => StoreErrorKind::Denied,
                _ => StoreErrorKind::Invalid,
            };
            StoreError {
                kind,
                message: format!("cannot write {}", path.display()),
                source: Some(cause.into()),
            }
        };
        let mut file = File::create_new(path).await.map_err(unwritten)?;
        let whole = async {
            while let Some(piece) = found.body.next().await {
                let piece = piece.map_err(|cause| broken(cause.into()))?;
                file.write_all(&piece).await.map_err(unwritten)?;
            }
            file.flush().await.map_err(unwritten)
        };
        match timeout(self.settings.attempt_timeout(), whole).await {
            Ok(written) => written.map(|()| true),
            Err(late) => Err(broken(late.into())),
        }
    }
}
