//! The way to ArcGIS: one client for all sites, with the layer around it.

use std::{collections::BTreeSet, time::Duration};

use bytes::Bytes;
use futures_util::future::join_all;
use http::{Request, Response, Uri, header::ACCEPT};
use http_body_util::Empty;
use hyper::body::Incoming;
use hyper_rustls::{ConfigBuilderExt, HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use rustls::{ClientConfig, RootCertStore};
use tokio::time::timeout;
use tower::{Layer, ServiceExt};
use tower_arcgis_auth::{
    ArcgisAuth, ArcgisAuthHandle, ArcgisAuthLayer, CallerToken, Cancelled, ReplayBody,
    ResponseBody, Site, SiteHandle, TokenClient,
};

use crate::{
    error::SetUpError,
    login::Login,
    maps::MapService,
    people::{People, Person},
    portal::Settings,
};

/// A server that takes longer has no map for a person who waits.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(40);
/// People whose tokens are kept; others log in again.
const MOST_PEOPLE: u64 = 10_000;

/// All sites, as one account or as each person's own. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Gis {
    client: ArcgisAuth<Client<HttpsConnector<HttpConnector>, ReplayBody<Empty<Bytes>>>>,
    handle: ArcgisAuthHandle,
}

impl Gis {
    pub(crate) fn new(settings: &Settings, people: &People) -> Result<Self, SetUpError> {
        let tls = tls(&settings.maps)?;
        let mut layer = ArcgisAuthLayer::builder().token_client(TokenClient::new(
            Client::builder(TokioExecutor::new()).build(connector(tls.clone())),
        ));
        for (index, root) in roots(&settings.maps).into_iter().enumerate() {
            let site = settings
                .trusted_token_services
                .iter()
                .fold(Site::new(root), Site::trust_token_service)
                .caller_token(CallerToken::Replace);
            layer = layer.add_site(match &settings.login {
                Login::Arcgis => of_each_person(site, people.clone(), index == 0, settings),
                Login::Own { account, .. } => site.credential(account.clone()),
            });
        }
        let layer = layer.build().map_err(SetUpError::new)?;
        Ok(Self {
            client: layer.layer(Client::builder(TokioExecutor::new()).build(connector(tls))),
            handle: layer.handle(),
        })
    }

    pub(crate) fn handle(&self) -> &ArcgisAuthHandle {
        &self.handle
    }

    /// The site whose token service checks passwords: that of the first service.
    pub(crate) fn first_site(&self) -> Option<SiteHandle> {
        self.handle.sites().into_iter().next()
    }

    /// Asks for `url` as the person. Nothing of the browser's request goes along. An error is for people to read.
    pub(crate) async fn get(
        &self,
        url: &str,
        accept: &'static str,
        person: &Person,
    ) -> Result<Response<ResponseBody<Incoming>>, &'static str> {
        let url: Uri = url.parse().map_err(|_| "This is no map's address.")?;
        let request = Request::get(url)
            .header(ACCEPT, accept)
            .extension(person.identity.clone())
            .body(Empty::new());
        let request = request.map_err(|_| "This is no map's address.")?;
        let answer = timeout(ANSWER_TIMEOUT, self.client.clone().oneshot(request)).await;
        let response = match answer {
            Ok(Ok(response)) => response,
            Ok(Err(error)) => {
                tracing::warn!(%error, "no answer from ArcGIS");
                return Err("The server does not answer.");
            }
            Err(_) => {
                tracing::warn!("no answer from ArcGIS within {ANSWER_TIMEOUT:?}");
                return Err("The server does not answer in time.");
            }
        };
        let outcome = response.body().outcome();
        if outcome.returned_challenge().is_some() {
            tracing::warn!(%outcome, "ArcGIS still asks for a login");
            return Err("The server does not let this account see the map.");
        }
        Ok(response)
    }

    /// Forgets the person's tokens at all sites. A server that issued some has no way to be told.
    pub(crate) async fn sign_out(&self, person: &Person) {
        let sites = self.handle.sites();
        let ending = sites.iter().map(async |site| {
            if let Err(error) = site.sign_out_identity(&person.identity).await {
                tracing::warn!(%error, site = site.root(), "a token source did not confirm the sign-out");
            }
        });
        join_all(ending).await;
    }
}

/// The sites of the services, the first service's first.
fn roots(maps: &[MapService]) -> Vec<&str> {
    let mut seen = BTreeSet::new();
    let roots = maps.iter().map(MapService::root);
    roots.filter(|root| seen.insert(*root)).collect()
}

/// A site where each person has tokens of their own.
fn of_each_person(site: Site, people: People, is_first: bool, settings: &Settings) -> Site {
    site.identity_fn(|head| head.extensions.get().cloned())
        .remember_identities(MOST_PEOPLE, settings.session_life)
        .credential_fn(move |request| {
            let people = people.clone();
            async move {
                let identity = request.identity().ok_or(Cancelled)?;
                if request.refused() > 0 {
                    // Whose password the first site refuses is not signed in, or not any more: it was changed meanwhile.
                    // Another site may only lack the account.
                    if is_first {
                        people.remove(identity);
                    }
                    return Err(Cancelled);
                }
                let person = people.get(identity).ok_or(Cancelled)?;
                person.credential.ok_or(Cancelled)
            }
        })
}

/// The platform's root certificates. A machine without any can still reach what is not https.
fn tls(maps: &[MapService]) -> Result<ClientConfig, SetUpError> {
    let builder = || {
        let provider = rustls::crypto::ring::default_provider().into();
        ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()
    };
    let builder = || builder().map_err(SetUpError::new);
    let needs_tls = maps.iter().any(|map| map.url().starts_with("https:"));
    match builder()?.try_with_platform_verifier() {
        Ok(verified) => Ok(verified.with_no_client_auth()),
        Err(error) if needs_tls => Err(SetUpError::new(format!(
            "this machine has no root certificates to know an https server by: {error}"
        ))),
        Err(_) => Ok(builder()?
            .with_root_certificates(RootCertStore::empty())
            .with_no_client_auth()),
    }
}

fn connector(tls: ClientConfig) -> HttpsConnector<HttpConnector> {
    HttpsConnectorBuilder::new()
        .with_tls_config(tls)
        .https_or_http()
        .enable_http1()
        .enable_http2()
        .build()
}
