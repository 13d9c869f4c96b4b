//! Without services of its own: two made-up ArcGIS servers in the same process, and what can be tried on them.

use std::{
    io::{self, Write},
    net::SocketAddr,
};

use arcgis_portal::{Drawn, MapService, SetUpError};
use arcgis_stand_in::StandIn;
use tower_arcgis_auth::Credential;

const USERS: [(&str, &str); 2] = [("ada", "s3cret maps"), ("bob", "b0b's maps")];

/// Runs as long as it is kept.
pub(crate) struct Demo {
    city: StandIn,
    county: StandIn,
}

impl Demo {
    pub(crate) async fn start() -> io::Result<Self> {
        let start = || StandIn::builder().users(USERS).start();
        let (city, county) = (start().await?, start().await?);
        county.secure("Roads/MapServer");
        county.secure("Imagery/ImageServer");
        Ok(Self { city, county })
    }

    pub(crate) fn maps(&self) -> Result<Vec<MapService>, SetUpError> {
        let services = [
            (&self.city, "Parcels/MapServer", Drawn::Exported),
            (&self.city, "Zoning/MapServer", Drawn::Tiled),
            (&self.county, "Roads/MapServer", Drawn::Exported),
            (&self.county, "Imagery/ImageServer", Drawn::Exported),
        ];
        let services = services.into_iter().map(|(server, name, drawn)| {
            MapService::try_new(&server.url(&format!("rest/services/{name}")), drawn)
        });
        services.collect()
    }

    /// What stands behind users of the service's own.
    pub(crate) fn account(&self) -> Credential {
        let [(name, password), _] = USERS;
        Credential::user(name, password)
    }

    pub(crate) fn say_what_to_try(
        &self,
        address: SocketAddr,
        has_own_users: bool,
        out: &mut impl Write,
    ) -> io::Result<()> {
        let (city, county) = (self.city.origin(), self.county.origin());
        writeln!(
            out,
            "No --map and no --tiles: in front of two made-up ArcGIS servers, {city} and {county}. To try:"
        )?;
        writeln!(out, "  open http://{address}/ in a browser")?;
        if has_own_users {
            writeln!(out, "  sign in as one of the users in your file")?;
        } else {
            for (name, password) in USERS {
                writeln!(out, "  sign in as {name} with the password {password}")?;
            }
        }
        writeln!(
            out,
            "  let all tokens die, and load the page again: curl -X POST {city}/stand-in/revoke; curl -X POST \
             {county}/stand-in/revoke"
        )
    }
}
