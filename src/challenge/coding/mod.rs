//! Decodes coded bodies for the look: never more than is looked at, in at most 1 MiB of memory. A bomb is no more than its
//! first bytes, and a broken body ends where it breaks.

mod brotli;
mod inflate;
mod sink;
mod zstd;

use std::{cell::Cell, fmt};

use http::{HeaderMap, header};

use self::{brotli::Brotli, inflate::Inflate, zstd::Zstd};
use crate::challenge::Verdict;

/// How a body is coded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Coding {
    Identity,
    Gzip,
    Deflate,
    Brotli,
    Zstd,
    /// A coding that is not decoded here, or several at once.
    Unknown,
}

impl Coding {
    pub(super) fn of(headers: &HeaderMap) -> Self {
        let mut coding = Self::Identity;
        for value in headers.get_all(header::CONTENT_ENCODING) {
            for name in value.as_bytes().split(|byte| *byte == b',') {
                let found = Self::named(name.trim_ascii());
                coding = match (coding, found) {
                    (coding, Self::Identity) => coding,
                    (Self::Identity, found) => found,
                    _ => return Self::Unknown,
                };
            }
        }
        coding
    }

    fn named(name: &[u8]) -> Self {
        let is = |other: &str| name.eq_ignore_ascii_case(other.as_bytes());
        if name.is_empty() || is("identity") {
            Self::Identity
        } else if is("gzip") || is("x-gzip") {
            Self::Gzip
        } else if is("deflate") {
            Self::Deflate
        } else if is("br") {
            Self::Brotli
        } else if is("zstd") {
            Self::Zstd
        } else {
            Self::Unknown
        }
    }
}

/// Decodes a body as it arrives.
pub(super) enum Decoder {
    Inflate(Box<Inflate>),
    Brotli(Box<Brotli>),
    Zstd(Box<Zstd>),
}

/// The decoders a thread keeps for its next body: making one costs more than the look itself.
struct Kept {
    inflate: Cell<Option<Box<Inflate>>>,
    brotli: Cell<Option<Box<Brotli>>>,
}

thread_local! {
    static KEPT: Kept = const {
        Kept { inflate: Cell::new(None), brotli: Cell::new(None) }
    };
}

/// A decoder this thread keeps, or a new one.
fn kept<D: Default>(slot: impl FnOnce(&Kept) -> &Cell<Option<Box<D>>>) -> Box<D> {
    let kept = KEPT.try_with(|kept| slot(kept).take()).ok().flatten();
    kept.unwrap_or_default()
}

impl Decoder {
    /// A decoder for this coding, at the start of a body; `None` where there is nothing to decode.
    pub(super) fn start(coding: Coding) -> Option<Self> {
        match coding {
            Coding::Identity | Coding::Unknown => None,
            Coding::Gzip | Coding::Deflate => {
                let mut inflate = kept(|kept| &kept.inflate);
                inflate.start(coding == Coding::Gzip);
                Some(Self::Inflate(inflate))
            }
            Coding::Brotli => {
                let mut brotli = kept(|kept| &kept.brotli);
                brotli.start();
                Some(Self::Brotli(brotli))
            }
            Coding::Zstd => Some(Self::Zstd(Box::default())),
        }
    }

    /// Decodes, handing pieces to `sink` until it decides or the bytes are used up.
    pub(super) fn push(&mut self, bytes: &[u8], sink: impl FnMut(&[u8]) -> Verdict) -> Verdict {
        match self {
            Self::Inflate(inflate) => inflate.push(bytes, sink),
            Self::Brotli(brotli) => brotli.push(bytes, sink),
            Self::Zstd(zstd) => zstd.push(bytes, sink),
        }
    }

    /// Decodes what was held back until more bytes came, for none will.
    pub(super) fn finish(&mut self, sink: impl FnMut(&[u8]) -> Verdict) -> Verdict {
        match self {
            Self::Inflate(_) | Self::Zstd(_) => Verdict::More,
            Self::Brotli(brotli) => brotli.finish(sink),
        }
    }

    /// Whether nothing more will come out.
    pub(super) fn is_over(&self) -> bool {
        match self {
            Self::Inflate(inflate) => inflate.is_over(),
            Self::Brotli(brotli) => brotli.is_over(),
            Self::Zstd(zstd) => zstd.is_over(),
        }
    }

    /// Leaves the decoder to this thread. A thread that ends keeps nothing.
    pub(super) fn keep(self) {
        let _ = KEPT.try_with(|kept| match self {
            Self::Inflate(inflate) => kept.inflate.set(Some(inflate)),
            Self::Brotli(mut brotli) => {
                if brotli.clear() {
                    kept.brotli.set(Some(brotli));
                }
            }
            // It makes its tables anew for each body.
            Self::Zstd(_) => {}
        });
    }
}

impl fmt::Debug for Decoder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Inflate(_) => "Inflate",
            Self::Brotli(_) => "Brotli",
            Self::Zstd(_) => "Zstd",
        })
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::io::Write;

    use flate2::{
        Compression,
        write::{DeflateEncoder, GzEncoder, ZlibEncoder},
    };
    use proptest::prelude::*;

    use super::*;
    use crate::challenge::LOOK;

    const CODINGS: [(&str, Coding); 4] = [
        ("gzip", Coding::Gzip),
        ("deflate", Coding::Deflate),
        ("br", Coding::Brotli),
        ("zstd", Coding::Zstd),
    ];

    /// `body` in this coding, as servers send it: `choice` stands for their settings.
    pub(crate) fn coded(coding: &str, choice: u32, body: &[u8]) -> Vec<u8> {
        let level = Compression::new(choice % 10);
        match coding {
            "gzip" => {
                let mut encoder = GzEncoder::new(Vec::new(), level);
                encoder.write_all(body).unwrap();
                encoder.finish().unwrap()
            }
            "deflate" if choice.is_multiple_of(2) => {
                let mut encoder = ZlibEncoder::new(Vec::new(), level);
                encoder.write_all(body).unwrap();
                encoder.finish().unwrap()
            }
            "deflate" => {
                // Blocks that are not coded in front of those that are.
                let stored = body.len().min(choice as usize / 10 % 300);
                let (stored, rest) = body.split_at(stored);
                let mut out = Vec::new();
                for part in stored.chunks(97) {
                    let len = part.len() as u16;
                    out.push(0);
                    out.extend(len.to_le_bytes());
                    out.extend((!len).to_le_bytes());
                    out.extend(part);
                }
                let mut encoder = DeflateEncoder::new(out, level);
                encoder.write_all(rest).unwrap();
                encoder.finish().unwrap()
            }
            "br" => br(choice % 12, 10 + choice / 12 % 14, choice / 7 % 3, body),
            "zstd" => {
                let mut encoder =
                    ::zstd::stream::Encoder::new(Vec::new(), (choice % 23) as i32 - 3).unwrap();
                encoder.include_checksum(choice.is_multiple_of(3)).unwrap();
                if !choice.is_multiple_of(5) {
                    encoder.window_log(10 + choice / 5 % 14).unwrap();
                }
                if choice.is_multiple_of(2) {
                    encoder
                        .set_pledged_src_size(Some(body.len() as u64))
                        .unwrap();
                }
                let part = [usize::MAX, 300, 5000][choice as usize / 2 % 3].min(body.len().max(1));
                for part in body.chunks(part) {
                    encoder.write_all(part).unwrap();
                    if choice.is_multiple_of(7) {
                        encoder.flush().unwrap();
                    }
                }
                encoder.finish().unwrap()
            }
            _ => body.to_vec(),
        }
    }

    pub(crate) fn br(quality: u32, window: u32, flush: u32, body: &[u8]) -> Vec<u8> {
        let mut coded = Vec::new();
        let mut encoder = ::brotli::CompressorWriter::new(&mut coded, 4096, quality, window);
        let part = [usize::MAX, 300, 5000][flush as usize].min(body.len().max(1));
        for part in body.chunks(part) {
            encoder.write_all(part).unwrap();
            if flush > 0 {
                encoder.flush().unwrap();
            }
        }
        drop(encoder);
        coded
    }

    /// What comes out of a body that arrives in such pieces, and whether it was over.
    fn decoded(coding: Coding, mut body: &[u8], sizes: &[usize]) -> Vec<u8> {
        let mut decoder = Decoder::start(coding).unwrap();
        let mut out = Vec::new();
        let mut sink = |plain: &[u8]| {
            out.extend_from_slice(plain);
            match out.len() >= LOOK.into() {
                true => Verdict::Clean,
                false => Verdict::More,
            }
        };
        let mut sizes = sizes.iter().cycle();
        let mut verdict = Verdict::More;
        while !body.is_empty() && verdict == Verdict::More && !decoder.is_over() {
            let size = sizes.next().map_or(1, |size| *size).min(body.len());
            let (piece, rest) = body.split_at(size);
            verdict = decoder.push(piece, &mut sink);
            body = rest;
        }
        if verdict == Verdict::More {
            decoder.finish(&mut sink);
        }
        decoder.keep();
        out.truncate(LOOK.into());
        out
    }

    /// Bodies of all sorts: JSON with many repetitions, text, noise, long runs.
    pub(crate) fn plain() -> impl Strategy<Value = Vec<u8>> {
        let part = prop_oneof![
            3 => "[ -~]{0,40}".prop_map(String::into_bytes),
            1 => prop::collection::vec(any::<u8>(), 0..600),
            1 => (any::<u8>(), 0..9000_usize).prop_map(|(byte, len)| vec![byte; len]),
            2 => (0..400_u32, 0..40_u32).prop_map(|(from, len)| {
                (from..from + len)
                    .map(|at| format!("{{\"attributes\":{{\"OBJECTID\":{at},\"NAME\":\"Road {}\"}}}},", at * at))
                    .collect::<String>()
                    .into_bytes()
            }),
        ];
        prop::collection::vec(part, 0..12).prop_map(|parts| parts.concat())
    }

    proptest! {
        #[test]
        fn what_was_encoded_comes_out_up_to_the_look(
            body in plain(),
            which in 0..CODINGS.len(),
            choice: u32,
            sizes in prop::collection::vec(1_usize..900, 1..5),
        ) {
            let (name, coding) = CODINGS[which];
            let coded = coded(name, choice, &body);
            // Beyond this the coded body is not looked at, and a block of zstd is decoded whole.
            prop_assume!(coded.len() <= LOOK.into());
            let expected = &body[..body.len().min(LOOK.into())];
            prop_assert!(decoded(coding, &coded, &[usize::MAX]) == expected, "{} whole", name);
            prop_assert!(decoded(coding, &coded, &sizes) == expected, "{} in pieces", name);
        }

        #[test]
        fn broken_data_end_at_the_same_byte_however_they_arrive(
            body in plain(),
            which in 0..CODINGS.len(),
            choice: u32,
            sizes in prop::collection::vec(1_usize..900, 1..5),
            breaks in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
            noise in prop::option::weighted(0.2, prop::collection::vec(any::<u8>(), 0..300)),
        ) {
            let (name, coding) = CODINGS[which];
            let mut coded = coded(name, choice, &body);
            for (at, byte) in breaks {
                if !coded.is_empty() {
                    let at = at.index(coded.len().min(400));
                    coded[at] = byte;
                }
            }
            coded.extend(noise.unwrap_or_default());
            let whole = decoded(coding, &coded, &[usize::MAX]);
            prop_assert!(decoded(coding, &coded, &[1]) == whole, "{} byte by byte", name);
            prop_assert!(decoded(coding, &coded, &sizes) == whole, "{} in pieces", name);
        }
    }
}
