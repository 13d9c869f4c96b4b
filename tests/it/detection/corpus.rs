//! Responses and what each asks for: a corpus in a file, so that a case is one line.
//!
//! A line has an `id`, what the request was (`head`, `had_token`), the response (`status`,
//! `headers`, and `body` or, where it is no text, `body_b64`) and what is `expected`: `clean` or the
//! name of a challenge. Server and service names are made up.

use std::collections::HashSet;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use serde_json::Value;
use tower_arcgis_auth::{RequestFacts, Verdict, detect};

struct Case {
    id: String,
    status: StatusCode,
    headers: HeaderMap,
    body: Vec<u8>,
    facts: RequestFacts,
    expected: String,
}

fn cases() -> Vec<Case> {
    include_str!("responses.jsonl")
        .lines()
        .map(|line| {
            let line: Value = serde_json::from_str(line).unwrap();
            let text = |key: &str| line[key].as_str().unwrap().to_owned();
            let flag = |key: &str| line[key].as_bool().unwrap();
            let headers = line["headers"].as_object().unwrap().iter();
            let method = if flag("head") {
                Method::HEAD
            } else {
                Method::GET
            };
            Case {
                id: text("id"),
                status: StatusCode::from_u16(line["status"].as_u64().unwrap() as u16).unwrap(),
                headers: headers
                    .map(|(name, value)| {
                        let name = HeaderName::try_from(name).unwrap();
                        (
                            name,
                            HeaderValue::from_str(value.as_str().unwrap()).unwrap(),
                        )
                    })
                    .collect(),
                body: match line["body_b64"].as_str() {
                    Some(coded) => STANDARD.decode(coded).unwrap(),
                    None => text("body").into_bytes(),
                },
                facts: RequestFacts::new(&method, flag("had_token")),
                expected: text("expected"),
            }
        })
        .collect()
}

fn judge(case: &Case, prefix: &[u8], ended: bool) -> Verdict {
    detect(case.status, &case.headers, case.facts, prefix, ended)
}

fn name(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::More => "more",
        Verdict::Clean => "clean",
        Verdict::Challenge(challenge) => challenge.as_str(),
    }
}

#[test]
fn every_response_is_judged_as_expected() {
    let wrong: Vec<_> = cases()
        .iter()
        .map(|case| (case, name(judge(case, &case.body, true))))
        .filter(|(case, found)| case.expected != *found)
        .map(|(case, found)| format!("{}: expected {}, found {found}", case.id, case.expected))
        .collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn every_prefix_leads_to_the_same_verdict_or_to_none_yet() {
    for case in cases() {
        let whole = judge(&case, &case.body, true);
        let mut decided = false;
        let step = 1 + case.body.len() / 500;
        for len in (0..=case.body.len()).step_by(step) {
            let verdict = judge(&case, &case.body[..len], false);
            assert!(
                verdict == whole || (verdict == Verdict::More && !decided),
                "{}: {verdict:?} at {len}, {whole:?} in the end",
                case.id
            );
            decided |= verdict != Verdict::More;
        }
    }
}

#[test]
fn the_corpus_is_sound() {
    let cases = cases();
    let ids: HashSet<_> = cases.iter().map(|case| &case.id).collect();
    assert_eq!(ids.len(), cases.len(), "an id is used twice");
    for expected in [
        "clean",
        "token_required",
        "token_invalid",
        "login_page",
        "login_redirect",
    ] {
        let count = cases
            .iter()
            .filter(|case| case.expected == expected)
            .count();
        assert!(count >= 10, "{count} cases of {expected} are too few");
    }
}
