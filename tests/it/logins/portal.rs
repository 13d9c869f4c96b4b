//! A portal that forgets the tokens it has made.

use std::{
    convert::Infallible,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use crate::support::{INVALID, answer};
use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt, Full};
use tokio::time::advance;
use tower::service_fn;
use tower_arcgis_auth::{ArcgisAuthLayer, Credential, Site, TokenClient};

/// A portal that knows a server and logs in with `p-1`, `p-2`, …; the first `dead` of them it calls invalid ever after.
fn forgetful_portal(logins: &Arc<AtomicUsize>, dead: &Arc<AtomicUsize>) -> TokenClient {
    let (logins, dead) = (logins.clone(), dead.clone());
    TokenClient::new(service_fn(move |r: Request<Full<Bytes>>| {
        let (logins, dead) = (logins.clone(), dead.clone());
        async move {
            let form = r.into_body().collect().await.unwrap().to_bytes();
            let field = |name: &str| {
                form_urlencoded::parse(&form)
                    .find(|(key, _)| key == name)
                    .map(|(_, value)| value.into_owned())
            };
            let body = match field("serverUrl") {
                None => {
                    let login = logins.fetch_add(1, SeqCst) + 1;
                    format!(r#"{{"token":"p-{login}","expires":4102444800000}}"#)
                }
                Some(_) => {
                    let token = field("token").unwrap();
                    let login: usize = token.trim_start_matches("p-").parse().unwrap();
                    if login <= dead.load(SeqCst) {
                        INVALID.to_owned()
                    } else {
                        format!(r#"{{"token":"s-{login}","expires":4102444800000}}"#)
                    }
                }
            };
            Ok::<_, Infallible>(answer(body))
        }
    }))
}

#[tokio::test(start_paused = true)]
async fn a_portal_that_calls_a_token_invalid_it_has_just_made_is_not_logged_in_at_again() {
    let (logins, dead) = (Arc::default(), Arc::new(AtomicUsize::new(usize::MAX)));
    let site = Site::new("https://gis.test/arcgis")
        .portal("https://gis.test/portal")
        .credential(Credential::user("u", "p"));
    let layer = ArcgisAuthLayer::builder()
        .add_site(site)
        .token_client(forgetful_portal(&logins, &dead))
        .build()
        .unwrap();
    let handle = layer.handle().sites().remove(0);
    let error = handle.renew().await.unwrap_err().to_string();
    assert!(error.contains("its own fresh token invalid"), "{error}");
    assert_eq!(logins.load(SeqCst), 1);

    // It is old by now: another may live, but is no second login of this call either if it does not.
    advance(Duration::from_secs(300)).await;
    let error = handle.renew().await.unwrap_err().to_string();
    assert!(error.contains("its own fresh token invalid"), "{error}");
    assert_eq!(logins.load(SeqCst), 2);

    // The portal forgets what it made so far, and takes what it makes from now on.
    dead.store(2, SeqCst);
    advance(Duration::from_secs(300)).await;
    handle.renew().await.unwrap();
    assert_eq!(logins.load(SeqCst), 3);
    dead.store(3, SeqCst);
    advance(Duration::from_secs(300)).await;
    handle.renew().await.unwrap();
    assert_eq!(logins.load(SeqCst), 4);
}
