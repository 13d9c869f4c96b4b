//! Lifetimes: never longer than the server says, and left out where one is refused.

use super::{
    FEDERATED_INFO, PORTAL_INFO, ROADS, ROOT, TOKEN, answering_by, ask, handle, server, site,
};
use crate::support::{
    Reply, TokenService, answer, client, get_as, identity_in_header, info_naming, send,
};

#[tokio::test]
async fn no_lifetime_above_the_servers_own_is_asked_for() {
    let validity = |minutes: &str| {
        format!(
            r#"{{"authInfo":{{"tokenServicesUrl":"{ROOT}/tokens","shortLivedTokenValidity":{minutes}}}}}"#
        )
    };
    for (info, lifetimes) in [
        (validity("3"), &["3"][..]),
        (validity("\"3\""), &["3"]),
        (validity("120"), &["60"]),
        (validity("\"120\""), &["60"]),
        (info_naming(&format!("{ROOT}/tokens")), &["60"]),
        (validity("0"), &["60"]),
        (validity("-1"), &["60"]),
        (validity("9223372036854775807"), &["60"]),
        (PORTAL_INFO.to_owned(), &["3"]),
        // The portal's own, and the server's token in exchange.
        (FEDERATED_INFO.to_owned(), &["60", "3"]),
    ] {
        let service = server(info.clone(), |_| answer(TOKEN));
        assert!(ask(site(), &service).await.is_clean(), "{info}");
        let logins = service.asked_for_tokens();
        let asked: Vec<_> = logins
            .iter()
            .filter_map(|asked| asked.field("expiration"))
            .collect();
        assert_eq!(asked, lifetimes, "{info}");
    }
}

/// Refusals of a lifetime, as the newer methods and the legacy one may word them.
const LIFETIME_REFUSED: [&str; 6] = [
    r#"{"error":{"code":400,"message":"Unable to generate token.","details":["Invalid expiration"]}}"#,
    r#"{"error":{"code":400,"message":"Unable to generate token.","details":["The value of the 'expiration' parameter exceeds the maximum."]}}"#,
    r#"{"error":{"code":400,"message":"'expiration' must not be greater than 3.","details":[]}}"#,
    r#"{"error":{"code":401,"message":"The requested lifetime exceeds the maximum","details":"3 minutes"}}"#,
    r#"{"error":{"code":201,"message":"Exception in generating token","details":["Token validity is too long"]}}"#,
    r#"{"status":"error","messages":["Expiration time is above the maximum."],"code":400}"#,
];

#[tokio::test]
async fn a_lifetime_that_is_refused_is_asked_again_without_one_and_counts_for_nothing() {
    for refused in LIFETIME_REFUSED {
        let service = answering_by(move |asked| {
            answer(match asked.field("expiration") {
                Some(_) => refused,
                None => TOKEN,
            })
        });
        let handle = handle(site().token_url(format!("{ROOT}/tokens")), &service);
        for logins in 1..=6 {
            handle.renew().await.unwrap();
            assert_eq!(service.asked_for_tokens().len(), 2 * logins, "{refused}");
        }
    }
}

#[tokio::test]
async fn an_exchange_whose_lifetime_is_refused_is_asked_again_without_one() {
    for refused in LIFETIME_REFUSED {
        let service = server(FEDERATED_INFO.to_owned(), move |asked| {
            let is_refused =
                asked.field("serverUrl").is_some() && asked.field("expiration").is_some();
            answer(if is_refused { refused } else { TOKEN })
        });
        let got = ask(site(), &service).await;
        assert!(got.is_clean(), "{}", got.outcome);
        assert_eq!(
            service.asked_for_tokens().len(),
            3,
            "a login, and an exchange twice"
        );
    }
}

#[tokio::test]
async fn a_refusal_in_the_words_of_a_lifetime_counts_where_none_was_asked_for() {
    for refused in LIFETIME_REFUSED {
        let service = TokenService::new().answering(Reply::says(refused));
        let site = site()
            .token_url(format!("{ROOT}/tokens"))
            .identity_fn(identity_in_header);
        let client = client(site, &service);
        for number in 0..10 {
            let mut request = get_as(format!("identity{number}"));
            *request.uri_mut() = ROADS.parse().unwrap();
            assert!(!send(&client, request).await.is_clean());
        }
        assert_eq!(
            service.asked_for_tokens().len(),
            2,
            "with a lifetime and without: {refused}"
        );
    }
}
