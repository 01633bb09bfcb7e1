//! Declared parameters, and those that an inline Task gets from its run (api.md 3.5, T36 to T45, and
//! 3.6).

use std::collections::{BTreeMap, HashMap};

use tektite_api::{ParamSpec, ParamType, ParamValue, PropertySpec, Step, TaskRun, TaskSpec};

use super::{
    Rules,
    lookup::{Declared, repeated},
    results, text,
    text::{Dots, is_param_name},
    usage,
};
use crate::field_error::FieldError;

const TEXT_NAMES: &str = "String/Array Names: \nMust only contain alphanumeric characters, hyphens (-), underscores (_), and dots (.)\nMust begin with a letter or an underscore (_)";
const OBJECT_NAMES: &str = "Object Names: \nMust only contain alphanumeric characters, hyphens (-), underscores (_) \nMust begin with a letter or an underscore (_)";

/// Whether names and enums are looked at too, or types alone.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Names {
    /// All of T36 to T45.
    Checked,
    /// All but the enums: a StepAction's.
    WithoutEnums,
}

/// T36 to T45 for declarations at `path` (`spec.params`).
pub(super) fn declared(rules: &mut Rules<'_>, params: &[ParamSpec], path: &str, names: Names) {
    for param in params {
        types(rules, param, &format!("{path}.{}", param.name));
    }
    duplicates_and_enums(rules, params, path, names);
    formats(rules, params, path);
}

/// T36 to T38.
fn types(rules: &mut Rules<'_>, param: &ParamSpec, at: &str) {
    let declared = param.param_type.clone().unwrap_or_default();
    if let ParamType::Other(word) = &declared {
        let path = format!("{at}.type");
        let note = format!(
            "{path}: {}",
            text::suggestion(word, ["string", "array", "object"], "types")
        );
        rules.push(FieldError::invalid(word, path).with_note(note));
        return;
    }
    if let Some(default) = &param.default {
        let is = default.param_type();
        if is != declared {
            rules.push(
                FieldError::at(
                    format!("\"{declared}\" type does not match default value's type: \"{is}\""),
                    &[&format!("{at}.type"), &format!("{at}.default.type")],
                )
                .with_note(format!(
                    "{at}.default: {} is given; write {} or change the type",
                    serde_json::to_string(default).unwrap_or_default(),
                    match declared {
                        ParamType::Array => "a list of texts",
                        ParamType::Object => "an object of texts",
                        _ => "a text",
                    }
                )),
            );
        }
    }
    if let Some(properties) = &param.properties {
        let wrong = results::not_strings(properties);
        if !wrong.is_empty() && declared == ParamType::Object {
            rules.push(
                FieldError::new(
                    format!(
                        "The value type specified for these keys [{}] is invalid",
                        wrong.join(" ")
                    ),
                    format!("{at}.properties"),
                )
                .with_note(format!(
                    "{at}.properties: the values of an object are texts, so its keys have type string"
                )),
            );
        }
    }
}

/// T39 to T43.
fn duplicates_and_enums(rules: &mut Rules<'_>, params: &[ParamSpec], path: &str, names: Names) {
    let again = repeated(params.iter().map(|param| &param.name));
    for (param, again) in params.iter().zip(again) {
        let at = format!("{path}[{}]", param.name);
        if again {
            rules.push(
                FieldError::new("parameter appears more than once", at.clone())
                    .with_note(format!("{at}: declared before; each name once")),
            );
        }
        if param.allowed.is_empty() || names == Names::WithoutEnums {
            continue;
        }
        if !rules.config.flags.param_enum {
            rules.push(FieldError::new(
                "feature flag `enable-param-enum` should be set to true to use Enum",
                at.clone(),
            ).with_note(format!("{at}: the cluster's operator allows enum with `enable-param-enum: \"true\"` in ConfigMap feature-flags")));
        }
        if !matches!(param.param_type, None | Some(ParamType::String)) {
            rules.push(
                FieldError::new("enum can only be set with string type param", at.clone()).with_note(
                    format!(
                        "{at}: its type is {}",
                        param.param_type.clone().unwrap_or_default()
                    ),
                ),
            );
        }
        for (value, again) in param.allowed.iter().zip(repeated(param.allowed.iter())) {
            if again {
                rules.push_with(|| {
                    FieldError::new(
                        format!("parameter enum value {value} appears more than once"),
                        at.clone(),
                    )
                    .with_note(format!(
                        "{at}.enum: each value once: {}",
                        param.allowed.join(", ")
                    ))
                });
            }
        }
        if let Some(ParamValue::String(default)) = &param.default
            && !default.is_empty()
            && !param.allowed.contains(default)
        {
            rules.push_with(|| {
                let note = format!("{at}: allowed are {}", param.allowed.join(", "));
                FieldError::new(format!("param default value {default} not in the enum list"), at)
                    .with_note(note)
            });
        }
    }
}

/// T44, T45.
fn formats(rules: &mut Rules<'_>, params: &[ParamSpec], path: &str) {
    let mut texts = Vec::new();
    let mut objects: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for param in params {
        if param.param_type == Some(ParamType::Object) {
            let mut wrong = Vec::new();
            if !is_param_name(&param.name, Dots::Refused) {
                wrong.push(param.name.as_str());
            }
            let keys = param.properties.iter().flat_map(BTreeMap::keys);
            wrong.extend(
                keys.map(String::as_str)
                    .filter(|key| !is_param_name(key, Dots::Refused)),
            );
            if !wrong.is_empty() {
                objects.insert(&param.name, wrong);
            }
        } else if !is_param_name(&param.name, Dots::Allowed) {
            texts.push(param.name.as_str());
        }
    }
    if !texts.is_empty() {
        texts.sort_unstable();
        rules.push(
            FieldError::new(
                format!(
                    "The format of following array and string variable names is invalid: [{}]",
                    texts.join(" ")
                ),
                path,
            )
            .with_details(TEXT_NAMES)
            .with_note(format!("{path}: given are {}", quoted(&texts))),
        );
    }
    if !objects.is_empty() {
        let listed: Vec<String> = objects
            .iter()
            .map(|(name, wrong)| format!("{name}:[{}]", wrong.join(" ")))
            .collect();
        rules.push(
            FieldError::new(
                format!(
                    "Object param name and key name format is invalid: map[{}]",
                    listed.join(" ")
                ),
                path,
            )
            .with_details(OBJECT_NAMES)
            .with_note(format!(
                "{path}: given are {}",
                objects
                    .values()
                    .map(|wrong| quoted(wrong))
                    .collect::<Vec<_>>()
                    .join(", ")
            )),
        );
    }
}

fn quoted(names: &[&str]) -> String {
    names
        .iter()
        .map(|name| format!("\"{name}\""))
        .collect::<Vec<_>>()
        .join(", ")
}

/// R10: what an inline Task's steps may use, and whether they do it right. Paths lack `taskSpec`, as
/// upstream's do.
pub(super) fn propagated(rules: &mut Rules<'_>, run: &TaskRun, spec: &TaskSpec, merged: &[Step]) {
    let mut table: Vec<ParamSpec> = run
        .spec
        .params
        .iter()
        .map(|param| ParamSpec {
            name: param.name.clone(),
            param_type: Some(param.value.param_type()),
            properties: match &param.value {
                ParamValue::Object(map) => {
                    Some(map.keys().map(|key| (key.clone(), text_property())).collect())
                }
                _ => None,
            },
            default: Some(param.value.clone()),
            ..ParamSpec::default()
        })
        .collect();
    let mut places: HashMap<String, usize> = HashMap::new();
    for (place, entry) in table.iter().enumerate() {
        places.entry(entry.name.clone()).or_insert(place);
    }
    for declared in &spec.params {
        let Some(entry) = places.get(&declared.name).and_then(|place| table.get_mut(*place)) else {
            places.insert(declared.name.clone(), table.len());
            table.push(declared.clone());
            continue;
        };
        let properties = format!("spec.{}.properties", declared.name);
        if let Some(ParamValue::Object(below)) = &declared.default {
            if declared.properties.is_none() {
                rules.push(FieldError::missing(properties.clone()).with_note(keys_note(&declared.name)));
            }
            if let Some(ParamValue::Object(own)) = &mut entry.default {
                own.extend(below.clone());
            }
        }
        if let Some(ParamValue::Object(_)) = &entry.default {
            match &declared.properties {
                None => rules.push(FieldError::missing(properties).with_note(keys_note(&declared.name))),
                Some(keys) => entry.properties = Some(keys.clone()),
            }
        }
    }
    for param in &table {
        types(rules, param, &format!("spec.{}", param.name));
    }
    // Duplicates among the run's own are told by R9, with another text.
    duplicates_and_enums(rules, &spec.params, "spec.params", Names::Checked);
    let table = Declared::new(&table);
    usage::arrays(rules, merged, &table, "spec");
    usage::declared(rules, merged, &table, "spec");
}

fn keys_note(name: &str) -> String {
    format!("spec.taskSpec.params: object \"{name}\" says its keys in properties")
}

pub(super) fn text_property() -> PropertySpec {
    PropertySpec {
        param_type: Some(ParamType::String),
    }
}
