//! T1 to T6 and T33 to T62.

use serde_json::{Value, json};

use super::{ApiFields, at, config, rules};

/// A Task with one step and these fields.
fn with(fields: Value) -> Value {
    let mut spec = json!({"steps": [{"image": "i"}]});
    for (key, value) in fields.as_object().unwrap() {
        spec[key] = value.clone();
    }
    spec
}

fn param(param: Value) -> Value {
    with(json!({"params": [param]}))
}

fn result(result: Value) -> Value {
    with(json!({"results": [result]}))
}

/// A Task whose params are `s` (text), `a` (list) and `o` (object with key `k`), and one step.
fn using(step: Value) -> Value {
    let mut spec = super::step(step);
    spec["params"] =
        json!([{"name": "s"}, {"name": "a", "type": "array"}, {"name": "o", "properties": {"k": {}}}]);
    spec
}

fn no_enum() -> crate::config::Config {
    let mut config = config();
    config.flags.param_enum = false;
    config
}

const RESULT_NAMES: &str = "Name must consist of alphanumeric characters, '-', '_', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my-name',  or 'my_name', regex used for validation is '^([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]$')";
const STEP_NAMES: &str = "Task step name must be a valid DNS Label, For more info refer to https://kubernetes.io/docs/concepts/overview/working-with-objects/names/#names";

rules! {
    t1_no_steps: task_with(config()), json!({}) => "missing field(s): spec.steps";
    t2_volume_twice: task_with(config()), with(json!({"volumes": [{"name": "v", "emptyDir": {}}, {"name": "v", "emptyDir": {}}]}))
        => "multiple volumes with same name \"v\": spec.volumes[1].name";
    t3_workspace_twice: task_with(config()), with(json!({"workspaces": [{"name": "w"}, {"name": "w", "mountPath": "/x"}]}))
        => "workspace name \"w\" must be unique: spec.workspaces[1].name";
    t4_mount_path_of_a_volume: task_with(config()), json!({"steps": [{"image": "i", "volumeMounts": [{"name": "v", "mountPath": "/workspace/w/"}]}],
            "volumes": [{"name": "v"}], "workspaces": [{"name": "w"}]})
        => "workspace mount path \"/workspace/w\" must be unique: spec.workspaces[0].mountpath";
    t4_mount_path_of_a_workspace: task_with(config()), with(json!({"workspaces": [{"name": "w"}, {"name": "x", "mountPath": "/workspace/w"}]}))
        => "workspace mount path \"/workspace/w\" must be unique: spec.workspaces[1].mountpath";
    t5_step_workspaces: task_with(at(ApiFields::Stable)), super::step(json!({"workspaces": [{"name": "w"}]}))
        => "step workspaces requires \"enable-api-fields\" feature gate to be \"alpha\" or \"beta\" but it is \"stable\": \n\
            undefined workspace \"w\": spec.steps[0].workspaces[0].name";
    t6_sidecar_workspaces: task_with(config()), with(json!({"sidecars": [{"name": "s", "image": "i", "workspaces": [{"name": "w"}]}]}))
        => "undefined workspace \"w\": spec.sidecars[0].workspaces[0].name";
    t33_reserved_sidecar: task_with(config()), with(json!({"sidecars": [{"name": "tekton-log-results", "image": "i"}]}))
        => "Invalid: cannot use reserved sidecar name tekton-log-results : spec.sidecars.name";
    t34_sidecar_without_image: task_with(config()), with(json!({"sidecars": [{"name": "s"}]}))
        => "missing field(s): spec.sidecars.image";
    t35_sidecar_with_script_and_command: task_with(config()), with(json!({"sidecars": [{"name": "s", "image": "i", "script": "x", "command": ["y"]}]}))
        => "script cannot be used with command: spec.sidecars.script";
    t36_param_type: task_with(config()), param(json!({"name": "p", "type": "number"})) => "invalid value: number: spec.params.p.type";
    t37_default_of_another_type: task_with(config()), param(json!({"name": "p", "type": "array", "default": "x"}))
        => "\"array\" type does not match default value's type: \"string\": spec.params.p.default.type, spec.params.p.type";
    t38_property_type: task_with(config()), param(json!({"name": "p", "type": "object", "properties": {"k": {"type": "array"}}}))
        => "The value type specified for these keys [k] is invalid: spec.params.p.properties";
    t39_param_twice: task_with(config()), with(json!({"params": [{"name": "p"}, {"name": "p"}]}))
        => "parameter appears more than once: spec.params[p]";
    t40_enum_without_flag: task_with(no_enum()), param(json!({"name": "p", "enum": ["a"]}))
        => "feature flag `enable-param-enum` should be set to true to use Enum: spec.params[p]";
    t41_enum_of_a_list: task_with(config()), param(json!({"name": "p", "type": "array", "enum": ["a"]}))
        => "enum can only be set with string type param: spec.params[p]";
    t42_enum_value_twice: task_with(config()), param(json!({"name": "p", "enum": ["a", "a"]}))
        => "parameter enum value a appears more than once: spec.params[p]";
    t43_default_not_in_enum: task_with(config()), param(json!({"name": "p", "enum": ["a"], "default": "b"}))
        => "param default value b not in the enum list: spec.params[p]";
    t44_text_names: task_with(config()), with(json!({"params": [{"name": "b c"}, {"name": "1a", "type": "array"}]}))
        => "The format of following array and string variable names is invalid: [1a b c]: spec.params\n\
            String/Array Names: \nMust only contain alphanumeric characters, hyphens (-), underscores (_), and dots (.)\nMust begin with a letter or an underscore (_)";
    t45_object_names: task_with(config()), param(json!({"name": "o", "properties": {"k.1": {}}}))
        => "Object param name and key name format is invalid: map[o:[k.1]]: spec.params\n\
            Object Names: \nMust only contain alphanumeric characters, hyphens (-), underscores (_) \nMust begin with a letter or an underscore (_)";
    t46_list_as_text: task_with(config()), using(json!({"image": "$(params.a[*])", "env": [{"name": "E", "value": "$(params.a)"}]}))
        => "variable type invalid in \"$(params.a)\": spec.steps[0].env[E]\n\
            variable type invalid in \"$(params.a[*])\": spec.steps[0].image";
    t46_list_as_text_in_the_first_of_three: task_with(config()), json!({"params": [{"name": "a", "type": "array"}],
            "steps": [{"image": "$(params.a)"}, {"image": "i"}, {"image": "i"}]})
        => "variable type invalid in \"$(params.a)\": spec.steps[2].steps[1].steps[0].image";
    t47_list_not_alone: task_with(config()), using(json!({"args": ["a-$(params.a[*])", "$(params.a)", "$(params.a[0])-x"]}))
        => "variable is not properly isolated in \"a-$(params.a[*])\": spec.steps[0].args[0]";
    t48_context: task_with(config()), using(json!({"script": "$(context.taskRun.nam)", "args": ["$(context.task.retry)"]}))
        => "non-existent variable in \"$(context.task.retry)\": spec.steps[0].args[0]\n\
            non-existent variable in \"$(context.taskRun.nam)\": spec.steps[0].script";
    t49_result_in_script: task_with(config()), using(json!({"script": "x > $(results.r.path)"}))
        => "non-existent variable in \"x > $(results.r.path)\": spec.steps[0].script";
    t50_undeclared_param: task_with(config()), using(json!({"script": "echo $(params.x)", "volumeMounts": [{"name": "v", "mountPath": "/$(params.y)"}]}))
        => "non-existent variable in \"/$(params.y)\": spec.steps[0].volumeMount[0].MountPath\n\
            non-existent variable in \"echo $(params.x)\": spec.steps[0].script";
    t50_on_error: task_with(config()), using(json!({"onError": "$(params.x)"}))
        => "non-existent variable in \"$(params.x)\": spec.steps[0].onError";
    t50_from_the_template: task_with(config()), json!({"stepTemplate": {"image": "$(params.x)"}, "steps": [{"script": "y"}]})
        => "non-existent variable in \"$(params.x)\": spec.steps[0].image";
    t51_unknown_key: task_with(config()), using(json!({"args": ["$(params.o.x)"]}))
        => "non-existent variable in \"$(params.o.x)\": spec.steps[0].args[0]";
    t52_whole_object: task_with(config()), using(json!({"args": ["$(params.o[*])"]}))
        => "variable type invalid in \"$(params.o[*])\": spec.steps[0].args[0]";
    t53_object_without_properties: task_with(config()), param(json!({"name": "o", "type": "object"}))
        => "missing field(s): spec.o.properties";
    t54_too_many_dots: task_with(config()), using(json!({"script": "$(params.a.b.c)"}))
        => "Invalid referencing of parameters in \"$(params.a.b.c)\"! Only two dot-separated components after the prefix \"params\" are allowed.: spec.steps[0].script";
    t55_result_name: task_with(config()), result(json!({"name": "a b", "type": "x"}))
        => format!("invalid key name \"a b\": spec.results[0].name\n{RESULT_NAMES}");
    t56_result_type: task_with(config()), result(json!({"name": "r", "type": "number"}))
        => "invalid value: number: spec.results[0].type\ntype must be string";
    t57_object_result: task_with(config()), result(json!({"name": "r", "type": "object"}))
        => "missing field(s): spec.results[0].r.properties";
    t58_property_of_a_result: task_with(config()), result(json!({"name": "r", "type": "object", "properties": {"k": {"type": "array"}}}))
        => "The value type specified for these keys [k] is invalid, the type must be string: spec.results[0].r.properties";
    t59_value_that_is_a_list: task_with(config()), result(json!({"name": "r", "value": ["a"]}))
        => "Invalid Type. Wanted string but got: \"array\": spec.results[0].r.type";
    t60_value_of_no_step: task_with(config()), result(json!({"name": "r", "value": "x"}))
        => "Could not extract step name and result name. Expected value to look like $(steps.<stepName>.results.<resultName>) but got \"x\": spec.results[0].r.value";
    t61_step_name_in_value: task_with(config()), json!({"steps": [{"image": "i", "name": "a"}], "results": [{"name": "r", "value": "$(steps.A_.results.x)"}]})
        => format!("invalid extracted step name \"A_\": spec.results[0].r.value\n{STEP_NAMES}\nundefined step \"A_\" in \"$(steps.A_.results.x)\": spec.results[0].value");
    t62_result_name_in_value: task_with(config()), json!({"steps": [{"image": "i", "name": "a"}], "results": [{"name": "r", "value": "$(steps.a.results.-x)"}]})
        => format!("invalid extracted result name \"-x\": spec.results[0].r.value\n{RESULT_NAMES}");
}
