//! The proxy under load for minutes, on Linux: callers of every kind, an upstream that dies and comes back, tokens that die.
//!
//! Ignored by a plain `cargo test`, because it takes so long: `cargo test -p arcgis-proxy --test soak -- --ignored --nocapture`.
//! `SOAK_MINUTES` is how long, 5 if not set.
#![cfg(target_os = "linux")]

mod callers;
mod judge;
mod process;
#[path = "../support/mod.rs"]
mod support;

use std::{env, net::SocketAddr, sync::Arc, time::Duration};

use arcgis_stand_in::StandIn;
use judge::Judge;
use process::{Samples, open_files};
use support::{PARCELS, Proxy, metric};
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};

/// Far more than what is waited for ever takes.
const LONG: Duration = Duration::from_secs(300);
/// So many right answers before the upstream dies first, and again before anything is measured: by then every kind of
/// caller has asked often.
const WARM_UP: u64 = 3_000;
/// Few files stay open for nobody: connections to the upstream that are kept.
const FILES_OF_NOBODY: usize = 24;

/// The upstream, on the same address in each of its lives.
struct Upstream {
    arcgis: StandIn,
    logins_in_earlier_lives: u64,
}

impl Upstream {
    async fn start(address: Option<SocketAddr>) -> StandIn {
        let address = address.unwrap_or(([127, 0, 0, 1], 0).into());
        // No token ends by itself.
        let builder = StandIn::builder().token_lifetime(Duration::from_secs(24 * 60 * 60));
        builder.listen(address).start().await.unwrap()
    }

    fn logins(&self) -> u64 {
        self.logins_in_earlier_lives + self.arcgis.counters().logins
    }

    /// Dies with all that it knew and all connections, and comes back once callers have met that.
    async fn die_and_come_back(&mut self, proxy: &Proxy, judge: &Judge) {
        judge.upstream_dies();
        self.logins_in_earlier_lives = self.logins();
        self.arcgis.stop().await;
        while proxy.get(PARCELS).await.status != 502 {}
        self.arcgis = Self::start(Some(self.arcgis.addr())).await;
        while !proxy.get(PARCELS).await.is_the_service() {}
        judge.upstream_is_back();
    }

    async fn lose_all_tokens(&mut self) {
        let before = self.arcgis.counters().logins;
        self.arcgis.revoke_all_tokens();
        self.arcgis.wait_for_logins(before + 1).await;
    }
}

fn minutes() -> f64 {
    let minutes = env::var("SOAK_MINUTES").unwrap_or_else(|_| "5".to_owned());
    minutes
        .parse()
        .expect("SOAK_MINUTES is a number of minutes")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes minutes"]
async fn nothing_goes_wrong_and_nothing_grows_under_load_for_minutes() {
    let mut upstream = Upstream {
        arcgis: Upstream::start(None).await,
        logins_in_earlier_lives: 0,
    };
    let options = [
        "--upstream",
        &upstream.arcgis.root(),
        "--username",
        arcgis_stand_in::USERNAME,
        "--admin-listen",
        "127.0.0.1:0",
        "--header-timeout",
        "10s",
        "--body-timeout",
        "10s",
    ];
    let variables = [
        ("ARCGIS_PASSWORD", arcgis_stand_in::PASSWORD),
        ("RUST_LOG", "info"),
    ];
    let mut proxy = Proxy::start(&options, &variables).await;
    assert!(proxy.get(PARCELS).await.is_the_service());

    let judge = Arc::new(Judge::default());
    let callers = callers::start(proxy.address, &judge);
    timeout(LONG, judge.right_answers(WARM_UP)).await.unwrap();
    let death = upstream.die_and_come_back(&proxy, &judge);
    timeout(LONG, death).await.unwrap();
    timeout(LONG, judge.right_answers(2 * WARM_UP))
        .await
        .unwrap();

    let started = Instant::now();
    let duration = Duration::from_secs_f64(minutes() * 60.0);
    let mut samples = Samples::of(proxy.process_id());
    let mut ticks = interval(Duration::from_secs(1));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let (mut deaths, mut revocations) = (1, 0);
    while started.elapsed() < duration {
        ticks.tick().await;
        samples.take();
        judge.assert_nothing_wrong();
        // Challenges cause 20 logins at once, then one each 30 seconds.
        let most = 12 + started.elapsed().as_secs() / 30;
        if upstream.logins() >= most {
            continue;
        }
        let event = samples.count() % 10;
        if event == 3 {
            revocations += 1;
            timeout(LONG, upstream.lose_all_tokens()).await.unwrap();
        } else if event == 8 {
            deaths += 1;
            let death = upstream.die_and_come_back(&proxy, &judge);
            timeout(LONG, death).await.unwrap();
        }
    }

    judge.load_ends();
    for caller in callers {
        timeout(LONG, caller).await.unwrap().unwrap();
    }
    judge.assert_nothing_wrong();
    println!("{deaths} deaths, {revocations} revocations, {judge:?}\n{samples}");
    assert!(deaths > 1 && revocations > 0);
    assert_eq!(upstream.logins(), 1 + deaths + revocations);
    let few = async {
        while open_files(proxy.process_id()) > FILES_OF_NOBODY {
            ticks.tick().await;
        }
    };
    timeout(LONG, few).await.unwrap();
    let metrics = proxy.metrics().await;
    assert_eq!(metric(&metrics, "arcgis_proxy_connections"), 0);
    let log = proxy.terminate().await;
    assert!(log.status.success());
    assert!(!log.log.contains("panicked"), "{}", log.log);
    samples.assert_flat();
}
