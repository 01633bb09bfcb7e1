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
        let Some(limit) = limits.get(name).filter(|limit| request > *limit) else {
            continue;
        };
        let path = format!("{at}.requests[{name}]");
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
    }
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
        let fits = KNOWN.contains(&name.as_str()) || name.starts_with("hugepages-") || name.contains('/');
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
