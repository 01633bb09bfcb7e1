//! Parameters and results: what a Task declares, what a TaskRun gives and gets (api.md 1.1, 1.3, 1.4).

use serde_json::{Value, json};

use super::schema::{any, list, map, object, string, strings};

/// Values for parameters.
pub(super) fn params(description: &str) -> Value {
    list(
        description,
        object(
            "One value, by the parameter's name.",
            json!({
                "name": string("The parameter that gets the value."),
                "value": any("A text, a list of texts or a map of texts; a number or true counts as text."),
            }),
        ),
    )
}

/// Parameters that a Task or StepAction takes.
pub(super) fn param_specs(description: &str) -> Value {
    list(
        description,
        object(
            "One parameter and what may be given for it.",
            json!({
                "name": string("What variables call it, as in $(params.name)."),
                "type": string("string, array or object; without it, what properties or the default suggest."),
                "description": string("Tells users of the Task what to give."),
                "properties": properties(),
                "default": any("Used where no value is given; without a default a value must be given."),
                "enum": strings("The only texts that may be given, behind the flag enable-param-enum."),
            }),
        ),
    )
}

/// Results that a Task declares: they may stand for a step's.
pub(super) fn task_results() -> Value {
    let mut results =
        step_results("What the Task hands back: its steps write each one to the file $(results.name.path).");
    results["items"]["properties"]["value"] = any(
        "The result of a step that this one repeats, as $(steps.STEP.results.RESULT), instead of a file.",
    );
    results
}

/// Results that a step or StepAction declares.
pub(super) fn step_results(description: &str) -> Value {
    list(
        description,
        object(
            "One result and its type.",
            json!({
                "name": string("The result's name, which is its file's name too."),
                "type": string("string, array or object: an array or object is written to the file as JSON."),
                "properties": properties(),
                "description": string("Tells what the result means."),
            }),
        ),
    )
}

/// Results with their values, in a status.
pub(super) fn result_values(description: &str) -> Value {
    list(
        description,
        object(
            "One result that was written.",
            json!({
                "name": string("The name under which it was declared."),
                "type": string("Whether the value is a string, an array or an object."),
                "value": any("What was written, in the shape that the type says."),
            }),
        ),
    )
}

fn properties() -> Value {
    map(
        "The keys that a value of type object has, each with its type.",
        object(
            "What stands behind one key.",
            json!({"type": string("Always string, which is also what counts where it is left out.")}),
        ),
    )
}
