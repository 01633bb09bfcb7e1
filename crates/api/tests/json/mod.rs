//! JSON of every type here, as the types print it: each field is there with something in it, or not.

use proptest::{collection, option, prelude::*, sample::select};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};
use tektite_api::{
    GoDuration, Param, ParamSpec, PropertySpec, Sidecar, Step, StepAction, StepTemplate, Task, TaskRef,
    TaskResult, TaskRun, TaskSpec, WorkspaceBinding, WorkspaceDeclaration, WorkspaceUsage,
    decode::fields_of,
    status::{
        Artifact, ArtifactValue, Condition, Provenance, RefSource, ResultValue, SidecarState, StepState,
        TaskRunStatus,
    },
    step_action::StepActionSpec,
    task::{StepOutputConfig, StepRef, WhenExpression},
    task_run::{ContainerSpec, TaskBreakpoints, TaskRunDebug, TaskRunSpec},
};

#[path = "kubernetes.rs"]
mod kubernetes;

pub(crate) use kubernetes::pod_template;

pub(crate) type Json = BoxedStrategy<Value>;
type Field = (&'static str, Json);

/// An object of `T`: the fields of `always`, and some of `sometimes`. All fields of `T` have to be in
/// one of them.
fn object<T: DeserializeOwned>(always: Vec<Field>, sometimes: Vec<Field>) -> Json {
    let mut named: Vec<&str> = always.iter().chain(&sometimes).map(|(name, _)| *name).collect();
    let mut there = fields_of::<T>().to_vec();
    named.sort_unstable();
    there.sort_unstable();
    assert_eq!(
        named,
        there,
        "the fields of {} and those that are generated",
        std::any::type_name::<T>()
    );
    let always = always
        .into_iter()
        .map(|(name, value)| value.prop_map(move |value| Some((name, value))).boxed());
    let sometimes = sometimes.into_iter().map(|(name, value)| {
        option::weighted(0.3, value)
            .prop_map(move |value| Some((name, value?)))
            .boxed()
    });
    let fields: Vec<_> = always.chain(sometimes).collect();
    fields
        .prop_map(|fields| {
            let fields = fields.into_iter().flatten();
            Value::Object(fields.map(|(name, value)| (name.to_owned(), value)).collect())
        })
        .boxed()
}

fn one(value: impl Into<Value>) -> Json {
    Just(value.into()).boxed()
}

fn any_of(values: Vec<Value>) -> Json {
    select(values).boxed()
}

/// Any text, as like as not one that means something somewhere.
fn text_of(least: usize) -> BoxedStrategy<String> {
    let words = [
        "a",
        "5",
        "null",
        "true",
        "[\"a\"]",
        "{\"k\":\"v\"}",
        "[1]",
        " [\"a\"]",
        "\"quoted\"\n",
        "$(params.a)",
        "$(params.a[*])",
        "\u{0}",
        "\u{feff}é\u{1f980}",
        "line\nline",
        "90s",
        "1Gi",
        "1.50",
        "-",
        "\\u0000",
    ];
    let any = collection::vec(any::<char>(), least..12).prop_map(String::from_iter);
    prop_oneof![select(words.map(str::to_owned).to_vec()), any].boxed()
}

fn text() -> Json {
    text_of(1).prop_map(Value::from).boxed()
}

/// A text that is written also where it is empty.
fn any_text() -> Json {
    text_of(0).prop_map(Value::from).boxed()
}

fn some(items: Json) -> Json {
    collection::vec(items, 1..3).prop_map(Value::from).boxed()
}

fn map_of(values: Json, least: usize) -> Json {
    collection::btree_map(text_of(0), values, least..3)
        .prop_map(|map| Value::Object(map.into_iter().collect::<Map<_, _>>()))
        .boxed()
}

fn flag() -> Json {
    one(true)
}

fn duration() -> Json {
    prop_oneof![
        any::<i64>(),
        (0i64..100_000).prop_map(|seconds| seconds * 1_000_000_000)
    ]
    .prop_map(|nanos| GoDuration::from_nanos(nanos).to_string().into())
    .boxed()
}

fn time() -> Json {
    any_of(vec![
        json!("2026-01-02T03:04:05Z"),
        json!("1970-01-01T00:00:00Z"),
        json!("2999-12-31T23:59:59Z"),
    ])
}

pub(crate) fn param_value() -> Json {
    prop_oneof![
        any_text(),
        collection::vec(any_text(), 0..3).prop_map(Value::from),
        map_of(any_text(), 0),
    ]
    .boxed()
}

fn param_type() -> Json {
    any_of(vec![
        json!("string"),
        json!("array"),
        json!("object"),
        json!("strnig"),
    ])
}

fn properties() -> Json {
    map_of(object::<PropertySpec>(vec![], vec![("type", param_type())]), 0)
}

fn param() -> Json {
    object::<Param>(vec![("name", any_text()), ("value", param_value())], vec![])
}

fn param_spec() -> Json {
    object::<ParamSpec>(
        vec![("name", any_text())],
        vec![
            ("type", param_type()),
            ("description", text()),
            ("properties", properties()),
            ("default", param_value()),
            ("enum", some(any_text())),
        ],
    )
}

fn result() -> Json {
    object::<TaskResult>(
        vec![("name", any_text())],
        vec![
            ("type", param_type()),
            ("properties", properties()),
            ("description", text()),
            ("value", param_value()),
        ],
    )
}

fn workspace_usage() -> Json {
    object::<WorkspaceUsage>(vec![("name", any_text()), ("mountPath", any_text())], vec![])
}

/// What steps, template and sidecars have in common.
fn container() -> Vec<Field> {
    vec![
        ("image", text()),
        ("command", some(any_text())),
        ("args", some(any_text())),
        ("workingDir", text()),
        ("envFrom", some(kubernetes::env_from())),
        ("env", some(kubernetes::env())),
        ("volumeMounts", some(kubernetes::mount())),
        ("volumeDevices", some(kubernetes::device())),
        ("imagePullPolicy", text()),
        ("securityContext", kubernetes::security()),
    ]
}

fn step() -> Json {
    let reference = object::<StepRef>(
        vec![],
        vec![("name", text()), ("resolver", text()), ("params", some(param()))],
    );
    let when = object::<WhenExpression>(
        vec![],
        vec![
            ("input", text()),
            ("operator", text()),
            ("values", some(any_text())),
            ("cel", text()),
        ],
    );
    let output = || object::<StepOutputConfig>(vec![], vec![("path", text())]);
    let mut sometimes = container();
    sometimes.extend([
        ("displayName", text()),
        ("script", text()),
        ("timeout", duration()),
        ("workspaces", some(workspace_usage())),
        ("onError", text()),
        ("stdoutConfig", output()),
        ("stderrConfig", output()),
        ("ref", reference),
        ("params", some(param())),
        ("results", some(result())),
        ("when", some(when)),
    ]);
    let always = vec![
        ("name", any_text()),
        ("computeResources", kubernetes::resources()),
    ];
    object::<Step>(always, sometimes)
}

fn sidecar() -> Json {
    let mut sometimes = container();
    sometimes.extend([
        ("ports", some(kubernetes::port())),
        ("livenessProbe", kubernetes::probe()),
        ("readinessProbe", kubernetes::probe()),
        ("startupProbe", kubernetes::probe()),
        ("lifecycle", kubernetes::lifecycle()),
        ("terminationMessagePath", text()),
        ("terminationMessagePolicy", text()),
        ("stdin", flag()),
        ("stdinOnce", flag()),
        ("tty", flag()),
        ("script", text()),
        ("workspaces", some(workspace_usage())),
        ("restartPolicy", text()),
    ]);
    let always = vec![
        ("name", any_text()),
        ("computeResources", kubernetes::resources()),
    ];
    object::<Sidecar>(always, sometimes)
}

fn task_spec() -> Json {
    let template = object::<StepTemplate>(vec![("computeResources", kubernetes::resources())], container());
    let workspace = object::<WorkspaceDeclaration>(
        vec![("name", any_text())],
        vec![
            ("description", text()),
            ("mountPath", text()),
            ("readOnly", flag()),
            ("optional", flag()),
        ],
    );
    object::<TaskSpec>(
        vec![],
        vec![
            ("params", some(param_spec())),
            ("displayName", text()),
            ("description", text()),
            ("steps", some(step())),
            ("volumes", some(kubernetes::volume())),
            ("stepTemplate", template),
            ("sidecars", some(sidecar())),
            ("workspaces", some(workspace)),
            ("results", some(result())),
        ],
    )
}

fn binding() -> Json {
    let mut sometimes = kubernetes::workspace_sources();
    sometimes.push(("subPath", text()));
    object::<WorkspaceBinding>(vec![("name", any_text())], sometimes)
}

fn task_run_spec() -> Json {
    let reference = object::<TaskRef>(
        vec![],
        vec![
            ("name", text()),
            ("kind", text()),
            ("apiVersion", text()),
            ("resolver", text()),
            ("params", some(param())),
        ],
    );
    let breakpoints = object::<TaskBreakpoints>(
        vec![],
        vec![("onFailure", text()), ("beforeSteps", some(any_text()))],
    );
    let container_spec = || {
        let always = vec![
            ("name", any_text()),
            ("computeResources", kubernetes::resources()),
        ];
        object::<ContainerSpec>(always, vec![])
    };
    object::<TaskRunSpec>(
        vec![("serviceAccountName", any_text())],
        vec![
            (
                "debug",
                object::<TaskRunDebug>(vec![], vec![("breakpoints", breakpoints)]),
            ),
            ("params", some(param())),
            ("taskRef", reference),
            ("taskSpec", task_spec()),
            (
                "status",
                prop_oneof![one("TaskRunCancelled"), one("TaskRunPending"), text()].boxed(),
            ),
            ("statusMessage", text()),
            (
                "retries",
                prop_oneof![1i64..9, i64::MIN..0].prop_map(Value::from).boxed(),
            ),
            ("timeout", duration()),
            ("podTemplate", pod_template()),
            ("workspaces", some(binding())),
            ("stepSpecs", some(container_spec())),
            ("sidecarSpecs", some(container_spec())),
            ("computeResources", kubernetes::resources()),
            ("managedBy", any_text()),
        ],
    )
}

fn provenance() -> Json {
    let source = object::<RefSource>(
        vec![],
        vec![
            ("uri", text()),
            ("digest", map_of(any_text(), 1)),
            ("entryPoint", text()),
        ],
    );
    let flags = any_of(vec![
        json!({}),
        json!({"enableAPIFields": "beta", "maxResultSize": 4096, "awaitSidecarReadiness": true}),
    ]);
    object::<Provenance>(vec![], vec![("refSource", source), ("featureFlags", flags)])
}

fn result_value() -> Json {
    object::<ResultValue>(
        vec![
            ("name", any_text()),
            ("type", param_type()),
            ("value", param_value()),
        ],
        vec![],
    )
}

fn artifact() -> Json {
    let value = object::<ArtifactValue>(vec![], vec![("digest", map_of(any_text(), 1)), ("uri", text())]);
    object::<Artifact>(
        vec![],
        vec![("name", text()), ("values", some(value)), ("buildOutput", flag())],
    )
}

fn container_state() -> Vec<Field> {
    vec![
        (
            "waiting",
            any_of(vec![json!({}), json!({"reason": "PodInitializing"})]),
        ),
        (
            "running",
            any_of(vec![json!({}), json!({"startedAt": "2026-01-02T03:04:05Z"})]),
        ),
        (
            "terminated",
            any_of(vec![
                json!({"exitCode": 0}),
                json!({"exitCode": 137, "reason": "OOMKilled", "signal": 9, "message": "[{}]",
                    "containerID": "containerd://x", "startedAt": "2026-01-02T03:04:05Z",
                    "finishedAt": "2026-01-02T03:04:06Z"}),
            ]),
        ),
        ("name", text()),
        ("container", text()),
        ("imageID", text()),
    ]
}

fn status_with(more: Vec<Field>) -> Json {
    let condition = object::<Condition>(
        vec![
            ("type", any_text()),
            (
                "status",
                any_of(vec![json!("True"), json!("False"), json!("Unknown")]),
            ),
        ],
        vec![
            ("severity", text()),
            ("lastTransitionTime", time()),
            ("reason", text()),
            ("message", text()),
        ],
    );
    let mut of_step = container_state();
    of_step.extend([
        ("results", some(result_value())),
        ("provenance", provenance()),
        ("terminationReason", text()),
        ("inputs", some(artifact())),
        ("outputs", some(artifact())),
    ]);
    let artifacts = prop_oneof![
        one(json!({})),
        some(artifact()).prop_map(|list| json!({"inputs": list, "outputs": []})),
    ];
    let mut sometimes = vec![
        ("observedGeneration", any::<i64>().prop_map(Value::from).boxed()),
        ("annotations", map_of(any_text(), 1)),
        ("conditions", some(condition)),
        ("startTime", time()),
        ("completionTime", time()),
        ("steps", some(object::<StepState>(vec![], of_step))),
        ("results", some(result_value())),
        ("artifacts", artifacts.boxed()),
        (
            "sidecars",
            some(object::<SidecarState>(vec![], container_state())),
        ),
        ("taskSpec", task_spec()),
        ("provenance", provenance()),
        ("spanContext", map_of(any_text(), 1)),
    ];
    sometimes.extend(more);
    object::<TaskRunStatus>(vec![("podName", any_text())], sometimes)
}

fn status() -> Json {
    // An earlier attempt has no earlier attempts of its own; the type could hold them.
    let earlier = status_with(vec![("retriesStatus", one(json!([{"podName": ""}])))]);
    status_with(vec![("retriesStatus", some(earlier))])
}

pub(crate) fn task_run() -> Json {
    object::<TaskRun>(
        vec![
            ("apiVersion", one("tekton.dev/v1")),
            ("kind", one("TaskRun")),
            ("metadata", kubernetes::metadata()),
            ("spec", task_run_spec()),
        ],
        vec![("status", status())],
    )
}

pub(crate) fn task() -> Json {
    object::<Task>(
        vec![
            ("apiVersion", one("tekton.dev/v1")),
            ("kind", one("Task")),
            ("metadata", kubernetes::metadata()),
            ("spec", task_spec()),
        ],
        vec![],
    )
}

pub(crate) fn step_action() -> Json {
    let mut sometimes = container();
    sometimes.retain(|(name, _)| !matches!(*name, "envFrom" | "volumeDevices" | "imagePullPolicy"));
    sometimes.extend([
        ("description", text()),
        ("script", text()),
        ("params", some(param_spec())),
        ("results", some(result())),
    ]);
    object::<StepAction>(
        vec![
            ("apiVersion", one("tekton.dev/v1beta1")),
            ("kind", one("StepAction")),
            ("metadata", kubernetes::metadata()),
            ("spec", object::<StepActionSpec>(vec![], sometimes)),
        ],
        vec![],
    )
}
