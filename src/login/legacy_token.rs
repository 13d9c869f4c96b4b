//! `getToken` of ArcGIS 9.3 to 10.2: a plain-text answer, no JSON.

use std::time::Duration;

use bytes::Bytes;
use http::{Response, StatusCode, Uri};
use serde_json::Value;

use super::{
    DEFAULT_LIFETIME,
    answer::{Failure, is_about_lifetime, is_denied, neither, read_json, redirected},
    client::{Form, TokenClient, bind, get, post_form},
    endpoint::Endpoint,
    setters::{binding_setters, credentials_in_url_setter, insecure_http_setter, lifetime_setter},
    user_attempt, with_lifetime,
};
use crate::{
    credential::{Credential, Fingerprint},
    error::{ConfigError, TokenError},
    token::{IssuedToken, TokenBinding, TokenRequest, TokenSource},
};

/// Logs in at the token service of ArcGIS 9.3 to 10.2, `https://host/arcgis/tokens?request=getToken`.
///
/// With [`bind_to_address`](Self::bind_to_address), the default, its tokens are bound to nothing: this service does not
/// offer that. It does not report a lifetime either; the one that was asked for counts, 60 minutes unless set. Where the
/// service refuses the lifetime, it is asked once more without one.
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
    credentials_in_url_setter! {
        /// Sends user name and password in the URL, for services that read them nowhere else. Every server on the path may
        /// write them into its log.
    }
}

impl LegacyToken {
    pub(super) async fn log_in(&self, request: &TokenRequest) -> Result<IssuedToken, Failure> {
        with_lifetime(self.lifetime, |lifetime| self.ask(request, lifetime)).await
    }

    async fn ask(
        &self,
        request: &TokenRequest,
        lifetime: Option<Duration>,
    ) -> Result<IssuedToken, Failure> {
        let (uri, attempt, user) = user_attempt(&self.endpoint, &self.credential, request).await?;
        let asked = self.endpoint.shown();
        let form = Form::default()
            .pair("request", "getToken")
            .pair("username", user.name())
            .pair("password", user.password())
            .lasting(lifetime);
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
            let token = self.read(answer, &asked, &[user.password()]);
            let token = token.map_err(|failure| failure.asked_for(lifetime))?;
            Ok(match lifetime {
                Some(lifetime) => token.valid_for(lifetime),
                None => token,
            })
        };
        self.client.log_in(attempt, login, read).await
    }

    /// The body is the token and nothing else; a page is never accepted as one.
    fn read(
        &self,
        answer: &Response<Bytes>,
        place: &str,
        secrets: &[&str],
    ) -> Result<IssuedToken, Failure> {
        let status = answer.status();
        if status.is_redirection() {
            return Err(redirected(answer, place));
        }
        // This service never answers in JSON: another service does, and its error says more.
        if serde_json::from_slice::<serde_json::Map<String, Value>>(answer.body()).is_ok() {
            let json = read_json(answer, place, secrets);
            return Err(json.map_or_else(Failure::from, |_| neither(answer, place).into()));
        }
        let text = String::from_utf8_lossy(answer.body());
        if status.is_success() && is_token(text.trim()) {
            return Ok(IssuedToken::try_new(text.trim())?);
        }
        Err(Failure {
            // A form for people names the lifetime as well.
            is_about_lifetime: is_about_lifetime(&text) && !has_form(&text),
            ..Failure::of(answer, self.why_no_token(status, place))
        })
    }

    fn why_no_token(&self, status: StatusCode, place: &str) -> TokenError {
        // Services that read user name and password only in the URL refuse the method.
        let remedy = if self.credentials_in_url {
            ""
        } else {
            "; if it takes them only in the URL, `credentials_in_url` puts them there, where every server on the way may log \
             them"
        };
        if status == StatusCode::METHOD_NOT_ALLOWED {
            return TokenError::fault(format!(
                "{place} answered {status}: it does not take user name and password in this way{remedy}"
            ));
        }
        // In any language: a page where a token should be may be a failed login, and too many of these lock the account.
        let is_denied = is_denied(status);
        if status.is_success() || is_denied {
            return TokenError::refused(format!(
                "{place} gave no token ({status}); check user name and password, that the account is not locked, and the \
                 site's root: nothing newer than ArcGIS 10.2 is there{}",
                if is_denied { remedy } else { "" }
            ));
        }
        TokenError::fault(format!(
            "{place} answered {status} with something that is no token; check the site's root (its case may count): there is \
             no token service there, neither of ArcGIS 10.3 and later nor of 9.3 to 10.2"
        ))
    }
}

/// A token is one word of 8 characters or more, with a digit in it. Other words are for people, about a failed login.
fn is_token(text: &str) -> bool {
    let is_in_token = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.+/=".contains(&byte);
    text.len() >= 8
        && text.bytes().any(|byte| byte.is_ascii_digit())
        && text.bytes().all(is_in_token)
}

fn has_form(page: &str) -> bool {
    let page = page.to_ascii_lowercase();
    ["<form", "<input", "<select"]
        .iter()
        .any(|tag| page.contains(tag))
}

impl TokenSource for LegacyToken {
    async fn token(&self, request: TokenRequest) -> Result<IssuedToken, TokenError> {
        Ok(self.log_in(&request).await?)
    }

    fn fingerprint(&self, fingerprint: &mut Fingerprint) {
        self.credential.fingerprint(fingerprint);
    }
}
