//! A portal that forgets the tokens it has made.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use crate::support::{INVALID, TokenService, answer};
use tokio::time::advance;
use tower_arcgis_auth::{ArcgisAuthLayer, Credential, Site};

/// A portal that knows a server and logs in with `p-1`, `p-2`, …; the first `dead` of them it calls invalid ever after.
fn forgetful_portal(logins: &Arc<AtomicUsize>, dead: &Arc<AtomicUsize>) -> TokenService {
    let (logins, dead) = (logins.clone(), dead.clone());
    TokenService::at_once(move |asked| {
        if asked.field("serverUrl").is_none() {
            let login = logins.fetch_add(1, SeqCst) + 1;
            return answer(format!(
                r#"{{"token":"p-{login}","expires":4102444800000}}"#
            ));
        }
        let token = asked.field("token").unwrap();
        let login: usize = token.trim_start_matches("p-").parse().unwrap();
        if login <= dead.load(SeqCst) {
            answer(INVALID)
        } else {
            answer(format!(
                r#"{{"token":"s-{login}","expires":4102444800000}}"#
            ))
        }
    })
}

#[tokio::test(start_paused = true)]
async fn a_portal_that_calls_a_token_invalid_it_has_just_made_is_not_logged_in_at_again() {
    let (logins, dead) = (Arc::default(), Arc::new(AtomicUsize::new(usize::MAX)));
    let site = Site::new("https://gis.test/arcgis")
        .portal("https://gis.test/portal")
        .credential(Credential::user("u", "p"));
    let layer = ArcgisAuthLayer::builder()
        .add_site(site)
        .token_client(forgetful_portal(&logins, &dead).client())
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
