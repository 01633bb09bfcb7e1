//! What is measured of single runs, and when. No I/O; the clock is tokio's.
//!
//! A finished run is counted by the write that finishes it, so once, however often the controller starts. How
//! long it waited for its Pod and what it cost in requests is known only of runs that this process saw
//! come; of others nothing is said rather than too little.

use std::{
    cell::Cell,
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use tektite_api::{TaskRun, TaskRunStatus, task_run::RequestedStatus};
use tektite_core::{observe, pod_view::PodView};
use tokio::time::Instant;

use crate::{cache::Key, metrics::Metrics};

tokio::task_local! {
    static CALLS: Calls;
}

/// Requests to the API server for one run. Events are sent elsewhere, and are not among them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Calls {
    reads: Cell<u32>,
    writes: Cell<u32>,
}

impl Calls {
    /// What `look` comes to, and the requests that it made.
    pub async fn counted<T>(look: impl Future<Output = T>) -> (T, Self) {
        CALLS
            .scope(Self::default(), async {
                let result = look.await;
                (result, CALLS.with(Self::clone))
            })
            .await
    }

    /// A request is made; outside of a look it is nobody's.
    pub fn note(verb: &str) {
        let _outside = CALLS.try_with(|calls| {
            let number = if matches!(verb, "create" | "patch" | "update" | "delete") {
                &calls.writes
            } else {
                &calls.reads
            };
            number.set(number.get() + 1);
        });
    }

    /// Requests that change nothing.
    pub const fn reads(&self) -> u32 {
        self.reads.get()
    }

    /// Requests that change something.
    pub const fn writes(&self) -> u32 {
        self.writes.get()
    }
}

/// A run on its way.
#[derive(Debug)]
struct Journey {
    began: Instant,
    has_pod: bool,
    is_over: bool,
    reads: u32,
    writes: u32,
}

/// The runs that this process saw come and not yet end.
#[derive(Debug)]
pub struct Measure {
    metrics: Metrics,
    journeys: Mutex<HashMap<Key, Journey>>,
}

impl Measure {
    /// Measures into `metrics`.
    pub fn new(metrics: Metrics) -> Self {
        Self {
            metrics,
            journeys: Mutex::default(),
        }
    }

    /// A run is there that was not there before.
    pub fn arrived(&self, key: &Key, run: &TaskRun) {
        // One that is held waits for its user.
        let is_new = run
            .status
            .as_ref()
            .is_none_or(|status| status.conditions.is_empty());
        if is_new && run.spec.status != RequestedStatus::Pending {
            let journey = Journey {
                began: Instant::now(),
                has_pod: false,
                is_over: false,
                reads: 0,
                writes: 0,
            };
            self.lock().insert(key.clone(), journey);
        }
    }

    /// The run is gone.
    pub fn forget(&self, key: &Key) {
        self.lock().remove(key);
    }

    /// The run has its Pod.
    pub fn got_pod(&self, key: &Key) {
        if let Some(journey) = self.lock().get_mut(key).filter(|journey| !journey.has_pod) {
            journey.has_pod = true;
            self.metrics
                .create_to_pod
                .observe(journey.began.elapsed().as_secs_f64());
        }
    }

    /// A look at the run is over, and made these requests.
    pub fn looked(&self, key: &Key, calls: &Calls) {
        let mut journeys = self.lock();
        let Some(journey) = journeys.get_mut(key) else {
            return;
        };
        journey.reads += calls.reads();
        journey.writes += calls.writes();
        if journey.is_over {
            self.metrics.requests_of_run(journey.reads, journey.writes);
            journeys.remove(key);
        }
    }

    /// The run, with this Pod, has another status now than it had before.
    pub fn written(&self, run: &TaskRun, pod: Option<&PodView>, status: &TaskRunStatus) {
        let before = run.status.as_ref();
        let has_begun = |status: &TaskRunStatus| {
            let mut steps = status.steps.iter();
            steps.any(|step| step.running.is_some() || step.terminated.is_some())
        };
        if let Some(pod) = pod.filter(|_| has_begun(status) && !before.is_some_and(has_begun)) {
            self.begun(run, pod, status);
        }
        if status.is_done() && !run.is_done() {
            self.metrics.runs.ended(run, status);
            let spec = status.task_spec.as_ref();
            let hand_overs = spec.zip(pod).map(|(spec, pod)| observe::hand_overs(spec, pod));
            for took in hand_overs.unwrap_or_default() {
                self.metrics.hand_over.observe(took.as_secs_f64());
            }
            if let Some(journey) = self.lock().get_mut(&Key::of(&run.metadata)) {
                journey.is_over = true;
            }
        }
    }

    fn begun(&self, run: &TaskRun, pod: &PodView, status: &TaskRunStatus) {
        let Some(created) = pod.metadata.creation_timestamp.as_ref() else {
            return;
        };
        let spec = status.task_spec.as_ref();
        if let Some(started) = spec.and_then(|spec| observe::first_step_began(spec, pod)) {
            let took = started.duration_since(created.0).as_secs_f64();
            self.metrics.pod_to_first_step.observe(took.max(0.0));
        }
        if let Some(scheduled) = pod.scheduled() {
            self.metrics.runs.scheduled(run, created.0, scheduled);
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Key, Journey>> {
        self.journeys.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use prometheus_client::{encoding::text::encode, registry::Registry};
    use serde_json::json;
    use tektite_api::ConditionStatus;

    use super::*;
    use crate::testing::{going_on, pod_of, run};

    fn measure() -> (Measure, Registry) {
        let mut registry = Registry::default();
        let metrics = Metrics::register(&mut registry);
        (Measure::new(metrics), registry)
    }

    fn text(registry: &Registry) -> String {
        let mut text = String::new();
        encode(&mut text, registry).unwrap();
        text
    }

    fn ended() -> TaskRunStatus {
        let mut status = going_on();
        status.conditions[0].status = ConditionStatus::True;
        status
    }

    #[tokio::test(start_paused = true)]
    async fn a_run_is_measured_from_its_coming_to_its_end() {
        let (measure, registry) = measure();
        let key = Key::new("n", "r");
        measure.arrived(&key, &run("r"));
        let look = async {
            Calls::note("get");
            Calls::note("create");
            tokio::time::sleep(Duration::from_millis(300)).await;
            measure.got_pod(&key);
            measure.got_pod(&key);
        };
        let ((), calls) = Calls::counted(look).await;
        measure.looked(&key, &calls);
        let ((), calls) = Calls::counted(async { Calls::note("update") }).await;
        measure.written(&run("r"), None, &ended());
        measure.looked(&key, &calls);
        assert!(measure.lock().is_empty(), "nothing is kept");
        let text = text(&registry);
        for line in [
            "tektite_controller_create_to_pod_seconds_sum 0.3",
            "tektite_controller_create_to_pod_seconds_count 1",
            r#"tektite_controller_requests_per_run_sum{kind="read"} 1.0"#,
            r#"tektite_controller_requests_per_run_sum{kind="write"} 2.0"#,
            r#"tekton_pipelines_controller_taskrun_total{status="success"} 1"#,
        ] {
            assert!(text.contains(line), "{line}\n{text}");
        }
    }

    #[tokio::test]
    async fn of_a_run_that_came_before_us_only_its_end_is_counted() {
        let (measure, registry) = measure();
        let key = Key::new("n", "r");
        let mut known = run("r");
        known.status = Some(going_on());
        measure.arrived(&key, &known);
        measure.got_pod(&key);
        measure.written(&known, None, &ended());
        measure.looked(&key, &Calls::default());
        let mut over = known.clone();
        over.status = Some(ended());
        measure.written(&over, None, &ended());
        let text = text(&registry);
        assert!(text.contains("create_to_pod_seconds_count 0"), "{text}");
        assert!(text.contains(r#"taskrun_total{status="success"} 1"#), "{text}");
        assert!(measure.lock().is_empty());
    }

    #[test]
    fn a_pods_way_to_its_first_step() {
        let (measure, registry) = measure();
        let run = run("r");
        let mut pod = pod_of(&run);
        pod.metadata.creation_timestamp = serde_json::from_value(json!("2026-01-02T03:04:05Z")).unwrap();
        pod.metadata.annotations = Some([("tekton.dev/ready".to_owned(), "READY".to_owned())].into());
        pod.status = serde_json::from_value(json!({
            "conditions": [{"type": "PodScheduled", "status": "True", "lastTransitionTime": "2026-01-02T03:04:06Z"}],
            "containerStatuses": [{
                "name": "step-a", "ready": false, "restartCount": 0, "image": "i", "imageID": "",
                "state": {"running": {"startedAt": "2026-01-02T03:04:08Z"}},
            }],
        }))
        .unwrap();
        let status: TaskRunStatus = serde_json::from_value(json!({
            "taskSpec": {"steps": [{"name": "a", "image": "i"}]},
            "steps": [{"name": "a", "container": "step-a", "running": {}}],
        }))
        .unwrap();
        measure.written(&run, Some(&pod), &status);
        let mut later = run.clone();
        later.status = Some(status.clone());
        measure.written(&later, Some(&pod), &status);
        let text = text(&registry);
        for line in [
            "tektite_controller_pod_to_first_step_seconds_sum 3.0",
            "tektite_controller_pod_to_first_step_seconds_count 1",
            r#"taskruns_pod_latency_milliseconds_sum{namespace="n",task="anonymous"} 1000.0"#,
        ] {
            assert!(text.contains(line), "{line}\n{text}");
        }
    }

    #[test]
    fn hand_overs_of_a_run_that_has_ended() {
        let (measure, registry) = measure();
        let run = run("r");
        let mut pod = pod_of(&run);
        let step = |name: &str, message: &str| {
            json!({"name": name, "ready": false, "restartCount": 0, "image": "i", "imageID": "",
                "state": {"terminated": {"exitCode": 0, "message": message}}})
        };
        pod.status = serde_json::from_value(json!({"containerStatuses": [
            step("step-a", r#"[{"key":"StartedAt","value":"2026-01-02T03:04:08.000Z","type":3}]"#),
            step("step-b", r#"[{"key":"HandOver","value":"7500","type":3}]"#),
            step("step-c", r#"[{"key":"HandOver","value":"soon","type":3}]"#),
        ]}))
        .unwrap();
        let mut status = ended();
        status.task_spec = serde_json::from_value(json!({"steps": [
            {"name": "a", "image": "i"}, {"name": "b", "image": "i"}, {"name": "c", "image": "i"}]}))
        .unwrap();
        measure.written(&run, Some(&pod), &status);
        let text = text(&registry);
        for line in [
            "tektite_controller_hand_over_seconds_sum 0.0075",
            "tektite_controller_hand_over_seconds_count 1",
        ] {
            assert!(text.contains(line), "{line}\n{text}");
        }
    }
}
