//! All that a running portal knows, shared by its connections, its handles, and the servers federated with it.

use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

use http::Uri;
use tokio::sync::watch;

use crate::binding::{Binding, Caller};
use crate::host::Host;
use crate::info::Info;
use crate::issuer::Issuer;
use crate::portal::apps::{Apps, Refresh};
use crate::portal::counters::PortalCounters;
use crate::portal::keys::Keys;
use crate::prefixes::covers;
use crate::request_parts::RequestHead;
use crate::state::{State, lock};
use crate::tokens::Standing;

/// Where a portal's pages live.
pub(crate) const CONTEXT: &str = "/portal";
/// Where a server's pages live.
const SERVER: &str = "/arcgis";

/// How long things live, and what is said about them.
#[derive(Debug)]
pub(crate) struct Settings {
    pub(crate) token_lifetime: Duration,
    pub(crate) longest_token_lifetime: Duration,
    pub(crate) access_token_lifetime: Duration,
    pub(crate) refresh_token_lifetime: Duration,
    pub(crate) ssl: bool,
}

pub(crate) struct PortalState {
    pub(crate) host: Host,
    pub(crate) settings: Mutex<Settings>,
    pub(crate) info: Mutex<Info>,
    pub(crate) apps: Mutex<Apps>,
    pub(crate) keys: Mutex<Keys>,
    pub(crate) counters: watch::Sender<PortalCounters>,
    pub(crate) logins: Issuer,
    pub(crate) exchanges: Issuer,
    pub(crate) grants: Issuer,
    pub(crate) servers: Mutex<Vec<Weak<State>>>,
}

impl PortalState {
    pub(crate) fn root(&self) -> String {
        format!("{}{CONTEXT}", self.host.origin())
    }

    pub(crate) fn token_services_url(&self) -> String {
        format!("{}/sharing/rest/generateToken", self.root())
    }

    pub(crate) fn count(&self, change: impl FnOnce(&mut PortalCounters)) {
        self.counters.send_modify(change);
    }

    /// Takes a server in.
    pub(crate) fn federate(&self, server: &Arc<State>) {
        let mut servers = lock(&self.servers);
        servers.retain(|known| {
            known
                .upgrade()
                .is_some_and(|known| known.host.addr != server.host.addr)
        });
        servers.push(Arc::downgrade(server));
    }

    /// The federated server that `url` is the root of or a resource on.
    pub(crate) fn server(&self, url: &str) -> Option<Arc<State>> {
        let uri: Uri = url.parse().ok()?;
        let authority = uri.authority()?.as_str();
        if !covers(SERVER, uri.path()) {
            return None;
        }
        lock(&self.servers)
            .iter()
            .filter_map(Weak::upgrade)
            .find(|server| server.host.addr.to_string() == authority)
    }

    /// The life of a portal token: the one asked for, up to the longest.
    pub(crate) fn lifetime(&self, asked_for: Option<Duration>) -> Duration {
        let settings = lock(&self.settings);
        asked_for
            .unwrap_or(settings.token_lifetime)
            .min(settings.longest_token_lifetime)
    }

    /// A portal token that is no child of a refresh token.
    pub(crate) fn issue(&self, user: &str, binding: Binding, lifetime: Duration) -> String {
        let expires = self.host.clock.now() + lifetime;
        lock(&self.host.tokens).issue(user, binding, expires)
    }

    /// A refresh token and its life.
    pub(crate) fn issue_refresh_token(&self, client_id: &str, user: &str) -> (String, Duration) {
        let lifetime = lock(&self.settings).refresh_token_lifetime;
        let text = lock(&self.apps).add_refresh_token(Refresh {
            client_id: client_id.to_owned(),
            user: user.to_owned(),
            expires: self.host.clock.now() + lifetime,
        });
        (text, lifetime)
    }

    /// Ends a refresh token and its access tokens. Returns whether it was known.
    pub(crate) fn revoke_refresh_token(&self, text: &str) -> bool {
        let known = lock(&self.apps).revoke_refresh_token(text);
        lock(&self.host.tokens).revoke_children(text);
        known
    }

    /// What a portal token or an API key is worth.
    pub(crate) fn standing(&self, text: &str, caller: Caller<'_>) -> Standing {
        let now = self.host.clock.now();
        let standing = lock(&self.host.tokens).standing(text, caller, now);
        if standing == Standing::Dead {
            self.key_standing(text, caller)
        } else {
            standing
        }
    }

    /// What an API key is worth.
    pub(crate) fn key_standing(&self, text: &str, caller: Caller<'_>) -> Standing {
        lock(&self.keys).standing(text, caller)
    }

    /// Counts a token presented by the wrong one.
    pub(crate) fn count_mismatch(&self, standing: &Standing) {
        self.count(|counters| match standing {
            Standing::WrongReferer => counters.referer_mismatches += 1,
            Standing::WrongAddress => counters.address_mismatches += 1,
            Standing::Good { .. } | Standing::Dead => {}
        });
    }
}

/// Whether one of `names` is in the query, where it ends up in logs.
pub(crate) fn in_query(head: &RequestHead, names: &[&str]) -> bool {
    names.iter().any(|name| head.query.get(name).is_some())
}
