//! Resources of containers. No I/O.

use std::collections::BTreeMap;

use k8s_openapi::{api::core::v1::ResourceRequirements, apimachinery::pkg::api::resource::Quantity as Text};

use crate::{
    field_error::FieldError,
    quantity::Quantity,
    validate::{Rules, text},
};

const KNOWN: [&str; 3] = ["cpu", "memory", "ephemeral-storage"];

/// Requests and limits at `at` (`spec.steps[0].computeResources`).
pub(crate) fn resources(rules: &mut Rules<'_>, resources: &ResourceRequirements, at: &str) {
    let limits = amounts(rules, resources.limits.as_ref(), &format!("{at}.limits"));
    let requests = amounts(rules, resources.requests.as_ref(), &format!("{at}.requests"));
    for (name, request) in &requests {
        let path = format!("{at}.requests[{name}]");
        let limit = limits.get(name);
        if let Some(limit) = limit.filter(|limit| request > *limit) {
            rules.push(
                FieldError::own(
                    format!(
                        "invalid request resource value: {} must be less or equal to limit {}",
                        request.text().0,
                        limit.text().0
                    ),
                    path.clone(),
                )
                .with_note(format!(
                    "{path}: the scheduler promises {}, and the limit allows less",
                    request.text().0
                )),
            );
        } else if is_whole(name) && limit != Some(request) {
            let given = limit.map_or_else(|| "none".to_owned(), |limit| limit.text().0);
            rules.push(
                FieldError::own(format!("invalid value: {}", request.text().0), path.clone()).with_note(format!(
                    "{path}: {name} cannot be promised in part: the limit has to be the same (given: {given})"
                )),
            );
        }
    }
    let huge = limits
        .keys()
        .chain(requests.keys())
        .any(|name| name.starts_with("hugepages-"));
    let basic = limits
        .keys()
        .chain(requests.keys())
        .any(|name| matches!(*name, "cpu" | "memory"));
    if huge && !basic {
        rules.push(
            FieldError::own("missing field(s)", format!("{at}.limits[memory]")).with_note(format!(
                "{at}: huge pages are given to a container that has cpu or memory too"
            )),
        );
    }
    for (index, claim) in resources.claims.iter().flatten().enumerate() {
        if claim.name.is_empty() {
            rules.push(FieldError::own(
                "missing field(s)",
                format!("{at}.claims[{index}].name"),
            ));
        }
    }
    if let Some(limit) = limits.get("memory").filter(|limit| **limit < smallest_memory()) {
        let path = format!("{at}.limits[memory]");
        rules.push(
            FieldError::own(format!("invalid value: {}", limit.text().0), path.clone()).with_note(format!(
                "{path}: no process starts in so few bytes; did you mean \"{}Mi\"?",
                limit.text().0.trim_end_matches(|c: char| !c.is_ascii_digit())
            )),
        );
    }
}

/// Less memory than this, and nothing starts.
fn smallest_memory() -> Quantity {
    const SMALLEST: &str = "512Ki";
    Quantity::parse(&Text(SMALLEST.to_owned())).unwrap_or(Quantity::ZERO)
}

/// Resources that are counted, not shared: devices, huge pages.
fn is_whole(name: &str) -> bool {
    name.starts_with("hugepages-") || (name.contains('/') && !name.contains("kubernetes.io/"))
}

/// The amounts that can be read; the others are told.
fn amounts<'a>(
    rules: &mut Rules<'_>,
    list: Option<&'a BTreeMap<String, Text>>,
    at: &str,
) -> BTreeMap<&'a str, Quantity> {
    let mut read = BTreeMap::new();
    for (name, amount) in list.into_iter().flatten() {
        let path = format!("{at}[{name}]");
        let domain = name.split_once('/').is_some_and(|(domain, _)| {
            text::qualified_name_problems(name).is_empty()
                && !domain.ends_with("kubernetes.io")
                && !domain.starts_with("requests.")
        });
        let fits = KNOWN.contains(&name.as_str()) || name.starts_with("hugepages-") || domain;
        if !fits {
            rules.push(
                FieldError::own(format!("invalid resource name \"{name}\""), path.clone()).with_note(
                    format!(
                        "{path}: {}; others are written with their domain, <domain>/{name}",
                        text::suggestion(name, KNOWN, "resources")
                    ),
                ),
            );
        }
        match Quantity::parse(amount) {
            Ok(quantity) if quantity.is_negative() => rules.push(
                FieldError::own(
                    format!("invalid value: {} should be >= 0", amount.0),
                    path.clone(),
                )
                .with_note(format!("{path}: write an amount such as \"500m\" or \"1Gi\"")),
            ),
            Ok(quantity) if name.contains('/') && !quantity.is_integer() => rules.push(
                FieldError::own(format!("invalid value: {}", amount.0), path.clone())
                    .with_note(format!("{path}: {name} is counted: write a whole number")),
            ),
            Ok(quantity) => {
                read.insert(name.as_str(), quantity);
            }
            Err(error) => {
                let variables = if amount.0.contains("$(") {
                    "; variables are not replaced in resources"
                } else {
                    ""
                };
                rules.push(
                    FieldError::own(format!("invalid value: {}", amount.0), path.clone())
                        .with_note(format!("{path}: {error}{variables}")),
                );
            }
        }
    }
    read
}
