//! `arcgis-proxy`: a reverse proxy that logs in to a secured ArcGIS and makes it look like an open one.

#![warn(clippy::expect_used, clippy::panic, clippy::unwrap_used)]

mod access;
mod arguments;
mod config;
mod connections;
mod cors;
mod forward;
mod headers;
mod log_line;
mod logging;
mod login;
mod open_files;
mod option_names;
mod origin;
mod plan;
mod redirects;
mod refusal;
mod request_body;
mod routes;
mod served;
mod service;
mod shared;
mod shared_cache;
mod signing;
mod try_out;
mod upstream;
mod warnings;

use std::{
    env, fmt,
    io::{self, Write},
    net::SocketAddr,
    path::{Path, PathBuf},
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
use tower_arcgis_auth::ArcgisAuthLayer;

use crate::{
    access::Access,
    arguments::Arguments,
    config::{Config, Problem},
    connections::{Patience, Places, StopSignals, serve},
    cors::cors,
    option_names::in_options,
    plan::{Plan, convert},
    request_body::BodyLimits,
    served::{Many, One, Served},
    service::{Service, Steps},
    shared_cache::Sharing,
    try_out::TryOut,
    upstream::{Clients, Environment, SigningClient, announce_way_out},
};

fn main() -> ExitCode {
    let arguments = Arguments::read();
    match start(arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure::Arguments(message)) => Arguments::described()
            .error(ErrorKind::ValueValidation, message)
            .exit(),
        Err(Failure::File(file, problems)) => {
            for problem in problems {
                say(format_args!("error: {}: {problem}", file.display()));
            }
            ExitCode::from(2)
        }
        Err(Failure::Machine(message)) => {
            say(format_args!("error: {message}"));
            ExitCode::FAILURE
        }
    }
}

/// Why the proxy did not start.
enum Failure {
    /// What the user said cannot work: exit code 2, like any other bad argument.
    Arguments(String),
    /// What a file says cannot work: exit code 2.
    File(PathBuf, Vec<Problem>),
    /// The machine did not play along: exit code 1.
    Machine(String),
}

impl Failure {
    fn arguments(message: impl fmt::Display) -> Self {
        Self::Arguments(in_options(&message.to_string()))
    }
}

fn start(arguments: Arguments) -> Result<(), Failure> {
    let Some(file) = arguments.config.clone() else {
        logging::start(&arguments.log).map_err(Failure::Arguments)?;
        let target = arguments.target().map_err(Failure::Arguments)?;
        return serve_until_stopped(
            &arguments,
            target.map(|it| Served::One(Box::new(One::new(it)))),
        );
    };
    let of_file = |problems: Vec<Problem>| Failure::File(file.clone(), problems);
    let config = Config::read(&file).map_err(of_file)?;
    let arguments = Arguments::with(&config.defaults)
        .map_err(|words| Failure::File(file.clone(), vec![Problem::of_file(words)]))?;
    if arguments.convert {
        return write_converted(&config);
    }
    let unused = arguments
        .check_beside(&config)
        .map_err(Failure::Arguments)?;
    let mut plan =
        Plan::new(&config, &arguments).map_err(|problems| Failure::File(file.clone(), problems))?;
    plan.warnings.extend(unused.map(Problem::of_file));
    let served = Served::Many(Many::new(plan));
    if arguments.check {
        return check(&served, &arguments, &file);
    }
    logging::start(&arguments.log).map_err(Failure::Arguments)?;
    serve_until_stopped(&arguments, Some(served))
}

/// `--check`: all but the serving.
fn check(served: &Served, arguments: &Arguments, file: &Path) -> Result<(), Failure> {
    let environment = Environment::read(&|name| env::var(name).ok());
    let servers = served.servers(arguments).map_err(Failure::Arguments)?;
    let runtime = runtime().map_err(no_threads)?;
    let _inside = runtime.enter();
    let clients = Clients::new(servers, &environment).map_err(Failure::Arguments)?;
    let client = signing_client(served, clients, None)?;
    served
        .routes(&client, arguments)
        .map_err(Failure::Arguments)?;
    let (text, warnings) = served.described();
    for problem in warnings {
        say(format_args!("warning: {}: {problem}", file.display()));
    }
    print(&text)
}

fn write_converted(config: &Config) -> Result<(), Failure> {
    let converted = convert(config).map_err(Failure::Arguments)?;
    print(&converted.text)?;
    for variable in converted.variables {
        say(format_args!("set the environment variable {variable}"));
    }
    Ok(())
}

fn serve_until_stopped(arguments: &Arguments, served: Option<Served>) -> Result<(), Failure> {
    let runtime = runtime().map_err(no_threads)?;
    let ended = runtime.block_on(run(arguments, served));
    // Not waiting for name look-ups, which nothing can break off.
    runtime.shutdown_background();
    ended
}

fn no_threads(error: io::Error) -> Failure {
    Failure::Machine(format!("no threads can be started: {error}"))
}

fn print(text: &str) -> Result<(), Failure> {
    let mut stdout = io::stdout();
    stdout
        .write_all(text.as_bytes())
        .and_then(|()| stdout.flush())
        .map_err(|error| Failure::Machine(format!("stdout cannot be written to: {error}")))
}

fn say(words: fmt::Arguments<'_>) {
    // An error is a reader that went away.
    let _ = writeln!(io::stderr(), "{words}");
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

async fn run(arguments: &Arguments, served: Option<Served>) -> Result<(), Failure> {
    let (served, try_out) = match served {
        Some(served) => (served, None),
        None => {
            let try_out = TryOut::start().await.map_err(Failure::Machine)?;
            let target = try_out.target(arguments).map_err(Failure::Machine)?;
            (Served::One(Box::new(One::new(target))), Some(try_out))
        }
    };
    let environment = Environment::read(&|name| env::var(name).ok());
    let servers = served.servers(arguments).map_err(Failure::Arguments)?;
    let upstreams = servers.upstreams.clone();
    let clients = Clients::new(servers, &environment).map_err(Failure::Arguments)?;
    let sharing = arguments.sharing().map_err(Failure::Arguments)?;
    let client = signing_client(&served, clients, sharing.as_ref())?;
    let listener = TcpListener::bind(arguments.listen).await.map_err(|error| {
        Failure::Machine(format!(
            "cannot listen on {}: {error}; choose another address with --listen",
            arguments.listen
        ))
    })?;
    let address = listener
        .local_addr()
        .map_err(|error| Failure::Machine(format!("the listening address is unknown: {error}")))?;
    served.announce(sharing.is_some());
    announce_way_out(&upstreams, &environment);
    if let Some(sharing) = sharing {
        tokio::spawn(async move { sharing.check().await });
    }
    let service = service(arguments, &served, &client, address)?;
    let stop = StopSignals::listen()
        .map_err(|error| Failure::Machine(format!("signals cannot be listened to: {error}")))?;

    if let Some(try_out) = &try_out {
        try_out.say_what_to_try(address);
    }
    print(&format!("listening on http://{address}\n"))?;
    serve(listener, service, arguments.limits.http2_keep_alive, stop).await;
    Ok(())
}

/// What requests pass, as the command line has it.
fn service(
    arguments: &Arguments,
    served: &Served,
    client: &SigningClient,
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
    let pages = served.pages();
    let marks_answers = !arguments.access.allow_origin.is_empty() || !pages.is_empty();
    let access = Arc::new(Access::new(&arguments.access, listening, pages));
    if served.lends_an_account()
        && !listening.ip().to_canonical().is_loopback()
        && !arguments.access.limits_callers()
        && !served.limits_callers()
    {
        tracing::warn!(
            "everyone who reaches {listening} has the rights of the account: limit what they may ask for with \
             --allow-path, --allow-referer or --rate-limit, or listen on 127.0.0.1 behind a web server that decides who \
             may come"
        );
    }
    Ok(Service::new(Steps {
        cors: marks_answers.then(|| cors(&access)),
        access,
        places,
        body_limits: BodyLimits {
            most: limits.max_body_size,
            patience: limits.body_timeout,
        },
        routes: served
            .routes(client, arguments)
            .map_err(Failure::Arguments)?,
    }))
}

/// The layer over the client: what it sends is signed, and challenges are answered.
fn signing_client(
    served: &Served,
    clients: Clients,
    sharing: Option<&Sharing>,
) -> Result<SigningClient, Failure> {
    let sites = served.sites(sharing).map_err(Failure::Arguments)?;
    let builder = sites
        .into_iter()
        .fold(ArcgisAuthLayer::builder(), |builder, site| {
            builder.add_site(site)
        });
    let layer = builder
        .token_client(clients.logins)
        .build()
        .map_err(Failure::arguments)?;
    Ok(layer.layer(clients.requests))
}
