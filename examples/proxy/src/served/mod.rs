//! What is served: one server from the command line, or the sites of a file.

mod many;
mod one;

use tower_arcgis_auth::Site;

pub(crate) use self::{many::Many, one::One};
use crate::{
    access::RefererPattern,
    arguments::Arguments,
    config::Problem,
    routes::Routes,
    shared_cache::Sharing,
    upstream::{Servers, SigningClient},
};

/// What sends the sites' requests, signed.
pub(crate) struct SigningClients {
    pub(crate) together: SigningClient,
    /// For the sites that may not be in one layer with the others.
    pub(crate) apart: SigningClient,
}

/// All that the proxy stands in front of.
pub(crate) enum Served {
    One(Box<One>),
    Many(Many),
}

impl Served {
    /// The servers that requests and logins go to.
    pub(crate) fn servers(&self, arguments: &Arguments) -> Result<Servers, String> {
        match self {
            Self::One(one) => one.servers(arguments),
            Self::Many(many) => many.servers(arguments),
        }
    }

    /// The sites as a layer takes them; `apart`: those that may not be in one layer with the others.
    pub(crate) fn sites(
        &self,
        sharing: Option<&Sharing>,
        apart: bool,
    ) -> Result<Vec<Site>, String> {
        match self {
            Self::One(_) if apart => Ok(Vec::new()),
            Self::One(one) => one.site(sharing).map(|site| vec![site]),
            Self::Many(many) => many.sites(sharing, apart),
        }
    }

    /// From requests to sites, with the client that sends to all of them.
    pub(crate) fn routes(
        &self,
        clients: &SigningClients,
        arguments: &Arguments,
    ) -> Result<Routes, String> {
        match self {
            Self::One(one) => one.routes(&clients.together, arguments),
            Self::Many(many) => many.routes(clients, arguments),
        }
    }

    /// Pages whose origins may ask from a browser, beside those of the options.
    pub(crate) fn pages(&self) -> Vec<RefererPattern> {
        match self {
            Self::One(_) => Vec::new(),
            Self::Many(many) => many.pages(),
        }
    }

    /// Whether callers get the rights of an account.
    pub(crate) fn lends_an_account(&self) -> bool {
        match self {
            Self::One(one) => one.login().is_some(),
            Self::Many(many) => many.lends_an_account(),
        }
    }

    /// Whether something limits what callers do, in the sites' own settings.
    pub(crate) fn limits_callers(&self) -> bool {
        match self {
            Self::One(_) => false,
            Self::Many(many) => many.limits_callers(),
        }
    }

    /// What will be done for each site, and what is doubtful about it.
    pub(crate) fn described(&self, arguments: &Arguments) -> (String, &[Problem]) {
        match self {
            Self::One(_) => (String::new(), &[]),
            Self::Many(many) => many.described(arguments),
        }
    }

    /// Says what is signed, and what a user may have wanted otherwise.
    pub(crate) fn announce(&self, is_sharing: bool) {
        match self {
            Self::One(one) => one.announce(is_sharing),
            Self::Many(many) => many.announce(),
        }
    }
}
