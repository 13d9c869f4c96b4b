//! Logins and administration, which only the server's own people need.

use tower_arcgis_auth::{EndPoint, PathPrefix};

use crate::refusal::Refusal;

/// Where Portal for ArcGIS is installed unless someone chose otherwise.
const DEFAULT_PORTAL: &str = "/portal";

/// Which end points of ArcGIS's own are passed on.
#[derive(Debug)]
pub(crate) struct EndPoints {
    roots: Vec<PathPrefix>,
    allow_logins: bool,
    allow_admin: bool,
}

impl EndPoints {
    pub(crate) fn new(mut roots: Vec<PathPrefix>, allow_logins: bool, allow_admin: bool) -> Self {
        roots.extend(PathPrefix::try_new(DEFAULT_PORTAL).ok());
        Self {
            roots,
            allow_logins,
            allow_admin,
        }
    }

    pub(super) fn check(&self, path: &str) -> Result<(), Refusal> {
        if self.roots.iter().any(|root| root.has_service(path)) {
            return Ok(());
        }
        for root in &self.roots {
            match root.end_point(path) {
                None | Some(EndPoint::Information) => {}
                Some(EndPoint::Administration) if self.allow_admin => {}
                Some(EndPoint::Administration) => return Err(Refusal::Administration),
                Some(_) if self.allow_logins => {}
                Some(_) => return Err(Refusal::Login),
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(path: &str, allow_logins: bool, allow_admin: bool) -> Option<String> {
        let root = PathPrefix::try_new("/arcgis").unwrap();
        EndPoints::new(vec![root], allow_logins, allow_admin)
            .check(path)
            .err()
            .map(|refusal| format!("{refusal:?}"))
    }

    #[test]
    fn logins_and_administration_are_refused_unless_they_are_allowed() {
        for (path, refused) in [
            ("/arcgis/tokens/", Some("Login")),
            ("/arcgis/rest/generateToken", Some("Login")),
            ("/arcgis/admin/generateToken", Some("Login")),
            ("/portal/sharing/rest/oauth2/authorize", Some("Login")),
            ("/arcgis/rest/services/%2e%2e/login", Some("Login")),
            ("/arcgis/admin", Some("Administration")),
            ("/arcgis/%6Danager/x", Some("Administration")),
            ("/portal/portaladmin/security", Some("Administration")),
            ("/arcgis/rest/info", None),
            ("/arcgis/rest/services/admin/Roads/MapServer", None),
            ("/arcgis/services/tokens/MapServer", None),
            ("/elsewhere/admin", None),
        ] {
            assert_eq!(check(path, false, false).as_deref(), refused, "{path}");
            assert_eq!(check(path, true, true), None, "{path}");
            if let Some(refused) = refused {
                let allow_logins = refused == "Login";
                assert_eq!(check(path, allow_logins, !allow_logins), None, "{path}");
            }
        }
    }
}
