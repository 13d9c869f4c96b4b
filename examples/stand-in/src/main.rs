//! `arcgis-stand-in`: the stand-in as a program, for a person with curl.

#![warn(clippy::expect_used, clippy::panic, clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use arcgis_stand_in::{
    Certificate, ChallengeShape, Cors, PASSWORD, Personality, Portal, Received, StandIn, USERNAME,
};
use clap::{Parser, ValueEnum};

/// An ArcGIS Server for tests: secured services and tokens, no ArcGIS.
#[derive(Debug, Parser)]
#[command(version)]
struct Arguments {
    /// Address to listen on
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:6080", value_parser = listen_address)]
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
    /// The shape of challenges: login-page, login-redirect, http-status and so on; an unknown one lists all
    #[arg(long, value_name = "SHAPE", default_value_t = ChallengeShape::Json)]
    challenge: ChallengeShape,
    /// Which pages may read the answers: any, off, or origins with commas between them
    #[arg(long, value_name = "ORIGINS", default_value = "any", value_parser = cors)]
    cors: Cors,
    /// Speak https with a certificate made at the start; it is written to this file for clients to trust
    #[arg(long, value_name = "FILE")]
    https: Option<PathBuf>,
    /// A host name or IP address that the certificate is for, besides localhost and the addresses listened on
    #[arg(long, value_name = "NAME", requires = "https")]
    https_name: Vec<String>,
    /// What kind of server it is
    #[arg(long, value_enum, default_value_t = Kind::Standalone)]
    personality: Kind,
    /// Address of the portal a federated server has
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:7080", value_parser = listen_address)]
    portal_listen: SocketAddr,
    /// The application registered at that portal
    #[arg(long, value_name = "ID", default_value = "stand-in-app")]
    client_id: String,
    /// That application's secret
    #[arg(long, value_name = "SECRET", default_value = "stand-in-app-secret")]
    client_secret: String,
    /// An API key that the portal's servers take
    #[arg(long, value_name = "KEY", default_value = "AAPKstand-in-api-key")]
    api_key: String,
}

/// What it may stand in for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Kind {
    /// ArcGIS Server 10.1 or later on its own
    Standalone,
    /// ArcGIS Server 10.0: getToken in plain text, no rest/info
    Legacy,
    /// ArcGIS Server with nothing but the administrator's generateToken
    Admin,
    /// ArcGIS Server federated with a portal, which is started too
    Federated,
}

impl Arguments {
    fn token_lifetime(&self) -> Duration {
        Duration::from_secs(u64::from(self.token_minutes) * 60)
    }
}

#[tokio::main]
async fn main() -> ExitCode {
    match run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Nobody may be there to read it.
            let _ = writeln!(io::stderr(), "error: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run() -> io::Result<()> {
    let arguments = Arguments::parse();
    let certificate = match &arguments.https {
        Some(file) => Some(certificate(&arguments, file)?),
        None => None,
    };
    let certificate = certificate.as_ref();
    let portal = match arguments.personality {
        Kind::Federated => Some(start_portal(&arguments, certificate).await?),
        Kind::Standalone | Kind::Legacy | Kind::Admin => None,
    };
    let arcgis = start_server(&arguments, certificate, portal.as_ref()).await?;

    let mut out = io::stdout();
    writeln!(out, "listening on {}", arcgis.origin())?;
    for (name, value) in addresses(arguments.personality, &arcgis, portal.as_ref()) {
        writeln!(out, "{name:<10} {value}")?;
    }
    out.flush()?;

    tokio::signal::ctrl_c().await?;
    arcgis.stop().await;
    if let Some(portal) = portal {
        portal.stop().await;
    }
    Ok(())
}

async fn start_portal(
    arguments: &Arguments,
    certificate: Option<&Certificate>,
) -> io::Result<Portal> {
    let mut builder = Portal::builder();
    if let Some(certificate) = certificate {
        builder = builder.https(certificate);
    }
    builder
        .cors(arguments.cors.clone())
        .listen(arguments.portal_listen)
        .user(&arguments.username, &arguments.password)
        .app(&arguments.client_id, &arguments.client_secret)
        .api_key(&arguments.api_key, &[])
        .token_lifetime(arguments.token_lifetime())
        .observe(log)
        .start()
        .await
        .map_err(|error| cannot_listen(arguments.portal_listen, "--portal-listen", &error))
}

fn cors(text: &str) -> Result<Cors, &'static str> {
    let mut origins = text.split(',');
    match text {
        "any" => Ok(Cors::AnyOrigin),
        "off" => Ok(Cors::Off),
        _ if origins.all(|origin| origin.contains("://") && !origin.ends_with('/')) => {
            Ok(Cors::Origins(text.split(',').map(str::to_owned).collect()))
        }
        _ => Err("write any, off, or origins like https://app.example"),
    }
}

/// A certificate for all the names it may be asked under, and its PEM in `file`.
fn certificate(arguments: &Arguments, file: &Path) -> io::Result<Certificate> {
    let listened_on = [arguments.listen, arguments.portal_listen].map(|address| address.ip());
    let names = ["localhost", "127.0.0.1", "::1"].map(str::to_owned);
    let names = names
        .into_iter()
        .chain(listened_on.map(|address| address.to_string()));
    let names: BTreeSet<String> = names.chain(arguments.https_name.iter().cloned()).collect();
    let certificate = Certificate::for_names(names)?;
    std::fs::write(file, certificate.pem()).map_err(|error| {
        let file = file.display();
        io::Error::other(format!(
            "cannot write the certificate to {file}: {error}; choose another file with --https"
        ))
    })?;
    Ok(certificate)
}

fn cannot_listen(address: SocketAddr, option: &str, error: &io::Error) -> io::Error {
    io::Error::other(format!(
        "cannot listen on {address}: {error}; choose another address with {option}"
    ))
}

fn listen_address(text: &str) -> Result<SocketAddr, &'static str> {
    text.parse()
        .map_err(|_| "write an IP address and a port, like 127.0.0.1:6080")
}

async fn start_server(
    arguments: &Arguments,
    certificate: Option<&Certificate>,
    portal: Option<&Portal>,
) -> io::Result<StandIn> {
    let mut builder = StandIn::builder();
    if let Some(certificate) = certificate {
        builder = builder.https(certificate);
    }
    let builder = builder
        .cors(arguments.cors.clone())
        .challenge(arguments.challenge)
        .listen(arguments.listen)
        .token_lifetime(arguments.token_lifetime())
        .personality(match arguments.personality {
            Kind::Standalone | Kind::Federated => Personality::Standalone,
            Kind::Legacy => Personality::Legacy,
            Kind::Admin => Personality::AdminOnly,
        })
        .observe(log);
    let builder = match portal {
        Some(portal) => builder.federated_with(portal),
        None => builder.user(&arguments.username, &arguments.password),
    };
    builder
        .start()
        .await
        .map_err(|error| cannot_listen(arguments.listen, "--listen", &error))
}

/// What a person with curl wants to know, by name.
fn addresses(kind: Kind, arcgis: &StandIn, portal: Option<&Portal>) -> Vec<(&'static str, String)> {
    let services = arcgis.url("rest/services");
    let tokens = arcgis.token_services_url();
    let mut addresses = vec![
        (
            "secured",
            format!("{services}/{{Parcels/MapServer, Water/FeatureServer, Zoning/MapServer}}"),
        ),
        ("public", format!("{services}/Basemap/MapServer")),
        (
            "tokens",
            match kind {
                Kind::Standalone => format!("{tokens}generateToken"),
                Kind::Legacy => format!("{tokens}?request=getToken"),
                Kind::Admin | Kind::Federated => tokens,
            },
        ),
    ];
    if let Some(portal) = portal {
        addresses.push(("portal", portal.root()));
        addresses.push((
            "login",
            "as its user, its application or with its API key: see --help".to_owned(),
        ));
        addresses.push(("portal-control", portal.url("/stand-in/")));
    }
    addresses.push(("control", arcgis.url("/stand-in/")));
    addresses.push(("counters", arcgis.url("/stand-in/counters")));
    addresses
}

/// Fields of queries that are not for the log.
const SECRET: [&str; 7] = [
    "auth_token",
    "client_secret",
    "code",
    "code_verifier",
    "password",
    "refresh_token",
    "token",
];

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
    let query: Vec<String> = query
        .split('&')
        .map(|pair| match pair.split_once('=') {
            Some((name, _)) if SECRET.contains(&name) => format!("{name}=..."),
            _ => pair.to_owned(),
        })
        .collect();
    format!("{path}?{}", query.join("&"))
}
