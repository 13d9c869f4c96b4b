//! The services: which there are, who may see them, and how they challenge.

use bytes::Bytes;
use http::Response;

use crate::challenge_shape::ChallengeShape;
use crate::prefixes::{self, Prefixes};

/// How a service answers an account that may not see it, although the token is good.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum Refusal {
    /// "Token Required" (499) again, in the shape set for the service.
    #[default]
    TokenRequired,
    /// 403 with the message code GWM_0003.
    Forbidden,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Access {
    Secured,
    Public,
}

/// What is published, and how it behaves.
#[derive(Debug, Default)]
pub(crate) struct Services {
    published: Prefixes<Access>,
    /// The shape where no other is set.
    usual_shape: ChallengeShape,
    shapes: Prefixes<ChallengeShape>,
    canned: Prefixes<Response<Bytes>>,
    refusals: Vec<(String, String, Refusal)>,
}

impl Services {
    pub(crate) fn with_defaults(usual_shape: ChallengeShape) -> Self {
        let mut services = Self {
            usual_shape,
            ..Self::default()
        };
        for secured in [
            "Parcels/MapServer",
            "Water/FeatureServer",
            "Zoning/MapServer",
        ] {
            services.publish(secured, Access::Secured);
        }
        services.publish("Basemap/MapServer", Access::Public);
        services
    }

    pub(crate) fn publish(&mut self, prefix: &str, access: Access) {
        self.published.set(prefix, access);
    }

    /// The service `path` belongs to, what follows it in the path, and who may see it.
    pub(crate) fn find<'p>(&self, path: &'p str) -> Option<(&'p str, Access)> {
        self.published
            .find(path)
            .map(|(prefix, access)| (&path[prefix.len()..], *access))
    }

    /// The paths of all services, sorted.
    pub(crate) fn paths(&self) -> Vec<String> {
        let mut paths: Vec<String> = self
            .published
            .iter()
            .map(|(path, _)| path.to_owned())
            .collect();
        paths.sort();
        paths
    }

    pub(crate) fn set_shape(&mut self, prefix: &str, shape: ChallengeShape) {
        self.shapes.set(prefix, shape);
    }

    pub(crate) fn shape(&self, path: &str) -> ChallengeShape {
        self.shapes
            .find(path)
            .map_or(self.usual_shape, |(_, shape)| *shape)
    }

    /// Forgets all that was set but what is published.
    pub(crate) fn reset(&mut self) {
        self.shapes = Prefixes::default();
        self.canned = Prefixes::default();
        self.refusals.clear();
    }

    pub(crate) fn set_answer(&mut self, prefix: &str, answer: Option<Response<Bytes>>) {
        match answer {
            Some(answer) => self.canned.set(prefix, answer),
            None => self.canned.remove(prefix),
        }
    }

    pub(crate) fn answer(&self, path: &str) -> Option<Response<Bytes>> {
        self.canned.find(path).map(|(_, answer)| answer.clone())
    }

    pub(crate) fn refuse(&mut self, user: &str, prefix: &str, refusal: Refusal) {
        self.allow(user, prefix);
        self.refusals
            .push((user.to_owned(), prefixes::normal(prefix), refusal));
    }

    pub(crate) fn allow(&mut self, user: &str, prefix: &str) {
        let prefix = prefixes::normal(prefix);
        self.refusals
            .retain(|(refused, path, _)| !(refused == user && *path == prefix));
    }

    pub(crate) fn refusal(&self, user: &str, path: &str) -> Option<Refusal> {
        self.refusals
            .iter()
            .find(|(refused, prefix, _)| refused == user && prefixes::covers(prefix, path))
            .map(|(_, _, refusal)| *refusal)
    }
}
