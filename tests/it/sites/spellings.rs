//! Spellings of hosts, ports and paths.

use super::is_signed;

#[tokio::test]
async fn a_path_that_may_lead_out_of_the_root_is_not_signed() {
    for path in [
        "/..%00",
        "/..%00/admin",
        "/%c0%ae%c0%ae/admin",
        "/%u002e%u002e/admin",
        "/%2525252e%2525252e/admin",
        "/%252525252525252e./admin",
        "/..;/admin",
        "/..;x=1/admin",
        "/x%2F..%2F../admin",
        "/rest/services/..%20/admin",
    ] {
        let uri = format!("https://gis.test/arcgis{path}");
        assert!(!is_signed("https://gis.test/arcgis", &uri).await, "{path}");
    }
    for path in [
        "/rest/services/Stra%C3%9Fen%20Nord/VectorTileServer/tile/1/2/3.pbf",
        "/rest/services/.hidden/..data/MapServer",
        "/rest/services/50%25/MapServer",
    ] {
        let uri = format!("https://gis.test/arcgis{path}");
        assert!(is_signed("https://gis.test/arcgis", &uri).await, "{path}");
    }
}

#[tokio::test]
async fn an_invalid_port_is_no_default_port() {
    for uri in [
        "https://gis.test:443443/arcgis/rest",
        "https://gis.test:65979/arcgis/rest",
        "https://gis.test:/arcgis/rest",
    ] {
        assert!(!is_signed("https://gis.test/arcgis", uri).await, "{uri}");
    }
    for uri in [
        "https://gis.test:443/arcgis/rest",
        "https://GIS.TEST./arcgis/rest",
    ] {
        assert!(is_signed("https://gis.test/arcgis", uri).await, "{uri}");
    }
    assert!(
        is_signed(
            "http://[::1]:6080/arcgis",
            "http://[0:0:0:0:0:0:0:1]:6080/arcgis/rest"
        )
        .await
    );
}
