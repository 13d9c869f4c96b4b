//! The listening socket: connections in, and an orderly end.

use std::{future::poll_fn, net::IpAddr, sync::Arc, task::Poll, time::Duration};

use hyper::{Request, body::Incoming, service::service_fn};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::conn::auto,
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
            connect(&server, socket, peer, place, &service);
        }
    }
    drop(listener);
    places.stop();
    tracing::info!(
        connections = places.taken(),
        "stopping: no new connections; requests under way may finish"
    );
    tokio::select! {
        () = places.all_left() => tracing::info!("stopped"),
        () = stop.next() => tracing::warn!("second signal: stopped with requests under way"),
        () = tokio::time::sleep(LAST_REQUESTS) => {
            tracing::warn!("stopped with requests under way: they took too long");
        }
    }
}

fn connect(
    server: &auto::Builder<TokioExecutor>,
    socket: TcpStream,
    peer: IpAddr,
    mut place: Place,
    service: &Service,
) {
    // Small answers do not wait for the caller's acknowledgement.
    let _ = socket.set_nodelay(true);
    let places = Arc::clone(service.places());
    let caller = places.caller(peer);
    place.enter(Arc::clone(&caller));
    let stream = TokioIo::new(Stream::new(socket, Arc::clone(&caller)));
    let service = service.clone();
    let asked = Arc::clone(&caller);
    let answer = service_fn(move |request: Request<Incoming>| service.answer(request, &asked));
    let connection = Box::pin(server.serve_connection(stream, answer).into_owned());
    tokio::spawn(async move {
        // It leaves its place when it is gone.
        let place = place;
        let mut connection = connection;
        // A task's waker stays the same, so it is asked for once. hyper-util's `GracefulShutdown` would go with each
        // request to a lock that all connections share.
        poll_fn(|context| {
            place.started(context.waker());
            Poll::Ready(())
        })
        .await;
        let mut is_last = false;
        let served = poll_fn(|context| {
            if caller.is_closed() {
                return Poll::Ready(Ok(()));
            }
            if !is_last && places.is_stopping() {
                is_last = true;
                connection.as_mut().graceful_shutdown();
            }
            connection.as_mut().poll(context)
        });
        if let Err(error) = served.await {
            tracing::debug!(%peer, error, "a connection broke");
        }
    });
}
