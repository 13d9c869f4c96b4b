//! What decoding for the look allocates: no more than a bound, whatever the body, and little or nothing the next time. A binary of
//! its own, because it counts allocations with an allocator of its own.

#[allow(dead_code, reason = "the other tests use the rest")]
#[path = "it/support/received.rs"]
mod received;

use http::header;
use proptest::prelude::*;
use tower_arcgis_auth::Verdict;

use received::{CHALLENGE, CODINGS, Received, coded, features, received};

/// What a look may allocate.
const MAX_ALLOCATED: u64 = 1 << 20;

/// Says that it is coded so.
fn answer(status: u16, coding: &str, body: Vec<u8>) -> Received {
    received(status, body).header(header::CONTENT_ENCODING, coding)
}

/// The verdict of a look on a thread that has no decoder yet, and how much it allocated.
fn first_look(answer: &Received) -> (Verdict, u64) {
    let answer = answer.clone();
    std::thread::spawn(move || {
        let mut verdict = Verdict::More;
        let measured = allocation_counter::measure(|| verdict = answer.verdict());
        (verdict, measured.bytes_total)
    })
    .join()
    .unwrap()
}

/// A block of zstd of a few KiB that says: so many copies of 128 KiB, one after the other.
fn copies_without_end() -> Vec<u8> {
    let mut body = vec![0x28, 0xB5, 0x2F, 0xFD, 0x00, 0x58];
    let raw = *b"        ";
    body.extend(&((raw.len() as u32) << 3).to_le_bytes()[..3]);
    body.extend(raw);
    // No literals; 0x7F00 sequences; one code each for literals, offsets and copies.
    let mut block = vec![0x00, 0xFF, 0x00, 0x00, 0x54, 0, 0, 52];
    block.extend([0xFF; 9000]);
    body.extend(&((block.len() as u32) << 3 | 2 << 1 | 1).to_le_bytes()[..3]);
    body.extend(block);
    body
}

#[test]
fn a_bomb_passes_and_costs_no_more_than_any_look() {
    let blank = vec![b' '; 64 << 20];
    for coding in CODINGS {
        let bomb = answer(200, coding, coded(coding, &blank));
        let (verdict, allocated) = first_look(&bomb);
        assert_eq!(verdict, Verdict::Clean, "{coding}");
        assert!(allocated <= MAX_ALLOCATED, "{coding}: {allocated}");
    }
    let bomb = answer(200, "zstd", copies_without_end());
    let (verdict, allocated) = first_look(&bomb);
    assert_eq!(verdict, Verdict::Clean);
    assert!(allocated <= MAX_ALLOCATED, "{allocated}");
}

#[test]
fn a_thread_keeps_its_decoders() {
    for (coding, most) in [("gzip", 0), ("deflate", 0), ("br", 0), ("zstd", 32)] {
        for body in [features().as_str(), CHALLENGE] {
            let answer = answer(200, coding, coded(coding, body.as_bytes()));
            let verdict = answer.verdict();
            let measured = allocation_counter::measure(|| assert_eq!(answer.verdict(), verdict));
            let count = measured.count_total;
            assert!(count <= most, "{coding}: {count} allocations");
        }
    }
}

proptest! {
    #[test]
    fn no_bytes_in_any_coding_cost_more_than_the_bound(
        coding in prop::sample::select(vec!["gzip", "deflate", "br", "zstd", "gzip, br", "zstd,"]),
        // So that more than the first byte is taken for what it says it is.
        start in prop::sample::select(vec![
            &b""[..],
            b"\x1F\x8B\x08\x00\x00\x00\x00\x00\x00\x00",
            b"\x78\x9C",
            b"\x28\xB5\x2F\xFD\x00\x58",
            b"\x28\xB5\x2F\xFD\x24",
            b"\x1B\xFF\xFF",
        ]),
        noise in prop::collection::vec(any::<u8>(), 0..500),
        breaks in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6),
        real: bool,
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..12),
        status in prop::sample::select(vec![200, 401, 499]),
    ) {
        let mut body = match real {
            true => coded(coding, features().as_bytes()),
            false => [start, &noise].concat(),
        };
        for (at, byte) in breaks {
            if !body.is_empty() {
                let at = at.index(body.len());
                body[at] = byte;
            }
        }
        let answer = answer(status, coding, body);
        let mut whole = Verdict::More;
        let measured = allocation_counter::measure(|| whole = answer.verdict());
        prop_assert_ne!(whole, Verdict::More);
        prop_assert!(measured.bytes_total <= MAX_ALLOCATED, "{}", measured.bytes_total);
        let mut cuts: Vec<_> = cuts.iter().map(|at| at.index(answer.body.len() + 1)).collect();
        cuts.sort_unstable();
        let mut decided = false;
        for len in cuts {
            let verdict = answer.after(len, false);
            prop_assert!(verdict == whole || (verdict == Verdict::More && !decided));
            decided |= verdict != Verdict::More;
        }
    }
}
