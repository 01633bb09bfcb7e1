//! Traces of looks at TaskRuns, for an OpenTelemetry collector. Sends; only in builds with the feature `otel`.
//!
//! All looks at one TaskRun that goes on are in one trace: that of whoever made it, by the `traceparent` in
//! its annotation `tekton.dev/taskrunSpanContext`, else one whose ID is the TaskRun's UID, so that nothing has
//! to be written for it.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt as _, Full};
use opentelemetry::{
    Context, SpanId, TraceFlags, TraceId,
    trace::{SpanContext, TraceContextExt as _, TraceState, TracerProvider as _},
};
use opentelemetry_http::{HttpClient, HttpError};
use opentelemetry_otlp::{ExporterBuildError, SpanExporter, WithHttpConfig as _};
use opentelemetry_sdk::{
    Resource,
    trace::{SdkTracer, SdkTracerProvider},
};
use tektite_api::{TaskRun, labels};
use tokio::runtime::Handle;
use tracing::{Span, Subscriber};
use tracing_opentelemetry::{OpenTelemetryLayer, OpenTelemetrySpanExt as _};
use tracing_subscriber::registry::LookupSpan;

use crate::cloud_events;

/// What collectors call us, unless `OTEL_SERVICE_NAME` says otherwise.
const SERVICE: &str = "tektite-controller";

/// How long a collector may take for one answer.
const ANSWER: Duration = Duration::from_secs(10);

/// Any of them names the collector, as the OpenTelemetry SDKs have it.
const ENDPOINTS: [&str; 2] = [
    "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
    "OTEL_EXPORTER_OTLP_ENDPOINT",
];

/// What sends, if the environment names a collector. Its spans are sent in the background, and when it is
/// shut down.
///
/// # Errors
/// The environment names what is no address.
pub fn provider() -> Result<Option<SdkTracerProvider>, ExporterBuildError> {
    let is_set = |name: &&str| std::env::var(name).is_ok_and(|value| !value.is_empty());
    if !ENDPOINTS.iter().any(is_set) {
        return Ok(None);
    }
    let exporter = SpanExporter::builder().with_http().with_http_client(sender());
    Ok(Some(provide(exporter.build()?)))
}

fn provide(exporter: SpanExporter) -> SdkTracerProvider {
    let resource = Resource::builder().with_service_name(SERVICE).build();
    SdkTracerProvider::builder()
        .with_batch_exporter(exporter)
        .with_resource(resource)
        .build()
}

/// What makes spans of `tracing` spans of traces.
pub fn layer<S>(provider: &SdkTracerProvider) -> OpenTelemetryLayer<S, SdkTracer>
where
    S: Subscriber + for<'span> LookupSpan<'span>,
{
    tracing_opentelemetry::layer().with_tracer(provider.tracer(SERVICE))
}

/// Puts the span of a look at `run` into the run's trace.
pub fn belongs_to(span: &Span, run: &TaskRun) {
    if let Some(parent) = parent(run) {
        // Without a layer there is no trace to belong to.
        let _no_layer = span.set_parent(Context::new().with_remote_span_context(parent));
    }
}

fn parent(run: &TaskRun) -> Option<SpanContext> {
    let given = run.annotation(labels::SPAN_CONTEXT).and_then(|text| {
        let given: BTreeMap<String, String> = serde_json::from_str(text).ok()?;
        read(given.get("traceparent")?)
    });
    given.or_else(|| own(run.uid()))
}

/// `00-<trace>-<span>-<flags>`.
fn read(text: &str) -> Option<SpanContext> {
    let mut parts = text.split('-').skip(1);
    let (trace, span, flags) = (parts.next()?, parts.next()?, parts.next()?);
    let context = SpanContext::new(
        TraceId::from_hex(trace).ok()?,
        SpanId::from_hex(span).ok()?,
        TraceFlags::new(u8::from_str_radix(flags, 16).ok()?),
        true,
        TraceState::NONE,
    );
    context.is_valid().then_some(context)
}

fn own(uid: &str) -> Option<SpanContext> {
    let digits: String = uid.chars().filter(char::is_ascii_hexdigit).collect();
    let span = digits.get(..16)?;
    read(&format!("00-{digits}-{span}-01"))
}

fn sender() -> Sender {
    Sender {
        client: cloud_events::client(),
        runtime: Handle::current(),
    }
}

/// Sends from the SDK's own thread, which has no runtime.
#[derive(Debug)]
struct Sender {
    client: Arc<cloud_events::HttpClient>,
    runtime: Handle,
}

#[async_trait::async_trait]
impl HttpClient for Sender {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let client = Arc::clone(&self.client);
        let sent = self.runtime.spawn(async move {
            let exchange = async {
                let response = client.request(request.map(Full::new)).await?;
                let (head, body) = response.into_parts();
                let body = body.collect().await?.to_bytes();
                Ok::<_, HttpError>(Response::from_parts(head, body))
            };
            // The SDK limits its tries, not one of them.
            tokio::time::timeout(ANSWER, exchange).await?
        });
        sent.await?
    }
}

#[cfg(test)]
mod tests {
    use opentelemetry_otlp::WithExportConfig as _;
    use tracing_subscriber::layer::SubscriberExt as _;

    use super::*;
    use crate::testing::run;

    #[test]
    fn one_trace_for_all_looks() {
        let uid = "0f1e2d3c-4b5a-6978-8796-a5b4c3d2e1f0";
        let own = "0f1e2d3c4b5a69788796a5b4c3d2e1f0";
        let given = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        for (traceparent, uid, expected) in [
            (None, uid, Some(own)),
            (Some(given), uid, Some("4bf92f3577b34da6a3ce929d0e0e4736")),
            (Some("00-0-0-0"), uid, Some(own)),
            (Some("nonsense"), uid, Some(own)),
            (None, "no UUID", None),
        ] {
            let mut run = run("r");
            run.metadata.uid = Some(uid.to_owned());
            run.metadata.annotations = traceparent.map(|traceparent| {
                let context = serde_json::json!({"traceparent": traceparent}).to_string();
                [(labels::SPAN_CONTEXT.to_owned(), context)].into()
            });
            let trace = parent(&run).map(|parent| parent.trace_id().to_string());
            assert_eq!(trace.as_deref(), expected, "{traceparent:?}");
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_look_reaches_the_collector() {
        let _already = rustls::crypto::ring::default_provider().install_default();
        let (took, mut taken) = tokio::sync::mpsc::channel::<Bytes>(1);
        let collect = move |body: Bytes| async move { took.send(body).await.unwrap() };
        let router = axum::Router::new().route("/v1/traces", axum::routing::post(collect));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}/v1/traces", listener.local_addr().unwrap());
        let server = tokio::spawn(async move { axum::serve(listener, router).await });
        let exporter = SpanExporter::builder()
            .with_http()
            .with_http_client(sender())
            .with_endpoint(endpoint);
        let provider = provide(exporter.build().unwrap());
        let subscriber = tracing_subscriber::registry().with(layer(&provider));
        tracing::subscriber::with_default(subscriber, || {
            let mut run = run("r");
            run.metadata.uid = Some("0f1e2d3c-4b5a-6978-8796-a5b4c3d2e1f0".to_owned());
            let span = tracing::info_span!("run", taskrun = "r");
            belongs_to(&span, &run);
        });
        let flushed = tokio::task::spawn_blocking(move || provider.shutdown());
        flushed.await.unwrap().unwrap();
        let body = taken.try_recv().unwrap();
        let has = |part: &[u8]| body.windows(part.len()).any(|window| window == part);
        assert!(has(b"tektite-controller") && has(b"taskrun"));
        assert!(
            has(&[0x0f, 0x1e, 0x2d, 0x3c, 0x4b, 0x5a, 0x69, 0x78]),
            "its trace"
        );
        server.abort();
    }
}
