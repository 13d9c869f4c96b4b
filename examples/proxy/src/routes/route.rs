//! One site of the proxy, and how its redirects lead back.

use std::sync::Arc;

use http::Uri;
use tower_arcgis_auth::PathPrefix;

use crate::{
    access::SiteAccess,
    forward::Forward,
    routes::{Scheme, Serves},
};

/// A path of the proxy's that leads to a site.
#[derive(Clone, Debug)]
pub(crate) struct Mount {
    /// Without a slash at its end.
    path: String,
    prefix: PathPrefix,
}

impl Mount {
    pub(crate) fn read(path: &str) -> Result<Self, String> {
        let wrong = |error: &dyn std::fmt::Display| format!("the mount cannot be used: {error}");
        let prefix = PathPrefix::try_new(path).map_err(|error| wrong(&error))?;
        Ok(Self {
            path: path.trim_end_matches('/').to_owned(),
            prefix,
        })
    }

    pub(crate) fn path(&self) -> &str {
        &self.path
    }

    pub(crate) fn depth(&self) -> usize {
        self.prefix.depth()
    }

    pub(super) fn rest_of<'a>(&self, path: &'a str) -> Option<&'a str> {
        self.prefix.rest_of(path)
    }
}

/// A site: which URLs it has, who may ask for them, and what sends the requests.
pub(crate) struct Route {
    pub(crate) serves: Serves,
    pub(crate) mount: Option<Mount>,
    pub(crate) access: SiteAccess,
    pub(crate) forwards: Forwards,
}

/// What sends a site's requests.
pub(crate) enum Forwards {
    One {
        forward: Forward,
        is_https: bool,
    },
    /// As the request says.
    Both {
        http: Forward,
        https: Forward,
    },
}

impl Route {
    pub(super) fn forward(&self, asked_https: bool) -> &Forward {
        match &self.forwards {
            Forwards::One { forward, .. } => forward,
            Forwards::Both { http, https } => {
                if asked_https {
                    https
                } else {
                    http
                }
            }
        }
    }

    /// Whether requests go by https where nothing says otherwise.
    pub(super) fn is_https(&self) -> bool {
        match &self.forwards {
            Forwards::One { is_https, .. } => *is_https,
            Forwards::Both { .. } => self.serves.scheme != Scheme::Http,
        }
    }

    /// Whether the request for a URL goes by https: as the URL says, where the site has both.
    pub(super) fn is_https_for(&self, url: &Uri) -> bool {
        url.scheme_str()
            .is_some_and(|scheme| scheme.eq_ignore_ascii_case("https"))
    }

    fn is_scheme_of(&self, url: &Uri) -> bool {
        match self.serves.scheme {
            Scheme::Any => true,
            Scheme::Https => url.scheme_str() == Some("https"),
            Scheme::Http => url.scheme_str() == Some("http"),
        }
    }
}

/// The site that a URL belongs to, and its path there: the longest path, and of the same ones that with the URL's own scheme.
pub(super) fn of_url<'a>(routes: &'a [Arc<Route>], url: &Uri) -> Option<(&'a Arc<Route>, String)> {
    let mut found: Option<(&Arc<Route>, String)> = None;
    for route in routes {
        let Some(path) = route.serves.path_of(url) else {
            continue;
        };
        let is_better = found.as_ref().is_none_or(|(best, _)| {
            best.serves.depth() == route.serves.depth()
                && !best.is_scheme_of(url)
                && route.is_scheme_of(url)
        });
        if is_better {
            found = Some((route, path));
        }
    }
    found
}

/// How redirects lead back to the caller: the way it came.
pub(crate) enum Back {
    /// The proxy has the server's own paths.
    Same,
    Listed(Box<Listed>),
}

/// Redirects among the sites of a file.
pub(crate) struct Listed {
    /// The page that the target stands behind; `None` for a path that the site is mounted at.
    page: Option<Box<str>>,
    routes: Arc<[Arc<Route>]>,
}

impl Back {
    pub(super) fn page(page: Box<str>, routes: Arc<[Arc<Route>]>) -> Self {
        Self::Listed(Box::new(Listed {
            page: Some(page),
            routes,
        }))
    }

    pub(super) fn mount(routes: Arc<[Arc<Route>]>) -> Self {
        Self::Listed(Box::new(Listed { page: None, routes }))
    }
}

impl Listed {
    /// The proxy's own path for a URL, if one of its sites has that.
    pub(crate) fn path_to(&self, url: &str) -> Option<String> {
        let uri: Uri = url.split('#').next()?.parse().ok()?;
        let (route, path) = of_url(&self.routes, &uri)?;
        if let Some(page) = &self.page {
            return Some(format!("{page}?{url}"));
        }
        let mount = route.mount.as_ref()?;
        let rest = route.serves.rest_of(&path)?;
        let behind = url.find(['?', '#']).and_then(|at| url.get(at..));
        let path = match (mount.path(), rest) {
            ("", "") => "/".to_owned(),
            (mount, rest) => format!("{mount}{rest}"),
        };
        Some(path + behind.unwrap_or_default())
    }
}
