//! OAuth 2: `oauth2/token` and `oauth2/revokeToken`.

use std::time::Duration;

use http::Method;
use serde_json::{Value, json};

use crate::answer::Answer;
use crate::binding::Binding;
use crate::expiration;
use crate::issuer::TokenRequest;
use crate::portal::apps::Refresh;
use crate::portal::reply;
use crate::portal::state::{PortalState, in_query};
use crate::request_parts::{Fields, RequestHead};
use crate::state::lock;

/// Fields that must not be in a query.
const SECRETS: [&str; 4] = ["client_secret", "refresh_token", "code", "code_verifier"];

/// An error code, an OAuth error, and its description.
type Trouble = (u16, &'static str, &'static str);

const INVALID_CLIENT: Trouble = (400, "invalid_client_id", "Invalid client_id");
const INVALID_SECRET: Trouble = (400, "invalid_request", "Invalid client_secret");
const INVALID_CODE: Trouble = (400, "invalid_request", "Invalid code");
const INVALID_REFRESH: Trouble = (498, "invalid_request", "Invalid refresh_token");

fn invalid(description: &'static str) -> Trouble {
    (400, "invalid_request", description)
}

fn error((code, error, description): Trouble) -> Answer {
    reply::oauth_error(code, error, description)
}

#[derive(Debug, Clone, Copy)]
enum Kind {
    ClientCredentials,
    AuthorizationCode,
    RefreshToken,
    ExchangeRefreshToken,
}

/// One request to `oauth2/token`.
pub(crate) struct Grant<'a> {
    pub(crate) portal: &'a PortalState,
    pub(crate) head: &'a RequestHead,
    pub(crate) form: &'a Fields,
}

impl Grant<'_> {
    fn field(&self, name: &str) -> &str {
        self.form.get(name).unwrap_or_default()
    }

    fn kind(&self) -> Option<Kind> {
        Some(match self.field("grant_type") {
            "client_credentials" => Kind::ClientCredentials,
            "authorization_code" => Kind::AuthorizationCode,
            "refresh_token" => Kind::RefreshToken,
            "exchange_refresh_token" => Kind::ExchangeRefreshToken,
            _ => return None,
        })
    }

    fn granted(&self) -> Result<Value, Trouble> {
        if in_query(self.head, &SECRETS) {
            let why = "POST request should not contain secrets in the query string";
            return Err((405, "invalid_request", why));
        }
        if self.head.method != Method::POST {
            return Err((405, "invalid_request", "Method not allowed"));
        }
        let kind = self.kind().ok_or(invalid("Invalid grant_type"))?;
        self.check_app(matches!(kind, Kind::ClientCredentials))?;
        let answer = match kind {
            Kind::ClientCredentials => self.client_credentials(),
            Kind::AuthorizationCode => self.authorization_code(),
            Kind::RefreshToken => self.refresh_token(),
            Kind::ExchangeRefreshToken => self.exchange_refresh_token(),
        }?;
        self.count(kind);
        Ok(answer)
    }

    /// The app must be known, and its secret right if there is one.
    fn check_app(&self, secret_needed: bool) -> Result<(), Trouble> {
        let apps = lock(&self.portal.apps);
        let secret = apps.secret(self.field("client_id")).ok_or(INVALID_CLIENT)?;
        match self.form.get("client_secret") {
            Some(given) if given == secret => Ok(()),
            None if !secret_needed => Ok(()),
            _ => Err(INVALID_SECRET),
        }
    }

    fn client_credentials(&self) -> Result<Value, Trouble> {
        let asked_for =
            expiration::asked_for(self.form).map_err(|_| invalid("Invalid expiration"))?;
        let lifetime = self.portal.lifetime(asked_for);
        let app = self.field("client_id");
        let text = self.portal.issue(app, Binding::Free, lifetime);
        Ok(json!({ "access_token": text, "expires_in": lifetime.as_secs() }))
    }

    fn authorization_code(&self) -> Result<Value, Trouble> {
        let text = self.form.get("code").ok_or(invalid("code not specified"))?;
        let redirect_uri = self.redirect_uri()?;
        let code = lock(&self.portal.apps).code(text).ok_or(INVALID_CODE)?;
        if code.client_id != self.field("client_id") {
            return Err(INVALID_CODE);
        }
        if code.expires <= self.portal.host.clock.now() {
            return Err(invalid("code expired"));
        }
        if code.redirect_uri != redirect_uri {
            return Err(invalid("Invalid redirect_uri"));
        }
        if let Some(challenge) = &code.challenge {
            if !challenge.met_by(self.field("code_verifier")) {
                return Err(invalid("Invalid code_verifier"));
            }
        }
        // Of two at once, one is too late.
        if !lock(&self.portal.apps).use_code_up(text) {
            return Err(INVALID_CODE);
        }
        Ok(self.with_new_refresh_token(&code.client_id, &code.user))
    }

    fn refresh_token(&self) -> Result<Value, Trouble> {
        let refresh = self.refresh()?;
        Ok(self.access(&refresh.user, self.field("refresh_token")))
    }

    fn exchange_refresh_token(&self) -> Result<Value, Trouble> {
        self.redirect_uri()?;
        let refresh = self.refresh()?;
        let text = self.field("refresh_token");
        if !self.portal.revoke_refresh_token(text) {
            return Err(INVALID_REFRESH);
        }
        Ok(self.with_new_refresh_token(&refresh.client_id, &refresh.user))
    }

    fn redirect_uri(&self) -> Result<&str, Trouble> {
        self.form
            .get("redirect_uri")
            .ok_or(invalid("redirect_uri not specified"))
    }

    /// The refresh token of the form, if it is good and this app's.
    fn refresh(&self) -> Result<Refresh, Trouble> {
        let refresh = lock(&self.portal.apps)
            .refresh_token(self.field("refresh_token"))
            .filter(|refresh| refresh.client_id == self.field("client_id"))
            .ok_or(INVALID_REFRESH)?;
        if refresh.expires <= self.portal.host.clock.now() {
            return Err((498, "invalid_request", "refresh_token expired"));
        }
        Ok(refresh)
    }

    /// A person's access token.
    fn access(&self, user: &str, parent: &str) -> Value {
        let (lifetime, ssl) = {
            let settings = lock(&self.portal.settings);
            (settings.access_token_lifetime, settings.ssl)
        };
        let expires = self.portal.host.clock.now() + lifetime;
        let text = lock(&self.portal.host.tokens).issue_child(user, parent, expires);
        json!({
            "access_token": text,
            "expires_in": lifetime.as_secs(),
            "username": user,
            "ssl": ssl,
        })
    }

    fn with_new_refresh_token(&self, client_id: &str, user: &str) -> Value {
        let (text, lifetime) = self.portal.issue_refresh_token(client_id, user);
        let mut answer = self.access(user, &text);
        answer["refresh_token"] = text.into();
        answer["refresh_token_expires_in"] = lifetime.as_secs().into();
        answer
    }

    fn count(&self, kind: Kind) {
        self.portal.count(|counters| {
            *match kind {
                Kind::ClientCredentials => &mut counters.client_credentials,
                Kind::AuthorizationCode => &mut counters.authorization_codes,
                Kind::RefreshToken => &mut counters.refreshes,
                Kind::ExchangeRefreshToken => &mut counters.refresh_token_exchanges,
            } += 1;
        });
    }
}

impl TokenRequest for Grant<'_> {
    const FIELD: &'static str = "access_token";

    fn usual_answer(&self) -> Answer {
        match self.granted() {
            Ok(answer) => reply::json(&answer),
            Err(trouble) => {
                self.count_refusal();
                error(trouble)
            }
        }
    }

    fn refusal(&self) -> Answer {
        self.count_refusal();
        error(match self.kind() {
            Some(Kind::AuthorizationCode) => INVALID_CODE,
            Some(Kind::RefreshToken | Kind::ExchangeRefreshToken) => INVALID_REFRESH,
            Some(Kind::ClientCredentials) | None => INVALID_SECRET,
        })
    }

    fn dead_token(&self) -> Answer {
        if let Some(kind) = self.kind() {
            self.count(kind);
        }
        let text = lock(&self.portal.host.tokens).unused_text();
        let lifetime: Duration = lock(&self.portal.settings).access_token_lifetime;
        reply::json(&json!({ "access_token": text, "expires_in": lifetime.as_secs() }))
    }

    fn count_refusal(&self) {
        self.portal.count(|counters| counters.oauth_refusals += 1);
    }
}

/// `oauth2/revokeToken`: success for tokens nobody knows, too.
pub(crate) fn revoke(portal: &PortalState, head: &RequestHead, form: &Fields) -> Answer {
    if head.method != Method::POST || in_query(head, &["auth_token"]) {
        return error((405, "invalid_request", "Method not allowed"));
    }
    let client_id = form.get("client_id").unwrap_or_default();
    if lock(&portal.apps).secret(client_id).is_none() {
        return error(INVALID_CLIENT);
    }
    let Some(text) = form.get("auth_token") else {
        return error(invalid("auth_token not specified"));
    };
    // The hint only says where to look first.
    if !portal.revoke_refresh_token(text) {
        lock(&portal.host.tokens).revoke(text);
    }
    portal.count(|counters| counters.revocations += 1);
    reply::json(&json!({ "success": true }))
}
