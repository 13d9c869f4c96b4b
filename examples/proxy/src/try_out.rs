//! Without an upstream: a made-up ArcGIS in the same process, and what can be tried on it.

use std::{
    io::{self, Write},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
};

use arcgis_stand_in::{PASSWORD, StandIn, USERNAME};

use crate::{
    arguments::{Arguments, Target},
    login::Login,
    origin::Upstream,
};

/// Runs as long as it is kept.
pub(crate) struct TryOut {
    arcgis: StandIn,
}

impl TryOut {
    pub(crate) async fn start() -> Result<Self, String> {
        let arcgis = StandIn::start()
            .await
            .map_err(|error| format!("the made-up ArcGIS finds no port to listen on: {error}"))?;
        Ok(Self { arcgis })
    }

    pub(crate) fn target(&self, arguments: &Arguments) -> Result<Target, String> {
        Ok(Target {
            upstream: Upstream::parse(&self.arcgis.root())?,
            login: Some(Login::user(USERNAME, PASSWORD)),
            settings: arguments.site_settings(),
        })
    }

    pub(crate) fn say_what_to_try(&self, listening: SocketAddr) {
        let proxy = format!("http://{}", reachable(listening));
        let root = self.arcgis.root();
        // An error is a reader that went away.
        let _ = write!(
            io::stderr(),
            "\
No --upstream: in front of a made-up ArcGIS at {root}. To try:
  a secured service, asked without a token:  curl '{root}/rest/services/Parcels/MapServer?f=json'
  the same through the proxy:                curl '{proxy}/arcgis/rest/services/Parcels/MapServer?f=json'
  what arrives there:                        curl '{proxy}/arcgis/rest/services/Parcels/MapServer/echo?f=json'
  all tokens revoked; then ask again:        curl -X POST {proxy}/stand-in/revoke
  what the server counted:                   curl {proxy}/stand-in/counters
"
        );
    }
}

/// An address to type where one that stands for all was listened on.
fn reachable(listening: SocketAddr) -> SocketAddr {
    let ip = match listening.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, listening.port())
}
