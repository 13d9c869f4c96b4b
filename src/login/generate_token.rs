//! `generateToken`: user name and password by POST, at a standalone server, its admin API, or a portal.

use std::time::Duration;

use bytes::Bytes;
use http::Response;

use super::{
    DEFAULT_LIFETIME,
    answer::read_token,
    client::{Form, TokenClient, bind, post_form},
    endpoint::Endpoint,
    in_minutes,
    setters::{binding_setters, insecure_http_setter, lifetime_setter},
};
use crate::{
    credential::{Credential, Fingerprint},
    error::{ConfigError, TokenError},
    token::{IssuedToken, TokenBinding, TokenRequest, TokenSource},
    url::redact,
};

/// Logs in with user name and password at a `generateToken` end point (ArcGIS REST API, "Generate Token").
///
/// What was refused is not tried again for 15 minutes, or until the credential changes.
///
/// A [`Site`](crate::Site) with a [`Credential`] makes one by itself. By hand, to wrap it in a source of your own:
///
/// ```
/// use tower_arcgis_auth::{Credential, GenerateToken, Site, TokenClient};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let client = TokenClient::new(tower::service_fn(|_: http::Request<http_body_util::Full<bytes::Bytes>>| async {
/// #     Ok::<_, std::io::Error>(http::Response::new(http_body_util::Full::<bytes::Bytes>::default()))
/// # }));
/// let source = GenerateToken::try_new(
///     "https://gis.example.com/arcgis/admin/generateToken",
///     Credential::user("admin", "secret"),
///     client,
/// )?;
/// let site = Site::new("https://gis.example.com/arcgis").token_source(source);
/// # drop(site);
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct GenerateToken {
    endpoint: Endpoint,
    credential: Credential,
    binding: TokenBinding,
    lifetime: Duration,
    client: TokenClient,
}

impl GenerateToken {
    /// Logs in at `url`, the full URL of a `generateToken` end point, for tokens bound to the requester's address
    /// and good for 60 minutes.
    ///
    /// # Errors
    ///
    /// If `url` is no absolute http or https URL, or holds a query: credentials and parameters go in the body.
    pub fn try_new(
        url: &str,
        credential: Credential,
        client: TokenClient,
    ) -> Result<Self, ConfigError> {
        Ok(Self::new(Endpoint::parse(url)?, credential, client))
    }

    pub(crate) fn new(endpoint: Endpoint, credential: Credential, client: TokenClient) -> Self {
        Self {
            endpoint,
            credential,
            binding: TokenBinding::RequestIp,
            lifetime: DEFAULT_LIFETIME,
            client,
        }
    }

    binding_setters!();
    lifetime_setter!();
    insecure_http_setter!();
}

impl TokenSource for GenerateToken {
    async fn token(&self, request: TokenRequest) -> Result<IssuedToken, TokenError> {
        let uri = self.endpoint.checked()?;
        let asked = redact(&uri);
        let user = self.credential.read_user()?;
        let form = Form::default()
            .pair("username", user.name())
            .pair("password", user.password())
            .pair("expiration", &in_minutes(self.lifetime))
            .pair("f", "json")
            .bound_to(&self.binding);
        let mut login = post_form(uri, form);
        bind(&mut login, &self.binding)?;
        let read = |answer: &Response<Bytes>| read_token(answer, &asked, &[user.password()]);
        let endpoint = &self.endpoint;
        let token = self
            .client
            .log_in(&request, endpoint, user.fingerprint(), login, read)
            .await;
        Ok(token?)
    }

    fn fingerprint(&self, fingerprint: &mut Fingerprint) {
        self.credential.fingerprint(fingerprint);
    }
}
