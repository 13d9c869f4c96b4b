//! The example `probe`, run as its program runs it, against every kind of server the stand-in knows.

mod certificates;
#[path = "../https/mod.rs"]
mod https;
mod options;
mod portals;
mod secrets;
mod servers;
#[path = "../../examples/probe/steps/mod.rs"]
mod steps;

use arcgis_stand_in::{Personality, Portal, Received, StandIn, USERNAME};
use serde_json::Value;

const PARCELS: &str = "rest/services/Parcels/MapServer?f=json";

/// What came of a run.
struct Ran {
    code: u8,
    out: String,
    progress: String,
}

impl Ran {
    fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap()
    }

    /// Neither the secrets given nor any token a server saw is anywhere in the output.
    fn assert_silent(&self, secrets: &[&str], servers: &[Vec<Received>]) {
        let all = format!("{}{}", self.out, self.progress);
        for secret in secrets {
            assert!(!all.contains(secret), "{all}");
        }
        for received in servers.iter().flatten() {
            let (_, query) = received.path_and_query.split_once('?').unwrap_or_default();
            for (name, token) in form_urlencoded::parse(query.as_bytes()) {
                assert!(name != "token" || !all.contains(&*token), "{all}");
            }
        }
    }
}

async fn run(arguments: &[&str], environment: &[(&str, &str)]) -> Ran {
    let arguments = arguments.iter().map(|argument| (*argument).to_owned());
    let variable = |name: &str| {
        let found = environment.iter().find(|(key, _)| *key == name);
        found.map(|(_, value)| (*value).to_owned())
    };
    let (mut out, mut progress) = (Vec::new(), Vec::new());
    let code = steps::run(arguments, &variable, &mut out, &mut progress).await;
    Ran {
        code: code.unwrap(),
        out: String::from_utf8(out).unwrap(),
        progress: String::from_utf8(progress).unwrap(),
    }
}

/// As the stand-in's user, in JSON.
async fn as_user(url: &str, password: &str, more: &[&str]) -> Ran {
    let arguments = [&[url, "--username", USERNAME, "--json"], more].concat();
    run(&arguments, &[("ARCGIS_PASSWORD", password)]).await
}

async fn personality(personality: Personality) -> StandIn {
    let server = StandIn::builder().personality(personality).start().await;
    server.unwrap()
}

async fn federated() -> (Portal, StandIn) {
    let portal = Portal::start().await.unwrap();
    let server = StandIn::builder().federated_with(&portal).start().await;
    (portal, server.unwrap())
}
