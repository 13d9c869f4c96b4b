//! Services that answer at once, from memory.

use std::{
    convert::Infallible,
    future::{Ready, ready},
    hint::black_box,
    io::Write,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use flate2::{
    Compression,
    write::{GzEncoder, ZlibEncoder},
};
use http::{HeaderName, HeaderValue, Request, Response, header};
use http_body::{Body, Frame};
use http_body_util::Full;
use tower::Service;

const JSON: &str = r#"{"objectIdFieldName":"OBJECTID","features":["#;
const CHALLENGE: &str = r#"{"error":{"code":499,"message":"Token Required","details":[]}}"#;
const PNG: &[u8] = b"\x89PNG\r\n\x1a\n";

/// What a service makes of every request.
pub(crate) trait Answering: Clone + 'static {
    type Body: Body<Error: std::fmt::Debug> + Unpin + 'static;

    fn answer(&self) -> Response<Self::Body>;
}

/// Answers with the same headers and body each time.
#[derive(Clone)]
pub(crate) struct Bare {
    /// Shared, so that a clone of the service costs next to nothing, as a clone of a client does.
    headers: Arc<[(HeaderName, HeaderValue)]>,
    body: Bytes,
}

impl Bare {
    fn of_type(content_type: &'static str, start: &[u8]) -> Self {
        let mut body = start.to_vec();
        body.resize(1024, b' ');
        Self {
            headers: [(header::CONTENT_TYPE, HeaderValue::from_static(content_type))].into(),
            body: body.into(),
        }
    }

    fn with(self, headers: &[(HeaderName, &'static str)]) -> Self {
        let more = headers.iter();
        let more = more.map(|(name, value)| (name.clone(), HeaderValue::from_static(value)));
        Self {
            headers: self.headers.iter().cloned().chain(more).collect(),
            body: self.body,
        }
    }

    pub(crate) fn json() -> Self {
        Self::of_type("application/json", JSON.as_bytes())
    }

    pub(crate) fn image() -> Self {
        Self::of_type("image/png", PNG)
    }

    pub(crate) fn challenge() -> Self {
        Self::of_type("application/json", CHALLENGE.as_bytes())
    }

    /// JSON with the headers that ArcGIS Server sends.
    pub(crate) fn ordinary() -> Self {
        Self::of_type("application/json;charset=UTF-8", JSON.as_bytes()).with(&[
            (header::CACHE_CONTROL, "max-age=0,must-revalidate"),
            (header::ETAG, "\"bbf1a1f4\""),
            (header::VARY, "Origin"),
            (header::SERVER, "Microsoft-IIS/10.0"),
            (header::CONTENT_LENGTH, "1024"),
            (header::DATE, "Tue, 03 Mar 2026 10:00:00 GMT"),
        ])
    }

    /// A vector tile, which is sent coded.
    pub(crate) fn tile() -> Self {
        Self::of_type("application/x-protobuf", b"\x1f\x8b\x08\0").with(&[
            (header::CACHE_CONTROL, "max-age=86400"),
            (header::ETAG, "\"bbf1a1f4\""),
            (header::SERVER, "Microsoft-IIS/10.0"),
            (header::CONTENT_LENGTH, "1024"),
            (header::DATE, "Tue, 03 Mar 2026 10:00:00 GMT"),
        ])
    }

    /// 8 KiB of features in a coding.
    pub(crate) fn coded(coding: &'static str) -> Self {
        let features: Vec<String> = (0..60)
            .map(|id| {
                let (x, y) = (-124.4 + f64::from(id) * 0.173, 32.5 + f64::from(id * 7 % 60) * 0.131);
                format!(
                    r#"{{"attributes":{{"OBJECTID":{id},"STATE_NAME":"California","POP2000":{}}},"geometry":{{"x":{x:.6},"y":{y:.6}}}}}"#,
                    33_871 * (id + 3) % 7919
                )
            })
            .collect();
        let mut json = format!("{JSON}{}]}}", features.join(","));
        json.truncate(8 * 1024);
        let body = encoded(coding, json.as_bytes());
        let mut bare = Self::json().with(&[(header::CONTENT_ENCODING, coding)]);
        bare.body = body.into();
        bare
    }
}

fn encoded(coding: &str, plain: &[u8]) -> Vec<u8> {
    let written = match coding {
        "gzip" => {
            let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
            encoder.write_all(plain).and_then(|()| encoder.finish())
        }
        "deflate" => {
            let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
            encoder.write_all(plain).and_then(|()| encoder.finish())
        }
        "br" => {
            let mut body = Vec::new();
            let options = brotli::enc::BrotliEncoderParams {
                quality: 5,
                ..Default::default()
            };
            brotli::BrotliCompress(&mut &*plain, &mut body, &options).map(|_| body)
        }
        _ => zstd::encode_all(plain, 3),
    };
    written.expect("memory to write to")
}

impl Answering for Bare {
    type Body = Full<Bytes>;

    fn answer(&self) -> Response<Full<Bytes>> {
        let mut response = Response::new(Full::new(self.body.clone()));
        for (name, value) in &*self.headers {
            response.headers_mut().insert(name.clone(), value.clone());
        }
        response
    }
}

/// Answers with a body that has no end, in frames of 64 KiB.
#[derive(Clone, Copy)]
pub(crate) struct Frames;

pub(crate) struct Endless(Bytes);

impl Body for Endless {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(Some(Ok(Frame::data(self.0.clone()))))
    }
}

impl Answering for Frames {
    type Body = Endless;

    fn answer(&self) -> Response<Endless> {
        Response::new(Endless(PNG.repeat(8 * 1024).into()))
    }
}

macro_rules! answers {
    ($service:ty) => {
        impl<B> Service<Request<B>> for $service {
            type Response = Response<<$service as Answering>::Body>;
            type Error = Infallible;
            type Future = Ready<Result<Self::Response, Infallible>>;

            fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
                Poll::Ready(Ok(()))
            }

            fn call(&mut self, request: Request<B>) -> Self::Future {
                black_box(&request);
                ready(Ok(self.answer()))
            }
        }
    };
}

answers!(Bare);
answers!(Frames);
