//! Proxies that share one login through a real `redis-server`: `cargo test --test sharing -- --ignored`.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "test code outside of test functions"
)]

mod support;

use std::{
    env,
    net::TcpListener,
    process::{Child, Command, Stdio},
    time::Duration,
};

use arcgis_stand_in::{PASSWORD, StandIn, USERNAME};
use support::{PARCELS, Proxy};
use tokio::{net::TcpStream, time::timeout};

/// Killed when dropped.
struct Redis(Child);

impl Drop for Redis {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A Redis that keeps nothing on disk, and its URL.
async fn redis() -> (Redis, String) {
    let port = {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.local_addr().unwrap().port()
    };
    let program = env::var("REDIS_SERVER").unwrap_or_else(|_| "redis-server".to_owned());
    let child = Command::new(program)
        .args(["--bind", "127.0.0.1", "--save", "", "--port"])
        .arg(port.to_string())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let redis = Redis(child);
    let listens = async {
        while TcpStream::connect(("127.0.0.1", port)).await.is_err() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(Duration::from_secs(60), listens).await.unwrap();
    (redis, format!("redis://127.0.0.1:{port}"))
}

#[tokio::test]
#[ignore = "wants redis-server"]
async fn three_proxies_with_one_redis_log_in_once() {
    let arcgis = StandIn::start().await.unwrap();
    let (_redis, url) = redis().await;
    let variables = [
        ("ARCGIS_USERNAME", USERNAME),
        ("ARCGIS_PASSWORD", PASSWORD),
        ("ARCGIS_REDIS_URL", &url),
        (
            "ARCGIS_CACHE_KEY",
            "8f0b6d1c53a24e7f9b1d0a6c4e8f2b7d5c9a3e1f6b8d0c2a4e6f8b1d3c5a7e90",
        ),
    ];
    let root = arcgis.root();
    let mut proxies = Vec::new();
    for _ in 0..3 {
        proxies.push(Proxy::start(&["--upstream", &root], &variables).await);
    }
    // A machine too busy to let Redis answer in time costs a login more, and not for long.
    for _ in 0..20 {
        let before = arcgis.counters().logins;
        let (one, two, three) = tokio::join!(
            proxies[0].get(PARCELS),
            proxies[1].get(PARCELS),
            proxies[2].get(PARCELS)
        );
        for answer in [one, two, three] {
            assert!(answer.is_the_service());
        }
        if arcgis.counters().logins == before + 1 {
            return;
        }
        arcgis.revoke_all_tokens();
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    panic!("they never share a login");
}
