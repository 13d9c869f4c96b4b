//! What reaches the upstream, and what comes back.

mod support;

use arcgis_stand_in::StandIn;
use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use support::{ECHO, Got, PARCELS, PUBLIC_ECHO, Parrot, Proxy, http1, http2, read_head};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

#[tokio::test]
async fn the_upstream_gets_its_own_host_and_learns_who_asked() {
    let arcgis = StandIn::start().await.unwrap();
    let proxy = Proxy::before(&arcgis, &["--public-host", "maps.example.com"]).await;
    let echo = proxy
        .get_with(PUBLIC_ECHO, &[("host", "maps.example.com")])
        .await;
    assert_eq!(echo.echoed("host"), Some(arcgis.addr().to_string()));
    assert_eq!(echo.echoed("x-forwarded-for").as_deref(), Some("127.0.0.1"));
    assert_eq!(
        echo.echoed("x-forwarded-host").as_deref(),
        Some("maps.example.com")
    );
    assert_eq!(echo.echoed("x-forwarded-proto").as_deref(), Some("http"));
}

#[tokio::test]
async fn what_a_web_server_in_front_says_of_the_caller_is_kept() {
    let arcgis = StandIn::start().await.unwrap();
    let proxy = Proxy::before(&arcgis, &[]).await;
    let headers = [
        ("x-forwarded-for", "192.0.2.7"),
        ("x-forwarded-host", "maps.example.com"),
        ("x-forwarded-proto", "https"),
    ];
    let echo = proxy.get_with(PUBLIC_ECHO, &headers).await;
    assert_eq!(
        echo.echoed("x-forwarded-for").as_deref(),
        Some("192.0.2.7, 127.0.0.1")
    );
    assert_eq!(
        echo.echoed("x-forwarded-host").as_deref(),
        Some("maps.example.com")
    );
    assert_eq!(echo.echoed("x-forwarded-proto").as_deref(), Some("https"));
}

#[tokio::test]
async fn a_caller_over_http_2_names_its_host_too() {
    let arcgis = StandIn::start().await.unwrap();
    let proxy = Proxy::before(&arcgis, &[]).await;
    let request = Request::get(proxy.url(PUBLIC_ECHO))
        .body(Full::<Bytes>::default())
        .unwrap();
    let echo = Got::from(http2().request(request).await.unwrap()).await;
    assert_eq!(echo.json()["version"], "HTTP/1.1");
    assert_eq!(
        echo.echoed("x-forwarded-host"),
        Some(proxy.address.to_string())
    );
    assert_eq!(echo.echoed("host"), Some(arcgis.addr().to_string()));
}

#[tokio::test]
async fn headers_of_the_callers_connection_go_no_further() {
    let mut upstream = Parrot::start("HTTP/1.1 204 No Content\r\n\r\n").await;
    let proxy = Proxy::start(&["--upstream", &upstream.url()], &[]).await;
    proxy
        .raw(
            "GET /a HTTP/1.1\r\nHost: localhost\r\nConnection: X-Mine\r\nX-Mine: 1\r\nKeep-Alive: timeout=5\r\n\
             Proxy-Authorization: Basic Zm9v\r\nProxy-Connection: keep-alive\r\nTE: gzip, trailers\r\n\
             Upgrade: websocket\r\nX-Theirs: 1",
        )
        .await;
    let heard = upstream.heard().await;
    for name in [
        "connection:",
        "x-mine",
        "keep-alive",
        "proxy-",
        "upgrade",
        "gzip",
    ] {
        assert!(!heard.contains(name), "{name} in {heard}");
    }
    assert!(heard.contains("x-theirs: 1"), "{heard}");
    assert!(heard.contains("te: trailers"), "{heard}");
}

#[tokio::test]
async fn headers_of_the_upstreams_connection_go_no_further() {
    let upstream = Parrot::start(
        "HTTP/1.1 200 Fine\r\nConnection: close, X-Mine\r\nX-Mine: 1\r\nKeep-Alive: timeout=5\r\n\
         Proxy-Authenticate: Basic\r\nX-Theirs: 1\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
    )
    .await;
    let proxy = Proxy::start(&["--upstream", &upstream.url()], &[]).await;
    let got = proxy.get("/a").await;
    for name in ["connection", "x-mine", "keep-alive", "proxy-authenticate"] {
        assert_eq!(got.header(name), "", "{name}");
    }
    assert_eq!(got.header("x-theirs"), "1");
    assert_eq!(got.body, "ok");
}

#[tokio::test]
async fn an_answer_in_http_1_0_is_passed_on_in_http_1_1() {
    let upstream = Parrot::start("HTTP/1.0 200 OK\r\n\r\nuntil the end").await;
    let proxy = Proxy::start(&["--upstream", &upstream.url()], &[]).await;
    let got = proxy.get("/a").await;
    assert_eq!(got.version, http::Version::HTTP_11);
    assert_eq!(got.body, "until the end");
}

#[tokio::test]
async fn a_callers_authorization_stays_here() {
    let arcgis = StandIn::start().await.unwrap();
    let proxy = Proxy::before(&arcgis, &[]).await;
    let headers = [("authorization", "Basic Zm9vOmJhcg==")];
    let echo = proxy.get_with(ECHO, &headers).await;
    assert_eq!(echo.echoed("authorization"), None);
}

#[tokio::test]
async fn a_callers_authorization_is_passed_on_where_that_is_asked_for() {
    let arcgis = StandIn::start().await.unwrap();
    let proxy = Proxy::before(&arcgis, &["--forward-authorization"]).await;
    let headers = [("authorization", "Basic Zm9vOmJhcg==")];
    let echo = proxy.get_with(ECHO, &headers).await;
    assert_eq!(
        echo.echoed("authorization").as_deref(),
        Some("Basic Zm9vOmJhcg==")
    );
}

#[tokio::test]
async fn a_request_for_another_host_goes_to_the_upstream_all_the_same() {
    let arcgis = StandIn::start().await.unwrap();
    let elsewhere = StandIn::start().await.unwrap();
    let proxy = Proxy::before(&arcgis, &[]).await;
    for target in [
        format!("{}{PARCELS}", elsewhere.origin()),
        format!("http://ada:hunter2@{}{PARCELS}", elsewhere.addr()),
        PARCELS.to_owned(),
    ] {
        let head = format!("GET {target} HTTP/1.1\r\nHost: {}", elsewhere.addr());
        let answer = proxy.raw(&head).await;
        assert!(answer.contains(support::CAPABILITIES), "{target}: {answer}");
    }
    assert_eq!(elsewhere.counters().requests, 0);
}

#[tokio::test]
async fn strange_paths_arrive_as_they_are() {
    let mut upstream = Parrot::start("HTTP/1.1 204 No Content\r\n\r\n").await;
    let proxy = Proxy::start(&["--upstream", &upstream.url()], &[]).await;
    for target in [
        "/",
        "//elsewhere.example/a",
        "/a//b/",
        "/a/../b/./c",
        "/a%2F..%2fb;c=d?e=%3f&&f==g?h",
        "/@elsewhere.example:80/",
        "/?",
        "/a?http://elsewhere.example/",
        "/a\\b",
    ] {
        let head = format!("GET {target} HTTP/1.1\r\nHost: localhost");
        proxy.raw(&head).await;
        let heard = upstream.heard().await;
        let line = format!("get {} http/1.1\r\n", target.to_ascii_lowercase());
        assert!(heard.starts_with(&line), "{target}: {heard}");
        let host = format!("host: {}\r\n", upstream.address);
        assert!(heard.contains(&host), "{target}: {heard}");
    }
}

#[tokio::test]
async fn tunnels_and_traces_are_refused() {
    let arcgis = StandIn::start().await.unwrap();
    let proxy = Proxy::before(&arcgis, &[]).await;
    for line in [
        format!("CONNECT {} HTTP/1.1", arcgis.addr()),
        format!("TRACE {PARCELS} HTTP/1.1"),
        format!("TRACK {PARCELS} HTTP/1.1"),
        format!("trace {PARCELS} HTTP/1.1"),
    ] {
        let answer = proxy.raw(&format!("{line}\r\nHost: localhost")).await;
        assert!(answer.starts_with("HTTP/1.1 405 "), "{line}: {answer}");
        assert!(answer.contains("\r\nallow: GET, "), "{line}: {answer}");
    }
    let answer = proxy.raw("OPTIONS * HTTP/1.1\r\nHost: localhost").await;
    assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
    assert_eq!(arcgis.counters().requests, 0);
}

#[tokio::test]
async fn every_other_method_is_passed_on() {
    let arcgis = StandIn::start().await.unwrap();
    let proxy = Proxy::before(&arcgis, &[]).await;
    for method in ["POST", "PUT", "PATCH", "DELETE", "OPTIONS", "PROPFIND"] {
        let request = Request::builder()
            .method(method)
            .uri(proxy.url(PUBLIC_ECHO))
            .body(Full::from("abc"))
            .unwrap();
        let echo = proxy.send(request).await.json();
        assert_eq!(echo["method"], method);
        assert_eq!(echo["body"], "abc");
    }
    let request = Request::builder()
        .method(Method::HEAD)
        .uri(proxy.url(PARCELS))
        .body(Full::default())
        .unwrap();
    let got = proxy.send(request).await;
    assert_eq!(got.status, StatusCode::OK);
    assert!(got.body.is_empty());
}

#[tokio::test]
async fn redirects_lead_through_the_proxy_and_give_no_token_away() {
    let arcgis = StandIn::start().await.unwrap();
    let proxy = Proxy::before(&arcgis, &[]).await;
    let path = "/arcgis/rest/services/Parcels/MapServer/redirect";
    let got = proxy.get(&format!("{path}?a=b")).await;
    assert_eq!(got.status, StatusCode::FOUND);
    assert!(
        got.header("location").starts_with(&format!("{path}ed?a=b")),
        "{:?}",
        got.headers
    );
    assert!(
        got.header("content-location")
            .starts_with(&format!("{path}?a=b")),
        "{:?}",
        got.headers
    );
    let token = support::tokens(&arcgis).pop().unwrap();
    assert!(!format!("{:?}", got.headers).contains(&token));
}

#[tokio::test]
async fn redirects_keep_the_prefix_that_a_web_server_in_front_takes_off() {
    let arcgis = StandIn::start().await.unwrap();
    let proxy = Proxy::before(&arcgis, &[]).await;
    let path = "/arcgis/rest/services/Parcels/MapServer/redirect";
    for (prefix, begin) in [("/gis", "/gis"), ("/maps/city/", "/maps/city"), ("/..", "")] {
        let headers = [("x-forwarded-prefix", prefix)];
        let got = proxy.get_with(&format!("{path}?a=b"), &headers).await;
        for (name, end) in [("location", "ed?a=b"), ("content-location", "?a=b")] {
            let location = got.header(name);
            let expected = format!("{begin}{path}{end}");
            assert!(location.starts_with(&expected), "{prefix}: {location}");
        }
    }
}

#[tokio::test]
async fn a_redirect_to_a_path_keeps_the_prefix_too() {
    let upstream = Parrot::start(
        "HTTP/1.1 201 Created\r\nLocation: /arcgis/a?b=c\r\nContent-Location: a/b\r\nContent-Length: 0\r\n\r\n",
    )
    .await;
    let proxy = Proxy::start(&["--upstream", &upstream.url()], &[]).await;
    let got = proxy
        .get_with("/a", &[("x-forwarded-prefix", "/gis")])
        .await;
    assert_eq!(got.header("location"), "/gis/arcgis/a?b=c");
    assert_eq!(got.header("content-location"), "a/b");

    let got = proxy.get("/a").await;
    assert_eq!(got.header("location"), "/arcgis/a?b=c");
}

#[tokio::test]
async fn a_redirect_elsewhere_gets_no_prefix() {
    for location in ["https://elsewhere.example/a", "//elsewhere.example/a"] {
        let answer =
            format!("HTTP/1.1 302 Found\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n");
        let upstream = Parrot::start(answer.leak()).await;
        let proxy = Proxy::start(&["--upstream", &upstream.url()], &[]).await;
        let got = proxy
            .get_with("/a", &[("x-forwarded-prefix", "/gis")])
            .await;
        assert_eq!(got.header("location"), location);
    }
}

#[tokio::test]
async fn a_prefix_is_no_concern_of_the_upstream() {
    let arcgis = StandIn::start().await.unwrap();
    let proxy = Proxy::before(&arcgis, &[]).await;
    for prefix in ["/gis", "/..", "//elsewhere.example"] {
        let headers = [("x-forwarded-prefix", prefix)];
        let echo = proxy.get_with(PUBLIC_ECHO, &headers).await;
        assert_eq!(echo.echoed("x-forwarded-prefix"), None, "{prefix}");
    }
}

#[tokio::test]
async fn redirects_to_other_hosts_are_left_alone() {
    let upstream = Parrot::start(
        "HTTP/1.1 302 Found\r\nLocation: https://elsewhere.example/a\r\nContent-Length: 0\r\n\r\n",
    )
    .await;
    let proxy = Proxy::start(&["--upstream", &upstream.url()], &[]).await;
    let got = proxy.get("/a").await;
    assert_eq!(got.header("location"), "https://elsewhere.example/a");
}

#[tokio::test]
async fn signed_answers_are_kept_out_of_shared_caches() {
    let arcgis = StandIn::start().await.unwrap();
    let answer = Response::builder()
        .header("cache-control", "public, max-age=300, s-maxage=600")
        .body(Bytes::from("{}"))
        .unwrap();
    arcgis.set_answer("Zoning/MapServer", Some(answer.clone()));
    arcgis.set_answer("Basemap/MapServer", Some(answer));
    let proxy = Proxy::before(&arcgis, &[]).await;
    let got = proxy
        .get("/arcgis/rest/services/Zoning/MapServer?f=json")
        .await;
    assert_eq!(got.header("cache-control"), "private, max-age=300");
    // Public, but asked for with the proxy's token, now that there is one.
    let got = proxy
        .get("/arcgis/rest/services/Basemap/MapServer?f=json")
        .await;
    assert_eq!(got.header("cache-control"), "private, max-age=300");
}

#[tokio::test]
async fn an_upstreams_connection_header_does_not_open_answers_to_shared_caches() {
    for caching in ["", "Cache-Control: public, max-age=300\r\n"] {
        let answer = format!(
            "HTTP/1.1 200 OK\r\n{caching}Connection: cache-control, close\r\nContent-Length: 2\r\n\r\n{{}}"
        );
        let upstream = Parrot::start(answer.leak()).await;
        let url = upstream.url();
        let arguments = ["--upstream", url.as_str()];
        let signing = [&arguments[..], &["--login-first"]].concat();
        let proxy = Proxy::start(&signing, &[("ARCGIS_API_KEY", "AAPK-a-key")]).await;
        let got = proxy.get(PARCELS).await;
        let value = got.header("cache-control");
        assert!(value.starts_with("private"), "{caching}: {value}");

        // What is not signed is the server's own affair: its Cache-Control stays.
        let proxy = Proxy::start(&arguments, &[]).await;
        let got = proxy.get(PARCELS).await;
        assert_eq!(
            got.headers.contains_key("cache-control"),
            !caching.is_empty()
        );
    }
}

#[tokio::test]
async fn trailers_give_no_token_away() {
    let upstream = Parrot::start(
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: location, x-sum, x-url\r\n\r\n2\r\n{}\r\n0\r\n\
         Location: /a?token=AAPK-a-key&b=c\r\nX-Url: /a?%2574oken=AAPK-a-key\r\nX-Sum: 7\r\n\r\n",
    )
    .await;
    let url = upstream.url();
    let variables = [("ARCGIS_API_KEY", "AAPK-a-key")];
    let proxy = Proxy::start(&["--upstream", &url, "--login-first"], &variables).await;
    for client in [http1(), http2()] {
        let request = Request::get(proxy.url(PARCELS))
            .header("te", "trailers")
            .body(Full::default())
            .unwrap();
        let got = Got::from(client.request(request).await.unwrap()).await;
        let trailers = got.trailers.unwrap();
        assert_eq!(trailers["x-sum"], "7");
        assert!(!format!("{trailers:?}").contains("AAPK"), "{trailers:?}");
    }
}

#[tokio::test]
async fn unsigned_answers_are_cached_as_the_server_says() {
    let upstream = Parrot::start(
        "HTTP/1.1 200 OK\r\nCache-Control: public, s-maxage=600\r\nContent-Length: 0\r\n\r\n",
    )
    .await;
    let proxy = Proxy::start(&["--upstream", &upstream.url()], &[]).await;
    let got = proxy.get("/arcgis/rest/services").await;
    assert_eq!(got.header("cache-control"), "public, s-maxage=600");
}

#[tokio::test]
async fn an_answer_streams_while_it_is_being_made() {
    let arcgis = StandIn::start().await.unwrap();
    let proxy = Proxy::before(&arcgis, &[]).await;
    let url = proxy.url("/arcgis/rest/services/Parcels/MapServer/events");
    let request = Request::get(url).body(Full::default()).unwrap();
    let mut response = http1().request(request).await.unwrap();
    // It stays open: reading it to the end would never end.
    let event = response.body_mut().frame().await.unwrap().unwrap();
    assert!(event.into_data().unwrap().starts_with(b"event: ready"));
}

#[tokio::test]
async fn a_request_streams_while_it_is_being_made() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let upstream = format!("http://{}", listener.local_addr().unwrap());
    let proxy = Proxy::at(&upstream, &[]).await;
    let mut caller = TcpStream::connect(proxy.address).await.unwrap();
    caller
        .write_all(b"POST /a HTTP/1.1\r\nHost: localhost\r\nContent-Length: 6\r\n\r\nabc")
        .await
        .unwrap();
    let (mut server, _) = listener.accept().await.unwrap();
    read_head(&mut server).await;
    let mut half = [0; 3];
    server.read_exact(&mut half).await.unwrap();
    assert_eq!(&half, b"abc");
    caller.write_all(b"def").await.unwrap();
    server.read_exact(&mut half).await.unwrap();
    assert_eq!(&half, b"def");
}

#[tokio::test]
async fn trailers_come_through_both_ways() {
    let arcgis = StandIn::start().await.unwrap();
    let proxy = Proxy::before(&arcgis, &[]).await;
    let path = "/arcgis/rest/services/Parcels/MapServer/stream?chunks=3&size=100000";
    let request = Request::get(proxy.url(path))
        .header("te", "trailers")
        .body(Full::default())
        .unwrap();
    let got = proxy.send(request).await;
    assert_eq!(got.body.len(), 300_000);
    assert_eq!(
        got.trailers.unwrap()["x-stand-in-digest"],
        arcgis_stand_in::digest(&got.body)
    );

    let answer = proxy
        .raw_with_body(
            &format!(
                "POST {PUBLIC_ECHO} HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\nTrailer: x-sum"
            ),
            "3\r\nabc\r\n0\r\nx-sum: 7\r\n\r\n",
        )
        .await;
    assert!(answer.contains(r#""trailers":[["x-sum","7"]]"#), "{answer}");
}

#[tokio::test]
async fn a_caller_that_waits_to_be_told_to_go_on_is_told() {
    let arcgis = StandIn::start().await.unwrap();
    let proxy = Proxy::before(&arcgis, &[]).await;
    let mut caller = TcpStream::connect(proxy.address).await.unwrap();
    let head = format!(
        "POST {PUBLIC_ECHO} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\
         Connection: close\r\n\r\n"
    );
    caller.write_all(head.as_bytes()).await.unwrap();
    let go_on = read_head(&mut caller).await;
    assert!(go_on.starts_with("HTTP/1.1 100 "), "{go_on}");
    caller.write_all(b"abc").await.unwrap();
    let mut answer = String::new();
    caller.read_to_string(&mut answer).await.unwrap();
    assert!(answer.contains(r#""body":"abc""#), "{answer}");
    assert!(!answer.contains("expect"), "{answer}");
}

#[tokio::test]
async fn a_caller_that_leaves_takes_its_request_along() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let upstream = format!("http://{}", listener.local_addr().unwrap());
    let proxy = Proxy::at(&upstream, &[]).await;
    let mut caller = TcpStream::connect(proxy.address).await.unwrap();
    caller
        .write_all(b"GET /a HTTP/1.1\r\nHost: localhost\r\n\r\n")
        .await
        .unwrap();
    let (mut server, _) = listener.accept().await.unwrap();
    read_head(&mut server).await;
    drop(caller);
    let mut rest = Vec::new();
    server.read_to_end(&mut rest).await.unwrap();
    assert!(rest.is_empty());
}

#[tokio::test]
async fn a_caller_that_leaves_breaks_no_login_off() {
    let arcgis = StandIn::start().await.unwrap();
    let proxy = Proxy::before(&arcgis, &[]).await;
    let gate = arcgis.hold_logins();
    let mut caller = TcpStream::connect(proxy.address).await.unwrap();
    let head = format!("GET {PARCELS} HTTP/1.1\r\nHost: localhost\r\n\r\n");
    caller.write_all(head.as_bytes()).await.unwrap();
    arcgis.wait_for_logins(1).await;
    drop(caller);
    gate.release();
    assert!(proxy.get(PARCELS).await.is_the_service());
    assert_eq!(arcgis.counters().login_attempts, 1);
}
