//! The series that users of Tekton know, under their names (api.md 8.3). No I/O.
//!
//! Which labels they carry, and whether a duration is a histogram or the last value, is the operator's to
//! say at any time, so they are printed by a collector of our own: one name has one type at a time.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError, atomic::AtomicU64},
    time::Duration,
};

use jiff::Timestamp;
use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric},
    metrics::{
        counter::Counter,
        family::Family,
        gauge::{ConstGauge, Gauge},
        histogram::Histogram,
    },
    registry::Registry,
};
use tektite_api::{ConditionStatus, TaskRun, TaskRunStatus, labels};
use tektite_core::{
    config::{DurationType, Level, Observability},
    reason::Reason,
};

const PREFIX: &str = "tekton_pipelines_controller";
const DURATION: &str = "How long finished TaskRuns took, in seconds";
const LATENCY: &str = "From a Pod's creation to its being scheduled, in milliseconds";

type Labels = Vec<(String, String)>;
type Gauges = Family<Labels, Gauge<f64, AtomicU64>>;

/// Durations of one kind of run.
#[derive(Debug)]
struct Durations {
    name: &'static str,
    histogram: Family<Labels, Histogram, fn() -> Histogram>,
    last: Gauges,
}

impl Durations {
    fn named(name: &'static str) -> Self {
        Self {
            name,
            histogram: Family::new_with_constructor(duration_histogram as fn() -> Histogram),
            last: Family::default(),
        }
    }

    fn clear(&self) {
        self.histogram.clear();
        self.last.clear();
    }
}

fn duration_histogram() -> Histogram {
    Histogram::new([
        10.0, 30.0, 60.0, 300.0, 900.0, 1800.0, 3600.0, 5400.0, 10800.0, 21600.0, 43200.0, 86400.0,
    ])
}

fn latency_histogram() -> Histogram {
    Histogram::new([
        5.0, 10.0, 25.0, 50.0, 100.0, 250.0, 500.0, 1000.0, 2500.0, 5000.0, 10000.0,
    ])
}

/// TaskRuns that have begun and not ended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ongoing {
    /// All of them.
    running: u64,
    /// Those whose Task is being fetched.
    resolving: u64,
    /// Those that wait for room in a quota, by namespace.
    by_quota: BTreeMap<String, u64>,
    /// Those that wait for room on a node, by namespace.
    by_node: BTreeMap<String, u64>,
}

impl Ongoing {
    /// Counts `run`, if it is one of them.
    pub fn count(&mut self, run: &TaskRun) {
        let condition = run.status.as_ref().and_then(TaskRunStatus::succeeded);
        let Some(condition) = condition.filter(|condition| condition.status == ConditionStatus::Unknown)
        else {
            return;
        };
        self.running += 1;
        let throttled = match condition.reason.as_str() {
            "ResolvingTaskRef" => {
                self.resolving += 1;
                return;
            }
            reason if reason == Reason::ExceededResourceQuota.as_str() => &mut self.by_quota,
            reason if reason == Reason::ExceededNodeResources.as_str() => &mut self.by_node,
            _ => return,
        };
        *throttled.entry(run.namespace().to_owned()).or_default() += 1;
    }
}

#[derive(Debug)]
struct State {
    settings: Observability,
    alone: Durations,
    of_pipelines: Durations,
    total: Family<Labels, Counter>,
    latency: Family<Labels, Histogram, fn() -> Histogram>,
    ongoing: Ongoing,
}

/// The series. Clones count into the same.
#[derive(Clone)]
pub struct RunMetrics(Arc<Mutex<State>>);

impl fmt::Debug for RunMetrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("RunMetrics").finish_non_exhaustive()
    }
}

impl RunMetrics {
    /// Series that `registry` prints.
    pub(super) fn register(registry: &mut Registry) -> Self {
        let metrics = Self(Arc::new(Mutex::new(State {
            settings: Observability::default(),
            alone: Durations::named("taskrun_duration_seconds"),
            of_pipelines: Durations::named("pipelinerun_taskrun_duration_seconds"),
            total: Family::default(),
            latency: Family::new_with_constructor(latency_histogram as fn() -> Histogram),
            ongoing: Ongoing::default(),
        })));
        registry.register_collector(Box::new(metrics.clone()));
        metrics
    }

    /// From now on these settings hold. What was counted with other labels goes.
    pub fn set(&self, settings: &Observability) {
        let mut state = self.lock();
        if state.settings != *settings {
            state.settings = settings.clone();
            state.alone.clear();
            state.of_pipelines.clear();
            state.latency.clear();
        }
    }

    /// `run` has ended with `status`, just now.
    pub fn ended(&self, run: &TaskRun, status: &TaskRunStatus) {
        let state = self.lock();
        let Some(condition) = status.succeeded() else {
            return;
        };
        let outcome = match condition.status {
            ConditionStatus::True => "success",
            _ if condition.reason == Reason::TaskRunCancelled.as_str() => "cancelled",
            _ => "failed",
        };
        let total = vec![("status".to_owned(), outcome.to_owned())];
        state.total.get_or_create(&total).inc();
        let (Some(start), Some(end)) = (&status.start_time, &status.completion_time) else {
            return;
        };
        let mut labels = names(run, state.settings.level);
        labels.push(("status".to_owned(), outcome.to_owned()));
        if state.settings.with_reason {
            labels.push(("reason".to_owned(), condition.reason.clone()));
        }
        let durations = match pipeline(run) {
            None => &state.alone,
            Some((pipeline, pipeline_run)) => {
                labels.push(("pipeline".to_owned(), pipeline));
                if state.settings.level == Level::TaskRun {
                    labels.push(("pipelinerun".to_owned(), pipeline_run));
                }
                &state.of_pipelines
            }
        };
        let took = (end.0 - start.0).total(jiff::Unit::Second).unwrap_or_default();
        match state.settings.duration_type {
            DurationType::Histogram => durations.histogram.get_or_create(&labels).observe(took),
            DurationType::LastValue => {
                durations.last.get_or_create(&labels).set(took);
            }
        }
    }

    /// The Pod of `run`, made at one moment, got its node at the other.
    pub fn scheduled(&self, run: &TaskRun, created: Timestamp, scheduled: Timestamp) {
        let state = self.lock();
        let took = Duration::try_from(scheduled.duration_since(created)).unwrap_or_default();
        let labels = names(run, state.settings.level);
        let milliseconds = took.as_secs_f64() * 1000.0;
        state.latency.get_or_create(&labels).observe(milliseconds);
    }

    /// How many runs there are now.
    pub fn set_ongoing(&self, ongoing: Ongoing) {
        self.lock().ongoing = ongoing;
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The labels that tell which runs a series is about.
fn names(run: &TaskRun, level: Level) -> Labels {
    let mut names = vec![("namespace".to_owned(), run.namespace().to_owned())];
    if level != Level::Namespace {
        names.push(("task".to_owned(), task(run).to_owned()));
    }
    if level == Level::TaskRun {
        names.push(("taskrun".to_owned(), run.name().to_owned()));
    }
    names
}

fn label<'a>(run: &'a TaskRun, key: &str) -> Option<&'a str> {
    run.metadata.labels.as_ref()?.get(key).map(String::as_str)
}

fn task(run: &TaskRun) -> &str {
    let named = run.spec.task_ref.as_ref().map(|task_ref| task_ref.name.as_str());
    named
        .filter(|name| !name.is_empty())
        .or_else(|| label(run, labels::PIPELINE_TASK))
        .or_else(|| label(run, labels::TASK))
        .unwrap_or("anonymous")
}

/// The Pipeline and the PipelineRun that `run` is part of.
fn pipeline(run: &TaskRun) -> Option<(String, String)> {
    let of = label(run, labels::PIPELINE)?;
    let pipeline_run = label(run, labels::PIPELINE_RUN)?;
    // An inline Pipeline is called like its run.
    let name = if of == pipeline_run { "anonymous" } else { of };
    Some((name.to_owned(), pipeline_run.to_owned()))
}

impl Collector for RunMetrics {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let state = self.lock();
        let mut print = |name: &str, help: &str, metric: &dyn Printed| {
            let name = format!("{PREFIX}_{name}");
            metric.print(&name, help, &mut encoder)
        };
        for durations in [&state.alone, &state.of_pipelines] {
            match state.settings.duration_type {
                DurationType::Histogram => print(durations.name, DURATION, &durations.histogram)?,
                DurationType::LastValue => print(durations.name, DURATION, &durations.last)?,
            }
        }
        print("taskrun", "Finished TaskRuns", &state.total)?;
        print("taskruns_pod_latency_milliseconds", LATENCY, &state.latency)?;
        let ongoing = &state.ongoing;
        let number = |number: u64| ConstGauge::new(i64::try_from(number).unwrap_or(i64::MAX));
        let running = number(ongoing.running);
        print(
            "running_taskruns",
            "TaskRuns that have begun and not ended",
            &running,
        )?;
        let resolving = number(ongoing.resolving);
        let help = "TaskRuns whose Task is being fetched";
        print(
            "running_taskruns_waiting_on_task_resolution_count",
            help,
            &resolving,
        )?;
        for (name, help, throttled) in [
            (
                "running_taskruns_throttled_by_quota",
                "TaskRuns that wait for room in a quota",
                &ongoing.by_quota,
            ),
            (
                "running_taskruns_throttled_by_node",
                "TaskRuns that wait for room on a node",
                &ongoing.by_node,
            ),
        ] {
            if !state.settings.throttled_by_namespace {
                let all = throttled.values().sum();
                if all > 0 {
                    print(name, help, &number(all))?;
                }
                continue;
            }
            let series: Family<Labels, Gauge> = Family::default();
            for (namespace, number) in throttled {
                let labels = vec![("namespace".to_owned(), namespace.clone())];
                let number = i64::try_from(*number).unwrap_or(i64::MAX);
                series.get_or_create(&labels).set(number);
            }
            print(name, help, &series)?;
        }
        Ok(())
    }
}

/// A metric of any type.
trait Printed {
    fn print(&self, name: &str, help: &str, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result;
}

impl<T: EncodeMetric> Printed for T {
    fn print(&self, name: &str, help: &str, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        if self.is_empty() {
            return Ok(());
        }
        let metric = encoder.encode_descriptor(name, help, None, self.metric_type())?;
        self.encode(metric)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use prometheus_client::encoding::text::encode;
    use serde_json::{Value, json};

    fn run(spec: Value, labels: Value, status: Value) -> TaskRun {
        serde_json::from_value(json!({
            "metadata": {"name": "r", "namespace": "n", "labels": labels},
            "spec": spec,
            "status": status,
        }))
        .unwrap()
    }

    fn ended(condition: &str, reason: &str) -> Value {
        json!({
            "startTime": "2026-01-02T03:04:05Z",
            "completionTime": "2026-01-02T03:04:45Z",
            "conditions": [{"type": "Succeeded", "status": condition, "reason": reason}],
        })
    }

    fn printed(settings: &Observability, runs: &[TaskRun]) -> String {
        let mut registry = Registry::default();
        let metrics = RunMetrics::register(&mut registry);
        metrics.set(settings);
        let mut ongoing = Ongoing::default();
        for run in runs {
            match run.status.as_ref() {
                Some(status) if run.is_done() => metrics.ended(run, status),
                _ => ongoing.count(run),
            }
        }
        metrics.set_ongoing(ongoing);
        let mut text = String::new();
        encode(&mut text, &registry).unwrap();
        text
    }

    #[test]
    fn labels_by_level() {
        let by_name = || {
            run(
                json!({"taskRef": {"name": "t"}}),
                json!({}),
                ended("True", "Succeeded"),
            )
        };
        let inline = || {
            run(
                json!({"taskSpec": {"steps": []}}),
                json!({}),
                ended("False", "StepFailed"),
            )
        };
        let in_pipeline = || {
            run(
                json!({"taskSpec": {"steps": []}}),
                json!({"tekton.dev/pipeline": "p", "tekton.dev/pipelineRun": "pr", "tekton.dev/pipelineTask": "pt"}),
                ended("False", "TaskRunCancelled"),
            )
        };
        let level = |level| Observability {
            level,
            ..Observability::default()
        };
        let rows = vec![
            (
                Observability::default(),
                by_name(),
                r#"taskrun_duration_seconds_bucket{le="60.0",namespace="n",task="t",status="success"} 1"#,
            ),
            (
                Observability::default(),
                inline(),
                r#"taskrun_duration_seconds_sum{namespace="n",task="anonymous",status="failed"} 40"#,
            ),
            (
                level(Level::Namespace),
                by_name(),
                r#"taskrun_duration_seconds_count{namespace="n",status="success"} 1"#,
            ),
            (
                level(Level::TaskRun),
                by_name(),
                r#"taskrun_duration_seconds_count{namespace="n",task="t",taskrun="r",status="success"} 1"#,
            ),
            (
                Observability::default(),
                in_pipeline(),
                r#"pipelinerun_taskrun_duration_seconds_count{namespace="n",task="pt",status="cancelled",pipeline="p"} 1"#,
            ),
            (
                Observability {
                    with_reason: true,
                    duration_type: DurationType::LastValue,
                    ..Observability::default()
                },
                inline(),
                r#"taskrun_duration_seconds{namespace="n",task="anonymous",status="failed",reason="StepFailed"} 40"#,
            ),
            (
                Observability::default(),
                by_name(),
                r#"tekton_pipelines_controller_taskrun_total{status="success"} 1"#,
            ),
        ];
        for (settings, run, expected) in rows {
            let text = printed(&settings, &[run]);
            assert!(text.contains(expected), "{expected}\n{text}");
        }
    }

    #[test]
    fn what_goes_on() {
        let going = |reason: &str| {
            let status =
                json!({"conditions": [{"type": "Succeeded", "status": "Unknown", "reason": reason}]});
            run(json!({}), json!({}), status)
        };
        let runs = vec![
            going("Running"),
            going("ExceededResourceQuota"),
            going("ExceededNodeResources"),
            going("ExceededNodeResources"),
            run(json!({}), json!({}), json!({})),
        ];
        let text = printed(&Observability::default(), &runs);
        for line in [
            "tekton_pipelines_controller_running_taskruns 4",
            "tekton_pipelines_controller_running_taskruns_waiting_on_task_resolution_count 0",
            "tekton_pipelines_controller_running_taskruns_throttled_by_quota 1",
            "tekton_pipelines_controller_running_taskruns_throttled_by_node 2",
        ] {
            assert!(text.contains(&format!("{line}\n")), "{line}\n{text}");
        }
        let by_namespace = Observability {
            throttled_by_namespace: true,
            ..Observability::default()
        };
        let text = printed(&by_namespace, &runs);
        assert!(text.contains(r#"throttled_by_node{namespace="n"} 2"#), "{text}");
        assert!(
            !printed(&by_namespace, &[]).contains("throttled"),
            "none, no series"
        );
    }

    #[test]
    fn other_labels_begin_anew() {
        let mut registry = Registry::default();
        let metrics = RunMetrics::register(&mut registry);
        let run = run(json!({}), json!({}), ended("True", "Succeeded"));
        metrics.ended(&run, run.status.as_ref().unwrap());
        metrics.set(&Observability {
            level: Level::Namespace,
            ..Observability::default()
        });
        let mut text = String::new();
        encode(&mut text, &registry).unwrap();
        assert!(!text.contains("duration"), "{text}");
        assert!(text.contains("taskrun_total"), "{text}");
    }
}
