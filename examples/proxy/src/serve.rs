//! The listening socket: connections in, and an orderly end.

use std::{io, time::Duration};

use hyper::service::service_fn;
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::{conn::auto, graceful::GracefulShutdown},
};
use tokio::net::{TcpListener, TcpStream};

use crate::{forward::Forward, headers::Caller};

/// How long requests may go on once the proxy is to stop.
const LAST_REQUESTS: Duration = Duration::from_secs(30);
/// A pause where no connection can be taken, most often for want of file descriptors.
const AFTER_FAILED_ACCEPT: Duration = Duration::from_millis(100);

/// Serves until the first signal, then lets the requests under way finish. A second signal, or [`LAST_REQUESTS`], ends
/// them.
pub(crate) async fn serve(listener: TcpListener, forward: Forward, mut stop: StopSignals) {
    let mut server = auto::Builder::new(TokioExecutor::new());
    // With a timer, callers have limited time to send their headers.
    server.http1().timer(TokioTimer::new());
    server.http2().timer(TokioTimer::new());
    let connections = GracefulShutdown::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, caller)) => {
                    // Small answers do not wait for the caller's acknowledgement.
                    let _ = stream.set_nodelay(true);
                    connect(&server, &connections, stream, caller.ip(), forward.clone());
                }
                Err(error) => {
                    tracing::warn!(%error, "a connection could not be taken");
                    tokio::time::sleep(AFTER_FAILED_ACCEPT).await;
                }
            },
            () = stop.next() => break,
        }
    }
    drop(listener);
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
    stream: TcpStream,
    caller: std::net::IpAddr,
    forward: Forward,
) {
    let service = {
        let caller = Caller::at(caller);
        service_fn(move |request| forward.answer(request, &caller))
    };
    let connection = server
        .serve_connection(TokioIo::new(stream), service)
        .into_owned();
    let connection = connections.watch(connection);
    tokio::spawn(async move {
        if let Err(error) = connection.await {
            tracing::debug!(%caller, error, "a connection broke");
        }
    });
}

/// What tells the proxy to stop: SIGTERM and SIGINT, or Ctrl-C where there are no signals.
pub(crate) struct StopSignals {
    #[cfg(unix)]
    terminate: tokio::signal::unix::Signal,
    #[cfg(unix)]
    interrupt: tokio::signal::unix::Signal,
    #[cfg(windows)]
    ctrl_c: tokio::signal::windows::CtrlC,
}

impl StopSignals {
    /// From now on a signal is not the process's end.
    #[cfg(unix)]
    pub(crate) fn listen() -> io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};

        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    /// From now on Ctrl-C is not the process's end.
    #[cfg(windows)]
    pub(crate) fn listen() -> io::Result<Self> {
        Ok(Self {
            ctrl_c: tokio::signal::windows::ctrl_c()?,
        })
    }

    /// Returns at the next signal.
    async fn next(&mut self) {
        #[cfg(unix)]
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
        #[cfg(windows)]
        let _ = self.ctrl_c.recv().await;
    }
}
