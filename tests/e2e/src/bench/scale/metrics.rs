//! Reading metrics in the text form of Prometheus.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result};
use kube::Client;
use regex::Regex;

/// One line: its labels and its number.
pub(super) struct Sample {
    labels: BTreeMap<String, String>,
    pub(super) number: f64,
}

impl Sample {
    /// A label's value; empty where there is none.
    pub(super) fn label(&self, name: &str) -> &str {
        self.labels.get(name).map_or("", String::as_str)
    }
}

/// All lines at a path of the API server.
pub(super) async fn text(client: &Client, path: &str) -> Result<String> {
    let request = http::Request::get(path).body(Vec::new())?;
    client
        .request_text(request)
        .await
        .with_context(|| format!("the metrics at {path}"))
}

/// The samples of one metric.
pub(super) fn samples(text: &str, metric: &str) -> Result<Vec<Sample>> {
    let label = Regex::new(r#"(\w+)="([^"]*)""#)?;
    let of_metric = |line: &str| {
        let (labels, number) = line.strip_prefix(metric)?.strip_prefix('{')?.rsplit_once("} ")?;
        // A moment may stand behind the number.
        Some((labels.to_owned(), number.split(' ').next()?.to_owned()))
    };
    text.lines()
        .filter_map(of_metric)
        .map(|(labels, number)| {
            let labels = label
                .captures_iter(&labels)
                .map(|found| (found[1].to_owned(), found[2].to_owned()))
                .collect();
            let number = number
                .parse()
                .with_context(|| format!("{metric} is {number:?}"))?;
            Ok(Sample { labels, number })
        })
        .collect()
}
