//! Replicas that are processes of their own, before a real `redis-server` that is restarted, held up, killed, and full.
//!
//! `cargo test --test redis -- --ignored`. The environment variable `REDIS_SERVER` names the program
//! where it is not on the path. Each test prints how many logins what it did cost.

use std::{
    env,
    net::TcpListener,
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicU16, Ordering},
    },
    time::Duration,
};

use arcgis_stand_in::{PASSWORD, StandIn, USERNAME};
use bytes::Bytes;
use futures_util::future::join_all;
use http::Request;
use http_body_util::{BodyExt, Full};
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader, Lines},
    process,
    time::{Instant, sleep, timeout},
};
use tower::{Layer, ServiceExt};
use tower_arcgis_auth::{
    ArcgisAuthLayer, Credential, RedisTokenCache, SealedRecord, SealedTokenCache, SharedTokenCache,
    Site, TokenCacheKeys,
};

const KEY: &str = "8f0b6d1c53a24e7f9b1d0a6c4e8f2b7d5c9a3e1f6b8d0c2a4e6f8b1d3c5a7e90";
const PARCELS: &str = "rest/services/Parcels/MapServer?f=json";
/// What real processes may take on a busy machine. Nothing is expected to.
const PATIENCE: Duration = Duration::from_secs(60);

// --- a replica

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
struct Replica {
    child: process::Child,
    stdin: process::ChildStdin,
    stdout: Lines<BufReader<process::ChildStdout>>,
}

impl Replica {
    fn start(server: &StandIn, redis: &str, password: &str) -> Self {
        Self::start_with(server, redis, password, &[])
    }

    fn start_with(server: &StandIn, redis: &str, password: &str, more: &[(&str, &str)]) -> Self {
        let mut child = process::Command::new(env::current_exe().unwrap())
            .args(["--ignored", "--exact", "replica", "--nocapture"])
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

    async fn tell(&mut self) {
        let line = format!("{PARCELS}\n");
        self.stdin.write_all(line.as_bytes()).await.unwrap();
    }

    async fn hear(&mut self) -> String {
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
    async fn ask(&mut self) -> String {
        self.tell().await;
        self.hear().await
    }

    /// As a crash does.
    async fn kill(mut self) {
        self.child.kill().await.unwrap();
    }
}

fn replicas(count: usize, server: &StandIn, redis: &str) -> Vec<Replica> {
    (0..count)
        .map(|_| Replica::start(server, redis, PASSWORD))
        .collect()
}

/// With the time limits that users have.
fn replicas_in_earnest(count: usize, server: &StandIn, redis: &str) -> Vec<Replica> {
    let limits = [("REPLICA_IN_EARNEST", "1")];
    (0..count)
        .map(|_| Replica::start_with(server, redis, PASSWORD, &limits))
        .collect()
}

async fn ask_all(replicas: &mut [Replica]) -> Vec<String> {
    join_all(replicas.iter_mut().map(Replica::ask)).await
}

async fn assert_all_clean(replicas: &mut [Replica]) {
    for said in ask_all(replicas).await {
        assert_eq!(said, "clean");
    }
}

/// All tokens die, and all replicas ask. How many logins that took.
async fn logins_for_all(server: &StandIn, replicas: &mut [Replica]) -> u64 {
    let before = server.counters().logins;
    server.revoke_all_tokens();
    assert_all_clean(replicas).await;
    server.counters().logins - before
}

/// Again and again, until one login does for all: how they notice that their Redis is back is their own affair.
async fn assert_they_share_again(server: &StandIn, replicas: &mut [Replica]) {
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

// --- a Redis

/// A Redis that keeps nothing on disk; killed when dropped.
struct Redis {
    child: Child,
    port: u16,
    arguments: Vec<String>,
}

impl Redis {
    async fn start(arguments: &[&str]) -> Self {
        let arguments: Vec<String> = arguments.iter().map(|text| (*text).to_owned()).collect();
        let port = free_port();
        let child = Self::spawn(port, &arguments);
        let mut redis = Self {
            child,
            port,
            arguments,
        };
        redis.answers().await;
        redis
    }

    fn spawn(port: u16, arguments: &[String]) -> Child {
        let program = env::var("REDIS_SERVER").unwrap_or_else(|_| "redis-server".to_owned());
        Command::new(&program)
            .args(["--bind", "127.0.0.1", "--save", "", "--appendonly", "no"])
            .args(["--port", &port.to_string()])
            .args(arguments)
            .stdout(Stdio::null())
            .spawn()
            .unwrap_or_else(|error| {
                panic!("{program} cannot be started ({error}): install Debian's redis-server, or name it in REDIS_SERVER")
            })
    }

    fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    async fn answers(&mut self) {
        let deadline = Instant::now() + PATIENCE;
        while tokio::net::TcpStream::connect(("127.0.0.1", self.port))
            .await
            .is_err()
        {
            let ended = self.child.try_wait().unwrap();
            assert!(ended.is_none(), "redis-server ended: {ended:?}");
            assert!(Instant::now() < deadline, "redis-server does not listen");
            sleep(Duration::from_millis(20)).await;
        }
    }

    fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// At the same address, with nothing in it.
    async fn start_again(&mut self) {
        self.child = Self::spawn(self.port, &self.arguments);
        self.answers().await;
    }

    fn signal(&self, signal: &str) {
        let id = self.child.id().to_string();
        let status = Command::new("kill").args([signal, &id]).status().unwrap();
        assert!(status.success());
    }

    /// A connection of the test's own.
    fn connection(&self) -> redis::Connection {
        redis::Client::open(self.url())
            .unwrap()
            .get_connection()
            .unwrap()
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

async fn world() -> (StandIn, Redis) {
    (StandIn::start().await.unwrap(), Redis::start(&[]).await)
}

// --- all is well

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

// --- things go wrong

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
