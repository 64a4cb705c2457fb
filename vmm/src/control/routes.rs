//! The routes of the control API: from a request for a URL to one for the nucleus.

mod snapshots;

use std::sync::Arc;

use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::http::{StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use axum::{Json, Router};
use serde::Deserialize;
use tokio::sync::{Semaphore, watch};
use utoipa::IntoParams;
use utoipa::openapi::OpenApi;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::journal::{Event, Journal, LogLine};

use super::api::{
    DeadLetter, DeadLetterLine, DomainReport, DomainStatus, FaultReport, Problem, ProblemKind,
    Replay, SystemStatus,
};
use super::openapi;
use super::request::{Answer, ControlHandle, LetterRequest, Refusal, Request};
use super::stream::{self, Events, Lines, Stream};

/// Most streams of logs and events at a time; each holds a bounded amount of memory.
const STREAMS_MAX: usize = 64;

/// Most core files and snapshots at a time: each is a copy of a domain's memory.
const CORES_MAX: usize = 1;

/// What the handlers share.
#[derive(Clone, Debug)]
pub(super) struct Api {
    nucleus: ControlHandle,
    journal: Arc<Journal>,
    stopping: watch::Receiver<bool>,
    streams: Arc<Semaphore>,
    cores: Arc<Semaphore>,
}

impl Api {
    pub(super) fn new(
        nucleus: ControlHandle,
        journal: Arc<Journal>,
        stopping: watch::Receiver<bool>,
    ) -> Self {
        let streams = Arc::new(Semaphore::new(STREAMS_MAX));
        let cores = Arc::new(Semaphore::new(CORES_MAX));
        Self { nucleus, journal, stopping, streams, cores }
    }

    pub(super) fn stopping(&self) -> watch::Receiver<bool> {
        self.stopping.clone()
    }

    fn stream(&self) -> Result<Stream, Failure> {
        let permit = Arc::clone(&self.streams).try_acquire_owned().map_err(|_| too_many())?;
        Ok(Stream::new(Arc::clone(&self.journal), self.stopping.clone(), permit))
    }

    async fn order(
        &self,
        domain: DomainPath,
        make: impl FnOnce(String, Answer<()>) -> Request,
    ) -> Result<StatusCode, Failure> {
        let Path(domain) = domain?;
        self.nucleus.ask(|answer| make(domain, answer)).await?;
        Ok(StatusCode::NO_CONTENT)
    }
}

/// The routes, and their description.
fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::with_openapi(openapi::frame())
        .routes(routes!(system))
        .routes(routes!(stop))
        .routes(routes!(snapshots::system_snapshot))
        .routes(routes!(domains))
        .routes(routes!(domain))
        .routes(routes!(faults))
        .routes(routes!(core))
        .routes(routes!(snapshots::domain_snapshot))
        .routes(routes!(kill))
        .routes(routes!(restart))
        .routes(routes!(reset_state))
        .routes(routes!(pause))
        .routes(routes!(resume))
        .routes(routes!(dead_letters))
        .routes(routes!(dead_letter))
        .routes(routes!(replay))
        .routes(routes!(drop_letter))
        .routes(routes!(logs))
        .routes(routes!(events))
        .routes(routes!(description))
}

/// The description of every route.
pub(super) fn described() -> OpenApi {
    routes().split_for_parts().1
}

pub(super) fn router(api: Api) -> Router {
    let (router, _) = routes().split_for_parts();
    router.fallback(no_such_route).method_not_allowed_fallback(no_such_method).with_state(api)
}

type DomainPath = Result<Path<String>, PathRejection>;
type Parameters<T> = Result<Query<T>, QueryRejection>;

/// Everything that is not an answer.
#[derive(Debug)]
pub(super) struct Failure(Problem);

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.0.status);
        (status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR), Json(self.0)).into_response()
    }
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        Self(refusal.problem())
    }
}

impl From<PathRejection> for Failure {
    fn from(rejection: PathRejection) -> Self {
        bad_request(rejection.status(), rejection.body_text())
    }
}

impl From<QueryRejection> for Failure {
    fn from(rejection: QueryRejection) -> Self {
        let text = rejection.body_text();
        bad_request(rejection.status(), format!("{text}; GET /v1/openapi.json lists parameters"))
    }
}

fn bad_request(status: StatusCode, message: String) -> Failure {
    Failure(Problem { kind: ProblemKind::BadRequest, status: status.as_u16(), message })
}

fn too_many() -> Failure {
    let message = format!("{STREAMS_MAX} streams are open already; close one and try again");
    Failure(Problem { kind: ProblemKind::TooManyStreams, status: 503, message })
}

fn one_at_a_time() -> Failure {
    let message =
        "a core file or a snapshot is on its way already; try again when that is there".to_owned();
    Failure(Problem { kind: ProblemKind::TooManyStreams, status: 503, message })
}

async fn no_such_route(uri: Uri) -> Failure {
    let message = format!("there is no `{}`; GET /v1/openapi.json lists routes", uri.path());
    bad_request(StatusCode::NOT_FOUND, message)
}

async fn no_such_method(method: axum::http::Method, uri: Uri) -> Failure {
    let message =
        format!("`{}` does not take {method}; GET /v1/openapi.json lists methods", uri.path());
    bad_request(StatusCode::METHOD_NOT_ALLOWED, message)
}

/// The system and its domains.
#[utoipa::path(get, path = "/v1/system", tag = "system", responses(
    (status = 200, body = SystemStatus), (status = "default", body = Problem)))]
async fn system(State(api): State<Api>) -> Result<Json<SystemStatus>, Failure> {
    Ok(Json(api.nucleus.ask(|answer| Request::Status { answer }).await?))
}

/// Stops the whole system in good order. The answer says that stopping has begun.
#[utoipa::path(post, path = "/v1/system/stop", tag = "system", responses(
    (status = 202), (status = "default", body = Problem)))]
async fn stop(State(api): State<Api>) -> Result<StatusCode, Failure> {
    api.nucleus.ask(|answer| Request::Stop { answer }).await?;
    Ok(StatusCode::ACCEPTED)
}

/// A line for each domain.
#[utoipa::path(get, path = "/v1/domains", tag = "domains", responses(
    (status = 200, body = [DomainStatus]), (status = "default", body = Problem)))]
async fn domains(State(api): State<Api>) -> Result<Json<Vec<DomainStatus>>, Failure> {
    Ok(Json(api.nucleus.ask(|answer| Request::Status { answer }).await?.domains))
}

/// Everything about one domain.
#[utoipa::path(get, path = "/v1/domains/{name}", tag = "domains",
    params(("name" = String, Path, description = "The domain")), responses(
    (status = 200, body = DomainReport), (status = 404, body = Problem),
    (status = "default", body = Problem)))]
async fn domain(State(api): State<Api>, name: DomainPath) -> Result<Json<DomainReport>, Failure> {
    let Path(domain) = name?;
    let report = api.nucleus.ask(|answer| Request::Inspect { domain, answer }).await?;
    Ok(Json(*report))
}

/// The domain's last faults, the oldest first.
#[utoipa::path(get, path = "/v1/domains/{name}/faults", tag = "domains",
    params(("name" = String, Path, description = "The domain")), responses(
    (status = 200, body = [FaultReport]), (status = 404, body = Problem),
    (status = "default", body = Problem)))]
async fn faults(
    State(api): State<Api>,
    name: DomainPath,
) -> Result<Json<Vec<FaultReport>>, Failure> {
    let Path(domain) = name?;
    Ok(Json(api.nucleus.ask(|answer| Request::Faults { domain, answer }).await?))
}

/// An ELF core file of the domain as it is. A domain that runs stands still while its memory is
/// copied, and then goes on.
#[utoipa::path(get, path = "/v1/domains/{name}/core", tag = "domains",
    params(("name" = String, Path, description = "The domain")), responses(
    (status = 200, body = [u8], content_type = "application/x-coredump"),
    (status = 404, body = Problem), (status = "default", body = Problem)))]
async fn core(State(api): State<Api>, name: DomainPath) -> Result<Response, Failure> {
    let Path(domain) = name?;
    let permit = Arc::clone(&api.cores).try_acquire_owned().map_err(|_| one_at_a_time())?;
    let file = api.nucleus.ask(|answer| Request::Core { domain, answer }).await?;
    Ok(stream::respond_with_file(vec![file], "application/x-coredump", api.stopping, permit))
}

/// Ends the running incarnation as a crash does; the restart policy says what follows.
#[utoipa::path(post, path = "/v1/domains/{name}/kill", tag = "domains",
    params(("name" = String, Path, description = "The domain")), responses(
    (status = 204), (status = 404, body = Problem), (status = 409, body = Problem),
    (status = "default", body = Problem)))]
async fn kill(State(api): State<Api>, name: DomainPath) -> Result<StatusCode, Failure> {
    api.order(name, |domain, answer| Request::Kill { domain, answer }).await
}

/// Begins a new incarnation; not a fault.
#[utoipa::path(post, path = "/v1/domains/{name}/restart", tag = "domains",
    params(("name" = String, Path, description = "The domain")), responses(
    (status = 204), (status = 404, body = Problem), (status = 409, body = Problem),
    (status = "default", body = Problem)))]
async fn restart(State(api): State<Api>, name: DomainPath) -> Result<StatusCode, Failure> {
    api.order(name, |domain, answer| Request::Restart { domain, answer }).await
}

/// Empties the domain's state region, and begins a new incarnation; not a fault.
#[utoipa::path(post, path = "/v1/domains/{name}/reset-state", tag = "domains",
    params(("name" = String, Path, description = "The domain")), responses(
    (status = 204), (status = 404, body = Problem), (status = 409, body = Problem),
    (status = "default", body = Problem)))]
async fn reset_state(State(api): State<Api>, name: DomainPath) -> Result<StatusCode, Failure> {
    api.order(name, |domain, answer| Request::ResetState { domain, answer }).await
}

/// Holds the domain's vCPUs.
#[utoipa::path(post, path = "/v1/domains/{name}/pause", tag = "domains",
    params(("name" = String, Path, description = "The domain")), responses(
    (status = 204), (status = 404, body = Problem), (status = 409, body = Problem),
    (status = "default", body = Problem)))]
async fn pause(State(api): State<Api>, name: DomainPath) -> Result<StatusCode, Failure> {
    api.order(name, |domain, answer| Request::Pause { domain, answer }).await
}

/// Lets a held domain's vCPUs run.
#[utoipa::path(post, path = "/v1/domains/{name}/resume", tag = "domains",
    params(("name" = String, Path, description = "The domain")), responses(
    (status = 204), (status = 404, body = Problem), (status = 409, body = Problem),
    (status = "default", body = Problem)))]
async fn resume(State(api): State<Api>, name: DomainPath) -> Result<StatusCode, Failure> {
    api.order(name, |domain, answer| Request::Resume { domain, answer }).await
}

type LetterPath = Result<Path<u64>, PathRejection>;

/// Requests of which server after server has died, without their payloads.
#[utoipa::path(get, path = "/v1/dead-letters", tag = "dead letters", responses(
    (status = 200, body = [DeadLetterLine]), (status = "default", body = Problem)))]
async fn dead_letters(State(api): State<Api>) -> Result<Json<Vec<DeadLetterLine>>, Failure> {
    let list = |answer| Request::Letters(LetterRequest::List { answer });
    Ok(Json(api.nucleus.ask(list).await?))
}

/// One dead letter.
#[utoipa::path(get, path = "/v1/dead-letters/{number}", tag = "dead letters",
    params(("number" = u64, Path, description = "The letter")), responses(
    (status = 200, body = DeadLetter), (status = 404, body = Problem),
    (status = "default", body = Problem)))]
async fn dead_letter(
    State(api): State<Api>,
    number: LetterPath,
) -> Result<Json<DeadLetter>, Failure> {
    let Path(number) = number?;
    let show = |answer| Request::Letters(LetterRequest::Show { number, answer });
    Ok(Json(*api.nucleus.ask(show).await?))
}

/// Sends a dead letter again, and waits for the reply. The letter is kept.
#[utoipa::path(post, path = "/v1/dead-letters/{number}/replay", tag = "dead letters",
    params(("number" = u64, Path, description = "The letter")), responses(
    (status = 200, body = Replay), (status = 404, body = Problem),
    (status = 409, body = Problem), (status = "default", body = Problem)))]
async fn replay(State(api): State<Api>, number: LetterPath) -> Result<Json<Replay>, Failure> {
    let Path(number) = number?;
    let replay = |answer| Request::Letters(LetterRequest::Replay { number, answer });
    Ok(Json(api.nucleus.ask(replay).await?))
}

/// Forgets a dead letter.
#[utoipa::path(post, path = "/v1/dead-letters/{number}/drop", tag = "dead letters",
    params(("number" = u64, Path, description = "The letter")), responses(
    (status = 204), (status = 404, body = Problem), (status = "default", body = Problem)))]
async fn drop_letter(State(api): State<Api>, number: LetterPath) -> Result<StatusCode, Failure> {
    let Path(number) = number?;
    let forget = |answer| Request::Letters(LetterRequest::Drop { number, answer });
    api.nucleus.ask(forget).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Which log lines.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct LogQuery {
    /// Only this domain's lines.
    domain: Option<String>,
    /// Go on with new lines until the system stops.
    #[serde(default)]
    follow: bool,
    /// Only lines after the one with this `seq`.
    #[serde(default)]
    since: u64,
}

/// Log lines as they are kept, one JSON object a line.
#[utoipa::path(get, path = "/v1/logs", tag = "journal", params(LogQuery), responses(
    (status = 200, body = LogLine, content_type = "application/x-ndjson"),
    (status = 404, body = Problem), (status = "default", body = Problem)))]
async fn logs(
    State(api): State<Api>,
    parameters: Parameters<LogQuery>,
) -> Result<Response, Failure> {
    let Query(LogQuery { domain, follow, since }) = parameters?;
    if let Some(domain) = domain.clone() {
        // Asked only for the refusal of a domain that does not exist.
        api.nucleus.ask(|answer| Request::Inspect { domain, answer }).await?;
    }
    Ok(api.stream()?.respond(Lines { domain }, since, follow))
}

/// Which events.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct EventQuery {
    /// Go on with new events until the system stops.
    #[serde(default)]
    follow: bool,
    /// Only events after the one with this `seq`.
    #[serde(default)]
    since: u64,
}

/// Events as they are kept, one JSON object a line.
#[utoipa::path(get, path = "/v1/events", tag = "journal", params(EventQuery), responses(
    (status = 200, body = Event, content_type = "application/x-ndjson"),
    (status = "default", body = Problem)))]
async fn events(
    State(api): State<Api>,
    parameters: Parameters<EventQuery>,
) -> Result<Response, Failure> {
    let Query(EventQuery { follow, since }) = parameters?;
    Ok(api.stream()?.respond(Events, since, follow))
}

/// This description.
#[utoipa::path(get, path = "/v1/openapi.json", tag = "system", responses(
    (status = 200, content_type = "application/json")))]
async fn description() -> Response {
    ([(header::CONTENT_TYPE, "application/json")], openapi::document()).into_response()
}
