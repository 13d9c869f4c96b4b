//! Names of hosts as requests have them, with or without a port.

use std::{net::IpAddr, str::FromStr};

/// A host's name or address: in lower case, without port, brackets or the root's dot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct HostName(String);

impl HostName {
    /// The host of `host[:port]`, as in `Host` and in URLs.
    pub(crate) fn of_authority(authority: &str) -> Self {
        Self(host_of(authority).to_ascii_lowercase())
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether this is the host that [`host_of`] finds.
    pub(crate) fn is(&self, host: &str) -> bool {
        self.0.eq_ignore_ascii_case(host)
    }
}

/// The host of `host[:port]` as it stands there, without brackets or the root's dot.
pub(crate) fn host_of(authority: &str) -> &str {
    let host = authority
        .rsplit_once('@')
        .map_or(authority, |(_, host)| host);
    let host = match host.strip_prefix('[') {
        Some(address) => address.split(']').next().unwrap_or_default(),
        None => host.split(':').next().unwrap_or_default(),
    };
    host.strip_suffix('.').unwrap_or(host)
}

impl FromStr for HostName {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let name = Self::of_authority(text);
        let is_host = |byte: u8| byte.is_ascii_alphanumeric() || b"-._:".contains(&byte);
        if name.0.is_empty() || text.contains(['/', '@', '*']) || !name.0.bytes().all(is_host) {
            return Err("write a host's name, like maps.example.com");
        }
        Ok(name)
    }
}

/// Whether the name of a host leads to this machine wherever it is looked up.
pub(crate) fn is_loopback_name(host: &str) -> bool {
    let top = host.rsplit('.').next().unwrap_or(host);
    top.eq_ignore_ascii_case("localhost")
        || host
            .parse::<IpAddr>()
            .is_ok_and(|address| address.to_canonical().is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spellings_of_a_host_are_one() {
        for authority in [
            "maps.example.com",
            "Maps.Example.COM:8080",
            "maps.example.com.",
            "u:p@maps.example.com:1",
        ] {
            assert_eq!(
                HostName::of_authority(authority).as_str(),
                "maps.example.com",
                "{authority}"
            );
        }
        assert_eq!(HostName::of_authority("[::1]:8080").as_str(), "::1");
    }

    #[test]
    fn loopback_has_many_names() {
        for host in [
            "localhost",
            "LOCALHOST.:8080",
            "app.localhost",
            "127.0.0.1:80",
            "127.8.9.10",
            "[::1]:8080",
            "[::ffff:127.0.0.1]",
        ] {
            assert!(is_loopback_name(host_of(host)), "{host}");
        }
        for host in [
            "",
            "example.com",
            "localhost.example.com",
            "127.0.0.1.example.com",
            "10.0.0.1",
            "0.0.0.0",
            "[::]",
            "notlocalhost",
        ] {
            assert!(!is_loopback_name(host_of(host)), "{host}");
        }
    }

    #[test]
    fn what_is_no_host_is_refused() {
        for text in [
            "",
            "https://maps.example.com",
            "maps/x",
            "*.example.com",
            "a b",
        ] {
            assert!(text.parse::<HostName>().is_err(), "{text}");
        }
    }
}
