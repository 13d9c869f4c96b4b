//! How much of a body it takes to decide.

use http::{Method, header};
use tower_arcgis_auth::Verdict;

use super::ok;
use crate::support::received::{CHALLENGE, received};

#[test]
fn a_response_without_a_body_is_not_looked_at() {
    for status in [100, 204, 205, 206, 304] {
        assert_eq!(
            received(status, CHALLENGE).after(0, false),
            Verdict::Clean,
            "{status}"
        );
    }
    let mut head = ok(CHALLENGE);
    head.method = Method::HEAD;
    assert_eq!(head.after(0, false), Verdict::Clean);
}

#[test]
fn an_endless_stream_is_never_held_back() {
    for kind in [
        "text/event-stream",
        "Text/Event-Stream;charset=utf-8",
        "multipart/x-mixed-replace",
    ] {
        let stream = ok(CHALLENGE).header(header::CONTENT_TYPE, kind);
        assert_eq!(stream.after(0, false), Verdict::Clean, "{kind}");
    }
}

#[test]
fn an_ordinary_answer_is_decided_at_its_first_key_mostly_at_four_letters_of_it() {
    let rest = format!(r#""x","rows":[{}]}}"#, "1,".repeat(500));
    for (key, seen) in [
        ("displayFieldName", 4),
        ("currentVersion", 4),
        ("features", 4),
        ("type", 4),
        ("token", 4),
        ("id", 3),
        ("states", 7),
        ("description2", 13),
    ] {
        let answer = ok(format!(r#"{{"{key}":{rest}"#));
        assert_eq!(answer.verdict(), Verdict::Clean);
        assert_eq!(answer.decided_after(), seen + 2, "{key}");
    }
    for binary in [
        &b"\x89PNG"[..],
        b"\xFF\xD8\xFF",
        b"\x12\x40",
        b"\x0A\x08",
        b"[1,2]",
        b"%PDF",
    ] {
        assert!(ok(binary).decided_after() <= 2, "{binary:?}");
    }
}

#[test]
fn a_challenge_is_decided_as_soon_as_its_code_is_read() {
    assert_eq!(
        ok(CHALLENGE).decided_after(),
        r#"{"error":{"code":499,"#.len()
    );
}

#[test]
fn no_more_than_16_kib_of_a_body_are_looked_at() {
    let blank = ok(" ".repeat(16 * 1024));
    assert_eq!(blank.after(16 * 1024 - 1, false), Verdict::More);
    assert_eq!(blank.after(16 * 1024, false), Verdict::Clean);

    for start in [
        "{\"message\":\"",
        "<html><!--",
        "<html><p title=\"",
        "{\"messages\":[",
        "/*",
        "<",
    ] {
        let long = ok(format!("{start}{}", "x".repeat(16 * 1024)));
        assert_eq!(
            long.after(long.body.len(), false),
            Verdict::Clean,
            "{start}"
        );
    }
}
