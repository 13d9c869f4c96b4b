//! The proxy as a process of its own, and callers to ask it.
#![allow(dead_code, reason = "each test file uses its part of it")]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "test code outside of test functions"
)]

#[path = "../../../../tests/https/mod.rs"]
pub(crate) mod https;

use std::{
    fs,
    net::SocketAddr,
    path::PathBuf,
    process::{ExitStatus, Stdio},
};

use arcgis_stand_in::{PASSWORD, Received, StandIn, USERNAME};
use bytes::Bytes;
use http::{HeaderMap, Request, StatusCode, Version};
use http_body_util::{BodyExt, Full};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use serde_json::Value;
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
    process::{Child, Command},
    sync::watch,
    task::JoinHandle,
};

pub(crate) const PARCELS: &str = "/arcgis/rest/services/Parcels/MapServer?f=json";
pub(crate) const ECHO: &str = "/arcgis/rest/services/Parcels/MapServer/echo";
pub(crate) const PUBLIC_ECHO: &str = "/arcgis/rest/services/Basemap/MapServer/echo";
/// What the services are, if nothing asks for a login.
pub(crate) const CAPABILITIES: &str = "Map,Query,Data";

/// A file of the test's own; removed when dropped.
pub(crate) struct File(PathBuf);

impl File {
    pub(crate) fn new(name: &str, content: &[u8]) -> Self {
        let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
        fs::write(&path, content).unwrap();
        Self(path)
    }

    pub(crate) fn path(&self) -> &str {
        self.0.to_str().unwrap()
    }

    /// Puts other content in its place, all at once.
    pub(crate) fn replace(&self, content: &[u8]) {
        let next = self.0.with_extension("next");
        fs::write(&next, content).unwrap();
        fs::rename(&next, &self.0).unwrap();
    }
}

impl Drop for File {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

/// The program, with nothing of the test's own surroundings.
pub(crate) fn program(arguments: &[&str], variables: &[(&str, &str)]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_arcgis-proxy"));
    for name in [
        "ARCGIS_USERNAME",
        "ARCGIS_PASSWORD",
        "ARCGIS_CLIENT_ID",
        "ARCGIS_CLIENT_SECRET",
        "ARCGIS_API_KEY",
        "ARCGIS_TOKEN",
        "ARCGIS_REDIS_URL",
        "ARCGIS_CACHE_KEY",
        "HTTP_PROXY",
        "HTTPS_PROXY",
        "ALL_PROXY",
        "NO_PROXY",
        "http_proxy",
        "https_proxy",
        "all_proxy",
        "no_proxy",
    ] {
        command.env_remove(name);
    }
    command
        .args(arguments)
        .env("RUST_LOG", "arcgis_proxy=trace,tower_arcgis_auth=trace")
        .envs(variables.iter().copied())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    command
}

/// A running proxy; killed when dropped.
pub(crate) struct Proxy {
    pub(crate) address: SocketAddr,
    child: Child,
    log: watch::Receiver<String>,
    reader: JoinHandle<()>,
    stdout: BufReader<tokio::process::ChildStdout>,
}

/// What is left of a proxy that ended.
pub(crate) struct Ended {
    pub(crate) status: ExitStatus,
    pub(crate) log: String,
    /// Whatever came after the line that says where it listens.
    pub(crate) stdout: String,
}

impl Proxy {
    /// In front of `arcgis`, as the user it knows.
    pub(crate) async fn before(arcgis: &StandIn, more: &[&str]) -> Self {
        Self::at(&arcgis.root(), more).await
    }

    /// In front of `upstream`, as the stand-in's user.
    pub(crate) async fn at(upstream: &str, more: &[&str]) -> Self {
        let arguments = [&["--upstream", upstream, "--username", USERNAME], more].concat();
        Self::start(&arguments, &[("ARCGIS_PASSWORD", PASSWORD)]).await
    }

    /// Returns once it listens.
    pub(crate) async fn start(arguments: &[&str], variables: &[(&str, &str)]) -> Self {
        let listen: &[&str] = match arguments.contains(&"--listen") {
            true => &[],
            false => &["--listen", "127.0.0.1:0"],
        };
        let arguments = [listen, arguments].concat();
        let mut child = program(&arguments, variables).spawn().unwrap();
        let stderr = child.stderr.take().unwrap();
        let (writer, log) = watch::channel(String::new());
        let reader = tokio::spawn(async move {
            let mut lines = BufReader::new(stderr).lines();
            while let Ok(Some(line)) = lines.next_line().await {
                writer.send_modify(|log| {
                    log.push_str(&line);
                    log.push('\n');
                });
            }
        });
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        stdout.read_line(&mut line).await.unwrap();
        let Some(address) = line.strip_prefix("listening on http://") else {
            reader.await.unwrap();
            panic!("the proxy did not start: {}", *log.borrow());
        };
        Self {
            address: address.trim_end().parse().unwrap(),
            child,
            log,
            reader,
            stdout,
        }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub(crate) async fn get(&self, path: &str) -> Got {
        self.get_with(path, &[]).await
    }

    pub(crate) async fn get_with(&self, path: &str, headers: &[(&str, &str)]) -> Got {
        let mut request = Request::get(self.url(path));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        self.send(request.body(Full::default()).unwrap()).await
    }

    pub(crate) async fn send(&self, request: Request<Full<Bytes>>) -> Got {
        Got::from(http1().request(request).await.unwrap()).await
    }

    /// Sends `head` as it stands, asks for the connection to be closed, and returns all that comes back.
    pub(crate) async fn raw(&self, head: &str) -> String {
        self.raw_with_body(head, "").await
    }

    pub(crate) async fn raw_with_body(&self, head: &str, body: &str) -> String {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        let text = format!("{head}\r\nConnection: close\r\n\r\n{body}");
        stream.write_all(text.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.unwrap();
        String::from_utf8(answer).unwrap()
    }

    /// Returns once the log says `words`.
    pub(crate) async fn wait_for_log(&mut self, words: &str) {
        let log = self.log.wait_for(|log| log.contains(words)).await;
        assert!(log.is_ok(), "the proxy ended without saying {words:?}");
    }

    /// The address of `--admin-listen`, as the log names it.
    pub(crate) async fn admin(&mut self) -> SocketAddr {
        self.wait_for_log("/healthz, /readyz and /metrics are served")
            .await;
        let log = self.log();
        let line = log.lines().find(|line| line.contains("/healthz")).unwrap();
        let address = line.split("address=").nth(1).unwrap();
        address.split_whitespace().next().unwrap().parse().unwrap()
    }

    /// What it counts, for Prometheus. Needs `--admin-listen`.
    pub(crate) async fn metrics(&mut self) -> String {
        let admin = self.admin().await;
        let request = Request::get(format!("http://{admin}/metrics"));
        let request = request.body(Full::<Bytes>::default()).unwrap();
        let got = Got::from(http1().request(request).await.unwrap()).await;
        String::from_utf8(got.body.to_vec()).unwrap()
    }

    /// What the log says so far.
    pub(crate) fn log(&self) -> String {
        self.log.borrow().clone()
    }

    pub(crate) fn process_id(&self) -> u32 {
        self.child.id().unwrap()
    }

    /// Sends the process a signal: `TERM`, `INT`.
    pub(crate) async fn signal(&self, name: &str) {
        let pid = self.process_id().to_string();
        let sent = Command::new("kill")
            .args(["-s", name, &pid])
            .status()
            .await
            .unwrap();
        assert!(sent.success());
    }

    /// Returns once the process has ended by itself.
    pub(crate) async fn ended(mut self) -> Ended {
        let status = self.child.wait().await.unwrap();
        self.reader.await.unwrap();
        let mut stdout = String::new();
        self.stdout.read_to_string(&mut stdout).await.unwrap();
        Ended {
            status,
            log: self.log.borrow().clone(),
            stdout,
        }
    }

    pub(crate) async fn terminate(self) -> Ended {
        self.signal("TERM").await;
        self.ended().await
    }
}

/// An answer, read to its end.
#[derive(Debug)]
pub(crate) struct Got {
    pub(crate) status: StatusCode,
    pub(crate) version: Version,
    pub(crate) headers: HeaderMap,
    pub(crate) trailers: Option<HeaderMap>,
    pub(crate) body: Bytes,
}

impl Got {
    pub(crate) async fn from<B>(response: http::Response<B>) -> Self
    where
        B: http_body_util::BodyExt<Data = Bytes>,
        B::Error: std::fmt::Debug,
    {
        let (parts, body) = response.into_parts();
        let body = BodyExt::collect(body).await.unwrap();
        Self {
            status: parts.status,
            version: parts.version,
            headers: parts.headers,
            trailers: body.trailers().cloned(),
            body: body.to_bytes(),
        }
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .map_or("", |value| value.to_str().unwrap())
    }

    /// Whether this is what was asked for, and no login.
    pub(crate) fn is_the_service(&self) -> bool {
        self.status == StatusCode::OK && self.json()["capabilities"] == CAPABILITIES
    }

    /// Of an echo: a header as it reached the server; its values joined by `|`.
    pub(crate) fn echoed(&self, name: &str) -> Option<String> {
        let echo = self.json();
        let values: Vec<&str> = echo["headers"]
            .as_array()
            .unwrap()
            .iter()
            .filter(|pair| pair[0] == name)
            .filter_map(|pair| pair[1].as_str())
            .collect();
        (!values.is_empty()).then(|| values.join("|"))
    }

    /// Of an echo: the path and query as they reached the server.
    pub(crate) fn echoed_target(&self) -> String {
        self.json()["pathAndQuery"].as_str().unwrap().to_owned()
    }
}

/// The sum of a counter or gauge over all its labels; 0 if it is not there.
pub(crate) fn metric(metrics: &str, name: &str) -> u64 {
    metrics
        .lines()
        .filter_map(|line| line.strip_prefix(name))
        .filter(|rest| rest.starts_with([' ', '{']))
        .filter_map(|rest| rest.rsplit(' ').next())
        .map(|value| value.parse::<u64>().unwrap())
        .sum()
}

pub(crate) fn http1() -> Client<HttpConnector, Full<Bytes>> {
    Client::builder(TokioExecutor::new()).build(connector())
}

pub(crate) fn http2() -> Client<HttpConnector, Full<Bytes>> {
    Client::builder(TokioExecutor::new())
        .http2_only(true)
        .build(connector())
}

/// Small frames do not wait for the other side's acknowledgement.
fn connector() -> HttpConnector {
    let mut connector = HttpConnector::new();
    connector.set_nodelay(true);
    connector
}

/// The token of a request as it arrived, in its query.
pub(crate) fn token_of(received: &Received) -> Option<String> {
    let (_, query) = received.path_and_query.split_once('?')?;
    let token = query
        .split('&')
        .find_map(|pair| pair.strip_prefix("token="))?;
    Some(token.to_owned())
}

/// All tokens that reached the server.
pub(crate) fn tokens(arcgis: &StandIn) -> Vec<String> {
    arcgis.received().iter().filter_map(token_of).collect()
}

/// An address of this machine where nothing listens.
pub(crate) async fn unused_address() -> SocketAddr {
    let arcgis = StandIn::start().await.unwrap();
    arcgis.stop().await;
    arcgis.addr()
}

/// A server that says the same to everyone, to the byte, and then closes the connection.
pub(crate) struct Parrot {
    pub(crate) address: SocketAddr,
    heard: tokio::sync::mpsc::UnboundedReceiver<String>,
}

impl Parrot {
    pub(crate) async fn start(answer: &'static str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (hear, heard) = tokio::sync::mpsc::unbounded_channel();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let hear = hear.clone();
                // Browsers open connections that they may never use.
                tokio::spawn(async move {
                    let head = read_head(&mut stream).await;
                    // The test may be over.
                    let _ = hear.send(head);
                    let _ = stream.write_all(answer.as_bytes()).await;
                });
            }
        });
        Self { address, heard }
    }

    /// The head of the next request, in lower case.
    pub(crate) async fn heard(&mut self) -> String {
        self.heard.recv().await.unwrap().to_ascii_lowercase()
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}/arcgis", self.address)
    }
}

/// Reads to the end of a request's or an answer's head.
pub(crate) async fn read_head(stream: &mut TcpStream) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read_u8().await {
            Ok(byte) => head.push(byte),
            Err(_) => break,
        }
    }
    String::from_utf8(head).unwrap()
}
