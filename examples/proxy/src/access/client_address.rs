//! Whose request it is: the address that a web server in front names, if it is trusted to.

use std::net::{IpAddr, SocketAddr};

use http::HeaderMap;
use ipnet::IpNet;

use crate::headers::X_FORWARDED_FOR;

/// The web servers in front.
#[derive(Debug)]
pub(super) struct TrustedProxies(Vec<IpNet>);

impl TrustedProxies {
    pub(super) fn new(networks: Vec<IpNet>) -> Self {
        Self(networks)
    }

    pub(super) fn contains(&self, address: IpAddr) -> bool {
        self.0.iter().any(|network| network.contains(&address))
    }

    /// The last address on the way that is not one of the web servers'. What stands before it, anyone can have written.
    pub(super) fn client(&self, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        let mut client = peer;
        if !self.contains(client) {
            return client;
        }
        let lists = headers.get_all(&X_FORWARDED_FOR);
        let entries: Vec<&str> = lists
            .iter()
            .flat_map(|list| list.to_str().unwrap_or("unreadable").split(','))
            .collect();
        for entry in entries.iter().rev() {
            let Some(address) = address(entry.trim()) else {
                break;
            };
            client = address;
            if !self.contains(client) {
                break;
            }
        }
        client
    }
}

/// An address, with or without a port; IIS writes one.
fn address(entry: &str) -> Option<IpAddr> {
    let bare = entry
        .strip_prefix('[')
        .and_then(|entry| entry.strip_suffix(']'))
        .unwrap_or(entry);
    bare.parse()
        .or_else(|_| entry.parse().map(|address: SocketAddr| address.ip()))
        .map(|address: IpAddr| address.to_canonical())
        .ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_trusted_proxy_says_who_the_client_is() {
        let trusted = TrustedProxies::new(vec![
            "10.0.0.0/24".parse().unwrap(),
            "127.0.0.1/32".parse().unwrap(),
        ]);
        for (peer, forwarded, client) in [
            ("192.0.2.1", &["198.51.100.1"][..], "192.0.2.1"),
            ("127.0.0.1", &[], "127.0.0.1"),
            ("127.0.0.1", &["198.51.100.1"], "198.51.100.1"),
            ("127.0.0.1", &["::ffff:198.51.100.1"], "198.51.100.1"),
            ("127.0.0.1", &["198.51.100.1:50123"], "198.51.100.1"),
            ("127.0.0.1", &["[2001:db8::1]:50123"], "2001:db8::1"),
            ("127.0.0.1", &["2001:db8::1"], "2001:db8::1"),
            // What the client wrote itself stands before what the web server saw.
            ("127.0.0.1", &["6.6.6.6, 198.51.100.1"], "198.51.100.1"),
            (
                "127.0.0.1",
                &["6.6.6.6", "198.51.100.1, 10.0.0.7"],
                "198.51.100.1",
            ),
            ("127.0.0.1", &["unknown"], "127.0.0.1"),
            ("127.0.0.1", &["6.6.6.6, unknown, 10.0.0.7"], "10.0.0.7"),
            ("127.0.0.1", &["10.0.0.8, 10.0.0.7"], "10.0.0.8"),
        ] {
            let mut headers = HeaderMap::new();
            for list in forwarded {
                headers.append(&X_FORWARDED_FOR, list.parse().unwrap());
            }
            let found = trusted.client(peer.parse().unwrap(), &headers);
            assert_eq!(found.to_string(), client, "{peer} {forwarded:?}");
        }
    }
}
