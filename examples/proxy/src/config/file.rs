//! The file's text, whatever an editor on Windows made of it.

use std::{fs, path::Path};

use crate::config::Problem;

/// Reads UTF-8 and UTF-16, with or without a byte order mark.
pub(super) fn read(path: &Path) -> Result<String, Problem> {
    let bytes =
        fs::read(path).map_err(|error| Problem::of_file(format!("it cannot be read: {error}")))?;
    text(&bytes).ok_or_else(|| {
        Problem::of_file("it is neither UTF-8 nor UTF-16; save it as UTF-8 in your editor")
    })
}

fn text(bytes: &[u8]) -> Option<String> {
    let wide = |bytes: &[u8], unit: fn([u8; 2]) -> u16| {
        let units = bytes.chunks_exact(2).map(|pair| unit([pair[0], pair[1]]));
        char::decode_utf16(units)
            .collect::<Result<String, _>>()
            .ok()
    };
    match bytes {
        [0xff, 0xfe, rest @ ..] => wide(rest, u16::from_le_bytes),
        [0xfe, 0xff, rest @ ..] => wide(rest, u16::from_be_bytes),
        [0xef, 0xbb, 0xbf, rest @ ..] => String::from_utf8(rest.to_vec()).ok(),
        _ => String::from_utf8(bytes.to_vec()).ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn byte_order_marks_are_no_part_of_the_text() {
        for bytes in [
            &b"<a/>"[..],
            b"\xef\xbb\xbf<a/>",
            b"\xff\xfe<\0a\0/\0>\0",
            b"\xfe\xff\0<\0a\0/\0>",
        ] {
            assert_eq!(text(bytes).as_deref(), Some("<a/>"), "{bytes:?}");
        }
        assert_eq!(text(b"\xe4"), None);
    }
}
