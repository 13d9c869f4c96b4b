//! Short names for the servers at plain http. hyper-util's client takes the name of a request's server apart letter by letter,
//! four times a request, and copies it more often than that.

use std::mem;

use http::{
    Uri,
    uri::{Authority, Scheme},
};

/// No server is called like that. Constants, for their copies share no counter. Further servers keep their names.
const NAMES: [&str; 8] = ["~0", "~1", "~2", "~3", "~4", "~5", "~6", "~7"];

/// A server, and its short name.
type Named = (Authority, Authority);

/// The servers, each with its short name. Those at https keep theirs: TLS and HTTP/2 say it.
#[derive(Clone, Debug, Default)]
pub(crate) struct ShortNames(Vec<Named>);

impl ShortNames {
    pub(crate) fn of(servers: &[Uri]) -> Self {
        let mut named: Vec<Authority> = Vec::new();
        for server in servers {
            if let Some(authority) = http_authority(server).filter(|it| !named.contains(it)) {
                named.push(authority.clone());
            }
        }
        let names = NAMES.map(Authority::from_static);
        Self(named.into_iter().zip(names).collect())
    }

    /// Gives the URL the short name of its server, if that has one.
    pub(crate) fn shorten(&self, url: &mut Uri) {
        let authority = http_authority(url);
        let server =
            |(server, _): &&Named| authority.is_some_and(|it| it.as_str() == server.as_str());
        if let Some((_, name)) = self.0.iter().find(server) {
            set_authority(url, name);
        }
    }

    /// Gives the URL its server's own name back.
    pub(crate) fn restore(&self, url: &mut Uri) {
        let authority = http_authority(url);
        let named = |(_, name): &&Named| authority == Some(name);
        if let Some((server, _)) = self.0.iter().find(named) {
            set_authority(url, server);
        }
    }
}

fn http_authority(url: &Uri) -> Option<&Authority> {
    url.authority()
        .filter(|_| url.scheme() == Some(&Scheme::HTTP))
}

fn set_authority(url: &mut Uri, authority: &Authority) {
    let mut parts = mem::take(url).into_parts();
    parts.authority = Some(authority.clone());
    // No part is missing that was there before.
    *url = Uri::from_parts(parts).unwrap_or_default();
}

#[cfg(test)]
mod tests {
    use super::*;

    fn uris(urls: &[&str]) -> Vec<Uri> {
        urls.iter().map(|url| url.parse().unwrap()).collect()
    }

    #[test]
    fn each_server_at_http_has_a_name_that_leads_back_to_it() {
        let names = ShortNames::of(&uris(&[
            "http://gis.example.com:6080/arcgis",
            "https://gis.example.com/arcgis",
            "http://GIS.example.com:6080/other",
            "http://gis.example.com/arcgis",
        ]));
        for (url, short) in [
            ("http://gis.example.com:6080/a?b=c", "http://~0/a?b=c"),
            ("http://gis.example.com/a", "http://~1/a"),
            ("https://gis.example.com/a", "https://gis.example.com/a"),
            ("http://elsewhere.example/a", "http://elsewhere.example/a"),
        ] {
            let mut it: Uri = url.parse().unwrap();
            names.shorten(&mut it);
            assert_eq!(it, short);
            names.restore(&mut it);
            assert_eq!(it, url);
        }
    }

    #[test]
    fn servers_beyond_the_names_keep_their_own() {
        let servers: Vec<Uri> = (1..=9)
            .map(|number| format!("http://192.0.2.{number}/").parse().unwrap())
            .collect();
        let names = ShortNames::of(&servers);
        let short = servers.iter().map(|server| {
            let mut url = server.clone();
            names.shorten(&mut url);
            url != *server
        });
        assert_eq!(short.filter(|is_short| *is_short).count(), 8);
    }
}
