//! One test per numbered rule of api.md section 3: an object that breaks it, and the text that tools
//! match on.

mod legal;
mod own;
mod pair;
mod reference;
mod step_action;
mod steps;
mod task;
mod task_run;
mod update;

use serde_json::{Value, json};
use tektite_api::{StepAction, Task, TaskRun};

use crate::{
    config::{ApiFields, Config},
    field_error::FieldErrors,
};

/// Everything allowed but what a test shuts.
fn config() -> Config {
    let mut config = Config::default();
    config.flags.api_fields = ApiFields::Alpha;
    config.flags.param_enum = true;
    config.flags.cel = true;
    config.flags.artifacts = true;
    config
}

fn at(level: ApiFields) -> Config {
    let mut config = config();
    config.flags.api_fields = level;
    config
}

/// What tools match on, without the explanations behind it.
fn known_part(result: Result<(), FieldErrors>) -> String {
    let text = result.map_or_else(|errors| errors.to_string(), |()| String::new());
    text.split("\n- ").next().unwrap_or_default().to_owned()
}

fn run_with(spec: Value, config: &Config) -> Result<(), FieldErrors> {
    let run: TaskRun = serde_json::from_value(json!({"metadata": {"name": "r"}, "spec": spec})).unwrap();
    super::task_run(&run, None, config)
}

fn task_with(spec: Value, config: &Config) -> Result<(), FieldErrors> {
    let task: Task = serde_json::from_value(json!({"metadata": {"name": "t"}, "spec": spec})).unwrap();
    super::task(&task, config)
}

fn action_with(spec: Value, config: &Config) -> Result<(), FieldErrors> {
    let action: StepAction =
        serde_json::from_value(json!({"metadata": {"name": "a"}, "spec": spec})).unwrap();
    super::step_action(&action, config)
}

/// A Task of one step with these fields.
fn step(fields: Value) -> Value {
    let mut step = json!({"image": "i"});
    for (key, value) in fields.as_object().unwrap() {
        step[key] = value.clone();
    }
    json!({"steps": [step]})
}

/// One test per line: `name: kind, config, spec => text`.
macro_rules! rules {
    ($($name:ident: $kind:ident($config:expr), $spec:expr => $text:expr;)*) => {
        $(
            #[test]
            fn $name() {
                let result = super::$kind($spec, &$config);
                similar_asserts::assert_eq!(super::known_part(result), $text);
            }
        )*
    };
}
use rules;
