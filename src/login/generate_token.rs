//! `generateToken`: user name and password by POST, at a standalone server, its admin API, or a portal.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use bytes::Bytes;
use http::{Response, StatusCode};

use super::{
    DEFAULT_LIFETIME,
    answer::{Failure, read_token},
    client::{Form, TokenClient, bind, post_form},
    endpoint::Endpoint,
    legacy_token::LegacyToken,
    setters::{binding_setters, credentials_in_url_setter, insecure_http_setter, lifetime_setter},
    user_attempt, with_lifetime,
};
use crate::{
    credential::{Credential, Fingerprint},
    error::{ConfigError, TokenError},
    token::{IssuedToken, TokenBinding, TokenRequest, TokenSource},
};

/// Logs in with user name and password at a `generateToken` end point (ArcGIS REST API, "Generate Token").
///
/// A refused credential is not tried again for 15 minutes, or until it changes. Where nothing is at
/// `…/tokens/generateToken` (404 or 405), as at ArcGIS 10.0 and 10.1, `…/tokens` is asked with [`LegacyToken`]. Where the
/// server refuses the lifetime, it is asked once more without one.
///
/// A [`Site`](crate::Site) with a [`Credential`] makes one by itself. Make one yourself to wrap it in a source of your own:
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
    /// For `getToken`.
    credentials_in_url: bool,
    /// The token service has only `getToken`.
    is_legacy: AtomicBool,
}

impl GenerateToken {
    /// Logs in at `url`, the full URL of a `generateToken` end point, for tokens bound to the requester's address and valid
    /// for 60 minutes.
    ///
    /// # Errors
    ///
    /// If `url` is no absolute http or https URL, or has a query: credentials and parameters go in the body. Plain http is
    /// refused by each login, not here.
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
            credentials_in_url: false,
            is_legacy: AtomicBool::new(false),
        }
    }

    credentials_in_url_setter! {
        /// Sends user name and password in the URL where only the `getToken` of ArcGIS 9.3 to 10.2 is there: see
        /// [`LegacyToken::credentials_in_url`].
    }
    binding_setters!();
    lifetime_setter!();
    insecure_http_setter!();
}

impl GenerateToken {
    async fn log_in(
        &self,
        request: &TokenRequest,
        lifetime: Option<Duration>,
    ) -> Result<IssuedToken, Failure> {
        let (uri, attempt, user) = user_attempt(&self.endpoint, &self.credential, request).await?;
        let asked = self.endpoint.shown();
        let form = Form::default()
            .pair("username", user.name())
            .pair("password", user.password())
            .lasting(lifetime)
            .pair("f", "json")
            .bound_to(&self.binding);
        let mut login = post_form(uri, form);
        bind(&mut login, &self.binding)?;
        let read = |answer: &Response<Bytes>| {
            let token = read_token(answer, &asked, &[user.password()]);
            token.map_err(|failure| failure.asked_for(lifetime))
        };
        self.client.log_in(attempt, login, read).await
    }

    /// `getToken` of the same token service, where there may be one.
    fn legacy(&self) -> Option<LegacyToken> {
        let endpoint = self.endpoint.token_service()?;
        let credential = self.credential.clone();
        let legacy = LegacyToken::new(endpoint, credential, self.client.clone())
            .binding(self.binding.clone())
            .lifetime(self.lifetime)
            .with_credentials_in_url(self.credentials_in_url);
        Some(legacy)
    }
}

impl TokenSource for GenerateToken {
    async fn token(&self, request: TokenRequest) -> Result<IssuedToken, TokenError> {
        let legacy = self.legacy();
        if let Some(legacy) = legacy
            .as_ref()
            .filter(|_| self.is_legacy.load(Ordering::Relaxed))
        {
            let token = legacy.token(request).await;
            // The server may be a newer one by now: the next login looks.
            self.is_legacy.store(token.is_ok(), Ordering::Relaxed);
            return token;
        }
        let log_in = |lifetime| self.log_in(&request, lifetime);
        let failure = match with_lifetime(self.lifetime, log_in).await {
            Ok(token) => return Ok(token),
            Err(failure) => failure,
        };
        // ArcGIS 10.0 and 10.1 name their token service, which has only `getToken`.
        let Some(legacy) = legacy.filter(|_| failure.is_absent()) else {
            return Err(failure.error);
        };
        match legacy.log_in(&request).await {
            Ok(token) => {
                self.is_legacy.store(true, Ordering::Relaxed);
                Ok(token)
            }
            // Neither is there: the error is the newer one's.
            Err(legacy) if legacy.status == Some(StatusCode::NOT_FOUND) => Err(failure.error),
            Err(legacy) => Err(legacy.error),
        }
    }

    fn fingerprint(&self, fingerprint: &mut Fingerprint) {
        self.credential.fingerprint(fingerprint);
    }
}
