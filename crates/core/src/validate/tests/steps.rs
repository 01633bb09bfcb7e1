//! T7 to T32.

use serde_json::{Value, json};

use super::{ApiFields, at, config, rules, step};

const STEP_NAMES: &str = "Task step name must be a valid DNS Label, For more info refer to https://kubernetes.io/docs/concepts/overview/working-with-objects/names/#names";
const RESULT_NAMES: &str = "Name must consist of alphanumeric characters, '-', '_', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my-name',  or 'my_name', regex used for validation is '^([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]$')";

fn without(switch: &str) -> crate::config::Config {
    let mut config = config();
    match switch {
        "artifacts" => config.flags.artifacts = false,
        _ => config.flags.cel = false,
    }
    config
}

/// A step `a` before the one with these fields.
fn after_a(fields: Value) -> Value {
    let mut spec = step(fields);
    let second = spec["steps"][0].take();
    spec["steps"] = json!([{"name": "a", "image": "i", "results": [{"name": "r"}]}, second]);
    spec
}

fn when(expression: Value) -> Value {
    step(json!({"when": [expression]}))
}

rules! {
    t7_step_twice: task_with(config()), json!({"steps": [{"image": "i", "name": "build"}, {"image": "i", "name": "build"}]})
        => "expected exactly one, got both: spec.steps[1].name";
    t8_artifacts_without_flag: task_with(without("artifacts")), json!({"steps": [{"args": ["$(steps.x.outputs.y)"]}]})
        => "feature flag enable-artifacts should be set to true to use artifacts feature.: spec.steps[0]";
    t9_ref_with_companions: task_with(config()), json!({"steps": [{"ref": {"name": "x"}, "image": "i", "command": ["c"], "args": ["a"],
            "script": "s", "workingDir": "/w", "env": [{"name": "E"}], "volumeMounts": [{"name": "v", "mountPath": "/v"}], "results": [{"name": "r"}]}]})
        => "args cannot be used with Ref: spec.steps[0].args\n\
            command cannot be used with Ref: spec.steps[0].command\n\
            env cannot be used with Ref: spec.steps[0].env\n\
            image cannot be used with Ref: spec.steps[0].image\n\
            results cannot be used with Ref: spec.steps[0].results\n\
            script cannot be used with Ref: spec.steps[0].script\n\
            volumeMounts cannot be used with Ref: spec.steps[0].volumeMounts\n\
            working dir cannot be used with Ref: spec.steps[0].workingDir";
    t10_params_without_ref: task_with(config()), step(json!({"params": [{"name": "p", "value": "v"}]}))
        => "params cannot be used without Ref: spec.steps[0].params";
    t12_no_image: task_with(config()), json!({"steps": [{}]}) => "missing field(s): spec.steps[0].Image";
    t12_image_of_the_template: task_with(config()), json!({"steps": [{"script": "x"}], "stepTemplate": {"image": "i"}}) => "";
    t13_script_and_command: task_with(config()), step(json!({"script": "x", "command": ["y"]}))
        => "script cannot be used with command: spec.steps[0].script";
    t13_script_and_the_templates_command: task_with(config()), json!({"steps": [{"image": "i", "script": "x"}], "stepTemplate": {"command": ["y"]}})
        => "script cannot be used with command: spec.steps[0].script";
    t14_step_name: task_with(config()), step(json!({"name": "Build_it"}))
        => format!("invalid value \"Build_it\": spec.steps[0].name\n{STEP_NAMES}");
    t15_negative_timeout_hides_the_rest: task_with(config()), json!({"steps": [{"timeout": "-1s", "name": "Bad_", "onError": "x"}]})
        => "invalid value: -1s: spec.steps[0].negative timeout";
    t16_mount_below_tekton: task_with(config()), step(json!({"volumeMounts": [{"name": "v", "mountPath": "/tekton//x"}, {"name": "h", "mountPath": "/tekton/home"}]}))
        => "volumeMount cannot be mounted under /tekton/ (volumeMount \"v\" mounted at \"/tekton//x\"): spec.steps[0].volumeMounts[0].mountPath";
    t17_internal_volume: task_with(config()), step(json!({"volumeMounts": [{"name": "tekton-internal-x", "mountPath": "/x"}]}))
        => "volumeMount name \"tekton-internal-x\" cannot start with \"tekton-internal-\": spec.steps[0].volumeMounts[0].name";
    t18_on_error: task_with(config()), step(json!({"onError": "ignore"}))
        => "invalid value: \"ignore\": spec.steps[0].onError\nTask step onError must be either \"continue\" or \"stopAndFail\"";
    t19_windows_script: task_with(at(ApiFields::Beta)), step(json!({"script": "\n #!win\n"}))
        => "windows script support requires \"enable-api-fields\" feature gate to be \"alpha\" but it is \"beta\": ";
    t20_streams: task_with(at(ApiFields::Beta)), step(json!({"stdoutConfig": {"path": "/o"}, "stderrConfig": {"path": "/e"}}))
        => "step stderr stream support requires \"enable-api-fields\" feature gate to be \"alpha\" but it is \"beta\": \n\
            step stdout stream support requires \"enable-api-fields\" feature gate to be \"alpha\" but it is \"beta\": ";
    t21_step_result_in_script: task_with(config()), after_a(json!({"script": "$(steps.a.results.r)", "envFrom": [{"prefix": "$(steps.a.results.r)", "secretRef": {"name": "s"}}]}))
        => "stepResult substitutions are only allowed in env, command and args. Found usage in: spec.steps[1].envFrom.prefix, spec.steps[1].script";
    t22_step_artifact_in_image: task_with(config()), after_a(json!({"image": "$(steps.a.outputs.x)", "script": "$(steps.a.outputs.x)"}))
        => "stepArtifact substitutions are only allowed in env, command, args and script. Found usage in: spec.steps[1].image";
    t23_own_result: task_with(config()), step(json!({"results": [{"name": "r"}], "script": "$(step.results.x.path)"}))
        => "non-existent variable in \"$(step.results.x.path)\": spec.steps[0].script";
    t24_step_result_name: task_with(config()), step(json!({"results": [{"name": "a b"}]}))
        => format!("invalid key name \"a b\": spec.steps.results[0][0].name\n{RESULT_NAMES}");
    t25_step_result_type: task_with(config()), step(json!({"results": [{"name": "r", "type": "number"}]}))
        => "invalid value: number: spec.steps.results[0][0].type\ninvalid type number";
    t26_object_without_properties: task_with(config()), step(json!({"results": [{"name": "r", "type": "object"}]}))
        => "missing field(s): spec.steps.results[0][0].r.properties";
    t26_property_without_type: task_with(config()), step(json!({"results": [{"name": "r", "type": "object", "properties": {"k": {}}}]}))
        => "the value type specified for these keys [k] is invalid, the type must be string: spec.steps.results[0][0].r.properties";
    t27_cel_without_flag: task_with(without("cel")), when(json!({"cel": "true"}))
        => "feature flag enable-cel-in-whenexpression should be set to true to use CEL: true in WhenExpression: spec.steps[0].when[0]";
    t28_cel_and_input: task_with(config()), when(json!({"cel": "true", "input": "x"}))
        => "cel and input+operator+values cannot be set in one WhenExpression: true: ";
    t29_cel_that_does_not_compile: task_with(config()), when(json!({"cel": "'a' =="}))
        => "invalid cel expression: 'a' == with err: at character 7: a value is missing: spec.steps[0].when[0].cel";
    t30_empty_when: task_with(config()), when(json!({})) => "missing field(s): spec.steps[0].when[0]";
    t31_operator: task_with(config()), when(json!({"input": "x", "operator": "equals", "values": ["y"]}))
        => "invalid value: operator \"equals\" is not recognized. valid operators: in,notin: spec.steps[0].when[0]";
    t32_no_values: task_with(config()), when(json!({"input": "x", "operator": "in"}))
        => "invalid value: expecting non-empty values field: spec.steps[0].when[0]";
}
