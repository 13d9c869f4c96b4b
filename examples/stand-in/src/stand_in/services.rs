//! The services of a running stand-in.

use bytes::Bytes;
use http::Response;

use crate::challenge_shape::ChallengeShape;
#[cfg(doc)]
use crate::cors::Cors;
use crate::gate::Gate;
use crate::services::{Access, Refusal};
use crate::stand_in::StandIn;
use crate::state::lock;

/// Services.
impl StandIn {
    /// Publishes a secured service, or secures one: `Roads/MapServer`, `Folder/Roads/FeatureServer`, `Terrain/ImageServer`.
    ///
    /// ```
    /// use arcgis_stand_in::StandIn;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> std::io::Result<()> {
    /// let arcgis = StandIn::start().await?;
    /// arcgis.secure("Planning/Roads/FeatureServer");
    /// arcgis.publish("Zoning/MapServer");
    /// # Ok(())
    /// # }
    /// ```
    pub fn secure(&self, path_prefix: &str) {
        lock(&self.state.services).publish(path_prefix, Access::Secured);
    }

    /// Publishes a public service, or opens one.
    pub fn publish(&self, path_prefix: &str) {
        lock(&self.state.services).publish(path_prefix, Access::Public);
    }

    /// The shape of challenges below `path_prefix`. Unless set, that of
    /// [`StandInBuilder::challenge`](crate::StandInBuilder::challenge), or [`ChallengeShape::Json`].
    ///
    /// ```
    /// use arcgis_stand_in::{ChallengeShape, StandIn};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> std::io::Result<()> {
    /// let arcgis = StandIn::start().await?;
    /// arcgis.set_challenge("", ChallengeShape::LoginPage);
    /// arcgis.set_challenge("Parcels/MapServer/0", ChallengeShape::HttpStatus);
    /// # Ok(())
    /// # }
    /// ```
    pub fn set_challenge(&self, path_prefix: &str, shape: ChallengeShape) {
        lock(&self.state.services).set_shape(path_prefix, shape);
    }

    /// What is answered below `path_prefix` to requests that are let in, instead of what the stand-in would say; none
    /// takes that back.
    ///
    /// Status, headers and body are sent as they are: an answer without `Content-Type` has none. `Date`, the headers that
    /// [`Cors`] stands for, and the cookies of [`StandIn::set_cookies`] are added. Requests are challenged first, as ever, so
    /// that a canned answer below a secured service needs a token. The service has to be there: [`StandIn::secure`] or
    /// [`StandIn::publish`] it. [`StandIn::reset`] forgets all canned answers.
    ///
    /// ```
    /// use arcgis_stand_in::{StandIn, USERNAME};
    /// use http::Response;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> std::io::Result<()> {
    /// let arcgis = StandIn::start().await?;
    /// let answer = Response::builder()
    ///     .header("content-type", "application/json")
    ///     .body(r#"{"count":12}"#.into())
    ///     .map_err(std::io::Error::other)?;
    /// arcgis.set_answer("Parcels/MapServer/0/query", Some(answer));
    ///
    /// let token = arcgis.issue_token(USERNAME, None);
    /// let url = arcgis.url("rest/services/Parcels/MapServer/0/query");
    /// let got = reqwest::get(format!("{url}?returnCountOnly=true&f=json&token={token}")).await;
    /// # let got = got.map_err(std::io::Error::other)?.text().await.map_err(std::io::Error::other)?;
    /// # assert_eq!(got, r#"{"count":12}"#);
    ///
    /// arcgis.set_answer("Parcels/MapServer/0/query", None);
    /// # Ok(())
    /// # }
    /// ```
    pub fn set_answer(&self, path_prefix: &str, answer: Option<Response<Bytes>>) {
        lock(&self.state.services).set_answer(path_prefix, answer);
    }

    /// Below `path_prefix` this user is answered "Token Required" (499), however good the token.
    pub fn refuse_user_on(&self, user: &str, path_prefix: &str) {
        self.refuse_user_with(user, path_prefix, Refusal::TokenRequired);
    }

    /// Below `path_prefix` this user is refused in the given way, however good the token.
    ///
    /// ```
    /// use arcgis_stand_in::{Refusal, StandIn, USERNAME};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> std::io::Result<()> {
    /// let arcgis = StandIn::start().await?;
    /// arcgis.refuse_user_with(USERNAME, "Parcels/MapServer", Refusal::Forbidden);
    /// arcgis.allow_user_on(USERNAME, "Parcels/MapServer");
    /// # Ok(())
    /// # }
    /// ```
    pub fn refuse_user_with(&self, user: &str, path_prefix: &str, refusal: Refusal) {
        lock(&self.state.services).refuse(user, path_prefix, refusal);
    }

    /// Takes [`StandIn::refuse_user_on`] back.
    pub fn allow_user_on(&self, user: &str, path_prefix: &str) {
        lock(&self.state.services).allow(user, path_prefix);
    }

    /// Whether public services refuse bad tokens too, as real ones do; off unless set.
    pub fn set_public_checks_tokens(&self, on: bool) {
        lock(&self.state.settings).public_checks_tokens = on;
    }

    /// Whether answers to requests with a token that were let in set cookies: `agstoken`, `esri_auth`, `esri_aopc`
    /// with the token in them, and an innocent `AGS_ROLES`; off unless set.
    pub fn set_cookies(&self, on: bool) {
        lock(&self.state.settings).set_cookies = on;
    }

    /// Holds requests to services, once counted, until the gate is released or dropped. Their tokens are judged after that,
    /// so that a test can let a token die while requests with it are under way. Several gates may be closed at once; all
    /// have to be released.
    ///
    /// ```
    /// use arcgis_stand_in::{StandIn, USERNAME};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> std::io::Result<()> {
    /// let arcgis = StandIn::start().await?;
    /// let token = arcgis.issue_token(USERNAME, None);
    /// let gate = arcgis.hold_services();
    ///
    /// let url = arcgis.url("rest/services/Parcels/MapServer");
    /// let request = tokio::spawn(reqwest::get(format!("{url}?f=json&token={token}")));
    /// arcgis.wait_for_service_requests(1).await;
    /// arcgis.revoke_all_tokens();
    /// gate.release();
    ///
    /// let answer = request.await?.map_err(std::io::Error::other)?;
    /// let text = answer.text().await.map_err(std::io::Error::other)?;
    /// assert!(text.contains("Invalid Token"));
    /// # Ok(())
    /// # }
    /// ```
    pub fn hold_services(&self) -> Gate {
        Gate::close(&self.state.services_held)
    }
}
