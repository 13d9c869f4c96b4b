//! Passwords that change: a refusal is of the password that was sent.

use arcgis_stand_in::{StandIn, USERNAME};
use futures_util::future::join_all;
use tokio::time::{advance, sleep};
use tower::Layer;
use tower_arcgis_auth::{
    ArcgisAuth, ArcgisAuthLayer, Credential, RenewError, Site, StaticToken, TokenSource,
};

use crate::support::{
    INFO, INVALID, Mounted, REQUIRED, ROADS, ROOT, Reply, SECOND, TokenService, Upstream, answer,
    assert_login_refused, client, get, get_as, identity_in_header, named_site, send, token_of,
};

#[tokio::test(start_paused = true)]
async fn a_mounted_secret_that_changes_is_tried_though_a_refusal_is_remembered() {
    let service = TokenService::new().knows("right");
    let file = Mounted::holding("wrong\n");
    let site = named_site().credential(Credential::user("reader", file.secret()));
    let client = client(site, &service);
    for _ in 0..10 {
        let got = send(&client, get(ROADS)).await;
        assert_login_refused(got.outcome.skip_reason());
        advance(10 * SECOND).await;
    }
    assert_eq!(service.attempts(), 1);

    file.hold("right\n");
    advance(2 * SECOND).await;
    assert!(send(&client, get(ROADS)).await.is_clean());
    assert_eq!(service.attempts(), 2);
}

#[tokio::test]
async fn a_secret_that_is_missing_for_a_moment_has_not_changed() {
    let server = StandIn::start().await.unwrap();
    let file = Mounted::holding("wrong");
    let mut builder = ArcgisAuthLayer::builder();
    for number in 0..6 {
        let site = Site::new(format!("{}{number}", server.root()))
            .token_url(server.url("tokens/generateToken"))
            .credential(Credential::user(USERNAME, file.secret()));
        builder = builder.add_site(site);
    }
    let sites = builder.build().unwrap().handle().sites();
    assert!(sites[0].renew().await.is_err());
    for site in &sites[1..] {
        file.remove();
        assert!(site.renew().await.is_err());
        file.hold("wrong");
        let renewed = site.renew().await;
        assert!(matches!(renewed, Err(RenewError::Refused(_))));
    }
    assert_eq!(server.login_failures(USERNAME), 1);
}

#[tokio::test(start_paused = true)]
async fn a_boxed_source_is_the_source_in_its_box() {
    let boxed: [fn(TokenService) -> Site; 3] = [
        |source| Site::new(ROOT).token_source(source.boxed()),
        |source| Site::new(ROOT).token_source(Box::new(source)),
        |source| Site::new(ROOT).token_source(Box::new(source).boxed().clone()),
    ];
    for site in boxed {
        let source = TokenService::new().answering(Reply::Refused);
        source.set_secret("wrong");
        let layer = ArcgisAuthLayer::try_new(site(source.clone())).unwrap();
        let client = layer.layer(Upstream::secured_by(&source));
        let got = send(&client, get(ROADS)).await;
        assert_login_refused(got.outcome.skip_reason());
        // The credential is compared through the box, ...
        source.set_secret("right");
        source.always(None);
        advance(2 * SECOND).await;
        assert!(send(&client, get(ROADS)).await.is_clean());
        // ... and a sign-out goes through it.
        layer.handle().sign_out().await.unwrap();
        assert_eq!(source.sign_outs(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_source_that_cannot_always_tell_its_credential_has_not_changed_it() {
    let next = TokenService::new().answering(Reply::Refused);
    let source = StaticToken::new("revoked").or_else(next.clone());
    let layer = ArcgisAuthLayer::try_new(Site::new(ROOT).token_source(source)).unwrap();
    let client = layer.layer(Upstream::new(|request| {
        answer(match token_of(request) {
            Some(_) => INVALID,
            None => REQUIRED,
        })
    }));
    for turn in 0..10 {
        next.set_secret((turn % 2 != 0).then_some("one"));
        send(&client, get(ROADS)).await;
        advance(2 * SECOND).await;
    }
    assert_eq!(next.attempts(), 1);

    next.set_secret("another");
    send(&client, get(ROADS)).await;
    assert_eq!(next.attempts(), 2, "a change is still one");
}

/// Identities whose one password is in `file`, at a token service that takes a second to say whether it is `right`.
fn with_password_in(file: &Mounted) -> (TokenService, ArcgisAuth<Upstream>) {
    let service = TokenService::new().takes(SECOND).knows("right");
    let site = named_site()
        .identity_fn(identity_in_header)
        .credential(Credential::user("reader", file.secret()));
    let client = client(site, &service);
    (service, client)
}

fn wrong_passwords(service: &TokenService) -> usize {
    let mut asked = service.asked_for_tokens();
    asked.retain(|asked| asked.field("password").as_deref() != Some("right"));
    asked.len()
}

/// So many identities come at once, and half a second later the password is another.
async fn crowd(client: &ArcgisAuth<Upstream>, identities: usize, file: &Mounted, password: &str) {
    let answers = (0..identities).map(|number| send(client, get_as(format!("crowd{number}"))));
    let changes = async {
        sleep(SECOND / 2).await;
        file.hold(password);
    };
    tokio::join!(join_all(answers), changes);
}

#[tokio::test(start_paused = true)]
async fn a_password_that_changes_while_identities_wait_to_log_in_fails_three_times_at_most() {
    let file = Mounted::holding("right");
    let (service, client) = with_password_in(&file);
    crowd(&client, 10, &file, "wrong").await;
    for number in 0..10 {
        send(&client, get_as(format!("later{number}"))).await;
    }
    let failures = wrong_passwords(&service);
    assert!((1..=3).contains(&failures), "{failures}");
}

#[tokio::test(start_paused = true)]
async fn the_password_that_was_sent_is_the_one_that_is_refused() {
    let file = Mounted::holding("right");
    let (service, client) = with_password_in(&file);
    crowd(&client, 3, &file, "wrong").await;
    assert_eq!(wrong_passwords(&service), 1);
    file.hold("right");
    assert!(send(&client, get_as("later")).await.is_clean());
}

/// A first login during which the password becomes a wrong one, which is refused. It takes a while to find out what the
/// server is.
async fn refused_after_a_change(file: &Mounted) -> ArcgisAuth<Upstream> {
    let service = TokenService::new()
        .info_by(|_| Reply::says(INFO).after(5 * SECOND))
        .knows("right");
    let site = Site::new(ROOT)
        .allow_insecure_http()
        .credential(Credential::user("reader", file.secret()));
    let client = client(site, &service);
    let changes = async {
        sleep(SECOND).await;
        file.hold("wrong");
    };
    let (got, ()) = tokio::join!(send(&client, get(ROADS)), changes);
    assert!(!got.is_clean());
    sleep(5 * SECOND).await;
    client
}

#[tokio::test(start_paused = true)]
async fn a_good_password_that_comes_back_is_tried_at_once() {
    let file = Mounted::holding("right");
    let client = refused_after_a_change(&file).await;
    file.hold("right");
    assert!(send(&client, get(ROADS)).await.is_clean());
}

#[tokio::test(start_paused = true)]
async fn a_password_that_came_late_and_was_wrong_does_not_delay_the_next() {
    let file = Mounted::holding("");
    let client = refused_after_a_change(&file).await;
    file.hold("right");
    assert!(send(&client, get(ROADS)).await.is_clean());
}
