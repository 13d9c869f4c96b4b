//! A response as the detector gets it, with the usual for everything that a test does not care for; and bodies in
//! codings.

use std::io::Write;

use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use tower_arcgis_auth::{Challenge, RequestFacts, Verdict, detect};

pub(crate) const REQUIRED: Verdict = Verdict::Challenge(Challenge::TokenRequired);
pub(crate) const INVALID: Verdict = Verdict::Challenge(Challenge::TokenInvalid);
pub(crate) const LOGIN_PAGE: Verdict = Verdict::Challenge(Challenge::LoginPage);
pub(crate) const LOGIN_REDIRECT: Verdict = Verdict::Challenge(Challenge::LoginRedirect);

pub(crate) const CHALLENGE: &str =
    r#"{"error":{"code":499,"message":"Token Required","details":[]}}"#;
pub(crate) const SIGN_IN: &str = "<html><head><title>ArcGIS Login</title></head><body>\
    <form action=\"/arcgis/rest/login\"><input type=\"password\"></form></body></html>";

pub(crate) const CODINGS: [&str; 4] = ["gzip", "deflate", "br", "zstd"];

#[derive(Clone)]
pub(crate) struct Received {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
    pub(crate) token: bool,
    pub(crate) method: Method,
}

/// The answer to a GET without a token.
pub(crate) fn received(status: u16, body: impl AsRef<[u8]>) -> Received {
    Received {
        status,
        headers: HeaderMap::new(),
        body: body.as_ref().to_vec(),
        token: false,
        method: Method::GET,
    }
}

impl Received {
    /// The request had a token.
    pub(crate) fn signed(mut self) -> Self {
        self.token = true;
        self
    }

    /// The request had this method.
    pub(crate) fn to(mut self, method: Method) -> Self {
        self.method = method;
        self
    }

    pub(crate) fn header(mut self, name: HeaderName, value: &str) -> Self {
        self.headers
            .append(name, HeaderValue::from_str(value).unwrap());
        self
    }

    /// The same body in a coding, which the headers name.
    pub(crate) fn coded(mut self, coding: &str) -> Self {
        self.body = coded(coding, &self.body);
        self.header(header::CONTENT_ENCODING, coding)
    }

    /// The verdict on so much of the body.
    pub(crate) fn after(&self, len: usize, ended: bool) -> Verdict {
        detect(
            StatusCode::from_u16(self.status).unwrap(),
            &self.headers,
            RequestFacts::new(&self.method, self.token),
            &self.body[..len],
            ended,
        )
    }

    pub(crate) fn verdict(&self) -> Verdict {
        self.after(self.body.len(), true)
    }

    /// How many bytes it takes to decide.
    pub(crate) fn decided_after(&self) -> usize {
        (0..=self.body.len())
            .find(|len| self.after(*len, false) != Verdict::More)
            .expect("decided by the whole body at last")
    }

    /// Once decided, a verdict stays, and it is the one the whole response has.
    #[track_caller]
    pub(crate) fn assert_steady(&self) {
        let whole = self.verdict();
        assert_ne!(whole, Verdict::More);
        let mut decided = false;
        for len in 0..=self.body.len() {
            let verdict = self.after(len, false);
            assert!(
                verdict == whole || (verdict == Verdict::More && !decided),
                "{verdict:?} after {len} bytes, {whole:?} in the end"
            );
            decided |= verdict != Verdict::More;
        }
    }
}

pub(crate) fn page(body: impl AsRef<[u8]>) -> Received {
    received(200, body).header(header::CONTENT_TYPE, "text/html;charset=utf-8")
}

/// The body in a coding; as it is in any other.
pub(crate) fn coded(coding: &str, body: &[u8]) -> Vec<u8> {
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

/// The body in `br`, with a window of so many bits.
pub(crate) fn br(window: u32, body: &[u8]) -> Vec<u8> {
    let mut coded = Vec::new();
    brotli::CompressorWriter::new(&mut coded, 4096, 5, window)
        .write_all(body)
        .unwrap();
    coded
}

/// A feature set of three hundred roads, which no look reads to its end.
pub(crate) fn features() -> String {
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
