//! `arcgis-portal`: a login page in front of secured ArcGIS services.

#![warn(clippy::expect_used, clippy::panic, clippy::unwrap_used)]

mod arguments;
mod demo;

use std::{
    error::Error,
    io::{self, Read, Write},
    process::ExitCode,
};

use arcgis_portal::{Portal, SetUpError, line_for};
use clap::{CommandFactory, Parser, error::ErrorKind};
use secrecy::SecretString;
use tokio::net::TcpListener;
use tracing_subscriber::EnvFilter;

use crate::{
    arguments::{Action, Arguments},
    demo::Demo,
};

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let done = match &arguments.action {
        Some(Action::Hash { name }) => print_line_for(name),
        None => serve(&arguments),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        // Exit code 2, like any other bad argument.
        Err(error) if error.is::<SetUpError>() => Arguments::command()
            .error(ErrorKind::ValueValidation, error)
            .exit(),
        Err(error) => {
            let _ = writeln!(io::stderr(), "error: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Reads a password from standard input, and prints the user's line for the users' file.
fn print_line_for(name: &str) -> Result<(), Box<dyn Error>> {
    let mut password = String::new();
    io::stdin().read_to_string(&mut password)?;
    // What `echo` and the Enter key add.
    password.truncate(password.trim_end_matches(['\r', '\n']).len());
    let line = line_for(name, &SecretString::from(password))?;
    writeln!(io::stdout(), "{line}")?;
    Ok(())
}

#[tokio::main]
async fn serve(arguments: &Arguments) -> Result<(), Box<dyn Error>> {
    let filter = EnvFilter::try_from_default_env()
        // Expired cookies are nothing to be suspicious of.
        .unwrap_or_else(|_| EnvFilter::new("info,tower_sessions=error,tower_sessions_core=error"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr)
        .init();

    let demo = if arguments.has_services() {
        None
    } else {
        Some(Demo::start().await?)
    };
    let settings = arguments.settings(demo.as_ref())?;
    let has_own_users = arguments.users.is_some();
    let portal = Portal::try_new(settings)?;
    let listener = TcpListener::bind(arguments.listen)
        .await
        .map_err(|error| format!("cannot listen on {}: {error}", arguments.listen))?;
    let address = listener.local_addr()?;
    if !address.ip().is_loopback() {
        tracing::warn!(
            "passwords travel to {address} in plain text: let only a web server with https reach it"
        );
    }
    let mut out = io::stdout();
    writeln!(out, "listening on http://{address}")?;
    if let Some(demo) = &demo {
        demo.say_what_to_try(address, has_own_users, &mut out)?;
    }
    out.flush()?;
    axum::serve(listener, portal.router())
        .with_graceful_shutdown(async {
            // Without the signal it would only be stopped less gently.
            let _ = tokio::signal::ctrl_c().await;
        })
        .await?;
    Ok(())
}
