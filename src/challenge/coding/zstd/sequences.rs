//! The sequences of a block: so many literals, then a copy of what was decoded before (RFC 8878, 3.1.1.3.2).

use super::{
    bits::Backward,
    fse::{Counts, State, Table},
};

/// Where the values of a length's code begin, and how many bits tell which one it is.
type Lengths<const N: usize> = [(u32, u8); N];

#[rustfmt::skip]
const LITERALS: Lengths<36> = [
    (0, 0), (1, 0), (2, 0), (3, 0), (4, 0), (5, 0), (6, 0), (7, 0), (8, 0), (9, 0), (10, 0),
    (11, 0), (12, 0), (13, 0), (14, 0), (15, 0), (16, 1), (18, 1), (20, 1), (22, 1), (24, 2),
    (28, 2), (32, 3), (40, 3), (48, 4), (64, 6), (128, 7), (256, 8), (512, 9), (1024, 10),
    (2048, 11), (4096, 12), (8192, 13), (16384, 14), (32768, 15), (65536, 16),
];
#[rustfmt::skip]
const MATCHES: Lengths<53> = [
    (3, 0), (4, 0), (5, 0), (6, 0), (7, 0), (8, 0), (9, 0), (10, 0), (11, 0), (12, 0), (13, 0),
    (14, 0), (15, 0), (16, 0), (17, 0), (18, 0), (19, 0), (20, 0), (21, 0), (22, 0), (23, 0),
    (24, 0), (25, 0), (26, 0), (27, 0), (28, 0), (29, 0), (30, 0), (31, 0), (32, 0), (33, 0),
    (34, 0), (35, 1), (37, 1), (39, 1), (41, 1), (43, 2), (47, 2), (51, 3), (59, 3), (67, 4),
    (83, 4), (99, 5), (131, 7), (259, 8), (515, 9), (1027, 10), (2051, 11), (4099, 12), (8195, 13),
    (16387, 14), (32771, 15), (65539, 16),
];

/// The counts that a block may refer to instead of giving its own.
const LITERAL_COUNTS: [i16; 36] = [
    4, 3, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 1, 1, 1, 2, 2, 2, 2, 2, 2, 2, 2, 2, 3, 2, 1, 1, 1, 1, 1,
    -1, -1, -1, -1,
];
const MATCH_COUNTS: [i16; 53] = [
    1, 4, 3, 2, 2, 2, 2, 2, 2, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1,
    1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, -1, -1, -1, -1, -1, -1, -1,
];
const OFFSET_COUNTS: [i16; 29] = [
    1, 1, 1, 1, 1, 1, 2, 2, 2, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, -1, -1, -1, -1, -1,
];

/// What a frame's blocks pass on from one to the next.
#[derive(Debug, Default)]
pub(super) struct History {
    literals: Table<512>,
    matches: Table<512>,
    offsets: Table<256>,
    /// The last offsets, newest first.
    last: [u32; 3],
}

impl History {
    pub(super) fn start(&mut self) {
        self.literals.forget();
        self.matches.forget();
        self.offsets.forget();
        self.last = [1, 4, 8];
    }
}

/// One sequence.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sequence {
    pub(super) literals: usize,
    pub(super) copied: usize,
    /// How far back the copy begins.
    pub(super) offset: usize,
}

/// The sequences of one block, decoded as they are asked for.
#[derive(Debug)]
pub(super) struct Sequences<'a> {
    history: &'a mut History,
    bits: Backward<'a>,
    states: Option<[State; 3]>,
    left: usize,
}

impl<'a> Sequences<'a> {
    pub(super) fn read(bytes: &'a [u8], history: &'a mut History) -> Option<Self> {
        let (left, rest) = match *bytes {
            [0, ..] => (0, bytes.get(1..)?),
            [count @ 1..=127, ref rest @ ..] => (usize::from(count), rest),
            [high @ 128..=254, low, ref rest @ ..] => {
                ((usize::from(high) - 128) << 8 | usize::from(low), rest)
            }
            [255, low, high, ref rest @ ..] => {
                ((usize::from(low) | usize::from(high) << 8) + 0x7F00, rest)
            }
            _ => return None,
        };
        if left == 0 {
            return Some(Self {
                history,
                bits: Backward::default(),
                states: None,
                left,
            });
        }
        let (&modes, rest) = rest.split_first()?;
        if modes & 3 != 0 {
            return None;
        }
        let rest = table(
            &mut history.literals,
            modes >> 6,
            rest,
            &LITERAL_COUNTS,
            6,
            9,
            35,
        )?;
        let rest = table(
            &mut history.offsets,
            modes >> 4 & 3,
            rest,
            &OFFSET_COUNTS,
            5,
            8,
            31,
        )?;
        let rest = table(
            &mut history.matches,
            modes >> 2 & 3,
            rest,
            &MATCH_COUNTS,
            6,
            9,
            52,
        )?;
        let mut bits = Backward::new(rest)?;
        let states = [
            State::first(&history.literals, &mut bits)?,
            State::first(&history.offsets, &mut bits)?,
            State::first(&history.matches, &mut bits)?,
        ];
        Some(Self {
            history,
            bits,
            states: Some(states),
            left,
        })
    }

    pub(super) fn is_over(&self) -> bool {
        self.left == 0
    }

    /// The next sequence; `None` where the block is broken.
    pub(super) fn next(&mut self) -> Option<Sequence> {
        self.left = self.left.checked_sub(1)?;
        let History {
            literals,
            matches,
            offsets,
            last,
        } = &mut *self.history;
        let [literal, offset, matched] = self.states.as_mut()?;
        let bits = &mut self.bits;

        let code = u32::from(offset.symbol(offsets));
        if code > 31 {
            return None;
        }
        let offset_value = u64::from(bits.read(code)?) + (1 << code);
        let (base, extra) = *MATCHES.get(usize::from(matched.symbol(matches)))?;
        let copied = base + bits.read(extra.into())?;
        let (base, extra) = *LITERALS.get(usize::from(literal.symbol(literals)))?;
        let literal_count = base + bits.read(extra.into())?;
        let went_on = self.left == 0
            || (literal.next(literals, bits)
                && matched.next(matches, bits)
                && offset.next(offsets, bits));
        if !went_on {
            return None;
        }

        let offset = take_offset(last, offset_value, literal_count == 0)?;
        Some(Sequence {
            literals: literal_count as usize,
            copied: copied as usize,
            offset: offset as usize,
        })
    }
}

/// What a value that stands for an offset means, and what becomes of the last ones by it (RFC 8878, 3.1.1.5).
fn take_offset(last: &mut [u32; 3], value: u64, without_literals: bool) -> Option<u32> {
    // Up to 3 it is one of the last ones. Without literals the newest would only go on with the copy before.
    let recent = value as usize - 1 + usize::from(without_literals);
    let (offset, moved) = match value {
        4.. => (u32::try_from(value - 3).ok()?, 2),
        _ if recent == 3 => (last[0].checked_sub(1)?, 2),
        _ => (*last.get(recent)?, recent),
    };
    last.copy_within(..moved, 1);
    last[0] = offset;
    Some(offset)
}

/// Makes ready the table of one of the three codes, and gives what is behind its description.
fn table<'a, const N: usize>(
    table: &mut Table<N>,
    mode: u8,
    bytes: &'a [u8],
    preset: &[i16],
    preset_log: u32,
    max_log: u32,
    max_symbol: usize,
) -> Option<&'a [u8]> {
    match mode {
        0 => {
            table.build(&Counts::preset(preset, preset_log))?;
            Some(bytes)
        }
        1 => {
            let (&symbol, rest) = bytes.split_first()?;
            table.set_only(symbol);
            Some(rest)
        }
        2 => {
            let (counts, used) = Counts::read(bytes, max_symbol, max_log)?;
            table.build(&counts)?;
            bytes.get(used..)
        }
        _ => table.is_ready().then_some(bytes),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_offset_is_new_or_one_of_the_last_three() {
        for (value, without_literals, offset, last) in [
            (1, false, 10, [10, 20, 30]),
            (2, false, 20, [20, 10, 30]),
            (3, false, 30, [30, 10, 20]),
            (4, false, 1, [1, 10, 20]),
            (1, true, 20, [20, 10, 30]),
            (2, true, 30, [30, 10, 20]),
            (3, true, 9, [9, 10, 20]),
            (100, true, 97, [97, 10, 20]),
        ] {
            let mut history = [10, 20, 30];
            let taken = take_offset(&mut history, value, without_literals);
            assert_eq!((taken, history), (Some(offset), last), "{value}");
        }
    }
}
