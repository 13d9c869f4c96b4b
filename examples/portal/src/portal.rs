//! The service: its settings, what its handlers share, its routes.

use std::{fmt, sync::Arc, time::Duration};

use axum::{
    Router,
    extract::DefaultBodyLimit,
    middleware::map_response,
    routing::{get, post},
};
use tokio::{runtime::Handle, time::sleep};
use tower_arcgis_auth::{ArcgisAuthHandle, Identity};

use crate::{
    cookie,
    error::SetUpError,
    forward,
    gis::Gis,
    headers,
    login::{Check, Login},
    maps::MapService,
    page,
    people::{People, Person},
    sign_in,
};

/// The forms' own size; they have four short fields.
const LONGEST_FORM: usize = 8 * 1024;

/// What the service is to do.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The services whose maps are shown, at least one.
    pub maps: Vec<MapService>,
    /// Who signs in.
    pub login: Login,
    /// Other origins, `https://portal.example.com`, that the servers may name as their token service's.
    pub trusted_token_services: Vec<String>,
    /// Whether browsers send the session's cookie over https only, and to this machine itself.
    pub secure_cookies: bool,
    /// How long a person stays signed in.
    pub session_life: Duration,
}

impl Settings {
    /// These maps and this login; secure cookies, and sessions of eight hours.
    #[must_use]
    pub fn new(maps: Vec<MapService>, login: Login) -> Self {
        Self {
            maps,
            login,
            trusted_token_services: Vec::new(),
            secure_cookies: true,
            session_life: Duration::from_secs(8 * 60 * 60),
        }
    }
}

/// The service without its socket.
///
/// ```
/// use arcgis_portal::{Drawn, Login, MapService, Portal, Settings};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let arcgis = arcgis_stand_in::StandIn::start().await?;
/// let url = arcgis.url("rest/services/Parcels/MapServer");
/// let maps = vec![MapService::try_new(&url, Drawn::Exported)?];
/// let portal = Portal::try_new(Settings::new(maps, Login::Arcgis))?;
///
/// let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
/// let serving = axum::serve(listener, portal.router());
/// # drop(serving);
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Portal {
    shared: Shared,
    secure_cookies: bool,
}

impl Portal {
    /// A service with these settings. Asks no server.
    ///
    /// # Errors
    ///
    /// Where a setting cannot work, or the machine has no root certificates for https.
    pub fn try_new(settings: Settings) -> Result<Self, SetUpError> {
        let people = People::default();
        let gis = Gis::new(&settings, &people)?;
        let site = gis
            .first_site()
            .ok_or_else(|| SetUpError::new("there is no service whose maps could be shown"))?;
        let check = match settings.login {
            Login::Arcgis => Check::at_arcgis(site),
            Login::Own { users, .. } => Check::of_own(users),
        };
        Ok(Self {
            shared: Shared {
                people,
                gis,
                maps: settings.maps.into(),
                check: Arc::new(check),
                session_life: settings.session_life,
            },
            secure_cookies: settings.secure_cookies,
        })
    }

    /// The routes, with sessions and headers. Call it once: each call has sessions of its own.
    pub fn router(&self) -> Router {
        Router::new()
            .route("/", get(page::maps))
            .route("/maps/{map}/export", get(forward::export))
            .route(
                "/maps/{map}/tile/{level}/{row}/{column}",
                get(forward::tile),
            )
            .route("/sign-in", get(sign_in::form).post(sign_in::sign_in))
            .route("/sign-out", post(sign_in::sign_out))
            .layer(DefaultBodyLimit::max(LONGEST_FORM))
            .layer(cookie::sessions(self.secure_cookies))
            .route("/style.css", get(page::style))
            .layer(map_response(headers::protect))
            .with_state(self.shared.clone())
    }

    /// The layer's handle: it lists the sites' sessions, renews and counts.
    pub fn handle(&self) -> &ArcgisAuthHandle {
        self.shared.gis.handle()
    }
}

impl fmt::Debug for Portal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Portal")
            .field("maps", &self.shared.maps)
            .field("secure_cookies", &self.secure_cookies)
            .field("session_life", &self.shared.session_life)
            .finish_non_exhaustive()
    }
}

/// What the handlers share. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Shared {
    pub(crate) people: People,
    pub(crate) gis: Gis,
    pub(crate) maps: Arc<[MapService]>,
    pub(crate) check: Arc<Check>,
    pub(crate) session_life: Duration,
}

impl Shared {
    /// A person whose password is being checked.
    pub(crate) fn pending(&self, person: Person) -> Pending {
        self.people.add(person.clone());
        Pending {
            shared: self.clone(),
            person,
            is_kept: false,
        }
    }

    /// Signs a person out: no session stands for them any more, their password is wiped and their tokens are forgotten.
    pub(crate) async fn end(&self, identity: &Identity) {
        if let Some(person) = self.people.get(identity) {
            self.people.remove(identity);
            self.gis.sign_out(&person).await;
        }
    }
}

/// A person who is signed in only if the check ends well. Where it does not, or the browser hangs up meanwhile, nothing is
/// kept of them.
pub(crate) struct Pending {
    shared: Shared,
    person: Person,
    is_kept: bool,
}

impl Pending {
    pub(crate) fn person(&self) -> &Person {
        &self.person
    }

    /// Keeps the person for the life of a session.
    pub(crate) fn keep(mut self) {
        self.is_kept = true;
        let (shared, identity) = (self.shared.clone(), self.person.identity.clone());
        tokio::spawn(async move {
            sleep(shared.session_life).await;
            shared.end(&identity).await;
        });
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        if self.is_kept {
            return;
        }
        self.shared.people.remove(&self.person.identity);
        // The layer may have the password already, for a login under way.
        if let Ok(runtime) = Handle::try_current() {
            let (gis, person) = (self.shared.gis.clone(), self.person.clone());
            runtime.spawn(async move { gis.sign_out(&person).await });
        }
    }
}
