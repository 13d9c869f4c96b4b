//! The listening socket, its connections, and stopping them.

use std::future::Future;
use std::io;
use std::net::IpAddr;
use std::sync::Arc;

use http::Request;
use hyper::body::Incoming;
use hyper::rt::Executor;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use hyper_util::server::conn::auto;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use crate::answer::Answer;
use crate::transport::Transport;

/// What answers the requests of a server.
pub(crate) trait Answers: Send + Sync + 'static {
    /// Answers one request that came from `peer`. An error breaks the connection off.
    fn answer(
        &self,
        request: Request<Incoming>,
        peer: IpAddr,
    ) -> impl Future<Output = io::Result<Answer>> + Send;
}

/// Spawns tasks that end when the stand-in stops.
#[derive(Clone, Debug)]
struct Tasks(watch::Receiver<bool>);

impl Tasks {
    fn spawn<F>(&self, task: F)
    where
        F: Future + Send + 'static,
        F::Output: Send,
    {
        let mut stop = self.0.clone();
        tokio::spawn(async move {
            tokio::select! {
                _ = stop.wait_for(|stopped| *stopped) => {}
                _ = task => {}
            }
        });
    }
}

impl<F> Executor<F> for Tasks
where
    F: Future + Send + 'static,
    F::Output: Send,
{
    fn execute(&self, task: F) {
        self.spawn(task);
    }
}

/// Serves on `listener` until `stop` says so or its sender is gone. All receivers are gone once all has ended.
pub(crate) fn spawn(
    listener: TcpListener,
    transport: Transport,
    state: Arc<impl Answers>,
    stop: watch::Receiver<bool>,
) {
    let tasks = Tasks(stop);
    let connections = tasks.clone();
    tasks.spawn(async move {
        loop {
            match listener.accept().await {
                Ok((stream, peer)) => {
                    let tasks = connections.clone();
                    let transport = transport.clone();
                    connections.spawn(serve(stream, transport, peer.ip(), state.clone(), tasks));
                }
                // Out of file descriptors, or a connection that was gone before it was accepted.
                Err(_) => tokio::task::yield_now().await,
            }
        }
    });
}

async fn serve(
    stream: TcpStream,
    transport: Transport,
    peer: IpAddr,
    state: Arc<impl Answers>,
    tasks: Tasks,
) {
    // Small answers should not wait for the other side's acknowledgement.
    let _ = stream.set_nodelay(true);
    match transport {
        Transport::Plain => speak_http(stream, peer, state, tasks).await,
        #[cfg(feature = "https")]
        Transport::Tls(acceptor) => {
            // A client that does not trust the certificate goes away.
            if let Ok(stream) = acceptor.accept(stream).await {
                speak_http(stream, peer, state, tasks).await;
            }
        }
    }
}

async fn speak_http<S>(stream: S, peer: IpAddr, state: Arc<impl Answers>, tasks: Tasks)
where
    S: AsyncRead + AsyncWrite + Unpin + 'static,
{
    let service = service_fn(move |request| {
        let state = state.clone();
        async move { state.answer(request, peer).await }
    });
    let server = auto::Builder::new(tasks);
    // A client that goes away or breaks the protocol is no concern of ours.
    let _ = server.serve_connection(TokioIo::new(stream), service).await;
}
