//! The images of maps: made up, but real PNGs, and no two of different services or places alike.

use bytes::Bytes;
use font8x8::legacy::BASIC_LEGACY;

use crate::digest::Digest;

/// Width and height of a glyph at scale 1, in pixels.
const GLYPH: u32 = 8;
/// Pixels between the edge and the text.
const MARGIN: u32 = 6;
/// How many times larger than its glyphs the text may be.
const LARGEST_SCALE: u32 = 4;
const INK: [u8; 3] = [24, 24, 32];

/// What an image shows: a frame and lines of text on a ground in the service's colour.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Picture {
    /// In pixels.
    pub(crate) width: u32,
    /// In pixels.
    pub(crate) height: u32,
    /// The ground's colour comes from this name.
    pub(crate) service: String,
    /// Every other tile is darker, as on a chess board.
    pub(crate) darker: bool,
    /// The ground lets what lies below shine through.
    pub(crate) transparent: bool,
    /// Written from the top left corner; what does not fit is cut off.
    pub(crate) lines: Vec<String>,
}

impl Picture {
    /// The image as PNG.
    pub(crate) fn png(&self) -> Result<Bytes, png::EncodingError> {
        let mut file = Vec::new();
        let mut encoder = png::Encoder::new(&mut file, self.width, self.height);
        encoder.set_color(png::ColorType::Indexed);
        encoder.set_depth(png::BitDepth::One);
        encoder.set_palette([self.ground(), INK].concat());
        if self.transparent {
            encoder.set_trns(vec![0, u8::MAX]);
        }
        let mut writer = encoder.write_header()?;
        writer.write_image_data(&self.draw().rows)?;
        writer.finish()?;
        Ok(Bytes::from(file))
    }

    fn ground(&self) -> [u8; 3] {
        let colour = colour_of(&self.service);
        if self.darker {
            colour.map(|channel| channel - channel / 6)
        } else {
            colour
        }
    }

    fn draw(&self) -> Bitmap {
        let mut bitmap = Bitmap::new(self.width, self.height);
        for x in 0..self.width {
            bitmap.set(x, 0);
            bitmap.set(x, self.height - 1);
        }
        for y in 0..self.height {
            bitmap.set(0, y);
            bitmap.set(self.width - 1, y);
        }
        let scale = self.scale();
        let mut y = MARGIN;
        for line in &self.lines {
            let mut x = MARGIN;
            for character in line.chars() {
                bitmap.glyph(character, x, y, scale);
                x = x.saturating_add(GLYPH * scale);
            }
            y = y.saturating_add((GLYPH + 2) * scale);
        }
        bitmap
    }

    /// The largest scale at which all lines fit.
    fn scale(&self) -> u32 {
        let count = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
        let longest = self.lines.iter().map(|line| line.chars().count()).max();
        let width = count(longest.unwrap_or(0)).max(1).saturating_mul(GLYPH);
        let height = count(self.lines.len()).max(1).saturating_mul(GLYPH + 2);
        let room = |side: u32| side.saturating_sub(2 * MARGIN);
        (room(self.width) / width)
            .min(room(self.height) / height)
            .clamp(1, LARGEST_SCALE)
    }
}

/// A light colour whose hue comes from `name`.
fn colour_of(name: &str) -> [u8; 3] {
    const LOW: u64 = 120;
    const HIGH: u64 = 240;
    let mut digest = Digest::new();
    digest.update(name.as_bytes());
    // One of 36 hues: neighbours can be told apart.
    let hue = digest.value() % 36 * 10;
    // Within each sixth of the circle one channel is high, one low, and one goes from one to the other.
    let step = (hue % 60) * (HIGH - LOW) / 60;
    let (rising, falling) = (LOW + step, HIGH - step);
    let channels = match hue / 60 {
        0 => [HIGH, rising, LOW],
        1 => [falling, HIGH, LOW],
        2 => [LOW, HIGH, rising],
        3 => [LOW, falling, HIGH],
        4 => [rising, LOW, HIGH],
        _ => [HIGH, LOW, falling],
    };
    channels.map(|channel| u8::try_from(channel).unwrap_or(u8::MAX))
}

/// Rows of bits, each row filled up to a whole byte, as PNG has them at one bit a pixel.
struct Bitmap {
    width: u32,
    height: u32,
    rows: Vec<u8>,
}

impl Bitmap {
    fn new(width: u32, height: u32) -> Self {
        let length = row_length(width).saturating_mul(index(height));
        Self {
            width,
            height,
            rows: vec![0; length],
        }
    }

    /// Inks a pixel; outside of the image nothing happens.
    fn set(&mut self, x: u32, y: u32) {
        if x < self.width && y < self.height {
            let byte = index(y) * row_length(self.width) + index(x / 8);
            self.rows[byte] |= 0x80 >> (x % 8);
        }
    }

    fn glyph(&mut self, character: char, left: u32, top: u32, scale: u32) {
        let code = usize::try_from(u32::from(character)).unwrap_or(usize::MAX);
        let glyph = BASIC_LEGACY
            .get(code)
            .unwrap_or(&BASIC_LEGACY[usize::from(b'?')]);
        for (row, bits) in (0_u32..).zip(glyph) {
            for column in (0..GLYPH).filter(|column| bits >> column & 1 == 1) {
                for dy in 0..scale {
                    for dx in 0..scale {
                        self.set(left + column * scale + dx, top + row * scale + dy);
                    }
                }
            }
        }
    }
}

fn row_length(width: u32) -> usize {
    index(width.div_ceil(8))
}

fn index(number: u32) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_services_of_every_stand_in_have_colours_of_their_own() {
        let names = [
            "Parcels/MapServer",
            "Water/FeatureServer",
            "Zoning/MapServer",
            "Basemap/MapServer",
        ];
        let mut colours = names.map(colour_of).to_vec();
        colours.sort_unstable();
        colours.dedup();
        assert_eq!(colours.len(), names.len(), "{colours:?}");
    }

    #[test]
    fn an_image_of_one_pixel_can_be_made() {
        let picture = Picture {
            width: 1,
            height: 1,
            service: String::new(),
            darker: false,
            transparent: false,
            lines: vec!["too long".to_owned()],
        };
        assert!(picture.png().is_ok());
    }
}
