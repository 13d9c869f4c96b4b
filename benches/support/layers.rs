//! This layer with a token in hand, in the settings that are measured.

use std::{
    convert::Infallible,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use http::Response;
use tower::{Layer, Service};
use tower_arcgis_auth::{
    ArcgisAuth, ArcgisAuthLayer, CallerToken, Identity, IssuedToken, ReplayBody, Site,
    TokenPlacement, token_source_fn,
};

use super::{
    answers::{Answering, Bare},
    now,
    requests::{ROOT, get, one_byte},
};

#[derive(Clone, Copy)]
pub(crate) struct Settings {
    pub(crate) placement: TokenPlacement,
    /// Whether a copy of the request is kept for a second sending.
    pub(crate) copy: bool,
    /// Whether the token is bound to a `Referer`.
    pub(crate) referer: bool,
    pub(crate) caller_token: CallerToken,
    pub(crate) sites: usize,
    /// How many have a token of their own; 0 where all have the same.
    pub(crate) identities: usize,
}

fn site(settings: Settings, root: &str) -> Site {
    let site = Site::new(root)
        .token_source(token_source_fn(|_| async {
            IssuedToken::try_new("T".repeat(200))
        }))
        .caller_token(settings.caller_token)
        .placement(settings.placement);
    let site = match settings.referer {
        true => site,
        false => site.bind_to_address(),
    };
    if settings.identities == 0 {
        return site;
    }
    let names = 0..settings.identities;
    let identities: Vec<Identity> = names
        .map(|number| Identity::from(format!("user {number}")))
        .collect();
    let next = Arc::new(AtomicUsize::new(0));
    let site = site.remember_identities(1_000_000, Duration::from_secs(3600));
    site.identity_fn(move |_| {
        let next = next.fetch_add(1, Ordering::Relaxed);
        identities.get(next % identities.len()).cloned()
    })
}

pub(crate) fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .expect("a runtime")
}

pub(crate) fn layer(settings: Settings) -> ArcgisAuthLayer {
    let mut builder = ArcgisAuthLayer::builder()
        .add_site(site(settings, ROOT))
        .replay_limit(if settings.copy { 1024 * 1024 } else { 0 });
    for number in 1..settings.sites {
        let root = format!("http://gis{number}.test/arcgis");
        builder = builder.add_site(site(settings, &root));
    }
    builder.build().expect("settings that work")
}

/// The layer in front of `inner`, with a token for every identity, each of which has been proven.
pub(crate) fn service<A>(settings: Settings, inner: A) -> ArcgisAuth<A>
where
    A: Answering
        + Service<
            http::Request<ReplayBody<http_body_util::Full<bytes::Bytes>>>,
            Response = Response<<A as Answering>::Body>,
            Error = Infallible,
            Future = std::future::Ready<Result<Response<<A as Answering>::Body>, Infallible>>,
        >,
{
    let runtime = runtime();
    let layer = layer(settings);
    let mut challenged = layer.layer(Bare::challenge());
    let mut service = layer.layer(inner);
    for _ in 0..settings.identities.max(1) {
        let sent = runtime.block_on(challenged.call(get()));
        assert!(sent.is_ok_and(|response| response.body().outcome().resent()));
    }
    for _ in 0..settings.identities.max(1) {
        let sent = now(service.call(one_byte()));
        assert!(sent.is_ok_and(|response| response.body().outcome().signed()));
    }
    service
}
