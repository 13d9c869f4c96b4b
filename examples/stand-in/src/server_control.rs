//! What of a server is controlled over HTTP.

use serde_json::{Value, json};
use tokio::sync::watch;

use crate::challenge_shape::ChallengeShape;
use crate::control::{Controlled, Outcome, required};
use crate::host::Host;
use crate::issuer::Issuer;
use crate::journal::Counters;
use crate::request_parts::Fields;
use crate::services::Access;
use crate::state::{State, lock};

impl Controlled for State {
    const OWN_HELP: &'static str = "\
GET  challenges                            the shapes that challenges may have
POST challenge     shape=SHAPE [service=S] the shape of challenges, of all services or below S (Parcels/MapServer)
POST secure        service=S               publishes a secured service, or secures one
POST publish       service=S               publishes a public service, or opens one

W is logins; for hold services too.
";

    fn host(&self) -> &Host {
        &self.host
    }

    fn issuers(&self) -> Vec<(&'static str, &Issuer)> {
        vec![("logins", &self.logins)]
    }

    fn holds(&self) -> Vec<(&'static str, &watch::Sender<usize>)> {
        vec![
            ("logins", &self.logins.held),
            ("services", &self.services_held),
        ]
    }

    fn counters(&self) -> Value {
        let counters = *self.counters.borrow();
        json!({
            "requests": counters.requests,
            "serviceRequests": counters.service_requests,
            "signedRequests": counters.signed_requests,
            "challenges": counters.challenges,
            "loginAttempts": counters.login_attempts,
            "logins": counters.logins,
            "loginRefusals": counters.login_refusals,
            "infoRequests": counters.info_requests,
            "conflictingTokens": counters.conflicting_tokens,
            "refererMismatches": counters.referer_mismatches,
            "addressMismatches": counters.address_mismatches,
            "edits": counters.edits,
            "liveTokens": lock(&self.host.tokens).live(self.host.clock.now()),
        })
    }

    fn reset(&self) {
        lock(&self.services).reset();
        self.counters.send_replace(Counters::default());
    }

    fn own_to_read(&self, name: &str) -> Option<Value> {
        (name == "challenges").then(|| {
            let shapes = ChallengeShape::ALL.iter();
            shapes.map(ToString::to_string).collect()
        })
    }

    fn own(&self, name: &str, fields: &Fields) -> Option<Outcome> {
        Some(match name {
            "challenge" => challenge(self, fields),
            "secure" => publish(self, fields, Access::Secured),
            "publish" => publish(self, fields, Access::Public),
            _ => return None,
        })
    }
}

fn challenge(state: &State, fields: &Fields) -> Outcome {
    let shape = required(fields, "shape")?;
    let shape: ChallengeShape = shape
        .parse()
        .map_err(|error: crate::UnknownName| error.to_string())?;
    let service = fields.get("service").unwrap_or_default();
    lock(&state.services).set_shape(service, shape);
    Ok(json!({ "service": service, "shape": shape.to_string() }))
}

fn publish(state: &State, fields: &Fields, access: Access) -> Outcome {
    let service = required(fields, "service")?;
    lock(&state.services).publish(service, access);
    Ok(json!({ "service": service, "secured": access == Access::Secured }))
}
