//! `arcgis-stand-in`: the stand-in as a program, for a person with curl.

#![warn(clippy::expect_used, clippy::panic, clippy::unwrap_used)]

use std::io::{self, Write};
use std::net::SocketAddr;
use std::time::Duration;

use arcgis_stand_in::{PASSWORD, Received, StandIn, USERNAME};
use clap::Parser;

/// An ArcGIS Server for tests: secured services and tokens, no ArcGIS.
#[derive(Debug, Parser)]
#[command(version)]
struct Arguments {
    /// Address to listen on
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:6080")]
    listen: SocketAddr,
    /// The one user there is
    #[arg(long, default_value = USERNAME)]
    username: String,
    /// That user's password
    #[arg(long, default_value = PASSWORD)]
    password: String,
    /// How long tokens live
    #[arg(long, value_name = "MINUTES", default_value_t = 60, value_parser = clap::value_parser!(u32).range(1..))]
    token_minutes: u32,
}

#[tokio::main]
async fn main() -> io::Result<()> {
    let arguments = Arguments::parse();
    let arcgis = StandIn::builder()
        .listen(arguments.listen)
        .user(&arguments.username, &arguments.password)
        .token_lifetime(Duration::from_secs(u64::from(arguments.token_minutes) * 60))
        .observe(log)
        .start()
        .await?;

    let mut out = io::stdout();
    writeln!(out, "listening on {}", arcgis.origin())?;
    writeln!(
        out,
        "secured    {}/rest/services/{{Parcels/MapServer, Water/FeatureServer, Zoning/MapServer}}",
        arcgis.root()
    )?;
    writeln!(
        out,
        "public     {}/rest/services/Basemap/MapServer",
        arcgis.root()
    )?;
    writeln!(
        out,
        "tokens     {}generateToken",
        arcgis.token_services_url()
    )?;
    writeln!(out, "revoke     POST {}", arcgis.url("/stand-in/revoke"))?;
    writeln!(out, "counters   {}", arcgis.url("/stand-in/counters"))?;
    out.flush()?;

    tokio::signal::ctrl_c().await?;
    arcgis.stop().await;
    Ok(())
}

/// One line a request, tokens left out.
fn log(received: &Received) {
    let status = received.status.map_or(0, |status| status.as_u16());
    // A closed stderr must not stop the server.
    let _ = writeln!(
        io::stderr(),
        "{status} {} {}",
        received.method,
        without_tokens(&received.path_and_query)
    );
}

fn without_tokens(path_and_query: &str) -> String {
    let Some((path, query)) = path_and_query.split_once('?') else {
        return path_and_query.to_owned();
    };
    let query: Vec<&str> = query
        .split('&')
        .map(|pair| match pair.split_once('=') {
            Some(("token", _)) => "token=...",
            Some(("password", _)) => "password=...",
            _ => pair,
        })
        .collect();
    format!("{path}?{}", query.join("&"))
}
