//! reqwest as a tower service of `http`'s requests, for below the layer and for logins.

use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use pin_project::pin_project;
use tower_service::Service;

use super::body::streamed;
use crate::error::BoxError;

/// A [`reqwest::Client`] as a service of `http`'s requests, with any body: axum's, a stream, a multipart form.
///
/// By default reqwest follows redirects by itself and names the URL it comes from in `Referer`. Below the layer both would
/// take a token to another host, and the layer could not prevent it: here both are off, whatever the builder says. To follow
/// redirects, do it above the layer (`tower_http::follow_redirect`). reqwest's errors lose their URL, in which a token may be.
///
/// [`ReqwestClient`](crate::ReqwestClient) is this below the layer, with reqwest's own requests and responses.
///
/// ```
/// use bytes::Bytes;
/// use http::Request;
/// use http_body_util::{BodyExt, Full};
/// use tower::{Layer, ServiceExt};
/// use tower_arcgis_auth::{ArcgisAuthLayer, Credential, ReqwestService, Site, TokenClient};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let server = arcgis_stand_in::StandIn::start().await?;
/// # let credential = Credential::user(arcgis_stand_in::USERNAME, arcgis_stand_in::PASSWORD);
/// let http = ReqwestService::try_new(reqwest::Client::builder())?;
/// let layer = ArcgisAuthLayer::builder()
///     .add_site(Site::new(server.root()).credential(credential))
///     // Logins can go through reqwest, and its proxies and roots, as well.
///     .token_client(TokenClient::new(http.clone()))
///     .build()?;
/// let client = layer.layer(http);
///
/// let request = Request::get(server.url("rest/services/Parcels/MapServer?f=json")).body(Full::<Bytes>::default())?;
/// let response = client.oneshot(request).await?;
/// assert!(response.body().outcome().signed());
/// # let body = response.into_body().collect().await?.to_bytes();
/// # assert!(body.starts_with(b"{\"capabilities\""));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct ReqwestService {
    client: reqwest::Client,
}

impl ReqwestService {
    /// The service of the client that `builder` makes, which follows no redirect and sends no `Referer` of its own.
    ///
    /// # Errors
    ///
    /// As [`reqwest::ClientBuilder::build`].
    pub fn try_new(builder: reqwest::ClientBuilder) -> Result<Self, reqwest::Error> {
        let client = builder
            .redirect(reqwest::redirect::Policy::none())
            .referer(false)
            .build()?;
        Ok(Self { client })
    }

    pub(super) fn client(&self) -> &reqwest::Client {
        &self.client
    }
}

impl<B> Service<Request<B>> for ReqwestService
where
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    type Response = Response<reqwest::Body>;
    type Error = reqwest::Error;
    type Future = ReqwestFuture;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), reqwest::Error>> {
        self.client.poll_ready(context)
    }

    fn call(&mut self, request: Request<B>) -> ReqwestFuture {
        let request = reqwest::Request::try_from(streamed(request));
        let state = match request {
            Ok(request) => State::Sent {
                sent: self.client.call(request),
            },
            Err(error) => State::Unsent { error: Some(error) },
        };
        ReqwestFuture { state }
    }
}

/// The future of [`ReqwestService`].
#[pin_project]
pub struct ReqwestFuture {
    #[pin]
    state: State,
}

#[pin_project(project = StateProjection)]
enum State {
    Sent {
        #[pin]
        sent: <reqwest::Client as Service<reqwest::Request>>::Future,
    },
    /// It is no request as reqwest knows it.
    Unsent { error: Option<reqwest::Error> },
}

impl Future for ReqwestFuture {
    type Output = Result<Response<reqwest::Body>, reqwest::Error>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let response = match self.project().state.project() {
            StateProjection::Sent { sent } => ready!(sent.poll(context)),
            StateProjection::Unsent { error } => match error.take() {
                Some(error) => Err(error),
                None => return Poll::Pending,
            },
        };
        let response = response.map(Response::from);
        // The URL may hold a token.
        Poll::Ready(response.map_err(reqwest::Error::without_url))
    }
}

impl fmt::Debug for ReqwestFuture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReqwestFuture").finish_non_exhaustive()
    }
}
