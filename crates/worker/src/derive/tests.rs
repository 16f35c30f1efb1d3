//! What comes out of hostile, odd and ordinary images.

use std::io::Cursor;

use image::{DynamicImage, ImageDecoder as _, ImageFormat, ImageReader, Rgb, RgbImage, Rgba, RgbaImage};
use pictor_common::derivative::Derivative;

use super::derive;

fn words(texts: &[&str]) -> Vec<Derivative> {
    texts.iter().map(|text| text.parse().unwrap()).collect()
}

fn file(image: impl Into<DynamicImage>, format: ImageFormat) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    image.into().write_to(&mut bytes, format).unwrap();
    bytes.into_inner()
}

/// Red on the left, blue on the right.
fn halves(width: u32, height: u32) -> RgbImage {
    RgbImage::from_fn(width, height, |x, _| if x < width / 2 { Rgb([255, 0, 0]) } else { Rgb([0, 0, 255]) })
}

fn one(image: &[u8], text: &str) -> (ImageFormat, DynamicImage) {
    let bytes = derive(image, &words(&[text])).unwrap().remove(0);
    let format = image::guess_format(&bytes).unwrap();
    (format, image::load_from_memory(&bytes).unwrap())
}

fn close(pixel: Rgb<u8>, to: [u8; 3], by: u8) -> bool {
    pixel.0.iter().zip(to).all(|(a, b)| a.abs_diff(b) <= by)
}

#[test]
fn formats_and_sizes_are_those_asked_for_and_the_bytes_the_same_each_time() {
    let asked = words(&["64x64 cover webp q80", "100w jpeg", "50h png", "128 contain #00ff00 png"]);
    for format in [ImageFormat::Png, ImageFormat::Jpeg, ImageFormat::WebP] {
        let image = file(halves(200, 100), format);
        let made = derive(&image, &asked).unwrap();
        assert_eq!(made, derive(&image, &asked).unwrap());
        let sizes: Vec<_> = made
            .iter()
            .map(|bytes| {
                let image = image::load_from_memory(bytes).unwrap();
                (image::guess_format(bytes).unwrap(), image.width(), image.height())
            })
            .collect();
        let expected = [
            (ImageFormat::WebP, 64, 64),
            (ImageFormat::Jpeg, 100, 50),
            (ImageFormat::Png, 100, 50),
            (ImageFormat::Png, 128, 128),
        ];
        assert_eq!(sizes, expected);
    }
    let (_, filled) = one(&file(halves(200, 100), ImageFormat::Png), "128 contain #00ff00 png");
    let filled = filled.into_rgb8();
    assert_eq!(filled.get_pixel(64, 0).0, [0, 255, 0]);
    assert!(close(*filled.get_pixel(10, 64), [255, 0, 0], 3));
}

#[test]
fn what_is_transparent_leaves_no_fringe() {
    // Invisible green beside opaque red.
    let image =
        RgbaImage::from_fn(
            64,
            64,
            |x, _| {
                if x % 8 < 4 { Rgba([255, 0, 0, 255]) } else { Rgba([0, 255, 0, 0]) }
            },
        );
    let image = file(image, ImageFormat::Png);
    let (_, small) = one(&image, "8x8 png");
    for pixel in small.into_rgba8().pixels().filter(|pixel| pixel[3] > 8) {
        assert!(pixel[1] < 16, "{pixel:?}");
    }
    let (_, webp) = one(&image, "32x32 webp");
    assert!(webp.color().has_alpha());
    // A JPEG stands on white, or on what is said.
    let clear = file(RgbaImage::from_pixel(32, 32, Rgba([9, 9, 9, 0])), ImageFormat::Png);
    let (_, white) = one(&clear, "16x16 jpeg");
    assert!(close(*white.into_rgb8().get_pixel(8, 8), [255; 3], 3));
    let (_, blue) = one(&clear, "16x16 contain #0000ff jpeg");
    assert!(close(*blue.into_rgb8().get_pixel(8, 8), [0, 0, 255], 6));
}

#[test]
fn odd_kinds_of_pixels_are_understood() {
    let deep: image::ImageBuffer<Rgb<u16>, Vec<u16>> =
        image::ImageBuffer::from_pixel(40, 40, Rgb([65_535, 0, 32_768]));
    let (_, plain) = one(&file(deep, ImageFormat::Png), "20 png");
    assert!(close(*plain.into_rgb8().get_pixel(5, 5), [255, 0, 128], 1));

    let grey = image::GrayImage::from_pixel(40, 40, image::Luma([77]));
    for format in [ImageFormat::Png, ImageFormat::Jpeg] {
        let (_, plain) = one(&file(grey.clone(), format), "20 png");
        assert!(close(*plain.into_rgb8().get_pixel(5, 5), [77; 3], 2));
    }

    let mut palette = Vec::new();
    let mut encoder = png::Encoder::new(&mut palette, 4, 4);
    encoder.set_color(png::ColorType::Indexed);
    encoder.set_depth(png::BitDepth::One);
    encoder.set_palette(vec![0, 0, 0, 10, 200, 30]);
    encoder.write_header().unwrap().write_image_data(&[0xf0; 4]).unwrap();
    let (_, plain) = one(&palette, "4x4 png");
    assert!(close(*plain.into_rgb8().get_pixel(1, 1), [10, 200, 30], 1));
}

#[test]
fn an_image_of_a_pixel_or_a_line_has_no_side_of_nothing() {
    for (width, height) in [(1, 1), (4_000, 1), (1, 4_000)] {
        let image = file(halves(width, height), ImageFormat::Png);
        for text in ["64x64 cover", "64 contain jpeg", "64w png", "64h", "64 contain #ffffff", "64 upscale"] {
            let (_, made) = one(&image, text);
            assert!(made.width() >= 1 && made.height() >= 1);
        }
    }
}

#[test]
fn what_claims_to_be_huge_is_refused_before_it_is_decoded() {
    // A PNG of 30,000 x 30,000 in a few bytes.
    let mut bomb = Vec::new();
    let mut encoder = png::Encoder::new(&mut bomb, 30_000, 30_000);
    encoder.set_color(png::ColorType::Grayscale);
    encoder.set_depth(png::BitDepth::One);
    let mut writer = encoder.write_header().unwrap();
    writer.write_chunk(png::chunk::IDAT, &[0x78, 0x9c, 0x63, 0, 0, 0, 1, 0, 1]).unwrap();
    drop(writer);
    let begun = std::time::Instant::now();
    let refused = derive(&bomb, &words(&["64w"])).unwrap_err().to_string();
    assert!(refused.contains("30000x30000 pixels"), "{refused}");
    assert!(begun.elapsed().as_secs() < 2);

    let whole = file(halves(64, 64), ImageFormat::Png);
    for broken in [&whole[..whole.len() / 2], b"GIF89a".as_slice(), b"<svg/>", b""] {
        assert!(derive(broken, &words(&["8w"])).is_err());
    }
}

/// A TIFF header and one entry: the orientation.
fn exif(orientation: u8) -> Vec<u8> {
    let mut exif = b"II*\0\x08\0\0\0\x01\0".to_vec();
    exif.extend([0x12, 0x01, 3, 0, 1, 0, 0, 0, orientation, 0, 0, 0, 0, 0, 0, 0]);
    exif
}

fn turned(orientation: u8) -> Vec<u8> {
    use image::ImageEncoder as _;
    let mut bytes = Vec::new();
    let mut encoder = image::codecs::jpeg::JpegEncoder::new_with_quality(&mut bytes, 95);
    encoder.set_exif_metadata(exif(orientation)).unwrap();
    encoder.write_image(&halves(80, 40), 80, 40, image::ExtendedColorType::Rgb8).unwrap();
    bytes
}

#[test]
fn an_image_stands_upright() {
    let (_, upright) = one(&turned(6), "40w png");
    assert_eq!((upright.width(), upright.height()), (40, 80));
    // Turned clockwise, what was left is at the top.
    let upright = upright.into_rgb8();
    assert!(close(*upright.get_pixel(20, 10), [255, 0, 0], 30), "{:?}", upright.get_pixel(20, 10));
    assert!(close(*upright.get_pixel(20, 70), [0, 0, 255], 30));
}

#[test]
fn metadata_is_left_out_unless_it_is_kept() {
    let image = turned(6);
    for format in ["webp", "jpeg", "png"] {
        let metadata = |text: &str| {
            let bytes = derive(&image, &words(&[text])).unwrap().remove(0);
            let reader = ImageReader::new(Cursor::new(&bytes)).with_guessed_format().unwrap();
            let mut decoder = reader.into_decoder().unwrap();
            let exif = decoder.exif_metadata().unwrap();
            let pixels = DynamicImage::from_decoder(decoder).unwrap();
            (exif, pixels.width(), pixels.height())
        };
        assert_eq!(metadata(&format!("20w {format}")), (None, 20, 40), "{format}");
        // What was turned must not be turned again.
        assert_eq!(metadata(&format!("20w {format} keep")), (Some(exif(1)), 20, 40), "{format}");
    }
    let clear = {
        use image::ImageEncoder as _;
        let mut bytes = Vec::new();
        let mut encoder = image::codecs::png::PngEncoder::new(&mut bytes);
        encoder.set_exif_metadata(exif(1)).unwrap();
        let pixels = RgbaImage::from_pixel(31, 17, Rgba([200, 10, 10, 99]));
        encoder.write_image(&pixels, 31, 17, image::ExtendedColorType::Rgba8).unwrap();
        bytes
    };
    let bytes = derive(&clear, &words(&["31w webp keep"])).unwrap().remove(0);
    let webp = image::load_from_memory(&bytes).unwrap();
    assert_eq!((webp.width(), webp.height()), (31, 17));
    assert!(webp.color().has_alpha());
    assert!(bytes.windows(4).any(|part| part == b"EXIF"));
}

#[test]
fn colours_of_another_space_come_to_srgb() {
    use image::ImageEncoder as _;
    let profile = moxcms::ColorProfile::new_display_p3().encode().unwrap();
    let mut image = Vec::new();
    let mut encoder = image::codecs::png::PngEncoder::new(&mut image);
    encoder.set_icc_profile(profile).unwrap();
    let pixels = RgbImage::from_pixel(16, 16, Rgb([200, 80, 40]));
    encoder.write_image(&pixels, 16, 16, image::ExtendedColorType::Rgb8).unwrap();
    let (_, made) = one(&image, "16w png");
    let pixel = *made.into_rgb8().get_pixel(8, 8);
    // The same orange lies farther out in the smaller space.
    assert!(pixel[0] > 205 && pixel[2] < 35, "{pixel:?}");
}

#[tokio::test]
async fn a_pool_of_one_thread_makes_all() {
    let pool = super::Pool::new(1);
    let image = bytes::Bytes::from(file(halves(64, 64), ImageFormat::Png));
    let all = (0..4).map(|_| pool.derive(image.clone(), words(&["8w"])));
    for making in
        futures::future::join_all(all.map(|making| async { making.await.unwrap().next().await })).await
    {
        assert!(!making.unwrap().unwrap().bytes.is_empty());
    }
    assert!(pool.derive(bytes::Bytes::from_static(b"no image"), words(&["8w"])).await.is_err());
}

/// A PNG of nothing but its claims.
fn claimed(width: u32, height: u32) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, width, height);
    encoder.set_color(png::ColorType::Rgba);
    encoder.set_depth(png::BitDepth::Sixteen);
    let mut writer = encoder.write_header().unwrap();
    writer.write_chunk(png::chunk::IDAT, &[0x78, 0x9c, 0x63, 0, 0, 0, 1, 0, 1]).unwrap();
    drop(writer);
    bytes
}

#[tokio::test]
async fn what_takes_more_memory_than_there_is_is_refused() {
    let pool = super::Pool::new(8);
    let refused = pool.derive(claimed(7_000, 7_000).into(), words(&["64w"])).await.unwrap_err().to_string();
    assert!(refused.contains("at most 256 MiB"), "{refused}");
}

#[tokio::test]
async fn what_takes_much_is_derived_alone() {
    let pool = super::Pool::new(8);
    let image = bytes::Bytes::from(file(halves(64, 64), ImageFormat::Png));
    let large = || pool.derive(image.clone(), words(&["4096x4096 contain #ffffff jpeg", "8w"]));
    let first = large().await.unwrap();
    let patience = std::time::Duration::from_millis(300);
    assert!(tokio::time::timeout(patience, large()).await.is_err(), "two of them at once");
    // What is small goes beside it.
    assert!(pool.derive(image.clone(), words(&["8w"])).await.unwrap().next().await.unwrap().is_ok());
    drop(first);
    let mut next = large().await.unwrap();
    assert_eq!(next.next().await.unwrap().unwrap().derivative, words(&["4096x4096 contain #ffffff jpeg"])[0]);
    assert!(next.next().await.unwrap().is_ok());
    assert!(next.next().await.is_none());
}

#[test]
fn a_profile_that_grows_is_none() {
    use image::ImageEncoder as _;
    let mut image = Vec::new();
    let mut encoder = image::codecs::png::PngEncoder::new(&mut image);
    // 64 MiB in a few kilobytes.
    encoder.set_icc_profile(vec![0; 64 << 20]).unwrap();
    encoder.write_image(&halves(16, 16), 16, 16, image::ExtendedColorType::Rgb8).unwrap();
    assert!(image.len() < 1 << 20);
    let mut decoder = super::picture::open(&image).unwrap();
    assert_eq!(decoder.icc_profile().unwrap(), None);
    let (_, made) = one(&image, "16w png");
    assert_eq!(made.width(), 16);
}

#[test]
fn a_webp_whose_chunks_claim_more_than_there_is_has_no_metadata() {
    let bytes = derive(&turned(6), &words(&["20w webp keep"])).unwrap().remove(0);
    assert!(super::riff::is_whole(&bytes));
    let at = bytes.windows(4).position(|part| part == b"EXIF").unwrap();
    let mut lies = bytes.clone();
    lies[at + 4..at + 8].copy_from_slice(&u32::MAX.to_le_bytes());
    assert!(!super::riff::is_whole(&lies));
}

#[test]
fn what_takes_too_much_spoils_nothing_else() {
    let wanted = words(&["64w webp", "2500x2500 contain #ffffff avif", "32w jpeg"]);
    let needed = super::memory::needed(&claimed(1_000, 1_000), &wanted).unwrap();
    assert_eq!(needed.fitting, words(&["64w webp", "32w jpeg"]));
    let over = needed.over.unwrap().to_string();
    assert!(over.contains("2500x2500 contain #ffffff avif q80 of 1000x1000 pixels would take"), "{over}");
}

#[tokio::test]
async fn memory_is_asked_for_before_an_image_is_read_and_what_is_not_needed_given_back() {
    let pool = super::Pool::new(8);
    let image = bytes::Bytes::from(file(halves(64, 64), ImageFormat::Png));
    let derive = |share| pool.derive_within(share, image.clone(), words(&["8w"]));
    let super::DeriveError::Larger(mib) = derive(pool.share(1).await).await.unwrap_err() else {
        panic!("an image for which too little was set aside is derived from");
    };
    let making = derive(pool.share(mib).await).await.unwrap();
    let other = derive(pool.share(super::memory::MOST_MIB - mib).await).await.unwrap();
    let patience = std::time::Duration::from_secs(20);
    let rest = pool.share(super::memory::MOST_MIB - 2 * mib);
    assert!(tokio::time::timeout(patience, rest).await.is_ok());
    drop((making, other));
}

#[test]
fn only_builds_with_its_encoder_make_avif() {
    let avif = words(&["8w avif"]);
    assert_eq!(super::can_make(&avif[0]).is_ok(), super::MAKES_AVIF);
    let made = derive(&file(halves(64, 64), ImageFormat::Png), &avif);
    assert_eq!(made.is_ok(), super::MAKES_AVIF, "{made:?}");
}

#[cfg(feature = "avif")]
mod avif {
    use super::*;

    /// Pixels across and down, as the file's head says.
    fn size(avif: &[u8]) -> (u32, u32) {
        assert_eq!(&avif[4..12], b"ftypavif");
        let at = avif.windows(4).position(|part| part == b"ispe").unwrap() + 8;
        let side = |at: usize| u32::from_be_bytes(avif[at..at + 4].try_into().unwrap());
        (side(at), side(at + 4))
    }

    fn has(avif: &[u8], part: &[u8]) -> bool {
        avif.windows(part.len()).any(|found| found == part)
    }

    const ALPHA: &[u8] = b"urn:mpeg:mpegB:cicp:systems:auxiliary:alpha";

    #[test]
    fn sizes_are_those_asked_for_and_the_bytes_the_same_each_time() {
        let image = file(halves(200, 100), ImageFormat::Png);
        let asked = words(&[
            "64x48 cover avif q60",
            "100w avif",
            "33 contain #00ff00 avif q1",
            "1x1 cover avif q100",
        ]);
        let made = derive(&image, &asked).unwrap();
        assert_eq!(made, derive(&image, &asked).unwrap());
        let sizes: Vec<_> = made.iter().map(|avif| size(avif)).collect();
        assert_eq!(sizes, [(64, 48), (100, 50), (33, 33), (1, 1)]);
        assert!(made.iter().all(|avif| !has(avif, ALPHA)));
        // A quality that is lower makes less of a file.
        let noise = RgbImage::from_fn(128, 128, |x, y| {
            let noise = (x.wrapping_mul(2_654_435_761) ^ y.wrapping_mul(40_503)) >> 3;
            Rgb(noise.to_le_bytes()[..3].try_into().unwrap())
        });
        let noise =
            derive(&file(noise, ImageFormat::Png), &words(&["128w avif q20", "128w avif q90"])).unwrap();
        assert!(noise[0].len() * 2 < noise[1].len(), "{} {}", noise[0].len(), noise[1].len());
    }

    #[test]
    fn what_is_transparent_stays_so_and_metadata_is_kept_where_asked() {
        let clear = RgbaImage::from_fn(64, 64, |x, _| Rgba([200, 10, 10, u8::try_from(x * 4).unwrap()]));
        let made =
            derive(&file(clear, ImageFormat::Png), &words(&["32w avif", "32x32 #ffffff avif"])).unwrap();
        assert!(has(&made[0], ALPHA) && !has(&made[1], ALPHA));
        let made = derive(&turned(6), &words(&["20w avif", "20w avif keep"])).unwrap();
        assert_eq!((size(&made[0]), size(&made[1])), ((20, 40), (20, 40)));
        assert!(!has(&made[0], b"Exif") && has(&made[1], b"Exif") && has(&made[1], &exif(1)));
    }
}
