//! Setting a portal up before it starts.

use std::fmt;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::runtime::Handle;
use tokio::sync::watch;

use crate::accounts::Accounts;
#[cfg(feature = "https")]
use crate::certificate::Certificate;
use crate::clock::Clock;
use crate::cors::Cors;
use crate::host::{Host, Observer};
use crate::info::Info;
use crate::issuer::Issuer;
use crate::journal::Received;
use crate::portal::apps::Apps;
use crate::portal::counters::PortalCounters;
use crate::portal::handle::Portal;
use crate::portal::keys::Keys;
use crate::portal::state::{PortalState, Settings};
use crate::server;
use crate::state::lock;
use crate::transport::Transport;
use crate::{PASSWORD, USERNAME};

const MINUTE: Duration = Duration::from_secs(60);

/// Builds a [`Portal`]. See [`Portal::builder`].
///
/// ```
/// use std::time::Duration;
/// use arcgis_stand_in::Portal;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> std::io::Result<()> {
/// let portal = Portal::builder()
///     .user("ada", "s3cret")
///     .app("planner", "app secret")
///     .api_key("AAPKmade-up", &["https://app.example"])
///     .token_lifetime(Duration::from_secs(60))
///     .start()
///     .await?;
/// assert!(portal.root().ends_with("/portal"));
/// # Ok(())
/// # }
/// ```
#[must_use]
pub struct PortalBuilder {
    listen: SocketAddr,
    users: Vec<(String, String)>,
    apps: Apps,
    keys: Keys,
    settings: Settings,
    clock_skew: i64,
    observer: Option<Observer>,
    transport: Transport,
    cors: Cors,
}

impl Default for PortalBuilder {
    fn default() -> Self {
        Self {
            listen: (Ipv4Addr::LOCALHOST, 0).into(),
            users: Vec::new(),
            apps: Apps::default(),
            keys: Keys::default(),
            settings: Settings {
                token_lifetime: MINUTE * 120,
                longest_token_lifetime: MINUTE * 20_160,
                access_token_lifetime: MINUTE * 30,
                refresh_token_lifetime: MINUTE * 20_160,
                ssl: false,
            },
            clock_skew: 0,
            observer: None,
            transport: Transport::default(),
            cors: Cors::default(),
        }
    }
}

impl fmt::Debug for PortalBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PortalBuilder")
            .field("listen", &self.listen)
            .field("settings", &self.settings)
            .field("clock_skew", &self.clock_skew)
            .field("transport", &self.transport)
            .field("cors", &self.cors)
            .finish_non_exhaustive()
    }
}

impl PortalBuilder {
    /// Where to listen; a free port on 127.0.0.1 unless said otherwise.
    pub fn listen(mut self, addr: SocketAddr) -> Self {
        self.listen = addr;
        self
    }

    /// Adds a user. Without any, [`USERNAME`] with [`PASSWORD`] is the only one.
    pub fn user(mut self, name: impl Into<String>, password: impl Into<String>) -> Self {
        self.users.push((name.into(), password.into()));
        self
    }

    /// Adds many users.
    pub fn users<N: Into<String>, P: Into<String>>(
        mut self,
        users: impl IntoIterator<Item = (N, P)>,
    ) -> Self {
        let users = users.into_iter();
        self.users
            .extend(users.map(|(name, password)| (name.into(), password.into())));
        self
    }

    /// Registers an OAuth app.
    pub fn app(mut self, client_id: &str, secret: &str) -> Self {
        self.apps.set(client_id, secret);
        self
    }

    /// Adds an API key, locked to `referers` if there are any. See [`Portal::set_api_key`].
    pub fn api_key(mut self, text: &str, referers: &[&str]) -> Self {
        let referers = referers.iter().map(|&referer| referer.to_owned());
        self.keys.set(text, referers.collect());
        self
    }

    /// How long tokens live when a login or an app does not ask for a life; 120 minutes unless said otherwise.
    pub fn token_lifetime(mut self, lifetime: Duration) -> Self {
        self.settings.token_lifetime = lifetime;
        self
    }

    /// The longest life a login or an app is given; 20,160 minutes unless said otherwise.
    pub fn longest_token_lifetime(mut self, lifetime: Duration) -> Self {
        self.settings.longest_token_lifetime = lifetime;
        self
    }

    /// How long access tokens of a signed-in person live; 30 minutes unless said otherwise.
    pub fn access_token_lifetime(mut self, lifetime: Duration) -> Self {
        self.settings.access_token_lifetime = lifetime;
        self
    }

    /// How long refresh tokens live; two weeks unless said otherwise.
    pub fn refresh_token_lifetime(mut self, lifetime: Duration) -> Self {
        self.settings.refresh_token_lifetime = lifetime;
        self
    }

    /// How many seconds the portal's clock is ahead (negative: behind). `Date` headers and `expires` follow it.
    pub fn clock_skew(mut self, secs: i64) -> Self {
        self.clock_skew = secs;
        self
    }

    /// Calls `observer` with each request once its answer is ready.
    pub fn observe(mut self, observer: impl Fn(&Received) + Send + Sync + 'static) -> Self {
        self.observer = Some(Box::new(observer));
        self
    }

    /// Speaks https with this certificate, HTTP/1 and HTTP/2 by ALPN; without, plain http. The certificate may be shared
    /// with others. Feature `https`.
    #[cfg(feature = "https")]
    pub fn https(mut self, certificate: &Certificate) -> Self {
        self.transport = Transport::Tls(certificate.acceptor());
        self
    }

    /// Which pages of other origins may read the answers; [`Cors::AnyOrigin`] unless said otherwise.
    pub fn cors(mut self, cors: Cors) -> Self {
        self.cors = cors;
        self
    }

    /// Listens and serves on the current tokio runtime.
    ///
    /// # Errors
    ///
    /// If the address cannot be listened on.
    pub async fn start(self) -> io::Result<Portal> {
        let listener = TcpListener::bind(self.listen).await?;
        let addr = listener.local_addr()?;
        let mut accounts = Accounts::default();
        if self.users.is_empty() {
            accounts.set(USERNAME, PASSWORD);
        }
        for (name, password) in &self.users {
            accounts.set(name, password);
        }
        let clock = Clock::start(Handle::current(), self.clock_skew);
        let state = Arc::new(PortalState {
            host: Host::new(
                addr,
                self.transport.scheme(),
                self.cors,
                clock,
                self.observer,
                accounts,
            ),
            settings: Mutex::new(self.settings),
            info: Mutex::new(Info {
                present: true,
                token_based: true,
                token_services_url: None,
                owning_system_url: None,
            }),
            apps: Mutex::new(self.apps),
            keys: Mutex::new(self.keys),
            counters: watch::Sender::new(PortalCounters::default()),
            logins: Issuer::default(),
            exchanges: Issuer::default(),
            grants: Issuer::default(),
            servers: Mutex::default(),
        });
        {
            let mut info = lock(&state.info);
            info.token_services_url = Some(state.token_services_url());
            info.owning_system_url = Some(state.root());
        }
        let (stop, stopped) = watch::channel(false);
        server::spawn(listener, self.transport, Arc::clone(&state), stopped);
        Ok(Portal::new(state, stop))
    }
}
