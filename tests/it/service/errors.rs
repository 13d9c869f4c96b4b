//! Errors of the inner service.

use std::{
    future::Ready,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll},
};

use http::Request;
use tower::{Service, ServiceExt};
use tower_arcgis_auth::{ArcgisAuth, ReplayBody};

use crate::support::{Answer, REQUIRED, ROADS, TokenService, answer, get, over};

/// Fails on this call, answers 499 on the others.
#[derive(Clone)]
struct Failing {
    fails_on: usize,
    calls: Arc<AtomicUsize>,
}

#[derive(Debug, PartialEq)]
struct Broken(usize);

impl<B> Service<Request<ReplayBody<B>>> for Failing {
    type Response = Answer;
    type Error = Broken;
    type Future = Ready<Result<Answer, Broken>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Broken>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<ReplayBody<B>>) -> Self::Future {
        let call = self.calls.fetch_add(1, Ordering::SeqCst) + 1;
        std::future::ready(if call == self.fails_on {
            Err(Broken(call))
        } else {
            Ok(answer(REQUIRED))
        })
    }
}

#[tokio::test]
async fn an_error_of_the_inner_service_is_returned_from_either_sending() {
    for fails_on in [1, 2] {
        let source = TokenService::new();
        let inner = Failing {
            fails_on,
            calls: Arc::default(),
        };
        let service: ArcgisAuth<Failing> = over(inner, &source);
        let error = service.oneshot(get(ROADS)).await.unwrap_err();
        assert_eq!(error, Broken(fails_on));
    }
}

#[tokio::test]
async fn an_inner_service_that_fails_to_become_ready_for_the_second_sending_says_so() {
    #[derive(Clone)]
    struct ReadyOnce(Arc<AtomicUsize>);
    impl<B> Service<Request<ReplayBody<B>>> for ReadyOnce {
        type Response = Answer;
        type Error = Broken;
        type Future = Ready<Result<Answer, Broken>>;
        fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Broken>> {
            let polls = self.0.fetch_add(1, Ordering::SeqCst);
            Poll::Ready(if polls == 0 { Ok(()) } else { Err(Broken(9)) })
        }
        fn call(&mut self, _: Request<ReplayBody<B>>) -> Self::Future {
            std::future::ready(Ok(answer(REQUIRED)))
        }
    }
    let source = TokenService::new();
    let service = over(ReadyOnce(Arc::default()), &source);
    assert_eq!(service.oneshot(get(ROADS)).await.unwrap_err(), Broken(9));
}
