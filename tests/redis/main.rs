//! Replicas that are processes of their own, before a real `redis-server` that is restarted, held up, killed, and full.
//!
//! `cargo test --test redis -- --ignored`. The environment variable `REDIS_SERVER` names the program
//! where it is not on the path. Each test prints how many logins what it did cost.

mod outages;
mod processes;
mod records;
mod replica;
mod server;

use std::time::Duration;

use arcgis_stand_in::StandIn;

use self::server::Redis;

/// What real processes may take on a busy machine. Nothing is expected to.
const PATIENCE: Duration = Duration::from_secs(60);

async fn world() -> (StandIn, Redis) {
    (StandIn::start().await.unwrap(), Redis::start(&[]).await)
}
