//! A server that reads request bodies in different manners, which the stand-in does not.

use std::{
    convert::Infallible,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, header};
use http_body::Frame;
use http_body_util::{BodyExt, Full};
use hyper::{body::Incoming, service::service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::{net::TcpListener, sync::mpsc};

use super::CLEAN;
use crate::support::{INVALID, REQUIRED};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Protocol {
    Http1,
    Http2,
}

/// What the server does with a request whose token it does not take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Manner {
    /// Reads all of it, then asks for another token.
    Reads,
    /// Asks for a token before it has read anything, and goes on reading.
    AsksFirst,
    /// Asks for a token and never looks at the body.
    Ignores,
    /// Asks for a token and closes the connection, where there is such a thing.
    HangsUp,
}

/// A request as it arrived.
#[derive(Debug)]
pub(super) struct Arrived {
    pub(super) method: Method,
    pub(super) path: String,
    pub(super) headers: HeaderMap,
    pub(super) data: Vec<u8>,
    pub(super) trailers: Option<HeaderMap>,
    /// Whether the body came to a proper end.
    pub(super) complete: bool,
}

impl Arrived {
    pub(super) fn token(&self) -> Option<&str> {
        let value = self.headers.get("x-esri-authorization")?;
        value.to_str().unwrap().strip_prefix("Bearer ")
    }
}

/// A server that asks for a token, and the requests that came to it, in the order in which their bodies ended.
pub(super) struct Server {
    address: SocketAddr,
    arrived: mpsc::UnboundedReceiver<Arrived>,
    /// Tells of each first byte of a body.
    begun: mpsc::UnboundedReceiver<()>,
    is_revoked: Arc<AtomicBool>,
}

#[derive(Clone)]
struct Journal {
    /// The first token, `secret-1`, is taken no longer.
    is_revoked: Arc<AtomicBool>,
    arrived: mpsc::UnboundedSender<Arrived>,
    begun: mpsc::UnboundedSender<()>,
}

impl Server {
    pub(super) async fn start(protocol: Protocol, manner: Manner) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (arrived_sender, arrived) = mpsc::unbounded_channel();
        let (begun_sender, begun) = mpsc::unbounded_channel();
        let is_revoked = Arc::new(AtomicBool::new(false));
        let journal = Journal {
            is_revoked: Arc::clone(&is_revoked),
            arrived: arrived_sender,
            begun: begun_sender,
        };
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let journal = journal.clone();
                let service = service_fn(move |request| answer(request, manner, journal.clone()));
                let stream = TokioIo::new(stream);
                tokio::spawn(async move {
                    // Clients that hang up are part of the tests.
                    let _ = match protocol {
                        Protocol::Http1 => {
                            let server = hyper::server::conn::http1::Builder::new();
                            server.serve_connection(stream, service).await
                        }
                        Protocol::Http2 => {
                            let server =
                                hyper::server::conn::http2::Builder::new(TokioExecutor::new());
                            server.serve_connection(stream, service).await
                        }
                    };
                });
            }
        });
        Self {
            address,
            arrived,
            begun,
            is_revoked,
        }
    }

    /// The root of the site that this server is.
    pub(super) fn root(&self) -> String {
        format!("http://{}/arcgis", self.address)
    }

    pub(super) async fn next(&mut self) -> Arrived {
        self.arrived.recv().await.unwrap()
    }

    /// `secret-1` is taken no longer.
    pub(super) fn revoke_first_token(&self) {
        self.is_revoked.store(true, Ordering::SeqCst);
    }

    pub(super) fn assert_nothing_more(&mut self) {
        assert!(self.arrived.try_recv().is_err());
    }

    pub(super) async fn upload_begun(&mut self) {
        self.begun.recv().await.unwrap();
    }

    pub(super) fn url(&self, path: &str) -> String {
        format!("http://{}/arcgis/rest/services{path}", self.address)
    }
}

async fn answer(
    request: Request<Incoming>,
    manner: Manner,
    journal: Journal,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let token = request.headers().get("x-esri-authorization").cloned();
    let is_revoked = journal.is_revoked.load(Ordering::SeqCst);
    let is_valid = |token| token != "Bearer secret-1" || !is_revoked;
    let answer = Response::builder().header(header::CONTENT_TYPE, "application/json");
    if token.as_ref().is_some_and(is_valid) {
        record(request, journal).await;
        return Ok(answer.body(Full::from(CLEAN)).unwrap());
    }
    let answer = match manner {
        Manner::Reads => {
            record(request, journal).await;
            answer
        }
        Manner::AsksFirst => {
            tokio::spawn(record(request, journal));
            answer
        }
        Manner::Ignores => answer,
        // HTTP/2 has no such header: there it is the stream that is closed.
        Manner::HangsUp => match request.version() {
            http::Version::HTTP_2 => answer,
            _ => answer.header(header::CONNECTION, "close"),
        },
    };
    let challenge = if token.is_some() { INVALID } else { REQUIRED };
    Ok(answer.body(Full::from(challenge)).unwrap())
}

async fn record(request: Request<Incoming>, journal: Journal) {
    let (parts, mut body) = request.into_parts();
    let mut arrived = Arrived {
        method: parts.method,
        path: parts.uri.path_and_query().unwrap().to_string(),
        headers: parts.headers,
        data: Vec::new(),
        trailers: None,
        complete: true,
    };
    while let Some(frame) = body.frame().await {
        match frame.map(Frame::into_data) {
            Ok(Ok(data)) => {
                if arrived.data.is_empty() {
                    let _ = journal.begun.send(());
                }
                arrived.data.extend_from_slice(&data);
            }
            Ok(Err(frame)) => arrived.trailers = frame.into_trailers().ok(),
            Err(_) => {
                arrived.complete = false;
                break;
            }
        }
    }
    // A test that has seen enough is gone by now.
    let _ = journal.arrived.send(arrived);
}
