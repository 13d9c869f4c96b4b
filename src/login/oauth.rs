//! What portals' OAuth 2.0 end points are asked and answer. Esri's dialect sends errors under HTTP 200 with `error` as an object,
//! counts `expires_in` in seconds and `expiration` in minutes, and rotates refresh tokens by a grant of its own. A general
//! OAuth library does not read that.

use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, Uri};
use http_body_util::Full;
use secrecy::SecretString;
use serde_json::Value;

use super::{
    answer::{Failure, integer, neither, read_json},
    client::{Form, TokenClient, post_form},
    endpoint::Endpoint,
};
use crate::{
    error::{ConfigError, TokenError},
    token::IssuedToken,
};

/// What `oauth2/token` grants.
pub(super) struct Grant {
    pub(super) access: IssuedToken,
    pub(super) refresh: Option<SecretString>,
    pub(super) refresh_lifetime: Option<Duration>,
    #[cfg(feature = "sign-in")]
    pub(super) user: Option<String>,
}

/// Asks an OAuth end point. The parameters must hold no credential that could lock an account.
pub(super) async fn ask(
    endpoint: &Endpoint,
    client: &TokenClient,
    parameters: &[(&str, &str)],
) -> Result<Grant, Failure> {
    let question = Question::new(endpoint, parameters)?;
    let answer = client.send(question.request()).await?;
    question.grant(&answer)
}

/// One question to `oauth2/token`.
pub(super) struct Question<'a> {
    uri: Uri,
    place: String,
    parameters: &'a [(&'a str, &'a str)],
}

impl<'a> Question<'a> {
    pub(super) fn new(
        endpoint: &Endpoint,
        parameters: &'a [(&'a str, &'a str)],
    ) -> Result<Self, TokenError> {
        let uri = endpoint.checked()?;
        Ok(Self {
            uri,
            place: endpoint.shown(),
            parameters,
        })
    }

    pub(super) fn request(&self) -> Request<Full<Bytes>> {
        let parameters = self.parameters.iter();
        let form = parameters
            .fold(Form::default(), |form, (name, value)| {
                form.pair(name, value)
            })
            .pair("f", "json");
        post_form(self.uri.clone(), form)
    }

    pub(super) fn grant(&self, answer: &Response<Bytes>) -> Result<Grant, Failure> {
        let secrets: Vec<&str> = self
            .parameters
            .iter()
            .filter(|(name, _)| !matches!(*name, "grant_type" | "expiration" | "client_id"))
            .map(|(_, value)| *value)
            .collect();
        let json = read_json(answer, &self.place, &secrets)?;
        let grant = grant(&json).unwrap_or_else(|| Err(neither(answer, &self.place)));
        Ok(grant?)
    }
}

fn grant(json: &serde_json::Map<String, Value>) -> Option<Result<Grant, TokenError>> {
    let seconds = |name| {
        let seconds: u64 = json.get(name).and_then(integer)?.try_into().ok()?;
        (seconds > 0).then(|| Duration::from_secs(seconds))
    };
    let access = json.get("access_token").and_then(Value::as_str)?;
    Some(IssuedToken::try_new(access).map(|access| {
        Grant {
            access: match seconds("expires_in") {
                Some(lifetime) => access.valid_for(lifetime),
                None => access,
            },
            refresh: json
                .get("refresh_token")
                .and_then(Value::as_str)
                .map(SecretString::from),
            refresh_lifetime: seconds("refresh_token_expires_in"),
            #[cfg(feature = "sign-in")]
            user: json
                .get("username")
                .and_then(Value::as_str)
                .map(str::to_owned),
        }
    }))
}

/// `…/sharing/rest/oauth2/<what>` of the portal.
pub(super) fn oauth_endpoint(portal: &str, what: &str) -> Result<Endpoint, ConfigError> {
    Endpoint::parse(&format!(
        "{}/sharing/rest/oauth2/{what}",
        portal.trim_end_matches('/')
    ))
}

/// Revokes a refresh or access token of the application `client_id` at the portal at `portal`, the part before `/sharing`.
/// A portal confirms tokens that it does not know as well.
///
/// # Errors
///
/// A [`TokenError`] if `portal` is no URL, is plain http (but on loopback), cannot be reached, or does not confirm.
///
/// ```
/// # use tower_arcgis_auth::{TokenClient, revoke_token};
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let client = TokenClient::new(tower::service_fn(|_: http::Request<http_body_util::Full<bytes::Bytes>>| async {
/// #     Ok::<_, std::io::Error>(http::Response::new(http_body_util::Full::<bytes::Bytes>::from(r#"{"success":true}"#)))
/// # }));
/// revoke_token("https://www.arcgis.com", "aClientId", "the refresh token", &client).await?;
/// # Ok(())
/// # }
/// ```
pub async fn revoke_token(
    portal: &str,
    client_id: &str,
    token: &str,
    client: &TokenClient,
) -> Result<(), TokenError> {
    let endpoint = oauth_endpoint(portal, "revokeToken")
        .map_err(|error| TokenError::fault(error.to_string()))?;
    revoke(&endpoint, client_id, token, client).await
}

pub(super) async fn revoke(
    endpoint: &Endpoint,
    client_id: &str,
    token: &str,
    client: &TokenClient,
) -> Result<(), TokenError> {
    let uri = endpoint.checked()?;
    let asked = endpoint.shown();
    let form = Form::default()
        .pair("auth_token", token)
        .pair("client_id", client_id)
        .pair("f", "json");
    let answer: Response<Bytes> = client.send(post_form(uri, form)).await?;
    let json = read_json(&answer, &asked, &[token])?;
    if json.get("success").and_then(Value::as_bool) == Some(true) {
        return Ok(());
    }
    Err(TokenError::fault(format!(
        "{asked} did not confirm that the token is void; try again"
    )))
}
