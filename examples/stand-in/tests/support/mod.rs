//! A client for the tests.
#![allow(dead_code, reason = "each test file uses its part of it")]
#![allow(clippy::unwrap_used, reason = "test code outside of test functions")]

use arcgis_stand_in::{PASSWORD, StandIn, USERNAME};
use bytes::Bytes;
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

pub(crate) const FORM: (&str, &str) = ("content-type", "application/x-www-form-urlencoded");

/// An answer, read to its end.
#[derive(Debug)]
pub(crate) struct Got {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Got {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .map_or("", |value| value.to_str().unwrap())
    }

    /// The code of the REST error in it; zero if there is none.
    pub(crate) fn code(&self) -> u64 {
        serde_json::from_slice::<Value>(&self.body)
            .ok()
            .and_then(|value| value["error"]["code"].as_u64())
            .unwrap_or(0)
    }
}

pub(crate) type Http = Client<HttpConnector, Full<Bytes>>;

pub(crate) fn http1() -> Http {
    Client::builder(TokioExecutor::new()).build_http()
}

pub(crate) fn http2() -> Http {
    Client::builder(TokioExecutor::new())
        .http2_only(true)
        .build_http()
}

pub(crate) async fn send(
    client: &Http,
    method: Method,
    url: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> Got {
    let mut request = Request::builder().method(method).uri(url);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let response = client
        .request(request.body(Full::from(body.to_owned())).unwrap())
        .await
        .unwrap();
    let (parts, body) = response.into_parts();
    Got {
        status: parts.status,
        headers: parts.headers,
        body: body.collect().await.unwrap().to_bytes(),
    }
}

pub(crate) async fn get(url: &str) -> Got {
    get_with(url, &[]).await
}

pub(crate) async fn get_with(url: &str, headers: &[(&str, &str)]) -> Got {
    send(&http1(), Method::GET, url, headers, "").await
}

pub(crate) async fn post_form(url: &str, pairs: &[(&str, &str)]) -> Got {
    send(&http1(), Method::POST, url, &[FORM], &form(pairs)).await
}

pub(crate) fn form(pairs: &[(&str, &str)]) -> String {
    form_urlencoded::Serializer::new(String::new())
        .extend_pairs(pairs)
        .finish()
}

/// A stand-in with the defaults.
pub(crate) async fn started() -> StandIn {
    StandIn::start().await.unwrap()
}

/// A login as the default user with this password.
pub(crate) async fn login_with(arcgis: &StandIn, password: &str) -> Got {
    let fields = [
        ("username", USERNAME),
        ("password", password),
        ("client", "requestip"),
        ("f", "json"),
    ];
    post_form(&arcgis.url("tokens/generateToken"), &fields).await
}

/// A token of the default user.
pub(crate) async fn login(arcgis: &StandIn) -> String {
    login_with(arcgis, PASSWORD).await.json()["token"]
        .as_str()
        .unwrap()
        .to_owned()
}

/// The URL of something below the secured service `Parcels/MapServer`, with a query.
pub(crate) fn parcels(arcgis: &StandIn, rest: &str) -> String {
    arcgis.url(&format!("rest/services/Parcels/MapServer{rest}"))
}

/// Sends bytes as they are and returns what comes until the server closes.
pub(crate) async fn raw(arcgis: &StandIn, request: &str) -> String {
    let mut stream = TcpStream::connect(arcgis.addr()).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    // A broken-off connection may end in an error; what came before counts.
    let _ = stream.read_to_end(&mut answer).await;
    String::from_utf8_lossy(&answer).into_owned()
}
