//! The headers of pages, and what is on them.

use http::StatusCode;

use crate::{
    support::{ADA, Running},
    visitor::{Answer, Visitor},
};

fn is_protected(answer: &Answer) {
    let policy = answer.header("content-security-policy");
    for part in [
        "default-src 'none'",
        "img-src 'self'",
        "form-action 'self'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
    ] {
        assert!(
            policy.split("; ").any(|found| found == part),
            "{part}: {policy}"
        );
    }
    assert!(!policy.contains("unsafe") && !policy.contains("script-src"));
    assert_eq!(answer.header("x-content-type-options"), "nosniff");
    assert_eq!(answer.header("x-frame-options"), "DENY");
    assert_eq!(answer.header("referrer-policy"), "same-origin");
}

#[tokio::test]
async fn every_answer_is_protected_and_kept_by_nobody() {
    let running = Running::start().await;
    let mut ada = Visitor::of(&running);
    for answer in [
        ada.get("/sign-in").await,
        ada.sign_in((ADA.0, "wrong")).await,
        ada.sign_in(ADA).await,
        ada.get_page("/").await,
        ada.get("/maps/1/tile/1/0/0").await,
        ada.get("/no/such/page").await,
        ada.sign_out().await,
    ] {
        is_protected(&answer);
        assert_eq!(answer.header("cache-control"), "no-store");
    }
    let style = ada.get("/style.css").await;
    is_protected(&style);
    assert_eq!(style.header("content-type"), "text/css; charset=utf-8");
}

#[tokio::test]
async fn the_page_shows_all_maps_and_no_secret() {
    let running = Running::start().await;
    let mut ada = Visitor::signed_in(&running, ADA).await;
    let page = ada.get_page("/").await;
    assert_eq!(page.status, StatusCode::OK);
    for text in [
        "Parcels",
        "Zoning",
        "Roads",
        "Imagery",
        "<strong>ada</strong>",
    ] {
        assert!(page.text().contains(text), "{text}");
    }
    let sources: Vec<String> = page
        .text()
        .split("src=\"")
        .skip(1)
        .map(|rest| rest.split_once('"').unwrap().0.replace("&#38;", "&"))
        .collect();
    assert_eq!(sources.len(), 7);
    for source in &sources {
        assert!(ada.get(source).await.is_png(), "{source}");
    }
    let tokens = Running::tokens_at(&running.city);
    assert!(!page.text().contains(&tokens[0]) && !page.text().contains("s3cret"));
}
