//! The segments of a path as a server names its resources by them: decoded, without what servers drop.

use crate::url::decode::Decoded;

/// One segment of a path.
#[derive(Clone, Copy, Debug)]
pub(super) struct Segment<'a> {
    pub(super) name: &'a [u8],
    /// Servers disagree about what this segment is: it has path parameters, which some cut off before they decode and
    /// others behind, or it leads upwards.
    pub(super) is_doubtful: bool,
    /// Servers may leave the folder before it here.
    pub(super) leads_upwards: bool,
}

impl Segment<'_> {
    /// Whether some server takes the segment for this name, of plain letters.
    pub(super) fn is(&self, name: &str) -> bool {
        self.name.eq_ignore_ascii_case(name.as_bytes())
            || (!self.name.is_ascii() && plain_letters(self.name).eq_ignore_ascii_case(name))
    }
}

/// The name with plain letters for those that Java compares to them as if they were such: the Kelvin sign, the long s, the
/// Turkish i's.
fn plain_letters(name: &[u8]) -> String {
    String::from_utf8_lossy(name)
        .chars()
        .map(|letter| match letter {
            '\u{212a}' => 'k',
            '\u{17f}' => 's',
            '\u{130}' | '\u{131}' => 'i',
            letter => letter,
        })
        .collect()
}

/// The segments of a path that needs no decoding, or is decoded already. Empty ones and `.` are left out. The path ends
/// where a query or a fragment would begin.
pub(super) fn segments(path: &[u8]) -> impl Iterator<Item = Segment<'_>> + Clone {
    let end = memchr::memchr2(b'?', b'#', path).unwrap_or(path.len());
    path[..end]
        .split(|byte| matches!(byte, b'/' | b'\\'))
        .map(|segment| {
            // Servlet containers cut off path parameters, C code what is behind a NUL.
            let end = memchr::memchr2(b';', 0, segment).unwrap_or(segment.len());
            let name = &segment[..end];
            Segment {
                name: without_padding(name),
                is_doubtful: segment.get(end) == Some(&b';') || name.starts_with(b".."),
                // `..a` is a name.
                leads_upwards: name.starts_with(b"..")
                    && !name.iter().any(u8::is_ascii_alphanumeric),
            }
        })
        .filter(|segment| !segment.name.is_empty() || segment.is_doubtful)
}

/// Windows opens `tokens. ` for `tokens`.
fn without_padding(name: &[u8]) -> &[u8] {
    let is_padding = |byte: &u8| *byte <= b' ' || *byte == 0x7f;
    let start = name.iter().position(|byte| !is_padding(byte));
    let end = name
        .iter()
        .rposition(|byte| !is_padding(byte) && *byte != b'.');
    match (start, end) {
        (Some(start), Some(end)) => name.get(start..=end).unwrap_or_default(),
        _ => &[],
    }
}

/// Whether decoding changes nothing of the path's segments. True for nearly all requests.
pub(super) fn is_plain(path: &[u8]) -> bool {
    path.iter().enumerate().all(|(at, byte)| match byte {
        b'/' => path.get(at + 1) != Some(&b'/'),
        b'.' => at > 0 && path[at - 1] != b'/' && !matches!(path.get(at + 1), None | Some(b'/')),
        b'%' | b';' | b'\\' | b'?' | b'#' => false,
        byte => byte.is_ascii_graphic(),
    })
}

/// The path as a server has it that decodes before it cuts off path parameters.
pub(super) fn decoded(path: &[u8]) -> Vec<u8> {
    Decoded::of(path).into_bytes()
}

/// The path as a server has it that cuts off path parameters before it decodes; `None` where that is no other.
pub(super) fn decoded_without_parameters(path: &[u8]) -> Option<Vec<u8>> {
    memchr::memchr(b';', path)?;
    let mut rest = Vec::with_capacity(path.len());
    for segment in path.split(|byte| *byte == b'/') {
        let end = memchr::memchr(b';', segment).unwrap_or(segment.len());
        rest.push(b'/');
        rest.extend_from_slice(&segment[..end]);
    }
    Some(decoded(&rest))
}

/// A decoded path as a server has it that resolves what leads upwards; `None` where nothing does.
pub(super) fn resolved(decoded: &[u8]) -> Option<Vec<u8>> {
    if !segments(decoded).any(|segment| segment.leads_upwards) {
        return None;
    }
    let mut names: Vec<&[u8]> = Vec::new();
    for segment in segments(decoded) {
        if segment.leads_upwards {
            names.pop();
        } else {
            names.push(segment.name);
        }
    }
    let mut path = Vec::with_capacity(decoded.len());
    for name in names {
        path.push(b'/');
        path.extend_from_slice(name);
    }
    Some(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(path: &str) -> Vec<String> {
        let decoded = decoded(path.as_bytes());
        segments(&decoded)
            .map(|segment| String::from_utf8_lossy(segment.name).into_owned())
            .collect()
    }

    #[test]
    fn what_servers_drop_is_left_out() {
        for path in [
            "/rest/info",
            "rest/info",
            "/rest/info/",
            "//rest///info",
            "/./rest/./info",
            "/rest;a=1/info;b",
            "/rest%2Finfo",
            "\\rest%5cinfo",
            "/rest/info%00x",
            "/rest./info%20",
            "/rest/info?f=json",
            "/rest/info%3Ff=json",
            "/rest/info%23x",
        ] {
            assert_eq!(names(path), ["rest", "info"], "{path}");
        }
    }
}
