//! What a server said of itself, asked once however many callers log in, and asked again after a while.

use std::{
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use tokio::{
    sync::watch,
    time::{Instant, timeout, timeout_at},
};

use crate::{
    error::TokenError,
    lock::lock,
    login::{
        automatic::Recipe,
        way::{Decision, Way},
    },
    patience::GIVEN_UP_AFTER,
};

/// A server may move its token service.
const BELIEVED: Duration = Duration::from_secs(15 * 60);
/// It may have been starting, and say more of itself soon.
const SUPPOSED: Duration = Duration::from_secs(30);
/// Within a login's limit, so that this error is told and not that one.
const ASKED_FOR: Duration = Duration::from_secs(20);

/// A way of getting tokens, and whether the server or the user said so.
#[derive(Clone)]
pub(super) struct Told {
    pub(super) way: Arc<Way>,
    pub(super) is_told: bool,
}

type Answer = Result<Told, TokenError>;

/// For users, and for applications.
#[derive(Default)]
pub(crate) struct Answers([Mutex<Known>; 2]);

#[derive(Default)]
struct Known {
    answer: Option<(Told, Instant)>,
    /// Somebody asks just now.
    asking: Option<Asking>,
}

#[derive(Clone)]
struct Asking {
    answer: watch::Receiver<Option<Answer>>,
    /// There is an answer by then, unless nobody drives the runtime any more that it is asked on.
    until: Instant,
}

impl Answers {
    fn known(&self, is_app: bool) -> MutexGuard<'_, Known> {
        let [users, apps] = &self.0;
        let known = if is_app { apps } else { users };
        lock(known)
    }

    /// The server is asked again next time.
    pub(super) fn forget(&self) {
        for is_app in [false, true] {
            self.known(is_app).answer = None;
        }
    }
}

impl Recipe {
    /// The way for a user or an application, as the server told it lately or tells it now. It is asked from a task of its
    /// own: whoever began it may give up before the answer comes, and others wait for it.
    pub(super) async fn told(self: &Arc<Self>, is_app: bool) -> Answer {
        loop {
            let Asking { mut answer, until } = {
                let mut known = self.answers.known(is_app);
                match &known.answer {
                    Some((told, until)) if Instant::now() < *until => return Ok(told.clone()),
                    _ => {}
                }
                match &known.asking {
                    // Its task may be gone, with its runtime.
                    Some(asking)
                        if asking.answer.has_changed().is_ok() && Instant::now() < asking.until =>
                    {
                        asking.clone()
                    }
                    _ => self.begin_to_ask(is_app, &mut known),
                }
            };
            match timeout_at(until, answer.wait_for(Option::is_some)).await {
                Ok(Ok(answer)) => {
                    return answer.clone().unwrap_or_else(|| Err(broken_off()));
                }
                Ok(Err(_)) => return Err(broken_off()),
                // Somebody else may have asked anew by now.
                Err(_) => {}
            }
        }
    }

    fn begin_to_ask(self: &Arc<Self>, is_app: bool, known: &mut Known) -> Asking {
        let (sender, answer) = watch::channel(None);
        tokio::spawn(Arc::clone(self).ask(is_app, sender));
        let until = Instant::now() + ASKED_FOR + GIVEN_UP_AFTER;
        let asking = Asking { answer, until };
        known.asking = Some(asking.clone());
        asking
    }

    async fn ask(self: Arc<Self>, is_app: bool, sender: watch::Sender<Option<Answer>>) {
        let info = self.discovery.server_info(&self.client);
        let answer = match timeout(ASKED_FOR, self.decide(is_app, info)).await {
            Ok(Ok(Decision { way, is_told })) => Ok(Told {
                way: Arc::new(way),
                is_told,
            }),
            Ok(Err(no_way)) => Err(no_way.into()),
            Err(_) => Err(TokenError::fault(format!(
                "{} did not say within {} seconds what it is; check that the server is up",
                self.discovery.root,
                ASKED_FOR.as_secs()
            ))),
        };
        let mut known = self.answers.known(is_app);
        let is_own = |asking: &mut Asking| asking.answer.same_channel(&sender.subscribe());
        let is_late = known.asking.take_if(is_own).is_none();
        // Late, it may be another who asks, or knows better.
        if !is_late || answer.is_ok() {
            known.answer = answer.as_ref().ok().map(|told| {
                let good_for = if told.is_told { BELIEVED } else { SUPPOSED };
                (told.clone(), Instant::now() + good_for)
            });
        }
        drop(known);
        // Nobody may wait any more.
        let _ = sender.send(Some(answer));
    }
}

fn broken_off() -> TokenError {
    TokenError::fault("asking the server what it is broke off before there was an answer")
}
