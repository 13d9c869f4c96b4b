//! What is a challenge, and what only looks like one.

mod codes;
mod codings;
mod corpus;
mod downloads;
mod identity_providers;
mod pages;
mod peeking;
mod portal_pages;
mod properties;
mod through_the_layer;

use std::io::Write;

use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use tower_arcgis_auth::{Challenge, RequestFacts, Verdict, detect};

const REQUIRED: Verdict = Verdict::Challenge(Challenge::TokenRequired);
const INVALID: Verdict = Verdict::Challenge(Challenge::TokenInvalid);
const LOGIN_PAGE: Verdict = Verdict::Challenge(Challenge::LoginPage);
const LOGIN_REDIRECT: Verdict = Verdict::Challenge(Challenge::LoginRedirect);
const SIGN_IN: &str = "<html><head><title>ArcGIS Login</title></head><body>\
    <form action=\"/arcgis/rest/login\"><input type=\"password\"></form></body></html>";
const CODINGS: [&str; 4] = ["gzip", "deflate", "br", "zstd"];
const CHALLENGE: &str = r#"{"error":{"code":499,"message":"Token Required","details":[]}}"#;

/// A response, with the usual for everything a test does not care for.
#[derive(Clone)]
struct Response {
    status: u16,
    headers: HeaderMap,
    body: Vec<u8>,
    token: bool,
    method: Method,
}

fn response(status: u16, body: impl AsRef<[u8]>) -> Response {
    Response {
        status,
        headers: HeaderMap::new(),
        body: body.as_ref().to_vec(),
        token: false,
        method: Method::GET,
    }
}

fn ok(body: impl AsRef<[u8]>) -> Response {
    response(200, body)
}

impl Response {
    fn signed(mut self) -> Self {
        self.token = true;
        self
    }

    fn to(mut self, method: Method) -> Self {
        self.method = method;
        self
    }

    fn coded(mut self, coding: &str) -> Self {
        self.body = coded(coding, &self.body);
        self.header(header::CONTENT_ENCODING, coding)
    }

    fn header(mut self, name: HeaderName, value: &str) -> Self {
        self.headers
            .append(name, HeaderValue::from_str(value).unwrap());
        self
    }

    fn prefix(&self, len: usize, ended: bool) -> Verdict {
        detect(
            StatusCode::from_u16(self.status).unwrap(),
            &self.headers,
            RequestFacts::new(&self.method, self.token),
            &self.body[..len],
            ended,
        )
    }

    fn verdict(&self) -> Verdict {
        self.prefix(self.body.len(), true)
    }

    /// How many bytes it takes to decide.
    fn decided_after(&self) -> usize {
        (0..=self.body.len())
            .find(|len| self.prefix(*len, false) != Verdict::More)
            .expect("decided by the whole body at last")
    }

    /// Once decided, a verdict stays, and it is the one the whole response has.
    fn assert_steady(&self) {
        let whole = self.verdict();
        assert_ne!(whole, Verdict::More);
        let mut decided = false;
        for len in 0..=self.body.len() {
            let verdict = self.prefix(len, false);
            assert!(
                verdict == whole || (verdict == Verdict::More && !decided),
                "{verdict:?} after {len} bytes, {whole:?} in the end"
            );
            decided |= verdict != Verdict::More;
        }
    }
}

fn page(body: impl AsRef<[u8]>) -> Response {
    response(200, body).header(header::CONTENT_TYPE, "text/html;charset=utf-8")
}

fn coded(coding: &str, body: &[u8]) -> Vec<u8> {
    match coding {
        "gzip" => {
            let level = flate2::Compression::default();
            let mut encoder = flate2::write::GzEncoder::new(Vec::new(), level);
            encoder.write_all(body).unwrap();
            encoder.finish().unwrap()
        }
        "deflate" => {
            let level = flate2::Compression::default();
            let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), level);
            encoder.write_all(body).unwrap();
            encoder.finish().unwrap()
        }
        "br" => br(22, body),
        "zstd" => zstd::stream::encode_all(body, 3).unwrap(),
        _ => body.to_vec(),
    }
}

fn br(window: u32, body: &[u8]) -> Vec<u8> {
    let mut coded = Vec::new();
    brotli::CompressorWriter::new(&mut coded, 4096, 5, window)
        .write_all(body)
        .unwrap();
    coded
}

fn features() -> String {
    let mut json = r#"{"objectIdFieldName":"OBJECTID","features":["#.to_owned();
    for id in 0..300 {
        json.push_str(&format!(
            r#"{{"attributes":{{"OBJECTID":{id},"NAME":"Road {}"}}}},"#,
            id * id % 97
        ));
    }
    json.pop();
    json + "]}"
}
