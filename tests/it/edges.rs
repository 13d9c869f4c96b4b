//! The edges of what is remembered, cleaned and guessed: each once went wrong.

use crate::old_support as support;
use crate::old_support::*;
use bytes::Bytes;
use http::{Method, Request};
use http_body_util::{BodyExt, Full};
use std::{
    convert::Infallible,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};
use tokio::time::{advance, sleep};
use tower::{Layer, ServiceExt, service_fn};
use tower_arcgis_auth::*;

const INFO_OK: &str = r#"{"authInfo":{"isTokenBasedSecurity":true,"tokenServicesUrl":"https://gis.test/portal/sharing/rest/generateToken"}}"#;

#[tokio::test(start_paused = true)]
async fn a_guessed_token_url_is_given_up_once_the_server_names_its_own() {
    let up = Arc::new(AtomicBool::new(false));
    let asked = Arc::new(Mutex::new(Vec::new()));
    let (u, a) = (up.clone(), asked.clone());
    let client = TokenClient::new(service_fn(move |r: Request<Full<Bytes>>| {
        let p = r.uri().path().to_owned();
        a.lock().unwrap().push(p.clone());
        let body = if p.ends_with("/rest/info") {
            if u.load(SeqCst) {
                INFO_OK
            } else {
                "<html>Maintenance</html>"
            }
        } else if p.ends_with("/sharing/rest/generateToken") {
            r#"{"token":"abc","expires":4102444800000}"#
        } else {
            r#"{"error":{"code":400,"message":"Invalid URL","details":[]}}"#
        };
        async move { Ok::<_, Infallible>(answer(body)) }
    }));
    let fake = Fake::new(|r| {
        answer(if token_of(r).is_some() {
            CLEAN
        } else {
            REQUIRED
        })
    });
    let site = Site::new("https://gis.test/portal").credential(Credential::user("u", "p"));
    let s = ArcgisAuthLayer::builder()
        .add_site(site)
        .token_client(client)
        .build()
        .unwrap()
        .layer(fake);
    let roads = "https://gis.test/portal/sharing/rest/content/items/1?f=json";
    send(&s, get(roads)).await;
    up.store(true, SeqCst);
    for _ in 0..96 {
        advance(Duration::from_secs(16 * 60)).await;
        send(&s, get(roads)).await;
    }
    let ok = send(&s, get(roads)).await.is_clean();
    let asked = asked.lock().unwrap();
    assert!(
        ok,
        "after a day: info asked {} times, wrong url {} times",
        asked.iter().filter(|p| p.ends_with("info")).count(),
        asked
            .iter()
            .filter(|p| p.ends_with("tokens/generateToken"))
            .count()
    );
}

#[test]
fn a_login_on_a_runtime_nobody_drives_stalls_nobody_for_ever() {
    let source = Source::new().takes(Duration::from_millis(100));
    let layer = ArcgisAuthLayer::builder()
        .add_site(site(&source))
        .login_timeout(Duration::from_millis(500))
        .build()
        .unwrap();
    let s = layer.layer(Fake::secured(&source.valid));
    let rt = || {
        tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap()
    };
    let one = rt();
    one.block_on(async {
        assert!(futures_util::FutureExt::now_or_never(Box::pin(send(&s, get(ROADS)))).is_none());
    });
    let two = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .start_paused(true)
        .build()
        .unwrap();
    let r = two.block_on(async {
        tokio::time::timeout(Duration::from_secs(60), send(&s, get(ROADS))).await
    });
    assert!(r.is_ok(), "the second runtime waits for ever");
}

async fn error_saying(
    password: &'static str,
    say: impl Fn(&str, &str) -> String + Send + Sync + 'static,
) -> String {
    let say = Arc::new(say);
    let client = TokenClient::new(service_fn(move |r: Request<Full<Bytes>>| {
        let say = say.clone();
        async move {
            let b = r.into_body().collect().await.unwrap().to_bytes();
            let b = String::from_utf8_lossy(&b).into_owned();
            let msg = say(&b, password);
            Ok::<_, Infallible>(answer(
                serde_json::json!({"error":{"code":400,"message":msg}}).to_string(),
            ))
        }
    }));
    let site = Site::new("https://gis.test/arcgis")
        .credential(Credential::user("u", password))
        .token_url("https://gis.test/arcgis/tokens/generateToken");
    let s = ArcgisAuthLayer::builder()
        .add_site(site)
        .token_client(client)
        .build()
        .unwrap()
        .layer(Fake::new(|_| answer(REQUIRED)));
    let a = send(&s, get("https://gis.test/arcgis/rest/services/A/MapServer")).await;
    a.outcome.skip_reason().unwrap().to_string()
}

static WHY: std::sync::LazyLock<Mutex<std::collections::BTreeMap<String, u32>>> =
    std::sync::LazyLock::new(Default::default);

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
async fn a_portal_that_calls_a_token_dead_it_has_just_made_is_not_logged_in_at_again() {
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
