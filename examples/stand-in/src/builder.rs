//! Setting a stand-in up before it starts.

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
use crate::challenge_shape::ChallengeShape;
use crate::clock::Clock;
use crate::cors::Cors;
use crate::export::Output;
use crate::host::{Host, Observer};
use crate::info::Info;
use crate::issuer::Issuer;
use crate::journal::{Counters, Received};
use crate::legacy::Legacy;
use crate::personality::Personality;
use crate::portal::{Portal, PortalState};
use crate::server;
use crate::services::Services;
use crate::stand_in::StandIn;
use crate::state::{Settings, State};
use crate::transport::Transport;
use crate::{PASSWORD, USERNAME};

/// Builds a [`StandIn`]. See [`StandIn::builder`].
///
/// ```
/// use std::time::Duration;
/// use arcgis_stand_in::{ChallengeShape, Personality, StandIn};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> std::io::Result<()> {
/// let arcgis = StandIn::builder()
///     .user("ada", "s3cret")
///     .personality(Personality::AdminOnly)
///     .challenge(ChallengeShape::LoginRedirect)
///     .token_lifetime(Duration::from_secs(60))
///     .observe(|request| println!("{} {}", request.method, request.path_and_query))
///     .start()
///     .await?;
/// assert!(arcgis.token_services_url().ends_with("/arcgis/admin/generateToken"));
/// # Ok(())
/// # }
/// ```
#[must_use]
pub struct StandInBuilder {
    listen: SocketAddr,
    users: Vec<(String, String)>,
    token_lifetime: Duration,
    clock_skew: i64,
    observer: Option<Observer>,
    transport: Transport,
    cors: Cors,
    challenge: ChallengeShape,
    personality: Personality,
    portal: Option<Arc<PortalState>>,
}

impl Default for StandInBuilder {
    fn default() -> Self {
        Self {
            listen: (Ipv4Addr::LOCALHOST, 0).into(),
            users: Vec::new(),
            token_lifetime: Duration::from_secs(60 * 60),
            clock_skew: 0,
            observer: None,
            transport: Transport::default(),
            cors: Cors::default(),
            challenge: ChallengeShape::default(),
            personality: Personality::default(),
            portal: None,
        }
    }
}

impl fmt::Debug for StandInBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StandInBuilder")
            .field("listen", &self.listen)
            .field("users", &self.users)
            .field("token_lifetime", &self.token_lifetime)
            .field("clock_skew", &self.clock_skew)
            .field("transport", &self.transport)
            .field("cors", &self.cors)
            .field("personality", &self.personality)
            .field("federated", &self.portal.is_some())
            .finish_non_exhaustive()
    }
}

impl StandInBuilder {
    /// Where to listen; a free port on 127.0.0.1 unless said otherwise.
    pub fn listen(mut self, addr: SocketAddr) -> Self {
        self.listen = addr;
        self
    }

    /// Adds a user. Without any, [`USERNAME`] with [`PASSWORD`] is the only one; a federated server then has none.
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

    /// The shape of challenges where none is set for the service; [`ChallengeShape::Json`] unless said otherwise.
    pub fn challenge(mut self, shape: ChallengeShape) -> Self {
        self.challenge = shape;
        self
    }

    /// Which kind of server it is; [`Personality::Standalone`] unless said otherwise.
    pub fn personality(mut self, personality: Personality) -> Self {
        self.personality = personality;
        self
    }

    /// Federates the server with `portal`: `rest/info` names the portal, and services take the server tokens that the
    /// portal gives out for this server, and its API keys. The server has no users of its own unless some are added.
    ///
    /// The portal stops when its own last handle is dropped, federated servers or not.
    pub fn federated_with(mut self, portal: &Portal) -> Self {
        self.portal = Some(portal.state());
        self
    }

    /// How long tokens live, and the longest life a login may ask for; 60 minutes unless said otherwise.
    pub fn token_lifetime(mut self, lifetime: Duration) -> Self {
        self.token_lifetime = lifetime;
        self
    }

    /// How many seconds the server's clock is ahead (negative: behind). `Date` headers and `expires` follow it.
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
    pub async fn start(self) -> io::Result<StandIn> {
        let listener = TcpListener::bind(self.listen).await?;
        let addr = listener.local_addr()?;
        let mut accounts = Accounts::default();
        if self.users.is_empty() && self.portal.is_none() {
            accounts.set(USERNAME, PASSWORD);
        }
        for (name, password) in &self.users {
            accounts.set(name, password);
        }
        let info = match &self.portal {
            Some(portal) => Info {
                present: true,
                token_based: true,
                token_services_url: Some(portal.token_services_url()),
                owning_system_url: Some(portal.root()),
            },
            None => Info {
                present: self.personality != Personality::Legacy,
                token_based: true,
                token_services_url: Some(format!(
                    "{}://{addr}{}",
                    self.transport.scheme(),
                    self.personality.token_services_path()
                )),
                owning_system_url: None,
            },
        };
        let settings = Settings {
            token_lifetime: self.token_lifetime,
            string_expires: false,
            set_cookies: false,
            public_checks_tokens: false,
            takes_portal_tokens: false,
        };
        let clock = Clock::start(Handle::current(), self.clock_skew);
        let state = Arc::new(State {
            host: Host::new(
                addr,
                self.transport.scheme(),
                self.cors,
                clock,
                self.observer,
                accounts,
            ),
            personality: self.personality,
            portal: self.portal,
            settings: Mutex::new(settings),
            legacy: Mutex::new(Legacy::default()),
            info: Mutex::new(info),
            services: Mutex::new(Services::with_defaults(self.challenge)),
            output: Mutex::new(Output::default()),
            counters: watch::Sender::new(Counters::default()),
            logins: Issuer::default(),
            services_held: watch::Sender::new(0),
            unread: Mutex::new(Vec::new()),
        });
        if let Some(portal) = &state.portal {
            portal.federate(&state);
        }
        let (stop, stopped) = watch::channel(false);
        server::spawn(listener, self.transport, Arc::clone(&state), stopped);
        Ok(StandIn::new(state, stop))
    }
}
