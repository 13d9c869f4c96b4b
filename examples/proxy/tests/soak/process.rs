//! What `/proc` says of the proxy: its memory and its open files, second by second.

use std::{fmt, fs};

/// What is in use goes up and down with the callers: a tenth, and a little.
const PART: f64 = 1.1;
const MEBIBYTES: f64 = 4.0;
const FILES: f64 = 4.0;

#[derive(Default)]
pub(crate) struct Samples {
    process_id: u32,
    mebibytes: Vec<f64>,
    files: Vec<f64>,
}

impl Samples {
    pub(crate) fn of(process_id: u32) -> Self {
        Self {
            process_id,
            ..Self::default()
        }
    }

    pub(crate) fn take(&mut self) {
        self.mebibytes.push(resident_mebibytes(self.process_id));
        self.files.push(open_files(self.process_id) as f64);
    }

    pub(crate) fn count(&self) -> usize {
        self.files.len()
    }

    /// Fails if the last third has more of anything than the first, on average.
    pub(crate) fn assert_flat(&self) {
        for (values, little) in [(&self.mebibytes, MEBIBYTES), (&self.files, FILES)] {
            let [first, _, last] = thirds(values);
            assert!(last <= first * PART + little, "{self}");
        }
    }
}

impl fmt::Display for Samples {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [memory, files] = [&self.mebibytes, &self.files].map(|values| thirds(values));
        write!(
            formatter,
            "means of each third: {memory:.1?} MiB resident, {files:.1?} open files"
        )
    }
}

pub(crate) fn open_files(process_id: u32) -> usize {
    fs::read_dir(format!("/proc/{process_id}/fd"))
        .unwrap()
        .count()
}

fn resident_mebibytes(process_id: u32) -> f64 {
    let status = fs::read_to_string(format!("/proc/{process_id}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kibibytes = line.unwrap().trim().trim_end_matches(" kB");
    kibibytes.parse::<f64>().unwrap() / 1024.0
}

fn thirds(values: &[f64]) -> [f64; 3] {
    let third = values.len() / 3;
    [0, 1, 2].map(|number| {
        let values = &values[number * third..(number + 1) * third];
        values.iter().sum::<f64>() / third as f64
    })
}
