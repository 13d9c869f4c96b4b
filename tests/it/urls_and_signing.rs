//! Which requests get a token, where on them, and that no answer or error gives it away: the spellings that tell a
//! careless reader of URLs from a careful one.

use std::convert::Infallible;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Response, header};
use http_body_util::{BodyExt, Full};
use tower::{Layer, ServiceExt, service_fn};
use tower_arcgis_auth::{
    ArcgisAuthLayer, CallerToken, Credential, EndPoint, IssuedToken, ReplayBody, Site, SkipReason,
    TokenPlacement, token_source_fn,
};

use crate::support::{self, Source, Upstream, get, send, token_of};

const TOKEN: &str = "Zm9v_YmFy-abc..";

fn fixed(root: &str, token: &'static str) -> Site {
    Site::new(root).token_source(token_source_fn(move |_| async move {
        IssuedToken::try_new(token)
    }))
}

/// Wants a token, any.
fn secured() -> Upstream {
    Upstream::new(|request| {
        support::answer(match token_of(request) {
            Some(_) => support::CLEAN,
            None => support::REQUIRED,
        })
    })
}

/// The last request as it arrived.
async fn arrived(site: Site, request: Request<Full<Bytes>>) -> http::request::Parts {
    let fake = secured();
    let service = ArcgisAuthLayer::try_new(site).unwrap().layer(fake.clone());
    send(&service, request).await;
    fake.seen().pop().unwrap()
}

async fn is_signed(root: &str, uri: &str) -> bool {
    let Ok(request) = Request::get(uri).body(Full::default()) else {
        return false;
    };
    token_of(&arrived(fixed(root, TOKEN), request).await).is_some()
}

#[tokio::test]
async fn end_points_for_tokens_and_logins_are_never_signed_in_any_spelling() {
    for path in [
        "/tokens/generate%54oken?request=getToken",
        "/tokens//generateToken",
        "/tokens;x=1/generateToken",
        "/tokens%2FgenerateToken",
        "/tokens%252FgenerateToken",
        "/%74okens/generateToken",
        "/rest/generateToken",
        "/REST/Info",
        "/rest//info",
        "/rest/inf%6F",
        "/rest;%2Fservices%2F/generateToken",
        "/sharing/rest/oauth2;x/token",
        "/admin/log%69n",
    ] {
        let uri = format!("https://gis.test/arcgis{path}");
        assert!(!is_signed("https://gis.test/arcgis", &uri).await, "{path}");
    }
}

#[tokio::test]
async fn services_and_folders_called_like_end_points_are_signed() {
    for path in [
        "/rest/services/tokens/MapServer",
        "/rest/services/tokens",
        "/rest//services/oauth2/generateToken/FeatureServer/0",
        "/rest/services/generate%54oken/MapServer;x=1",
        "/services/tokens/MapServer/WMSServer",
        "/admin/services",
    ] {
        let uri = format!("https://gis.test/arcgis{path}");
        assert!(is_signed("https://gis.test/arcgis", &uri).await, "{path}");
    }
}

#[tokio::test]
async fn a_path_that_may_lead_out_of_the_root_is_not_signed() {
    for path in [
        "/..%00",
        "/..%00/admin",
        "/%c0%ae%c0%ae/admin",
        "/%u002e%u002e/admin",
        "/%2525252e%2525252e/admin",
        "/%252525252525252e./admin",
        "/..;/admin",
        "/..;x=1/admin",
        "/x%2F..%2F../admin",
        "/rest/services/..%20/admin",
    ] {
        let uri = format!("https://gis.test/arcgis{path}");
        assert!(!is_signed("https://gis.test/arcgis", &uri).await, "{path}");
    }
    for path in [
        "/rest/services/Stra%C3%9Fen%20Nord/VectorTileServer/tile/1/2/3.pbf",
        "/rest/services/.hidden/..data/MapServer",
        "/rest/services/50%25/MapServer",
    ] {
        let uri = format!("https://gis.test/arcgis{path}");
        assert!(is_signed("https://gis.test/arcgis", &uri).await, "{path}");
    }
}

#[tokio::test]
async fn a_port_that_is_none_is_nobodys_default() {
    for uri in [
        "https://gis.test:443443/arcgis/rest",
        "https://gis.test:65979/arcgis/rest",
        "https://gis.test:/arcgis/rest",
    ] {
        assert!(!is_signed("https://gis.test/arcgis", uri).await, "{uri}");
    }
    for uri in [
        "https://gis.test:443/arcgis/rest",
        "https://GIS.TEST./arcgis/rest",
    ] {
        assert!(is_signed("https://gis.test/arcgis", uri).await, "{uri}");
    }
    assert!(
        is_signed(
            "http://[::1]:6080/arcgis",
            "http://[0:0:0:0:0:0:0:1]:6080/arcgis/rest"
        )
        .await
    );
}

#[tokio::test]
async fn among_a_thousand_sites_each_request_gets_its_own_sites_token() {
    let sites = (0..1000).map(|number| {
        let (host, folder) = (number % 100, number / 100);
        let root = format!("https://host{host}.test/folder{folder}");
        Site::new(root).token_source(token_source_fn(move |_| async move {
            IssuedToken::try_new(format!("token-{host}-{folder}"))
        }))
    });
    let builder = sites.fold(ArcgisAuthLayer::builder(), |builder, site| {
        builder.add_site(site)
    });
    let fake = secured();
    let service = builder.build().unwrap().layer(fake.clone());
    for (uri, token) in [
        ("https://host0.test/folder0/rest", Some("token-0-0")),
        ("https://HOST99.test:443/Folder9/rest", Some("token-99-9")),
        ("https://host42.test/folder7", Some("token-42-7")),
        ("https://host42.test/folder10/rest", None),
        ("https://host100.test/folder0/rest", None),
        ("http://host42.test/folder7/rest", None),
    ] {
        send(&service, get(uri)).await;
        assert_eq!(fake.tokens().pop().flatten().as_deref(), token, "{uri}");
    }
}

#[test]
fn a_root_that_is_there_twice_among_many_is_named() {
    let sites = (0..1000).map(|number| Site::new(format!("https://host{number}.test/arcgis")));
    let builder = sites
        .chain([Site::new("https://HOST7.test:443/ArcGIS/")])
        .fold(ArcgisAuthLayer::builder(), |builder, site| {
            builder.add_site(site)
        });
    let error = builder.build().unwrap_err().to_string();
    assert!(error.contains("https://host7.test/ArcGIS"), "{error}");
    assert!(error.contains("twice"), "{error}");
}

#[tokio::test]
async fn a_callers_token_in_any_spelling_wins() {
    for path in [
        "/rest?Token=mine",
        "/rest?TOKEN=mine&f=json",
        "/rest?f=json&%74oken=mine",
        "/rest?f=json&tok%2565n=mine",
        "/rest?token=&token=mine",
    ] {
        let request = get(&format!("http://gis.test/arcgis{path}"));
        let fake = Upstream::new(|_| support::answer(support::INVALID));
        let layer = ArcgisAuthLayer::try_new(fixed(support::ROOT, TOKEN)).unwrap();
        let answer = send(&layer.layer(fake.clone()), request.clone()).await;
        assert!(
            matches!(answer.outcome.skip_reason(), Some(SkipReason::CallersToken)),
            "{path}"
        );
        assert_eq!(fake.seen().len(), 1);
        assert_eq!(fake.seen()[0].uri, *request.uri());
    }
}

#[tokio::test]
async fn a_browsers_token_cookie_is_no_choice_and_goes_where_it_is_not_taken() {
    let fake = Upstream::new(|request| {
        support::answer(match token_of(request).as_deref() {
            Some(TOKEN) => support::CLEAN,
            Some(_) => support::INVALID,
            None => support::REQUIRED,
        })
    });
    let layer = ArcgisAuthLayer::try_new(fixed(support::ROOT, TOKEN)).unwrap();
    let mut request = get(support::ROADS);
    let cookies = HeaderValue::from_static("a=1; agstoken=stale; b=2");
    request.headers_mut().insert(header::COOKIE, cookies);
    let answer = send(&layer.layer(fake.clone()), request.clone()).await;
    assert!(answer.is_clean());
    let seen = fake.seen();
    assert_eq!(seen.len(), 2);
    assert_eq!(seen[0].uri, *request.uri());
    assert_eq!(seen[0].headers, *request.headers());
    assert_eq!(seen[1].headers[header::COOKIE], "a=1; b=2");
    assert_eq!(token_of(&seen[1]).as_deref(), Some(TOKEN));
}

#[tokio::test]
async fn a_replaced_token_leaves_none_in_any_spelling() {
    let path = "/rest?Token=mine&f=json&%74oken=mine&x=%20&TOKEN=";
    for placement in [TokenPlacement::Query, TokenPlacement::EsriHeader] {
        let site = fixed(support::ROOT, TOKEN)
            .placement(placement)
            .caller_token(CallerToken::Replace);
        let request = arrived(site, get(&format!("http://gis.test/arcgis{path}"))).await;
        let query = match placement {
            TokenPlacement::Query => format!("f=json&x=%20&token={TOKEN}"),
            _ => "f=json&x=%20".to_owned(),
        };
        assert_eq!(request.uri.query(), Some(query.as_str()));
    }
}

#[tokio::test]
async fn an_empty_token_in_any_spelling_is_replaced_where_it_stands() {
    for (before, after) in [
        ("/rest?TOKEN=&f=json", "/rest?token=T&f=json"),
        ("/rest?f=json&%74oken=&x='", "/rest?f=json&token=T&x='"),
        ("/rest?Token&f=json&token=", "/rest?token=T&f=json"),
    ] {
        let uri = format!("http://gis.test/arcgis{before}");
        let request = arrived(fixed(support::ROOT, TOKEN), get(&uri)).await;
        let wanted = format!("http://gis.test/arcgis{after}").replace("=T", &format!("={TOKEN}"));
        assert_eq!(request.uri.to_string(), wanted);
    }
}

#[tokio::test]
async fn a_query_that_only_the_token_makes_too_long_for_iis_keeps_it_out() {
    for (length, in_query) in [(1900, true), (2040, false), (2048, false), (2049, true)] {
        let query = format!("where={}", "x".repeat(length - "where=".len()));
        let uri = format!("http://gis.test/arcgis/rest?{query}");
        let request = arrived(fixed(support::ROOT, TOKEN), get(&uri)).await;
        let signed = if in_query {
            format!("{query}&token={TOKEN}")
        } else {
            query
        };
        assert_eq!(request.uri.query(), Some(signed.as_str()), "{length}");
        assert_eq!(
            request.headers.contains_key("x-esri-authorization"),
            !in_query,
            "{length}"
        );
    }
}

/// What goes up of these headers, from an answer to a signed request.
async fn cleaned(site: Site, headers: &[(&'static str, &'static str)]) -> HeaderMap {
    let headers = headers.to_vec();
    let fake = Upstream::new(move |request| {
        if token_of(request).is_none() {
            return support::answer(support::REQUIRED);
        }
        let mut answer = support::answer(support::CLEAN);
        for (name, value) in &headers {
            answer
                .headers_mut()
                .append(*name, HeaderValue::from_static(value));
        }
        answer
    });
    let service = ArcgisAuthLayer::try_new(site).unwrap().layer(fake);
    send(&service, get(support::ROADS)).await.parts.headers
}

#[tokio::test]
async fn a_link_with_the_token_under_mixed_encodings_goes_up_without_it() {
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
            let headers = cleaned(fixed(support::ROOT, TOKEN), &[(name, before)]).await;
            let left = headers.get(name).map(|value| value.as_bytes());
            assert_eq!(left, after.map(str::as_bytes), "{name}: {before}");
        }
    }
}

#[tokio::test]
async fn trailers_go_up_without_the_token() {
    // Decided by its head, by its first bytes, and not before its end.
    for (content_type, body) in [
        ("image/png", "\u{89}PNG"),
        ("application/json", support::CLEAN),
        ("application/json", "{"),
    ] {
        let layer = ArcgisAuthLayer::try_new(fixed(support::ROOT, TOKEN)).unwrap();
        let service = layer.layer(service_fn(
            move |request: Request<ReplayBody<Full<Bytes>>>| async move {
                let (parts, _) = request.into_parts();
                let (body, content_type) = match token_of(&parts) {
                    Some(_) => (body, content_type),
                    None => (support::REQUIRED, "application/json"),
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
        let response = service.oneshot(get(support::ROADS)).await.unwrap();
        assert!(response.body().outcome().signed());
        let collected = response.into_body().collect().await.unwrap();
        let trailers = collected.trailers().cloned().unwrap();
        assert_eq!(collected.to_bytes(), body);
        assert_eq!(trailers["x-sum"], "12");
        assert_eq!(trailers["x-url"], format!("{}&token=&x=1", support::ROADS));
    }
}

#[tokio::test]
async fn what_is_one_callers_own_is_kept_out_of_every_shared_cache() {
    let site = fixed(support::ROOT, TOKEN).private_answers(true);
    let headers = cleaned(
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

#[test]
fn no_setting_shows_a_part_of_a_password_or_a_query() {
    let urls = [
        "https://reader:hunter2@gis.test/arcgis",
        "https://reader:hunter2#x@gis.test/arcgis",
        "https://reader:x?hunter2@gis.test/arcgis",
        "https://reader:x/hunter2@gis.test/arcgis",
        "https://reader:x@hunter2@gis.test/arcgis",
        "https://reader:hunter2\u{0}\n@gis.test/arcgis",
        "https://gis.test/arcgis?token=hunter2",
        "https://gis.test/arcgis#hunter2",
        "reader:hunter2@gis.test",
        "https://reader:hunter2",
    ];
    for url in urls {
        let good = || Site::new("https://gis.test/arcgis").credential(Credential::user("u", "p"));
        let sites = [
            Site::new(url),
            good().add_root(url),
            good().token_url(url),
            good().portal(url),
            good().trust_token_service(url),
            good().referer(url),
            good().referer(format!("{url}\n")),
        ];
        for site in sites {
            let shown = format!("{site:?} {site:#?}");
            assert!(!shown.contains("hunter2"), "{shown}");
            let client =
                tower_arcgis_auth::TokenClient::new(service_fn(|_: Request<Full<Bytes>>| async {
                    Ok::<_, Infallible>(Response::new(Full::<Bytes>::default()))
                }));
            let layer = ArcgisAuthLayer::builder()
                .add_site(site)
                .token_client(client)
                .build();
            if let Err(error) = layer {
                let shown = format!("{error} {error:?}");
                assert!(!shown.contains("hunter2"), "{shown}");
            }
        }
        if let Err(error) = Site::of_service(url) {
            assert!(!error.to_string().contains("hunter2"), "{error}");
        }
    }
}

#[test]
fn a_proxy_can_tell_what_not_to_lend_its_account_to() {
    for (path, found) in [
        ("/tokens", Some(EndPoint::Token)),
        ("/admin%2Fservices", Some(EndPoint::Administration)),
        ("/manager/", Some(EndPoint::Administration)),
        ("/portaladmin;x/security", Some(EndPoint::Administration)),
        ("/rest/login", Some(EndPoint::Login)),
        ("/sharing/rest/oauth2/authorize", Some(EndPoint::OAuth)),
        ("/rest/info", Some(EndPoint::Information)),
        ("/rest/services/admin/MapServer", None),
        ("/rest/services", None),
    ] {
        assert_eq!(EndPoint::of(path), found, "{path}");
    }
}

#[tokio::test]
async fn a_second_sending_still_has_one_token() {
    let source = Source::new();
    let fake = Upstream::secured(&source.valid);
    let service = support::over(fake.clone(), &source);
    let uri = "http://gis.test/arcgis/rest?%74oken=&f=json";
    send(&service, get(uri)).await;
    source.valid.revoke_all();
    send(&service, get(uri)).await;
    let last = fake.seen().pop().unwrap();
    assert_eq!(last.uri.query(), Some("token=secret-2&f=json"));
}
