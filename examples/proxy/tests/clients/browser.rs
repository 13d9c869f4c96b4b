//! A web map in a real browser: esri-leaflet in Chromium, on a page of another origin than the proxy's.

use serde_json::{Value, json};

use crate::{LAYER, Served, TREES, run_script, support::Parrot};

const PAGE: &str = concat!(
    "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nConnection: close\r\n\r\n",
    include_str!("map.html")
);

fn assert_all_trees_are_seen_and_no_login(found: &Value) {
    let each_by_itself: Vec<[u64; 1]> = TREES.iter().map(|&id| [id]).collect();
    assert_eq!(found["drawn"], json!(each_by_itself), "{found}");
    assert_eq!(found["refreshed"], json!(each_by_itself), "{found}");
    assert_eq!(found["far"], json!(TREES), "{found}");
    assert_eq!(found["odd"], json!([]), "{found}");
    assert_eq!(found["prompts"], json!([]), "{found}");
    assert_eq!(found["events"]["errors"], json!([]), "{found}");
    assert_eq!(found["events"]["loginsAskedFor"], 0, "{found}");
    // The layer's description, and a query at least for each look at the map.
    assert!(found["answers"].as_u64().unwrap() >= 12, "{found}");
}

#[tokio::test]
#[ignore = "needs Koop and esri-leaflet from npm, and Chromium"]
async fn a_map_in_a_browser_shows_its_features_though_all_tokens_die_between_its_moves() {
    let page = Parrot::start(PAGE).await;
    let origin = format!("http://{}", page.address);
    let mut served = Served::one(&["--allow-origin", &origin]).await;
    let layer = served.proxy.url(LAYER);
    let found = run_script("browser.mjs", &[&origin, &layer, &served.koop.url]).await;
    assert_all_trees_are_seen_and_no_login(&found);
    served.assert_logged_in_only_when_tokens_died(10).await;
}

#[tokio::test]
#[ignore = "needs Koop and esri-leaflet from npm, and Chromium"]
async fn a_map_written_for_resource_proxy_shows_its_features_too() {
    let page = Parrot::start(PAGE).await;
    let origin = format!("http://{}", page.address);
    let mut served = Served::as_resource_proxy(&["--allow-origin", &origin]).await;
    let layer = format!("{}{LAYER}", served.koop.url);
    let way = served.proxy.url("/proxy");
    let arguments = [&*origin, &layer, &served.koop.url, &way];
    let found = run_script("browser.mjs", &arguments).await;
    assert_all_trees_are_seen_and_no_login(&found);
    served.assert_logged_in_only_when_tokens_died(10).await;
}
