//! What the API server says when a quota has no room: whether there can ever be any, and when there is
//! more. No I/O.

use std::collections::BTreeMap;

use k8s_openapi::{api::core::v1::ResourceQuota, apimachinery::pkg::api::resource};

use crate::quantity::Quantity;

/// Why no waiting helps, if none does: the quota as a whole is smaller than what is asked for.
pub(super) fn never_fits(refusal: &str) -> Option<String> {
    let (_, rest) = refusal.split_once("exceeded quota: ")?;
    let (quota, rest) = rest.split_once(", requested: ")?;
    let (requested, rest) = rest.split_once(", used: ")?;
    let (_, limited) = rest.split_once(", limited: ")?;
    let limited = amounts(limited);
    let too_much: Vec<String> = amounts(requested)
        .into_iter()
        .filter_map(|(resource, asked)| {
            let all = *limited.get(resource)?;
            let exceeds = asked.parse::<Quantity>().ok()? > all.parse::<Quantity>().ok()?;
            exceeds.then(|| {
                format!("it asks for {resource} of {asked}, and quota \"{quota}\" allows {all} in all")
            })
        })
        .collect();
    (!too_much.is_empty()).then(|| too_much.join("; "))
}

/// Whether a quota has more room than `before`, for anything: something ended, or its limits were raised.
pub fn gives_room(before: &ResourceQuota, after: Option<&ResourceQuota>) -> bool {
    let Some(after) = after else {
        return true;
    };
    let of = |quota: &ResourceQuota| {
        let status = quota.status.clone().unwrap_or_default();
        (status.hard.unwrap_or_default(), status.used.unwrap_or_default())
    };
    let ((hard, used), (new_hard, new_used)) = (of(before), of(after));
    let amount = |amount: &resource::Quantity| amount.0.parse::<Quantity>().ok();
    hard.iter().any(|(resource, limit)| {
        let Some(new_limit) = new_hard.get(resource) else {
            return true;
        };
        let is_less_used = used.get(resource).zip(new_used.get(resource));
        let is_less_used = is_less_used.is_some_and(|(used, new_used)| amount(new_used) < amount(used));
        is_less_used || amount(new_limit) > amount(limit)
    })
}

/// `cpu=1,memory=2Gi`, by resource.
fn amounts(text: &str) -> BTreeMap<&str, &str> {
    text.split(',')
        .filter_map(|pair| pair.trim().split_once('='))
        .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_what_can_never_fit() {
        let text = |requested: &str, limited: &str| {
            format!(
                "pods \"p\" is forbidden: exceeded quota: q, requested: {requested}, used: requests.cpu=900m, limited: {limited}"
            )
        };
        for (refusal, expected) in [
            (text("requests.cpu=500m", "requests.cpu=1"), None),
            (text("requests.cpu=1000m", "requests.cpu=1"), None),
            (
                text(
                    "limits.memory=1Gi,requests.cpu=4",
                    "limits.memory=512Mi,requests.cpu=2",
                ),
                Some(
                    "it asks for limits.memory of 1Gi, and quota \"q\" allows 512Mi in all; it asks for requests.cpu of 4, and quota \"q\" allows 2 in all",
                ),
            ),
            (
                text("pods=1", "pods=0"),
                Some("it asks for pods of 1, and quota \"q\" allows 0 in all"),
            ),
            (text("requests.cpu=x", "requests.cpu=1"), None),
            ("exceeded quota: q".to_owned(), None),
            ("something else".to_owned(), None),
        ] {
            assert_eq!(never_fits(&refusal).as_deref(), expected, "{refusal}");
        }
    }

    #[test]
    fn more_room_than_before() {
        let quota = |hard: &[(&str, &str)], used: &[(&str, &str)]| -> ResourceQuota {
            let amounts = |pairs: &[(&str, &str)]| -> serde_json::Value {
                pairs
                    .iter()
                    .map(|(name, amount)| ((*name).to_owned(), json!(amount)))
                    .collect()
            };
            serde_json::from_value(json!({"status": {"hard": amounts(hard), "used": amounts(used)}})).unwrap()
        };
        let before = quota(&[("pods", "2"), ("cpu", "1")], &[("pods", "2"), ("cpu", "900m")]);
        for (after, expected) in [
            (None, true),
            (Some(before.clone()), false),
            (
                Some(quota(
                    &[("pods", "2"), ("cpu", "1000m")],
                    &[("pods", "2"), ("cpu", "0.9")],
                )),
                false,
            ),
            (
                Some(quota(
                    &[("pods", "2"), ("cpu", "1")],
                    &[("pods", "1"), ("cpu", "900m")],
                )),
                true,
            ),
            (
                Some(quota(
                    &[("pods", "2"), ("cpu", "1")],
                    &[("pods", "3"), ("cpu", "0.8")],
                )),
                true,
            ),
            (
                Some(quota(
                    &[("pods", "3"), ("cpu", "1")],
                    &[("pods", "2"), ("cpu", "900m")],
                )),
                true,
            ),
            (
                Some(quota(
                    &[("pods", "1"), ("cpu", "1")],
                    &[("pods", "2"), ("cpu", "900m")],
                )),
                false,
            ),
            (Some(quota(&[("pods", "2")], &[("pods", "2")])), true),
            (Some(ResourceQuota::default()), true),
        ] {
            assert_eq!(gives_room(&before, after.as_ref()), expected, "{after:?}");
        }
        let unknown = ResourceQuota::default();
        assert!(!gives_room(&unknown, Some(&before)), "counted for the first time");
    }
}
