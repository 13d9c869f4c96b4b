//! Failed logins never lock an account: ArcGIS locks one after five in 15 minutes.

mod across_sites;
mod attempts;
mod changed_credentials;
mod concurrent_logins;
mod credential_fn;
mod dropped_runtimes;
mod identities;
mod looks;
mod own_sources;
mod refusals;
mod sign_out;
mod unanswered;

use std::time::Duration;

use tokio::time::sleep;
use tower_arcgis_auth::{
    Credential, Fingerprint, GenerateToken, IssuedToken, TokenError, TokenRequest, TokenSource,
};

use crate::support::{ROOT, TokenService};

fn generate_token(service: &TokenService, credential: Credential) -> GenerateToken {
    let url = format!("{ROOT}/tokens/generateToken");
    let source = GenerateToken::try_new(&url, credential, service.client());
    source.unwrap().allow_insecure_http()
}

/// Takes its time to report a login that failed.
struct Reporting {
    inner: GenerateToken,
    takes: Duration,
}

impl TokenSource for Reporting {
    async fn token(&self, request: TokenRequest) -> Result<IssuedToken, TokenError> {
        let result = self.inner.token(request).await;
        if result.is_err() {
            sleep(self.takes).await;
        }
        result
    }

    fn fingerprint(&self, fingerprint: &mut Fingerprint) {
        self.inner.fingerprint(fingerprint);
    }
}
