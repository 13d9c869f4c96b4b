//! The listening socket: connections in, and an orderly end.

use std::{sync::Arc, time::Duration};

use tokio::net::TcpListener;

use crate::{
    connections::{StopSignals, connection::Protocols, seldom::Seldom},
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
    let protocols = Arc::new(Protocols::new(http2_keep_alive));
    let failed = Seldom::default();
    let places = Arc::clone(service.places());
    tokio::spawn(Arc::clone(&places).sweep());
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = stop.next() => break,
        };
        let (socket, peer) = match accepted {
            // On a socket of IPv6 an IPv4 address has another form, and all that is told apart by addresses has one.
            Ok((socket, peer)) => (socket, peer.ip().to_canonical()),
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
            protocols.serve(socket, peer, place, service.clone());
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
