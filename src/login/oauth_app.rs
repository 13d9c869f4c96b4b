//! An application's own login at a portal: `client_credentials`.

use std::time::Duration;

use bytes::Bytes;
use http::Response;

use super::{
    DEFAULT_LIFETIME,
    client::TokenClient,
    endpoint::Endpoint,
    in_minutes,
    oauth::{Question, oauth_endpoint},
    setters::{insecure_http_setter, lifetime_setter},
};
use crate::{
    credential::{App, Credential, Fingerprint},
    error::{ConfigError, TokenError},
    token::{IssuedToken, TokenRequest, TokenSource},
};

/// Logs an application in: `client_credentials` at a portal's `oauth2/token`, for tokens valid for 60 minutes unless set.
///
/// ```
/// use tower_arcgis_auth::{Credential, OAuthApp, Secret, Site, TokenClient};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let client = TokenClient::new(tower::service_fn(|_: http::Request<http_body_util::Full<bytes::Bytes>>| async {
/// #     Ok::<_, std::io::Error>(http::Response::new(http_body_util::Full::<bytes::Bytes>::default()))
/// # }));
/// let app = Credential::app("aClientId", Secret::env("ARCGIS_CLIENT_SECRET"));
/// let source = OAuthApp::try_new("https://www.arcgis.com", app, client)?;
/// let site = Site::new("https://services.arcgis.com").token_source(source);
/// # drop(site);
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct OAuthApp {
    endpoint: Endpoint,
    credential: Credential,
    lifetime: Duration,
    client: TokenClient,
}

impl OAuthApp {
    /// Logs in at the portal at `portal`, the part before `/sharing`.
    ///
    /// # Errors
    ///
    /// If `portal` is no absolute http or https URL.
    pub fn try_new(
        portal: &str,
        credential: Credential,
        client: TokenClient,
    ) -> Result<Self, ConfigError> {
        Ok(Self::new(
            oauth_endpoint(portal, "token")?,
            credential,
            client,
        ))
    }

    pub(crate) fn new(endpoint: Endpoint, credential: Credential, client: TokenClient) -> Self {
        Self {
            endpoint,
            credential,
            lifetime: DEFAULT_LIFETIME,
            client,
        }
    }

    lifetime_setter!();
    insecure_http_setter!();
}

impl TokenSource for OAuthApp {
    async fn token(&self, request: TokenRequest) -> Result<IssuedToken, TokenError> {
        let origin = self.endpoint.origin();
        let read_app = || self.credential.read_app();
        let (attempt, app) = request
            .attempt_with(&origin, read_app, App::fingerprint)
            .await?;
        let minutes = in_minutes(self.lifetime);
        let parameters = [
            ("grant_type", "client_credentials"),
            ("client_id", app.id()),
            ("client_secret", app.secret()),
            ("expiration", &minutes),
        ];
        let question = Question::new(&self.endpoint, &parameters)?;
        let read = |answer: &Response<Bytes>| question.grant(answer);
        let grant = self
            .client
            .log_in(attempt, question.request(), read)
            .await?;
        Ok(grant.access)
    }

    fn fingerprint(&self, fingerprint: &mut Fingerprint) {
        self.credential.fingerprint(fingerprint);
    }
}
