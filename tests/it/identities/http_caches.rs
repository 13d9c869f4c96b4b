//! What HTTP caches may keep of answers to one identity.

use http::{HeaderValue, header::CACHE_CONTROL};
use tower_arcgis_auth::Site;

use super::{over, site};
use crate::support::{
    CLEAN, Got, REQUIRED, ROADS, ROOT, Reply, TokenService, Upstream, answer, get, get_as, send,
    token_of,
};

#[tokio::test(start_paused = true)]
async fn no_http_cache_may_keep_the_answer_to_one_identity() {
    let source = TokenService::new().answering_to("mallory", Reply::Refused);
    let upstream = Upstream::new(|request| {
        let body = match token_of(request) {
            Some(_) => CLEAN,
            None if request.uri.path().contains("Open") => CLEAN,
            None => REQUIRED,
        };
        let mut answer = answer(body);
        let cacheable = HeaderValue::from_static("public, max-age=300");
        answer.headers_mut().insert(CACHE_CONTROL, cacheable);
        answer
    });
    let cache_control = |got: &Got| got.parts.headers[CACHE_CONTROL].clone();
    let each = over(&upstream, site(&source));

    let mut open = get_as("alice");
    *open.uri_mut() = ROADS.replace("Roads", "Open").parse().unwrap();
    let got = send(&each, open).await;
    assert_eq!(
        cache_control(&got),
        "public, max-age=300",
        "unsigned, and open to all"
    );
    let got = send(&each, get_as("alice")).await;
    assert_eq!(cache_control(&got), "private, max-age=300");
    let got = send(&each, get_as("mallory")).await;
    assert_eq!(got.body, REQUIRED);
    assert_eq!(
        cache_control(&got),
        "private, max-age=300",
        "a challenge is mallory's alone"
    );

    let got = send(
        &over(&upstream, site(&source).private_answers(false)),
        get_as("alice"),
    )
    .await;
    assert_eq!(cache_control(&got), "public, max-age=300");
    let one = Site::new(ROOT).token_source(source.clone());
    let got = send(&over(&upstream, one.clone()), get(ROADS)).await;
    assert_eq!(cache_control(&got), "public, max-age=300");
    let got = send(&over(&upstream, one.private_answers(true)), get(ROADS)).await;
    assert_eq!(cache_control(&got), "private, max-age=300");
}

#[tokio::test(start_paused = true)]
async fn no_http_cache_may_keep_the_challenge_to_a_request_without_an_identity() {
    let upstream = Upstream::new(|_| {
        let mut answer = answer(REQUIRED);
        let cacheable = HeaderValue::from_static("public, max-age=300");
        answer.headers_mut().insert(CACHE_CONTROL, cacheable);
        answer
    });
    let got = send(&over(&upstream, site(&TokenService::new())), get(ROADS)).await;
    assert_eq!(got.parts.headers[CACHE_CONTROL], "private, max-age=300");
}
