//! A client of reqwest's own requests and responses, which logs in.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use http::{Request, Response};
use reqwest::ResponseBuilderExt;
use tower_layer::Layer;
use tower_service::Service;

use super::ReqwestService;
use crate::{
    body::ResponseBody, failure::FailureAsStatus, handle::ArcgisAuthHandle, identity::Identity,
    layer::ArcgisAuthLayer, service::ArcgisAuth,
};

/// A [`reqwest::Client`] below the layer: requests and responses are reqwest's own. Cheap to clone; clones share connections
/// and tokens.
///
/// It follows no redirect and sends no `Referer` of its own, whatever the builder says ([`ReqwestService`] says why): a
/// redirect is an answer. A response's `url` is the request's, without the token, and so is that of its errors; the
/// [`AuthOutcome`](crate::AuthOutcome) is in its extensions.
///
/// The builder's time-outs are for each sending, not for the login between two.
///
/// ```
/// use tower_arcgis_auth::{ArcgisAuthLayer, AuthOutcome, Credential, ReqwestClient, Site};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let server = arcgis_stand_in::StandIn::start().await?;
/// # let credential = Credential::user(arcgis_stand_in::USERNAME, arcgis_stand_in::PASSWORD);
/// let layer = ArcgisAuthLayer::try_new(Site::new(server.root()).credential(credential))?;
/// let client = ReqwestClient::try_new(&layer, reqwest::Client::builder())?.failures_as_status();
///
/// let url = server.url("rest/services/Parcels/MapServer?f=json");
/// let response = client.send(|http| http.get(&url).header("accept", "application/json")).await?;
/// assert!(response.extensions().get::<AuthOutcome>().is_some_and(|outcome| outcome.signed()));
/// assert_eq!(response.url().as_str(), url);
/// println!("{}", response.error_for_status()?.text().await?);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct ReqwestClient {
    service: ArcgisAuth<ReqwestService>,
    fails_with_status: bool,
    identity: Option<Identity>,
}

type Answer = Result<Response<ResponseBody<reqwest::Body>>, reqwest::Error>;

impl ReqwestClient {
    /// The client that `builder` makes, below `layer`.
    ///
    /// # Errors
    ///
    /// As [`reqwest::ClientBuilder::build`].
    pub fn try_new(
        layer: &ArcgisAuthLayer,
        builder: reqwest::ClientBuilder,
    ) -> Result<Self, reqwest::Error> {
        Ok(Self {
            service: layer.layer(ReqwestService::try_new(builder)?),
            fails_with_status: false,
            identity: None,
        })
    }

    /// The same client, whose challenges that could not be answered become a status, as
    /// [`ArcgisAuthLayer::failures_as_status`] has it: `error_for_status` then finds them. By default a challenge is the
    /// answer, mostly with 200.
    #[must_use]
    pub fn failures_as_status(mut self) -> Self {
        self.fails_with_status = true;
        self
    }

    /// The same client for the requests of one identity, which has it in its extensions: for an
    /// [`identity_fn`](crate::Site) that reads it there.
    ///
    /// ```
    /// use tower_arcgis_auth::ReqwestClient;
    ///
    /// async fn roads_of(client: &ReqwestClient, user: &str) -> reqwest::Result<String> {
    ///     let client = client.for_identity(user);
    ///     let url = "https://gis.example.com/arcgis/rest/services/Roads/MapServer?f=json";
    ///     client.send(|http| http.get(url)).await?.text().await
    /// }
    /// # let _ = roads_of;
    /// ```
    #[must_use]
    pub fn for_identity(&self, identity: impl Into<Identity>) -> Self {
        Self {
            identity: Some(identity.into()),
            ..self.clone()
        }
    }

    /// Sends the request that `build` makes with reqwest's own client.
    ///
    /// ```
    /// use tower_arcgis_auth::ReqwestClient;
    ///
    /// async fn add(client: &ReqwestClient, features: String) -> reqwest::Result<reqwest::Response> {
    ///     let layer = "https://gis.example.com/arcgis/rest/services/Roads/FeatureServer/0";
    ///     client.send(|http| http.post(format!("{layer}/addFeatures?f=json")).body(features)).await
    /// }
    /// # let _ = add;
    /// ```
    ///
    /// # Errors
    ///
    /// reqwest's, where the request cannot be built or an answer is not to be had. Answers with an error are answers.
    pub async fn send(
        &self,
        build: impl FnOnce(&reqwest::Client) -> reqwest::RequestBuilder,
    ) -> Result<reqwest::Response, reqwest::Error> {
        let request = build(self.service.get_ref().client()).build()?;
        self.execute(request).await
    }

    /// Sends a request.
    ///
    /// # Errors
    ///
    /// As [`send`](Self::send).
    pub async fn execute(
        &self,
        request: reqwest::Request,
    ) -> Result<reqwest::Response, reqwest::Error> {
        let url = request.url().clone();
        let mut request = Request::try_from(request)?;
        if let Some(identity) = &self.identity {
            request.extensions_mut().insert(identity.clone());
        }
        let service = self.service.clone();
        let response = if self.fails_with_status {
            call(FailureAsStatus::new(service), request).await?
        } else {
            call(service, request).await?
        };
        Ok(to_reqwest(response, url))
    }

    /// A handle on the layer's sites and tokens.
    pub fn handle(&self) -> ArcgisAuthHandle {
        self.service.handle()
    }
}

/// The client out of the router's state, for the [`Identity`] in the request's extensions if a layer of yours has put one
/// there.
///
/// ```
/// use axum::{Router, http::StatusCode, routing::get};
/// use tower_arcgis_auth::{ArcgisAuthLayer, ReqwestClient, Site};
///
/// async fn roads(client: ReqwestClient) -> Result<String, StatusCode> {
///     let url = "https://gis.example.com/arcgis/rest/services/Roads/MapServer?f=json";
///     let response = client.send(|http| http.get(url)).await.map_err(|_| StatusCode::BAD_GATEWAY)?;
///     response.text().await.map_err(|_| StatusCode::BAD_GATEWAY)
/// }
///
/// # fn app() -> Result<Router, Box<dyn std::error::Error>> {
/// let layer = ArcgisAuthLayer::try_new(Site::new("https://gis.example.com/arcgis"))?;
/// let client = ReqwestClient::try_new(&layer, reqwest::Client::builder())?;
/// let app = Router::new().route("/roads", get(roads)).with_state(client);
/// # Ok(app)
/// # }
/// # let _ = app;
/// ```
#[cfg(feature = "axum")]
impl<S> axum_core::extract::FromRequestParts<S> for ReqwestClient
where
    S: Sync,
    Self: axum_core::extract::FromRef<S>,
{
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(
        head: &mut http::request::Parts,
        state: &S,
    ) -> Result<Self, Self::Rejection> {
        let client: Self = axum_core::extract::FromRef::from_ref(state);
        let identity = head.extensions.get::<Identity>().cloned();
        Ok(Self {
            identity: identity.or(client.identity),
            ..client
        })
    }
}

async fn call<S>(mut service: S, request: Request<reqwest::Body>) -> Answer
where
    S: Service<
            Request<reqwest::Body>,
            Response = Response<ResponseBody<reqwest::Body>>,
            Error = reqwest::Error,
        >,
{
    std::future::poll_fn(|context| service.poll_ready(context)).await?;
    service.call(request).await
}

fn to_reqwest(
    response: Response<ResponseBody<reqwest::Body>>,
    url: reqwest::Url,
) -> reqwest::Response {
    let outcome = response.body().outcome().clone();
    let mut response = response.map(reqwest::Body::wrap);
    let extensions = response.extensions_mut();
    extensions.insert(outcome);
    // The only way to say it: what reqwest reads is an extension of a type of its own.
    if let Ok(named) = Response::builder().url(url).body(()) {
        extensions.extend(named.into_parts().0.extensions);
    }
    response.into()
}

/// As `reqwest::Client` is one.
impl Service<reqwest::Request> for ReqwestClient {
    type Response = reqwest::Response;
    type Error = reqwest::Error;
    type Future = Pin<Box<dyn Future<Output = Result<reqwest::Response, reqwest::Error>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), reqwest::Error>> {
        // Each request gets a clone of its own, which is polled ready.
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: reqwest::Request) -> Self::Future {
        let client = self.clone();
        Box::pin(async move { client.execute(request).await })
    }
}
