//! Processes that share a Redis log in once.

use std::path::PathBuf;

use arcgis_stand_in::{PASSWORD, StandIn};

use super::{
    replica::{Replica, ask_all, assert_all_clean, logins_for_all, replicas},
    server::{Redis, free_port},
    world,
};

#[tokio::test]
#[ignore = "wants redis-server"]
async fn ten_processes_log_in_once() {
    let (server, redis) = world().await;
    let mut ten = replicas(10, &server, &redis.url());
    assert_all_clean(&mut ten).await;
    println!("10 processes start: {} login", server.counters().logins);
    assert_eq!(server.counters().logins, 1);
    for round in 1..=3 {
        let logins = logins_for_all(&server, &mut ten).await;
        println!("all tokens die ({round}): {logins} login");
        assert_eq!(logins, 1);
    }
}

#[tokio::test]
#[ignore = "wants redis-server"]
async fn ten_processes_with_a_wrong_password_make_one_attempt() {
    let (server, redis) = world().await;
    let mut ten: Vec<_> = (0..10)
        .map(|_| Replica::start(&server, &redis.url(), "wrong"))
        .collect();
    for _ in 0..2 {
        for said in ask_all(&mut ten).await {
            assert!(said.contains("refused"), "{said}");
        }
    }
    println!(
        "10 processes with a wrong password: {} attempt",
        server.counters().login_attempts
    );
    assert_eq!(server.counters().login_attempts, 1);
    let mut right = Replica::start(&server, &redis.url(), PASSWORD);
    assert_eq!(right.ask().await, "clean");
    assert_eq!(server.counters().login_attempts, 2);
}

#[tokio::test]
#[ignore = "wants redis-server"]
async fn a_redis_behind_tls_and_a_password_is_shared_through() {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("redis-tls");
    std::fs::create_dir_all(&folder).unwrap();
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let (certificate, key) = (folder.join("certificate.pem"), folder.join("key.pem"));
    std::fs::write(&certificate, made.cert.pem()).unwrap();
    std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
    let (certificate, key) = (certificate.to_str().unwrap(), key.to_str().unwrap());
    let port = free_port();
    let tls_port = port.to_string();
    let server = StandIn::start().await.unwrap();
    let _redis = Redis::start(&[
        "--tls-port",
        &tls_port,
        "--tls-cert-file",
        certificate,
        "--tls-key-file",
        key,
        "--tls-auth-clients",
        "no",
        "--requirepass",
        "hunter2",
    ])
    .await;
    let trust = [("SSL_CERT_FILE", certificate)];
    let right = format!("rediss://:hunter2@localhost:{port}");
    let mut five: Vec<_> = (0..5)
        .map(|_| Replica::start_with(&server, &right, PASSWORD, &trust))
        .collect();
    assert_all_clean(&mut five).await;
    println!("5 processes over TLS: {} login", server.counters().logins);
    assert_eq!(server.counters().logins, 1);

    let wrong = format!("rediss://:hunter3@localhost:{port}");
    let mut locked_out = Replica::start_with(&server, &wrong, PASSWORD, &trust);
    assert_eq!(locked_out.ask().await, "clean");
    let mut mistrusting = Replica::start(&server, &right, PASSWORD);
    assert_eq!(mistrusting.ask().await, "clean");
    assert_eq!(server.counters().logins, 3, "each by itself");
}
