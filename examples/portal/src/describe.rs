//! Which pictures show a whole map: asked of the service itself, as the person who is to see it.

use http_body_util::{BodyExt, Limited};
use serde::Deserialize;
use serde_json::Value;

use crate::{
    gis::Gis,
    maps::{Drawn, MapService},
    people::Person,
};

/// Services with many layers describe themselves at length.
const LONGEST_DESCRIPTION: usize = 8 * 1024 * 1024;
/// An exported image, in pixels.
const SIZE: [u32; 2] = [512, 320];
/// Tiles in each direction.
const TILES: u32 = 2;
/// The level at which the usual tiles of the whole world are two by two.
const WORLD_LEVEL: u32 = 1;

/// One image of a map.
pub(crate) struct Picture {
    pub(crate) src: String,
    pub(crate) width: u32,
    pub(crate) height: u32,
}

/// What a service says of itself: Esri's REST API reference, "Map Service" and "Image Service". What is left out, or no
/// number, is as if it were not there.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Description {
    error: Option<Value>,
    full_extent: Option<Extent>,
    extent: Option<Extent>,
    tile_info: Option<TileInfo>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Extent {
    // `"NaN"` where a map is empty.
    xmin: Value,
    ymin: Value,
    xmax: Value,
    ymax: Value,
    spatial_reference: SpatialReference,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct SpatialReference {
    wkid: Option<i64>,
}

#[derive(Debug, Deserialize)]
struct TileInfo {
    rows: u32,
    cols: u32,
    origin: Point,
    lods: Vec<Level>,
}

#[derive(Debug, Deserialize)]
struct Point {
    x: f64,
    y: f64,
}

#[derive(Debug, Deserialize)]
struct Level {
    level: u32,
    /// Map units to a pixel.
    resolution: f64,
}

/// The pictures of the map with this number. An error is for people to read.
pub(crate) async fn pictures(
    gis: &Gis,
    person: &Person,
    number: usize,
    map: &MapService,
) -> Result<Vec<Picture>, &'static str> {
    let url = format!("{}?f=json", map.url());
    let response = gis.get(&url, "application/json", person).await?;
    let body = Limited::new(response.into_body(), LONGEST_DESCRIPTION).collect();
    let unusable = "The server's answer is not that of a map service.";
    let text = body.await.map_err(|error| {
        tracing::warn!(
            error,
            url = map.url(),
            "the description of a service broke off"
        );
        unusable
    })?;
    let description: Description = serde_json::from_slice(&text.to_bytes()).map_err(|error| {
        tracing::warn!(%error, url = map.url(), "a service does not describe itself");
        unusable
    })?;
    if let Some(error) = &description.error {
        let code = error.get("code").and_then(Value::as_i64);
        tracing::warn!(code, url = map.url(), "a service answers with an error");
        return Err("The server does not show this map to your account.");
    }
    Ok(match map.drawn {
        Drawn::Exported => vec![exported(number, &description)],
        Drawn::Tiled => tiled(number, &description),
    })
}

fn exported(number: usize, description: &Description) -> Picture {
    let [width, height] = SIZE;
    let whole = description.whole();
    let (numbers, reference) = match whole.and_then(|extent| Some((extent.numbers()?, extent))) {
        Some((numbers, extent)) => (numbers, extent.spatial_reference.wkid),
        // The world, in degrees.
        None => ([-180.0, -90.0, 180.0, 90.0], Some(4326)),
    };
    let [xmin, ymin, xmax, ymax] = numbers;
    // Without a number the extent is in the map's own reference, which is what is taken then.
    let reference = reference.map_or_else(String::new, |wkid| format!("&bboxSR={wkid}"));
    Picture {
        src: format!(
            "/maps/{number}/export?bbox={xmin},{ymin},{xmax},{ymax}{reference}&size={width},{height}&format=png"
        ),
        width,
        height,
    }
}

/// Two rows of two tiles: those at the middle of the map, on the last level at which it is no larger than they are.
fn tiled(number: usize, description: &Description) -> Vec<Picture> {
    let whole = description.whole().and_then(Extent::numbers);
    let info = description.tile_info.as_ref();
    let first = whole
        .zip(info)
        .and_then(|(whole, info)| info.middle_of(whole));
    let (level, first_row, first_column) = first.unwrap_or((WORLD_LEVEL, 0, 0));
    let [width, height] = info.map_or([256, 256], |info| [info.cols, info.rows]);
    let places = (0..TILES).flat_map(|row| (0..TILES).map(move |column| (row, column)));
    places
        .map(|(row, column)| Picture {
            src: format!(
                "/maps/{number}/tile/{level}/{}/{}",
                first_row.saturating_add(row),
                first_column.saturating_add(column)
            ),
            width,
            height,
        })
        .collect()
}

impl Description {
    fn whole(&self) -> Option<&Extent> {
        self.full_extent.as_ref().or(self.extent.as_ref())
    }
}

impl Extent {
    fn numbers(&self) -> Option<[f64; 4]> {
        let numbers = [&self.xmin, &self.ymin, &self.xmax, &self.ymax].map(Value::as_f64);
        let numbers = [numbers[0]?, numbers[1]?, numbers[2]?, numbers[3]?];
        (numbers[0] < numbers[2] && numbers[1] < numbers[3]).then_some(numbers)
    }
}

impl TileInfo {
    /// Level, row and column of the first of the tiles.
    fn middle_of(&self, [xmin, ymin, xmax, ymax]: [f64; 4]) -> Option<(u32, u32, u32)> {
        let tile = |level: &Level| {
            let width = level.resolution * f64::from(self.cols);
            let height = level.resolution * f64::from(self.rows);
            (width, height)
        };
        let most = f64::from(TILES);
        // Servers round the extent of the world.
        let largest = most * 1.01;
        let fits = |level: &&Level| {
            let (width, height) = tile(level);
            width > 0.0 && xmax - xmin <= largest * width && ymax - ymin <= largest * height
        };
        let level = self.lods.iter().rfind(fits).or(self.lods.first())?;
        let (width, height) = tile(level);
        // The tile whose lower right corner is nearest to the middle. Casts saturate: what is left of the origin is tile 0.
        let first = |distance: f64, side: f64| (distance / side - most / 2.0).round() as u32;
        let row = first(self.origin.y - (ymin + ymax) / 2.0, height);
        let column = first((xmin + xmax) / 2.0 - self.origin.x, width);
        Some((level.level, row, column))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn description(json: Value) -> Description {
        serde_json::from_value(json).unwrap()
    }

    fn sources(pictures: &[Picture]) -> Vec<&str> {
        pictures
            .iter()
            .map(|picture| picture.src.as_str())
            .collect()
    }

    const WORLD: f64 = 20_037_508.342_787;

    fn tiles_of_the_world(extent: Value) -> Description {
        let lods = (0..5).map(|level: i32| {
            json!({ "level": level, "resolution": 156_543.033_928 / f64::from(2_i32.pow(level as u32)) })
        });
        description(json!({
            "fullExtent": extent,
            "tileInfo": {
                "rows": 256, "cols": 256, "origin": { "x": -WORLD, "y": WORLD },
                "lods": lods.collect::<Vec<_>>(),
            },
        }))
    }

    #[test]
    fn an_export_shows_the_full_extent_in_its_own_reference() {
        let extent = json!({ "xmin": 1.5, "ymin": 2, "xmax": 3, "ymax": 4, "spatialReference": { "wkid": 31256, "latestWkid": 31256 } });
        let picture = exported(3, &description(json!({ "fullExtent": extent })));
        assert_eq!(
            picture.src,
            "/maps/3/export?bbox=1.5,2,3,4&bboxSR=31256&size=512,320&format=png"
        );
    }

    #[test]
    fn an_export_of_a_map_without_an_extent_shows_the_world() {
        let empty = json!({ "xmin": "NaN", "ymin": "NaN", "xmax": "NaN", "ymax": "NaN" });
        for description in [json!({}), json!({ "fullExtent": empty })] {
            let picture = exported(0, &self::description(description));
            assert!(picture.src.contains("bbox=-180,-90,180,90&bboxSR=4326"));
        }
    }

    #[test]
    fn tiles_show_the_whole_world_or_the_middle_of_a_city() {
        let world = json!({ "xmin": -WORLD, "ymin": -WORLD, "xmax": WORLD, "ymax": WORLD });
        let world = tiled(1, &tiles_of_the_world(world));
        assert_eq!(
            sources(&world),
            [
                "/maps/1/tile/1/0/0",
                "/maps/1/tile/1/0/1",
                "/maps/1/tile/1/1/0",
                "/maps/1/tile/1/1/1"
            ]
        );
        // Around Vienna: in the middle of four tiles of the last level, near column 8.7 and row 5.5 of 16.
        let city =
            json!({ "xmin": 1_800_000, "ymin": 6_120_000, "xmax": 1_840_000, "ymax": 6_160_000 });
        let city = tiled(1, &tiles_of_the_world(city));
        assert_eq!(sources(&city)[0], "/maps/1/tile/4/5/8");
        assert_eq!(sources(&city)[3], "/maps/1/tile/4/6/9");
    }

    #[test]
    fn tiles_of_a_service_that_says_nothing_are_those_of_the_world() {
        assert_eq!(
            sources(&tiled(0, &description(json!({}))))[0],
            "/maps/0/tile/1/0/0"
        );
    }
}
