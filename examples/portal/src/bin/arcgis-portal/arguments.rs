//! The command line.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use arcgis_portal::{Drawn, Login, MapService, SetUpError, Settings, UsersFile};
use clap::{Parser, Subcommand, value_parser};
use tower_arcgis_auth::{Credential, Secret};

use crate::demo::Demo;

/// A login page in front of secured ArcGIS services: people sign in once, in a browser, and see the maps of all of them.
///
/// Without --users people sign in with their own ArcGIS accounts: the site of the first service checks their passwords, and
/// each person sees what their account may see. With --users they sign in with names and passwords of this service's own,
/// in front of one ArcGIS account (--username, and its password in ARCGIS_PASSWORD or --password-file) that nobody sees.
///
/// Without --map and --tiles two made-up ArcGIS servers are started, to try it on.
#[derive(Debug, Parser)]
#[command(version, args_conflicts_with_subcommands = true)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) action: Option<Action>,

    /// Address to listen on; port 0 takes any free one
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8180")]
    pub(crate) listen: SocketAddr,

    /// A map or image service to show, drawn by its export operation; repeatable
    ///
    /// Its URL, as the server's Services Directory shows it: https://gis.example.com/arcgis/rest/services/Roads/MapServer.
    /// Services may be on several servers that take the same account.
    #[arg(long, value_name = "URL")]
    map: Vec<String>,

    /// A map service to show from the tiles of its cache; repeatable
    #[arg(long, value_name = "URL")]
    tiles: Vec<String>,

    /// An origin, https://portal.example.com, that the servers may name as their token service's; repeatable
    ///
    /// Without it passwords go to the servers' own origins only, whatever they say.
    #[arg(long, value_name = "ORIGIN")]
    trust_token_service: Vec<String>,

    /// File with users of this service's own: a name, a colon and a hash on each line, made by `arcgis-portal hash NAME`
    #[arg(long, value_name = "FILE")]
    pub(crate) users: Option<PathBuf>,

    /// The ArcGIS account that stands behind all of --users
    #[arg(long, value_name = "NAME", requires = "users")]
    username: Option<String>,

    /// File with that account's password, in place of ARCGIS_PASSWORD
    #[arg(long, value_name = "FILE", requires = "users")]
    password_file: Option<PathBuf>,

    /// Hours until a person has to sign in again
    #[arg(long, value_name = "HOURS", default_value_t = 8, value_parser = value_parser!(u16).range(1..=720))]
    session_hours: u16,

    /// Let browsers send the session's cookie over plain http: for trying it from another machine, not for use
    ///
    /// Not needed at http://127.0.0.1 and http://localhost with Chromium, Edge, Chrome and Firefox.
    #[arg(long)]
    insecure_cookies: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Action {
    /// Read a password from standard input, and print the user's line for the file of --users
    Hash {
        /// The user's name
        name: String,
    },
}

impl Arguments {
    pub(crate) fn has_services(&self) -> bool {
        !self.map.is_empty() || !self.tiles.is_empty()
    }

    /// What the service is to do. Without services of its own it shows the demo's.
    pub(crate) fn settings(&self, demo: Option<&Demo>) -> Result<Settings, SetUpError> {
        let services = |urls: &[String], drawn| {
            let services = urls.iter().map(|url| MapService::try_new(url, drawn));
            services.collect::<Result<Vec<_>, _>>()
        };
        let maps = match demo {
            Some(demo) => demo.maps()?,
            None => {
                let mut maps = services(&self.map, Drawn::Exported)?;
                maps.extend(services(&self.tiles, Drawn::Tiled)?);
                maps
            }
        };
        let login = match &self.users {
            None => Login::Arcgis,
            Some(file) => Login::Own {
                users: UsersFile::try_new(file)?,
                account: demo.map_or_else(|| self.account(), |demo| Ok(demo.account()))?,
            },
        };
        let mut settings = Settings::new(maps, login);
        settings.trusted_token_services = self.trust_token_service.clone();
        settings.secure_cookies = !self.insecure_cookies;
        settings.session_life = Duration::from_secs(u64::from(self.session_hours) * 60 * 60);
        Ok(settings)
    }

    fn account(&self) -> Result<Credential, SetUpError> {
        let Some(name) = &self.username else {
            return Err(SetUpError::new(
                "--users needs the ArcGIS account behind it: --username NAME, and its password in ARCGIS_PASSWORD or \
                 --password-file",
            ));
        };
        let password = match &self.password_file {
            Some(file) => Secret::file(file),
            None => Secret::env("ARCGIS_PASSWORD"),
        };
        password.read().map_err(SetUpError::new)?;
        Ok(Credential::user(name.as_str(), password))
    }
}
