//! Answers whose image is not one, not the one asked for, or more than it seems.

use std::{io::Cursor, sync::LazyLock};

use image::{DynamicImage, ImageFormat};

use super::{
    front::{Honest, Step},
    kinds::{
        End::{Altered, Failed, Mismatch},
        Kind, body, json, paid, taken,
    },
};

/// Where the first chunk of a PNG ends.
const HEADER: usize = 33;

fn crc(bytes: &[u8]) -> u32 {
    static TABLE: LazyLock<[u32; 256]> = LazyLock::new(|| {
        std::array::from_fn(|n| {
            let n = u32::try_from(n).unwrap();
            (0..8).fold(n, |crc, _| if crc & 1 == 1 { crc >> 1 ^ 0xedb8_8320 } else { crc >> 1 })
        })
    });
    !bytes.iter().fold(!0, |crc: u32, byte| TABLE[((crc ^ u32::from(*byte)) & 0xff) as usize] ^ crc >> 8)
}

fn chunk(name: &[u8; 4], data: &[u8]) -> Vec<u8> {
    let named = [name.as_slice(), data].concat();
    let length = u32::try_from(data.len()).unwrap();
    [&length.to_be_bytes()[..], &named, &crc(&named).to_be_bytes()].concat()
}

fn header(width: u32, height: u32, depth: u8, colours: u8) -> Vec<u8> {
    let data = [&width.to_be_bytes()[..], &height.to_be_bytes(), &[depth, colours, 0, 0, 0]].concat();
    [b"\x89PNG\r\n\x1a\n".as_slice(), &chunk(b"IHDR", &data)].concat()
}

/// So many zeros, deflated a thousandfold by hand: one literal, then copies of 258 bytes.
fn zeros(count: usize) -> Vec<u8> {
    let mut bits = Bits { bytes: vec![0x78, 0x9c], used: 8 };
    // The last block, with the fixed code.
    bits.put(0b011, 3);
    bits.huffman(0b0011_0000, 8);
    let copies = (count - 1) / 258;
    for _ in 0..copies {
        // 285 is a copy of 258 bytes, and distance code 0 is one byte back.
        bits.huffman(0b1100_0101, 8);
        bits.huffman(0, 5);
    }
    let left = count - 1 - copies * 258;
    (0..left).for_each(|_| bits.huffman(0b0011_0000, 8));
    bits.huffman(0, 7);
    let adler = u32::try_from(count % 65_521).unwrap() << 16 | 1;
    [bits.bytes.as_slice(), &adler.to_be_bytes()].concat()
}

struct Bits {
    bytes: Vec<u8>,
    used: u32,
}

impl Bits {
    /// The lowest bit first.
    fn put(&mut self, value: u32, count: u32) {
        for at in 0..count {
            if self.used == 8 {
                self.bytes.push(0);
                self.used = 0;
            }
            let last = self.bytes.last_mut().unwrap();
            *last |= u8::try_from(value >> at & 1).unwrap() << self.used;
            self.used += 1;
        }
    }

    /// The highest bit first.
    fn huffman(&mut self, code: u32, count: u32) {
        (0..count).rev().for_each(|at| self.put(code >> at & 1, 1));
    }
}

fn png(header: &[u8], more: &[Vec<u8>], data: &[u8]) -> Vec<u8> {
    [header, &more.concat(), &chunk(b"IDAT", data), &chunk(b"IEND", b"")].concat()
}

fn picture(honest: &Honest, bytes: impl AsRef<[u8]>) -> Vec<Step> {
    body(honest, json(&base64_simd::STANDARD.encode_to_string(bytes.as_ref())))
}

fn inserted(honest: &Honest, chunks: &[Vec<u8>]) -> Vec<u8> {
    [&honest.png[..HEADER], &chunks.concat(), &honest.png[HEADER..]].concat()
}

/// A compressed chunk that unpacks to this many zeros.
fn packed(name: &[u8; 4], count: usize) -> Vec<u8> {
    chunk(name, &[b"note\0\0".as_slice(), &zeros(count)].concat())
}

fn other(format: ImageFormat, width: u32, height: u32) -> Vec<u8> {
    let mut file = Cursor::new(Vec::new());
    DynamicImage::new_rgb8(width, height).write_to(&mut file, format).unwrap();
    file.into_inner()
}

/// 17 million pixels in a few kilobytes.
static WEBP_BOMB: LazyLock<Vec<u8>> = LazyLock::new(|| other(ImageFormat::WebP, 4_200, 4_200));

/// Draws what takes long.
pub(super) fn prepare() {
    LazyLock::force(&WEBP_BOMB);
}

const MIB: usize = 1 << 20;

pub(super) const PICTURES: &[Kind] = &[
    taken("jpeg_for_png", |h| picture(h, other(ImageFormat::Jpeg, 256, 256))).ends(Mismatch),
    taken("webp_for_png", |h| picture(h, other(ImageFormat::WebP, 256, 256))).ends(Mismatch),
    taken("wrong_size", |h| picture(h, other(ImageFormat::Png, 64, 64))).ends(Mismatch),
    taken("animated_gif", |h| picture(h, b"GIF89a\0\x01\0\x01\xf0\0\0....!\xff\x0bNETSCAPE2.0"))
        .ends(Mismatch),
    taken("svg_with_entities", |h| {
        let bomb =
            r#"<?xml version="1.0"?><!DOCTYPE svg [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;">]>"#;
        picture(h, format!("{bomb}<svg xmlns=\"http://www.w3.org/2000/svg\"><text>&b;</text></svg>"))
    })
    .ends(Mismatch),
    taken("animated_png", |h| {
        let control = chunk(b"acTL", &[0, 0, 0, 2, 0, 0, 0, 0]);
        picture(h, inserted(h, &[control]))
    })
    .ends(Altered),
    taken("bytes_after_the_png", |h| picture(h, [&h.png[..], &[0; 1000]].concat())).ends(Altered),
    taken("text_bomb", |h| picture(h, inserted(h, &[packed(b"zTXt", 200 * MIB)]))).ends(Altered),
    taken("profile_bomb", |h| picture(h, inserted(h, &[packed(b"iCCP", 200 * MIB)]))).ends(Altered),
    taken("more_than_its_pixels", |h| picture(h, png(&header(256, 256, 8, 2), &[], &zeros(200 * MIB))))
        .ends(Altered),
    taken("many_pixels", |h| picture(h, png(&header(8192, 8192, 8, 6), &[], &zeros(8192 * (8192 * 4 + 1)))))
        .ends(Mismatch),
    taken("deep_pixels", |h| picture(h, png(&header(4096, 4096, 16, 6), &[], &zeros(4096 * (4096 * 8 + 1)))))
        .ends(Mismatch),
    taken("webp_bomb", |h| picture(h, &*WEBP_BOMB)).ends(Mismatch),
    taken("another_webp_bomb", |h| picture(h, &*WEBP_BOMB)).ends(Mismatch),
    paid("huge_dimensions", |h| picture(h, png(&header(60_000, 60_000, 8, 6), &[], &zeros(MIB)))),
    paid("greatest_dimensions", |h| {
        picture(h, png(&header(u32::MAX >> 1, u32::MAX >> 1, 16, 6), &[], &zeros(MIB)))
    }),
    paid("no_pixels", |h| picture(h, png(&header(0, 256, 8, 2), &[], &zeros(1000)))),
    paid("fewer_than_its_pixels", |h| picture(h, png(&header(256, 256, 8, 2), &[], &zeros(1000)))),
    paid("bad_checksum", |h| {
        let mut wrong = h.png.clone();
        let body = first_data(&wrong);
        let length = u32::from_be_bytes(wrong[body - 8..body - 4].try_into().unwrap());
        wrong[body + length as usize] ^= 1;
        picture(h, wrong)
    }),
    paid("png_without_its_end", |h| picture(h, &h.png[..h.png.len() - 12])),
    paid("half_a_png", |h| picture(h, &h.png[..h.png.len() / 2])),
    paid("signature_alone", |h| picture(h, &h.png[..8])),
    paid("half_a_jpeg", |h| {
        let whole = other(ImageFormat::Jpeg, 256, 256);
        picture(h, &whole[..whole.len() / 2])
    }),
    paid("half_a_webp", |h| {
        let whole = other(ImageFormat::WebP, 256, 256);
        picture(h, &whole[..whole.len() / 2])
    }),
    paid("words_for_an_image", |h| picture(h, "Internal error: renderer out of memory\n")),
    paid("page_for_an_image", |h| picture(h, "<html><body>503</body></html>")),
    paid("one_zero_byte", |h| picture(h, [0_u8])),
    paid("never_an_image", |h| picture(h, "no image")).always(&["settled", "settled"], Failed("bad_answer")),
];

/// Where the data of the first IDAT begins.
fn first_data(png: &[u8]) -> usize {
    png.windows(4).position(|window| window == b"IDAT").unwrap() + 4
}
