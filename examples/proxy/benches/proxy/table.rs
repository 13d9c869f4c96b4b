//! The results of all rounds, and the table made of them.

use crate::{load::Turn, pinning::Pinning};

/// A proxy that has its core to this share was held up by nothing else.
const FULL: f64 = 0.95;

/// A proxy's turns, one a round.
#[derive(Default)]
pub(crate) struct Results {
    /// Requests a second.
    rates: Vec<f64>,
    /// Requests a second of its own processor time.
    processor_rates: Vec<f64>,
    /// The share of the time that it had a processor.
    busy: Vec<f64>,
}

impl Results {
    pub(crate) fn add(&mut self, turn: Turn) {
        let requests = turn.requests as f64;
        self.rates.push(requests / turn.seconds);
        if let Some(seconds) = turn.processor_seconds {
            self.processor_rates.push(requests / seconds);
            self.busy.push(seconds / turn.seconds);
        }
    }
}

/// Prints what each did, and how it compares with the first, round by round.
pub(crate) fn print<'a>(all: impl Iterator<Item = (&'static str, &'a Results)>, pinning: &Pinning) {
    let all: Vec<_> = all.collect();
    let Some((_, plain)) = all.first() else {
        return;
    };
    println!(
        "{:<32}{:>12}{:>10}{:>16}{:>10}{:>8}",
        "", "requests/s", "of plain", "µs of its core", "of plain", "busy"
    );
    for (name, results) in &all {
        let busy = median(results.busy.clone());
        let microseconds = 1e6 / median(results.processor_rates.clone());
        println!(
            "{name:<32}{:>12.0}{:>10.3}{microseconds:>16.2}{:>10.3}{busy:>8.2}",
            median(results.rates.clone()),
            ratio(&results.rates, &plain.rates),
            ratio(&results.processor_rates, &plain.processor_rates),
        );
    }
    let rounds = plain.rates.len();
    let least_busy = all
        .iter()
        .map(|(_, results)| median(results.busy.clone()))
        .fold(f64::INFINITY, f64::min);
    println!(
        "medians of {rounds} rounds; `of plain` is requests beside the plain proxy's, more is better"
    );
    if let Some(missing) = pinning.missing {
        println!("nothing is pinned to a core: {missing}");
    }
    if least_busy >= FULL {
        println!("every proxy had its core full: requests a second count");
    } else {
        println!(
            "not every proxy had its core full: callers, upstream or others held it up; the second ratio counts, of \
             requests a second of the proxy's own processor time"
        );
    }
}

/// The median of the rounds' ratios.
fn ratio(these: &[f64], those: &[f64]) -> f64 {
    median(
        these
            .iter()
            .zip(those)
            .map(|(this, that)| this / that)
            .collect(),
    )
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    match values.len() {
        0 => f64::NAN,
        count if count % 2 == 1 => values[count / 2],
        count => (values[count / 2 - 1] + values[count / 2]) / 2.0,
    }
}
