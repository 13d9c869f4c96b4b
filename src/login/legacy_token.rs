//! `getToken` of ArcGIS 9.3 to 10.2: a plain-text answer, no JSON.

use std::time::Duration;

use bytes::Bytes;
use http::{Response, StatusCode, Uri};

use super::{
    DEFAULT_LIFETIME,
    answer::{neither, read_json},
    client::{Form, TokenClient, bind, get, post_form},
    endpoint::Endpoint,
    in_minutes,
    setters::{binding_setters, insecure_http_setter, lifetime_setter},
};
use crate::{
    credential::{Credential, Fingerprint, User},
    error::{ConfigError, TokenError},
    token::{IssuedToken, TokenBinding, TokenRequest, TokenSource},
    url::redact,
};

/// Logs in at the token service of ArcGIS 9.3 to 10.2, `https://host/arcgis/tokens?request=getToken`.
///
/// With [`bind_to_address`](Self::bind_to_address), the default, its tokens are bound to nothing: this service does not
/// offer that. It does not report a lifetime either; the one that was asked for counts, 60 minutes unless set.
///
/// A site whose server has nothing newer uses it by itself. Make one yourself where discovery does not choose it:
///
/// ```
/// use tower_arcgis_auth::{Credential, LegacyToken, Site, TokenClient};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let client = TokenClient::new(tower::service_fn(|_: http::Request<http_body_util::Full<bytes::Bytes>>| async {
/// #     Ok::<_, std::io::Error>(http::Response::new(http_body_util::Full::<bytes::Bytes>::default()))
/// # }));
/// let old = LegacyToken::try_new("https://old.example.com/arcgis/tokens", Credential::user("u", "p"), client)?;
/// let site = Site::new("https://old.example.com/arcgis").token_source(old);
/// # drop(site);
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct LegacyToken {
    endpoint: Endpoint,
    credential: Credential,
    binding: TokenBinding,
    lifetime: Duration,
    credentials_in_url: bool,
    client: TokenClient,
}

impl LegacyToken {
    /// Logs in at `url`, the token service without its query.
    ///
    /// # Errors
    ///
    /// If `url` is no absolute http or https URL, or has a query. Plain http is refused by each login, not here.
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
            credentials_in_url: false,
            client,
        }
    }

    binding_setters!();
    lifetime_setter!();
    insecure_http_setter!();

    /// Sends user name and password in the URL, for services that read them nowhere else. Every server on the path may write
    /// them into its log.
    #[must_use]
    pub fn credentials_in_url(mut self) -> Self {
        self.credentials_in_url = true;
        self
    }
}

impl TokenSource for LegacyToken {
    async fn token(&self, request: TokenRequest) -> Result<IssuedToken, TokenError> {
        let uri = self.endpoint.checked()?;
        let asked = redact(&uri);
        let origin = self.endpoint.origin();
        let read_user = || self.credential.read_user();
        let (attempt, user) = request
            .attempt_with(&origin, read_user, User::fingerprint)
            .await?;
        let form = Form::default()
            .pair("request", "getToken")
            .pair("username", user.name())
            .pair("password", user.password())
            .pair("expiration", &in_minutes(self.lifetime));
        let form = match &self.binding {
            TokenBinding::Referer(referer) => form.pair("clientid", &format!("ref.{referer}")),
            TokenBinding::Ip(address) => form.pair("clientid", &format!("ip.{address}")),
            TokenBinding::RequestIp => form,
        };
        let mut login = if self.credentials_in_url {
            let url: Uri = format!("{uri}?{}", form.into_text()).parse().map_err(|_| {
                TokenError::fault(format!("{asked} makes no URL with the login behind it"))
            })?;
            get(url)
        } else {
            post_form(uri, form)
        };
        bind(&mut login, &self.binding)?;
        let read = |answer: &Response<Bytes>| {
            let token = read(answer, &asked, &[user.password()])?;
            Ok(token.valid_for(self.lifetime))
        };
        Ok(self.client.log_in(attempt, login, read).await?)
    }

    fn fingerprint(&self, fingerprint: &mut Fingerprint) {
        self.credential.fingerprint(fingerprint);
    }
}

/// The body is the token and nothing else; a page is never accepted as one.
fn read(
    answer: &Response<Bytes>,
    place: &str,
    secrets: &[&str],
) -> Result<IssuedToken, TokenError> {
    let status = answer.status();
    // This service never answers in JSON: another service does, and its error says more.
    if serde_json::from_slice::<serde_json::Map<String, serde_json::Value>>(answer.body()).is_ok() {
        let json = read_json(answer, place, secrets);
        return Err(json.map_or_else(TokenError::from, |_| neither(answer, place)));
    }
    let text = String::from_utf8_lossy(answer.body());
    if status.is_success() {
        if let Ok(token) = IssuedToken::try_new(text.trim()) {
            // JSON and short words are visible ASCII too; tokens of this service have 64 characters and more.
            let alphabet = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
            if token.expose().len() >= 32 && token.expose().bytes().all(alphabet) {
                return Ok(token);
            }
        }
    }
    // In any language: a page where a token should be may be a failed login, and too many of these lock the account.
    let refused =
        status.is_success() || matches!(status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN);
    if refused {
        return Err(TokenError::refused(format!(
            "{place} gave no token ({status}); check user name and password, that the account is not locked, and the \
             site's root: nothing newer than ArcGIS 10.2 is there"
        )));
    }
    Err(TokenError::fault(format!(
        "{place} answered {status} with something that is no token; check the site's root (its case may count): there is no \
         token service there, neither of ArcGIS 10.3 and later nor of 9.3 to 10.2"
    )))
}
