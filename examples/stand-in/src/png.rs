//! A small real PNG, made once.

use std::io::Write;
use std::sync::OnceLock;

use bytes::Bytes;
use flate2::write::ZlibEncoder;
use flate2::{Compression, Crc};

const SIDE: u32 = 32;

/// A green 32 by 32 image.
pub(crate) fn png() -> Bytes {
    static IMAGE: OnceLock<Bytes> = OnceLock::new();
    IMAGE.get_or_init(|| Bytes::from(draw())).clone()
}

fn draw() -> Vec<u8> {
    let mut header = Vec::new();
    header.extend_from_slice(&SIDE.to_be_bytes());
    header.extend_from_slice(&SIDE.to_be_bytes());
    // Eight bits a channel, RGB, no interlace.
    header.extend_from_slice(&[8, 2, 0, 0, 0]);

    // Each row starts with its filter: none.
    let mut row = vec![0];
    for column in 0..SIDE {
        row.extend_from_slice(&[u8::try_from(column * 4).unwrap_or(u8::MAX), 160, 96]);
    }
    let pixels = row.repeat(usize::try_from(SIDE).unwrap_or_default());

    let mut image = b"\x89PNG\r\n\x1a\n".to_vec();
    chunk(&mut image, *b"IHDR", &header);
    chunk(&mut image, *b"IDAT", &deflated(&pixels));
    chunk(&mut image, *b"IEND", &[]);
    image
}

fn chunk(image: &mut Vec<u8>, kind: [u8; 4], data: &[u8]) {
    let mut crc = Crc::new();
    crc.update(&kind);
    crc.update(data);
    image.extend_from_slice(&u32::try_from(data.len()).unwrap_or_default().to_be_bytes());
    image.extend_from_slice(&kind);
    image.extend_from_slice(data);
    image.extend_from_slice(&crc.sum().to_be_bytes());
}

/// `data` in zlib's format: what PNG wants, and HTTP calls `deflate`.
pub(crate) fn deflated(data: &[u8]) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
    // Writing to a Vec cannot fail.
    let _ = encoder.write_all(data);
    encoder.finish().unwrap_or_default()
}
