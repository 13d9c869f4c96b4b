//! Three replicas, one ArcGIS, one Redis: who logs in, and who does not have to.
//!
//! `cargo run --example fleet --features redis -- redis://127.0.0.1:6379`

use std::{
    env,
    error::Error,
    process::{ExitCode, exit},
};

use arcgis_stand_in::{PASSWORD, StandIn, USERNAME};
use bytes::Bytes;
use futures_util::future::try_join_all;
use http::Request;
use http_body_util::Full;
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use tower::{Layer, ServiceExt};
use tower_arcgis_auth::{
    ArcgisAuth, ArcgisAuthLayer, Credential, RedisTokenCache, ReplayBody, SealedTokenCache,
    SharedTokenCache, Site, TokenCacheKeys,
};

/// In earnest a secret: `openssl rand -hex 32`, the same for all replicas, `Secret::env("ARCGIS_CACHE_KEY")`.
const KEY: &str = "8f0b6d1c53a24e7f9b1d0a6c4e8f2b7d5c9a3e1f6b8d0c2a4e6f8b1d3c5a7e90";

type Replica = ArcgisAuth<Client<HttpConnector, ReplayBody<Full<Bytes>>>>;

#[tokio::main]
async fn main() -> ExitCode {
    match run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

async fn run() -> Result<(), Box<dyn Error>> {
    let url = env::args().nth(1);
    let url = url.unwrap_or_else(|| "redis://127.0.0.1:6379".to_owned());
    if let Err(error) = RedisTokenCache::try_new(&url)?.get("fleet").await {
        eprintln!(
            "{error}\n\nFor instance: start one with `redis-server --port 6379`, and say where it is:\n  \
             cargo run --example fleet --features redis -- redis://127.0.0.1:6379"
        );
        exit(1);
    }
    let server = StandIn::start().await?;
    println!("A stand-in for ArcGIS Server runs at {}.", server.root());
    let replicas = [
        replica(&server, &url)?,
        replica(&server, &url)?,
        replica(&server, &url)?,
    ];

    println!("\nThree replicas start at once, and none is logged in:");
    ask_all(&server, 1, &replicas).await?;
    println!("\nThe same again, each with the token it has:");
    ask_all(&server, 1, &replicas).await?;
    println!("\nThe server forgets all its tokens, as after a restart:");
    server.revoke_all_tokens();
    ask_all(&server, 1, &replicas).await?;
    println!("\nA fourth replica starts:");
    ask_all(&server, 4, &[replica(&server, &url)?]).await?;

    println!("\nThree replicas of another fleet start, with a password that is wrong:");
    let wrong = || replica_of("other-fleet", &server, &url, "wrong");
    ask_all(&server, 1, &[wrong()?, wrong()?, wrong()?]).await
}

fn replica(server: &StandIn, url: &str) -> Result<Replica, Box<dyn Error>> {
    replica_of("fleet", server, url, PASSWORD)
}

/// What each process of a fleet does at its start.
fn replica_of(
    fleet: &str,
    server: &StandIn,
    url: &str,
    password: &str,
) -> Result<Replica, Box<dyn Error>> {
    let redis = RedisTokenCache::try_new(url)?.namespace(fleet);
    let cache = SealedTokenCache::new(redis, TokenCacheKeys::try_new(KEY)?);
    let site = Site::new(server.root())
        .credential(Credential::user(USERNAME, password))
        .shared_token_cache(&cache);
    let client = Client::builder(TokioExecutor::new()).build_http();
    Ok(ArcgisAuthLayer::try_new(site)?.layer(client))
}

/// Asks through all of them at once, of which the first has this number.
async fn ask_all(
    server: &StandIn,
    first: usize,
    replicas: &[Replica],
) -> Result<(), Box<dyn Error>> {
    let before = server.counters();
    let asked = replicas.iter().map(async |replica| {
        let url = server.url("rest/services/Parcels/MapServer?f=json");
        let request = Request::get(url).body(Full::<Bytes>::default())?;
        let response = replica.clone().oneshot(request).await?;
        Ok::<_, Box<dyn Error>>(response.body().outcome().clone())
    });
    for (number, outcome) in try_join_all(asked).await?.iter().enumerate() {
        println!("  replica {}: {outcome}", first + number);
    }
    let after = server.counters();
    println!(
        "  logins at the server: {}, refused: {}",
        after.logins - before.logins,
        after.login_refusals - before.login_refusals
    );
    Ok(())
}
