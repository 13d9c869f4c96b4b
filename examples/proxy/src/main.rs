//! `arcgis-proxy`: a reverse proxy that logs in to a secured ArcGIS and makes it look like an open one.

#![warn(clippy::expect_used, clippy::panic, clippy::unwrap_used)]

mod access;
mod admin;
mod arguments;
mod arrived;
mod config;
mod connections;
mod cors;
mod forward;
mod headers;
mod log_line;
mod logging;
mod login;
mod measures;
mod open_files;
mod option_names;
mod origin;
mod plan;
mod redirects;
mod refusal;
mod request_body;
mod request_id;
mod routes;
mod run;
mod served;
mod service;
mod shared;
mod shared_cache;
mod short_names;
mod signing;
mod try_out;
mod upstream;
mod warnings;

use std::{
    env, fmt,
    io::{self, Write},
    path::{Path, PathBuf},
    process::ExitCode,
    thread,
};

use clap::error::ErrorKind;
use mimalloc::MiMalloc;
use tokio::runtime::{self, Runtime};

use crate::{
    arguments::Arguments,
    config::{Config, Problem},
    option_names::in_options,
    plan::{Plan, convert},
    served::{Many, One, Served},
    upstream::{Clients, Environment},
};

#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

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
    let (clients, _) = run::signing_clients(served, clients, None)?;
    served
        .routes(&clients, arguments)
        .map_err(Failure::Arguments)?;
    let (text, warnings) = served.described(arguments);
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
    let ended = runtime.block_on(run::run(arguments, served));
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
