//! A replica: a process that asks for a service whenever it is told to.

use std::{env, process::Stdio, time::Duration};

use arcgis_stand_in::{PASSWORD, StandIn, USERNAME};
use bytes::Bytes;
use futures_util::future::join_all;
use http::Request;
use http_body_util::{BodyExt, Full};
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines},
    process,
    time::{Instant, sleep, timeout},
};
use tower::{Layer, ServiceExt};
use tower_arcgis_auth::{
    ArcgisAuthLayer, Credential, RedisTokenCache, SealedTokenCache, Site, TokenCacheKeys,
};

use super::PATIENCE;

const KEY: &str = "8f0b6d1c53a24e7f9b1d0a6c4e8f2b7d5c9a3e1f6b8d0c2a4e6f8b1d3c5a7e90";
const PARCELS: &str = "rest/services/Parcels/MapServer?f=json";

/// Runs in a process of its own: asks for a service whenever it is told to, and says how that went.
#[tokio::test]
#[ignore = "not a test: what the tests start as replicas"]
async fn replica() {
    let Ok(root) = env::var("REPLICA_ROOT") else {
        return;
    };
    let setting = |name: &str| env::var(name).unwrap();
    let mut redis = RedisTokenCache::try_new(&setting("REPLICA_REDIS")).unwrap();
    let mut limit = Duration::from_secs(1);
    if env::var("REPLICA_IN_EARNEST").is_err() {
        // A machine too busy to answer in time is not what most tests are about.
        limit = PATIENCE / 4;
        redis = redis.time_limit(limit);
    }
    let cache =
        SealedTokenCache::new(redis, TokenCacheKeys::try_new(KEY).unwrap()).time_limit(limit);
    let name = env::var("REPLICA_USERNAME").unwrap_or_else(|_| USERNAME.to_owned());
    let credential = Credential::user(name, setting("REPLICA_PASSWORD"));
    let site = Site::new(&root)
        .credential(credential)
        .shared_token_cache(&cache);
    let client = ArcgisAuthLayer::try_new(site)
        .unwrap()
        .layer(Client::builder(TokioExecutor::new()).build_http());
    let mut lines = BufReader::new(tokio::io::stdin()).lines();
    while let Some(path) = lines.next_line().await.unwrap() {
        let request = Request::get(format!("{root}/{path}"))
            .body(Full::<Bytes>::default())
            .unwrap();
        let response = client.clone().oneshot(request).await.unwrap();
        let outcome = response.body().outcome().clone();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        let said = if body.starts_with(b"{\"capabilities\"") {
            "clean".to_owned()
        } else {
            format!("{outcome}")
        };
        println!("\n@ {}", said.replace('\n', " "));
    }
}

/// A process that runs [`replica`]; killed when dropped.
pub(crate) struct Replica {
    child: process::Child,
    stdin: process::ChildStdin,
    stdout: Lines<BufReader<process::ChildStdout>>,
}

impl Replica {
    pub(crate) fn start(server: &StandIn, redis: &str, password: &str) -> Self {
        Self::start_with(server, redis, password, &[])
    }

    pub(crate) fn start_with(
        server: &StandIn,
        redis: &str,
        password: &str,
        more: &[(&str, &str)],
    ) -> Self {
        let mut child = process::Command::new(env::current_exe().unwrap())
            .args(["--ignored", "--exact", "replica::replica", "--nocapture"])
            .env("REPLICA_ROOT", server.root())
            .env("REPLICA_REDIS", redis)
            .env("REPLICA_PASSWORD", password)
            .envs(more.iter().copied())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        Self {
            stdin: child.stdin.take().unwrap(),
            stdout: BufReader::new(child.stdout.take().unwrap()).lines(),
            child,
        }
    }

    pub(crate) async fn tell(&mut self) {
        let line = format!("{PARCELS}\n");
        self.stdin.write_all(line.as_bytes()).await.unwrap();
    }

    pub(crate) async fn hear(&mut self) -> String {
        let heard = async {
            loop {
                let line = self.stdout.next_line().await.unwrap();
                let line = line.expect("the replica ended");
                if let Some(said) = line.strip_prefix("@ ") {
                    return said.to_owned();
                }
            }
        };
        timeout(PATIENCE, heard).await.expect("the replica hangs")
    }

    /// How a request of this replica's ends.
    pub(crate) async fn ask(&mut self) -> String {
        self.tell().await;
        self.hear().await
    }

    /// As a crash does.
    pub(crate) async fn kill(mut self) {
        self.child.kill().await.unwrap();
    }
}

pub(crate) fn replicas(count: usize, server: &StandIn, redis: &str) -> Vec<Replica> {
    (0..count)
        .map(|_| Replica::start(server, redis, PASSWORD))
        .collect()
}

/// With the time limits that users have.
pub(crate) fn replicas_in_earnest(count: usize, server: &StandIn, redis: &str) -> Vec<Replica> {
    let limits = [("REPLICA_IN_EARNEST", "1")];
    (0..count)
        .map(|_| Replica::start_with(server, redis, PASSWORD, &limits))
        .collect()
}

pub(crate) async fn ask_all(replicas: &mut [Replica]) -> Vec<String> {
    join_all(replicas.iter_mut().map(Replica::ask)).await
}

pub(crate) async fn assert_all_clean(replicas: &mut [Replica]) {
    for said in ask_all(replicas).await {
        assert_eq!(said, "clean");
    }
}

/// All tokens die, and all replicas ask. How many logins that took.
pub(crate) async fn logins_for_all(server: &StandIn, replicas: &mut [Replica]) -> u64 {
    let before = server.counters().logins;
    server.revoke_all_tokens();
    assert_all_clean(replicas).await;
    server.counters().logins - before
}

/// Again and again, until one login does for all: how they notice that their Redis is back is their own affair.
pub(crate) async fn assert_they_share_again(server: &StandIn, replicas: &mut [Replica]) {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let logins = logins_for_all(server, replicas).await;
        if logins == 1 {
            return;
        }
        assert!(Instant::now() < deadline, "{logins} logins, still");
        sleep(Duration::from_millis(200)).await;
    }
}
