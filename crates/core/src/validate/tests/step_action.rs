//! A1 to A11.

use serde_json::{Value, json};

use super::{ApiFields, at, config, rules};

fn with(fields: Value) -> Value {
    let mut spec = json!({"image": "i"});
    for (key, value) in fields.as_object().unwrap() {
        spec[key] = value.clone();
    }
    spec
}

rules! {
    a1_no_image: action_with(config()), json!({}) => "missing field(s): spec.Image";
    a2_script_and_command: action_with(config()), with(json!({"script": "x", "command": ["y"]})) => "script cannot be used with command: spec.script";
    a3_windows: action_with(at(ApiFields::Beta)), with(json!({"script": "#!win"}))
        => "windows script support requires \"enable-api-fields\" feature gate to be \"alpha\" but it is \"beta\": ";
    a4_param_in_script: action_with(config()), with(json!({"params": [{"name": "p"}], "script": "echo $(params.p)"}))
        => "param substitution in scripts is not allowed.: spec.script";
    a5_unknown_param: action_with(config()), with(json!({"args": ["$(params.x)"], "env": [{"name": "E", "value": "$(params.y)"}]}))
        => "non-existent variable in \"$(params.x)\": spec.args[0]\nnon-existent variable in \"$(params.y)\": spec.env[E]";
    a6_list_as_text: action_with(config()), with(json!({"params": [{"name": "a", "type": "array"}], "env": [{"name": "E", "value": "$(params.a)"}]}))
        => "variable type invalid in \"$(params.a)\": spec.env[E]";
    a6_list_not_alone: action_with(config()), with(json!({"params": [{"name": "a", "type": "array"}], "args": ["x$(params.a[*])"]}))
        => "variable is not properly isolated in \"x$(params.a[*])\": spec.args[0]";
    a7_param_type: action_with(config()), with(json!({"params": [{"name": "p", "type": "x"}]})) => "invalid value: x: spec.params.p.type";
    a7_param_twice: action_with(config()), with(json!({"params": [{"name": "p"}, {"name": "p"}]})) => "parameter appears more than once: spec.params[p]";
    a8_unknown_result: action_with(config()), with(json!({"script": "x > $(step.results.r.path)"}))
        => "non-existent variable in \"x > $(step.results.r.path)\": spec.script";
    a9_result_type: action_with(config()), with(json!({"results": [{"name": "r", "type": "x"}]}))
        => "invalid value: x: spec.results[0].type\ninvalid type x";
    a10_mount_of_no_param: action_with(config()), with(json!({"volumeMounts": [{"name": "v", "mountPath": "/v"}]}))
        => "invalid value: v: spec.volumeMounts[0].name\nexpect the Name to be a single param reference";
    a10_mount_of_an_unknown_param: action_with(config()), with(json!({"volumeMounts": [{"name": "$(params.v)", "mountPath": "/v"}]}))
        => "non-existent variable in \"$(params.v)\": spec.volumeMounts[0]";
    a11_default_of_nothing: action_with(config()), with(json!({"params": [{"name": "a", "default": "$(params.b)"}]}))
        => "param \"a\" default value references param \"b\" which is not defined: spec.params";
    a11_circle: action_with(config()), with(json!({"params": [{"name": "a", "default": "$(params.b)"}, {"name": "b", "default": "$(params.a)"}]}))
        => "param \"a\" default value has a circular dependency: spec.params\nparam \"b\" default value has a circular dependency: spec.params";
}
