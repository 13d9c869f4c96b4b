//! Any upload, cut anywhere.

use bytes::Bytes;
use http_body::Body;
use proptest::collection::vec;
use proptest::prelude::*;

use super::{CAP, CLEAN, Stage, answered, is_given_up, letters, respond};
use crate::support::{
    INVALID,
    bodies::{self, Hint, Scripted, Seen, Step},
};

/// One upload: its data, how it is cut, where it waits, what it says of its length, and how many polls the first
/// sending got before the server's challenge.
#[derive(Clone, Debug)]
struct Upload {
    data: Bytes,
    steps: Vec<Step<Bytes>>,
    hint: Hint,
    reports_end: bool,
    trailers: bool,
    polls: usize,
}

fn uploads() -> impl Strategy<Value = Upload> {
    let size = prop_oneof![0..4_usize, 4..500_usize, 4000..4200_usize];
    let hint = prop::sample::select(vec![
        Hint::Nothing,
        Hint::Exact,
        Hint::Loose,
        Hint::ExactAtTheEnd,
    ]);
    (
        prop_oneof![0..40_usize, 0..=CAP],
        vec((size, any::<bool>()), 1..8),
        (hint, any::<bool>(), any::<bool>()),
        prop_oneof![0..10_usize, 0..400_usize, Just(usize::MAX)],
    )
        .prop_map(|(len, shapes, (hint, reports_end, trailers), polls)| {
            let data = letters(len);
            let sizes = shapes.iter().map(|shape| shape.0).collect::<Vec<_>>();
            let mut steps = Vec::new();
            let waits = shapes.iter().map(|shape| shape.1).cycle();
            for (frame, waits) in bodies::cut(&data, &sizes).into_iter().zip(waits) {
                if waits {
                    steps.push(Step::Pending);
                }
                steps.push(Step::Data(frame));
            }
            if trailers {
                steps.push(Step::Trailers(bodies::trailers(&[("x-sum", "1")])));
            }
            Upload {
                data,
                steps,
                hint,
                reports_end,
                trailers,
                polls,
            }
        })
}

async fn upload(case: Upload) -> Result<(), TestCaseError> {
    let body = Scripted::new(case.steps)
        .hint(case.hint)
        .reports_end(case.reports_end);
    let log = body.log();
    let exact = body.size_hint().exact().is_some();
    let mut stage = Stage::with_token().await;
    let call = stage.post(body);
    let (mut first, answer) = stage.received(Some("secret-1")).await;
    let mut sent = Vec::new();
    for _ in 0..case.polls {
        if first.is_end_stream() || sent.last().is_some_and(Seen::is_last) {
            break;
        }
        sent.push(bodies::next(&mut first, &log));
    }
    let complete = first.is_end_stream() || sent.last() == Some(&Seen::End);
    answer.send_response(respond(INVALID));

    let (mut second, answer) = stage.received(Some("secret-2")).await;
    let observed = bodies::observe(&mut second, &log);
    let mut remaining = case.data.len() as u64;
    for one in &observed {
        prop_assert!(one.lower <= remaining);
        prop_assert!(one.upper.is_none_or(|upper| upper >= remaining));
        prop_assert!(!one.end_stream || one.seen == Seen::End);
        remaining -= one.len();
    }
    let seen = observed
        .iter()
        .map(|one| one.seen.clone())
        .collect::<Vec<_>>();
    prop_assert_eq!(bodies::data_of(&seen), case.data);
    prop_assert_eq!(seen.last(), Some(&Seen::End));
    let trailers = seen.iter().filter(|seen| matches!(seen, Seen::Trailers(_)));
    prop_assert_eq!(trailers.count(), usize::from(case.trailers));
    if case.trailers && !exact {
        prop_assert_ne!(observed[0].upper, Some(observed[0].lower));
    }

    if complete {
        prop_assert!(first.is_end_stream());
    } else {
        prop_assert!(!first.is_end_stream());
        let given_up = bodies::poll_once(&mut first);
        prop_assert!(is_given_up(&given_up), "{:?}", given_up);
    }
    prop_assert!(!log.polled_after_end());
    answer.send_response(respond(CLEAN));
    prop_assert!(answered(call).await.unwrap().body().outcome().resent());
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 256,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn the_second_sending_is_whole_wherever_the_first_one_stopped(case in uploads()) {
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = runtime.enable_time().start_paused(true).build().unwrap();
        runtime.block_on(upload(case))?;
    }
}
