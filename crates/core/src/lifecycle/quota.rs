//! What the API server says when a quota has no room: whether there can ever be any. No I/O.

use std::collections::BTreeMap;

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

/// `cpu=1,memory=2Gi`, by resource.
fn amounts(text: &str) -> BTreeMap<&str, &str> {
    text.split(',')
        .filter_map(|pair| pair.trim().split_once('='))
        .collect()
}

#[cfg(test)]
mod tests {
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
}
