//! The edges of what is remembered, cleaned and guessed: each once went wrong.

use crate::support;
use crate::support::*;
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

#[tokio::test]
async fn a_location_of_escapes_upon_escapes_is_cleaned_in_one_pass() {
    // Decoded layer by layer, this takes minutes.
    let nested = format!("/x?%{}41", "25".repeat(200_000));
    let expected = nested.clone();
    let fake = Fake::new(move |r| {
        if token_of(r).is_none() {
            return answer(REQUIRED);
        }
        let mut a = answer("{\"a\":1}");
        a.headers_mut().insert("location", nested.parse().unwrap());
        a
    });
    let told = send(&over(fake, &Source::new()), get(ROADS)).await;
    assert_eq!(told.parts.headers["location"], expected);
}

#[tokio::test(start_paused = true)]
async fn a_web_adaptor_called_server_is_no_service() {
    let source = Source::new();
    let valid = source.valid.clone();
    let fake = Fake::new(move |r| match token_of(r) {
        Some(t) if valid.contains(&t) && !r.uri.path().contains("/Secret/") => answer(CLEAN),
        Some(t) if !valid.contains(&t) => answer(INVALID),
        _ => answer(REQUIRED),
    });
    let site = Site::new("http://gis.test/gisserver").token_source(source.clone());
    let s = ArcgisAuthLayer::try_new(site).unwrap().layer(fake);
    let roads = "http://gis.test/gisserver/rest/services/Roads/MapServer?f=json";
    assert!(send(&s, get(roads)).await.is_clean());
    send(
        &s,
        get("http://gis.test/gisserver/rest/services/Secret/MapServer"),
    )
    .await;
    advance(Duration::from_secs(30)).await;
    source.valid.revoke_all();
    let a = send(&s, get(roads)).await;
    assert!(a.is_clean(), "{}", a.outcome);
}

#[tokio::test(start_paused = true)]
async fn tokens_revoked_before_a_slow_service_answers_end_well() {
    let source = Source::new().takes(Duration::from_millis(30));
    let valid = source.valid.clone();
    let inner = service_fn(move |r: Request<ReplayBody<Full<Bytes>>>| {
        let (p, _) = r.into_parts();
        let a = match token_of(&p) {
            None => REQUIRED,
            Some(t) if valid.contains(&t) => CLEAN,
            Some(_) => INVALID,
        };
        async move {
            if a == CLEAN {
                sleep(Duration::from_millis(900)).await;
            }
            Ok::<_, Infallible>(answer(a))
        }
    });
    let s = over(inner, &source);
    let v = source.valid.clone();
    let revoker = tokio::spawn(async move {
        loop {
            sleep(Duration::from_millis(500)).await;
            v.revoke_all();
        }
    });
    let failed = Arc::new(AtomicUsize::new(0));
    let ok = Arc::new(AtomicUsize::new(0));
    futures_util::future::join_all((0..50u64).map(|w| {
        let (s, f, ok) = (s.clone(), failed.clone(), ok.clone());
        async move {
            sleep(Duration::from_millis(w * 37)).await;
            for t in 0..100u64 {
                sleep(Duration::from_millis(20 + (w * 7 + t * 13) % 40)).await;
                let r = s.clone().oneshot(get(ROADS)).await.unwrap();
                let why = format!("{}", r.body().outcome());
                let b = r.into_body().collect().await.unwrap().to_bytes();
                if b != CLEAN {
                    *WHY.lock().unwrap().entry(why).or_insert(0) += 1;
                }
                if b == CLEAN {
                    ok.fetch_add(1, SeqCst);
                } else {
                    f.fetch_add(1, SeqCst);
                }
            }
        }
    }))
    .await;
    revoker.abort();
    assert_eq!(
        failed.load(SeqCst),
        0,
        "clean {} logins {}",
        ok.load(SeqCst),
        source.logins()
    );
}

#[tokio::test(start_paused = true)]
async fn a_token_past_its_end_is_tried_where_no_login_gives_a_better_one() {
    let source = Source::new().lifetime(Duration::from_secs(3600));
    let s = over(Fake::secured(&source.valid), &source);
    assert!(send(&s, get(ROADS)).await.is_clean());
    source.always(Some(Scripted::Refuse));
    advance(Duration::from_secs(3700)).await;
    tokio::task::yield_now().await;
    send(&s, get(ROADS)).await;
    let a = send(&s, get(ROADS)).await;
    assert!(a.is_clean(), "{}", a.outcome);
}

#[tokio::test(start_paused = true)]
async fn a_token_one_service_rejects_still_signs_long_uploads_to_others() {
    let source = Source::new();
    let valid = source.valid.clone();
    let fake = Fake::new(move |r| match token_of(r) {
        None => answer(REQUIRED),
        Some(t) if valid.contains(&t) && !r.uri.path().contains("/Foreign") => answer(CLEAN),
        Some(_) => answer(INVALID),
    });
    let s = over(fake, &source);
    send(
        &s,
        get("http://gis.test/arcgis/rest/services/Foreign1/MapServer"),
    )
    .await;
    send(
        &s,
        get("http://gis.test/arcgis/rest/services/Foreign2/MapServer"),
    )
    .await;
    let upload = Request::post(ROADS)
        .body(Full::new(Bytes::from(vec![b'x'; 2 << 20])))
        .unwrap();
    let a = send(&s, upload).await;
    assert!(a.is_clean(), "{}", a.outcome);
}

#[tokio::test(start_paused = true)]
async fn a_head_request_proves_no_token() {
    let source = Source::new();
    source.always(Some(Scripted::Useless));
    let valid = source.valid.clone();
    let fake = Fake::new(move |r| {
        if r.method == Method::HEAD {
            answer("")
        } else {
            match token_of(r) {
                None => answer(REQUIRED),
                Some(t) if valid.contains(&t) => answer(CLEAN),
                _ => answer(INVALID),
            }
        }
    });
    let s = over(fake, &source);
    for n in 0..1000 {
        send(
            &s,
            get(&format!(
                "http://gis.test/arcgis/rest/services/S{n}/MapServer"
            )),
        )
        .await;
        let head = Request::head(ROADS).body(Full::default()).unwrap();
        send(&s, head).await;
        advance(Duration::from_millis(100)).await;
    }
    assert!(source.logins() < 20, "{} logins in 100 s", source.logins());
}
#[tokio::test(start_paused = true)]
async fn a_gateways_error_proves_no_token() {
    let source = Source::new();
    source.always(Some(Scripted::Useless));
    let fake = Fake::new(move |r| {
        if r.uri.path().contains("Down") {
            let mut a = answer("<h1>Bad gateway</h1>");
            *a.status_mut() = http::StatusCode::BAD_GATEWAY;
            a
        } else {
            match token_of(r) {
                None => answer(REQUIRED),
                _ => answer(INVALID),
            }
        }
    });
    let s = over(fake, &source);
    for n in 0..1000 {
        send(
            &s,
            get(&format!(
                "http://gis.test/arcgis/rest/services/S{n}/MapServer"
            )),
        )
        .await;
        send(
            &s,
            get("http://gis.test/arcgis/rest/services/Down/MapServer"),
        )
        .await;
        advance(Duration::from_millis(100)).await;
    }
    assert!(source.logins() < 20, "{} logins in 100 s", source.logins());
}

#[tokio::test(start_paused = true)]
async fn useless_tokens_of_no_life_do_not_cost_a_login_a_request() {
    let source = Source::new().lifetime(Duration::from_millis(50));
    source.always(Some(Scripted::Useless));
    let s = over(Fake::secured(&source.valid), &source);
    for _ in 0..1000 {
        send(&s, get(ROADS)).await;
        advance(Duration::from_millis(100)).await;
        tokio::task::yield_now().await;
    }
    assert!(source.logins() < 50, "{} logins in 100 s", source.logins());
}

#[tokio::test(start_paused = true)]
async fn a_late_answer_waits_for_the_login_under_way() {
    let source = Source::new().takes(Duration::from_millis(1000));
    let valid = source.valid.clone();
    let hold = Arc::new(tokio::sync::Semaphore::new(0));
    let h = hold.clone();
    let inner = service_fn(move |r: Request<ReplayBody<Full<Bytes>>>| {
        let (p, _) = r.into_parts();
        let (valid, h) = (valid.clone(), h.clone());
        async move {
            if p.uri.path().contains("Slow") && token_of(&p).as_deref() == Some("secret-1") {
                h.acquire().await.unwrap().forget();
            }
            Ok::<_, Infallible>(answer(match token_of(&p) {
                None => REQUIRED,
                Some(t) if valid.contains(&t) => CLEAN,
                Some(_) => INVALID,
            }))
        }
    });
    let s = over(inner, &source);
    let ask = |u: &str| {
        let s = s.clone();
        let r = get(u);
        async move {
            let r = s.oneshot(r).await.unwrap();
            let o = r.body().outcome().clone();
            (r.into_body().collect().await.unwrap().to_bytes(), o)
        }
    };
    assert_eq!(ask(ROADS).await.0, CLEAN);
    let slow = tokio::spawn(ask("http://gis.test/arcgis/rest/services/Slow/MapServer"));
    tokio::task::yield_now().await;
    source.valid.revoke_all();
    assert_eq!(ask(ROADS).await.0, CLEAN); // secret-2, proven
    source.valid.revoke_all();
    let third = tokio::spawn(ask(ROADS)); // login 3 under way
    sleep(Duration::from_millis(100)).await;
    hold.add_permits(1);
    let (body, outcome) = slow.await.unwrap();
    assert_eq!(third.await.unwrap().0, CLEAN);
    assert_eq!(body, CLEAN, "{outcome}");
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
#[tokio::test]
async fn a_password_cut_off_in_a_servers_words_is_in_no_error() {
    let e = error_saying("correct-horse-battery-staple", |_, p| {
        format!("{}{p}", "x".repeat(180))
    })
    .await;
    assert!(!e.contains("correct-horse-batter"), "{e}");
}
#[tokio::test]
async fn a_password_in_jsons_escapes_is_in_no_error() {
    // `serde_json` writes the line break as an escape; a server may write any character as one.
    let e = error_saying("two\nlines of p/w", |_, p| format!("bad: {p}")).await;
    assert!(!e.contains("lines of p/w"), "{e}");
}

#[tokio::test]
async fn a_form_a_server_repeats_is_in_no_error() {
    let e = error_saying("p&ss word", |body, _| format!("bad request: {body}")).await;
    assert!(!e.contains("p%26ss+word"), "{e}");
}

#[tokio::test]
async fn a_password_in_a_content_type_is_in_no_error() {
    let client = TokenClient::new(service_fn(|_: Request<Full<Bytes>>| async {
        let mut page = answer("<html>");
        let kind = format!(
            "text/html; of={}correct-horse-battery-staple",
            "x".repeat(30)
        );
        page.headers_mut()
            .insert("content-type", kind.parse().unwrap());
        Ok::<_, Infallible>(page)
    }));
    let site = Site::new("https://gis.test/arcgis")
        .credential(Credential::user("u", "correct-horse-battery-staple"))
        .token_url("https://gis.test/arcgis/tokens/generateToken");
    let layer = ArcgisAuthLayer::builder()
        .add_site(site)
        .token_client(client)
        .build()
        .unwrap();
    let error = layer.handle().sites()[0].renew().await.unwrap_err();
    let error = error.to_string();
    assert!(error.contains("which is no JSON"), "{error}");
    assert!(!error.contains("correct-horse"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_refused_service_that_calls_its_token_dead_starts_a_login() {
    let source = Source::new();
    let valid = source.valid.clone();
    let open = Arc::new(AtomicBool::new(false));
    let o = open.clone();
    let fake = Fake::new(move |r| match token_of(r) {
        Some(t) if !valid.contains(&t) => answer(INVALID),
        Some(_) if o.load(SeqCst) => answer(CLEAN),
        _ => answer(REQUIRED),
    });
    let s = over(fake, &source);
    send(&s, get(ROADS)).await; // refused: 499 after a fresh login
    advance(Duration::from_secs(30)).await;
    open.store(true, SeqCst); // the administrator shares the service, which restarts and voids tokens
    source.valid.revoke_all();
    // Its own challenge goes up, and is the last.
    assert!(!send(&s, get(ROADS)).await.is_clean());
    tokio::task::yield_now().await;
    let a = send(&s, get(ROADS)).await;
    assert!(a.is_clean(), "{}", a.outcome);
}

#[tokio::test(start_paused = true)]
async fn without_a_fresh_login_no_service_is_remembered_as_refusing() {
    let source = Source::new().lifetime(Duration::from_secs(3600));
    let valid = source.valid.clone();
    let fake = Fake::new(move |r| match token_of(r) {
        Some(t) if valid.contains(&t) => answer(CLEAN),
        _ => answer(REQUIRED),
    });
    let s = over(fake, &source);
    assert!(send(&s, get(ROADS)).await.is_clean());
    source.valid.revoke_all();
    source.always(Some(Scripted::Fault));
    advance(Duration::from_secs(3700)).await;
    tokio::task::yield_now().await;
    let a = send(&s, get(ROADS)).await;
    let b = send(&s, get(ROADS)).await;
    assert!(
        !a.outcome.resent(),
        "sent again with the token known to be past its end"
    );
    assert!(
        !matches!(b.outcome.skip_reason(), Some(SkipReason::ServiceRefused)),
        "{}",
        b.outcome
    );
}

#[tokio::test]
async fn a_token_key_in_escapes_is_taken_off_as_well() {
    let source = Source::new();
    let fake = Fake::new(|r| {
        answer(if token_of(r).is_some() {
            CLEAN
        } else {
            REQUIRED
        })
    });
    let layer = ArcgisAuthLayer::try_new(
        support::site(&source)
            .caller_token(CallerToken::Replace)
            .placement(TokenPlacement::Query),
    )
    .unwrap();
    let s = layer.layer(fake.clone());
    send(
        &s,
        get("http://gis.test/arcgis/rest/services/A/MapServer?%74oken=mine&f=json"),
    )
    .await;
    let q = fake.seen().last().unwrap().uri.query().unwrap().to_owned();
    let keys: Vec<_> = form_urlencoded::parse(q.as_bytes())
        .filter(|(k, _)| k == "token")
        .collect();
    assert_eq!(keys.len(), 1, "{q}");
}
#[tokio::test]
async fn an_empty_token_in_the_query_does_not_stay_beside_a_header() {
    let source = Source::new();
    let fake = Fake::new(|r| {
        answer(if token_of(r).is_some() {
            CLEAN
        } else {
            REQUIRED
        })
    });
    let layer =
        ArcgisAuthLayer::try_new(support::site(&source).placement(TokenPlacement::EsriHeader))
            .unwrap();
    let s = layer.layer(fake.clone());
    send(
        &s,
        get("http://gis.test/arcgis/rest/services/A/MapServer?token=&f=json"),
    )
    .await;
    let q = fake.seen().last().unwrap().uri.query().unwrap().to_owned();
    assert!(!q.contains("token="), "{q}");
}

#[test]
fn a_password_in_a_url_is_in_no_debug() {
    let d = format!(
        "{:?}",
        Site::new("https://ada:hunter2@gis.test/arcgis")
            .token_url("https://x/tokens?password=hunter2")
    );
    assert!(!d.contains("hunter2"), "{d}");
}

#[tokio::test]
async fn a_source_of_the_users_own_leaves_the_callers_referer() {
    let source = Source::new();
    let fake = Fake::secured(&source.valid);
    let s = over(fake.clone(), &source);
    let r = Request::get(ROADS)
        .header("referer", "https://app.example/")
        .body(Full::default())
        .unwrap();
    send(&s, r).await;
    assert_eq!(
        fake.seen().last().unwrap().headers["referer"],
        "https://app.example/"
    );
}

#[tokio::test(start_paused = true)]
async fn paths_nobody_may_see_do_not_cost_a_login_each() {
    let source = Source::new();
    let valid = source.valid.clone();
    let fake = Fake::new(move |r| match token_of(r) {
        Some(t) if valid.contains(&t) && !r.uri.path().contains("Secret") => answer(CLEAN),
        _ => answer(REQUIRED),
    });
    let s = over(fake, &source);
    for n in 0..500 {
        assert!(send(&s, get(ROADS)).await.is_clean());
        send(
            &s,
            get(&format!("http://gis.test/arcgis/rest/services/Secret/x{n}")),
        )
        .await;
    }
    assert!(
        source.logins() < 20,
        "{} logins in no time",
        source.logins()
    );
}

#[test]
fn a_waker_that_polls_at_once_meets_no_lock() {
    use std::{
        future::Future,
        pin::Pin,
        task::{Context, Poll, Wake, Waker},
    };
    type F = Pin<Box<dyn Future<Output = ()> + Send>>;
    struct Inline(Mutex<Option<F>>);
    impl Wake for Inline {
        fn wake(self: Arc<Self>) {
            let w = Waker::from(self.clone());
            let f = self.0.lock().unwrap().take();
            if let Some(mut f) = f {
                if f.as_mut().poll(&mut Context::from_waker(&w)).is_pending() {
                    *self.0.lock().unwrap() = Some(f);
                }
            }
        }
    }
    let (tx, rx) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let rt = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .start_paused(true)
            .build()
            .unwrap();
        rt.block_on(async {
            let source = Source::new().takes(Duration::from_millis(20));
            let s = over(Fake::secured(&source.valid), &source);
            let done = Arc::new(AtomicBool::new(false));
            let d = done.clone();
            let t = Arc::new(Inline(Mutex::new(None)));
            let mut f: F = Box::pin(async move {
                send(&s, get(ROADS)).await;
                d.store(true, SeqCst);
            });
            let w = Waker::from(t.clone());
            assert!(matches!(
                f.as_mut().poll(&mut Context::from_waker(&w)),
                Poll::Pending
            ));
            *t.0.lock().unwrap() = Some(f);
            sleep(Duration::from_millis(200)).await;
            tx.send(done.load(SeqCst)).unwrap();
        });
    });
    assert_eq!(rx.recv_timeout(Duration::from_secs(3)), Ok(true));
}

#[test]
fn a_token_whose_runtime_is_gone_still_ages() {
    let source = Source::new().lifetime(Duration::from_secs(3));
    let fake = Fake::secured(&source.valid);
    let s = over(fake.clone(), &source);
    let rt = || {
        tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap()
    };
    rt().block_on(async {
        assert!(send(&s, get(ROADS)).await.is_clean());
    });
    let n = fake.count();
    rt().block_on(async {
        tokio::time::pause();
        advance(Duration::from_secs(5)).await;
        send(&s, get(ROADS)).await;
    });
    assert_eq!(
        fake.tokens()[n..],
        [Some("secret-2".to_owned())],
        "{:?}",
        source.reasons()
    );
}

#[tokio::test]
async fn a_folder_called_tokens_holds_services() {
    for (root, uri) in [
        (
            "http://gis.test/arcgis",
            "http://gis.test/arcgis/services/tokens/MapServer",
        ),
        (
            "http://gis.test",
            "http://gis.test/arcgis/rest/services/tokens/Parks/MapServer",
        ),
    ] {
        let source = Source::new();
        let s = ArcgisAuthLayer::try_new(Site::new(root).token_source(source.clone()))
            .unwrap()
            .layer(Fake::secured(&source.valid));
        let a = send(&s, get(uri)).await;
        assert!(a.is_clean(), "{root}: {}", a.outcome);
    }
}

#[tokio::test]
async fn escapes_in_lower_case_are_cut_out_cleanly() {
    let fake = Fake::new(|r| {
        if token_of(r).is_none() {
            return answer(REQUIRED);
        }
        let mut a = answer("{\"a\":1}");
        a.headers_mut().insert(
            "location",
            "/login?redirect=%2fx%3ftoken%3dAB%2bc%2fd&x=1"
                .parse()
                .unwrap(),
        );
        a
    });
    let site = Site::new(ROOT).token_source(token_source_fn(|_| async {
        IssuedToken::try_new("AB+c/d")
    }));
    let s = ArcgisAuthLayer::try_new(site).unwrap().layer(fake);
    let a = send(&s, get(ROADS)).await;
    assert_eq!(
        a.parts.headers.get("location").map(|v| v.to_str().unwrap()),
        Some("/login?redirect=%2fx%3ftoken%3d&x=1")
    );
}

static WHY: std::sync::LazyLock<Mutex<std::collections::BTreeMap<String, u32>>> =
    std::sync::LazyLock::new(Default::default);

#[tokio::test]
async fn trace_is_not_signed() {
    let source = Source::new();
    let fake = Fake::secured(&source.valid);
    let s = over(fake.clone(), &source);
    send(&s, get(ROADS)).await;
    send(
        &s,
        Request::builder()
            .method(Method::TRACE)
            .uri(ROADS)
            .body(Full::default())
            .unwrap(),
    )
    .await;
    assert_eq!(fake.tokens().last().unwrap(), &None);
}

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
