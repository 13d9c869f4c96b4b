//! A client meets every challenge there is: logs in once, and again when its token has died.

use arcgis_stand_in::{ChallengeShape, PASSWORD, StandIn, USERNAME};
use serde_json::Value;

/// The client under test. Put yours here.
struct Client {
    http: reqwest::Client,
    root: String,
    token: String,
}

impl Client {
    fn new(root: String) -> Self {
        let token = String::new();
        let http = reqwest::Client::new();
        Self { http, root, token }
    }

    /// The layers of a service; logs in if they do not come.
    async fn layers(&mut self, service: &str) -> Value {
        match self.try_layers(service).await {
            Some(layers) => layers,
            None => {
                self.log_in().await;
                self.try_layers(service)
                    .await
                    .expect("layers after a login")
            }
        }
    }

    /// None if something else comes: whatever a challenge looks like, it has no layers.
    async fn try_layers(&self, service: &str) -> Option<Value> {
        let url = format!("{}/rest/services/{service}", self.root);
        let query = [("f", "json"), ("token", self.token.as_str())];
        let response = self.http.get(url).query(&query).send().await.ok()?;
        let answer: Value = response.json().await.ok()?;
        answer.get("layers").cloned()
    }

    async fn log_in(&mut self) {
        let url = format!("{}/tokens/generateToken", self.root);
        let form = [
            ("username", USERNAME),
            ("password", PASSWORD),
            ("f", "json"),
        ];
        let response = self
            .http
            .post(url)
            .form(&form)
            .send()
            .await
            .expect("an answer");
        let answer: Value = response.json().await.expect("JSON");
        answer["token"]
            .as_str()
            .expect("a token")
            .clone_into(&mut self.token);
    }
}

#[tokio::test]
async fn the_client_logs_in_once_at_every_challenge() {
    let arcgis = StandIn::start().await.expect("a free port");
    for shape in ChallengeShape::ALL {
        arcgis.reset();
        arcgis.set_challenge("Parcels/MapServer", *shape);
        let mut client = Client::new(arcgis.root());

        client.layers("Parcels/MapServer").await;
        client.layers("Parcels/MapServer").await;
        assert_eq!(arcgis.counters().logins, 1, "{shape}");

        // The server forgets the token, as after a restart.
        arcgis.revoke_all_tokens();
        client.layers("Parcels/MapServer").await;
        assert_eq!(arcgis.counters().logins, 2, "{shape}");
    }
}
