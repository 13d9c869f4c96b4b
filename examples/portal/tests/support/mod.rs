//! What the tests have in common: two made-up ArcGIS servers, and the service in front of them.

use std::{
    net::SocketAddr,
    path::PathBuf,
    sync::atomic::{AtomicUsize, Ordering},
};

use arcgis_portal::{Drawn, Login, MapService, Portal, Settings, UsersFile, line_for};
use arcgis_stand_in::StandIn;
use axum::Router;
use tokio::net::TcpListener;
use tower_arcgis_auth::Credential;

/// People with an ArcGIS account at both servers.
pub(crate) const ADA: (&str, &str) = ("ada", "s3cret maps & 100% + ?#");
pub(crate) const BOB: (&str, &str) = ("bob", "b0b's maps");

/// The account behind users of the service's own.
pub(crate) const ACCOUNT: (&str, &str) = ("gis_reader", "never shown");

/// Two servers and the service. Stops when it is dropped.
pub(crate) struct Running {
    /// Serves `Parcels/MapServer`, exported, and `Zoning/MapServer`, tiled.
    pub(crate) city: StandIn,
    /// Serves `Roads/MapServer` and `Imagery/ImageServer`, exported.
    pub(crate) county: StandIn,
    pub(crate) portal: Portal,
    pub(crate) address: SocketAddr,
    serving: tokio::task::JoinHandle<()>,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

impl Running {
    /// With other settings, and layers around the service.
    pub(crate) async fn start_with(
        login: Login,
        change: impl FnOnce(&mut Settings),
        around: impl FnOnce(Router) -> Router,
    ) -> Self {
        let start = || StandIn::builder().users([ADA, BOB, ACCOUNT]).start();
        let (city, county) = (start().await.unwrap(), start().await.unwrap());
        county.secure("Roads/MapServer");
        county.secure("Imagery/ImageServer");
        let map = |server: &StandIn, name: &str, drawn| {
            MapService::try_new(&server.url(&format!("rest/services/{name}")), drawn).unwrap()
        };
        let maps = vec![
            map(&city, "Parcels/MapServer", Drawn::Exported),
            map(&city, "Zoning/MapServer", Drawn::Tiled),
            map(&county, "Roads/MapServer", Drawn::Exported),
            map(&county, "Imagery/ImageServer", Drawn::Exported),
        ];
        let mut settings = Settings::new(maps, login);
        change(&mut settings);
        let portal = Portal::try_new(settings).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let router = around(portal.router());
        let serving = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self {
            city,
            county,
            portal,
            address,
            serving,
        }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// How many tokens the layer holds.
    pub(crate) fn tokens_held(&self) -> usize {
        let sites = self.portal.handle().sites();
        let sessions = sites.iter().flat_map(|site| site.sessions());
        sessions.filter(|session| session.token().is_some()).count()
    }

    /// The tokens that came with requests for maps, in the order in which they came.
    pub(crate) fn tokens_at(server: &StandIn) -> Vec<String> {
        let requests = server.received();
        let urls = requests
            .iter()
            .filter(|it| it.path_and_query.contains("/rest/services/"));
        let tokens = urls.filter_map(|it| {
            let (_, query) = it.path_and_query.split_once('?')?;
            let mut pairs = form_urlencoded::parse(query.as_bytes());
            pairs
                .find(|(name, _)| name == "token")
                .map(|(_, token)| token.into_owned())
        });
        tokens.collect()
    }
}

/// Users of the service's own, in a file, in front of [`ACCOUNT`].
pub(crate) fn own_users(users: &[(&str, &str)]) -> Login {
    let lines = users
        .iter()
        .map(|(name, password)| line_for(name, &(*password).to_owned().into()).unwrap() + "\n");
    let path = temporary("users");
    std::fs::write(&path, lines.collect::<String>()).unwrap();
    Login::Own {
        users: UsersFile::try_new(path).unwrap(),
        account: Credential::user(ACCOUNT.0, ACCOUNT.1),
    }
}

/// A path for a file or folder that no other test has.
pub(crate) fn temporary(name: &str) -> PathBuf {
    static COUNT: AtomicUsize = AtomicUsize::new(0);
    let number = COUNT.fetch_add(1, Ordering::Relaxed);
    let name = format!("{name}-{}-{number}", std::process::id());
    PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name)
}
