//! The handle on a running stand-in. What it does is in a file for each subject.

mod requests;
mod services;
mod token_service;
mod tokens;

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use tokio::sync::watch;

use crate::builder::StandInBuilder;
use crate::control;
use crate::cors::Cors;
use crate::state::State;

/// A running ArcGIS stand-in. Clones are handles on the same server, which stops when the last is dropped.
///
/// All methods work from any thread. Path prefixes are relative to `/arcgis/rest/services/` unless they start with
/// `/`, cover whole segments, and the longest wins; the empty prefix covers all services.
///
/// ```
/// use arcgis_stand_in::{StandIn, TokenFault};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> std::io::Result<()> {
/// let arcgis = StandIn::builder().user("ada", "s3cret").start().await?;
/// arcgis.secure("Hydrants/FeatureServer");
/// arcgis.set_token_fault(Some(TokenFault::Status(503)));
/// assert_eq!(arcgis.url("rest/info"), format!("{}/rest/info", arcgis.root()));
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct StandIn {
    state: Arc<State>,
    /// Dropping the last sender stops the server.
    stop: Arc<watch::Sender<bool>>,
}

impl fmt::Debug for StandIn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StandIn")
            .field("addr", &self.state.host.addr)
            .field("counters", &self.counters())
            .finish_non_exhaustive()
    }
}

/// Starting, stopping, addresses.
impl StandIn {
    pub(crate) fn new(state: Arc<State>, stop: watch::Sender<bool>) -> Self {
        Self {
            state,
            stop: Arc::new(stop),
        }
    }

    /// Starts one with the defaults: a free port on 127.0.0.1, [`crate::USERNAME`] with [`crate::PASSWORD`].
    ///
    /// # Errors
    ///
    /// If no port can be listened on.
    pub async fn start() -> io::Result<Self> {
        Self::builder().start().await
    }

    /// Sets one up with other than the defaults.
    pub fn builder() -> StandInBuilder {
        StandInBuilder::default()
    }

    /// Stops listening, breaks all connections off, and returns once the port is free.
    pub async fn stop(&self) {
        self.stop.send_replace(true);
        self.stop.closed().await;
    }

    /// Where it listens.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.state.host.addr
    }

    /// `http://127.0.0.1:PORT`, or `https` with a certificate.
    #[must_use]
    pub fn origin(&self) -> String {
        self.state.host.origin()
    }

    /// `http://127.0.0.1:PORT/arcgis`
    #[must_use]
    pub fn root(&self) -> String {
        format!("{}/arcgis", self.origin())
    }

    /// The URL of `path`: below the origin if it starts with `/`, below [`StandIn::root`] if not.
    #[must_use]
    pub fn url(&self, path: &str) -> String {
        self.state.host.url("/arcgis", path)
    }
}

/// The whole server.
impl StandIn {
    /// Puts back what tests change most, so that the next test finds a fresh server: no token is good, no account locked,
    /// no fault set, challenges have the shape they had at the start, canned answers and refusals are gone, counters are
    /// zero, and no request is remembered. Users, published services, lifetimes and all other switches stay as they are.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> std::io::Result<()> {
    /// use arcgis_stand_in::{ChallengeShape, StandIn, USERNAME};
    ///
    /// let arcgis = StandIn::start().await?;
    /// arcgis.set_challenge("", ChallengeShape::LoginPage);
    /// let _token = arcgis.issue_token(USERNAME, None);
    /// arcgis.reset();
    /// assert_eq!(arcgis.live_tokens(), 0);
    /// # Ok(())
    /// # }
    /// ```
    pub fn reset(&self) {
        control::reset(&*self.state);
    }

    /// Which pages of other origins may read the answers from now on.
    pub fn set_cors(&self, cors: Cors) {
        self.state.host.set_cors(cors);
    }
}
