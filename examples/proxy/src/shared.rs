//! What each request would otherwise copy, though it seldom needs the copy: the client, its connector, and what the
//! connector says of a connection.

use std::{
    io::{self, IoSlice},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use http::{Request, Uri};
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_util::client::legacy::connect::{Connected, Connection};
use tower::{BoxError, Service, ServiceExt, util::Oneshot};

use crate::short_names::ShortNames;

/// A client that is called through a shared reference, as hyper-util's can be. The layer copies its service for each
/// request that it may send again.
pub(crate) struct SharedClient<S>(Arc<Named<S>>);

/// Something that knows servers by their short names.
struct Named<T> {
    inner: T,
    names: ShortNames,
}

impl<S> SharedClient<S> {
    /// The client is asked for the servers under these `names`.
    pub(crate) fn new(client: S, names: ShortNames) -> Self {
        Self(Arc::new(Named {
            inner: client,
            names,
        }))
    }
}

impl<S> Clone for SharedClient<S> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<S, B, R, E, F> Service<Request<B>> for SharedClient<S>
where
    for<'a> &'a S: Service<Request<B>, Response = R, Error = E, Future = F>,
    F: Future<Output = Result<R, E>>,
{
    type Response = R;
    type Error = E;
    type Future = F;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), E>> {
        (&self.0.inner).poll_ready(context)
    }

    fn call(&mut self, mut request: Request<B>) -> F {
        self.0.names.shorten(request.uri_mut());
        (&self.0.inner).call(request)
    }
}

/// A connector that is copied once a connection. hyper-util's client copies its connector twice a request.
pub(crate) struct SharedConnector<C>(Arc<Named<C>>);

impl<C> SharedConnector<C> {
    /// For a client that asks for the servers under these `names`.
    pub(crate) fn new(connector: C, names: ShortNames) -> Self {
        Self(Arc::new(Named {
            inner: connector,
            names,
        }))
    }
}

impl<C> Clone for SharedConnector<C> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<C> Service<Uri> for SharedConnector<C>
where
    C: Service<Uri, Error = BoxError> + Clone + Send + 'static,
    C::Future: Send,
{
    type Response = Silent<C::Response>;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, BoxError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        // The copy that makes the connection waits until it is ready.
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, mut upstream: Uri) -> Self::Future {
        self.0.names.restore(&mut upstream);
        let connecting: Oneshot<C, Uri> = self.0.inner.clone().oneshot(upstream);
        Box::pin(async move { connecting.await.map(Silent) })
    }
}

/// A connection that says how to speak on it, and not its addresses: the client would put those into the extensions of
/// each answer, which is three allocations, and nobody asks for them.
#[derive(Debug)]
pub(crate) struct Silent<T>(T);

impl<T: Connection> Connection for Silent<T> {
    fn connected(&self) -> Connected {
        let said = self.0.connected();
        let connected = Connected::new().proxy(said.is_proxied());
        if said.is_negotiated_h2() {
            connected.negotiated_h2()
        } else {
            connected
        }
    }
}

impl<T: Read + Unpin> Read for Silent<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(context, buffer)
    }
}

impl<T: Write + Unpin> Write for Silent<T> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(context)
    }

    fn is_write_vectored(&self) -> bool {
        self.0.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write_vectored(context, pieces)
    }
}
