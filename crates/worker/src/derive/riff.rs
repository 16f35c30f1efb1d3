//! EXIF data beside the pixels of a WebP: the container that libwebp's encoder does not write.

const ALPHA: u8 = 0x10;
const EXIF: u8 = 0x08;
/// `RIFF`, length, `WEBP`.
const HEAD: usize = 12;

/// Puts EXIF data into a WebP of pixels alone, or of pixels in an extended container.
pub(super) fn with_exif(webp: &[u8], exif: &[u8], (width, height): (u32, u32), alpha: bool) -> Vec<u8> {
    let own = webp.get(HEAD..).unwrap_or_default();
    // The encoder writes the extended header itself where there is transparency.
    let chunks = if own.starts_with(b"VP8X") { own.get(18..).unwrap_or_default() } else { own };
    let mut flags = [0; 10];
    flags[0] = EXIF | if alpha { ALPHA } else { 0 };
    flags[4..7].copy_from_slice(&(width - 1).to_le_bytes()[..3]);
    flags[7..].copy_from_slice(&(height - 1).to_le_bytes()[..3]);
    let mut body = b"WEBP".to_vec();
    chunk(&mut body, *b"VP8X", &flags);
    body.extend_from_slice(chunks);
    chunk(&mut body, *b"EXIF", exif);
    let mut whole = Vec::with_capacity(body.len() + 8);
    chunk(&mut whole, *b"RIFF", &body);
    whole
}

fn chunk(to: &mut Vec<u8>, name: [u8; 4], bytes: &[u8]) {
    to.extend_from_slice(&name);
    to.extend_from_slice(&u32::try_from(bytes.len()).unwrap_or(u32::MAX).to_le_bytes());
    to.extend_from_slice(bytes);
    if bytes.len() % 2 == 1 {
        to.push(0);
    }
}
