//! HTML and XML cut into tags and text.

use std::borrow::Cow;

use crate::challenge::{ends_with, starts_with};

/// Elements of HTML that hold no elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Raw {
    Title,
    Script,
    Other(&'static str),
}

/// A piece of a document.
#[derive(Clone, Copy, Debug)]
pub(super) enum Piece<'a> {
    Open(Tag<'a>),
    /// The name in an end tag.
    Close(&'a [u8]),
    Text(&'a [u8]),
    /// Text in which nothing is escaped.
    Verbatim(&'a [u8]),
    Raw(Raw, &'a [u8]),
    Declaration,
    Comment,
}

impl Raw {
    pub(super) fn of(name: &[u8]) -> Option<Self> {
        if name.eq_ignore_ascii_case(b"title") {
            return Some(Self::Title);
        }
        if name.eq_ignore_ascii_case(b"script") {
            return Some(Self::Script);
        }
        ["style", "textarea", "xmp", "iframe", "noembed", "noframes"]
            .into_iter()
            .find(|raw| name.eq_ignore_ascii_case(raw.as_bytes()))
            .map(Self::Other)
    }

    pub(super) fn name(self) -> &'static [u8] {
        match self {
            Self::Title => b"title",
            Self::Script => b"script",
            Self::Other(name) => name.as_bytes(),
        }
    }
}

/// The piece that starts at `start`, and where it ends; `None` while that cannot be told. At the end
/// of the document text is complete, and nothing else is.
pub(super) fn piece(
    buf: &[u8],
    start: usize,
    raw: Option<Raw>,
    ended: bool,
) -> Option<(Piece<'_>, usize)> {
    let rest = buf.get(start..)?;
    if rest.is_empty() {
        return None;
    }
    if let Some(raw) = raw {
        let len = raw_len(rest, raw.name())?;
        return Some((Piece::Raw(raw, &rest[..len]), start + len));
    }
    let until = |prefix: &[u8], suffix: &[u8]| {
        let body = rest.get(prefix.len()..)?;
        let len = memchr::memmem::find(body, suffix)?;
        Some((&body[..len], start + prefix.len() + len + suffix.len()))
    };
    let comes = |prefix: &[u8]| starts_with(rest, prefix);
    // Too short to tell a comment from a declaration.
    let open = |prefix: &[u8]| rest.len() < prefix.len() && starts_with(prefix, rest);

    match *rest {
        [b'<'] => None,
        _ if open(b"<!--") || open(b"<![CDATA[") => None,
        _ if comes(b"<!--") => until(b"<!--", b"-->").map(|(_, end)| (Piece::Comment, end)),
        _ if comes(b"<![CDATA[") => {
            until(b"<![CDATA[", b"]]>").map(|(text, end)| (Piece::Verbatim(text), end))
        }
        [b'<', b'?', ..] => until(b"<?", b">").map(|(_, end)| (Piece::Declaration, end)),
        [b'<', b'!', ..] => until(b"<!", b">").map(|(_, end)| (Piece::Comment, end)),
        [b'<', b'/', ..] => until(b"</", b">").map(|(name, end)| {
            let name = name.split(u8::is_ascii_whitespace).next();
            (Piece::Close(name.unwrap_or_default()), end)
        }),
        [b'<', b'a'..=b'z' | b'A'..=b'Z' | b'_', ..] => {
            let len = tag_len(rest)?;
            let tag = Tag::new(&rest[1..len - 1]);
            Some((Piece::Open(tag), start + len))
        }
        _ => {
            // A `<` that starts nothing is text.
            let skip = usize::from(rest[0] == b'<');
            match memchr::memchr(b'<', &rest[skip..]) {
                Some(len) => Some((Piece::Text(&rest[..skip + len]), start + skip + len)),
                None if ended => Some((Piece::Text(rest), buf.len())),
                None => None,
            }
        }
    }
}

/// The length of an element's text content.
fn raw_len(rest: &[u8], name: &[u8]) -> Option<usize> {
    memchr::memmem::find_iter(rest, b"</").find(|at| {
        let after = rest.get(at + 2..).unwrap_or_default();
        starts_with(after, name)
            && after
                .get(name.len())
                .is_some_and(|byte| byte.is_ascii_whitespace() || matches!(byte, b'>' | b'/'))
    })
}

/// The length of a start tag. A `>` in a quoted value does not end it.
fn tag_len(rest: &[u8]) -> Option<usize> {
    let mut quote = None;
    let mut value = false;
    for (at, &byte) in rest.iter().enumerate() {
        match (quote, byte) {
            (Some(open), _) => {
                if open == byte {
                    quote = None;
                }
            }
            (None, b'>') => return Some(at + 1),
            (None, b'"' | b'\'') if value => {
                quote = Some(byte);
                value = false;
            }
            (None, b'=') => value = true,
            (None, _) => value &= byte.is_ascii_whitespace(),
        }
    }
    None
}

/// A start tag.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tag<'a> {
    pub(super) name: &'a [u8],
    attributes: &'a [u8],
    /// It is its own end.
    pub(super) empty: bool,
}

impl<'a> Tag<'a> {
    fn new(inside: &'a [u8]) -> Self {
        let len = inside
            .iter()
            .position(|byte| byte.is_ascii_whitespace() || *byte == b'/')
            .unwrap_or(inside.len());
        let (name, attributes) = inside.split_at(len);
        Self {
            name,
            attributes,
            empty: ends_with(inside, b"/"),
        }
    }

    /// The name without its namespace prefix.
    pub(super) fn local(&self) -> &'a [u8] {
        local(self.name)
    }

    /// The value of the first attribute of this name, entities resolved.
    pub(super) fn attribute(&self, name: &[u8]) -> Option<Cow<'a, str>> {
        let mut rest = self.attributes;
        loop {
            while let [b'/' | b' ' | b'\t' | b'\r' | b'\n' | 0x0C, tail @ ..] = rest {
                rest = tail;
            }
            if rest.is_empty() {
                return None;
            }
            // A name is never empty: a stray `=` is part of it.
            let len = rest
                .iter()
                .skip(1)
                .position(|byte| byte.is_ascii_whitespace() || matches!(byte, b'=' | b'/'))
                .map_or(rest.len(), |len| len + 1);
            let (key, tail) = rest.split_at(len);
            rest = tail;
            let value = match tail.trim_ascii_start().strip_prefix(b"=") {
                None => &b""[..],
                Some(tail) => {
                    let tail = tail.trim_ascii_start();
                    let (value, tail) = match tail.first() {
                        Some(quote @ (b'"' | b'\'')) => {
                            let text = &tail[1..];
                            let len = memchr::memchr(*quote, text).unwrap_or(text.len());
                            (&text[..len], text.get(len + 1..).unwrap_or_default())
                        }
                        _ => {
                            let len = tail.iter().position(u8::is_ascii_whitespace);
                            tail.split_at(len.unwrap_or(tail.len()))
                        }
                    };
                    rest = tail;
                    value
                }
            };
            if local(key).eq_ignore_ascii_case(name) {
                return Some(unescape(value));
            }
        }
    }
}

/// A name without its namespace prefix.
pub(super) fn local(name: &[u8]) -> &[u8] {
    name.rsplit(|byte| *byte == b':').next().unwrap_or(name)
}

/// Resolves the entities that may stand in a path or a short message.
pub(super) fn unescape(text: &[u8]) -> Cow<'_, str> {
    let text = String::from_utf8_lossy(text);
    if !text.contains('&') {
        return text;
    }
    let mut out = String::with_capacity(text.len());
    let mut rest = &*text;
    while let Some(at) = rest.find('&') {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        let name = rest[1..]
            .find(|char: char| !char.is_ascii_alphanumeric() && char != '#')
            .map_or(&rest[1..], |len| &rest[1..=len]);
        match entity(name) {
            Some(char) => {
                out.push(char);
                rest = &rest[1 + name.len()..];
                rest = rest.strip_prefix(';').unwrap_or(rest);
            }
            None => {
                out.push('&');
                rest = &rest[1..];
            }
        }
    }
    out.push_str(rest);
    Cow::Owned(out)
}

fn entity(name: &str) -> Option<char> {
    if let Some(number) = name.strip_prefix('#') {
        let code = match number.strip_prefix(['x', 'X']) {
            Some(digits) => u32::from_str_radix(digits, 16),
            None => number.parse(),
        };
        return char::from_u32(code.ok()?);
    }
    Some(match name {
        "amp" => '&',
        "lt" => '<',
        "gt" => '>',
        "quot" => '"',
        "apos" => '\'',
        "nbsp" => ' ',
        "sol" => '/',
        "colon" => ':',
        "period" => '.',
        "quest" => '?',
        "equals" => '=',
        _ => return None,
    })
}
