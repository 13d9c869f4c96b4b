//! The proxy, started: its clients, the layer over them, its listening sockets.

use std::{env, net::SocketAddr, sync::Arc};

use metrics_exporter_prometheus::PrometheusHandle;
use tokio::net::TcpListener;
use tower::Layer;
use tower_arcgis_auth::{ArcgisAuthHandle, ArcgisAuthLayer, LockoutGuard};

use crate::{
    Failure,
    access::Access,
    admin::Admin,
    arguments::Arguments,
    connections::{Patience, Places, StopSignals, serve},
    cors::cors,
    measures::{self, Measures},
    open_files, print,
    request_body::BodyLimits,
    served::{One, Served, SigningClients},
    service::{Service, Steps},
    shared_cache::Sharing,
    try_out::TryOut,
    upstream::{Clients, Environment, announce_way_out},
};

/// Serves until a signal says to stop. Without anything to serve, a made-up ArcGIS is.
pub(crate) async fn run(arguments: &Arguments, served: Option<Served>) -> Result<(), Failure> {
    let (served, try_out) = match served {
        Some(served) => (served, None),
        None => {
            let try_out = TryOut::start().await.map_err(Failure::Machine)?;
            let target = try_out.target(arguments).map_err(Failure::Machine)?;
            (Served::One(Box::new(One::new(target))), Some(try_out))
        }
    };
    // The layer's counters are found where they are first used: the recorder comes before.
    let counted = match arguments.admin_listen {
        Some(address) => Some((
            listen_at(address, "--admin-listen").await?,
            start_counting()?,
        )),
        None => None,
    };
    let environment = Environment::read(&|name| env::var(name).ok());
    let servers = served.servers(arguments).map_err(Failure::Arguments)?;
    let upstreams = servers.upstreams.clone();
    let clients = Clients::new(servers, &environment).map_err(Failure::Arguments)?;
    let sharing = arguments.sharing().map_err(Failure::Arguments)?;
    let (clients, logins) = signing_clients(&served, clients, sharing.as_ref())?;
    let listener = listen_at(arguments.listen, "--listen").await?;
    let address = address_of(&listener)?;
    served.announce(sharing.is_some());
    announce_way_out(&upstreams, &environment);
    if let Some(sharing) = sharing {
        tokio::spawn(async move { sharing.check().await });
    }
    let measures = counted.is_some().then(|| Arc::new(Measures::new()));
    let service = service(arguments, &served, &clients, address, measures.clone())?;
    if let (Some((listener, counted)), Some(measures)) = (counted, measures) {
        tracing::info!(address = %address_of(&listener)?, "/healthz, /readyz and /metrics are served");
        let admin = Admin {
            on_loopback: address_of(&listener)?.ip().to_canonical().is_loopback(),
            logins,
            counted,
            measures,
            places: Arc::clone(service.places()),
        };
        tokio::spawn(admin.serve(listener));
    }
    let stop = StopSignals::listen()
        .map_err(|error| Failure::Machine(format!("signals cannot be listened to: {error}")))?;

    if let Some(try_out) = &try_out {
        try_out.say_what_to_try(address);
    }
    print(&format!("listening on http://{address}\n"))?;
    serve(listener, service, arguments.limits.http2_keep_alive, stop).await;
    Ok(())
}

async fn listen_at(address: SocketAddr, option: &str) -> Result<TcpListener, Failure> {
    TcpListener::bind(address).await.map_err(|error| {
        Failure::Machine(format!(
            "cannot listen on {address}: {error}; choose another address with {option}"
        ))
    })
}

fn address_of(listener: &TcpListener) -> Result<SocketAddr, Failure> {
    listener
        .local_addr()
        .map_err(|error| Failure::Machine(format!("the listening address is unknown: {error}")))
}

fn start_counting() -> Result<PrometheusHandle, Failure> {
    measures::start().map_err(|error| Failure::Machine(format!("nothing can be counted: {error}")))
}

/// What requests pass, as the command line has it.
fn service(
    arguments: &Arguments,
    served: &Served,
    clients: &SigningClients,
    listening: SocketAddr,
    measures: Option<Arc<Measures>>,
) -> Result<Service, Failure> {
    let limits = &arguments.limits;
    let most = open_files::places(limits.max_connections);
    let patience = Patience {
        headers: limits.header_timeout,
        idle: limits.idle_timeout,
        bodies: limits.body_timeout,
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
            .routes(clients, arguments)
            .map_err(Failure::Arguments)?,
        measures,
    }))
}

/// The layers over the client: what it sends is signed, and challenges are answered. Failed logins are counted for all
/// together.
pub(crate) fn signing_clients(
    served: &Served,
    clients: Clients,
    sharing: Option<&Sharing>,
) -> Result<(SigningClients, Vec<ArcgisAuthHandle>), Failure> {
    let guard = LockoutGuard::new();
    let layer = |apart| {
        let sites = served.sites(sharing, apart).map_err(Failure::Arguments)?;
        if sites.is_empty() {
            return Ok(None);
        }
        let builder = sites
            .into_iter()
            .fold(ArcgisAuthLayer::builder(), |builder, site| {
                builder.add_site(site)
            });
        builder
            .token_client(clients.logins.clone())
            .lockout_guard(guard.clone())
            .build()
            .map(Some)
            .map_err(Failure::arguments)
    };
    let layers = [layer(false)?, layer(true)?];
    let handles = layers
        .iter()
        .flatten()
        .map(ArcgisAuthLayer::handle)
        .collect();
    // Where one has no site, no request goes to its client.
    let (together, apart) = match &layers {
        [Some(together), Some(apart)] => (together, apart),
        [Some(only), None] | [None, Some(only)] => (only, only),
        [None, None] => return Err(Failure::Arguments("there is no site to serve".to_owned())),
    };
    let clients = SigningClients {
        together: together.layer(clients.requests.clone()),
        apart: apart.layer(clients.requests),
    };
    Ok((clients, handles))
}
