//! `generateToken`: user name and password by POST, at a standalone server, its admin API, or a portal.

use std::{
    fmt,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use http::{HeaderValue, Uri, header};

use super::{
    Credential, TokenRequest, TokenSource,
    answer::read_token,
    client::{TokenClient, place, post_form},
    discovery::{Discovery, TokenService, require_https},
};
use crate::{
    error::{ConfigError, TokenError, repeatable},
    site::Origin,
    token::IssuedToken,
};

/// ArcGIS Server 10.1 and 10.2 refuse a lifetime above their maximum, 60 minutes where nobody changed it; later ones
/// cut it to that.
const DEFAULT_LIFETIME: Duration = Duration::from_secs(60 * 60);

/// What a token is bound to (`client=` of `generateToken`).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ClientBinding {
    /// `client=referer`: the token works on requests with this `Referer`, and only on these.
    Referer(HeaderValue),
    /// `client=requestip`: the token works from the address the token service saw. Breaks behind address pools.
    RequestIp,
}

/// Logs in with user name and password at a `generateToken` end point (ArcGIS REST API, "Generate Token").
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
/// let source = GenerateToken::at(
///     "https://gis.example.com/arcgis/admin/generateToken",
///     Credential::user("admin", "secret"),
///     client,
/// )?;
/// let site = Site::new("https://gis.example.com/arcgis").token_source(source);
/// # drop(site);
/// # Ok(())
/// # }
/// ```
pub struct GenerateToken {
    service: Service,
    credential: Credential,
    binding: ClientBinding,
    lifetime: Duration,
    insecure_http: bool,
    client: TokenClient,
}

enum Service {
    Named(Uri),
    Discovered {
        discovery: Discovery,
        found: Mutex<Option<Uri>>,
    },
}

impl GenerateToken {
    /// Logs in at `url`, the full URL of a `generateToken` end point, for tokens bound to the requester's address
    /// and good for 60 minutes.
    ///
    /// # Errors
    ///
    /// If `url` is no absolute http or https URL, or holds a query: credentials and parameters go in the body.
    pub fn at(url: &str, credential: Credential, client: TokenClient) -> Result<Self, ConfigError> {
        let uri: Uri = url
            .parse()
            .ok()
            .filter(|uri: &Uri| Origin::of(uri).is_some() && uri.query().is_none())
            .ok_or_else(|| {
                ConfigError::new(format!(
                    "the token URL `{}` is not of the form https://host/arcgis/tokens/generateToken, without a query",
                    repeatable(url)
                ))
            })?;
        Ok(Self::new(Service::Named(uri), credential, client))
    }

    /// Logs in where the site's own `rest/info` says.
    pub(crate) fn discovered(
        discovery: Discovery,
        credential: Credential,
        client: TokenClient,
    ) -> Self {
        let found = Mutex::new(None);
        Self::new(Service::Discovered { discovery, found }, credential, client)
    }

    fn new(service: Service, credential: Credential, client: TokenClient) -> Self {
        Self {
            service,
            credential,
            binding: ClientBinding::RequestIp,
            lifetime: DEFAULT_LIFETIME,
            insecure_http: false,
            client,
        }
    }

    /// Binds the tokens to something else.
    #[must_use]
    pub fn binding(mut self, binding: ClientBinding) -> Self {
        self.binding = binding;
        self
    }

    /// Asks for tokens good for `lifetime`, in whole minutes, at least one. What the server grants is what counts.
    #[must_use]
    pub fn lifetime(mut self, lifetime: Duration) -> Self {
        self.lifetime = lifetime;
        self
    }

    /// Lets the password travel over plain http. Whoever listens on the way has it.
    #[must_use]
    pub fn allow_insecure_http(mut self) -> Self {
        self.insecure_http = true;
        self
    }

    /// Where to log in, and whether that is only a guess.
    async fn service(&self) -> Result<(Uri, bool), TokenError> {
        match &self.service {
            Service::Named(uri) => {
                if let Some(origin) = Origin::of(uri) {
                    require_https(uri, &origin, self.insecure_http)?;
                }
                Ok((uri.clone(), false))
            }
            Service::Discovered { discovery, found } => {
                let known = found.lock().unwrap_or_else(PoisonError::into_inner).clone();
                if let Some(uri) = known {
                    return Ok((uri, false));
                }
                match discovery.token_service(&self.client).await? {
                    TokenService::Advertised(uri) => {
                        *found.lock().unwrap_or_else(PoisonError::into_inner) = Some(uri.clone());
                        Ok((uri, false))
                    }
                    TokenService::Guessed(uri) => Ok((uri, true)),
                }
            }
        }
    }

    fn form(&self) -> String {
        let minutes = (self.lifetime.as_secs() / 60).max(1);
        let mut form = form_urlencoded::Serializer::new(String::new());
        form.append_pair("username", self.credential.user_name())
            .append_pair("password", self.credential.password())
            .append_pair("expiration", &minutes.to_string())
            .append_pair("f", "json");
        match &self.binding {
            ClientBinding::Referer(referer) => form
                .append_pair("client", "referer")
                .append_pair("referer", &String::from_utf8_lossy(referer.as_bytes())),
            ClientBinding::RequestIp => form.append_pair("client", "requestip"),
        };
        form.finish()
    }
}

impl TokenSource for GenerateToken {
    async fn token(&self, _request: TokenRequest) -> Result<IssuedToken, TokenError> {
        let (uri, is_guess) = self.service().await?;
        let asked = place(&uri);
        let mut request = post_form(uri, self.form());
        if let ClientBinding::Referer(referer) = &self.binding {
            request
                .headers_mut()
                .insert(header::REFERER, referer.clone());
        }
        let answer = self.client.send(request).await;
        let token =
            answer.and_then(|answer| read_token(&answer, &asked, self.credential.password()));
        if let (Err(error), Service::Discovered { found, .. }) = (&token, &self.service) {
            // The server may have moved its token service, or not told of it while it was starting: look again.
            if is_guess || !error.is_refused() {
                *found.lock().unwrap_or_else(PoisonError::into_inner) = None;
            }
        }
        token
    }
}

impl fmt::Debug for GenerateToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let service = match &self.service {
            Service::Named(uri) => place(uri),
            Service::Discovered { discovery, .. } => format!("discovered from {}", discovery.root),
        };
        f.debug_struct("GenerateToken")
            .field("service", &service)
            .field("credential", &self.credential)
            .field("binding", &self.binding)
            .field("lifetime", &self.lifetime)
            .finish_non_exhaustive()
    }
}
