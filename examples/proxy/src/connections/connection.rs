//! One connection: which HTTP its caller speaks, its requests, and its end.

use std::{
    future::poll_fn,
    io,
    net::IpAddr,
    pin::pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use hyper::{Request, body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::{conn::auto, graceful::GracefulConnection},
};
use tokio::net::TcpStream;
use tower::BoxError;

use crate::{
    connections::{
        Caller,
        places::{Place, Places},
        stream::Stream,
    },
    service::Service,
};

/// How callers start HTTP/2 (RFC 9113, 3.4). No method of HTTP/1 begins so.
const HTTP2_START: &[u8] = b"PRI";

/// What is spoken with callers.
pub(super) struct Protocols {
    http1: http1::Builder,
    /// The caller's first bytes choose. Each request goes through that choice, so HTTP/1 is spoken without it.
    either: auto::Builder<TokioExecutor>,
}

impl Protocols {
    pub(super) fn new(http2_keep_alive: Duration) -> Self {
        let mut http1 = http1::Builder::new();
        // The sweep of `Places` times headers, and tells an idle connection from one whose headers drag on.
        http1.header_read_timeout(None);
        let mut either = auto::Builder::new(TokioExecutor::new());
        either.http1().header_read_timeout(None);
        either
            .http2()
            .timer(TokioTimer::new())
            .keep_alive_interval(http2_keep_alive)
            .keep_alive_timeout(http2_keep_alive);
        Self { http1, either }
    }

    /// Serves the connection in a task of its own, which holds its place.
    pub(super) fn serve(
        self: &Arc<Self>,
        socket: TcpStream,
        peer: IpAddr,
        mut place: Place,
        service: Service,
    ) {
        // Small answers do not wait for the caller's acknowledgement.
        let _ = socket.set_nodelay(true);
        let places = Arc::clone(service.places());
        let caller = places.caller(peer);
        place.enter(Arc::clone(&caller));
        let protocols = Arc::clone(self);
        tokio::spawn(async move {
            // It leaves its place when it is gone.
            let place = place;
            // A task's waker stays the same, so it is asked for once. hyper-util's `GracefulShutdown` would go with each
            // request to a lock that all connections share.
            poll_fn(|context| {
                place.started(context.waker());
                Poll::Ready(())
            })
            .await;
            let mut serving = pin!(protocols.answer_all(socket, &caller, service, &places));
            let until_closed = |context: &mut Context<'_>| match caller.is_closed() {
                true => Poll::Ready(Ok(())),
                false => serving.as_mut().poll(context),
            };
            if let Err(error) = poll_fn(until_closed).await {
                tracing::debug!(%peer, error, "a connection broke");
            }
        });
    }

    async fn answer_all(
        &self,
        socket: TcpStream,
        caller: &Arc<Caller>,
        service: Service,
        places: &Places,
    ) -> Result<(), BoxError> {
        let may_be_http2 = begins_like_http2(&socket).await?;
        let stream = TokioIo::new(Stream::new(socket, Arc::clone(caller)));
        let asked = Arc::clone(caller);
        let answer = service_fn(move |request: Request<Incoming>| service.answer(request, &asked));
        if may_be_http2 {
            let connection = self.either.serve_connection(stream, answer);
            until_stopped(connection, places).await
        } else {
            let connection = self.http1.serve_connection(stream, answer);
            until_stopped(connection, places).await
        }
    }
}

/// Waits for a caller's first bytes. They are not taken.
async fn begins_like_http2(socket: &TcpStream) -> io::Result<bool> {
    let mut first = [0; HTTP2_START.len()];
    let length = socket.peek(&mut first).await?;
    Ok(HTTP2_START.starts_with(&first[..length]))
}

/// Serves a connection until its caller has no further request, or the proxy takes none.
async fn until_stopped<C>(connection: C, places: &Places) -> Result<(), BoxError>
where
    C: GracefulConnection,
    C::Error: Into<BoxError>,
{
    let mut connection = Box::pin(connection);
    let mut is_last = false;
    let served = poll_fn(|context| {
        if !is_last && places.is_stopping() {
            is_last = true;
            connection.as_mut().graceful_shutdown();
        }
        connection.as_mut().poll(context)
    });
    served.await.map_err(Into::into)
}
