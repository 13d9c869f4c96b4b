//! What goes up holds no token of ours, and no session that is not the caller's.

use crate::support;
use crate::support::{ROADS, Upstream, get, send};
use http::{HeaderMap, header};
use tower::Layer;
use tower_arcgis_auth::{ArcgisAuthLayer, IssuedToken, Site, token_source_fn};

const TOKEN: &str = "Zm9v_YmFy-abc..";

/// What goes up of these headers, from an answer to a request signed with `token`.
async fn cleaned(token: &'static str, headers: &[(&'static str, &str)]) -> HeaderMap {
    let headers: Vec<_> = headers
        .iter()
        .map(|(name, value)| (*name, value.to_string()))
        .collect();
    let fake = Upstream::new(move |request| {
        if support::token_of(request).is_none() {
            return support::answer(support::REQUIRED);
        }
        let mut answer = support::answer(support::CLEAN);
        for (name, value) in &headers {
            answer.headers_mut().append(*name, value.parse().unwrap());
        }
        answer
    });
    let site = Site::new(support::ROOT).token_source(token_source_fn(move |_| async move {
        IssuedToken::try_new(token)
    }));
    let service = ArcgisAuthLayer::try_new(site).unwrap().layer(fake);
    send(&service, get(ROADS)).await.parts.headers
}

#[tokio::test]
async fn session_cookies_of_the_account_stay_below_and_others_pass() {
    let headers = cleaned(
        TOKEN,
        &[
            ("set-cookie", "AGS_ROLES=\"x\"; Path=/"),
            ("set-cookie", "agstoken=abc; Path=/arcgis"),
            (
                "set-cookie",
                "esri_auth=%7B%22token%22%7D; Domain=.arcgis.com",
            ),
            ("set-cookie", "esri_aopc=x; HttpOnly"),
            ("set-cookie", " agstoken = abc"),
            ("set-cookie", "agstoken_theme=dark"),
            ("set-cookie", "lang=de; esri_auth=no"),
        ],
    )
    .await;
    let cookies: Vec<_> = headers.get_all(header::SET_COOKIE).iter().collect();
    assert_eq!(
        cookies,
        [
            "AGS_ROLES=\"x\"; Path=/",
            "agstoken_theme=dark",
            "lang=de; esri_auth=no"
        ]
    );
}

#[tokio::test]
async fn the_token_is_cut_out_of_urls_in_headers() {
    for (name, before, after) in [
        ("location", "/x?token=T&f=json", "/x?token=&f=json"),
        ("location", "/x?f=json", "/x?f=json"),
        (
            "location",
            "/rest/login?redirect=%2Fx%3Ftoken%3DT%26f%3Djson",
            "/rest/login?redirect=%2Fx%3Ftoken%3D%26f%3Djson",
        ),
        (
            "content-location",
            "http://gis.test/x?token=T",
            "http://gis.test/x?token=",
        ),
        (
            "link",
            "</x?token=T>; rel=next, </y?token=T>; rel=last",
            "</x?token=>; rel=next, </y?token=>; rel=last",
        ),
        ("refresh", "5; url=/x?token=T", "5; url=/x?token="),
    ] {
        let headers = cleaned(
            TOKEN,
            &[(
                name,
                &before
                    .replace("=T", &format!("={TOKEN}"))
                    .replace("DT", &format!("D{TOKEN}")),
            )],
        )
        .await;
        assert_eq!(headers[name], after);
    }
}

#[tokio::test]
async fn every_percent_encoding_of_an_odd_token_is_found() {
    let odd = "a+b/c=d";
    for before in [
        "/x?token=a+b/c=d",
        "/x?token=a%2Bb%2Fc%3Dd",
        "/x?token=a%2bb%2fc%3dd",
        "/login?redirect=%2Fx%3Ftoken%3Da%252Bb%252Fc%253Dd",
        "/login?redirect=%252Fx%253Ftoken%253Da%25252Bb%25252Fc%25253Dd",
        "/x?token=%61%2Bb%2fc%3Dd",
    ] {
        let headers = cleaned(odd, &[("location", before)]).await;
        let location = headers["location"].to_str().unwrap();
        assert!(before.starts_with(location), "{before} became {location}");
        let mut text = location.to_owned();
        for _ in 0..5 {
            assert!(!text.contains(odd), "{before} became {text}");
            text = percent_encoding::percent_decode_str(&text)
                .decode_utf8_lossy()
                .into_owned();
        }
    }
}

#[tokio::test]
async fn several_headers_of_one_name_all_go_up() {
    let first = format!("</a?token={TOKEN}>; rel=next");
    let headers = cleaned(TOKEN, &[("link", &first), ("link", "</b>; rel=last")]).await;
    let links: Vec<_> = headers.get_all("link").iter().collect();
    assert_eq!(links, ["</a?token=>; rel=next", "</b>; rel=last"]);
}

#[tokio::test]
async fn a_challenge_that_goes_up_is_cleaned_as_well() {
    let fake = Upstream::new(|request| {
        let mut answer = support::answer("");
        *answer.status_mut() = http::StatusCode::FOUND;
        let location = format!("/arcgis/rest/login?redirect={}", request.uri);
        answer
            .headers_mut()
            .insert("location", location.parse().unwrap());
        answer
    });
    let site = Site::new(support::ROOT)
        .token_source(token_source_fn(|_| async { IssuedToken::try_new(TOKEN) }));
    let service = ArcgisAuthLayer::try_new(site).unwrap().layer(fake);
    let answer = send(&service, get(ROADS)).await;
    assert!(answer.outcome.returned_challenge().is_some());
    assert!(
        !answer.parts.headers["location"]
            .to_str()
            .unwrap()
            .contains(TOKEN)
    );
}

#[tokio::test]
async fn answers_to_unsigned_requests_are_not_touched() {
    let fake = Upstream::new(|_| {
        let mut answer = support::answer(support::CLEAN);
        answer
            .headers_mut()
            .insert("set-cookie", "agstoken=theirs".parse().unwrap());
        answer
    });
    let source = support::Source::new();
    let service = support::over(fake, &source);
    let answer = send(&service, get(ROADS)).await;
    assert_eq!(answer.parts.headers["set-cookie"], "agstoken=theirs");
}

#[tokio::test]
async fn a_location_of_escapes_upon_escapes_is_cleaned_in_one_pass() {
    // Decoded layer by layer, this takes minutes.
    let nested = format!("/x?%{}41", "25".repeat(200_000));
    let headers = cleaned(TOKEN, &[("location", &nested)]).await;
    assert_eq!(headers["location"], nested);
}

#[tokio::test]
async fn escapes_in_lower_case_are_cut_out_cleanly() {
    let location = "/login?redirect=%2fx%3ftoken%3dAB%2bc%2fd&x=1";
    let headers = cleaned("AB+c/d", &[("location", location)]).await;
    assert_eq!(headers["location"], "/login?redirect=%2fx%3ftoken%3d&x=1");
}
