//! The parts of a request: its head, its body, and the fields of its query or form.

use std::net::IpAddr;

use bytes::{Bytes, BytesMut};
use http::header::{CONTENT_TYPE, HOST, REFERER};
use http::{HeaderMap, Method, Request, Version};
use http_body_util::BodyExt;
use hyper::body::Incoming;

use crate::binding::Caller;
use crate::digest::Digest;

/// Bodies are kept up to this size; of longer ones only length and checksum are known.
const KEPT: usize = 1024 * 1024;

/// The head of a request.
#[derive(Debug)]
pub(crate) struct RequestHead {
    /// The number the journal knows the request by.
    pub(crate) number: u64,
    pub(crate) method: Method,
    pub(crate) version: Version,
    pub(crate) path: String,
    pub(crate) path_and_query: String,
    pub(crate) headers: HeaderMap,
    pub(crate) query: Fields,
    /// The address it came from, as far as the server can see.
    pub(crate) from: IpAddr,
    scheme: &'static str,
    authority: String,
}

impl RequestHead {
    pub(crate) fn new(
        request: &Request<Incoming>,
        scheme: &'static str,
        own_authority: &str,
        from: IpAddr,
    ) -> Self {
        let uri = request.uri();
        let authority = uri
            .authority()
            .map(|authority| authority.as_str())
            .or_else(|| text(request.headers(), HOST.as_str()))
            .unwrap_or(own_authority);
        Self {
            number: 0,
            method: request.method().clone(),
            version: request.version(),
            path: uri.path().to_owned(),
            path_and_query: uri
                .path_and_query()
                .map_or_else(|| uri.path().to_owned(), ToString::to_string),
            headers: request.headers().clone(),
            query: Fields::parse(uri.query().unwrap_or_default().as_bytes()),
            from: from.to_canonical(),
            scheme,
            authority: authority.to_owned(),
        }
    }

    /// The origin the caller thinks it talks to.
    pub(crate) fn origin(&self) -> String {
        format!("{}://{}", self.scheme, self.authority)
    }

    /// The full URL asked for, query included.
    pub(crate) fn url(&self) -> String {
        format!("{}{}", self.origin(), self.path_and_query)
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        text(&self.headers, name)
    }

    pub(crate) fn referer(&self) -> Option<&str> {
        self.header(REFERER.as_str())
    }

    /// Who asks, as far as bound tokens care.
    pub(crate) fn caller(&self) -> Caller<'_> {
        Caller {
            referer: self.referer(),
            address: self.from,
        }
    }

    pub(crate) fn is_form(&self) -> bool {
        self.header(CONTENT_TYPE.as_str()).is_some_and(|kind| {
            kind.trim_start()
                .to_ascii_lowercase()
                .starts_with("application/x-www-form-urlencoded")
        })
    }
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

/// The decoded fields of a query or a form.
#[derive(Debug, Default)]
pub(crate) struct Fields(Vec<(String, String)>);

impl Fields {
    pub(crate) fn parse(bytes: &[u8]) -> Self {
        Self(form_urlencoded::parse(bytes).into_owned().collect())
    }

    /// The first value of `name` that is not empty.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.all(name).first().copied()
    }

    /// All values of `name` that are not empty.
    pub(crate) fn all(&self, name: &str) -> Vec<&str> {
        self.0
            .iter()
            .filter(|(key, value)| key == name && !value.is_empty())
            .map(|(_, value)| value.as_str())
            .collect()
    }
}

/// The body of a request.
#[derive(Debug)]
pub(crate) struct RequestBody {
    pub(crate) length: u64,
    pub(crate) digest: Digest,
    /// The body itself, if it is not too long to keep.
    pub(crate) kept: Option<Bytes>,
    pub(crate) trailers: Option<HeaderMap>,
    /// False if the body broke off.
    pub(crate) complete: bool,
    /// The form in it, if it is one.
    pub(crate) form: Fields,
}

impl RequestBody {
    /// A body that was not read.
    pub(crate) fn unread() -> Self {
        Self {
            length: 0,
            digest: Digest::new(),
            kept: Some(Bytes::new()),
            trailers: None,
            complete: true,
            form: Fields::default(),
        }
    }

    /// Reads a body to its end.
    pub(crate) async fn read(mut body: Incoming, is_form: bool) -> Self {
        let mut read = Self::unread();
        let mut kept = BytesMut::new();
        while let Some(frame) = body.frame().await {
            let Ok(frame) = frame else {
                read.complete = false;
                break;
            };
            match frame.into_data() {
                Ok(data) => {
                    read.length += data.len() as u64;
                    read.digest.update(&data);
                    if kept.len() + data.len() <= KEPT && read.kept.is_some() {
                        kept.extend_from_slice(&data);
                    } else {
                        read.kept = None;
                    }
                }
                Err(frame) => read.trailers = frame.into_trailers().ok(),
            }
        }
        if read.kept.is_some() {
            if is_form {
                read.form = Fields::parse(&kept);
            }
            read.kept = Some(kept.freeze());
        }
        read
    }
}
