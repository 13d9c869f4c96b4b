//! What a token is bound to, and whether a caller is the one it is bound to.

use std::net::IpAddr;

use crate::asked::Pairs;

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
    pub(crate) fn of_client(client: &str, form: &Pairs, from: IpAddr) -> Option<Self> {
        match client {
            "referer" | "referrer" => form
                .get("referer")
                .map(|referer| Self::Referer(referer.to_owned())),
            "ip" => form.get("ip").and_then(Self::of_address),
            "requestip" => Some(Self::Address(from)),
            _ => None,
        }
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
