//! A trace follows each experiment from its plan to the answer to its result, through both programs: a collector gets it.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::Output;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use ar_tests::etcd::Certificates;
use ar_tests::project::Project;
use ar_tests::run;
use ar_tests::service::{Head, SLOW, ended, experiments, submitted};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::{ServerConfig, ServerConnection, StreamOwned};

/// A collector, as far as it takes spans.
struct Collector {
    url: String,
    spans: Arc<Mutex<Vec<(String, Span)>>>,
    /// Connections that ended before a request was there.
    broken: Arc<AtomicUsize>,
}

impl Collector {
    fn start() -> Self {
        Self::serve("http", take)
    }

    /// One that speaks TLS, with this certificate and key.
    fn start_tls((certificate, key): &(String, String)) -> Self {
        let chain = vec![CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap()];
        let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap();
        let builder = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()));
        let builder = builder.with_safe_default_protocol_versions().unwrap().with_no_client_auth();
        let config = Arc::new(builder.with_single_cert(chain, key).unwrap());
        Self::serve("https", move |stream| {
            let connection = ServerConnection::new(Arc::clone(&config)).unwrap();
            take(StreamOwned::new(connection, stream))
        })
    }

    fn serve(
        scheme: &str,
        take: impl Fn(TcpStream) -> Option<ExportTraceServiceRequest> + Send + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("{scheme}://{}", listener.local_addr().unwrap());
        let spans = Arc::new(Mutex::new(Vec::new()));
        let broken = Arc::new(AtomicUsize::new(0));
        let (kept, ended) = (Arc::clone(&spans), Arc::clone(&broken));
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let Some(got) = take(stream) else {
                    ended.fetch_add(1, Ordering::Relaxed);
                    continue;
                };
                for resource in got.resource_spans {
                    let service =
                        resource.resource.and_then(|resource| text(&resource.attributes, "service.name"));
                    let spans = resource.scope_spans.into_iter().flat_map(|scope| scope.spans);
                    kept.lock().unwrap().extend(spans.map(|span| (service.clone().unwrap(), span)));
                }
            }
        });
        Self { url, spans, broken }
    }

    /// Spans by trace.
    fn traces(&self) -> Vec<BTreeMap<Vec<u8>, (String, Span)>> {
        let mut traces = BTreeMap::<Vec<u8>, BTreeMap<Vec<u8>, (String, Span)>>::new();
        for (service, span) in self.spans.lock().unwrap().iter().cloned() {
            let before = traces
                .entry(span.trace_id.clone())
                .or_default()
                .insert(span.span_id.clone(), (service, span));
            assert!(before.is_none(), "a span came twice: {before:?}");
        }
        traces.into_values().collect()
    }
}

/// One request, if it comes.
fn take(stream: impl Read + Write) -> Option<ExportTraceServiceRequest> {
    let mut reader = BufReader::new(stream);
    let (mut head, mut length) = (Vec::new(), 0);
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).ok()? == 0 {
            return None;
        }
        if line == "\r\n" {
            break;
        }
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().unwrap();
        }
        head.push(line);
    }
    assert!(head[0].starts_with("POST /v1/traces HTTP/1.1"), "{head:?}");
    assert!(head.iter().any(|line| line.trim().eq_ignore_ascii_case("content-type: application/x-protobuf")));
    let mut body = vec![0; length];
    reader.read_exact(&mut body).unwrap();
    reader.get_mut().write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").unwrap();
    reader.get_mut().flush().unwrap();
    Some(ExportTraceServiceRequest::decode(body.as_slice()).unwrap())
}

fn text(attributes: &[KeyValue], name: &str) -> Option<String> {
    let value = attributes.iter().find(|attribute| attribute.key == name)?.value.clone()?;
    match value {
        AnyValue { value: Some(Value::StringValue(text)) } => Some(text),
        AnyValue { value: Some(Value::IntValue(number)) } => Some(number.to_string()),
        _ => None,
    }
}

/// Looks at each trace; the numbers of their experiments.
fn checked(collector: &Collector) -> Vec<String> {
    let mut experiments = Vec::new();
    for trace in collector.traces() {
        let all = || trace.values();
        let root = all().find(|(_, span)| span.parent_span_id.is_empty()).expect("a root");
        assert_eq!((root.0.as_str(), root.1.name.as_str()), ("ar-coordinator", "experiment"));
        assert!(all().all(|(_, span)| span.start_time_unix_nano <= span.end_time_unix_nano));
        // Each span's name below that of its parent, and whose it is.
        let mut shape: Vec<(&str, &str, &str)> = all()
            .map(|(service, span)| {
                let parent = trace.get(&span.parent_span_id).map_or("", |(_, parent)| parent.name.as_str());
                (service.as_str(), parent, span.name.as_str())
            })
            .collect();
        shape.sort_unstable();
        let expected = [
            ("ar-coordinator", "", "experiment"),
            ("ar-coordinator", "completed", "ack"),
            ("ar-coordinator", "completed", "durable"),
            ("ar-coordinator", "experiment", "lease"),
            ("ar-coordinator", "experiment", "plan"),
            ("ar-coordinator", "experiment", "queue"),
            ("ar-coordinator", "lease", "grant"),
            ("ar-coordinator", "upload", "completed"),
            ("ar-worker", "attempt", "prepare"),
            ("ar-worker", "attempt", "queue"),
            ("ar-worker", "attempt", "run"),
            ("ar-worker", "attempt", "upload"),
            ("ar-worker", "lease", "attempt"),
        ];
        assert_eq!(shape, expected);
        let span = |name: &str| &all().find(|(_, span)| span.name == name).unwrap().1;
        assert_eq!(text(&root.1.attributes, "autoresearch.outcome").as_deref(), Some("done"));
        assert!(text(&span("lease").attributes, "autoresearch.worker").is_some());
        // One after the other.
        let order = ["plan", "lease", "attempt", "prepare", "run", "upload", "completed", "durable"];
        let begins: Vec<u64> = order.iter().map(|name| span(name).start_time_unix_nano).collect();
        assert!(begins.is_sorted(), "{begins:?}");
        assert!(
            span("run").end_time_unix_nano - span("run").start_time_unix_nano > 250_000_000,
            "it sleeps for 0.3 s"
        );
        experiments.push(text(&root.1.attributes, "autoresearch.experiment").unwrap());
    }
    experiments.sort_unstable();
    experiments
}

#[test]
fn a_trace_follows_each_experiment_from_its_plan_through_a_worker_to_the_answer() {
    let (collector, home) = (Collector::start(), tempfile::tempdir().unwrap());
    let otlp = ["--otlp", &collector.url];
    let mut head = Head::start(home.path(), &otlp);
    let mut worker = head.worker("w1", &[&["--slots", "2"], &otlp[..]].concat());
    let study = submitted(&head, &Project::new(SLOW), &["--budget", "5", "--rounds", "1"]);
    head.until(&study, ended);
    let mut expected: Vec<String> =
        experiments(&head, &study).iter().map(|experiment| experiment["id"].to_string()).collect();
    expected.sort_unstable();
    assert_eq!(worker.leave(), Some(0));
    assert_eq!(head.end().0, Some(0));
    assert!(expected.len() >= 5);
    assert_eq!(checked(&collector), expected);
}

#[test]
fn a_run_on_one_machine_sends_traces_where_the_variables_of_opentelemetry_say() {
    let collector = Collector::start();
    let output = run_with(&[("OTEL_EXPORTER_OTLP_ENDPOINT", &collector.url)]);
    assert!(output.status.success(), "{}", run::stderr(&output));
    assert!(checked(&collector).len() >= 4);
}

#[test]
fn traces_go_by_tls_to_a_collector_whose_certificate_is_trusted_and_to_no_other() {
    let (home, certificates) = (tempfile::tempdir().unwrap(), Certificates::make());
    let file = |name: &str, text: &str| {
        let path = home.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let (ours, others) = (file("ca.pem", &certificates.ca), file("other.pem", &Certificates::make().ca));
    let collector = Collector::start_tls(&certificates.server);
    let with = |trusted: &str| {
        run_with(&[
            ("OTEL_EXPORTER_OTLP_ENDPOINT", &collector.url),
            ("OTEL_EXPORTER_OTLP_CERTIFICATE", trusted),
        ])
    };
    let output = with(&ours);
    assert!(output.status.success(), "{}", run::stderr(&output));
    let arrived = checked(&collector).len();
    assert!(arrived >= 4, "{arrived}");
    let output = with(&file("empty.pem", ""));
    let said = run::stderr(&output);
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("empty.pem: there is no certificate in it"), "{said}");
    assert_eq!(collector.broken.load(Ordering::Relaxed), 0);
    let output = with(&others);
    assert!(output.status.success(), "a collector stops nothing: {}", run::stderr(&output));
    assert_eq!(checked(&collector).len(), arrived, "nothing is told to a stranger");
    assert!(collector.broken.load(Ordering::Relaxed) > 0, "though it was tried");
}

/// A small study on this machine, with these variables.
fn run_with(variables: &[(&str, &str)]) -> Output {
    let (home, project) = (tempfile::tempdir().unwrap(), Project::new(SLOW));
    let root = project.root();
    let mut command =
        run::command(&["run", root.to_str().unwrap(), "--train", "sh train.sh", "--sampler", "random"]);
    command.args(["--budget-variable", "TIME_BUDGET", "--budget", "4", "--rounds", "1", "--out"]);
    command.arg(home.path().join("out")).envs(variables.iter().copied());
    command.output().unwrap()
}

#[test]
fn a_collector_that_is_not_there_stops_nothing_and_is_told_in_the_log() {
    let home = tempfile::tempdir().unwrap();
    let gone = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let mut head = Head::start(home.path(), &["--otlp", &format!("http://{gone}")]);
    let worker = head.worker("w1", &["--slots", "2"]);
    let study = submitted(&head, &Project::new(SLOW), &["--budget", "4", "--rounds", "1"]);
    head.until(&study, ended);
    drop(worker);
    assert_eq!(head.end().0, Some(0));
    assert!(head.log().contains("traces are not handed over"), "{}", head.log());
    let wrong =
        run::finish(&["serve", "--out", home.path().join("x").to_str().unwrap(), "--otlp", "collector:4318"]);
    assert_eq!(wrong.status.code(), Some(2));
    assert!(
        run::stderr(&wrong).contains("`collector:4318` is no address for traces"),
        "{}",
        run::stderr(&wrong)
    );
}
