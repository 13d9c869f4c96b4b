//! Exported maps and tiles are images that can be told apart.

mod support;

use std::collections::HashSet;
use std::io::Cursor;

use arcgis_stand_in::{StandIn, USERNAME};
use support::{Got, get, parcels, post_form, started};

/// Width, height, and the pixels as red, green, blue and alpha.
fn decoded(got: &Got) -> (u32, u32, Vec<u8>) {
    assert_eq!(got.header("content-type"), "image/png", "{got:?}");
    let mut decoder = png::Decoder::new(Cursor::new(&got.body));
    decoder.set_transformations(png::Transformations::EXPAND | png::Transformations::ALPHA);
    let mut reader = decoder.read_info().unwrap();
    let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
    let info = reader.next_frame(&mut pixels).unwrap();
    assert_eq!(info.color_type, png::ColorType::Rgba);
    (info.width, info.height, pixels)
}

/// The colour of the ground: a pixel within the frame that no text reaches.
fn ground(got: &Got) -> [u8; 4] {
    let (width, _, pixels) = decoded(got);
    let second_pixel_of_second_row = (usize::try_from(width).unwrap() + 1) * 4;
    pixels[second_pixel_of_second_row..][..4]
        .try_into()
        .unwrap()
}

async fn with_token() -> (StandIn, String) {
    let arcgis = started().await;
    let token = arcgis.issue_token(USERNAME, None);
    (arcgis, token)
}

#[tokio::test]
async fn an_export_has_the_size_asked_for() {
    let (arcgis, token) = with_token().await;
    for (query, size) in [
        ("", (400, 400)),
        ("&size=640,480", (640, 480)),
        ("&size=1,1", (1, 1)),
        ("&size=4096,4096", (4096, 4096)),
    ] {
        let path = format!("/export?bbox=0,0,1,1&f=image{query}&token={token}");
        let (width, height, _) = decoded(&get(&parcels(&arcgis, &path)).await);
        assert_eq!((width, height), size, "{query}");
    }
}

#[tokio::test]
async fn an_export_reads_its_parameters_from_a_form_too() {
    let (arcgis, token) = with_token().await;
    arcgis.secure("Elevation/ImageServer");
    let url = arcgis.url("rest/services/Elevation/ImageServer/exportImage");
    let fields = [
        ("bbox", "0,0,2,1"),
        ("size", "20,10"),
        ("f", "image"),
        ("token", token.as_str()),
    ];
    let (width, height, _) = decoded(&post_form(&url, &fields).await);
    assert_eq!((width, height), (20, 10));
}

#[tokio::test]
async fn each_service_has_a_colour_and_each_place_an_image_of_its_own() {
    let (arcgis, token) = with_token().await;
    let mut colours = HashSet::new();
    let mut images = HashSet::new();
    for service in ["Parcels/MapServer", "Zoning/MapServer", "Basemap/MapServer"] {
        let url = arcgis.url(&format!("rest/services/{service}"));
        for bbox in ["0,0,10,10", "0,0,10,11"] {
            let export = get(&format!("{url}/export?f=image&bbox={bbox}&token={token}")).await;
            colours.insert(ground(&export));
            images.insert(export.body);
        }
        for tile in ["3/1/1", "3/1/3", "3/3/1", "4/1/1"] {
            let got = get(&format!("{url}/tile/{tile}?token={token}")).await;
            let (width, height, _) = decoded(&got);
            assert_eq!((width, height), (256, 256));
            colours.insert(ground(&got));
            images.insert(got.body);
        }
    }
    assert_eq!((colours.len(), images.len()), (3, 18));
}

#[tokio::test]
async fn neighbouring_tiles_differ_in_their_shade() {
    let (arcgis, token) = with_token().await;
    let tile = async |tile: &str| {
        ground(&get(&parcels(&arcgis, &format!("/tile/{tile}?token={token}"))).await)
    };
    assert_ne!(tile("3/4/4").await, tile("3/4/5").await);
    assert_ne!(tile("3/4/4").await, tile("3/5/4").await);
    assert_eq!(tile("3/4/4").await, tile("3/5/5").await);
}

#[tokio::test]
async fn the_ground_of_a_transparent_export_lets_the_map_below_shine_through() {
    let (arcgis, token) = with_token().await;
    for (transparent, alpha) in [("true", 0), ("false", 255)] {
        let path = format!("/export?f=image&transparent={transparent}&token={token}");
        assert_eq!(ground(&get(&parcels(&arcgis, &path)).await)[3], alpha);
    }
}

#[tokio::test]
async fn an_export_as_json_says_where_the_image_is_and_what_it_shows() {
    let (arcgis, token) = with_token().await;
    let query = "/export?bbox=0,0,10,10&size=200,100&imageSR=3857";
    let json = get(&parcels(&arcgis, &format!("{query}&f=json&token={token}")))
        .await
        .json();
    assert_eq!(
        (&json["width"], &json["height"]),
        (&200.into(), &100.into())
    );
    // The box is made wider to have the image's proportions.
    let extent = &json["extent"];
    let corners = ["xmin", "ymin", "xmax", "ymax"].map(|name| extent[name].as_f64().unwrap());
    assert_eq!(corners, [-5.0, 0.0, 15.0, 10.0]);
    assert_eq!(extent["spatialReference"]["wkid"], 3857);
    // 0.1 metres a pixel, 96 pixels an inch.
    assert!((json["scale"].as_f64().unwrap() - 377.95).abs() < 0.01);

    let href = json["href"].as_str().unwrap();
    let directory = arcgis.url("rest/directories/arcgisoutput/Parcels_MapServer/");
    assert!(href.starts_with(&directory), "{href}");
    let linked = get(href).await;
    let streamed = get(&parcels(&arcgis, &format!("{query}&f=image&token={token}"))).await;
    assert_eq!(decoded(&linked), decoded(&streamed));
    assert_eq!(get(&format!("{directory}other.png")).await.status, 404);
}

#[tokio::test]
async fn an_export_without_a_format_is_a_page_with_the_image() {
    let (arcgis, token) = with_token().await;
    let page = get(&parcels(&arcgis, &format!("/export?token={token}"))).await;
    assert!(page.header("content-type").starts_with("text/html"));
    let (_, from) = page.text().split_once("<img src=\"").unwrap();
    let (href, _) = from.split_once('"').unwrap();
    assert_eq!(decoded(&get(href).await).0, 400);
}

#[tokio::test]
async fn an_export_that_makes_no_sense_is_refused() {
    let (arcgis, token) = with_token().await;
    for query in [
        "size=0,10",
        "size=-1,10",
        "size=10",
        "size=4097,10",
        "bbox=1,2,3",
        "bbox=10,0,0,10",
        "bbox=0,0,NaN,10",
        "bbox=here",
    ] {
        let path = format!("/export?f=image&{query}&token={token}");
        assert_eq!(get(&parcels(&arcgis, &path)).await.code(), 400, "{query}");
    }
    let path = format!("/tile/1/2/x?token={token}");
    assert_eq!(get(&parcels(&arcgis, &path)).await.code(), 400);
}

#[tokio::test]
async fn images_of_secured_services_ask_for_a_token() {
    let arcgis = started().await;
    for path in ["/export?f=image", "/tile/1/2/3"] {
        assert_eq!(get(&parcels(&arcgis, path)).await.code(), 499, "{path}");
    }
}
