//! What of a portal is controlled over HTTP.

use serde_json::{Value, json};

use crate::control::{Controlled, Outcome};
use crate::host::Host;
use crate::issuer::Issuer;
use crate::portal::counters::PortalCounters;
use crate::portal::state::PortalState;
use crate::request_parts::Fields;
use crate::state::lock;

impl Controlled for PortalState {
    const OWN_HELP: &'static str = "
W is logins, exchanges (of portal tokens for server tokens) or oauth.
";

    fn host(&self) -> &Host {
        &self.host
    }

    fn issuers(&self) -> Vec<(&'static str, &Issuer)> {
        vec![
            ("logins", &self.logins),
            ("exchanges", &self.exchanges),
            ("oauth", &self.grants),
        ]
    }

    fn counters(&self) -> Value {
        let counters = *self.counters.borrow();
        json!({
            "requests": counters.requests,
            "infoRequests": counters.info_requests,
            "loginAttempts": counters.login_attempts,
            "logins": counters.logins,
            "loginRefusals": counters.login_refusals,
            "exchangeAttempts": counters.exchange_attempts,
            "exchanges": counters.exchanges,
            "exchangeRefusals": counters.exchange_refusals,
            "oauthAttempts": counters.oauth_attempts,
            "clientCredentials": counters.client_credentials,
            "authorizationCodes": counters.authorization_codes,
            "refreshes": counters.refreshes,
            "refreshTokenExchanges": counters.refresh_token_exchanges,
            "oauthRefusals": counters.oauth_refusals,
            "revocations": counters.revocations,
            "contentRequests": counters.content_requests,
            "challenges": counters.challenges,
            "liveTokens": lock(&self.host.tokens).live(self.host.clock.now()),
        })
    }

    fn reset(&self) {
        // Their access tokens are revoked already.
        lock(&self.apps).revoke_all_refresh_tokens();
        self.counters.send_replace(PortalCounters::default());
    }

    fn own_to_read(&self, _: &str) -> Option<Value> {
        None
    }

    fn own(&self, _: &str, _: &Fields) -> Option<Outcome> {
        None
    }
}
