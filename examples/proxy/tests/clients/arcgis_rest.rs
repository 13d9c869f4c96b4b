//! Esri's ArcGIS REST JS (`@esri/arcgis-rest-request`), which throws an `ArcGISAuthError` at a 498 or 499.

use serde_json::json;

use crate::{Served, TREES, run_script};

#[tokio::test]
#[ignore = "needs Koop and ArcGIS REST JS from npm"]
async fn arcgis_rest_js_never_learns_that_a_token_is_wanted() {
    let mut served = Served::one(&[]).await;
    let found = run_script(
        "arcgis-rest.mjs",
        &[&served.proxy.url(crate::LAYER), &served.koop.url],
    )
    .await;
    assert_eq!(found["layer"], "Trees");
    assert_eq!(found["get"], json!(TREES));
    assert_eq!(found["post"], json!(TREES));
    assert_eq!(found["pages"], json!([[1, 2], [3, 4], [5]]));
    assert_eq!(found["all"], json!(TREES));
    assert_eq!(found["pbf"], json!(TREES));
    assert_eq!(found["oaks"], json!(vec![2; 500]));
    served.assert_logged_in_only_when_tokens_died(8).await;
}
