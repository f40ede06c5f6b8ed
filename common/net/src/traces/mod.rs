//! Traces of experiments: spans of OpenTelemetry, handed over by OTLP where that is asked for, else nothing.
//!
//! Spans are made of what happens (a grant, a result, a record that is durable) and live across many turns of an event loop, some
//! begin before anybody knows of what; so they are made by hand with their times, and not by scopes in the code.

mod client;

use std::collections::HashMap;
use std::sync::OnceLock;
use std::time::{Duration, SystemTime};

use opentelemetry::propagation::TextMapPropagator;
use opentelemetry::trace::{Status, TraceContextExt, Tracer, TracerProvider};
use opentelemetry::{Context, KeyValue, Value};
use opentelemetry_otlp::{SpanExporter, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::{SdkTracer, SdkTracerProvider};

/// What the environment of a program on OpenTelemetry names for traces.
const ENDPOINTS: [&str; 2] = ["OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT"];
/// How long the last spans may take to be handed over at the end.
const END: Duration = Duration::from_secs(3);
/// The header of W3C Trace Context, <https://www.w3.org/TR/trace-context/>.
const TRACEPARENT: &str = "traceparent";

static PROVIDER: OnceLock<SdkTracerProvider> = OnceLock::new();

/// Why traces cannot be sent.
#[derive(Debug, thiserror::Error)]
pub enum TraceError {
    /// The address makes no sense.
    #[error("`{0}` is no address for traces; it looks like http://127.0.0.1:4318")]
    Address(String),
    /// Whom to trust.
    #[error("cannot use TLS for traces: {0}")]
    Tls(String),
    /// The exporter.
    #[error("cannot send traces: {0}")]
    Exporter(String),
}

/// Starts to hand over traces to `url`, or to where the environment says; does nothing where neither says anything.
pub(crate) fn start(url: Option<&str>, program: &'static str) -> Result<(), TraceError> {
    let set = |name: &&str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    let off = std::env::var("OTEL_SDK_DISABLED").is_ok_and(|value| value.eq_ignore_ascii_case("true"));
    if off || PROVIDER.get().is_some() || (url.is_none() && !ENDPOINTS.iter().any(set)) {
        return Ok(());
    }
    let builder = SpanExporter::builder().with_http().with_http_client(client::Client::new()?);
    let builder = match url {
        Some(url) => builder.with_endpoint(endpoint(url)?),
        None => builder,
    };
    let exporter = builder.build().map_err(|error| TraceError::Exporter(error.to_string()))?;
    let resource = Resource::builder()
        .with_service_name(program)
        .with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")))
        .build();
    let provider = SdkTracerProvider::builder().with_resource(resource).with_batch_exporter(exporter).build();
    // Another one, as in tests that share a process, changes nothing.
    let _ = PROVIDER.set(provider);
    Ok(())
}

/// The address for spans of a collector, of which people know the first part.
fn endpoint(url: &str) -> Result<String, TraceError> {
    let wrong = || TraceError::Address(url.to_owned());
    let parsed: hyper::Uri = url.parse().map_err(|_| wrong())?;
    if !matches!(parsed.scheme_str(), Some("http" | "https")) || parsed.host().is_none_or(str::is_empty) {
        return Err(wrong());
    }
    let path = parsed.path().trim_end_matches('/');
    Ok(if path.is_empty() { format!("{}/v1/traces", url.trim_end_matches('/')) } else { url.to_owned() })
}

/// Hands over what is left. Called at the end of a process, while its runtime still works, and not on it.
pub fn end() {
    if let Some(provider) = PROVIDER.get()
        && let Err(error) = provider.shutdown_with_timeout(END)
    {
        tracing::warn!(%error, "the last traces were not handed over");
    }
}

/// Makes spans.
#[derive(Debug, Clone)]
pub struct Spans(SdkTracer);

/// A span that goes on. It ends with [`Open::end`], or when it is dropped.
#[derive(Debug, Clone)]
pub struct Open(Context);

/// Whose child a span is.
#[derive(Debug, Clone, Copy)]
pub enum Parent<'a> {
    /// Nobody's: a trace begins.
    None,
    /// That of a span of this process.
    Span(&'a Open),
}

impl Spans {
    /// If traces are handed over.
    pub fn start() -> Option<Self> {
        PROVIDER.get().map(|provider| Self(provider.tracer("autoresearch")))
    }

    /// Begins a span, now or earlier.
    pub fn open<const N: usize>(
        &self,
        name: &'static str,
        parent: Parent<'_>,
        began: SystemTime,
        attributes: [(&'static str, Value); N],
    ) -> Open {
        let context = match parent {
            Parent::None => Context::new(),
            Parent::Span(open) => open.0.clone(),
        };
        let attributes = attributes.into_iter().map(|(name, value)| KeyValue::new(name, value)).collect();
        let builder = self.0.span_builder(name).with_start_time(began).with_attributes::<Vec<_>>(attributes);
        let span = builder.start_with_context(&self.0, &context);
        Open(context.with_span(span))
    }
}

impl Open {
    /// The span of another process, by what it sent; nothing if that is no context.
    pub fn elsewhere(traceparent: &str) -> Option<Self> {
        let carrier = HashMap::from([(TRACEPARENT.to_owned(), traceparent.to_owned())]);
        let context = TraceContextPropagator::new().extract_with_context(&Context::new(), &carrier);
        context.span().span_context().is_valid().then_some(Self(context))
    }

    /// What another process is sent, to go on with this trace.
    pub fn traceparent(&self) -> String {
        let mut carrier = HashMap::new();
        TraceContextPropagator::new().inject_context(&self.0, &mut carrier);
        carrier.remove(TRACEPARENT).unwrap_or_default()
    }

    /// Says more of it.
    pub fn say(&self, name: &'static str, value: impl Into<Value>) {
        self.0.span().set_attribute(KeyValue::new(name, value.into()));
    }

    /// Says that it went wrong.
    pub fn failed(&self, why: &str) {
        self.0.span().set_status(Status::error(why.to_owned()));
    }

    /// Ends it now.
    pub fn end(&self) {
        self.0.span().end();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_of_a_collector_is_completed() {
        assert_eq!(endpoint("http://c:4318").unwrap(), "http://c:4318/v1/traces");
        assert_eq!(endpoint("https://c/").unwrap(), "https://c/v1/traces");
        assert_eq!(endpoint("http://c/otlp/v1/traces").unwrap(), "http://c/otlp/v1/traces");
        for wrong in ["c:4318", "ftp://c", "", "http://"] {
            assert!(endpoint(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_context_that_is_none_is_not_taken() {
        let sent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        assert_eq!(Open::elsewhere(sent).unwrap().traceparent(), sent);
        for wrong in ["", "00-0-0-01", "00-00000000000000000000000000000000-b7ad6b7169203331-01", "x\n"] {
            assert!(Open::elsewhere(wrong).is_none(), "{wrong}");
        }
    }
}
