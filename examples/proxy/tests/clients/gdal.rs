//! GDAL, which QGIS and many a script read feature services with: `ogr2ogr` and `ogrinfo`.

use serde_json::Value;
use tokio::process::Command;

use crate::{LAYER, Served, TREES, output_of};

/// A page of the answer is 2 trees long: 3 pages.
const QUERY: &str = "where=1%3D1&outFields=*&orderByFields=id&resultRecordCount=2&f=json";

async fn gdal(program: &str, arguments: &[&str], served: &Served) -> String {
    let source = format!(
        "ESRIJSON:{}?{QUERY}",
        served.proxy.url(&format!("{LAYER}/query"))
    );
    let mut command = Command::new(program);
    command.args(arguments).arg(source);
    output_of(command).await
}

#[tokio::test]
#[ignore = "needs Koop from npm, and GDAL"]
async fn gdal_reads_every_page_though_all_tokens_die_before_each() {
    let mut served = Served::one(&[]).await;
    // The query that finds its token dead, and the same one again.
    served.koop.tell("rotate-every/2").await;
    let written = gdal("ogr2ogr", &["-f", "GeoJSON", "/vsistdout/"], &served).await;
    let collection: Value = serde_json::from_str(&written).unwrap();
    let ids: Vec<u64> = collection["features"]
        .as_array()
        .unwrap()
        .iter()
        .map(|feature| feature["properties"]["id"].as_u64().unwrap())
        .collect();
    assert_eq!(ids, TREES);
    served.assert_logged_in_only_when_tokens_died(2).await;
}

#[tokio::test]
#[ignore = "needs Koop from npm, and GDAL"]
async fn gdal_counts_features_before_and_after_all_tokens_die() {
    let mut served = Served::one(&[]).await;
    for _ in 0..3 {
        let said = gdal("ogrinfo", &["-ro", "-al", "-so"], &served).await;
        assert!(said.contains("Feature Count: 5"), "{said}");
        assert!(said.contains("species: String"), "{said}");
        served.koop.tell("rotate").await;
    }
    let said = gdal("ogrinfo", &["-ro", "-al", "-so"], &served).await;
    assert!(said.contains("Feature Count: 5"), "{said}");
    served.assert_logged_in_only_when_tokens_died(3).await;
}
