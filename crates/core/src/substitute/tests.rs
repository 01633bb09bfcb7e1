//! The vectors of api.md appendix E.4, one row each.

use std::collections::BTreeMap;

use serde_json::json;
use tektite_api::{ParamValue, TaskSpec, WorkspaceBinding};

use super::*;

fn params() -> BTreeMap<String, ParamValue> {
    let array = |items: &[&str]| ParamValue::Array(items.iter().map(ToString::to_string).collect());
    BTreeMap::from([
        ("s".to_owned(), "v".into()),
        ("a".to_owned(), array(&["x", "y"])),
        ("e".to_owned(), array(&[])),
        (
            "o".to_owned(),
            ParamValue::Object(BTreeMap::from([("k".to_owned(), "1".to_owned())])),
        ),
        ("p".to_owned(), "$(workspaces.w.path)/f".into()),
        ("q".to_owned(), "$(params.s)".into()),
        ("dotted.name".to_owned(), "d".into()),
    ])
}

/// A step with one field set, after all stages.
fn step(field: serde_json::Value) -> serde_json::Value {
    let mut spec: TaskSpec = serde_json::from_value(json!({
        "steps": [field],
        "workspaces": [{"name": "w"}, {"name": "opt", "optional": true}],
        "results": [{"name": "r"}],
    }))
    .unwrap();
    let binding: WorkspaceBinding =
        serde_json::from_value(json!({"name": "w", "persistentVolumeClaim": {"claimName": "c"}})).unwrap();
    let context = Context {
        run_name: "tr",
        namespace: "ns",
        uid: "u",
        task_name: "t",
        retry_count: 0,
    };
    task_spec_stages(
        &mut spec,
        &params(),
        context,
        &[BoundVolume {
            binding: &binding,
            volume: "ws-1",
        }],
    )
    .unwrap();
    serde_json::to_value(&spec.steps[0]).unwrap()
}

#[test]
fn appendix_e4_lists() {
    for (args, expected) in [
        (
            json!(["$(params.s)", "$(params['s'])", "$(params[\"s\"])"]),
            json!(["v", "v", "v"]),
        ),
        (json!(["-f", "$(params.a[*])", "z"]), json!(["-f", "x", "y", "z"])),
        (json!(["$(params.a)"]), json!(["x", "y"])),
        (json!(["p", "$(params.e[*])"]), json!(["p"])),
        (json!(["$(params.a[1])"]), json!(["y"])),
        (
            json!(["$(inputs.params.s)", "$(params[\"dotted.name\"])"]),
            json!(["v", "d"]),
        ),
    ] {
        assert_eq!(step(json!({ "args": args }))["args"], expected, "{args}");
    }
}

#[test]
fn appendix_e4_texts() {
    for (script, expected) in [
        ("$(params.o.k)", "1"),
        ("$$(params.s)", "$v"),
        ("$(params.unknown)", "$(params.unknown)"),
        ("$(params.p)", "/workspace/w/f"),
        ("$(params.q)", "$(params.s)"),
        ("$(context.task.name)/$(context.taskRun.name)", "t/tr"),
        (
            "$(context.taskRun.namespace)-$(context.taskRun.uid)-$(context.task.retry-count)",
            "ns-u-0",
        ),
        ("$(results.r.path)", "/tekton/results/r"),
        ("$(results['r'].path)", "/tekton/results/r"),
        ("$(steps.step-b.exitCode.path)", "/tekton/steps/step-b/exitCode"),
        (
            "$(workspaces.w.bound) $(workspaces.w.volume) $(workspaces.w.claim)",
            "true ws-1 c",
        ),
        ("[$(workspaces.opt.bound)] [$(workspaces.opt.path)]", "[false] []"),
        ("$(step.results.r.path)", "/tekton/steps/step-b/results/r"),
        ("a=$(cat x) b=$(params.s) c=$( ", "a=$(cat x) b=v c=$( "),
        ("$(echo $(params.s))", "$(echo v)"),
        ("é$(params.s)é", "évé"),
    ] {
        let step = step(json!({"name": "b", "results": [{"name": "r"}], "script": script}));
        assert_eq!(step["script"], expected, "{script}");
    }
}

#[test]
fn appendix_e4_when() {
    let step = step(json!({"when": [{"input": "$(params.a[*])", "operator": "in",
        "values": ["$(params.a[*])", "q"]}]}));
    assert_eq!(
        step["when"],
        json!([{"input": "[\"x\",\"y\"]", "operator": "in", "values": ["x", "y", "q"]}])
    );
}

#[test]
fn a_step_sees_its_own_workspace_path() {
    let step =
        step(json!({"script": "$(workspaces.w.path)", "workspaces": [{"name": "w", "mountPath": "/own"}]}));
    assert_eq!(step["script"], "/own");
}

#[test]
fn pod_templates_take_parameters() {
    let mut template = serde_json::from_value(json!({
        "nodeSelector": {"$(params.s)": "$(params.a[0])"},
        "serviceAccountName": "$(params.s)",
        "env": [{"name": "A", "value": "$(params.o.k)"}],
        "affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms":
            [{"matchExpressions": [{"key": "$(params.s)", "operator": "In", "values": ["$(params.s)"]}]}]}}},
    }))
    .unwrap();
    pod_template(&mut template, &binding_variables(&params()));
    let tree = serde_json::to_value(&template).unwrap();
    assert_eq!(tree["nodeSelector"], json!({"v": "x"}));
    assert_eq!(tree["serviceAccountName"], "v");
    assert_eq!(tree["env"][0]["value"], "1");
    let terms = &tree["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"];
    assert_eq!(terms["nodeSelectorTerms"][0]["matchExpressions"][0]["key"], "v");
}

#[test]
fn what_no_pod_can_hold_is_not_made() {
    let large = "x".repeat(MOST_GROWTH / 4);
    let params = BTreeMap::from([("p".to_owned(), large.as_str().into())]);
    let script = |times: usize| {
        let mut spec: TaskSpec =
            serde_json::from_value(json!({"steps": [{"script": "$(params.p)".repeat(times)}]})).unwrap();
        let context = Context {
            run_name: "",
            namespace: "",
            uid: "",
            task_name: "",
            retry_count: 0,
        };
        let done = task_spec_stages(&mut spec, &params, context, &[]);
        (done, spec.steps.remove(0).script.len())
    };
    assert_eq!(script(4), (Ok(()), MOST_GROWTH));
    assert_eq!(
        script(1_000),
        (Err(TooLarge), MOST_GROWTH + 996 * "$(params.p)".len())
    );
}

#[test]
fn text_full_of_openings_takes_no_longer_than_its_length() {
    let text = "$(".repeat(100_000);
    let step = step(json!({"script": text}));
    assert_eq!(step["script"], text);
}
