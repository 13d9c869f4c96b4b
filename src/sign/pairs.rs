//! `token=…` among the pairs of a query or of a form: found in any spelling, and taken out or replaced.

use http::Uri;

use crate::url::Decoded;

/// What a request's query has of `token` parameters. Looked for once, and handed to the signing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum QueryToken {
    None,
    /// Nothing but empty ones.
    Empty,
    /// A token of the caller's own.
    Present,
}

impl QueryToken {
    #[inline]
    pub(crate) fn of(uri: &Uri) -> Self {
        match uri.query() {
            Some(query) if may_hold_token(query.as_bytes()) => Self::among_pairs(query.as_bytes()),
            _ => Self::None,
        }
    }

    fn among_pairs(query: &[u8]) -> Self {
        let mut found = Self::None;
        for pair in token_pairs(query) {
            if !pair.is_empty {
                return Self::Present;
            }
            found = Self::Empty;
        }
        found
    }
}

/// A pair whose name is `token`, in any case and however percent-encoded.
#[derive(Clone, Copy, Debug)]
pub(super) struct TokenPair {
    pub(super) start: usize,
    pub(super) end: usize,
    /// An empty token is none.
    pub(super) is_empty: bool,
}

const NAME: &[u8] = b"token";

/// Whether a name that begins like this may be `token`, percent-encoded or not. Hardly one of ArcGIS's parameters is.
#[inline]
fn begins_like_name(first: u8, second: u8) -> bool {
    let is_plain = matches!(first, b't' | b'T') & matches!(second, b'o' | b'O' | b'%');
    is_plain | (first == b'%')
}

/// Whether any pair may be a `token`. Every byte is looked at, many at once: that costs a quarter of going from pair to pair.
#[inline]
fn may_hold_token(text: &[u8]) -> bool {
    // What `t`, `T` and `%` have in common, and few of the letters that ArcGIS's parameters begin with: one comparison in place
    // of three.
    const ALIKE: u8 = 0b1000_1110;
    let may_begin = |first: u8, _| (first & ALIKE) ^ (b't' & ALIKE);
    any_begins(text, may_begin) && has_name_like_token(text)
}

/// The same, by two letters: `transparent` and `dpi` are in the URL of every map image.
#[inline(never)]
fn has_name_like_token(text: &[u8]) -> bool {
    any_begins(text, |first, second| {
        u8::from(!begins_like_name(first, second))
    })
}

/// Whether a pair begins with two bytes for which `differs` is zero.
#[inline]
fn any_begins(text: &[u8], differs: impl Fn(u8, u8) -> u8) -> bool {
    /// So many bytes are looked at at once.
    const CHUNK: usize = 32;
    let [first, second, ..] = *text else {
        return false;
    };
    if differs(first, second) == 0 {
        return true;
    }
    let length = text.len() - 2;
    let (before, first, second) = (&text[..length], &text[1..][..length], &text[2..]);
    let begins =
        |((before, first), second): ((&u8, &u8), &u8)| (before ^ b'&') | differs(*first, *second);
    if length < CHUNK {
        let mut each = before.iter().zip(first).zip(second);
        return each.any(|bytes| begins(bytes) == 0);
    }
    // The least of each place in the chunks: zero where a pair begins.
    let mut least = [u8::MAX; CHUNK];
    let mut look = |before: &[u8], first: &[u8], second: &[u8]| {
        for (least, bytes) in least.iter_mut().zip(before.iter().zip(first).zip(second)) {
            *least = (*least).min(begins(bytes));
        }
    };
    // The last chunk overlaps the one before it: byte by byte, what is left would cost as much as all the rest.
    let last = length - CHUNK;
    look(&before[last..], &first[last..], &second[last..]);
    let chunks = before.chunks_exact(CHUNK).zip(first.chunks_exact(CHUNK));
    for ((before, first), second) in chunks.zip(second.chunks_exact(CHUNK)) {
        look(before, first, second);
    }
    least.into_iter().min() == Some(0)
}

/// All `token` pairs of a query or form, first to last.
#[inline]
pub(super) fn token_pairs(text: &[u8]) -> TokenPairs<'_> {
    let next = if may_hold_token(text) { 0 } else { text.len() };
    TokenPairs { text, next }
}

pub(super) struct TokenPairs<'a> {
    text: &'a [u8],
    /// Where the next pair starts; behind the text where there is none.
    next: usize,
}

impl Iterator for TokenPairs<'_> {
    type Item = TokenPair;

    #[inline]
    fn next(&mut self) -> Option<TokenPair> {
        while let Some([first, second, ..]) = self.text.get(self.next..) {
            let start = self.next;
            let length = memchr::memchr(b'&', &self.text[start..]);
            self.next = length.map_or(self.text.len(), |length| start + length + 1);
            if begins_like_name(*first, *second) {
                let end = length.map_or(self.text.len(), |length| start + length);
                if let Some(pair) = token_pair(self.text, start, end) {
                    return Some(pair);
                }
            }
        }
        None
    }
}

#[cold]
fn token_pair(text: &[u8], start: usize, end: usize) -> Option<TokenPair> {
    let pair = &text[start..end];
    let name_length = memchr::memchr(b'=', pair).unwrap_or(pair.len());
    is_name(&pair[..name_length]).then_some(TokenPair {
        start,
        end,
        is_empty: name_length + 1 >= pair.len(),
    })
}

fn is_name(name: &[u8]) -> bool {
    if name.len() == NAME.len() {
        return name.eq_ignore_ascii_case(NAME);
    }
    memchr::memchr(b'%', name).is_some() && Decoded::of(name).as_bytes().eq_ignore_ascii_case(NAME)
}

/// Gives out the text without its `token` pairs, piece by piece; `new` stands where the first one was, or at the end. All
/// other text stays byte for byte.
pub(super) fn rewrite<'a>(text: &'a [u8], new: Option<&'a [u8]>, mut piece: impl FnMut(&'a [u8])) {
    let mut new = new;
    let mut copied = 0;
    for pair in token_pairs(text) {
        match new.take() {
            Some(new) => {
                piece(&text[copied..pair.start]);
                piece(new);
                copied = pair.end;
            }
            // Taken out with the `&` before it, or, where nothing stands before it, with the one behind.
            None if pair.start > copied => {
                piece(&text[copied..pair.start - 1]);
                copied = pair.end;
            }
            None => copied = (pair.end + 1).min(text.len()),
        }
    }
    piece(&text[copied..]);
    if let Some(new) = new {
        if !matches!(text.last(), None | Some(b'&')) {
            piece(b"&");
        }
        piece(new);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn rewritten(text: &str, new: Option<&str>) -> String {
        let mut result = Vec::new();
        rewrite(text.as_bytes(), new.map(str::as_bytes), |piece| {
            result.extend_from_slice(piece);
        });
        String::from_utf8(result).unwrap()
    }

    #[test]
    fn the_name_is_found_in_any_spelling() {
        for text in [
            "token=x",
            "Token=x",
            "TOKEN=x",
            "%74oken=x",
            "%54OKEN=x",
            "tok%65n=x",
            "%2574oken=x",
            "%74%6f%6B%65%6E=x",
            "f=json&token=x",
            "&&token=x&",
        ] {
            let pairs: Vec<_> = token_pairs(text.as_bytes()).collect();
            assert_eq!(pairs.len(), 1, "{text}");
            assert!(!pairs[0].is_empty, "{text}");
        }
        for text in ["token=", "TOKEN", "%74oken=", "f=json&token=&x=1"] {
            let pairs: Vec<_> = token_pairs(text.as_bytes()).collect();
            assert_eq!(pairs.len(), 1, "{text}");
            assert!(pairs[0].is_empty, "{text}");
        }
        for text in [
            "",
            "&",
            "tokens=x",
            "mytoken=x",
            "x=token=y",
            "toke=x",
            "+token=x",
            "token+=x",
            "%=x",
            "t%6fken2=x",
            "where=token%3Dx",
        ] {
            assert_eq!(token_pairs(text.as_bytes()).count(), 0, "{text}");
        }
    }

    #[test]
    fn a_pair_is_taken_out_replaced_or_appended() {
        for (text, without, with) in [
            ("", "", "N"),
            ("token=x", "", "N"),
            ("token=x&f=json", "f=json", "N&f=json"),
            ("f=json&Token=x", "f=json", "f=json&N"),
            ("a=1&token=x&b=2", "a=1&b=2", "a=1&N&b=2"),
            ("token=x&token=&f=json", "f=json", "N&f=json"),
            ("a&token=x&token=y", "a", "a&N"),
            ("token=x&a&token=y&b", "a&b", "N&a&b"),
            ("a=1&&b=%20", "a=1&&b=%20", "a=1&&b=%20&N"),
            ("f=json&", "f=json&", "f=json&N"),
        ] {
            assert_eq!(rewritten(text, None), without, "{text}");
            assert_eq!(rewritten(text, Some("N")), with, "{text}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(1000))]

        #[test]
        fn what_is_left_has_no_token_and_all_else(
            pairs in prop::collection::vec("(token|TOKEN|%74oken|%u0074oken|t%6fken|T%4FKEN|tokens|transparent|to|t|dpi|f|%|)(=[xy&%]{0,2})?", 0..12)
        ) {
            let text = pairs.join("&");
            let is_token = |pair: &&str| token_pairs(pair.as_bytes()).next().is_some();
            let tokens = text.split('&').filter(is_token).count();
            prop_assert_eq!(token_pairs(text.as_bytes()).count(), tokens, "{}", text);
            prop_assert!(tokens == 0 || may_hold_token(text.as_bytes()), "{}", text);
            let others: Vec<&str> = text.split('&').filter(|pair| !is_token(pair)).collect();
            let without = rewritten(&text, None);
            prop_assert_eq!(token_pairs(without.as_bytes()).count(), 0, "{} became {}", text, without);
            prop_assert_eq!(&without, &others.join("&"), "{}", text);
            let with = rewritten(&text, Some("token=N"));
            prop_assert_eq!(token_pairs(with.as_bytes()).count(), 1, "{} became {}", text, with);
        }
    }
}
