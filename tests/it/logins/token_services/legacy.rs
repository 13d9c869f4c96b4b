//! ArcGIS 10.0 and 10.1, whose only method is `getToken`.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use http::{Method, StatusCode};
use tower_arcgis_auth::{Credential, GenerateToken, LegacyToken, Site};

use super::{
    LEGACY_TOKEN, ROOT, TOKEN, answering_by, ask, error_of, handle, info, is_legacy,
    password_places, server, site, status,
};
use crate::support::{Answer, Reply, TokenService, answer, reader};

/// The newer method is not there, and answers so.
fn old_server(absent: fn() -> Answer) -> TokenService {
    server(info("https://gis.test/arcgis/tokens"), move |asked| {
        if is_legacy(asked) && asked.field("request").as_deref() == Some("getToken") {
            answer(LEGACY_TOKEN)
        } else {
            absent()
        }
    })
}

#[tokio::test]
async fn the_legacy_method_is_asked_where_the_newer_one_answers_404_or_405() {
    let absent: [fn() -> Answer; 4] = [
        || status(StatusCode::NOT_FOUND, "<html>404</html>"),
        || status(StatusCode::METHOD_NOT_ALLOWED, "<html>405</html>"),
        || answer(r#"{"error":{"code":404,"message":"Not Found"}}"#),
        || answer(r#"{"error":{"code":405,"message":"Method not supported"}}"#),
    ];
    for absent in absent {
        let service = old_server(absent);
        let password = Credential::user("reader", "p&ss word");
        let got = ask(Site::new(ROOT).credential(password), &service).await;
        assert!(got.is_clean(), "{}", got.outcome);
        let logins = service.asked_for_tokens();
        let legacy = logins.last().unwrap();
        assert_eq!(legacy.method, Method::POST);
        assert_eq!(legacy.uri, "https://gis.test/arcgis/tokens");
        assert_eq!(legacy.field("request").as_deref(), Some("getToken"));
        assert_eq!(legacy.field("username").as_deref(), Some("reader"));
        assert_eq!(legacy.field("password").as_deref(), Some("p&ss word"));
        assert_eq!(
            legacy.field("clientid").as_deref(),
            Some("ref.https://gis.test/arcgis/")
        );
        assert_eq!(legacy.field("expiration").as_deref(), Some("3"));
        assert_eq!(logins.len(), 2);
    }
}

#[tokio::test]
async fn nothing_else_makes_the_legacy_method_be_asked() {
    for code in [200, 302, 400, 401, 403, 429, 500, 503] {
        let service = server(info("https://gis.test/arcgis/tokens"), move |_| {
            status(
                StatusCode::from_u16(code).unwrap(),
                "<html>something</html>",
            )
        });
        error_of(site(), &service).await;
        assert!(!service.requests().iter().any(is_legacy), "{code}");
        assert_eq!(service.attempts(), 1, "{code}");
    }
    let wrong = TokenService::new()
        .info(info("https://gis.test/arcgis/tokens"))
        .answering(Reply::Refused);
    assert!(error_of(site(), &wrong).await.is_refused());
    assert!(!wrong.requests().iter().any(is_legacy));
}

#[tokio::test]
async fn a_legacy_token_is_one_word_with_a_digit_in_it() {
    let source = |text: &'static str| {
        let service = answering_by(move |_| answer(text));
        let url = format!("{ROOT}/tokens");
        let legacy = LegacyToken::try_new(&url, reader(), service.client()).unwrap();
        handle(Site::new(ROOT).token_source(legacy), &service)
    };
    for text in ["token-01", LEGACY_TOKEN, "aG93IGRv+eW91/ZG8=\r\n"] {
        source(text).renew().await.unwrap();
    }
    for text in [
        "",
        "null",
        "401",
        "Unauthorized",
        "Error 401: no",
        "<b>401</b>",
        "\"token-01\"",
    ] {
        assert!(source(text).renew().await.is_err(), "{text}");
    }
}

#[tokio::test]
async fn where_neither_method_is_there_the_error_is_the_newer_ones() {
    let service = server(info("https://gis.test/arcgis/tokens"), |_| {
        status(StatusCode::NOT_FOUND, "<html>404</html>")
    });
    let error = error_of(site(), &service).await;
    assert!(!error.is_refused());
    assert!(
        error
            .to_string()
            .contains("/tokens/generateToken answered 404"),
        "{error}"
    );
}

#[tokio::test]
async fn a_server_that_was_upgraded_is_asked_by_the_newer_method_again() {
    let is_new = Arc::new(AtomicBool::new(false));
    let upgraded = is_new.clone();
    let service =
        answering_by(
            move |asked| match (is_legacy(asked), upgraded.load(Ordering::SeqCst)) {
                (true, false) => answer(LEGACY_TOKEN),
                (false, true) => answer(TOKEN),
                _ => status(StatusCode::NOT_FOUND, "<html>404</html>"),
            },
        );
    let url = format!("{ROOT}/tokens/generateToken");
    let source = GenerateToken::try_new(&url, reader(), service.client()).unwrap();
    let handle = handle(Site::new(ROOT).token_source(source), &service);
    handle.renew().await.unwrap();
    handle.renew().await.unwrap();
    let newer = service
        .requests()
        .iter()
        .filter(|asked| !is_legacy(asked))
        .count();
    assert_eq!(newer, 1, "what is known to be there is asked at once");
    is_new.store(true, Ordering::SeqCst);
    assert!(handle.renew().await.is_err());
    handle.renew().await.unwrap();
}

#[tokio::test]
async fn credentials_are_in_a_url_only_where_that_is_asked_for() {
    for (refuses_posts, names_setting) in [
        // As if there were no such method.
        (StatusCode::NOT_FOUND, false),
        (StatusCode::METHOD_NOT_ALLOWED, true),
        (StatusCode::FORBIDDEN, true),
    ] {
        let service = server(info("https://gis.test/arcgis/tokens"), move |asked| {
            let query = asked.uri.query().unwrap_or_default();
            match is_legacy(asked) {
                true if asked.method == Method::POST => status(refuses_posts, "<html>no</html>"),
                true if query.contains("request=getToken") => answer(LEGACY_TOKEN),
                _ => status(StatusCode::NOT_FOUND, "<html>404</html>"),
            }
        });
        let error = error_of(site(), &service).await.to_string();
        let is_named = error.contains("`credentials_in_url`");
        assert_eq!(is_named, names_setting, "{error}");
        let places = password_places(&service);
        assert!(places.iter().all(|url| !url.contains('?')), "{places:?}");

        let got = ask(site().credentials_in_url(), &service).await;
        assert!(got.is_clean(), "{}", got.outcome);
        let in_url = password_places(&service).pop().unwrap();
        assert!(in_url.contains("password=secret"), "{in_url}");
    }
}

#[tokio::test]
async fn the_legacy_method_is_asked_again_without_a_lifetime_where_its_page_refuses_that() {
    for (page, is_asked_again) in [
        (
            "<html>Unable to generate token. Invalid expiration.</html>",
            true,
        ),
        ("Error: the requested lifetime is above the maximum", true),
        // A form for people, as it comes after a wrong password too.
        (
            "<html><form>Username <input> Expiration <select></select></form></html>",
            false,
        ),
        ("<html>Invalid username or password.</html>", false),
    ] {
        let service = server("{}".to_owned(), move |asked| {
            match asked.field("expiration") {
                Some(_) if is_legacy(asked) => answer(page),
                None if is_legacy(asked) => answer(LEGACY_TOKEN),
                _ => status(StatusCode::NOT_FOUND, "<html>404</html>"),
            }
        });
        let got = ask(site(), &service).await;
        assert_eq!(got.is_clean(), is_asked_again, "{page}: {}", got.outcome);
        let logins = password_places(&service).len();
        assert_eq!(logins, if is_asked_again { 2 } else { 1 }, "{page}");
    }
}
