//! Copies inside one S3 server, without the bytes coming by here.

use aws_sdk_s3::types::{MetadataDirective, ServerSideEncryption};
use pictor_common::store::{NewObject, Remote, Store as _, StoreErrorKind};

use super::{S3Store, errors::Refusal};
use crate::{public::encoded, unsupported};

impl S3Store {
    pub(super) async fn copy(
        &self,
        from: &Remote,
        object: &NewObject,
        condition: Option<String>,
    ) -> Result<(), Refusal> {
        let source = format!("s3://{}/{}", from.bucket, from.key);
        if from.endpoint != self.settings.endpoint {
            return Err(unsupported(format!("{source} is on another server")).into());
        }
        let request = self
            .client
            .copy_object()
            .bucket(&self.bucket)
            .key(self.key(&object.name))
            .copy_source(format!("{}/{}", from.bucket, encoded(&from.key)))
            .metadata_directive(MetadataDirective::Replace)
            .content_type(&object.content_type)
            .set_metadata(Some(object.metadata.clone().into_iter().collect()))
            .set_cache_control(self.settings.cache_control.clone())
            .set_server_side_encryption(self.settings.sse.map(ServerSideEncryption::from))
            .set_ssekms_key_id(self.settings.sse_kms_key_id.clone())
            .set_if_none_match(condition);
        let Err(error) = request.send().await else { return Ok(()) };
        let told = format!("{source} to {}", self.location(&object.name));
        let mut refusal = Refusal::of("COPY", &told, error);
        if refusal.status == Some(501) {
            refusal.error.kind = StoreErrorKind::Unsupported;
        }
        Err(refusal)
    }
}
