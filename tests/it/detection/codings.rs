//! Coded bodies: gzip, deflate, br and zstd.

use std::io::Write;

use http::header;
use tower_arcgis_auth::Verdict;

use crate::support::received::{
    CHALLENGE, CODINGS, LOGIN_PAGE, REQUIRED, SIGN_IN, br, coded, features, page, received,
};

#[test]
fn a_challenge_is_seen_in_every_coding() {
    for coding in CODINGS {
        let json = received(200, CHALLENGE).coded(coding);
        assert_eq!(json.verdict(), REQUIRED, "{coding}");
        let long = format!("{}{SIGN_IN}", "<!-- -->\n".repeat(900));
        assert_eq!(page(long).coded(coding).verdict(), LOGIN_PAGE, "{coding}");
    }
}

#[test]
fn the_name_of_a_coding_may_be_written_in_any_case_and_stand_beside_identity() {
    for (name, coding) in [
        ("GZip", "gzip"),
        ("x-gzip", "gzip"),
        ("Br", "br"),
        ("ZSTD", "zstd"),
        (" identity , zstd", "zstd"),
    ] {
        let named = received(200, coded(coding, CHALLENGE.as_bytes()))
            .header(header::CONTENT_ENCODING, name);
        assert_eq!(named.verdict(), REQUIRED, "{name}");
    }
}

#[test]
fn several_codings_or_an_unknown_one_are_judged_by_status_alone() {
    for coding in ["gzip, br", "compress", "dcz"] {
        let body = coded("br", &coded("gzip", CHALLENGE.as_bytes()));
        let of = |status| received(status, &body).header(header::CONTENT_ENCODING, coding);
        assert_eq!(of(200).verdict(), Verdict::Clean, "{coding}");
        assert_eq!(of(499).verdict(), REQUIRED, "{coding}");
    }
}

#[test]
fn an_ordinary_answer_in_any_coding_is_decided_before_it_is_complete() {
    for coding in CODINGS {
        let long = received(200, features().repeat(5)).coded(coding);
        assert_eq!(long.verdict(), Verdict::Clean, "{coding}");
        if coding != "zstd" {
            // A block of zstd begins to make sense at its end.
            let needed = long.decided_after();
            assert!(
                needed < 600,
                "{coding} took {needed} of {}",
                long.body.len()
            );
        }
    }
}

#[test]
fn a_body_that_is_not_coded_although_it_says_so_is_looked_at_as_it_is() {
    for coding in ["gzip", "br", "zstd"] {
        let plain = |body: &str| received(200, body).header(header::CONTENT_ENCODING, coding);
        assert_eq!(plain(CHALLENGE).verdict(), REQUIRED, "{coding}");
        assert_eq!(plain(SIGN_IN).verdict(), LOGIN_PAGE, "{coding}");
    }
}

#[test]
fn a_window_above_8_mib_is_not_decoded() {
    for (window, verdict) in [(16, REQUIRED), (23, REQUIRED), (24, Verdict::Clean)] {
        let body = br(window, CHALLENGE.as_bytes());
        let response = received(200, body).header(header::CONTENT_ENCODING, "br");
        assert_eq!(response.verdict(), verdict, "br {window}");
    }
    for (window, verdict) in [(17, REQUIRED), (23, REQUIRED), (24, Verdict::Clean)] {
        let mut encoder = zstd::stream::Encoder::new(Vec::new(), 3).unwrap();
        encoder.window_log(window).unwrap();
        // The size of the content is not known beforehand, so that the window is written.
        encoder.write_all(CHALLENGE.as_bytes()).unwrap();
        encoder.flush().unwrap();
        let response =
            received(200, encoder.finish().unwrap()).header(header::CONTENT_ENCODING, "zstd");
        assert_eq!(response.verdict(), verdict, "zstd {window}");
    }
}

#[test]
fn frames_of_zstd_are_decoded_one_after_the_other() {
    let mut body = vec![0x5A, 0x2A, 0x4D, 0x18, 3, 0, 0, 0, 1, 2, 3];
    for part in [&CHALLENGE[..9], &CHALLENGE[9..]] {
        body.extend(coded("zstd", part.as_bytes()));
    }
    let response = received(200, body).header(header::CONTENT_ENCODING, "zstd");
    assert_eq!(response.verdict(), REQUIRED);
}

#[test]
fn a_broken_body_passes() {
    for coding in CODINGS {
        let whole = coded(coding, features().as_bytes());
        for len in 0..40.min(whole.len()) {
            let cut = received(200, &whole[..len]).header(header::CONTENT_ENCODING, coding);
            assert_eq!(cut.verdict(), Verdict::Clean, "{coding} cut at {len}");
        }
        let noise = received(200, [0xA5; 700]).header(header::CONTENT_ENCODING, coding);
        assert_eq!(noise.verdict(), Verdict::Clean, "{coding}");
    }
}
