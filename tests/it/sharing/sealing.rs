//! What a record shows, and what is made of one that was changed.

use tower_arcgis_auth::Credential;

use super::{Fleet, KEY, NAME, OTHER_KEY, PASSWORD, ask};

#[tokio::test(start_paused = true)]
async fn records_and_names_show_neither_token_nor_user_nor_password() {
    let fleet = Fleet::new();
    assert!(ask(&fleet.replica()).await.is_clean());
    ask(&fleet.replica_with(PASSWORD, OTHER_KEY)).await;
    let records = fleet.cache.records();
    assert!(records.len() >= 2);
    for (name, bytes) in records {
        assert!(name.len() == 64 && name.bytes().all(|digit| digit.is_ascii_hexdigit()));
        let text = format!("{name} {}", String::from_utf8_lossy(&bytes));
        for secret in [NAME, "ada", "hunter2", "secret-", "gis.test", "token"] {
            assert!(!text.contains(secret), "{secret} in {text}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_record_that_was_tampered_with_is_as_good_as_none() {
    let fleet = Fleet::new();
    assert!(ask(&fleet.replica()).await.is_clean());
    fleet.cache.change(|_, record| {
        let mut bytes = record.to_vec();
        *bytes.last_mut().unwrap() ^= 1;
        Some(bytes.into())
    });
    assert!(ask(&fleet.replica()).await.is_clean());
    assert_eq!(fleet.attempts(), 2);
    assert!(ask(&fleet.replica()).await.is_clean());
    assert_eq!(fleet.attempts(), 2, "what cannot be read is written over");
}

#[tokio::test(start_paused = true)]
async fn a_record_moved_to_another_account_is_as_good_as_none() {
    let fleet = Fleet::new();
    let grace = || {
        let site = fleet.shared(fleet.site(PASSWORD));
        fleet.over(site.credential(Credential::user("grace", PASSWORD)))
    };
    assert!(ask(&fleet.replica()).await.is_clean());
    let adas: Vec<_> = fleet.cache.records();
    assert!(ask(&grace()).await.is_clean());
    let (_, adas) = &adas[0];
    fleet.cache.change(|_, _| Some(adas.clone()));
    assert!(ask(&grace()).await.is_clean());
    assert_eq!(fleet.attempts(), 3);
}

#[tokio::test(start_paused = true)]
async fn keys_change_without_another_login() {
    let fleet = Fleet::new();
    assert!(ask(&fleet.replica()).await.is_clean());
    let both = format!("{OTHER_KEY}\n{KEY}");
    let changed = fleet.replica_with(PASSWORD, &both);
    assert!(ask(&changed).await.is_clean());
    assert_eq!(fleet.attempts(), 1);
    // The token dies, also under the old key's name.
    fleet.service.revoke_all();
    assert!(ask(&changed).await.is_clean());
    assert_eq!(fleet.attempts(), 2);
    assert!(
        ask(&fleet.replica_with(PASSWORD, OTHER_KEY))
            .await
            .is_clean()
    );
    assert_eq!(fleet.attempts(), 2);
    let with_the_old_key = fleet.replica();
    assert!(ask(&with_the_old_key).await.is_clean());
    let sent = with_the_old_key.get_ref().tokens();
    assert!(!sent.contains(&Some("secret-1".to_owned())), "{sent:?}");
}

#[tokio::test(start_paused = true)]
async fn a_refusal_under_an_older_key_counts() {
    let fleet = Fleet::new();
    ask(&fleet.replica_with("wrong", KEY)).await;
    ask(&fleet.replica_with("wrong", &format!("{OTHER_KEY},{KEY}"))).await;
    assert_eq!(fleet.attempts(), 1);
}
