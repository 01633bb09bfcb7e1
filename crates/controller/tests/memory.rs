//! What is kept of each object, in bytes: counts, so that they are the same on every machine.

use serde_json::{Value, json};
use tektite_api::TaskRun;
use tektite_controller::{
    cache::{Cache, Cached},
    decode::{Decoded, Readable},
    known::KnownRun,
};
use tektite_core::pod_view::PodView;

#[global_allocator]
static ALLOCATOR: dhat::Alloc = dhat::Alloc;

/// How many objects share what a cache takes by itself.
const OBJECTS: usize = 100;

fn metadata(name: &str) -> Value {
    json!({
        "name": name, "namespace": "a-namespace", "uid": "01234567-89ab-cdef-0123-456789abcdef",
        "resourceVersion": "123456789", "generation": 1, "creationTimestamp": "2026-01-02T03:04:05Z",
        "labels": {"app.kubernetes.io/managed-by": "tekton-pipelines", "tekton.dev/task": "a-task"},
        "annotations": {
            "pipeline.tekton.dev/release": "0123abc",
            "kubectl.kubernetes.io/last-applied-configuration": "x".repeat(1500),
        },
        "managedFields": [{"manager": "kubectl", "fieldsV1": {"f:spec": {"f:params": {}, "f:taskRef": {}}}}],
    })
}

fn task() -> Value {
    let step = |name: &str| {
        json!({
            "name": name, "image": "registry.example/tool:1", "script": "echo something\n".repeat(20),
            "env": [{"name": "A", "value": "b"}],
        })
    };
    json!({"params": [{"name": "p", "type": "string"}], "steps": [step("fetch"), step("build"), step("push")]})
}

fn run(number: usize, condition: &str) -> Value {
    let name = format!("a-task-run-{number:05}");
    let step = |name: &str| {
        json!({
            "name": name, "container": format!("step-{name}"), "imageID": "registry.example/tool@sha256:0123456789",
            "terminated": {
                "exitCode": 0, "reason": "Completed", "startedAt": "2026-01-02T03:04:05Z",
                "finishedAt": "2026-01-02T03:04:06Z", "containerID": "containerd://0123456789abcdef0123456789abcdef",
            },
        })
    };
    json!({
        "apiVersion": "tekton.dev/v1", "kind": "TaskRun",
        "metadata": metadata(&name),
        "spec": {"serviceAccountName": "default", "timeout": "1h0m0s", "taskRef": {"name": "a-task"},
            "params": [{"name": "p", "value": "v"}]},
        "status": {
            "podName": format!("{name}-pod"), "startTime": "2026-01-02T03:04:05Z",
            "completionTime": "2026-01-02T03:04:09Z", "taskSpec": task(),
            "conditions": [{"type": "Succeeded", "status": condition, "reason": "Succeeded",
                "message": "All Steps have completed executing", "lastTransitionTime": "2026-01-02T03:04:09Z"}],
            "steps": [step("fetch"), step("build"), step("push")],
        },
    })
}

fn pod(number: usize) -> Value {
    let name = format!("a-task-run-{number:05}");
    let container = |name: &str| {
        json!({
            "name": name, "image": "registry.example/tool:1", "imageID": "registry.example/tool@sha256:0123456789",
            "containerID": "containerd://0123456789abcdef0123456789abcdef", "ready": true, "restartCount": 0,
            "started": true, "state": {"running": {"startedAt": "2026-01-02T03:04:05Z"}},
            "resources": {"requests": {"cpu": "10m", "memory": "32Mi"}},
            "volumeMounts": [{"name": "tekton-internal-run", "mountPath": "/tekton/run"}],
        })
    };
    let mut metadata = metadata(&format!("{name}-pod"));
    metadata["ownerReferences"] = json!([{
        "apiVersion": "tekton.dev/v1", "kind": "TaskRun", "name": name, "controller": true,
        "uid": "01234567-89ab-cdef-0123-456789abcdef", "blockOwnerDeletion": true,
    }]);
    json!({
        "metadata": metadata,
        "spec": {"containers": [{"name": "step-fetch", "command": ["x".repeat(2000)]}]},
        "status": {
            "phase": "Running", "podIP": "10.0.0.1", "hostIP": "10.1.0.1",
            "conditions": [{"type": "Ready", "status": "True"}, {"type": "PodScheduled", "status": "True"}],
            "containerStatuses": [container("step-fetch"), container("step-build"), container("step-push")],
        },
    })
}

/// What one of many objects takes, as a watch brings and the controller keeps it.
fn bytes_of_each<T: Readable, C: Cached + From<T>>(object: impl Fn(usize) -> Value) -> usize {
    let cache: Cache<C> = Cache::default();
    let before = dhat::HeapStats::get().curr_bytes;
    for number in 0..OBJECTS {
        let text = object(number).to_string();
        if let Ok(Decoded::Whole(object)) = serde_json::from_str::<Decoded<T>>(&text) {
            cache.apply(*object);
        }
    }
    let after = dhat::HeapStats::get().curr_bytes;
    assert_eq!(cache.len(), OBJECTS);
    (after - before) / OBJECTS
}

#[test]
fn what_is_kept_of_each_object() {
    let _profiler = dhat::Profiler::builder().testing().build();
    let finished = bytes_of_each::<TaskRun, KnownRun>(|number| run(number, "True"));
    let ongoing = bytes_of_each::<TaskRun, KnownRun>(|number| run(number, "Unknown"));
    let pod = bytes_of_each::<PodView, PodView>(pod);
    println!("bytes kept: finished TaskRun {finished}, ongoing TaskRun {ongoing}, Pod of three steps {pod}");
    for (what, bytes, most) in [
        ("finished TaskRun", finished, 800),
        ("ongoing TaskRun", ongoing, 20_000),
        ("Pod", pod, 11_000),
    ] {
        assert!(bytes <= most, "{what}: {bytes} bytes, {most} at most");
    }
}
