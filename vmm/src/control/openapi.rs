//! The OpenAPI document: generated from the routes and types, and checked in as `openapi.json`.

use utoipa::OpenApi;

/// The document's head, to which the routes add themselves.
#[derive(OpenApi)]
#[openapi(
    info(
        title = "Atoll control API",
        description = "HTTP over a system's Unix socket. Streams are newline-delimited JSON.",
        license(name = "Apache-2.0 OR MIT")
    ),
    tags(
        (name = "system", description = "The system as a whole"),
        (name = "domains", description = "Its domains"),
        (name = "dead letters", description = "Requests of which its servers died"),
        (name = "journal", description = "What it remembers of itself")
    )
)]
struct Frame;

pub(super) fn frame() -> utoipa::openapi::OpenApi {
    Frame::openapi()
}

/// The whole document, as text.
pub fn document() -> String {
    let mut text = serde_json::to_string_pretty(&super::routes::described()).unwrap_or_default();
    text.push('\n');
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    /// To take a change over: run this test with `UPDATE_OPENAPI=1`.
    #[test]
    fn the_checked_in_document_is_that_of_the_code() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/openapi.json");
        let generated = document();
        if std::env::var_os("UPDATE_OPENAPI").is_some() {
            std::fs::write(path, &generated).unwrap();
        }
        let checked_in = std::fs::read_to_string(path).unwrap_or_default();
        assert!(checked_in == generated, "openapi.json differs; run again with UPDATE_OPENAPI=1");
    }

    #[test]
    fn every_route_and_type_is_described() {
        let document: serde_json::Value = serde_json::from_str(&document()).unwrap();
        let paths = document["paths"].as_object().unwrap();
        assert_eq!(paths.len(), 20, "{:?}", paths.keys());
        let schemas = document["components"]["schemas"].as_object().unwrap();
        for name in ["SystemStatus", "DomainReport", "FaultReport", "Problem", "LogLine", "Event"] {
            assert!(schemas.contains_key(name), "{name}");
        }
        let hex = &schemas["Frame"]["properties"]["address"];
        assert_eq!(hex["$ref"], "#/components/schemas/Hex");
        assert_eq!(schemas["Hex"]["type"], "string");
    }
}
