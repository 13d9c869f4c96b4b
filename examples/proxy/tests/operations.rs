//! What those who run the proxy see: its state, its counters, its log.

mod support;

use std::net::SocketAddr;

use arcgis_stand_in::{PASSWORD, StandIn, USERNAME};
use bytes::Bytes;
use http::Request;
use http_body_util::Full;
use support::{ECHO, File, Got, PARCELS, Proxy, http1, tokens};
use tokio::io::{AsyncBufReadExt, BufReader};

async fn get(admin: SocketAddr, path: &str) -> Got {
    let request = Request::get(format!("http://{admin}{path}"));
    let request = request.body(Full::<Bytes>::default()).unwrap();
    Got::from(http1().request(request).await.unwrap()).await
}

fn text(got: &Got) -> String {
    String::from_utf8(got.body.to_vec()).unwrap()
}

#[tokio::test]
async fn a_proxy_says_whether_it_can_log_in() {
    let arcgis = StandIn::start().await.unwrap();
    let mut proxy = Proxy::before(&arcgis, &["--admin-listen", "127.0.0.1:0"]).await;
    let admin = proxy.admin().await;
    assert_eq!(text(&get(admin, "/healthz").await), "ok\n");
    let ready = get(admin, "/readyz").await;
    assert_eq!(
        (ready.status.as_u16(), &ready.json()["ready"]),
        (200, &true.into())
    );
    assert_eq!(ready.json()["sites"][0]["site"], arcgis.root());

    arcgis.set_user(USERNAME, "changed");
    proxy.get(PARCELS).await;
    let refused = get(admin, "/readyz").await;
    assert_eq!(
        (refused.status.as_u16(), &refused.json()["ready"]),
        (503, &false.into())
    );
    assert_eq!(get(admin, "/healthz").await.status, 200);
    assert_eq!(get(admin, "/elsewhere").await.status, 404);
    let request = Request::get(format!("http://{admin}/metrics")).header("host", "evil.example");
    let request = request.body(Full::<Bytes>::default()).unwrap();
    assert_eq!(http1().request(request).await.unwrap().status(), 421);
    assert_eq!(
        proxy.get("/readyz").await.status,
        404,
        "callers are not told"
    );
}

#[tokio::test]
async fn what_is_counted_has_no_secret_in_it() {
    let arcgis = StandIn::start().await.unwrap();
    let mut proxy = Proxy::before(&arcgis, &["--admin-listen", "127.0.0.1:0"]).await;
    let admin = proxy.admin().await;
    for _ in 0..3 {
        assert!(proxy.get(PARCELS).await.is_the_service());
    }
    proxy.get("/arcgis/admin").await;
    arcgis.revoke_all_tokens();
    assert!(proxy.get(PARCELS).await.is_the_service());
    let counted = text(&get(admin, "/metrics").await);
    for line in [
        "arcgis_proxy_requests_total{status=\"2xx\"} 4",
        "arcgis_proxy_requests_total{status=\"4xx\"} 1",
        "arcgis_proxy_refusals_total{kind=\"administration\"} 1",
        "arcgis_proxy_request_duration_seconds_count 5",
        "# TYPE arcgis_proxy_connections gauge",
        "kind=\"token_invalid\"} 1",
        "kind=\"token_required\"} 1",
    ] {
        assert!(counted.contains(line), "{line} in {counted}");
    }
    assert!(counted.contains("arcgis_auth_logins"), "{counted}");
    for secret in tokens(&arcgis)
        .iter()
        .map(String::as_str)
        .chain([PASSWORD, USERNAME])
    {
        assert!(
            !counted.contains(&format!("\"{secret}\"")),
            "{secret} in {counted}"
        );
    }
}

#[tokio::test]
async fn a_request_has_one_name_all_the_way() {
    let arcgis = StandIn::start().await.unwrap();
    let proxy = Proxy::before(&arcgis, &[]).await;
    let named = proxy
        .get_with(ECHO, &[("x-request-id", "from-the-web-server-1")])
        .await;
    assert_eq!(
        named.echoed("x-request-id").as_deref(),
        Some("from-the-web-server-1")
    );
    assert_eq!(named.header("x-request-id"), "from-the-web-server-1");
    let unnamed = proxy.get(ECHO).await;
    assert_eq!(
        unnamed.echoed("x-request-id").as_deref(),
        Some(unnamed.header("x-request-id"))
    );
    let refused = proxy.get("/arcgis/admin").await;
    let id = refused.header("x-request-id").to_owned();
    assert_eq!(id.len(), 16);
    let log = proxy.terminate().await.log;
    for id in ["from-the-web-server-1", unnamed.header("x-request-id"), &id] {
        assert!(log.contains(&format!("request=\"{id}\"")), "{id} in {log}");
    }
}

#[tokio::test]
async fn the_log_may_be_objects_in_a_file() {
    let arcgis = StandIn::start().await.unwrap();
    let file = File::new("proxy.log", b"kept\n");
    let proxy = Proxy::before(
        &arcgis,
        &["--log-format", "json", "--log-file", file.path()],
    )
    .await;
    assert!(proxy.get(PARCELS).await.is_the_service());
    assert_eq!(proxy.terminate().await.log, "");
    let log = std::fs::read_to_string(file.path()).unwrap();
    let mut lines = log.lines();
    assert_eq!(lines.next(), Some("kept"));
    let answered = lines
        .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap())
        .find(|line| line["message"] == "answered")
        .unwrap();
    assert_eq!(answered["status"], 200);
    assert_eq!(answered["path"], "/arcgis/rest/services/Parcels/MapServer");
}

#[tokio::test]
async fn a_log_that_cannot_be_written_ends_the_start() {
    for options in [["--log-file", "/nowhere/proxy.log"], ["--log-level", "=="]] {
        let output = support::program(&options, &[("RUST_LOG", "")])
            .output()
            .await
            .unwrap();
        assert_eq!(output.status.code(), Some(2));
        assert!(
            String::from_utf8_lossy(&output.stderr).contains(
                options[0]
                    .trim_start_matches("--log-")
                    .split('-')
                    .next()
                    .unwrap()
            )
        );
    }
}

#[tokio::test]
async fn a_log_that_nobody_reads_any_more_stops_nothing() {
    let arcgis = StandIn::start().await.unwrap();
    let root = arcgis.root();
    let options = [
        "--listen",
        "127.0.0.1:0",
        "--upstream",
        &root,
        "--username",
        USERNAME,
    ];
    let mut child = support::program(&options, &[("ARCGIS_PASSWORD", PASSWORD)])
        .spawn()
        .unwrap();
    drop(child.stderr.take());
    let mut line = String::new();
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    stdout.read_line(&mut line).await.unwrap();
    let origin = line.trim_end().strip_prefix("listening on ").unwrap();
    for _ in 0..3 {
        let request = Request::get(format!("{origin}{PARCELS}")).body(Full::<Bytes>::default());
        let got = Got::from(http1().request(request.unwrap()).await.unwrap()).await;
        assert!(got.is_the_service());
    }
}
