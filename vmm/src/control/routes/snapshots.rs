//! The routes by which snapshots are taken.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Path, Query, State};
use axum::response::Response;
use serde::Deserialize;
use utoipa::IntoParams;

use super::super::api::Problem;
use super::super::request::Request;
use super::super::stream;
use super::{Api, DomainPath, Failure, Parameters, one_at_a_time};

/// Longest time that a snapshot may wait for domains to come to rest.
const DEADLINE_MAX: Duration = Duration::from_secs(24 * 60 * 60);

/// How long a snapshot may take.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct SnapshotQuery {
    /// Milliseconds until all domains are at rest; 5000 if not said, and at most a day.
    #[serde(default = "five_seconds")]
    deadline_ms: u64,
}

const fn five_seconds() -> u64 {
    5000
}

/// A snapshot of all domains at one moment. They stand still while their memory is copied, and go
/// on.
#[utoipa::path(post, path = "/v1/system/snapshot", tag = "system", params(SnapshotQuery), responses(
    (status = 200, body = [u8], content_type = "application/x-atoll-snapshot"),
    (status = 409, body = Problem), (status = "default", body = Problem)))]
pub(super) async fn system_snapshot(
    State(api): State<Api>,
    parameters: Parameters<SnapshotQuery>,
) -> Result<Response, Failure> {
    snapshot(api, None, parameters).await
}

/// A snapshot of one domain, which stands still while its memory is copied, and goes on.
#[utoipa::path(post, path = "/v1/domains/{name}/snapshot", tag = "domains",
    params(("name" = String, Path, description = "The domain"), SnapshotQuery), responses(
    (status = 200, body = [u8], content_type = "application/x-atoll-snapshot"),
    (status = 404, body = Problem), (status = 409, body = Problem),
    (status = "default", body = Problem)))]
pub(super) async fn domain_snapshot(
    State(api): State<Api>,
    name: DomainPath,
    parameters: Parameters<SnapshotQuery>,
) -> Result<Response, Failure> {
    let Path(domain) = name?;
    snapshot(api, Some(domain), parameters).await
}

async fn snapshot(
    api: Api,
    domain: Option<String>,
    parameters: Parameters<SnapshotQuery>,
) -> Result<Response, Failure> {
    let Query(SnapshotQuery { deadline_ms }) = parameters?;
    let deadline = Duration::from_millis(deadline_ms).min(DEADLINE_MAX);
    let permit = Arc::clone(&api.cores).try_acquire_owned().map_err(|_| one_at_a_time())?;
    let make = |answer| Request::Snapshot { domain, deadline, answer };
    let pieces = api.nucleus.ask_for_long(deadline, make).await?;
    let kind = "application/x-atoll-snapshot";
    Ok(stream::respond_with_file(pieces, kind, api.stopping, permit))
}
