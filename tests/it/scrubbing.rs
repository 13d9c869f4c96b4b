//! What is returned holds no token of ours, and no session that is not of the request.

use std::convert::Infallible;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Response, header};
use http_body_util::{BodyExt, Full};
use tower::{Layer, ServiceExt, service_fn};
use tower_arcgis_auth::{ArcgisAuthLayer, ReplayBody, Site};

use crate::support::{
    CLEAN, REQUIRED, ROADS, ROOT, TokenService, Upstream, answer, get, over, send, token_of,
};

const TOKEN: &str = "Zm9v_YmFy-abc..";

fn site_with(token: &'static str) -> Site {
    Site::new(ROOT).token_source(TokenService::new().issuing(token))
}

/// What is returned of these headers, from an answer to a request signed with `token`.
async fn cleaned(token: &'static str, headers: &[(&'static str, &str)]) -> HeaderMap {
    cleaned_for(site_with(token), headers).await
}

async fn cleaned_for(site: Site, headers: &[(&'static str, &str)]) -> HeaderMap {
    let headers: Vec<_> = headers
        .iter()
        .map(|(name, value)| (*name, value.to_string()))
        .collect();
    let upstream = Upstream::new(move |request| {
        if token_of(request).is_none() {
            return answer(REQUIRED);
        }
        let mut answer = answer(CLEAN);
        for (name, value) in &headers {
            answer.headers_mut().append(*name, value.parse().unwrap());
        }
        answer
    });
    let service = ArcgisAuthLayer::try_new(site).unwrap().layer(upstream);
    send(&service, get(ROADS)).await.parts.headers
}

#[tokio::test]
async fn session_cookies_of_arcgis_are_removed_and_others_pass() {
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
async fn percent_encodings_in_lower_case_are_cut_out_cleanly() {
    let before = "/login?redirect=%2fx%3ftoken%3dAB%2bc%2fd&x=1";
    let headers = cleaned("AB+c/d", &[("location", before)]).await;
    assert_eq!(headers["location"], "/login?redirect=%2fx%3ftoken%3d&x=1");
}

#[tokio::test]
async fn a_location_of_nested_percent_encodings_is_cleaned_in_one_pass() {
    // Decoded layer by layer, this takes minutes.
    let nested = format!("/x?%{}41", "25".repeat(200_000));
    let headers = cleaned(TOKEN, &[("location", &nested)]).await;
    assert_eq!(headers["location"], nested);
}

#[tokio::test]
async fn several_headers_of_one_name_are_all_returned() {
    let first = format!("</a?token={TOKEN}>; rel=next");
    let headers = cleaned(TOKEN, &[("link", &first), ("link", "</b>; rel=last")]).await;
    let links: Vec<_> = headers.get_all("link").iter().collect();
    assert_eq!(links, ["</a?token=>; rel=next", "</b>; rel=last"]);
}

#[tokio::test]
async fn a_returned_challenge_is_cleaned_as_well() {
    let upstream = Upstream::new(|request| {
        let mut answer = answer("");
        *answer.status_mut() = http::StatusCode::FOUND;
        let location = format!("/arcgis/rest/login?redirect={}", request.uri);
        answer
            .headers_mut()
            .insert("location", location.parse().unwrap());
        answer
    });
    let layer = ArcgisAuthLayer::try_new(site_with(TOKEN)).unwrap();
    let service = layer.layer(upstream);
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
    let upstream = Upstream::new(|_| {
        let mut answer = answer(CLEAN);
        answer
            .headers_mut()
            .insert("set-cookie", "agstoken=theirs".parse().unwrap());
        answer
    });
    let source = TokenService::new();
    let service = over(upstream, &source);
    let answer = send(&service, get(ROADS)).await;
    assert_eq!(answer.parts.headers["set-cookie"], "agstoken=theirs");
}

#[tokio::test]
async fn a_link_with_the_token_in_mixed_encodings_is_returned_without_it() {
    for name in ["location", "content-location", "link", "refresh"] {
        for (before, after) in [
            ("/x?token=%25%35Am9v_YmFy-abc..&f", Some("/x?token=&f")),
            ("/x?token=%255Am9v%5fYmFy-abc%252e.", Some("/x?token=")),
            (
                "/l?r=%2Fx%3Ftoken%3D%25255Am9v_YmFy-abc..%26f",
                Some("/l?r=%2Fx%3Ftoken%3D%26f"),
            ),
            ("/x?token=%u005am9v_YmFy-abc..", Some("/x?token=")),
            // Cut out, it would be a link to another host.
            ("/Zm9v_YmFy-abc../evil.test", None),
            ("https://gis.test\t/x?token=Zm9v_YmFy-abc..", None),
            // None of ours to change.
            (
                "https://gis.test\t/x?a=%41",
                Some("https://gis.test\t/x?a=%41"),
            ),
        ] {
            let headers = cleaned(TOKEN, &[(name, before)]).await;
            let left = headers.get(name).map(|value| value.as_bytes());
            assert_eq!(left, after.map(str::as_bytes), "{name}: {before}");
        }
    }
}

#[tokio::test]
async fn trailers_are_returned_without_the_token() {
    // Decided by its head, by its first bytes, and not before its end.
    for (content_type, body) in [
        ("image/png", "\u{89}PNG"),
        ("application/json", CLEAN),
        ("application/json", "{"),
    ] {
        let layer = ArcgisAuthLayer::try_new(site_with(TOKEN)).unwrap();
        // The scripted upstream has no trailers.
        let service = layer.layer(service_fn(
            move |request: Request<ReplayBody<Full<Bytes>>>| async move {
                let (parts, _) = request.into_parts();
                let (body, content_type) = match token_of(&parts) {
                    Some(_) => (body, content_type),
                    None => (REQUIRED, "application/json"),
                };
                let url = format!("{}&x=1", parts.uri);
                let mut trailers = HeaderMap::new();
                trailers.append("x-url", url.parse().unwrap());
                trailers.append("x-sum", HeaderValue::from_static("12"));
                let body =
                    Full::<Bytes>::from(body).with_trailers(std::future::ready(Some(Ok(trailers))));
                let mut response = Response::new(body);
                let headers = response.headers_mut();
                headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
                Ok::<_, Infallible>(response)
            },
        ));
        let response = service.oneshot(get(ROADS)).await.unwrap();
        assert!(response.body().outcome().signed());
        let collected = response.into_body().collect().await.unwrap();
        let trailers = collected.trailers().cloned().unwrap();
        assert_eq!(collected.to_bytes(), body);
        assert_eq!(trailers["x-sum"], "12");
        assert_eq!(trailers["x-url"], format!("{}&token=&x=1", ROADS));
    }
}

#[tokio::test]
async fn a_private_answer_is_kept_out_of_every_shared_http_cache() {
    let site = site_with(TOKEN).private_answers(true);
    let headers = cleaned_for(
        site,
        &[
            ("cache-control", "public, max-age=60"),
            ("connection", "Cache-Control, keep-alive"),
            ("cdn-cache-control", "max-age=60"),
            ("cloudflare-cdn-cache-control", "max-age=60"),
            ("akamai-cache-control", "max-age=60"),
            ("edge-control", "!no-store, max-age=60"),
            ("surrogate-control", "max-age=60"),
            ("x-accel-expires", "60"),
        ],
    )
    .await;
    let mut left: Vec<_> = headers
        .iter()
        .map(|(name, value)| (name.as_str(), value.to_str().unwrap()))
        .collect();
    left.sort_unstable();
    assert_eq!(
        left,
        [
            ("cache-control", "private, max-age=60"),
            ("connection", "keep-alive")
        ]
    );
}
