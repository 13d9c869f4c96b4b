//! One account, however many sites and callers log in with it: what the token service counts is counted once, and what
//! the server is is asked once.

use super::named_like_identities;
use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicUsize, Ordering},
};

use crate::support::{
    CLEAN, INVALID, Mounted, REQUIRED, ROADS, ROOT, Upstream, answer, get,
    logins::{INFO, SECOND, TOKEN, WRONG, caller, client, get_as, layer, reader},
    send, token_of,
};
use arcgis_stand_in::{StandIn, USERNAME};
use bytes::Bytes;
use futures_util::future::join_all;
use http::{Response, StatusCode};
use http_body_util::Full;
use tokio::time::{Instant, advance, sleep};
use tower::Layer;
use tower_arcgis_auth::{
    ArcgisAuth, ArcgisAuthLayer, Credential, Identity, RenewError, Secret, Site, TokenClient,
};

fn status(status: StatusCode, body: &'static str) -> Response<Full<Bytes>> {
    let mut answer = answer(body);
    *answer.status_mut() = status;
    answer
}

fn site() -> Site {
    Site::new(ROOT).allow_insecure_http()
}

fn over(site: Site, client: TokenClient) -> ArcgisAuth<Upstream> {
    layer(site, client).layer(Upstream::taking_any_token())
}

#[tokio::test(start_paused = true)]
async fn one_account_has_four_logins_without_an_answer_whatever_the_identities() {
    let passwords = Arc::new(AtomicUsize::new(0));
    let count = passwords.clone();
    let client = client(move |path, _| {
        let count = count.clone();
        async move {
            if path.ends_with("/rest/info") {
                return answer(INFO);
            }
            count.fetch_add(1, Ordering::SeqCst);
            std::future::pending().await
        }
    });
    let service = over(site().identity_fn(caller).credential(reader()), client);
    let started = Instant::now();
    for number in 0.. {
        if started.elapsed() > 10 * 60 * SECOND {
            break;
        }
        send(&service, get_as(format!("caller{number}"))).await;
        advance(SECOND).await;
    }
    assert_eq!(passwords.load(Ordering::SeqCst), 4);
}

#[tokio::test(start_paused = true)]
async fn a_server_that_does_not_say_what_it_is_has_counted_no_login() {
    let (infos, passwords) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let counts = (infos.clone(), passwords.clone());
    let client = client(move |path, _| {
        let (infos, passwords) = counts.clone();
        async move {
            if path.ends_with("/rest/info") {
                if infos.fetch_add(1, Ordering::SeqCst) < 4 {
                    std::future::pending::<()>().await;
                }
                return answer(INFO);
            }
            passwords.fetch_add(1, Ordering::SeqCst);
            answer(TOKEN)
        }
    });
    let layer = ArcgisAuthLayer::builder()
        .add_site(site().credential(reader()))
        .token_client(client)
        .build()
        .unwrap();
    let handle = layer.handle().sites().remove(0);
    for _ in 0..4 {
        assert!(handle.renew().await.is_err());
    }
    assert_eq!(passwords.load(Ordering::SeqCst), 0);
    handle.renew().await.unwrap();
}

#[tokio::test]
async fn a_secret_that_is_gone_for_a_moment_has_not_changed() {
    let server = StandIn::start().await.unwrap();
    let file = std::env::temp_dir().join(format!("gone-for-a-moment-{}", std::process::id()));
    std::fs::write(&file, "wrong").unwrap();
    let mut builder = ArcgisAuthLayer::builder();
    for number in 0..6 {
        let site = Site::new(format!("{}{number}", server.root()))
            .token_url(format!("{}/tokens/generateToken", server.root()))
            .credential(Credential::user(USERNAME, Secret::file(&file)));
        builder = builder.add_site(site);
    }
    let sites = builder.build().unwrap().handle().sites();
    assert!(sites[0].renew().await.is_err());
    for site in &sites[1..] {
        std::fs::remove_file(&file).unwrap();
        assert!(site.renew().await.is_err());
        std::fs::write(&file, "wrong").unwrap();
        let renewed = site.renew().await;
        assert!(matches!(renewed, Err(RenewError::Refused(_))));
    }
    std::fs::remove_file(&file).unwrap();
    assert_eq!(server.login_failures(USERNAME), 1);
}

#[tokio::test(start_paused = true)]
async fn a_password_that_worked_lets_three_in_at_once_and_a_changed_one_fails_no_more() {
    let (is_changed, failures) = (
        Arc::new(AtomicBool::new(false)),
        Arc::new(AtomicUsize::new(0)),
    );
    let shared = (is_changed.clone(), failures.clone());
    let client = client(move |path, _| {
        let (is_changed, failures) = shared.clone();
        async move {
            if path.ends_with("/rest/info") {
                return answer(INFO);
            }
            sleep(SECOND).await;
            if is_changed.load(Ordering::SeqCst) {
                failures.fetch_add(1, Ordering::SeqCst);
                return answer(WRONG);
            }
            answer(TOKEN)
        }
    });
    let layer = ArcgisAuthLayer::builder()
        .add_site(site().identity_fn(caller).credential(reader()))
        .token_client(client)
        .build()
        .unwrap();
    let service = layer.layer(Upstream::taking_any_token());
    let started = Instant::now();
    let answers = (0..31).map(|number| send(&service, get_as(format!("caller{number}"))));
    assert!(
        join_all(answers)
            .await
            .iter()
            .all(|answered| answered.is_clean())
    );
    // One alone, then thirty by threes.
    assert_eq!(started.elapsed().as_secs(), 11);

    is_changed.store(true, Ordering::SeqCst);
    let handle = layer.handle().sites().remove(0);
    let callers: Vec<_> = (0..31)
        .map(|number| Identity::from(format!("caller{number}")))
        .collect();
    let renewed = join_all(callers.iter().map(|caller| handle.renew_identity(caller))).await;
    let is_refused = |renewed: &Result<_, _>| matches!(renewed, Err(RenewError::Refused(_)));
    assert!(renewed.iter().all(is_refused));
    assert!(failures.load(Ordering::SeqCst) <= 3);
}

#[tokio::test(start_paused = true)]
async fn two_hundred_callers_of_a_server_that_says_nothing_of_itself_all_get_in() {
    let questions = Arc::new(AtomicUsize::new(0));
    let count = questions.clone();
    let client = client(move |path, form| {
        let count = count.clone();
        async move {
            sleep(SECOND / 5).await;
            if path.ends_with("info") {
                count.fetch_add(1, Ordering::SeqCst);
                return status(StatusCode::NOT_FOUND, "no such page");
            }
            if form.contains("username") {
                answer(TOKEN)
            } else {
                answer(WRONG)
            }
        }
    });
    let service = over(named_like_identities(site()), client);
    let answers = (0..200).map(|number| send(&service, get_as(format!("caller{number}"))));
    assert!(
        join_all(answers)
            .await
            .iter()
            .all(|answered| answered.is_clean())
    );
    assert_eq!(
        questions.load(Ordering::SeqCst),
        2,
        "`rest/info` and `sharing/rest/info`"
    );
}

#[tokio::test(start_paused = true)]
async fn one_lost_answer_delays_others_no_longer_than_it_takes_to_ask_again() {
    let questions = Arc::new(AtomicUsize::new(0));
    let count = questions.clone();
    let client = client(move |path, _| {
        let count = count.clone();
        async move {
            if !path.ends_with("/rest/info") {
                return answer(TOKEN);
            }
            if count.fetch_add(1, Ordering::SeqCst) == 0 {
                std::future::pending::<()>().await;
            }
            sleep(2 * SECOND).await;
            answer(INFO)
        }
    });
    let service = over(named_like_identities(site()), client);
    // A new caller every half second: one always waits.
    let answers = (0..200).map(|number| {
        let service = service.clone();
        async move {
            sleep(SECOND / 2 * number).await;
            send(&service, get_as(format!("caller{number}"))).await
        }
    });
    let answers = join_all(answers).await;
    let first_clean = answers
        .iter()
        .position(|answered| answered.is_clean())
        .unwrap();
    assert!(first_clean <= 40, "within 20 seconds: {first_clean}");
    assert!(
        answers[first_clean..]
            .iter()
            .all(|answered| answered.is_clean())
    );
    assert_eq!(questions.load(Ordering::SeqCst), 2);
}

#[tokio::test(start_paused = true)]
async fn a_token_service_that_moved_is_found_again() {
    let is_moved = Arc::new(AtomicBool::new(false));
    let moved = is_moved.clone();
    let client = client(move |path, _| {
        let is_moved = moved.load(Ordering::SeqCst);
        async move {
            if path.ends_with("/rest/info") && is_moved {
                return answer(INFO.replace("/tokens/", "/new/tokens/"));
            }
            if path.ends_with("/rest/info") {
                return answer(INFO);
            }
            match (is_moved, path.contains("/new/")) {
                (true, true) => answer(TOKEN.replace("abcdef", "new")),
                (true, false) => answer(WRONG),
                (false, _) => answer(TOKEN),
            }
        }
    });
    let moved = is_moved.clone();
    let server = Upstream::new(move |request| match token_of(request).as_deref() {
        None => answer(REQUIRED),
        Some("abcdef") if moved.load(Ordering::SeqCst) => answer(INVALID),
        Some(_) => answer(CLEAN),
    });
    for credential in [
        site().credential(reader()),
        site().credential_fn(|_| async { Ok(reader()) }),
    ] {
        is_moved.store(false, Ordering::SeqCst);
        let layer = ArcgisAuthLayer::builder()
            .add_site(credential)
            .token_client(client.clone());
        let service = layer.build().unwrap().layer(server.clone());
        assert!(send(&service, get(ROADS)).await.is_clean());
        is_moved.store(true, Ordering::SeqCst);
        assert!(!send(&service, get(ROADS)).await.is_clean());
        advance(15 * 60 * SECOND).await;
        assert!(send(&service, get(ROADS)).await.is_clean());
    }
}

#[tokio::test(start_paused = true)]
async fn signing_out_after_a_fault_ends_the_login_at_the_portal_too() {
    let (is_down, logins) = (
        Arc::new(AtomicBool::new(false)),
        Arc::new(AtomicUsize::new(0)),
    );
    let shared = (is_down.clone(), logins.clone());
    let client = client(move |path, form| {
        let (is_down, logins) = shared.clone();
        async move {
            if path.ends_with("/rest/info") {
                return answer(
                    r#"{"currentVersion":11,"owningSystemUrl":"http://gis.test/portal"}"#,
                );
            }
            if form.contains("serverUrl") && is_down.load(Ordering::SeqCst) {
                return status(StatusCode::SERVICE_UNAVAILABLE, "down");
            }
            if !form.contains("serverUrl") {
                logins.fetch_add(1, Ordering::SeqCst);
            }
            answer(TOKEN)
        }
    });
    let layer = ArcgisAuthLayer::builder()
        .add_site(site().credential(reader()))
        .token_client(client)
        .build()
        .unwrap();
    let handle = layer.handle().sites().remove(0);
    handle.renew().await.unwrap();
    is_down.store(true, Ordering::SeqCst);
    assert!(handle.renew().await.is_err());
    handle.sign_out().await.unwrap();
    is_down.store(false, Ordering::SeqCst);
    handle.renew().await.unwrap();
    assert_eq!(logins.load(Ordering::SeqCst), 2);
}

#[tokio::test(start_paused = true)]
async fn the_last_caller_of_a_portals_login_ends_it_and_no_other() {
    let logins = Arc::new(AtomicUsize::new(0));
    let count = logins.clone();
    let client = client(move |path, form| {
        let count = count.clone();
        async move {
            if path.ends_with("/rest/info") {
                return answer(
                    r#"{"currentVersion":11,"owningSystemUrl":"http://gis.test/portal"}"#,
                );
            }
            sleep(SECOND).await;
            if !form.contains("serverUrl") {
                count.fetch_add(1, Ordering::SeqCst);
            }
            answer(TOKEN)
        }
    });
    let layer = ArcgisAuthLayer::builder()
        .add_site(site().identity_fn(caller).credential(reader()))
        .token_client(client);
    let handle = layer.build().unwrap().handle().sites().remove(0);
    let (alice, bob) = (Identity::from("alice"), Identity::from("bob"));

    // Alice signs out while both wait for the portal.
    let signing_out = async {
        sleep(SECOND / 2).await;
        handle.sign_out_identity(&alice).await.unwrap();
    };
    let (for_alice, for_bob, ()) = tokio::join!(
        handle.renew_identity(&alice),
        handle.renew_identity(&bob),
        signing_out
    );
    assert!(matches!(for_alice, Err(RenewError::SignedOut)));
    for_bob.unwrap();
    handle.renew_identity(&alice).await.unwrap();
    handle.sign_out_identity(&alice).await.unwrap();
    handle.renew_identity(&bob).await.unwrap();
    assert_eq!(logins.load(Ordering::SeqCst), 1);

    handle.sign_out_identity(&bob).await.unwrap();
    handle.renew_identity(&bob).await.unwrap();
    assert_eq!(logins.load(Ordering::SeqCst), 2);
}

#[tokio::test(start_paused = true)]
async fn a_portals_fault_that_is_repeated_is_no_login_of_its_servers() {
    let passwords = Arc::new(AtomicUsize::new(0));
    let count = passwords.clone();
    let client = client(move |_, form| {
        let count = count.clone();
        async move {
            if form.contains("username=") && count.fetch_add(1, Ordering::SeqCst) == 0 {
                std::future::pending::<()>().await;
            }
            answer(TOKEN)
        }
    });
    let site = site()
        .credential(reader())
        .portal("http://portal.test/portal");
    let layer = ArcgisAuthLayer::builder()
        .add_site(site)
        .token_client(client);
    let handle = layer.build().unwrap().handle().sites().remove(0);
    for _ in 0..4 {
        assert!(handle.renew().await.is_err());
    }
    assert_eq!(passwords.load(Ordering::SeqCst), 1);
    sleep(60 * SECOND).await;
    handle.renew().await.unwrap();
}

/// A site's callers whose one password is in `file`, at a token service that takes a second to say yes to `right`, and
/// counts to whom it says no.
fn callers_with_password_in(file: &Mounted, wrong: &Arc<AtomicUsize>) -> ArcgisAuth<Upstream> {
    let count = wrong.clone();
    let client = client(move |_, form| {
        let count = count.clone();
        async move {
            sleep(SECOND).await;
            if form.contains("password=right&") {
                return answer(TOKEN);
            }
            count.fetch_add(1, Ordering::SeqCst);
            answer(WRONG)
        }
    });
    let credential = Credential::user("reader", file.secret());
    let site = site().token_url(format!("{ROOT}/tokens/generateToken"));
    over(site.identity_fn(caller).credential(credential), client)
}

/// So many callers come at once, and half a second later the password is another.
async fn crowd(service: &ArcgisAuth<Upstream>, callers: usize, file: &Mounted, password: &str) {
    let answers = (0..callers).map(|number| send(service, get_as(format!("crowd{number}"))));
    let changes = async {
        sleep(SECOND / 2).await;
        file.hold(password);
    };
    tokio::join!(join_all(answers), changes);
}

#[tokio::test(start_paused = true)]
async fn a_password_that_changes_while_callers_wait_their_turn_fails_three_times_at_most() {
    let file = Mounted::holding("changes", "right");
    let wrong = Arc::new(AtomicUsize::new(0));
    let service = callers_with_password_in(&file, &wrong);
    crowd(&service, 10, &file, "wrong").await;
    for number in 0..10 {
        send(&service, get_as(format!("later{number}"))).await;
    }
    let failures = wrong.load(Ordering::SeqCst);
    assert!((1..=3).contains(&failures), "{failures}");
}

#[tokio::test(start_paused = true)]
async fn what_is_refused_is_the_password_that_went_out() {
    let file = Mounted::holding("went-out", "right");
    let wrong = Arc::new(AtomicUsize::new(0));
    let service = callers_with_password_in(&file, &wrong);
    crowd(&service, 3, &file, "wrong").await;
    assert_eq!(wrong.load(Ordering::SeqCst), 1);
    file.hold("right");
    assert!(send(&service, get_as("later".to_owned())).await.is_clean());
}

#[tokio::test(start_paused = true)]
async fn a_late_yes_does_not_outweigh_a_newer_no() {
    let (seen, wrong) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let counts = (seen.clone(), wrong.clone());
    let client = client(move |_, _| {
        let (seen, wrong) = counts.clone();
        async move {
            match seen.fetch_add(1, Ordering::SeqCst) {
                0 => answer(TOKEN),
                // Looked at before the password was changed at the server, and slow to say so.
                1 => {
                    sleep(3 * SECOND).await;
                    answer(TOKEN)
                }
                _ => {
                    wrong.fetch_add(1, Ordering::SeqCst);
                    answer(WRONG)
                }
            }
        }
    });
    let site = site().token_url(format!("{ROOT}/tokens/generateToken"));
    let service = over(site.identity_fn(caller).credential(reader()), client);
    assert!(send(&service, get_as("first".to_owned())).await.is_clean());
    for crowd in 0..3 {
        let answers = (0..4).map(|number| send(&service, get_as(format!("{crowd}-{number}"))));
        join_all(answers).await;
    }
    let failures = wrong.load(Ordering::SeqCst);
    assert!((1..=3).contains(&failures), "{failures}");
}

/// A first login during which the password becomes a wrong one, which is refused. It takes a while to find out what the
/// server is.
async fn refused_after_a_change(file: &Mounted) -> ArcgisAuth<Upstream> {
    let client = client(|path, form| async move {
        if path.ends_with("rest/info") {
            sleep(5 * SECOND).await;
            return answer(INFO);
        }
        answer(if form.contains("password=right&") {
            TOKEN
        } else {
            WRONG
        })
    });
    let credential = Credential::user("reader", file.secret());
    let service = over(site().credential(credential), client);
    let changes = async {
        sleep(SECOND).await;
        file.hold("wrong");
    };
    let (answered, ()) = tokio::join!(send(&service, get(ROADS)), changes);
    assert!(!answered.is_clean());
    sleep(5 * SECOND).await;
    service
}

#[tokio::test(start_paused = true)]
async fn a_good_password_that_comes_back_is_not_held_off() {
    let file = Mounted::holding("comes-back", "right");
    let service = refused_after_a_change(&file).await;
    file.hold("right");
    assert!(send(&service, get(ROADS)).await.is_clean());
}

#[tokio::test(start_paused = true)]
async fn a_password_that_came_late_and_was_wrong_does_not_hold_off_the_next() {
    let file = Mounted::holding("comes-late", "");
    let service = refused_after_a_change(&file).await;
    file.hold("right");
    assert!(send(&service, get(ROADS)).await.is_clean());
}

#[tokio::test(start_paused = true)]
async fn identities_that_wait_too_long_for_their_turn_have_made_no_login() {
    let passwords = Arc::new(AtomicUsize::new(0));
    let count = passwords.clone();
    let client = client(move |_, _| {
        count.fetch_add(1, Ordering::SeqCst);
        async {
            sleep(3 * SECOND).await;
            answer(TOKEN)
        }
    });
    let site = site().token_url(format!("{ROOT}/tokens/generateToken"));
    let service = over(site.identity_fn(caller).credential(reader()), client);
    let crowd = || async {
        let answers = (0..40).map(|number| send(&service, get_as(format!("caller{number}"))));
        let answered = join_all(answers).await;
        answered
            .iter()
            .filter(|answered| answered.is_clean())
            .count()
    };
    let clean = crowd().await;
    assert!((10..40).contains(&clean), "{clean}");
    sleep(2 * SECOND).await;
    assert_eq!(crowd().await, 40);
    assert_eq!(passwords.load(Ordering::SeqCst), 40);
}
