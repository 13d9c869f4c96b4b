//! What a token is bound to, and whether a caller is the one it is bound to.

use std::net::IpAddr;

use crate::request_parts::Fields;

/// What a request must show besides the token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Binding {
    /// Nothing.
    Free,
    /// This `Referer`.
    Referer(String),
    /// That it comes from this address.
    Address(IpAddr),
}

/// Who presents a token.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Caller<'a> {
    pub(crate) referer: Option<&'a str>,
    pub(crate) address: IpAddr,
}

impl Binding {
    /// What the `client` of a login from `from` asks for; none if that cannot be determined.
    pub(crate) fn of_client(client: &str, form: &Fields, from: IpAddr) -> Option<Self> {
        match client {
            "referer" | "referrer" => form
                .get("referer")
                .map(|referer| Self::Referer(referer.to_owned())),
            "ip" => form.get("ip").and_then(Self::of_address),
            "requestip" => Some(Self::Address(from)),
            _ => None,
        }
    }

    /// What a `clientid` of ArcGIS 10.0 asks for: `ref.…` or `ip.…`.
    pub(crate) fn of_client_id(client_id: &str) -> Option<Self> {
        if let Some(address) = client_id.strip_prefix("ip.") {
            return Self::of_address(address);
        }
        client_id
            .strip_prefix("ref.")
            .filter(|referer| !referer.is_empty())
            .map(|referer| Self::Referer(referer.to_owned()))
    }

    /// To this `Referer`, if there is one.
    pub(crate) fn of_referer(referer: Option<&str>) -> Self {
        referer.map_or(Self::Free, |referer| Self::Referer(referer.to_owned()))
    }

    fn of_address(text: &str) -> Option<Self> {
        let address: IpAddr = text.trim().parse().ok()?;
        Some(Self::Address(address.to_canonical()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_id_names_a_referer_or_an_address() {
        assert_eq!(
            Binding::of_client_id("ref.https://app.example/"),
            Some(Binding::Referer("https://app.example/".into()))
        );
        assert_eq!(
            Binding::of_client_id("ip.::ffff:10.0.0.1"),
            Some(Binding::Address(IpAddr::from([10, 0, 0, 1])))
        );
        for odd in ["", "ref.", "ip.", "ip.here", "requestip"] {
            assert_eq!(Binding::of_client_id(odd), None, "{odd}");
        }
    }
}
