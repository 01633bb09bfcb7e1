//! What was observed of a TaskRun beside what the case expects: pure.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::case::{Condition, Expectation, RunResult, Step, StepState, text};
use crate::matcher::{Mismatch, Pattern, exact, in_order, show, subset};

/// The condition of a type in an object's status.
pub(crate) fn condition<'a>(object: &'a Value, r#type: &str) -> Option<&'a Value> {
    object
        .pointer("/status/conditions")?
        .as_array()?
        .iter()
        .find(|condition| text(condition, "/type") == r#type)
}

/// Whether a TaskRun has ended.
pub(crate) fn is_done(run: &Value) -> bool {
    condition(run, "Succeeded").is_some_and(|condition| text(condition, "/status") != "Unknown")
}

/// The Succeeded condition in a line.
pub(crate) fn summary(run: &Value) -> String {
    condition(run, "Succeeded").map_or_else(
        || "no Succeeded condition".to_owned(),
        |condition| {
            let [status, reason, message] =
                ["/status", "/reason", "/message"].map(|key| text(condition, key));
            format!("{status} / {reason} / {message}")
        },
    )
}

/// The log of a container is named by the step or by the container itself.
pub(crate) fn container_name(pod: &Value, key: &str) -> String {
    let named = ["containers", "initContainers"].into_iter().any(|list| {
        pod.pointer(&format!("/spec/{list}"))
            .and_then(Value::as_array)
            .is_some_and(|list| list.iter().any(|container| text(container, "/name") == key))
    });
    if named {
        key.to_owned()
    } else {
        format!("step-{key}")
    }
}

/// Compares the condition.
pub(crate) fn check_condition(expected: &Condition, run: &Value) -> Vec<Mismatch> {
    let path = format!("condition {}", expected.r#type);
    let Some(actual) = condition(run, &expected.r#type) else {
        return vec![Mismatch::new(path, "a condition of that type", "(not set)")];
    };
    let mut found = Vec::new();
    for (key, wanted) in [("status", &expected.status), ("reason", &expected.reason)] {
        if let Some(wanted) = wanted {
            found.extend(subset(&json!(wanted), actual.get(key), &format!("{path}.{key}")));
        }
    }
    if let Some(pattern) = &expected.message {
        check_text(
            pattern,
            actual.get("message"),
            format!("{path}.message"),
            &mut found,
        );
    }
    // The rest of the condition is what explains the difference.
    if let (false, true) = (
        found.is_empty(),
        found.iter().all(|mismatch| !mismatch.path.ends_with(".message")),
    ) {
        found.push(Mismatch::new(
            format!("{path}.message"),
            "(any)",
            show(actual.get("message")),
        ));
    }
    found
}

fn check_text(pattern: &Pattern, actual: Option<&Value>, path: String, found: &mut Vec<Mismatch>) {
    if !actual
        .and_then(Value::as_str)
        .is_some_and(|text| pattern.is_match(text))
    {
        found.push(Mismatch::new(path, pattern.describe(), show(actual)));
    }
}

/// Compares everything that the run's own object says.
pub(crate) fn check_run(expectation: &Expectation, run: &Value) -> Vec<Mismatch> {
    let mut found = Vec::new();
    if let Some(condition) = &expectation.condition {
        found.extend(check_condition(condition, run));
    }
    if let Some(steps) = &expectation.steps {
        check_steps(steps, run.pointer("/status/steps"), &mut found);
    }
    if let Some(results) = &expectation.results {
        check_results(results, run.pointer("/status/results"), "results", &mut found);
    }
    found
}

fn list(value: Option<&Value>) -> &[Value] {
    value.and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

fn names(list: &[Value]) -> String {
    let names: Vec<_> = list.iter().map(|element| text(element, "/name")).collect();
    format!("{}: {}", names.len(), names.join(", "))
}

fn check_steps(expected: &[Step], actual: Option<&Value>, found: &mut Vec<Mismatch>) {
    let actual = list(actual);
    if expected.len() != actual.len() {
        found.push(Mismatch::new(
            "steps",
            format!("{} steps", expected.len()),
            names(actual),
        ));
        return;
    }
    for (index, (step, seen)) in expected.iter().zip(actual).enumerate() {
        let path = format!("steps[{index}]");
        let state = [StepState::Waiting, StepState::Running, StepState::Terminated]
            .into_iter()
            .find(|state| seen.get(state.key()).is_some_and(|value| !value.is_null()));
        let field = |key: &str| state.and_then(|state| seen.get(state.key())?.get(key));
        let mut part = |key: &str, wanted: Option<Value>, actual: Option<&Value>| {
            if let Some(wanted) = wanted {
                found.extend(subset(&wanted, actual, &format!("{path}.{key}")));
            }
        };
        part("name", step.name.clone().map(Value::from), seen.get("name"));
        part(
            "container",
            step.container.clone().map(Value::from),
            seen.get("container"),
        );
        part(
            "terminationReason",
            step.termination_reason.clone().map(Value::from),
            seen.get("terminationReason"),
        );
        part("exitCode", step.exit_code.map(Value::from), field("exitCode"));
        part("reason", step.reason.clone().map(Value::from), field("reason"));
        let seen_state = state.map(|state| Value::from(state.key()));
        part(
            "state",
            step.state.map(|state| Value::from(state.key())),
            seen_state.as_ref(),
        );
        if let Some(pattern) = &step.message {
            check_text(pattern, field("message"), format!("{path}.message"), found);
        }
        if let Some(results) = &step.results {
            check_results(results, seen.get("results"), &format!("{path}.results"), found);
        }
    }
}

fn check_results(expected: &[RunResult], actual: Option<&Value>, path: &str, found: &mut Vec<Mismatch>) {
    let actual = list(actual);
    let same = expected
        .iter()
        .map(|result| result.name.as_str())
        .eq(actual.iter().map(|seen| text(seen, "/name")));
    if !same {
        let wanted: Vec<_> = expected.iter().map(|result| result.name.as_str()).collect();
        found.push(Mismatch::new(
            path,
            format!("{}: {}", wanted.len(), wanted.join(", ")),
            names(actual),
        ));
        return;
    }
    for (result, seen) in expected.iter().zip(actual) {
        let path = format!("{path}.{}", result.name);
        if let Some(r#type) = &result.r#type {
            found.extend(subset(&json!(r#type), seen.get("type"), &format!("{path}.type")));
        }
        if let Some(value) = &result.value {
            found.extend(exact(value, seen.get("value"), &format!("{path}.value")));
        }
    }
}

/// Compares the logs; a log that could not be read is an error text.
pub(crate) fn check_logs(
    expectation: &Expectation,
    logs: &BTreeMap<String, Result<String, String>>,
) -> Vec<Mismatch> {
    let mut found = Vec::new();
    let log = |key: &String| match logs.get(key) {
        Some(Ok(log)) => Ok(log),
        Some(Err(error)) => Err(Mismatch::new(format!("logs {key}"), "a log", error.clone())),
        None => Err(Mismatch::new(format!("logs {key}"), "a log", "there is no Pod")),
    };
    for (key, patterns) in &expectation.logs {
        match log(key) {
            Err(mismatch) => found.push(mismatch),
            Ok(log) => {
                if let Some(pattern) = in_order(patterns, log) {
                    let wanted = format!("a line (after those before it) {}", pattern.describe());
                    found.push(Mismatch::new(format!("logs {key}"), wanted, brief(log)));
                }
            }
        }
    }
    for (key, patterns) in &expectation.logs_not {
        match log(key) {
            Err(mismatch) => found.push(mismatch),
            Ok(log) => {
                let line = log
                    .split('\n')
                    .find(|line| patterns.iter().any(|pattern| pattern.is_match(line)));
                if let Some(line) = line {
                    found.push(Mismatch::new(format!("logsNot {key}"), "no such line", line));
                }
            }
        }
    }
    found
}

/// The end of a text, as a report shows it.
fn brief(log: &str) -> String {
    const MOST: usize = 20;
    let lines: Vec<_> = log.lines().collect();
    let tail = lines.get(lines.len().saturating_sub(MOST)..).unwrap_or_default();
    let cut = |line: &&str| line.chars().take(300).collect::<String>();
    let text = tail.iter().map(cut).collect::<Vec<_>>().join("\n");
    if tail.len() < lines.len() {
        format!("… {} lines, then\n{text}", lines.len() - tail.len())
    } else {
        text
    }
}

#[cfg(test)]
#[path = "check_tests.rs"]
mod tests;
