//! Where Pictor keeps images: S3 and directories.
