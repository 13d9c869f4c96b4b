//! Maps as images: `export` and `exportImage`, tiles, and the output directory that an `href` points to.
//!
//! Parameters and answers are those of Esri's REST API reference, "Export Map" and "Map Tile".

use std::collections::VecDeque;

use serde_json::{Value, json};

use crate::answer::{self, Answer, PNG};
use crate::pages;
use crate::picture::Picture;
use crate::request_parts::{RequestBody, RequestHead};
use crate::state::{State, lock};
use crate::token_text::TokenTexts;

/// Where exported images lie.
pub(crate) const OUTPUT: &str = "/arcgis/rest/directories/arcgisoutput";
/// How many exported images are remembered.
const KEPT: usize = 1_000;
/// The longest side of an image, in pixels: what ArcGIS Server allows unless configured otherwise.
const LONGEST_SIDE: u32 = 4_096;
/// Width and height of a tile, in pixels.
const TILE: u32 = 256;
/// The extent of an export that names none: the whole world in degrees.
const WORLD: [f64; 4] = [-180.0, -90.0, 180.0, 90.0];
const DEGREES: i64 = 4326;

/// Images that were exported as a link: described, and drawn when they are asked for.
#[derive(Debug, Default)]
pub(crate) struct Output {
    names: TokenTexts,
    kept: VecDeque<(String, Picture)>,
}

impl Output {
    fn keep(&mut self, picture: Picture) -> String {
        let folder = picture.service.replace('/', "_");
        let path = format!("{OUTPUT}/{folder}/_ags_map{}.png", self.names.of_length(32));
        if self.kept.len() == KEPT {
            self.kept.pop_front();
        }
        self.kept.push_back((path.clone(), picture));
        path
    }

    fn find(&self, path: &str) -> Option<Picture> {
        self.kept
            .iter()
            .find(|(known, _)| known == path)
            .map(|(_, picture)| picture.clone())
    }
}

/// What is asked of `export` or `exportImage`.
struct Export {
    size: [u32; 2],
    extent: [f64; 4],
    wkid: i64,
    transparent: bool,
}

impl Export {
    /// None if a parameter is not what it should be. Absent ones have the defaults of the REST API; an absent `bbox`,
    /// which a real server asks for, is the whole world.
    fn read<'a>(parameter: impl Fn(&str) -> Option<&'a str>) -> Option<Self> {
        let size = parameter("size").map_or(Some([400, 400]), numbers)?;
        let bbox = parameter("bbox").map_or(Some(WORLD), numbers)?;
        let valid = size.iter().all(|side| *side > 0)
            && bbox.iter().all(|number: &f64| number.is_finite())
            && bbox[0] < bbox[2]
            && bbox[1] < bbox[3];
        valid.then(|| Self {
            size,
            extent: fitted(bbox, size),
            wkid: parameter("imageSR")
                .or_else(|| parameter("bboxSR"))
                .and_then(wkid)
                .unwrap_or(DEGREES),
            transparent: parameter("transparent") == Some("true"),
        })
    }

    fn picture(&self, service: &str) -> Picture {
        let [width, height] = self.size;
        let mut lines = title(service);
        lines.push(format!("{width}x{height}"));
        let names = ["xmin", "ymin", "xmax", "ymax"];
        lines.extend(
            names
                .iter()
                .zip(self.extent)
                .map(|(name, value)| format!("{name} {value:.4}")),
        );
        Picture {
            width,
            height,
            service: service.to_owned(),
            darker: false,
            transparent: self.transparent,
            lines,
        }
    }

    fn json(&self, href: &str) -> Value {
        let [xmin, ymin, xmax, ymax] = self.extent;
        let metres = if self.wkid == DEGREES {
            111_319.49
        } else {
            1.0
        };
        // At 96 pixels an inch.
        let scale = (xmax - xmin) * metres / f64::from(self.size[0]) * 96.0 / 0.0254;
        json!({
            "href": href,
            "width": self.size[0],
            "height": self.size[1],
            "extent": {
                "xmin": xmin, "ymin": ymin, "xmax": xmax, "ymax": ymax,
                "spatialReference": { "wkid": self.wkid },
            },
            "scale": scale,
        })
    }
}

/// So many numbers with commas between them.
fn numbers<T: std::str::FromStr, const N: usize>(text: &str) -> Option<[T; N]> {
    let numbers: Vec<T> = text
        .split(',')
        .map(|number| number.trim().parse().ok())
        .collect::<Option<_>>()?;
    numbers.try_into().ok()
}

/// The code of a spatial reference: a number, or JSON with a `wkid`.
fn wkid(text: &str) -> Option<i64> {
    let value: Value = serde_json::from_str(text).ok()?;
    value.as_i64().or_else(|| value["wkid"].as_i64())
}

/// `bbox` made wider or higher, so that it has the image's proportions.
fn fitted(bbox: [f64; 4], size: [u32; 2]) -> [f64; 4] {
    let [xmin, ymin, xmax, ymax] = bbox;
    let [width, height] = size.map(f64::from);
    let pixel = ((xmax - xmin) / width).max((ymax - ymin) / height);
    let wider = (pixel * width - (xmax - xmin)) / 2.0;
    let higher = (pixel * height - (ymax - ymin)) / 2.0;
    [xmin - wider, ymin - higher, xmax + wider, ymax + higher]
}

/// The answer to `export` or `exportImage` of `service`: the image, or where it is.
pub(crate) fn export(
    state: &State,
    head: &RequestHead,
    body: &RequestBody,
    service: &str,
) -> Answer {
    let parameter = |name: &str| head.query.get(name).or_else(|| body.form.get(name));
    let Some(export) = Export::read(parameter) else {
        return answer::error(400, "Invalid or missing input parameters.");
    };
    if export.size.iter().any(|side| *side > LONGEST_SIDE) {
        return answer::error(400, "The requested image exceeds the size limit.");
    }
    let picture = export.picture(service);
    if parameter("f") == Some("image") {
        return image(&picture);
    }
    let path = lock(&state.output).keep(picture);
    let href = format!("{}{path}", head.origin());
    match parameter("f") {
        Some("json" | "pjson") => answer::json(&export.json(&href)),
        _ => answer::html(pages::exported(&head.path, &href)),
    }
}

/// The tile of `service` at the end of the path, if there is one: `…/tile/<level>/<row>/<column>`.
pub(crate) fn tile(service: &str, segments: &[&str]) -> Option<Answer> {
    let [.., "tile", level, row, column] = segments else {
        return None;
    };
    let [level, row, column] = match [level, row, column].map(|number| number.parse::<u32>()) {
        [Ok(level), Ok(row), Ok(column)] => [level, row, column],
        _ => return Some(answer::error(400, "Invalid URL")),
    };
    let mut lines = title(service);
    lines.extend([
        format!("level {level}"),
        format!("row {row}"),
        format!("column {column}"),
    ]);
    Some(image(&Picture {
        width: TILE,
        height: TILE,
        service: service.to_owned(),
        darker: (row ^ column) & 1 == 1,
        transparent: false,
        lines,
    }))
}

/// A line for each part of a service's name: short lines are written large.
fn title(service: &str) -> Vec<String> {
    service.split('/').map(str::to_owned).collect()
}

/// What lies in the output directory. It asks for no token: names that cannot be guessed are all that protects it.
pub(crate) fn output(state: &State, path: &str) -> Answer {
    // Found before it is drawn, so that the lock is not held meanwhile.
    let picture = lock(&state.output).find(path);
    picture.map_or_else(answer::not_found, |picture| image(&picture))
}

fn image(picture: &Picture) -> Answer {
    match picture.png() {
        Ok(png) => answer::bytes(PNG, png),
        Err(error) => answer::error(500, &format!("The image cannot be drawn: {error}")),
    }
}
