//! Callers that keep the proxy waiting, or ask for too much of it.

mod support;

use arcgis_stand_in::StandIn;
use bytes::Bytes;
use http::Request;
use http_body_util::Full;
use support::{PARCELS, PUBLIC_ECHO, Proxy, read_head};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

/// Returns once the proxy has closed the connection, with what it said before.
async fn closed(mut connection: TcpStream) -> String {
    let mut said = Vec::new();
    // A reset is an end too: the proxy had not read all that was sent.
    let _ = connection.read_to_end(&mut said).await;
    String::from_utf8_lossy(&said).into_owned()
}

async fn connection(proxy: &Proxy, start: &str) -> TcpStream {
    let mut connection = TcpStream::connect(proxy.address).await.unwrap();
    connection.write_all(start.as_bytes()).await.unwrap();
    connection
}

#[tokio::test]
async fn a_connection_without_a_whole_head_is_closed() {
    let arcgis = StandIn::start().await.unwrap();
    let proxy = Proxy::before(&arcgis, &["--header-timeout", "1s"]).await;
    for start in [
        "",
        "PRI * HTTP/2.0\r\n",
        "GET /arcgis HTTP/1.1\r\nHost: localhost\r\nX-",
    ] {
        assert_eq!(closed(connection(&proxy, start).await).await, "", "{start}");
    }
}

#[tokio::test]
async fn the_protocol_is_recognised_however_its_first_bytes_come() {
    let arcgis = StandIn::start().await.unwrap();
    let proxy = Proxy::before(&arcgis, &[]).await;
    let post =
        format!("OST {PUBLIC_ECHO} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n");
    let patch =
        format!("TCH {PUBLIC_ECHO} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n");
    let http2 = "I * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\u{4}\0\0\0\0\0";
    for (start, rest, is_http2) in [
        ("P", post, false),
        ("PA", patch, false),
        ("PR", http2.into(), true),
    ] {
        let mut caller = connection(&proxy, start).await;
        // Once another is answered, the proxy has seen this one's start.
        assert!(proxy.get(PARCELS).await.is_the_service());
        caller.write_all(rest.as_bytes()).await.unwrap();
        let mut answer = [0; 9];
        caller.read_exact(&mut answer).await.unwrap();
        // The head of a frame with settings, which are the first thing that a server says.
        let says_settings = answer[3..] == [4, 0, 0, 0, 0, 0];
        let expected = (is_http2, !is_http2);
        assert_eq!(
            (says_settings, answer == *b"HTTP/1.1 "),
            expected,
            "{start}"
        );
    }
}

#[tokio::test]
async fn headers_that_drag_on_end_a_connection_that_was_used() {
    let arcgis = StandIn::start().await.unwrap();
    let proxy = Proxy::before(&arcgis, &["--header-timeout", "1s"]).await;
    let request = format!("HEAD {PUBLIC_ECHO} HTTP/1.1\r\nHost: localhost\r\n\r\n");
    let mut connection = connection(&proxy, &request).await;
    let answer = read_head(&mut connection).await;
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    connection.write_all(b"GET /").await.unwrap();
    assert_eq!(closed(connection).await, "");
}

#[tokio::test]
async fn an_idle_connection_is_closed() {
    let arcgis = StandIn::start().await.unwrap();
    let proxy = Proxy::before(&arcgis, &["--idle-timeout", "1s"]).await;
    let request = format!("GET {PUBLIC_ECHO} HTTP/1.1\r\nHost: localhost\r\n\r\n");
    assert!(
        closed(connection(&proxy, &request).await)
            .await
            .starts_with("HTTP/1.1 200 ")
    );
}

#[tokio::test]
async fn a_body_that_stops_is_a_timeout_and_no_fault_of_the_upstream() {
    let arcgis = StandIn::start().await.unwrap();
    let proxy = Proxy::before(&arcgis, &["--body-timeout", "1s"]).await;
    let start =
        format!("POST {PUBLIC_ECHO} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\nhalf");
    let answer = closed(connection(&proxy, &start).await).await;
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
    assert!(answer.contains("--body-timeout"), "{answer}");
    let log = proxy.terminate().await.log;
    assert!(!log.contains("no answer from the upstream"), "{log}");
}

#[tokio::test]
async fn a_malformed_body_is_the_callers_fault() {
    let arcgis = StandIn::start().await.unwrap();
    let proxy = Proxy::before(&arcgis, &[]).await;
    let head =
        format!("POST {PUBLIC_ECHO} HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked");
    let answer = proxy.raw_with_body(&head, "nonsense\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
    assert!(answer.contains(r#""code":400"#), "{answer}");
    let log = proxy.terminate().await.log;
    assert!(!log.contains("WARN"), "{log}");
}

#[tokio::test]
async fn a_body_may_be_as_large_as_is_said() {
    let arcgis = StandIn::start().await.unwrap();
    let proxy = Proxy::before(&arcgis, &["--max-body-size", "8"]).await;
    let post = |body: &'static str| {
        Request::post(proxy.url(PUBLIC_ECHO))
            .body(Full::<Bytes>::from(body))
            .unwrap()
    };
    assert_eq!(
        proxy.send(post("12345678")).await.json()["body"],
        "12345678"
    );
    let got = proxy.send(post("123456789")).await;
    assert_eq!(got.status, 413);
    assert!(
        got.json()["error"]["details"][0]
            .as_str()
            .unwrap()
            .contains("--max-body-size")
    );
    let head =
        format!("POST {PUBLIC_ECHO} HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked");
    let answer = proxy
        .raw_with_body(&head, "5\r\n12345\r\n5\r\n12345\r\n0\r\n\r\n")
        .await;
    assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
}

#[tokio::test]
async fn a_body_arrives_with_the_length_it_was_announced_with() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let upstream = format!("http://{}", listener.local_addr().unwrap());
    let proxy = Proxy::start(&["--upstream", &upstream], &[]).await;
    let _caller = connection(
        &proxy,
        "POST /a HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4\r\n\r\nabcd",
    )
    .await;
    let (mut server, _) = listener.accept().await.unwrap();
    let head = read_head(&mut server).await.to_ascii_lowercase();
    assert!(head.contains("content-length: 4\r\n"), "{head}");
    assert!(!head.contains("transfer-encoding"), "{head}");
}

#[tokio::test]
async fn silent_connections_keep_nobody_out_for_long() {
    let arcgis = StandIn::start().await.unwrap();
    let options = ["--max-connections", "2", "--header-timeout", "1s"];
    let mut proxy = Proxy::before(&arcgis, &options).await;
    let mut silent = Vec::new();
    for start in ["", "PRI * HT", "GET /", ""] {
        silent.push(connection(&proxy, start).await);
    }
    assert!(proxy.get(PARCELS).await.is_the_service());
    proxy
        .wait_for_log("all places for connections are taken")
        .await;
}

#[tokio::test]
async fn a_caller_over_ipv4_is_the_same_one_on_a_socket_of_ipv6() {
    let arcgis = StandIn::start().await.unwrap();
    let options = ["--listen", "[::ffff:127.0.0.1]:0", "--max-connections", "2"];
    let proxy = Proxy::before(&arcgis, &options).await;
    // Loopback may have all places, others half of them.
    let _silent = connection(&proxy, "").await;
    let request =
        format!("GET {PUBLIC_ECHO} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    let answer = closed(connection(&proxy, &request).await).await;
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    let forwarded = r#"["x-forwarded-for","127.0.0.1"]"#;
    assert!(answer.contains(forwarded), "{answer}");
}

#[tokio::test]
async fn requests_at_once_over_one_connection_have_places_too() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let upstream = format!("http://{}", listener.local_addr().unwrap());
    let options = ["--upstream", &*upstream, "--max-connections", "2"];
    let mut proxy = Proxy::start(&options, &[]).await;
    let client = support::http2();
    let ask = || {
        let request = Request::get(proxy.url("/a"))
            .body(Full::<Bytes>::default())
            .unwrap();
        tokio::spawn(client.request(request))
    };
    let waiting = [ask(), ask(), ask()];
    let mut servers = Vec::new();
    for _ in 0..2 {
        servers.push(listener.accept().await.unwrap().0);
    }
    proxy
        .wait_for_log("all places for connections are taken")
        .await;
    // Once one is answered, the third is sent.
    let answer = b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n";
    for mut server in servers {
        read_head(&mut server).await;
        server.write_all(answer).await.unwrap();
    }
    let (mut last, _) = listener.accept().await.unwrap();
    read_head(&mut last).await;
    last.write_all(answer).await.unwrap();
    for answered in waiting {
        assert_eq!(answered.await.unwrap().unwrap().status(), 204);
    }
}

#[tokio::test]
async fn an_answer_that_is_not_taken_is_given_up() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let upstream = format!("http://{}", listener.local_addr().unwrap());
    let options = ["--upstream", &*upstream, "--body-timeout", "1s"];
    let proxy = Proxy::start(&options, &[]).await;
    let _caller = connection(&proxy, "GET /a HTTP/1.1\r\nHost: localhost\r\n\r\n").await;
    let (mut server, _) = listener.accept().await.unwrap();
    read_head(&mut server).await;
    server
        .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 100000000000\r\n\r\n")
        .await
        .unwrap();
    // It takes what fits into the sockets' buffers, and no more; then it hangs up.
    while server.write_all(&[0; 65536]).await.is_ok() {}
}
