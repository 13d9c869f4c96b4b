//! Who may ask the proxy, and for what.

mod support;

use arcgis_stand_in::StandIn;
use bytes::Bytes;
use http::{Method, Request, StatusCode};
use http_body_util::Full;
use support::{ECHO, Got, PARCELS, PUBLIC_ECHO, Proxy, http2};

/// Fails unless the proxy itself refused the request, naming `option`.
fn assert_refused(got: &Got, status: u16, option: &str) {
    assert_eq!(got.status, status, "{got:?}");
    let error = &got.json()["error"];
    assert_eq!(error["code"], status);
    assert!(
        error["details"][0].as_str().unwrap().contains(option),
        "{error}"
    );
    assert_eq!(got.header("cache-control"), "no-store");
}

fn request(method: Method, url: String, headers: &[(&str, &str)]) -> Request<Full<Bytes>> {
    let mut request = Request::builder().method(method).uri(url);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(Full::default()).unwrap()
}

const PREFLIGHT: [(&str, &str); 3] = [
    ("origin", "https://maps.example.com"),
    ("access-control-request-method", "POST"),
    ("access-control-request-headers", "content-type"),
];

#[tokio::test]
async fn logins_and_administration_are_not_served() {
    let arcgis = StandIn::start().await.unwrap();
    let proxy = Proxy::before(&arcgis, &[]).await;
    for path in [
        "/arcgis/tokens/generateToken",
        "/arcgis/rest/generateToken?f=json",
        "/arcgis/rest/login",
        "/arcgis/admin/generateToken",
        "/arcgis//tokens/%2567enerateToken",
        "/arcgis/rest/services/../generateToken",
        "/portal/sharing/rest/oauth2/token",
    ] {
        assert_refused(&proxy.get(path).await, 403, "--allow-logins");
    }
    let login = request(Method::POST, proxy.url("/arcgis/tokens"), &[]);
    assert_refused(&proxy.send(login).await, 403, "--allow-logins");
    for path in [
        "/arcgis/admin",
        "/arcgis/%6Danager/",
        "/arcgis/rest/../admin/services",
    ] {
        assert_refused(&proxy.get(path).await, 403, "--allow-admin");
    }
    assert_eq!(arcgis.counters().requests, 0);
}

#[tokio::test]
async fn server_information_and_folders_with_the_same_names_are_served() {
    let arcgis = StandIn::start().await.unwrap();
    let proxy = Proxy::before(&arcgis, &[]).await;
    for path in [
        "/arcgis/rest/info?f=json",
        "/arcgis/rest/services/admin/MapServer",
        "/arcgis/rest/services/tokens/MapServer",
    ] {
        let before = arcgis.counters().requests;
        assert_ne!(proxy.get(path).await.status, 403, "{path}");
        assert!(arcgis.counters().requests > before, "{path}");
    }
}

#[tokio::test]
async fn they_are_served_where_that_is_allowed() {
    let arcgis = StandIn::start().await.unwrap();
    let proxy = Proxy::before(&arcgis, &["--allow-logins", "--allow-admin"]).await;
    for path in ["/arcgis/tokens/generateToken", "/arcgis/admin"] {
        proxy.get(path).await;
        let reached = |received: &arcgis_stand_in::Received| received.path_and_query == path;
        assert!(arcgis.received().iter().any(reached), "{path}");
    }
}

#[tokio::test]
async fn another_name_that_leads_to_this_machine_is_not_the_proxys() {
    let arcgis = StandIn::start().await.unwrap();
    let proxy = Proxy::before(&arcgis, &["--public-host", "maps.example.com"]).await;
    let got = proxy.get_with(PARCELS, &[("host", "evil.example")]).await;
    assert_refused(&got, 421, "--public-host");
    let target = format!("GET http://evil.example{PARCELS} HTTP/1.1\r\nHost: localhost");
    let answer = proxy.raw(&target).await;
    assert!(answer.starts_with("HTTP/1.1 421 "), "{answer}");
    let mut over_http2 = request(Method::GET, proxy.url(PARCELS), &[]);
    over_http2
        .headers_mut()
        .insert("host", "evil.example".parse().unwrap());
    let got = Got::from(http2().request(over_http2).await.unwrap()).await;
    assert_refused(&got, 421, "--public-host");
    assert_eq!(arcgis.counters().requests, 0);
    for host in ["localhost:8080", "[::1]", "maps.example.com"] {
        assert!(
            proxy
                .get_with(PARCELS, &[("host", host)])
                .await
                .is_the_service(),
            "{host}"
        );
    }
}

#[tokio::test]
async fn pages_of_other_origins_may_not_ask() {
    let arcgis = StandIn::start().await.unwrap();
    let proxy = Proxy::before(&arcgis, &[]).await;
    for headers in [
        &[("origin", "https://evil.example")][..],
        &[("origin", "null")],
        &[
            ("origin", "https://evil.example"),
            ("sec-fetch-site", "cross-site"),
        ],
        &[("sec-fetch-site", "cross-site")],
        &[
            ("sec-fetch-site", "cross-site"),
            ("referer", "https://evil.example/"),
        ],
    ] {
        assert_refused(
            &proxy.get_with(PARCELS, headers).await,
            403,
            "--allow-origin",
        );
    }
    let preflight = request(Method::OPTIONS, proxy.url(PARCELS), &PREFLIGHT);
    let got = proxy.send(preflight).await;
    assert_refused(&got, 403, "--allow-origin");
    assert_eq!(got.header("access-control-allow-origin"), "");
    assert_eq!(arcgis.counters().requests, 0);
}

#[tokio::test]
async fn its_own_pages_and_a_developers_may_ask() {
    let arcgis = StandIn::start().await.unwrap();
    let proxy = Proxy::before(&arcgis, &[]).await;
    for headers in [
        &[("sec-fetch-site", "none")][..],
        &[
            ("sec-fetch-site", "same-origin"),
            ("origin", "https://maps.example.com"),
        ],
        &[
            ("origin", "http://localhost:3000"),
            ("sec-fetch-site", "cross-site"),
        ],
        &[
            ("referer", "http://127.0.0.1:5500/"),
            ("sec-fetch-site", "cross-site"),
        ],
        &[("sec-fetch-site", "same-site")],
    ] {
        let got = proxy.get_with(PARCELS, headers).await;
        assert!(got.is_the_service(), "{headers:?}");
    }
}

#[tokio::test]
async fn an_allowed_origin_gets_its_preflights_and_answers_from_the_proxy() {
    let arcgis = StandIn::start().await.unwrap();
    let options = ["--allow-origin", "https://maps.example.com"];
    let proxy = Proxy::before(&arcgis, &options).await;
    let got = proxy
        .send(request(Method::OPTIONS, proxy.url(PARCELS), &PREFLIGHT))
        .await;
    assert_eq!(got.status, StatusCode::OK);
    assert_eq!(
        got.header("access-control-allow-origin"),
        "https://maps.example.com"
    );
    assert_eq!(got.header("access-control-allow-methods"), "POST");
    assert_eq!(got.header("access-control-allow-headers"), "content-type");
    assert_eq!(got.header("access-control-allow-credentials"), "true");
    assert_eq!(arcgis.counters().requests, 0);

    let origin = [PREFLIGHT[0]];
    for (path, status) in [(PARCELS, 200), ("/arcgis/rest/login", 403)] {
        let got = proxy.get_with(path, &origin).await;
        assert_eq!(got.status, status);
        let allowed: Vec<_> = got
            .headers
            .get_all("access-control-allow-origin")
            .iter()
            .collect();
        assert_eq!(allowed, ["https://maps.example.com"], "{path}");
        let vary = got.header("vary").to_ascii_lowercase();
        assert!(vary.contains("origin"), "{path}");
    }
    let other = [("origin", "https://evil.example")];
    assert_refused(
        &proxy.get_with(PARCELS, &other).await,
        403,
        "--allow-origin",
    );
}

#[tokio::test]
async fn any_origin_may_ask_where_that_is_allowed_but_not_with_credentials() {
    let arcgis = StandIn::start().await.unwrap();
    let proxy = Proxy::before(&arcgis, &["--allow-origin", "*"]).await;
    let got = proxy
        .get_with(
            PARCELS,
            &[("origin", "null"), ("sec-fetch-site", "cross-site")],
        )
        .await;
    assert!(got.is_the_service());
    assert_eq!(got.header("access-control-allow-origin"), "*");
    assert_eq!(got.header("access-control-allow-credentials"), "");
    let image = proxy
        .get_with(PARCELS, &[("sec-fetch-site", "cross-site")])
        .await;
    assert!(image.is_the_service());
}

#[tokio::test]
async fn the_upstreams_word_on_origins_passes_unless_the_proxy_has_its_own() {
    let answer = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nAccess-Control-Allow-Origin: http://localhost:3000\r\n\
                  Access-Control-Allow-Private-Thing: 1\r\nVary: Accept\r\n\r\nok";
    let origin = [("origin", "http://localhost:3000")];
    let upstream = support::Parrot::start(answer).await;
    let proxy = Proxy::start(&["--upstream", &upstream.url()], &[]).await;
    let got = proxy.get_with("/a", &origin).await;
    assert_eq!(
        got.header("access-control-allow-origin"),
        "http://localhost:3000"
    );
    assert_eq!(got.header("access-control-allow-private-thing"), "1");

    let options = [
        "--upstream",
        &upstream.url(),
        "--allow-origin",
        "https://maps.example.com",
    ];
    let proxy = Proxy::start(&options, &[]).await;
    let got = proxy.get_with("/a", &[PREFLIGHT[0]]).await;
    assert_eq!(
        got.header("access-control-allow-origin"),
        "https://maps.example.com"
    );
    assert_eq!(got.header("access-control-allow-private-thing"), "");
    assert_eq!(got.header("vary"), "Accept");
    // A developer's page is not shut out by an origin that is allowed.
    let got = proxy.get_with("/a", &origin).await;
    assert_eq!(
        got.header("access-control-allow-origin"),
        "http://localhost:3000"
    );
}

#[tokio::test]
async fn only_the_paths_that_are_named_are_served() {
    let arcgis = StandIn::start().await.unwrap();
    let parcels = "/arcgis/rest/services/Parcels";
    let proxy = Proxy::before(
        &arcgis,
        &["--allow-path", parcels, "--allow-path", "/arcgis/rest/info"],
    )
    .await;
    assert!(proxy.get(PARCELS).await.is_the_service());
    assert_eq!(proxy.get("/arcgis/rest/info?f=json").await.status, 200);
    let before = arcgis.counters().requests;
    for path in [
        "/arcgis/rest/services",
        "/arcgis/rest/services/Parcels2/MapServer",
        PUBLIC_ECHO,
        "/arcgis/rest/services/Parcels/../Basemap/MapServer/echo",
        "/arcgis/rest/services/Parcels/%2e%2e%2fBasemap/MapServer/echo",
    ] {
        assert_refused(&proxy.get(path).await, 403, "--allow-path");
    }
    assert_eq!(arcgis.counters().requests, before);
}

#[tokio::test]
async fn only_the_pages_that_are_named_may_ask() {
    let arcgis = StandIn::start().await.unwrap();
    let options = ["--allow-referer", "https://*.example.com/viewer"];
    let proxy = Proxy::before(&arcgis, &options).await;
    let page = [("referer", "https://maps.example.com/viewer/index.html")];
    assert!(proxy.get_with(PARCELS, &page).await.is_the_service());
    let before = arcgis.counters().requests;
    for headers in [
        &[][..],
        &[("referer", "https://maps.example.com/")],
        &[("referer", "https://evil.example/viewer")],
    ] {
        assert_refused(
            &proxy.get_with(PARCELS, headers).await,
            403,
            "--allow-referer",
        );
    }
    assert_eq!(arcgis.counters().requests, before);
}

#[tokio::test]
async fn a_client_that_asks_too_often_is_told_when_it_may_again() {
    let arcgis = StandIn::start().await.unwrap();
    let options = ["--rate-limit", "2/1h", "--trusted-proxy", "127.0.0.1"];
    let proxy = Proxy::before(&arcgis, &options).await;
    let client = |address| [("x-forwarded-for", address)];
    for _ in 0..2 {
        assert!(
            proxy
                .get_with(PARCELS, &client("192.0.2.1"))
                .await
                .is_the_service()
        );
    }
    let before = arcgis.counters().requests;
    let got = proxy.get_with(PARCELS, &client("6.6.6.6, 192.0.2.1")).await;
    assert_refused(&got, 429, "--rate-limit");
    let seconds: u64 = got.header("retry-after").parse().unwrap();
    assert!((1..=1800).contains(&seconds), "{seconds}");
    assert_eq!(arcgis.counters().requests, before);
    assert!(
        proxy
            .get_with(PARCELS, &client("192.0.2.2"))
            .await
            .is_the_service()
    );
}

#[tokio::test]
async fn a_trusted_proxy_over_ipv4_is_trusted_on_a_socket_of_ipv6() {
    let arcgis = StandIn::start().await.unwrap();
    let listen = ["--listen", "[::ffff:127.0.0.1]:0"];
    let options = ["--rate-limit", "1/1h", "--trusted-proxy", "127.0.0.1"];
    let proxy = Proxy::before(&arcgis, &[listen.as_slice(), &options].concat()).await;
    for client in ["192.0.2.1", "192.0.2.2"] {
        let headers = [("host", "localhost"), ("x-forwarded-for", client)];
        let got = proxy.get_with(PARCELS, &headers).await;
        assert!(got.is_the_service(), "{client}");
    }
}

#[tokio::test]
async fn without_a_trusted_proxy_the_connection_says_who_the_client_is() {
    let arcgis = StandIn::start().await.unwrap();
    let proxy = Proxy::before(&arcgis, &["--rate-limit", "1/1h"]).await;
    assert!(
        proxy
            .get_with(PARCELS, &[("x-forwarded-for", "192.0.2.1")])
            .await
            .is_the_service()
    );
    let got = proxy
        .get_with(PARCELS, &[("x-forwarded-for", "192.0.2.2")])
        .await;
    assert_refused(&got, 429, "--rate-limit");
}

#[tokio::test]
async fn a_proxy_that_anyone_reaches_warns_unless_something_limits_them() {
    let arcgis = StandIn::start().await.unwrap();
    let root = arcgis.root();
    let start = |more: &'static [&'static str]| {
        let arguments = [
            &[
                "--listen",
                "0.0.0.0:0",
                "--upstream",
                &root,
                "--username",
                arcgis_stand_in::USERNAME,
            ],
            more,
        ]
        .concat();
        async move {
            Proxy::start(
                &arguments,
                &[("ARCGIS_PASSWORD", arcgis_stand_in::PASSWORD)],
            )
            .await
            .terminate()
            .await
            .log
        }
    };
    assert!(
        start(&[])
            .await
            .contains("limit what they may ask for with --allow-path")
    );
    assert!(
        !start(&["--rate-limit", "50/10m"])
            .await
            .contains("limit what they may")
    );
}

#[tokio::test]
async fn an_option_may_come_from_its_variable() {
    let arcgis = StandIn::start().await.unwrap();
    let variables = [
        ("ARCGIS_PROXY_UPSTREAM", &*arcgis.root()),
        ("ARCGIS_USERNAME", arcgis_stand_in::USERNAME),
        ("ARCGIS_PASSWORD", arcgis_stand_in::PASSWORD),
        (
            "ARCGIS_PROXY_ALLOW_PATH",
            "/arcgis/rest/info,/arcgis/rest/services/Parcels",
        ),
        ("ARCGIS_PROXY_RATE_LIMIT", ""),
        ("ARCGIS_PROXY_ALLOW_ADMIN", "1"),
        ("ARCGIS_PROXY_BIND_TO_ADDRESS", "no"),
        ("ARCGIS_PROXY_TOKEN_PLACEMENT", "header"),
    ];
    let proxy = Proxy::start(&["--referer", "https://maps.example.com/"], &variables).await;
    assert!(proxy.get(PARCELS).await.is_the_service());
    let echo = proxy.get(ECHO).await;
    assert!(echo.echoed("x-esri-authorization").is_some());
    assert_refused(&proxy.get("/arcgis/admin").await, 403, "--allow-path");
    assert_refused(&proxy.get(PUBLIC_ECHO).await, 403, "--allow-path");
}
