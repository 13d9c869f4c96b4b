//! The listening socket: connections in, and an orderly end.

use std::{net::IpAddr, sync::Arc, time::Duration};

use hyper::{Request, body::Incoming, service::service_fn};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::{conn::auto, graceful::GracefulShutdown},
};
use tokio::net::{TcpListener, TcpStream};

use crate::{
    connections::{StopSignals, places::Place, seldom::Seldom, stream::Stream},
    service::Service,
};

/// How long requests may go on once the proxy is to stop.
const LAST_REQUESTS: Duration = Duration::from_secs(30);
/// A pause where no connection can be taken, most often for want of file descriptors.
const AFTER_FAILED_ACCEPT: Duration = Duration::from_millis(100);

/// Serves until the first signal, then lets the requests under way finish. A second signal, or [`LAST_REQUESTS`], ends
/// them.
pub(crate) async fn serve(
    listener: TcpListener,
    service: Service,
    http2_keep_alive: Duration,
    mut stop: StopSignals,
) {
    let mut server = auto::Builder::new(TokioExecutor::new());
    // The sweep of `Places` times headers, and tells an idle connection from one whose headers drag on.
    server.http1().header_read_timeout(None);
    server
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(http2_keep_alive)
        .keep_alive_timeout(http2_keep_alive);
    let connections = GracefulShutdown::new();
    let failed = Seldom::default();
    let places = Arc::clone(service.places());
    tokio::spawn(Arc::clone(&places).sweep());
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = stop.next() => break,
        };
        let (socket, peer) = match accepted {
            Ok((socket, peer)) => (socket, peer.ip()),
            Err(error) => {
                if let Some(left_out) = failed.now() {
                    tracing::warn!(%error, left_out, "a connection could not be taken");
                }
                tokio::time::sleep(AFTER_FAILED_ACCEPT).await;
                continue;
            }
        };
        let place = tokio::select! {
            place = places.claim(peer, service.stands_for_many(peer)) => place,
            () = stop.next() => break,
        };
        // Without a place the connection is closed: that is all the answer there is before a request.
        if let Ok(place) = place {
            connect(&server, &connections, socket, peer, place, &service);
        }
    }
    drop(listener);
    places.stop();
    tracing::info!(
        connections = connections.count(),
        "stopping: no new connections; requests under way may finish"
    );
    tokio::select! {
        () = connections.shutdown() => tracing::info!("stopped"),
        () = stop.next() => tracing::warn!("second signal: stopped with requests under way"),
        () = tokio::time::sleep(LAST_REQUESTS) => {
            tracing::warn!("stopped with requests under way: they took too long");
        }
    }
}

fn connect(
    server: &auto::Builder<TokioExecutor>,
    connections: &GracefulShutdown,
    socket: TcpStream,
    peer: IpAddr,
    mut place: Place,
    service: &Service,
) {
    // Small answers do not wait for the caller's acknowledgement.
    let _ = socket.set_nodelay(true);
    let places = service.places();
    let caller = places.caller(peer);
    let id = place.enter(Arc::clone(&caller));
    let stream = TokioIo::new(Stream::new(socket, Arc::clone(&caller)));
    let service = service.clone();
    let answer = service_fn(move |request: Request<Incoming>| service.answer(request, &caller));
    let connection = server.serve_connection(stream, answer).into_owned();
    let connection = connections.watch(connection);
    let task = tokio::spawn(async move {
        let _place = place;
        if let Err(error) = connection.await {
            tracing::debug!(%peer, error, "a connection broke");
        }
    });
    places.started(id, task.abort_handle());
}
