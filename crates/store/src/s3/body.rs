//! Request bodies: always of known length, files never wholly in memory.
//!
//! For a file the checksum is computed here and sent as a header. Left to the SDK it would travel
//! in a trailer with the `aws-chunked` framing, which some stores keep as part of the object.

use std::{
    fs::File,
    io::{self, ErrorKind, Read as _},
    path::{Path, PathBuf},
};

use aws_sdk_s3::primitives::ByteStream;
use pictor_common::store::{Body, StoreError};

use crate::{invalid, unavailable, unsupported};

const BUFFER: usize = 64 * 1024;

pub(super) async fn stream(body: &Body) -> Result<ByteStream, StoreError> {
    match body {
        Body::Bytes(bytes) => Ok(ByteStream::from(bytes.clone())),
        Body::File(path) => {
            tokio::fs::metadata(path).await.map_err(|cause| unreadable(path, cause))?;
            let built = ByteStream::read_from().path(path).buffer_size(BUFFER).build().await;
            built.map_err(|cause| unreadable(path, io::Error::other(cause)))
        }
        Body::Remote(remote) => {
            Err(unsupported(format!("s3://{}/{} is copied, not sent", remote.bucket, remote.key)))
        }
    }
}

/// The CRC-32 of a file, as S3 writes it.
pub(super) async fn crc32(path: &Path) -> Result<String, StoreError> {
    let from = path.to_owned();
    let summed = tokio::task::spawn_blocking(move || sum(from)).await;
    match summed {
        Ok(sum) => sum
            .map(|sum| base64_simd::STANDARD.encode_to_string(sum.to_be_bytes()))
            .map_err(|cause| unreadable(path, cause)),
        Err(gone) => Err(unreadable(path, gone.into())),
    }
}

fn sum(path: PathBuf) -> io::Result<u32> {
    let mut file = File::open(path)?;
    let mut hasher = crc32fast::Hasher::new();
    let mut buffer = vec![0; BUFFER];
    loop {
        match file.read(&mut buffer) {
            Ok(0) => return Ok(hasher.finalize()),
            Ok(length) => hasher.update(&buffer[..length]),
            Err(cause) if cause.kind() == ErrorKind::Interrupted => {}
            Err(cause) => return Err(cause),
        }
    }
}

fn unreadable(path: &Path, cause: io::Error) -> StoreError {
    match cause.kind() {
        ErrorKind::NotFound => invalid(format!("there is no file {} to store", path.display())),
        _ => unavailable(format!("cannot read {} to store it", path.display()), cause.into()),
    }
}
