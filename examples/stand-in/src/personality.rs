//! Which ArcGIS the stand-in stands in for.

use crate::prefixes::covers;

/// The kind of server. See [`crate::StandInBuilder::personality`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum Personality {
    /// An ArcGIS Server 10.1 or later on its own. The default.
    #[default]
    Standalone,
    /// An ArcGIS Server 10.0: no `rest/info`, no `generateToken`, no `admin`. Tokens come as plain text from
    /// `/arcgis/tokens?request=getToken&username=…&password=…&clientid=ref.…&expiration=…`.
    Legacy,
    /// Its only token service is the administrator's: `rest/info` names `…/arcgis/admin/generateToken`, and `expires`
    /// is a string.
    AdminOnly,
}

impl Personality {
    /// Whether such a server has nothing at `path`.
    pub(crate) fn lacks(self, path: &str) -> bool {
        match self {
            Self::Standalone => false,
            Self::Legacy => path == "/arcgis/tokens/generateToken" || covers("/arcgis/admin", path),
            Self::AdminOnly => covers("/arcgis/tokens", path),
        }
    }

    /// Where `rest/info` says the token service is, below the origin.
    pub(crate) fn token_services_path(self) -> &'static str {
        match self {
            Self::Standalone => "/arcgis/tokens/",
            Self::Legacy => "/arcgis/tokens",
            Self::AdminOnly => "/arcgis/admin/generateToken",
        }
    }
}
