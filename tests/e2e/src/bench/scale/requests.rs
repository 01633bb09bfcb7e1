//! How many writes the API server has answered, from its own metrics.

use std::collections::BTreeMap;

use anyhow::Result;
use kube::Client;

use super::metrics;

/// Writes by resource and by what they did to it: `("pods", "create pods")`,
/// `("taskruns", "patch taskruns/status")`.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Requests(BTreeMap<(String, String), f64>);

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
        Self::parse(&metrics::text(client, "/metrics").await?)
    }

    fn parse(text: &str) -> Result<Self> {
        let mut all = BTreeMap::new();
        for sample in metrics::samples(text, "apiserver_request_total")? {
            let method = sample.label("verb");
            let Some((_, verb)) = WRITES.into_iter().find(|(known, _)| *known == method) else {
                continue;
            };
            let (resource, part) = (sample.label("resource"), sample.label("subresource"));
            let slash = if part.is_empty() { "" } else { "/" };
            *all.entry((resource.to_owned(), format!("{verb} {resource}{slash}{part}")))
                .or_default() += sample.number;
        }
        Ok(Self(all))
    }

    /// The writes to `resources` since `before`, those with most first.
    pub(super) fn since(&self, before: &Self, resources: &[&str]) -> Vec<(String, f64)> {
        let mut writes: Vec<(String, f64)> = self
            .0
            .iter()
            .filter(|((resource, _), _)| resources.contains(&resource.as_str()))
            .map(|(what, count)| {
                (
                    what.1.clone(),
                    count - before.0.get(what).copied().unwrap_or_default(),
                )
            })
            .filter(|(_, count)| *count > 0.0)
            .collect();
        writes.sort_by(|(_, one), (_, other)| other.total_cmp(one));
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
        let writes = after.since(&Requests::default(), &["pods", "taskruns"]);
        let writes: Vec<String> = writes
            .iter()
            .map(|(what, count)| format!("{count:.0} {what}"))
            .collect();
        assert_eq!(writes, ["90 patch taskruns/status", "6 create pods"]);
        assert_eq!(after.since(&after, &["pods"]), []);
    }
}
