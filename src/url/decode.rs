//! Percent-decoding to the fixed point: what a text says once each server on its way has decoded it once more.
//!
//! Known encodings are `%41`, `%u0041` (IIS), UTF-8 that is longer than it need be (`%c0%ae` for a dot) and full-width
//! letters, which Windows maps to plain ones.

/// A text with its encodings resolved, however often and in whatever mixture they were applied, in one pass: each byte,
/// and where it began in the text.
#[derive(Debug)]
pub(crate) struct Decoded {
    bytes: Vec<u8>,
    /// Where each byte began; one more for the end of the text.
    starts: Vec<usize>,
}

/// What an encoding stands for.
enum Character {
    Byte(u8),
    Wide(char),
}

impl Decoded {
    pub(crate) fn of(text: &[u8]) -> Self {
        let mut decoded = Self {
            bytes: Vec::with_capacity(text.len()),
            starts: Vec::with_capacity(text.len() + 1),
        };
        for (at, byte) in text.iter().enumerate() {
            decoded.push(*byte, at);
        }
        decoded.starts.push(text.len());
        decoded
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub(crate) fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    /// Where the byte at `at` began in the text; its length for the end.
    pub(crate) fn start_of(&self, at: usize) -> usize {
        self.starts.get(at).copied().unwrap_or_default()
    }

    /// No encoding overlaps another, so the fixed point does not depend on the order of resolving. Resolving each as soon
    /// as its last byte is there takes time in proportion to the text, where decoding it again and again would take the
    /// square of that.
    fn push(&mut self, mut byte: u8, mut start: usize) {
        loop {
            self.bytes.push(byte);
            self.starts.push(start);
            let Some((length, character)) = last_encoding(&self.bytes) else {
                return;
            };
            let from = self.bytes.len() - length;
            start = self.start_of(from);
            self.bytes.truncate(from);
            self.starts.truncate(from);
            match character {
                Character::Byte(resolved) => byte = resolved,
                Character::Wide(resolved) => {
                    let mut buffer = [0; 4];
                    let resolved = resolved.encode_utf8(&mut buffer).as_bytes();
                    self.bytes.extend_from_slice(resolved);
                    self.starts.resize(self.bytes.len(), start);
                    return;
                }
            }
        }
    }
}

/// The encoding that the text ends with: its length, and what it stands for.
fn last_encoding(text: &[u8]) -> Option<(usize, Character)> {
    let byte = |length, byte| Some((length, Character::Byte(byte)));
    if let [.., b'%', high, low] = *text {
        return escaped(high, low).and_then(|resolved| byte(3, resolved));
    }
    match *text {
        [.., b'%', b'u' | b'U', a, b, c, d] => {
            let code = [escaped(a, b)?, escaped(c, d)?];
            Some((6, character(u32::from(u16::from_be_bytes(code)))))
        }
        [.., lead @ (0xc0 | 0xc1), last @ 0x80..=0xbf] => byte(2, lead << 6 | last & 0x3f),
        [.., 0xe0, middle @ (0x80 | 0x81), last @ 0x80..=0xbf]
        | [.., 0xf0, 0x80, middle @ (0x80 | 0x81), last @ 0x80..=0xbf] => {
            let length = if text.ends_with(&[0xe0, middle, last]) {
                3
            } else {
                4
            };
            byte(length, middle << 6 | last & 0x3f)
        }
        [.., 0xef, 0xbc, last @ 0x81..=0xbf] => byte(3, last - 0x81 + b'!'),
        [.., 0xef, 0xbd, last @ 0x80..=0x9e] => byte(3, last - 0x80 + b'`'),
        _ => None,
    }
}

fn character(code: u32) -> Character {
    let character = char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER);
    match (u8::try_from(code), character) {
        (Ok(byte @ 0..=0x7f), _) => Character::Byte(byte),
        // The full-width forms of `!` to `~` stand in the same order.
        (_, '\u{ff01}'..='\u{ff5e}') => {
            let plain = code - 0xff01 + u32::from(b'!');
            u8::try_from(plain).map_or(Character::Wide(character), Character::Byte)
        }
        _ => Character::Wide(character),
    }
}

/// The byte that these two digits behind a `%` stand for; `None` where one is no digit.
pub(super) fn escaped(high: u8, low: u8) -> Option<u8> {
    let digit = |digit: u8| char::from(digit).to_digit(16);
    u8::try_from(digit(high)? << 4 | digit(low)?).ok()
}

#[cfg(test)]
mod tests {
    use percent_encoding::percent_decode;
    use proptest::prelude::*;

    use super::*;

    fn decoded(text: &str) -> String {
        String::from_utf8_lossy(Decoded::of(text.as_bytes()).as_bytes()).into_owned()
    }

    #[test]
    fn encodings_are_resolved_however_often_and_in_whatever_mixture() {
        for (text, plain) in [
            ("", ""),
            ("plain", "plain"),
            ("100%", "100%"),
            ("%zz%4", "%zz%4"),
            ("%41", "A"),
            ("%2541", "A"),
            ("%25252525252541", "A"),
            ("%25%34%31", "A"),
            ("%2%35%341", "A"),
            ("%%34%31", "A"),
            ("%u0041", "A"),
            ("%U002e%u002E", ".."),
            ("%25u0041", "A"),
            ("%u00e9", "é"),
            ("%c3%a9", "é"),
            ("%c0%ae%c0%af", "./"),
            ("%c1%9c", "\\"),
            ("%e0%80%ae", "."),
            ("%f0%80%80%ae", "."),
            ("%ef%bc%8e%uff0f", "./"),
            ("ｔｏｋｅｎｓ", "tokens"),
            ("%ud800", "\u{fffd}"),
        ] {
            assert_eq!(decoded(text), plain, "{text}");
        }
    }

    #[test]
    fn each_byte_knows_where_it_began() {
        let text = decoded_starts("a%2541b");
        assert_eq!(text, (b"aAb".to_vec(), vec![0, 1, 6, 7]));
    }

    fn decoded_starts(text: &str) -> (Vec<u8>, Vec<usize>) {
        let decoded = Decoded::of(text.as_bytes());
        (decoded.bytes, decoded.starts)
    }

    #[test]
    fn a_hostile_text_takes_no_longer_than_its_length() {
        let nested = format!("%{}41", "25".repeat(30_000));
        assert_eq!(decoded(&nested), "A");
        let pending = format!("{}33", "%3".repeat(30_000));
        assert_eq!(decoded(&pending), "33");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(1000))]

        #[test]
        fn it_is_what_decoding_again_and_again_comes_to(text in "(%|%|%|2|5|4|1|2e|2E|/|\\.){0,24}") {
            let mut slow = text.clone().into_bytes();
            loop {
                let once: Vec<u8> = percent_decode(&slow).collect();
                if once == slow {
                    break;
                }
                slow = once;
            }
            // `%U` begins an encoding that `percent-encoding` does not know.
            prop_assume!(memchr::memmem::find(&slow, b"%U").is_none());
            let fast = Decoded::of(text.as_bytes());
            prop_assert_eq!(fast.as_bytes(), &slow[..]);
            prop_assert_eq!(fast.start_of(fast.as_bytes().len()), text.len());
        }
    }
}
