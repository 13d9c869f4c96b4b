//! The plain proxy: hyper's server and hyper-util's client with the timers of `arcgis-proxy`, and between them the least that
//! still makes a reverse proxy.

use std::{error::Error, time::Duration};

use http::{
    Request, Uri,
    uri::{Authority, Scheme},
};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::{TokioExecutor, TokioIo, TokioTimer},
};
use tokio::net::TcpListener;

/// Serves until it is killed. One thread: it has one core.
pub(crate) fn run(upstream: &str) -> Result<(), Box<dyn Error>> {
    let authority: Authority = upstream.parse()?;
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?
        .block_on(serve(authority))
}

async fn serve(authority: Authority) -> Result<(), Box<dyn Error>> {
    let mut connector = HttpConnector::new();
    connector.set_nodelay(true);
    let client: Client<_, Incoming> = Client::builder(TokioExecutor::new())
        .pool_timer(TokioTimer::new())
        // Shorter than the server's timers: with none before them, each would wake the runtime, a system call a request.
        .pool_idle_timeout(Duration::from_secs(15))
        .build(connector);
    let mut server = http1::Builder::new();
    server.timer(TokioTimer::new());
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    println!("listening on http://{}", listener.local_addr()?);
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let (client, authority) = (client.clone(), authority.clone());
        let service = service_fn(move |mut request: Request<Incoming>| {
            let mut parts = std::mem::take(request.uri_mut()).into_parts();
            parts.scheme = Some(Scheme::HTTP);
            parts.authority = Some(authority.clone());
            *request.uri_mut() = Uri::from_parts(parts).expect("a path of the caller's");
            client.request(request)
        });
        // A broken connection is its caller's affair.
        tokio::spawn(server.serve_connection(TokioIo::new(stream), service));
    }
}
