//! What requests cost in instructions, held against the limits in `benches/instructions.txt`. Run by
//! `cargo test --test instructions -- --ignored`; needs valgrind and `gungraun-runner`.

use std::{
    collections::HashMap,
    fmt::Write,
    process::{Command, Stdio},
};

use serde_json::Value;

/// How many times the bench does what it counts.
const TIMES: f64 = 1000.0;

/// A line of the table of limits.
struct Limit<'a> {
    case: &'a str,
    baseline: &'a str,
    at_most: Option<f64>,
    aim: &'a str,
}

fn limits(table: &str) -> Vec<Limit<'_>> {
    let lines = table.lines().filter(|line| !line.starts_with('#'));
    lines
        .map(|line| {
            let columns: Vec<&str> = line.split_whitespace().collect();
            let [case, baseline, at_most, aim] = columns[..] else {
                panic!("a line of four columns: {line}");
            };
            let at_most = (at_most != "-").then(|| at_most.parse().unwrap());
            Limit {
                case,
                baseline,
                at_most,
                aim,
            }
        })
        .collect()
}

/// The counts by the names of the cases, from what the bench prints: a summary in JSON on each line.
fn counts(output: &str) -> HashMap<String, f64> {
    let summaries = output
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok());
    summaries
        .filter_map(|summary| {
            let total =
                summary.pointer("/profiles/0/summaries/total/summary/Callgrind/Ir/metrics")?;
            let count = total
                .pointer("/Left/Int")
                .or(total.pointer("/Both/0/Int"))?;
            let case = summary.get("id")?.as_str()?.to_owned();
            Some((case, count.as_f64()? / TIMES))
        })
        .collect()
}

/// All cases beside their limits, and what is wrong with them.
fn compare(limits: &[Limit<'_>], counts: &HashMap<String, f64>) -> (String, Vec<String>) {
    let mut table = format!(
        "{:26}{:>10}{:>10}{:>10}\n",
        "case", "costs", "at most", "aim"
    );
    let mut wrong = Vec::new();
    for Limit {
        case,
        baseline,
        at_most,
        aim,
    } in limits
    {
        let (Some(count), Some(bare)) = (counts.get(*case), counts.get(*baseline)) else {
            wrong.push(format!("{case} or {baseline} was not measured"));
            continue;
        };
        let costs = count - bare;
        let limit = at_most.map_or("-".to_owned(), |most| most.to_string());
        writeln!(table, "{case:26}{costs:>10.0}{limit:>10}{aim:>10}").unwrap();
        if let Some(most) = at_most.filter(|most| costs > *most) {
            wrong.push(format!(
                "{case} costs {costs:.0} instructions, and may cost {most} at most"
            ));
        }
    }
    (table, wrong)
}

#[test]
#[ignore = "needs valgrind and gungraun-runner"]
fn no_request_costs_more_than_its_limit() {
    let cargo = std::env::var_os("CARGO").unwrap_or("cargo".into());
    let mut bench = Command::new(cargo);
    // What cargo tells a test of its package would make it build again what was built without it.
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        if text.starts_with("CARGO_PKG_") || text.starts_with("CARGO_MANIFEST_") {
            bench.env_remove(name);
        }
    }
    // For the whole workspace, as `cargo bench` at its root is: with other features the compiler makes other code of it.
    let bench = bench
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .args([
            "bench",
            "--bench",
            "instructions",
            "--",
            "--output-format=json",
        ])
        .stderr(Stdio::inherit())
        .output()
        .unwrap();
    assert!(bench.status.success(), "the bench ran");
    let counts = counts(&String::from_utf8_lossy(&bench.stdout));
    let limits = limits(include_str!("../benches/instructions.txt"));
    let (table, wrong) = compare(&limits, &counts);
    println!("{table}");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn what_costs_too_much_is_named_with_its_count_and_its_limit() {
    let table = "# note\nfree bare 100 50\ndear bare 100 -\npeer bare - -\nlost bare 1 -";
    let counts = [
        ("bare", 7000.0),
        ("free", 7100.0),
        ("dear", 7101.0),
        ("peer", 9000.0),
    ];
    let counts = counts.map(|(case, count)| (case.to_owned(), count)).into();
    let (shown, wrong) = compare(&limits(table), &counts);
    assert_eq!(
        wrong,
        [
            "dear costs 101 instructions, and may cost 100 at most",
            "lost or bare was not measured"
        ]
    );
    let cases = ["free", "100", "50", "dear", "101", "peer", "2000"];
    assert!(cases.iter().all(|shows| shown.contains(shows)), "{shown}");
}

#[test]
fn counts_are_read_from_the_summaries() {
    let summary = |metrics: &str| {
        format!(
            r#"{{"id":"x","profiles":[{{"summaries":{{"total":{{"summary":{{"Callgrind":{{"Ir":{{"metrics":{metrics}}}}}}}}}}}}}]}}"#
        )
    };
    for metrics in [
        r#"{"Left":{"Int":5000}}"#,
        r#"{"Both":[{"Int":5000},{"Int":1}]}"#,
    ] {
        let output = format!("some words\n{}\n", summary(metrics));
        assert_eq!(counts(&output), HashMap::from([("x".to_owned(), 5.0)]));
    }
}
