//! Parameters of a run: which values they have, and whether they fit (api.md 4.3).

use std::collections::{BTreeMap, HashMap};

use tektite_api::{Param, ParamSpec, ParamType, ParamValue, TaskRun, TaskSpec};

use crate::substitute::{LONGEST_NAME, MOST_GROWTH, Variables};

/// Why a run's parameters do not fit its Task.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParamError {
    /// Nobody gave a value.
    #[error("missing values for these params which have no default values: [{}]", .0.join(" "))]
    Missing(Vec<String>),
    /// A value of another type.
    #[error("param types don't match the user-specified type: [{}]", .0.join(" "))]
    WrongType(Vec<String>),
    /// Keys of an object that neither default nor value has.
    #[error(
        "missing keys for these params which are required in ParamSpec's properties map[{}]",
        .0.iter().map(|(name, keys)| format!("{name}:[{}]", keys.join(" "))).collect::<Vec<_>>().join(" ")
    )]
    MissingKeys(BTreeMap<String, Vec<String>>),
    /// A text that is none of those allowed.
    #[error("param `{name}` value: {value} is not in the enum list")]
    NotInEnum {
        /// The parameter.
        name: String,
        /// What is given.
        value: String,
        /// What may be given.
        allowed: Vec<String>,
    },
    /// Defaults that hold each other grow with each.
    #[error("params of {0} bytes are too large, allowed are {MOST_BYTES} bytes together")]
    TooLarge(usize),
    /// A list is shorter than a variable needs.
    #[error("non-existent param references:[{}]", .0.join(" "))]
    OutOfBounds(Vec<String>),
}

/// More than one object can hold; only defaults that use each other make so much of it. Half of what
/// variables may grow by, so that whatever [`Variables`] leaves as it was is found here.
const MOST_BYTES: usize = MOST_GROWTH / 2;

fn size(table: &BTreeMap<String, ParamValue>) -> usize {
    let text = |value: &ParamValue| match value {
        ParamValue::String(text) => text.len(),
        ParamValue::Array(items) => items.iter().map(String::len).sum(),
        ParamValue::Object(map) => map.values().map(String::len).sum(),
    };
    table.values().map(text).sum()
}

/// The values that variables see: defaults, and the run's own over them. Objects merge by key.
pub fn table(spec: &TaskSpec, run: &TaskRun) -> BTreeMap<String, ParamValue> {
    let mut table = BTreeMap::new();
    let mut referring = Vec::new();
    for param in &spec.params {
        match &param.default {
            Some(ParamValue::String(text)) if text.contains("$(params.") => referring.push((param, text)),
            Some(default) => {
                table.insert(param.name.clone(), default.clone());
            }
            None => {}
        }
    }
    // A default may use defaults that stand before it, and never what the run gives.
    let mut variables = Variables::default();
    if !referring.is_empty() {
        for (name, value) in &table {
            variables.set_param(name, value);
        }
    }
    for (param, text) in referring {
        let mut text = text.clone();
        variables.apply(&mut text);
        let value = ParamValue::String(text);
        variables.set_param(&param.name, &value);
        table.insert(param.name.clone(), value);
    }
    for param in &run.spec.params {
        let value = match (table.remove(&param.name), &param.value) {
            (Some(ParamValue::Object(mut merged)), ParamValue::Object(own)) => {
                merged.extend(own.clone());
                ParamValue::Object(merged)
            }
            (_, own) => own.clone(),
        };
        table.insert(param.name.clone(), value);
    }
    table
}

/// Checks the run's values against the Task's declarations; the first kind of trouble counts.
///
/// # Errors
/// See [`ParamError`].
pub fn check(
    spec: &TaskSpec,
    run: &TaskRun,
    table: &BTreeMap<String, ParamValue>,
    enums: Enums,
) -> Result<(), ParamError> {
    problems(spec, run, table, enums)
        .into_iter()
        .next()
        .map_or(Ok(()), Err)
}

/// Whether declarations may list what is allowed: `enable-param-enum`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Enums {
    /// They count.
    Checked,
    /// They are passed over.
    Ignored,
}

impl Enums {
    /// As the operator wants it.
    pub const fn from_flags(flags: &crate::config::FeatureFlags) -> Self {
        if flags.param_enum {
            Self::Checked
        } else {
            Self::Ignored
        }
    }
}

/// All kinds of trouble, in the order in which they count.
pub fn problems(
    spec: &TaskSpec,
    run: &TaskRun,
    table: &BTreeMap<String, ParamValue>,
    enums: Enums,
) -> Vec<ParamError> {
    let mut problems = Vec::new();
    let size = size(table);
    if size > MOST_BYTES {
        return vec![ParamError::TooLarge(size)];
    }
    let by_name: HashMap<&str, &Param> = run
        .spec
        .params
        .iter()
        .map(|param| (param.name.as_str(), param))
        .collect();
    let given = |name: &str| by_name.get(name).copied();
    let missing: Vec<String> = spec
        .params
        .iter()
        .filter(|param| param.default.is_none() && given(&param.name).is_none())
        .map(|param| param.name.clone())
        .collect();
    if !missing.is_empty() {
        problems.push(ParamError::Missing(missing));
    }
    let wrong: Vec<String> = spec
        .params
        .iter()
        .filter(|param| given(&param.name).is_some_and(|given| !fits(param, &given.value)))
        .map(|param| param.name.clone())
        .collect();
    if !wrong.is_empty() {
        problems.push(ParamError::WrongType(wrong));
    }
    let mut missing_keys = BTreeMap::new();
    for param in &spec.params {
        let (Some(properties), Some(ParamValue::Object(value))) = (&param.properties, table.get(&param.name))
        else {
            continue;
        };
        let missing: Vec<String> = properties
            .keys()
            .filter(|key| !value.contains_key(*key))
            .cloned()
            .collect();
        if !value.is_empty() && !missing.is_empty() {
            missing_keys.insert(param.name.clone(), missing);
        }
    }
    if !missing_keys.is_empty() {
        problems.push(ParamError::MissingKeys(missing_keys));
    }
    if enums == Enums::Checked {
        for param in spec.params.iter().filter(|param| !param.allowed.is_empty()) {
            if let Some(ParamValue::String(value)) = given(&param.name).map(|given| &given.value)
                && !value.is_empty()
                && !param.allowed.contains(value)
            {
                problems.push(ParamError::NotInEnum {
                    name: param.name.clone(),
                    value: value.clone(),
                    allowed: param.allowed.clone(),
                });
            }
        }
    }
    let beyond = out_of_bounds(spec, table);
    if !beyond.is_empty() {
        problems.push(ParamError::OutOfBounds(beyond));
    }
    problems
}

fn fits(param: &ParamSpec, value: &ParamValue) -> bool {
    let declared = param.param_type.clone().unwrap_or_default();
    // A text that holds a variable may become a list or a map later.
    let may_become = matches!(value, ParamValue::String(text) if holds_variable(text));
    value.param_type() == declared || (declared != ParamType::String && may_become)
}

fn holds_variable(text: &str) -> bool {
    text.match_indices("$(").any(|(start, _)| {
        let inner = &text[start + 2..];
        inner.find(')').is_some_and(|end| {
            let name = inner[..end].split('[').next().unwrap_or_default();
            !name.is_empty()
                && name
                    .chars()
                    .all(|c| c.is_ascii_alphanumeric() || "_.-".contains(c))
        })
    })
}

/// Every `$(params.<list>[<n>])` in the spec whose list has no element `n`.
fn out_of_bounds(spec: &TaskSpec, table: &BTreeMap<String, ParamValue>) -> Vec<String> {
    // Most Tasks have no list, and all of a spec as JSON takes a while.
    if !table.values().any(|value| matches!(value, ParamValue::Array(_))) {
        return Vec::new();
    }
    let Ok(text) = serde_json::to_string(&(
        &spec.steps,
        &spec.step_template,
        &spec.sidecars,
        &spec.volumes,
        &spec.workspaces,
    )) else {
        return Vec::new();
    };
    // In the JSON text a double quote of the bracket form has a backslash before it.
    let text = text.replace("\\\"", "\"");
    let mut beyond = Vec::new();
    for (start, opening) in text.match_indices("$(params") {
        let rest = &text[start + opening.len()..];
        let Some((name, digits)) = indexed(rest) else {
            continue;
        };
        if let Some(ParamValue::Array(items)) = table.get(name)
            && digits.parse::<usize>().is_ok_and(|index| index >= items.len())
        {
            let end = rest.find("])").map_or(rest.len(), |end| end + 2);
            beyond.push(format!("{opening}{}", &rest[..end]));
        }
    }
    beyond.sort();
    beyond.dedup();
    beyond
}

/// Name and index in what follows `$(params`: `.name[3])`, `["name"][3])`, `['name'][3])`.
fn indexed(rest: &str) -> Option<(&str, &str)> {
    let window = &rest[..rest.floor_char_boundary(LONGEST_NAME)];
    let (name, index) = if let Some(dotted) = window.strip_prefix('.') {
        dotted.split_once('[')?
    } else if let Some(quoted) = window.strip_prefix("[\"") {
        quoted.split_once("\"][")?
    } else {
        window.strip_prefix("['")?.split_once("'][")?
    };
    let end = index.find(|c: char| !c.is_ascii_digit())?;
    index[end..].starts_with("])").then(|| (name, &index[..end]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn both(spec: serde_json::Value, params: serde_json::Value) -> (TaskSpec, TaskRun) {
        let run = json!({"spec": {"params": params}});
        (
            serde_json::from_value(spec).unwrap(),
            serde_json::from_value(run).unwrap(),
        )
    }

    fn error(spec: serde_json::Value, params: serde_json::Value) -> String {
        let (spec, run) = both(spec, params);
        check(&spec, &run, &table(&spec, &run), Enums::Checked)
            .map_or_else(|error| error.to_string(), |()| String::new())
    }

    #[test]
    fn values_that_do_not_fit() {
        for (declared, given, text) in [
            (
                json!([{"name": "a", "type": "string"}, {"name": "b", "type": "string"}, {"name": "c", "default": ""}]),
                json!([]),
                "missing values for these params which have no default values: [a b]",
            ),
            (
                json!([{"name": "a", "type": "array"}]),
                json!([{"name": "a", "value": "text"}]),
                "param types don't match the user-specified type: [a]",
            ),
            (
                json!([{"name": "a", "type": "array"}]),
                json!([{"name": "a", "value": "$(tasks.x.results.y)"}]),
                "",
            ),
            (
                json!([{"name": "obj", "type": "object", "properties": {"k1": {}, "k2": {}}}]),
                json!([{"name": "obj", "value": {"k1": "v"}}]),
                "missing keys for these params which are required in ParamSpec's properties map[obj:[k2]]",
            ),
            (
                json!([{"name": "s", "type": "string"}]),
                json!([{"name": "s", "value": 5}]),
                "",
            ),
            (json!([]), json!([{"name": "extra", "value": "x"}]), ""),
        ] {
            assert_eq!(
                error(json!({ "params": declared }), given.clone()),
                text,
                "{given}"
            );
        }
    }

    #[test]
    fn lists_have_bounds() {
        let spec = json!({
            "params": [{"name": "A", "type": "array"}],
            "steps": [{"image": "i", "script": "$(params.A[1]) $(params.A[2])", "args": ["$(params[\"A\"][7])"]}],
        });
        assert_eq!(
            error(spec, json!([{"name": "A", "value": ["x", "y"]}])),
            "non-existent param references:[$(params.A[2]) $(params[\"A\"][7])]"
        );
    }

    #[test]
    fn defaults_and_values_make_the_table() {
        let (spec, run) = both(
            json!({"params": [
                {"name": "s", "default": "old"},
                {"name": "d", "default": "$(params.s)-x"},
                {"name": "o", "type": "object", "default": {"a": "1", "b": "2"}},
            ]}),
            json!([{"name": "s", "value": "new"}, {"name": "o", "value": {"b": "3"}}]),
        );
        let table = table(&spec, &run);
        assert_eq!(table["s"], "new".into());
        assert_eq!(table["d"], "old-x".into());
        assert_eq!(
            serde_json::to_value(&table["o"]).unwrap(),
            json!({"a": "1", "b": "3"})
        );
    }
}
