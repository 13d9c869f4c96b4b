//! `arcgis-proxy`: a reverse proxy that logs in to a secured ArcGIS and makes it look like an open one.

#![warn(clippy::expect_used, clippy::panic, clippy::unwrap_used)]

mod access;
mod arguments;
mod connections;
mod cors;
mod forward;
mod headers;
mod log_line;
mod login;
mod open_files;
mod option_names;
mod origin;
mod redirects;
mod refusal;
mod request_body;
mod service;
mod shared;
mod shared_cache;
mod try_out;
mod upstream;
mod warnings;

use std::{
    env, fmt,
    io::{self, Write},
    net::SocketAddr,
    process::ExitCode,
    sync::Arc,
    thread,
};

use clap::error::ErrorKind;
use tokio::{
    net::TcpListener,
    runtime::{self, Runtime},
};
use tower::Layer;
use tower_arcgis_auth::{ArcgisAuthLayer, Site};
use tracing_subscriber::EnvFilter;

use crate::{
    access::Access,
    arguments::{Arguments, Target},
    connections::{Patience, Places, StopSignals, serve},
    cors::cors,
    forward::Forward,
    option_names::{InOptions, in_options},
    request_body::BodyLimits,
    service::{Service, Steps},
    try_out::TryOut,
    upstream::{Clients, Environment, SigningClient, announce_way_out},
};

fn main() -> ExitCode {
    let arguments = Arguments::read();
    match start(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure::Arguments(message)) => Arguments::described()
            .error(ErrorKind::ValueValidation, message)
            .exit(),
        Err(Failure::Machine(message)) => {
            // An error is a reader that went away.
            let _ = writeln!(io::stderr(), "error: {message}");
            ExitCode::FAILURE
        }
    }
}

/// Why the proxy did not start.
enum Failure {
    /// What the user said cannot work: exit code 2, like any other bad argument.
    Arguments(String),
    /// The machine did not play along: exit code 1.
    Machine(String),
}

impl Failure {
    fn arguments(message: impl fmt::Display) -> Self {
        Self::Arguments(in_options(&message.to_string()))
    }
}

fn start(arguments: &Arguments) -> Result<(), Failure> {
    start_logging()?;
    let target = arguments.target().map_err(Failure::Arguments)?;
    let runtime = runtime()
        .map_err(|error| Failure::Machine(format!("no threads can be started: {error}")))?;
    let served = runtime.block_on(run(arguments, target));
    // Not waiting for name look-ups, which nothing can break off.
    runtime.shutdown_background();
    served
}

/// On one core, several threads would take turns, and pass each request on between them.
fn runtime() -> io::Result<Runtime> {
    let cores = thread::available_parallelism().map_or(1, usize::from);
    let mut builder = if cores == 1 {
        runtime::Builder::new_current_thread()
    } else {
        runtime::Builder::new_multi_thread()
    };
    builder.enable_all().build()
}

fn start_logging() -> Result<(), Failure> {
    let filter = env::var("RUST_LOG").unwrap_or_default();
    let filter = if filter.is_empty() { "info" } else { &filter };
    let filter = EnvFilter::builder().parse(filter).map_err(|error| {
        Failure::Arguments(format!(
            "RUST_LOG is not a filter ({error}); write it like `info` or `warn,arcgis_proxy=debug`"
        ))
    })?;
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(|| InOptions(io::stderr()))
        .init();
    Ok(())
}

async fn run(arguments: &Arguments, target: Option<Target>) -> Result<(), Failure> {
    let (mut target, try_out) = match target {
        Some(target) => (target, None),
        None => {
            let try_out = TryOut::start().await.map_err(Failure::Machine)?;
            (try_out.target().map_err(Failure::Machine)?, Some(try_out))
        }
    };
    let environment = Environment::read(&|name| env::var(name).ok());
    let clients = Clients::new(&target, &environment).map_err(Failure::Arguments)?;
    let client = signing_client(arguments, &target, clients)?;
    let listener = TcpListener::bind(arguments.listen).await.map_err(|error| {
        Failure::Machine(format!(
            "cannot listen on {}: {error}; choose another address with --listen",
            arguments.listen
        ))
    })?;
    let address = listener
        .local_addr()
        .map_err(|error| Failure::Machine(format!("the listening address is unknown: {error}")))?;
    announce(&target);
    announce_way_out(&target, &environment);
    if let Some(sharing) = target.sharing.take() {
        tokio::spawn(async move { sharing.check().await });
    }
    let service = service(arguments, client, target, address)?;
    let stop = StopSignals::listen()
        .map_err(|error| Failure::Machine(format!("signals cannot be listened to: {error}")))?;

    if let Some(try_out) = &try_out {
        try_out.say_what_to_try(address);
    }
    let mut stdout = io::stdout();
    writeln!(stdout, "listening on http://{address}")
        .and_then(|()| stdout.flush())
        .map_err(|error| Failure::Machine(format!("stdout cannot be written to: {error}")))?;
    serve(listener, service, arguments.limits.http2_keep_alive, stop).await;
    Ok(())
}

/// Says what is signed, and what a user may have wanted otherwise.
fn announce(target: &Target) {
    let upstream = &target.upstream;
    let site = upstream.root_url();
    let Some(login) = &target.login else {
        tracing::warn!(
            site,
            "no credential: requests pass untouched; set --username, --client-id, ARCGIS_API_KEY or ARCGIS_TOKEN"
        );
        return;
    };
    tracing::info!(
        site,
        account = %login.account(),
        shared = target.sharing.is_some() && !login.is_ready_token(),
        "requests to the site are signed, all others passed on"
    );
    if target.sharing.is_some() && login.is_ready_token() {
        tracing::warn!(
            "a key or token that is given comes from no login: --redis has nothing to share"
        );
    }
    if !upstream.is_https() && !upstream.is_loopback() {
        tracing::warn!(
            "the upstream is plain http: everyone on the way can read tokens and answers{}",
            if login.is_ready_token() {
                ""
            } else if target.insecure_http {
                ", and the password or secret"
            } else {
                "; no password or secret goes there without --allow-insecure-http"
            }
        );
    }
}

/// What requests pass, as the command line has it.
fn service(
    arguments: &Arguments,
    client: SigningClient,
    target: Target,
    listening: SocketAddr,
) -> Result<Service, Failure> {
    let limits = &arguments.limits;
    let most = open_files::places(limits.max_connections);
    let patience = Patience {
        headers: limits.header_timeout,
        idle: limits.idle_timeout,
    };
    let per_address = limits.max_connections_per_address;
    let places = Places::new(most, per_address.unwrap_or(most.div_ceil(2)), patience);
    let roots = target.roots().map_err(Failure::Arguments)?;
    let access = Arc::new(Access::new(&arguments.access, listening, roots));
    let passing = arguments.passing(target.login.as_ref());
    if target.login.is_some()
        && !listening.ip().to_canonical().is_loopback()
        && !arguments.access.limits_callers()
    {
        tracing::warn!(
            "everyone who reaches {listening} has the rights of the account: limit what they may ask for with \
             --allow-path, --allow-referer or --rate-limit, or listen on 127.0.0.1 behind a web server that decides who \
             may come"
        );
    }
    Ok(Service::new(Steps {
        cors: cors(&arguments.access, &access),
        access,
        places,
        body_limits: BodyLimits {
            most: limits.max_body_size,
            patience: limits.body_timeout,
        },
        forward: Forward::new(client, target.upstream, passing),
    }))
}

/// The layer over the client: what it sends is signed, and challenges are answered.
fn signing_client(
    arguments: &Arguments,
    target: &Target,
    clients: Clients,
) -> Result<SigningClient, Failure> {
    let site = Site::new(target.upstream.root_url())
        // All callers of the proxy may see an answer; a cache on the way lets others see it too.
        .private_answers(true);
    let mut site = arguments.signing(site);
    if let Some(login) = &target.login {
        site = site.credential(login.credential());
    }
    if let Some(url) = &target.token_url {
        site = site.token_url(url);
    }
    if let Some(url) = &target.portal {
        site = site.portal(url);
    }
    for origin in &target.trusted_token_services {
        site = site.trust_token_service(origin);
    }
    if target.insecure_http {
        site = site.allow_insecure_http();
    }
    if target.sends_portal_token {
        site = site.send_portal_token();
    }
    if target.credentials_in_url {
        site = site.credentials_in_url();
    }
    if let Some(sharing) = &target.sharing {
        site = site.shared_token_cache(&sharing.cache);
    }
    let layer = ArcgisAuthLayer::builder()
        .add_site(site)
        .token_client(clients.logins)
        .build()
        .map_err(Failure::arguments)?;
    Ok(layer.layer(clients.requests))
}
