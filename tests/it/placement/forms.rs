//! A token of the caller's own in a form body.

use std::{
    convert::Infallible,
    sync::{Arc, Mutex},
};

use bytes::Bytes;
use http::{Request, header, request::Parts};
use http_body_util::{BodyExt, Full};
use tower::{Layer, service_fn};
use tower_arcgis_auth::{ArcgisAuthLayer, CallerToken, ReplayBody, Site, SkipReason};

use super::{PLAIN, plain_site};
use crate::support::{CLEAN, Got, INVALID, REQUIRED, ROADS, answer, send, token_of};

const LONGEST: usize = 64 * 1024;

const FORM: &str = "application/x-www-form-urlencoded";

async fn post(site: Site, form: &str) -> (Got, Vec<(Parts, Bytes)>) {
    post_as(FORM, site, form).await
}

/// Sends `body` as this type, and returns what the server got. It takes [`PLAIN`] in the query, and reads no body.
async fn post_as(kind: &str, site: Site, body: &str) -> (Got, Vec<(Parts, Bytes)>) {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let server = seen.clone();
    let upstream = service_fn(move |request: Request<ReplayBody<Full<Bytes>>>| {
        let seen = server.clone();
        async move {
            let (head, body) = request.into_parts();
            let body = body.collect().await.unwrap().to_bytes();
            let answer = answer(match token_of(&head).as_deref() {
                Some(PLAIN) => CLEAN,
                Some(_) => INVALID,
                None => REQUIRED,
            });
            seen.lock().unwrap().push((head, body));
            Ok::<_, Infallible>(answer)
        }
    });
    let request = Request::post(ROADS)
        .header(header::CONTENT_TYPE, kind)
        .header(header::CONTENT_LENGTH, body.len())
        .body(Full::from(body.to_owned()))
        .unwrap();
    let service = ArcgisAuthLayer::try_new(site).unwrap().layer(upstream);
    let got = send(&service, request).await;
    let seen = seen.lock().unwrap().clone();
    (got, seen)
}

/// A form of this length that has a token.
fn with_token(length: usize) -> String {
    let start = "f=json&token=mine&where=";
    format!("{start}{}", "x".repeat(length - start.len()))
}

#[tokio::test]
async fn a_token_in_a_form_of_64_kib_at_most_wins_and_the_request_passes_untouched() {
    for length in [30, 1100, LONGEST] {
        let form = with_token(length);
        let (got, seen) = post(plain_site(), &form).await;
        assert_eq!(got.body, REQUIRED, "their challenge is theirs");
        let reason = got.outcome.skip_reason();
        assert!(matches!(reason, Some(SkipReason::CallersToken)), "{length}");
        assert_eq!(seen.len(), 1);
        assert_eq!(seen[0].1, form);
    }
}

#[tokio::test]
async fn a_longer_form_is_not_looked_into() {
    let form = with_token(LONGEST + 1);
    let (got, seen) = post(plain_site(), &form).await;
    assert!(got.is_clean());
    let (head, body) = seen.last().unwrap();
    assert_eq!(token_of(head).as_deref(), Some(PLAIN));
    assert_eq!(*body, form);
}

#[tokio::test]
async fn a_body_that_is_no_form_is_not_looked_into() {
    let text = with_token(30);
    let (got, seen) = post_as("text/plain", plain_site(), &text).await;
    assert!(got.is_clean());
    let (head, body) = seen.last().unwrap();
    assert_eq!(token_of(head).as_deref(), Some(PLAIN));
    assert_eq!(*body, text);
}

#[tokio::test]
async fn a_form_without_a_token_is_signed_as_it_is() {
    let (got, seen) = post(plain_site(), "f=json&where=token%3D1").await;
    assert!(got.is_clean());
    for (_, body) in &seen {
        assert_eq!(body, "f=json&where=token%3D1");
    }
}

#[tokio::test]
async fn a_token_that_is_replaced_is_taken_off_the_form() {
    let site = plain_site().caller_token(CallerToken::Replace);
    let (got, seen) = post(site, "f=json&token=mine&where=1").await;
    assert!(got.is_clean());
    for (head, body) in &seen {
        assert_eq!(body, "f=json&where=1");
        assert_eq!(head.headers[header::CONTENT_LENGTH], "14");
    }
    let (head, _) = seen.last().unwrap();
    assert_eq!(token_of(head).as_deref(), Some(PLAIN));
}
