//! A Redis that is restarted, held up, killed and full, and what is none.

use arcgis_stand_in::{PASSWORD, StandIn};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    time::{Instant, timeout},
};

use super::{
    PATIENCE,
    replica::{
        Replica, assert_all_clean, assert_they_share_again, logins_for_all, replicas,
        replicas_in_earnest,
    },
    server::Redis,
    world,
};

#[tokio::test]
#[ignore = "wants redis-server"]
async fn a_process_killed_as_it_logs_in_is_followed_by_another() {
    let (server, redis) = world().await;
    let gate = server.hold_logins();
    let mut killed = Replica::start(&server, &redis.url(), PASSWORD);
    killed.tell().await;
    timeout(PATIENCE, server.wait_for_logins(1)).await.unwrap();
    let mut three = replicas(3, &server, &redis.url());
    for replica in &mut three {
        replica.tell().await;
    }
    killed.kill().await;
    gate.release();
    for replica in &mut three {
        assert_eq!(replica.hear().await, "clean");
    }
    println!(
        "1 of 4 killed while it logs in: {} attempts",
        server.counters().login_attempts
    );
    assert_eq!(server.counters().login_attempts, 2);
}

#[tokio::test]
#[ignore = "wants redis-server"]
async fn a_redis_that_restarts_empty_costs_one_login() {
    let (server, mut redis) = world().await;
    let mut three = replicas(3, &server, &redis.url());
    assert_all_clean(&mut three).await;
    redis.kill();
    redis.start_again().await;
    assert_all_clean(&mut three).await;
    assert_eq!(server.counters().logins, 1, "who has a token needs none");
    let mut late = replicas(3, &server, &redis.url());
    assert_all_clean(&mut late).await;
    println!(
        "Redis restarts empty, 3 new processes: {} more login",
        server.counters().logins - 1
    );
    assert_eq!(server.counters().logins, 2);
    three.append(&mut late);
    assert_they_share_again(&server, &mut three).await;
}

#[tokio::test]
#[ignore = "wants redis-server"]
async fn a_redis_that_is_held_up_leaves_each_to_itself_until_it_goes_on() {
    let (server, redis) = world().await;
    let mut three = replicas_in_earnest(3, &server, &redis.url());
    assert_all_clean(&mut three).await;
    redis.signal("-STOP");
    let started = Instant::now();
    let logins = logins_for_all(&server, &mut three).await;
    println!(
        "Redis held up, 3 processes: {logins} logins, {} ms",
        started.elapsed().as_millis()
    );
    assert_eq!(logins, 3);
    redis.signal("-CONT");
    assert_they_share_again(&server, &mut three).await;
}

#[tokio::test]
#[ignore = "wants redis-server"]
async fn a_redis_that_is_gone_leaves_each_to_itself_until_it_is_back() {
    let (server, mut redis) = world().await;
    let mut three = replicas(3, &server, &redis.url());
    assert_all_clean(&mut three).await;
    redis.kill();
    let started = Instant::now();
    let logins = logins_for_all(&server, &mut three).await;
    println!(
        "Redis gone, 3 processes: {logins} logins, {} ms",
        started.elapsed().as_millis()
    );
    assert_eq!(logins, 3);
    redis.start_again().await;
    assert_they_share_again(&server, &mut three).await;
}

#[tokio::test]
#[ignore = "wants redis-server"]
async fn a_full_redis_leaves_each_to_itself_until_there_is_room() {
    let server = StandIn::start().await.unwrap();
    let redis = Redis::start(&["--maxmemory-policy", "noeviction"]).await;
    let mut three = replicas(3, &server, &redis.url());
    assert_all_clean(&mut three).await;
    let mut connection = redis.connection();
    let mut set_memory = |most: &str| {
        let mut set = redis::cmd("CONFIG");
        let _: () = set
            .arg(&["SET", "maxmemory", most])
            .query(&mut connection)
            .unwrap();
    };
    // Less than an empty one takes.
    set_memory("1kb");
    let logins = logins_for_all(&server, &mut three).await;
    println!("Redis full, 3 processes: {logins} logins");
    assert_eq!(logins, 3);
    set_memory("0");
    assert_they_share_again(&server, &mut three).await;
}

#[tokio::test]
#[ignore = "wants redis-server"]
async fn what_answers_nonsense_leaves_each_to_itself() {
    let server = StandIn::start().await.unwrap();
    for nonsense in [
        &b"HTTP/1.1 400 Bad Request\r\n\r\n"[..],
        b"$9999999999\r\n",
        b"*3\r\n:1\r\n",
        b":12345\r\n:12345\r\n:12345\r\n:12345\r\n",
        b"+OK\r\n+OK\r\n+OK\r\n+OK\r\n",
        b"\x16\x03\x01\x00\xff\xfe",
    ] {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("redis://{}", listener.local_addr().unwrap());
        let talker = tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                tokio::spawn(async move {
                    let mut heard = [0; 4096];
                    while matches!(stream.read(&mut heard).await, Ok(1..)) {
                        if stream.write_all(nonsense).await.is_err() {
                            return;
                        }
                    }
                });
            }
        });
        let mut two = replicas_in_earnest(2, &server, &url);
        let logins = logins_for_all(&server, &mut two).await;
        println!(
            "{:?} for Redis, 2 processes: {logins} logins",
            String::from_utf8_lossy(nonsense)
        );
        assert_eq!(logins, 2);
        talker.abort();
    }
}
