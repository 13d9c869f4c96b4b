//! `generateToken`: user name and password by POST, at a standalone server, its admin API, or a portal.

use std::{net::IpAddr, sync::Arc, time::Duration};

use http::{HeaderMap, HeaderValue, header};

use crate::{
    credential::{Credential, Fingerprint},
    error::{ConfigError, TokenError},
    login::{
        Endpoint,
        answer::read_token,
        client::{Form, TokenClient, post_form},
        turn::Turn,
    },
    token::{IssuedToken, TokenRequest, TokenSource},
    url::redact,
};

/// What a token is bound to (`client=` of `generateToken`).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TokenBinding {
    /// `client=referer`: the token works on requests with this `Referer`, and only on these.
    Referer(HeaderValue),
    /// `client=ip`: the token works from this address, as the services see it.
    Ip(IpAddr),
    /// `client=requestip`: the token works from the address the token service saw. Breaks behind address pools.
    RequestIp,
}

impl TokenBinding {
    /// The parameters of `generateToken`.
    pub(super) fn append_to(&self, form: Form) -> Form {
        match self {
            Self::Referer(referer) => form
                .pair("client", "referer")
                .pair("referer", &String::from_utf8_lossy(referer.as_bytes())),
            Self::Ip(address) => form.pair("client", "ip").pair("ip", &address.to_string()),
            Self::RequestIp => form.pair("client", "requestip"),
        }
    }

    /// Some servers compare the login's own header with its parameter.
    pub(super) fn put_on(&self, headers: &mut HeaderMap) {
        if let Self::Referer(referer) = self {
            headers.insert(header::REFERER, referer.clone());
        }
    }
}

/// Logs in with user name and password at a `generateToken` end point (ArcGIS REST API, "Generate Token").
///
/// What was refused is not tried again for 15 minutes, or until the credential changes. For several sites give them one, in
/// an `Arc`: each counts for itself.
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
    /// Of its own where it is made by hand: a site's has one with all that log in with its credential.
    turn: Option<Arc<Turn>>,
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
        Ok(Self {
            turn: Some(Arc::default()),
            ..Self::new(Endpoint::parse(url)?, credential, client)
        })
    }

    pub(crate) fn new(endpoint: Endpoint, credential: Credential, client: TokenClient) -> Self {
        Self {
            endpoint,
            credential,
            binding: TokenBinding::RequestIp,
            lifetime: crate::login::DEFAULT_LIFETIME,
            client,
            turn: None,
        }
    }

    /// Binds the tokens to something else.
    #[must_use]
    pub fn binding(mut self, binding: TokenBinding) -> Self {
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
        self.endpoint = self.endpoint.allow_insecure_http();
        self
    }
}

impl GenerateToken {
    async fn log_in(&self, wanted: TokenRequest) -> Result<IssuedToken, TokenError> {
        let uri = self.endpoint.checked()?;
        let asked = redact(&uri);
        let user = self.credential.read_user()?;
        let minutes = crate::login::in_minutes(self.lifetime);
        let form = Form::default()
            .pair("username", user.name())
            .pair("password", user.password())
            .pair("expiration", &minutes)
            .pair("f", "json");
        let mut request = post_form(uri, self.binding.append_to(form));
        self.binding.put_on(request.headers_mut());
        let answer = self.client.send_user(&wanted, &user, request).await?;
        read_token(&answer, &asked, &[user.password()])
    }
}

impl TokenSource for GenerateToken {
    async fn token(&self, request: TokenRequest) -> Result<IssuedToken, TokenError> {
        let log_in = async |request| self.log_in(request).await;
        Turn::of_a_source(self.turn.as_deref(), self, request, log_in).await
    }

    fn fingerprint(&self, fingerprint: &mut Fingerprint) {
        self.credential.fingerprint(fingerprint);
    }
}
