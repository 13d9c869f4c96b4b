//! What `arcgis-proxy` costs beside a plain hyper proxy and nginx, in one run, all built as the program is for its users:
//! `cargo bench --profile release -p arcgis-proxy --bench proxy`.
//!
//! Each proxy has one core to itself, callers and upstream share another. They take turns, several rounds of them, and
//! each is compared with the plain proxy of its own round, so that what the machine does besides falls on all alike.
//! `-- --rounds 200` takes longer and wanders less.

mod contestants;
mod load;
mod pinning;
mod plain;
mod table;
mod upstream;

use std::{env, error::Error, time::Duration};

use crate::{
    contestants::Contestant,
    load::{Turn, take_turn},
    pinning::Pinning,
    table::{Results, print},
    upstream::Upstream,
};

/// The argument with which this program is the plain proxy.
const PLAIN: &str = "plain-proxy";
const ROUNDS: usize = 60;
/// Short, so that a busy moment of the machine's is one of all turns of a round.
const TURN: Duration = Duration::from_millis(200);
/// Where it only matters that it works: in `cargo test`, which leaves `--bench` out.
const SHORT_TURN: Duration = Duration::from_millis(20);

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    if let [mode, upstream] = &arguments[..] {
        if mode == PLAIN {
            return plain::run(upstream);
        }
    }
    let (rounds, turn) = if arguments.iter().any(|argument| argument == "--bench") {
        (rounds(&arguments)?, TURN)
    } else {
        (1, SHORT_TURN)
    };
    let pinning = Pinning::of_this_machine();
    pinning.pin_callers()?;
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?
        .block_on(compare(rounds, turn, &pinning))
}

fn rounds(arguments: &[String]) -> Result<usize, Box<dyn Error>> {
    let mut behind = arguments
        .iter()
        .skip_while(|argument| *argument != "--rounds");
    match (behind.next(), behind.next()) {
        (None, _) => Ok(ROUNDS),
        (Some(_), Some(rounds)) => Ok(rounds.parse::<usize>()?.max(1)),
        (Some(_), None) => Err("--rounds wants a number".into()),
    }
}

async fn compare(rounds: usize, turn: Duration, pinning: &Pinning) -> Result<(), Box<dyn Error>> {
    let upstream = Upstream::start().await?;
    let contestants = contestants::start(upstream.address, pinning).await?;
    let mut results: Vec<Results> = contestants.iter().map(|_| Results::default()).collect();
    for round in 0..rounds {
        for place in 0..contestants.len() {
            // Each is first as often as any other: what comes before a turn is not without weight.
            let number = (round + place) % contestants.len();
            results[number].add(checked_turn(&contestants[number], &upstream, turn).await?);
        }
    }
    let names = contestants.iter().map(|contestant| contestant.name);
    print(names.zip(&results), pinning);
    Ok(())
}

/// A turn, unless the upstream saw other requests than it should have.
async fn checked_turn(
    contestant: &Contestant,
    upstream: &Upstream,
    turn: Duration,
) -> Result<Turn, Box<dyn Error>> {
    let before = upstream.seen();
    let turn = take_turn(contestant, turn).await?;
    let after = upstream.seen();
    let (all, signed) = (after.all - before.all, after.signed - before.signed);
    let expected = if contestant.signs { all } else { 0 };
    if all == 0 || signed != expected {
        let name = contestant.name;
        return Err(format!("{name}: {signed} of {all} requests were signed").into());
    }
    Ok(turn)
}
