//! Reads an image back: whether its bytes are those that were stored, and decode.

use std::{
    fs::File,
    io,
    path::{Path, PathBuf},
};

use pictor_common::{Spec, asset_key::hex, stamp::Stamp, store::Store};
use pictor_worker::verify::{VerifyError, verify};
use sha2::{Digest as _, Sha256};

/// What was read.
#[derive(Debug)]
pub(super) enum ReadBack {
    Gone,
    Sound,
    Damaged(String),
}

/// Reads an image into a file of its own, which is removed again, and looks at it.
pub(super) async fn read_back(
    store: &dyn Store,
    name: &str,
    stamp: Option<&Stamp>,
    file: PathBuf,
) -> anyhow::Result<ReadBack> {
    if !store.save(name, &file).await? {
        return Ok(ReadBack::Gone);
    }
    let digest = stamp.map(|stamp| stamp.made.digest.clone());
    let looked = tokio::task::spawn_blocking(move || {
        let looked = look(&file, digest.as_deref());
        std::fs::remove_file(&file)?;
        looked
    });
    Ok(looked.await??)
}

fn look(file: &Path, digest: Option<&str>) -> io::Result<ReadBack> {
    let mut hashed = Sha256::new();
    let mut length = 0;
    let mut from = File::open(file)?;
    let mut buffer = vec![0; 64 * 1024];
    loop {
        match io::Read::read(&mut from, &mut buffer)? {
            0 => break,
            read => {
                hashed.update(&buffer[..read]);
                length += read;
            }
        }
    }
    if length == 0 {
        return Ok(ReadBack::Damaged("it is empty".to_owned()));
    }
    match digest {
        None => return Ok(ReadBack::Damaged("what Pictor wrote on it is gone".to_owned())),
        Some(digest) if digest != hex(&hashed.finalize()) => {
            return Ok(ReadBack::Damaged("its bytes are not those that were stored".to_owned()));
        }
        Some(_) => {}
    }
    match verify(file, &Spec::default()) {
        Ok(_) => Ok(ReadBack::Sound),
        Err(VerifyError::Undecodable(why)) => Ok(ReadBack::Damaged(why)),
        Err(VerifyError::Read(error)) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn looked(bytes: &[u8], digest: Option<&str>) -> String {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), bytes).unwrap();
        match look(file.path(), digest).unwrap() {
            ReadBack::Damaged(why) => why,
            other => format!("{other:?}"),
        }
    }

    #[test]
    fn bytes_are_those_that_were_stored_and_decode() {
        let svg = b"<svg xmlns='x'/>";
        let digest = hex(&Sha256::digest(svg));
        assert_eq!(looked(svg, Some(&digest)), "Sound");
        assert_eq!(looked(b"<svg xmlns='y'/>", Some(&digest)), "its bytes are not those that were stored");
        assert_eq!(looked(b"", Some(&digest)), "it is empty");
        assert_eq!(looked(svg, None), "what Pictor wrote on it is gone");
        let text = b"no image at all";
        assert_eq!(looked(text, Some(&hex(&Sha256::digest(text)))), "the bytes are of no known image format");
    }
}
