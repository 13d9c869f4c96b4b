//! Paths that some server on the way may take for another than they seem: dots that lead out of a root.

use crate::url::decode::{Decoded, escaped};

/// Whether a path, or the part of it below a root, has a segment that a server may resolve: dots, plain, encoded in any
/// way, or set apart by an encoded or backward slash.
#[inline]
pub(crate) fn has_dot_segments(path: &str) -> bool {
    let path = path.as_bytes();
    !is_unremarkable(path) && may_have_dot_segments(path) && has_decoded_dot_segments(path)
}

/// Whether the path has neither a dot nor an escape, nor anything that is not ASCII. Eight bytes at a time: a path is too
/// short for a search that first asks the processor what it can.
#[inline]
fn is_unremarkable(path: &[u8]) -> bool {
    const EACH: u64 = 0x0101_0101_0101_0101;
    // The high bits of the bytes that may be it: all that are, and of those behind one that is a few more.
    let found = |bytes: &[u8; 8]| {
        let bytes = u64::from_le_bytes(*bytes);
        let zeros = |bytes: u64| bytes.wrapping_sub(EACH) & !bytes;
        let dots = zeros(bytes ^ (EACH * u64::from(b'.')));
        let escapes = zeros(bytes ^ (EACH * u64::from(b'%')));
        (dots | escapes | bytes) & (EACH << 7)
    };
    let Some(last) = path.last_chunk() else {
        return path
            .iter()
            .all(|byte| byte.is_ascii() && !matches!(byte, b'.' | b'%'));
    };
    let mut all = found(last);
    let mut rest = path;
    while let Some((bytes, behind)) = rest.split_first_chunk() {
        all |= found(bytes);
        rest = behind;
    }
    all == 0
}

/// Whether a segment begins with a dot, or an escape could be a dot, a slash or a part of another escape. Tiles end in `.pbf`,
/// and folders have `%20` in their names: a dot or an escape alone is nothing unusual.
fn may_have_dot_segments(path: &[u8]) -> bool {
    let may_be_part = |at: usize| match path[at] {
        b'.' => at == 0 || matches!(path[at - 1], b'/' | b'\\'),
        _ => !is_harmless_escape(path.get(at + 1..at + 3)),
    };
    memchr::memchr2_iter(b'.', b'%', path).any(may_be_part)
        || (!path.is_ascii() && path.iter().any(|byte| begins_other_encoding(*byte)))
}

/// Whether the byte begins an overlong or full-width character.
fn begins_other_encoding(byte: u8) -> bool {
    matches!(byte, 0xc0 | 0xc1 | 0xe0 | 0xef | 0xf0)
}

/// Whether these two digits behind a `%` stand for a byte that is part of no other encoding, and neither a dot nor
/// anything that parts segments.
fn is_harmless_escape(digits: Option<&[u8]>) -> bool {
    let Some([high, low]) = digits else {
        return false;
    };
    escaped(*high, *low).is_some_and(|byte| {
        !matches!(byte, b'%' | b'.' | b'/' | b'\\' | b'?' | b'#') && !begins_other_encoding(byte)
    })
}

fn has_decoded_dot_segments(path: &[u8]) -> bool {
    Decoded::of(path)
        .as_bytes()
        .split(|byte| matches!(byte, b'/' | b'\\' | b'?' | b'#'))
        .any(is_dots)
}

/// Whether a decoded segment may be read as `.` or `..`. Servlet containers cut path parameters off (`..;x`), C code cuts
/// at the NUL (`..%00`), Windows cuts blanks and dots off (`..%20`): a segment that begins with a dot and has neither a
/// letter nor a digit is no folder's name.
fn is_dots(segment: &[u8]) -> bool {
    let end = memchr::memchr2(b';', 0, segment).unwrap_or(segment.len());
    let name = &segment[..end];
    name.first() == Some(&b'.')
        && !String::from_utf8_lossy(name)
            .chars()
            .any(char::is_alphanumeric)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn dots_are_seen_in_every_encoding() {
        for path in [
            "/.",
            "/..",
            "/../x",
            "/x/../y",
            "/%2e%2e/x",
            "/.%2E/x",
            "/x%2F..%2Fy",
            "/x%5C..%5Cy",
            "/x\\..\\y",
            "/..;/x",
            "/..;x=1/y",
            "/..%3bx/y",
            "/..%00",
            "/..%00x/y",
            "/..%20/x",
            "/..%09/x",
            "/.../x",
            "/%252e%252e/x",
            "/%25252525252e%252e/x",
            "/%%32%65./x",
            "/%2%65./x",
            "/%u002e%u002e/x",
            "/%c0%ae%c0%ae/x",
            "/%C0%2e%C0%AE./x/%c0%ae",
            "/..%c0%afx",
            "/..%c0%2fx",
            "/..%ff/x",
            "/%e0%80%ae./x",
            "/%f0%80%80%ae./x",
            "/%uff0e%uff0e/x",
            "/%ef%bc%8e./x",
            "/x%3F/../y",
            "/x%3f..",
        ] {
            assert!(has_dot_segments(path), "{path}");
        }
    }

    #[test]
    fn names_with_dots_in_them_are_names() {
        for path in [
            "",
            "/",
            "/rest/services/Roads/MapServer",
            "/rest/services/a%2Fb/MapServer",
            "/rest/services/.hidden/..data/MapServer",
            "/rest/services/Stra%C3%9Fen%20Nord/VectorTileServer/tile/1/2/3.pbf",
            "/rest/services/%C4%9E/MapServer",
            "/rest/services/100%25/MapServer",
            "/home/signin.html",
            "/x..;y/z",
            "/x./y",
        ] {
            assert!(!has_dot_segments(path), "{path}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(1500))]

        #[test]
        fn what_the_glance_lets_go_has_no_dots_decoded_either(
            path in "(/|\\\\|\\.|%2[eEfF35]|%25|%5c|%3[bBfF]|%00|%20|%c0%ae|%C1%9c|%e0%80%ae|%u002e|%uff0e|%|2|e|5|c|a|;|é|ab|\u{ff0e}){0,10}"
        ) {
            prop_assert_eq!(has_dot_segments(&path), has_decoded_dot_segments(path.as_bytes()), "{}", path);
        }
    }
}
