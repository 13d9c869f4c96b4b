//! The way out to the upstream: through the proxy that the environment names, or straight.
#![allow(clippy::unwrap_used, reason = "test code outside of test functions")]

mod support;

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use arcgis_stand_in::{PASSWORD, StandIn, USERNAME};
use http::StatusCode;
use support::{
    File, PARCELS, Proxy,
    https::{Front, Identity},
    program, read_head,
};
use tokio::{
    io::{AsyncWriteExt, copy_bidirectional},
    net::{TcpListener, TcpStream},
};

/// No name server knows it.
const UPSTREAM: &str = "https://gis.invalid:6443";
/// Leads to this machine, and is none of its loopback addresses.
const THIS_HOST: &str = "0.0.0.0";

/// A proxy on the way out: whatever it is asked for, it connects to one place.
struct Tunneler {
    address: SocketAddr,
    heads: Arc<Mutex<Vec<String>>>,
}

impl Tunneler {
    async fn to(place: SocketAddr) -> Self {
        Self::answering("HTTP/1.1 200 Connection established\r\n\r\n", place).await
    }

    async fn answering(answer: &'static str, place: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let heads = Arc::new(Mutex::new(Vec::new()));
        let heard = Arc::clone(&heads);
        tokio::spawn(async move {
            while let Ok((mut outside, _)) = listener.accept().await {
                let heard = Arc::clone(&heard);
                tokio::spawn(async move {
                    let head = read_head(&mut outside).await;
                    heard.lock().unwrap().push(head.to_ascii_lowercase());
                    outside.write_all(answer.as_bytes()).await.unwrap();
                    let mut inside = TcpStream::connect(place).await.unwrap();
                    let _ = copy_bidirectional(&mut outside, &mut inside).await;
                });
            }
        });
        Self { address, heads }
    }

    fn heads(&self) -> Vec<String> {
        self.heads.lock().unwrap().clone()
    }
}

/// A stand-in behind https, and a proxy that leads there.
struct Behind {
    arcgis: StandIn,
    front: Front,
    tunneler: Tunneler,
    ca: File,
}

async fn behind() -> Behind {
    let arcgis = StandIn::start().await.unwrap();
    let identity = Identity::of_openssl();
    let front = Front::start(&arcgis, &identity, "http/1.1").await;
    let tunneler = Tunneler::to(front.address).await;
    let name = format!("outbound-{}.pem", front.address.port());
    let ca = File::new(&name, identity.pem.as_bytes());
    Behind {
        arcgis,
        front,
        tunneler,
        ca,
    }
}

impl Behind {
    /// Before the stand-in, which says that it is at `origin`.
    async fn proxy(&self, origin: &str, variables: &[(&str, &str)]) -> Proxy {
        let tokens = format!("{origin}/arcgis/tokens/");
        self.arcgis.set_token_services_url(Some(tokens));
        self.arcgis.reset_counters();
        let arguments = [
            "--upstream",
            origin,
            "--username",
            USERNAME,
            "--ca-file",
            self.ca.path(),
        ];
        let variables = [&[("ARCGIS_PASSWORD", PASSWORD)], variables].concat();
        Proxy::start(&arguments, &variables).await
    }
}

#[tokio::test]
async fn https_goes_through_the_proxy_of_the_environment_for_requests_and_logins() {
    for variable in ["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"] {
        let behind = behind().await;
        let url = format!("http://clerk:hunter2@{}", behind.tunneler.address);
        let proxy = behind.proxy(UPSTREAM, &[(variable, &url)]).await;
        assert!(proxy.get(PARCELS).await.is_the_service());
        assert_eq!(behind.arcgis.counters().logins, 1);
        let heads = behind.tunneler.heads();
        assert!(heads.len() >= 2, "{heads:?}");
        for head in heads {
            assert!(
                head.starts_with("connect gis.invalid:6443 http/1.1\r\n"),
                "{head}"
            );
            // clerk:hunter2
            let login = "proxy-authorization: basic y2xlcms6ahvudgvymg==\r\n";
            assert!(head.contains(login), "{head}");
        }
        let log = proxy.terminate().await.log;
        let shown = format!("http://{}", behind.tunneler.address);
        let said = log.lines().filter(|line| line.contains("go through"));
        let said: Vec<&str> = said.collect();
        assert_eq!(said.len(), 1, "{log}");
        assert!(said[0].contains(&shown) && said[0].contains(variable));
        assert!(!log.contains("hunter2"), "{log}");
    }
}

#[tokio::test]
async fn a_server_that_is_listed_in_no_proxy_is_reached_straight() {
    let behind = behind().await;
    let url = format!("http://{}", behind.tunneler.address);
    let origin = format!("https://{THIS_HOST}:{}", behind.front.address.port());
    for (variable, list) in [
        ("NO_PROXY", "gis.example.com, 0.0.0.0"),
        ("no_proxy", "gis.example.com 0.0.0.0/8"),
        ("NO_PROXY", "*"),
    ] {
        let variables = [("HTTPS_PROXY", &*url), (variable, list)];
        let proxy = behind.proxy(&origin, &variables).await;
        assert!(proxy.get(PARCELS).await.is_the_service());
        assert_eq!(behind.arcgis.counters().logins, 1);
        assert_eq!(behind.tunneler.heads().len(), 0, "{variable}={list}");
    }
    let variables = [("HTTPS_PROXY", &*url), ("NO_PROXY", "gis.example.com")];
    let proxy = behind.proxy(&origin, &variables).await;
    assert!(proxy.get(PARCELS).await.is_the_service());
    assert!(!behind.tunneler.heads().is_empty());
}

#[tokio::test]
async fn this_machine_is_reached_straight() {
    let behind = behind().await;
    let url = format!("http://{}", behind.tunneler.address);
    let proxy = behind
        .proxy(&behind.front.origin(), &[("HTTPS_PROXY", &url)])
        .await;
    assert!(proxy.get(PARCELS).await.is_the_service());
    assert_eq!(behind.tunneler.heads().len(), 0);
}

#[tokio::test]
async fn a_plain_http_upstream_is_reached_straight_and_the_log_says_so() {
    let behind = behind().await;
    let url = format!("http://{}", behind.tunneler.address);
    let origin = format!("http://{THIS_HOST}:{}", behind.arcgis.addr().port());
    let upstream = format!("{origin}/arcgis");
    let public = "/arcgis/rest/services/Basemap/MapServer?f=json";
    for (variables, said) in [
        (&[("HTTP_PROXY", &*url)][..], 1),
        (&[("ALL_PROXY", &url)], 1),
        (&[("HTTP_PROXY", &url), ("NO_PROXY", THIS_HOST)], 0),
        (&[("HTTPS_PROXY", &url)], 0),
    ] {
        let proxy = Proxy::start(&["--upstream", &upstream], variables).await;
        assert!(proxy.get(public).await.is_the_service());
        let log = proxy.terminate().await.log;
        assert_eq!(log.matches("a proxy is named, and not used").count(), said);
    }
    assert_eq!(behind.tunneler.heads().len(), 0);
}

#[tokio::test]
async fn a_proxy_that_refuses_is_named_in_the_log() {
    let behind = behind().await;
    let refusal = "HTTP/1.1 407 Proxy Authentication Required\r\n\r\n";
    let tunneler = Tunneler::answering(refusal, behind.front.address).await;
    let url = format!("http://clerk:hunter2@{}", tunneler.address);
    let proxy = behind.proxy(UPSTREAM, &[("HTTPS_PROXY", &url)]).await;
    assert_eq!(proxy.get(PARCELS).await.status, StatusCode::BAD_GATEWAY);
    assert_eq!(behind.arcgis.counters().requests, 0);
    let log = proxy.terminate().await.log;
    let said = format!(
        "no way through the proxy http://{} of HTTPS_PROXY",
        tunneler.address
    );
    assert!(log.contains(&said), "{log}");
    assert!(log.contains("proxy authorization required"), "{log}");
    assert!(!log.contains("hunter2"), "{log}");
}

#[tokio::test]
async fn a_proxy_that_cannot_be_used_is_refused_at_the_start_unless_nothing_would_go_there() {
    for (url, why) in [
        ("socks5://clerk:hunter2@127.0.0.1:1080", "SOCKS"),
        ("https://clerk:hunter2@127.0.0.1:3128", "over https"),
        ("ftp://clerk:hunter2@127.0.0.1", "not the URL of a proxy"),
        ("http://hunter2 hunter2", "not the URL of a proxy"),
    ] {
        let arguments = ["--listen", "127.0.0.1:0", "--upstream", UPSTREAM];
        let ended = program(&arguments, &[("HTTPS_PROXY", url)])
            .output()
            .await
            .unwrap();
        let said = String::from_utf8(ended.stderr).unwrap();
        assert_eq!(ended.status.code(), Some(2), "{url}: {said}");
        assert!(
            said.contains("HTTPS_PROXY") && said.contains(why),
            "{url}: {said}"
        );
        assert!(!said.contains("hunter2"), "{said}");

        let behind = behind().await;
        let proxy = behind
            .proxy(&behind.front.origin(), &[("HTTPS_PROXY", url)])
            .await;
        assert!(proxy.get(PARCELS).await.is_the_service());
    }
}
