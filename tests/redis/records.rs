//! What is written in a Redis, and how.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU16, Ordering},
    },
    time::Duration,
};

use arcgis_stand_in::{PASSWORD, StandIn};
use tower_arcgis_auth::{RedisTokenCache, SealedRecord, SharedTokenCache};

use super::{PATIENCE, replica::Replica, server::Redis};

#[tokio::test]
#[ignore = "wants redis-server"]
async fn what_redis_holds_shows_neither_token_nor_user_nor_password_and_ends_by_itself() {
    let name = "ada.lovelace";
    let server = StandIn::builder()
        .user(name, PASSWORD)
        .start()
        .await
        .unwrap();
    let redis = Redis::start(&[]).await;
    let named = [("REPLICA_USERNAME", name)];
    let mut replica = Replica::start_with(&server, &redis.url(), PASSWORD, &named);
    assert_eq!(replica.ask().await, "clean");
    let mut connection = redis.connection();
    let keys: Vec<String> = redis::cmd("KEYS").arg("*").query(&mut connection).unwrap();
    assert!(!keys.is_empty());
    for key in &keys {
        let name = key
            .strip_prefix("arcgis-auth:{")
            .and_then(|key| key.strip_suffix('}'));
        assert_eq!(name.map(str::len), Some(64), "{key}");
    }
    let tokens: Vec<String> = server
        .received()
        .iter()
        .filter_map(|received| received.path_and_query.split_once("token="))
        .map(|(_, token)| token.split('&').next().unwrap().to_owned())
        .collect();
    assert!(!tokens.is_empty());
    for key in keys {
        let value: Vec<u8> = redis::cmd("GET").arg(&key).query(&mut connection).unwrap();
        let left: i64 = redis::cmd("PTTL").arg(&key).query(&mut connection).unwrap();
        assert!(left > 0, "{key} is kept for ever");
        let text = format!("{key} {}", String::from_utf8_lossy(&value));
        for secret in tokens.iter().map(String::as_str).chain([name, PASSWORD]) {
            assert!(!text.contains(secret), "{secret} in {text}");
        }
    }
}

#[tokio::test]
#[ignore = "wants redis-server"]
async fn a_record_is_swapped_only_for_what_was_expected_byte_for_byte() {
    let redis = Redis::start(&[]).await;
    let cache = || {
        RedisTokenCache::try_new(&redis.url())
            .unwrap()
            .time_limit(PATIENCE)
    };
    let (one, two) = (cache(), cache());
    let record = |bytes: &'static [u8]| Some(SealedRecord::new(bytes, Duration::from_secs(600)));
    let swap = async |cache: &RedisTokenCache, expected, new| {
        cache.compare_and_swap("name", expected, new).await.unwrap()
    };
    assert_eq!(one.get("name").await.unwrap(), None);
    // Nothing is there.
    assert!(!swap(&one, Some(b"else"), record(b"first")).await);
    assert!(!swap(&one, Some(b""), record(b"first")).await);
    assert!(!swap(&one, Some(b"else"), None).await);
    assert!(swap(&one, None, record(b"first\0\r\n\xff")).await);
    assert_eq!(
        two.get("name").await.unwrap().unwrap(),
        &b"first\0\r\n\xff"[..]
    );
    // Something is.
    assert!(!swap(&two, None, record(b"second")).await);
    assert!(!swap(&two, None, None).await);
    assert!(!swap(&two, Some(b"first"), record(b"second")).await);
    assert!(swap(&two, Some(b"first\0\r\n\xff"), record(b"second")).await);
    assert!(!swap(&one, Some(b"first\0\r\n\xff"), record(b"late")).await);
    assert_eq!(one.get("name").await.unwrap().unwrap(), "second");
    let mut connection = redis.connection();
    let left: u64 = redis::cmd("PTTL")
        .arg("arcgis-auth:{name}")
        .query(&mut connection)
        .unwrap();
    assert!((1..=600_000).contains(&left), "{left}");
    assert!(swap(&one, Some(b"second"), None).await);
    assert_eq!(two.get("name").await.unwrap(), None);
    // Of two at once, one is first.
    let (a, b) = tokio::join!(
        swap(&one, None, record(b"a")),
        swap(&two, None, record(b"b"))
    );
    assert!(a != b);
}

#[tokio::test]
#[ignore = "wants redis-server"]
async fn what_is_too_long_for_a_record_is_an_error() {
    let redis = Redis::start(&[]).await;
    let cache = RedisTokenCache::try_new(&redis.url()).unwrap();
    let cache = cache.time_limit(PATIENCE);
    let mut set = redis::cmd("SET");
    let _: () = set
        .arg("arcgis-auth:{name}")
        .arg(vec![b'x'; 1024 * 1024])
        .query(&mut redis.connection())
        .unwrap();
    let error = cache.get("name").await.unwrap_err().to_string();
    assert!(error.contains("too long"), "{error}");
}

/// A name that clients connect to; whose it is may change.
async fn name_of(at_first: u16) -> (u16, Arc<AtomicU16>) {
    let points_to = Arc::new(AtomicU16::new(at_first));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let target = Arc::clone(&points_to);
    tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            let target = target.load(Ordering::SeqCst);
            tokio::spawn(async move {
                let server = tokio::net::TcpStream::connect(("127.0.0.1", target)).await;
                let _ = tokio::io::copy_bidirectional(&mut client, &mut server.unwrap()).await;
            });
        }
    });
    (port, points_to)
}

#[tokio::test]
#[ignore = "wants redis-server"]
async fn a_failover_behind_one_name_is_followed() {
    let (old, new) = (Redis::start(&[]).await, Redis::start(&[]).await);
    let (port, points_to) = name_of(old.port).await;
    let cache = RedisTokenCache::try_new(&format!("redis://127.0.0.1:{port}")).unwrap();
    let cache = cache.time_limit(PATIENCE / 4);
    let write = |name: &'static str| {
        let record = SealedRecord::new(&b"sealed"[..], Duration::from_secs(60));
        cache.compare_and_swap(name, None, Some(record))
    };
    assert!(write("one").await.unwrap());
    // The old one goes on answering, as the new one's replica.
    points_to.store(new.port, Ordering::SeqCst);
    let _: () = redis::cmd("REPLICAOF")
        .arg("127.0.0.1")
        .arg(new.port)
        .query(&mut old.connection())
        .unwrap();
    let error = write("two").await.unwrap_err();
    println!("the one that is a replica now: {error}");
    assert!(write("two").await.unwrap());
}

#[tokio::test]
#[ignore = "wants redis-server"]
async fn the_rights_it_says_it_needs_are_enough_and_a_wrong_password_is_told() {
    let redis = Redis::start(&[]).await;
    let rights = "maps on >secret ~arcgis-auth:* +get +set +del +eval";
    let set_user = |more: &str| {
        let mut command = redis::cmd("ACL");
        command.arg("SETUSER");
        for right in rights.split(' ').chain(more.split_whitespace()) {
            command.arg(right);
        }
        let _: () = command.query(&mut redis.connection()).unwrap();
    };
    let write = async |password: &str, database: u8| {
        let at = format!("127.0.0.1:{}/{database}", redis.port);
        let cache = RedisTokenCache::try_new(&format!("redis://maps:{password}@{at}")).unwrap();
        let cache = cache.time_limit(PATIENCE / 4);
        let swap = async |expected, new| {
            let swapped = cache.compare_and_swap("one", expected, new).await;
            swapped.map_err(|error| error.to_string())
        };
        let record = SealedRecord::new(&b"sealed"[..], Duration::from_secs(10));
        let is_written = swap(None, Some(record)).await?;
        assert!(cache.get("one").await.unwrap().is_some());
        Ok::<_, String>(is_written && swap(Some(b"sealed"), None).await?)
    };
    set_user("");
    assert!(write("secret", 0).await.unwrap());
    assert!(write("secret", 1).await.is_err());
    set_user("+select");
    assert!(write("secret", 1).await.unwrap());
    let error = write("wrong", 0).await.unwrap_err();
    assert!(error.contains("check user"), "{error}");
}
