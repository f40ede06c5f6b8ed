//! HTTP beside gRPC: probes, metrics, and the API as JSON.
//!
//! Probes need no token, as they tell nothing; metrics and the API do, where they are on the port of everything else.

use std::sync::Arc;
use std::time::SystemTime;

use ar_net::{Access, Role};
use axum::Router;
use axum::body::Body;
use axum::extract::{Path, Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use tokio::sync::watch;

use crate::actor::Handle;
use crate::election::Leader;
use crate::metrics;
use crate::results::Report;
use crate::standing;

/// What the routes need.
#[derive(Debug, Clone)]
struct Shared {
    handle: Handle,
    access: Access,
}

/// Everything but gRPC, for the one port: metrics and API need a token.
pub fn routes(handle: Handle, access: Access) -> Router {
    let shared = Shared { handle, access };
    let guarded = Router::new()
        .route("/metrics", get(metrics_page))
        .route("/api/v1/studies", get(studies))
        .route("/api/v1/studies/{study}", get(study))
        .route("/api/v1/workers", get(workers))
        .route_layer(axum::middleware::from_fn_with_state(shared.clone(), guard));
    probes().merge(guarded).with_state(shared)
}

/// Probes and metrics, for a listener of their own that only those reach who may.
pub fn admin_routes(handle: Handle, access: Access) -> Router {
    probes().route("/metrics", get(metrics_page)).with_state(Shared { handle, access })
}

/// What a coordinator answers that does not lead: that it is there, and who leads.
pub fn standby_routes(leader: watch::Receiver<Option<Leader>>) -> Router {
    let who = move || leader.borrow().as_ref().map(|leader| leader.url.clone());
    let told = move || match who() {
        Some(url) => format!("this coordinator stands by; {url} leads"),
        None => "this coordinator stands by, and none leads at the moment".to_owned(),
    };
    let ready = told.clone();
    let not_ready = move || async move { (StatusCode::SERVICE_UNAVAILABLE, format!("{}\n", ready())) };
    Router::new().route("/healthz", get(|| async { "ok\n" })).route("/readyz", get(not_ready)).fallback(
        move |headers: HeaderMap| async move {
            let kind =
                headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
            match kind.starts_with("application/grpc") {
                true => tonic::Status::unavailable(told()).into_http::<Body>(),
                false => (StatusCode::SERVICE_UNAVAILABLE, format!("{}\n", told())).into_response(),
            }
        },
    )
}

fn probes() -> Router<Shared> {
    Router::new().route("/healthz", get(|| async { "ok\n" })).route("/readyz", get(ready))
}

/// Ready is who answers from a state that is durable.
async fn ready(State(shared): State<Shared>) -> Response {
    match shared.handle.settle().await {
        Ok(()) => "ready\n".into_response(),
        Err(error) => (StatusCode::SERVICE_UNAVAILABLE, format!("{error}\n")).into_response(),
    }
}

async fn guard(State(shared): State<Shared>, headers: HeaderMap, request: Request, next: Next) -> Response {
    let shown = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    match shared.access.check(Role::Submit, shown, SystemTime::now()) {
        Ok(()) => next.run(request).await,
        Err(denied) => {
            tracing::warn!(path = request.uri().path(), %denied, "refused");
            (StatusCode::UNAUTHORIZED, [(header::WWW_AUTHENTICATE, "Bearer")], format!("{denied}\n"))
                .into_response()
        }
    }
}

async fn metrics_page(State(shared): State<Shared>) -> Response {
    let measured = shared.handle.measured().clone();
    match shared.handle.ask(move |state, live| metrics::page(state, live, &measured.figures())).await {
        Ok(page) => ([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], page).into_response(),
        Err(error) => gone(&error),
    }
}

async fn studies(State(shared): State<Shared>) -> Response {
    match shared.handle.ask(standing::studies).await {
        Ok(all) => json(&all),
        Err(error) => gone(&error),
    }
}

async fn workers(State(shared): State<Shared>) -> Response {
    match shared.handle.ask(standing::workers).await {
        Ok(all) => json(&all),
        Err(error) => gone(&error),
    }
}

async fn study(State(shared): State<Shared>, Path(name): Path<String>) -> Response {
    let found = shared
        .handle
        .ask(move |state, _| standing::find(state, &name).map(|study| (Arc::new(state.clone()), study)));
    let (state, study) = match found.await {
        Ok(Ok(found)) => found,
        Ok(Err(unknown)) => return (StatusCode::NOT_FOUND, format!("{unknown}\n")).into_response(),
        Err(error) => return gone(&error),
    };
    // It asks the search, which takes its time.
    match tokio::task::spawn_blocking(move || Report::of(&state, &study)).await {
        Ok(Some(report)) => ([(header::CONTENT_TYPE, "application/json")], report.to_json()).into_response(),
        Ok(None) => (StatusCode::NOT_FOUND, "the study is gone\n").into_response(),
        Err(error) => {
            (StatusCode::INTERNAL_SERVER_ERROR, format!("the report failed: {error}\n")).into_response()
        }
    }
}

fn json<T: serde::Serialize>(of: &T) -> Response {
    // Serialising plain data to memory has no way to fail.
    let text = serde_json::to_string(of).unwrap_or_default();
    ([(header::CONTENT_TYPE, "application/json")], text).into_response()
}

fn gone(error: &dyn std::fmt::Display) -> Response {
    (StatusCode::SERVICE_UNAVAILABLE, format!("{error}\n")).into_response()
}
