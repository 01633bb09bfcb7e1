//! F1 to F10.

use serde_json::{Value, json};

use super::{ApiFields, at, config, rules};

fn to(task_ref: Value) -> Value {
    json!({ "taskRef": task_ref })
}

fn params() -> Value {
    json!([{"name": "url", "value": "x"}])
}

fn concise() -> crate::config::Config {
    let mut config = config();
    config.flags.concise_resolver_syntax = true;
    config
}

const CONCISE: &str =
    "feature flag enable-concise-resolver-syntax should be set to true to use concise resolver syntax";
const NAME: &str = "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')";

rules! {
    f1_f5_at_stable: run_with(at(ApiFields::Stable)), to(json!({"resolver": "git", "params": params()}))
        => "resolver params requires \"enable-api-fields\" feature gate to be \"alpha\" or \"beta\" but it is \"stable\": \n\
            resolver requires \"enable-api-fields\" feature gate to be \"alpha\" or \"beta\" but it is \"stable\": ";
    f2_f6_name_and_params: run_with(config()), to(json!({"name": "a", "resolver": "git", "params": params()}))
        => "expected exactly one, got both: spec.taskRef.name, spec.taskRef.params\n\
            invalid value: invalid URI for request: spec.taskRef.name";
    f3_params_without_resolver: run_with(config()), to(json!({"params": params()}))
        => "missing field(s): spec.taskRef.resolver";
    f4_params_twice: run_with(config()), to(json!({"resolver": "git", "params": [{"name": "a", "value": ""}, {"name": "A", "value": ""}]}))
        => "expected exactly one, got both: spec.taskRef[A].name";
    f6_resolver_and_name: run_with(config()), to(json!({"name": "a", "resolver": "git"}))
        => "invalid value: invalid URI for request: spec.taskRef.name";
    f7_address_without_flag: run_with(config()), to(json!({"name": "http://x", "resolver": "http"}))
        => format!("{CONCISE}: spec.taskRef");
    f7_address_with_flag: run_with(concise()), to(json!({"name": "http://x", "resolver": "http"})) => "";
    f8_address_alone: run_with(config()), to(json!({"name": "http://x"}))
        => format!("{CONCISE}: spec.taskRef\nmissing field(s): spec.taskRef.resolver");
    f8_address_alone_with_flag: run_with(concise()), to(json!({"name": "http://x"})) => "missing field(s): spec.taskRef.resolver";
    f9_no_name: run_with(config()), to(json!({"name": "a b"})) => format!("invalid value: {NAME}: spec.taskRef.name");
    f9_upper_case_and_a_slash_are_legal: run_with(config()), to(json!({"name": "example.com/MyTask"})) => "";
    f10_nothing: run_with(config()), to(json!({})) => "missing field(s): spec.taskRef.name";
    f_of_a_step_has_the_steps_path: task_with(config()), json!({"steps": [{"ref": {}}]}) => "missing field(s): spec.steps[0].name";
}
