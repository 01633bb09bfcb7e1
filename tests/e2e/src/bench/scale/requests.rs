//! How many requests the API server has answered, from its own metrics.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result};
use kube::Client;
use regex::Regex;

/// Writes by resource and by what they did to it: `("pods", "create pods")`,
/// `("taskruns", "patch taskruns/status")`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Requests(BTreeMap<(String, String), u64>);

/// Methods that change something, and how they are called here; the rest only read.
const WRITES: [(&str, &str); 6] = [
    ("POST", "create"),
    ("PUT", "update"),
    ("PATCH", "patch"),
    ("APPLY", "apply"),
    ("DELETE", "delete"),
    ("DELETECOLLECTION", "delete all"),
];

impl Requests {
    /// Asks.
    pub(super) async fn read(client: &Client) -> Result<Self> {
        let request = http::Request::get("/metrics").body(Vec::new())?;
        let text = client.request_text(request).await.context("the API server's metrics")?;
        Self::parse(&text)
    }

    fn parse(text: &str) -> Result<Self> {
        let label = Regex::new(r#"(\w+)="([^"]*)""#)?;
        let mut all = BTreeMap::new();
        for line in text.lines() {
            let Some((labels, number)) = line
                .strip_prefix("apiserver_request_total{")
                .and_then(|rest| rest.rsplit_once("} "))
            else {
                continue;
            };
            let labels: BTreeMap<&str, &str> = label
                .captures_iter(labels)
                .filter_map(|found| Some((found.get(1)?.as_str(), found.get(2)?.as_str())))
                .collect();
            let of = |name| labels.get(name).copied().unwrap_or_default();
            let Some((_, verb)) = WRITES.into_iter().find(|(method, _)| *method == of("verb")) else {
                continue;
            };
            let (resource, part) = (of("resource"), of("subresource"));
            let slash = if part.is_empty() { "" } else { "/" };
            let number: f64 = number.trim().parse().context("a count is no number")?;
            // Counts are whole numbers, and none is that large.
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
            let count = number as u64;
            *all.entry((resource.to_owned(), format!("{verb} {resource}{slash}{part}")))
                .or_default() += count;
        }
        Ok(Self(all))
    }

    /// The writes to `resources` since `before`, those with most first.
    pub(super) fn since(&self, before: &Self, resources: &[&str]) -> Vec<(String, u64)> {
        let mut writes: Vec<(String, u64)> = self
            .0
            .iter()
            .filter(|((resource, _), _)| resources.contains(&resource.as_str()))
            .map(|(what, count)| {
                let known = before.0.get(what).copied().unwrap_or_default();
                (what.1.clone(), count.saturating_sub(known))
            })
            .filter(|(_, count)| *count > 0)
            .collect();
        writes.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        writes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_are_summed_up_by_what_they_change() {
        let text = "# TYPE apiserver_request_total counter\n\
             apiserver_request_total{code=\"201\",resource=\"pods\",subresource=\"\",verb=\"POST\"} 5\n\
             apiserver_request_total{code=\"409\",resource=\"pods\",subresource=\"\",verb=\"POST\"} 1\n\
             apiserver_request_total{code=\"200\",resource=\"taskruns\",subresource=\"status\",verb=\"PATCH\"} 9e+01\n\
             apiserver_request_total{code=\"200\",resource=\"taskruns\",subresource=\"\",verb=\"WATCH\"} 7\n\
             apiserver_request_duration_seconds_sum{verb=\"POST\"} 5\n";
        let after = Requests::parse(text).unwrap();
        assert_eq!(
            after.since(&Requests::default(), &["pods", "taskruns"]),
            [("patch taskruns/status".to_owned(), 90), ("create pods".to_owned(), 6)]
        );
        assert_eq!(after.since(&after, &["pods"]), []);
    }
}
