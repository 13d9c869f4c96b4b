//! A query that the token would make too long goes with the token in Esri's header, which not every server reads.

use http::request::Parts;
use tower_arcgis_auth::{Challenge, SkipReason};

use crate::support::{
    CLEAN, INVALID, REQUIRED, ROADS, TokenService, Upstream, answer, get, over, send, token_of,
};

fn long() -> String {
    format!("{ROADS}&where={}", "x".repeat(2030))
}

fn is_in_query(request: &Parts) -> bool {
    request.uri.query().unwrap().contains("token=")
}

/// Takes the tokens of `source` in the query, and says `unread` to one in a header.
fn reading_no_header(source: &TokenService, unread: &'static str) -> Upstream {
    let tokens = source.tokens();
    Upstream::new(move |request| {
        answer(match token_of(request) {
            Some(_) if !is_in_query(request) => unread,
            Some(token) if tokens.contains(&token) => CLEAN,
            Some(_) => INVALID,
            None => REQUIRED,
        })
    })
}

#[tokio::test(start_paused = true)]
async fn a_server_that_does_not_read_the_header_gets_the_same_token_in_the_query() {
    let source = TokenService::new();
    let upstream = reading_no_header(&source, REQUIRED);
    let service = over(upstream.clone(), &source);
    assert!(send(&service, get(ROADS)).await.is_clean());
    let before = upstream.count();

    let got = send(&service, get(&long())).await;

    assert!(got.is_clean());
    let seen = &upstream.requests()[before..];
    assert_eq!(seen.len(), 2);
    assert!(!is_in_query(&seen[0]) && is_in_query(&seen[1]));
    assert_eq!(source.attempts(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_dead_token_in_the_query_is_replaced_though_the_header_was_not_read() {
    let source = TokenService::new();
    let upstream = reading_no_header(&source, REQUIRED);
    let service = over(upstream.clone(), &source);
    assert!(send(&service, get(ROADS)).await.is_clean());
    source.revoke_all();
    let before = upstream.count();

    let got = send(&service, get(&long())).await;

    assert!(got.is_clean());
    let first = Some("secret-1".to_owned());
    let tokens = [first.clone(), first, Some("secret-2".into())];
    assert_eq!(upstream.tokens()[before..], tokens);
    assert!(is_in_query(&upstream.last_request()));
}

#[tokio::test(start_paused = true)]
async fn a_challenge_to_a_token_in_the_header_says_nothing_of_the_service() {
    let source = TokenService::new();
    let upstream = reading_no_header(&source, INVALID);
    let service = over(upstream.clone(), &source);
    assert!(send(&service, get(ROADS)).await.is_clean());
    let got = send(&service, get(&long())).await;
    let returned = got.outcome.returned_challenge();
    assert_eq!(returned, Some(Challenge::TokenInvalid));

    // A dead token is replaced there as everywhere.
    source.revoke_all();
    let got = send(&service, get(ROADS)).await;
    let reason = got.outcome.skip_reason();
    assert!(!matches!(reason, Some(SkipReason::ServiceRefused)));
    assert!(got.is_clean(), "{}", got.outcome);
}
