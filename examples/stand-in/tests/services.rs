//! Services answer those who are let in, and misbehave where asked to.

mod support;

use arcgis_stand_in::{StandIn, USERNAME, digest};
use bytes::Bytes;
use http::{Method, Response};
use support::{get, get_with, http1, http2, parcels, raw, send, started};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

async fn with_token() -> (StandIn, String) {
    let arcgis = started().await;
    let token = arcgis.issue_token(USERNAME, None);
    (arcgis, token)
}

#[tokio::test]
async fn services_answer_in_the_format_asked_for() {
    let (arcgis, token) = with_token().await;
    for (path, content_type, start) in [
        ("?f=json", "text/plain", &b"{"[..]),
        ("", "text/html", b"<!DOCTYPE"),
        ("/0?f=json", "text/plain", b"{"),
        ("/0/query?where=1%3D1&f=json", "text/plain", b"{"),
        ("/0/query?f=pbf", "application/x-protobuf", b"\x12"),
        ("/export?f=image", "image/png", b"\x89PNG"),
        ("/export?f=json", "text/plain", b"{"),
        ("/tile/1/2/3", "image/png", b"\x89PNG"),
    ] {
        let joint = if path.contains('?') { '&' } else { '?' };
        let got = get(&parcels(&arcgis, &format!("{path}{joint}token={token}"))).await;
        assert!(
            got.header("content-type").starts_with(content_type),
            "{path}"
        );
        assert!(got.body.starts_with(start), "{path}");
    }
    assert_eq!(
        get(&parcels(
            &arcgis,
            &format!("/nonsense?f=json&token={token}")
        ))
        .await
        .code(),
        400
    );
}

#[tokio::test]
async fn public_pages_are_full_of_the_words_of_a_login() {
    let arcgis = StandIn::start().await.unwrap();
    for path in ["rest/services", "rest/services/Basemap/MapServer"] {
        let got = get(&arcgis.url(path)).await;
        assert!(
            got.text().contains("Login") && got.text().contains("Get Token"),
            "{path}"
        );
    }
    assert_eq!(
        get(&arcgis.url("rest/services?f=json")).await.json()["services"]
            .as_array()
            .unwrap()
            .len(),
        4
    );
    assert_eq!(arcgis.counters().challenges, 0);
}

#[tokio::test]
async fn a_service_that_is_not_there_is_a_404_inside_a_200() {
    let arcgis = StandIn::start().await.unwrap();
    let got = get(&arcgis.url("rest/services/Nothing/MapServer?f=json")).await;
    assert_eq!((got.status.as_u16(), got.code()), (200, 404));
    arcgis.publish("Nothing/MapServer");
    assert_eq!(
        get(&arcgis.url("rest/services/Nothing/MapServer?f=json"))
            .await
            .code(),
        0
    );
    arcgis.secure("Nothing/MapServer");
    assert_eq!(
        get(&arcgis.url("rest/services/Nothing/MapServer?f=json"))
            .await
            .code(),
        499
    );
}

#[tokio::test]
async fn edits_are_counted_when_they_are_let_in() {
    let (arcgis, token) = with_token().await;
    for edit in ["applyEdits", "addFeatures", "addAttachment"] {
        let path = format!("rest/services/Water/FeatureServer/0/{edit}?f=json");
        let headers = [("content-type", "multipart/form-data; boundary=x")];
        let url = arcgis.url(&path);
        assert_eq!(
            send(&http1(), Method::POST, &url, &headers, "--x--")
                .await
                .code(),
            499
        );
        let url = format!("{url}&token={token}");
        assert_eq!(
            send(&http1(), Method::POST, &url, &headers, "--x--")
                .await
                .code(),
            0
        );
    }
    assert_eq!(arcgis.counters().edits, 3);
}

#[tokio::test]
async fn an_echo_repeats_what_arrived_on_both_versions_of_http() {
    let (arcgis, token) = with_token().await;
    let url = parcels(&arcgis, &format!("/echo?a=%20b&token={token}"));
    for (client, version) in [(http1(), "HTTP/1.1"), (http2(), "HTTP/2.0")] {
        let echo = send(
            &client,
            Method::PUT,
            &url,
            &[("x-a", "1"), ("x-a", "2")],
            "geometry",
        )
        .await
        .json();
        assert_eq!(echo["method"], "PUT");
        assert_eq!(echo["version"], version);
        assert_eq!(
            echo["pathAndQuery"],
            url.strip_prefix(&arcgis.origin()).unwrap()
        );
        assert_eq!(echo["body"], "geometry");
        assert_eq!(echo["bodyLength"], 8);
        assert_eq!(echo["bodyDigest"], digest(b"geometry"));
        let named: Vec<_> = echo["headers"]
            .as_array()
            .unwrap()
            .iter()
            .filter(|pair| pair[0] == "x-a")
            .collect();
        assert_eq!((&named[0][1], &named[1][1]), (&"1".into(), &"2".into()));
    }
}

#[tokio::test]
async fn an_echo_of_a_long_body_gives_its_length_and_checksum_only() {
    let (arcgis, token) = with_token().await;
    let body = "0123456789".repeat(200_000);
    let url = parcels(&arcgis, &format!("/echo?token={token}"));
    let echo = send(&http2(), Method::POST, &url, &[], &body).await.json();
    assert_eq!(echo["bodyLength"], 2_000_000);
    assert_eq!(echo["bodyDigest"], digest(body.as_bytes()));
    assert!(echo["body"].is_null());
}

#[tokio::test]
async fn an_echo_shows_the_trailers_of_a_chunked_body() {
    let (arcgis, token) = with_token().await;
    let request = format!(
        "POST /arcgis/rest/services/Parcels/MapServer/echo HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\
         X-Esri-Authorization: Bearer {token}\r\nTransfer-Encoding: chunked\r\nTrailer: x-sum\r\n\r\n\
         3\r\nabc\r\n2\r\nde\r\n0\r\nx-sum: 5\r\n\r\n"
    );
    let answer = raw(&arcgis, &request).await;
    assert!(answer.contains(r#""body":"abcde""#), "{answer}");
    assert!(answer.contains(r#""trailers":[["x-sum","5"]]"#), "{answer}");
}

#[tokio::test]
async fn a_stream_ends_in_a_trailer_with_its_checksum() {
    let (arcgis, token) = with_token().await;
    let request = format!(
        "GET /arcgis/rest/services/Parcels/MapServer/stream?chunks=2&size=3&token={token} HTTP/1.1\r\n\
         Host: a\r\nTE: trailers\r\nConnection: close\r\n\r\n"
    );
    let answer = raw(&arcgis, &request).await;
    assert!(
        answer.to_lowercase().contains("transfer-encoding: chunked"),
        "{answer}"
    );
    let ending = format!("0\r\nx-stand-in-digest: {}\r\n\r\n", digest(b"abcabc"));
    assert!(answer.ends_with(&ending), "{answer}");
}

#[tokio::test]
async fn events_stay_open_after_the_first() {
    let (arcgis, token) = with_token().await;
    let mut stream = TcpStream::connect(arcgis.addr()).await.unwrap();
    let request = format!(
        "GET /arcgis/rest/services/Parcels/MapServer/events?token={token} HTTP/1.1\r\nHost: a\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut seen = String::new();
    while !seen.contains("event: ready") {
        let mut part = [0; 1024];
        let read = stream.read(&mut part).await.unwrap();
        assert_ne!(read, 0);
        seen.push_str(std::str::from_utf8(&part[..read]).unwrap());
    }
    assert!(seen.contains("text/event-stream"));
    // It ends only with the server.
    arcgis.stop().await;
    let mut rest = Vec::new();
    let _ = stream.read_to_end(&mut rest).await;
    assert!(!rest.ends_with(b"0\r\n\r\n"));
}

#[tokio::test]
async fn cookies_are_set_only_on_signed_requests_and_only_when_asked_for() {
    let (arcgis, token) = with_token().await;
    let url = parcels(&arcgis, &format!("?f=json&token={token}"));
    assert!(get(&url).await.headers.get("set-cookie").is_none());
    arcgis.set_cookies(true);
    let got = get(&url).await;
    let names: Vec<_> = got
        .headers
        .get_all("set-cookie")
        .iter()
        .map(|value| value.to_str().unwrap().split('=').next().unwrap())
        .collect();
    assert_eq!(names, ["agstoken", "esri_auth", "esri_aopc", "AGS_ROLES"]);
    assert!(
        get(&parcels(&arcgis, "?f=json"))
            .await
            .headers
            .get("set-cookie")
            .is_none()
    );
}

#[tokio::test]
async fn a_redirect_gives_the_token_away() {
    let (arcgis, token) = with_token().await;
    let url = parcels(&arcgis, &format!("/redirect?f=json&token={token}"));
    let got = get(&url).await;
    assert_eq!(got.status, 302);
    assert_eq!(
        got.header("location"),
        url.replace("/redirect?", "/redirected?")
    );
    for name in ["content-location", "link", "refresh"] {
        assert!(got.header(name).contains(&url), "{name}");
    }
    assert_eq!(get(got.header("location")).await.json()["method"], "GET");
}

#[tokio::test]
async fn an_early_answer_comes_before_the_body() {
    let (arcgis, token) = with_token().await;
    for hold in ["", "&hold=true"] {
        for (token, expected) in [("", "499"), (token.as_str(), "\"early\":true")] {
            let mut stream = TcpStream::connect(arcgis.addr()).await.unwrap();
            let head = format!(
                "POST /arcgis/rest/services/Parcels/MapServer/early?token={token}{hold} HTTP/1.1\r\nHost: a\r\n\
                 Content-Length: 1000000\r\n\r\n"
            );
            stream.write_all(head.as_bytes()).await.unwrap();
            let mut seen = String::new();
            while !seen.contains(expected) {
                let mut part = [0; 1024];
                let read = stream.read(&mut part).await.unwrap();
                assert_ne!(read, 0, "{seen}");
                seen.push_str(std::str::from_utf8(&part[..read]).unwrap());
            }
        }
    }
}

#[tokio::test]
async fn an_early_answer_works_over_http2() {
    let (arcgis, token) = with_token().await;
    let body = "x".repeat(10_000_000);
    for hold in ["", "&hold=true"] {
        let url = parcels(&arcgis, &format!("/early?token={token}{hold}"));
        let got = send(&http2(), Method::POST, &url, &[], &body).await;
        assert_eq!(got.json()["early"], true);
    }
}

#[tokio::test]
async fn a_canned_answer_takes_the_place_of_the_usual_one() {
    let (arcgis, token) = with_token().await;
    let url = parcels(&arcgis, &format!("/checkurl?f=json&token={token}"));
    let answer = Response::builder()
        .status(203)
        .header("x-canned", "yes")
        .body(Bytes::from_static(b"{}"))
        .unwrap();
    arcgis.set_answer("Parcels/MapServer/checkurl", Some(answer));
    let got = get(&url).await;
    assert_eq!(
        (got.status.as_u16(), got.header("x-canned"), got.text()),
        (203, "yes", "{}")
    );
    assert!(got.headers.get("content-type").is_none());
    assert_eq!(get(&parcels(&arcgis, "/checkurl?f=json")).await.code(), 499);
    arcgis.set_answer("Parcels/MapServer/checkurl", None);
    assert_eq!(get(&url).await.code(), 400);
}

#[tokio::test]
async fn urls_in_answers_follow_the_host_that_was_asked() {
    let (arcgis, token) = with_token().await;
    let url = parcels(&arcgis, &format!("/redirect?token={token}"));
    let got = get_with(&url, &[("host", "gis.example:8080")]).await;
    assert!(
        got.header("location")
            .starts_with("http://gis.example:8080/arcgis/"),
        "{got:?}"
    );
}
