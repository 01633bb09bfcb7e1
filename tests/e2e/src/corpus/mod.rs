//! The corpus of objects that admission must refuse or let pass.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Result, ensure};
use futures::{StreamExt as _, stream};
use tokio::time::{Instant, sleep};

use crate::case::NamespaceMeta;
use crate::cluster::{Cluster, random};
use crate::config::{Config, Settings};
use crate::report::{Failure, indent, line};
use crate::run::until_signal;

mod attempt;
mod bless;
mod compare;
mod entry;

use attempt::{Place, Verdict};
use entry::Kind;
pub(crate) use entry::{Entry, is_corpus, load};

/// How long a change of the configuration may take to reach the webhooks.
const SETTLE: Duration = Duration::from_secs(15);
/// How long a namespace may take to be ready, or to be empty.
const READY: Duration = Duration::from_secs(30);
/// Between two looks.
const PAUSE: Duration = Duration::from_millis(500);
/// What must not be left in a namespace.
const LEFT: [(&str, &str); 4] = [
    ("tekton.dev/v1", "TaskRun"),
    ("tekton.dev/v1", "Task"),
    ("tekton.dev/v1beta1", "StepAction"),
    ("v1", "Pod"),
];

/// Which cases to run, and how.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Only cases whose path contains this.
    #[arg(long, default_value = "")]
    filter: String,
    /// How many cases at a time.
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u16).range(1..))]
    jobs: u16,
    /// Where the cases are.
    #[arg(long, default_value = "tests/cases")]
    cases: PathBuf,
    /// Write the whole text of the refusals into the files, where their lines are all in it.
    #[arg(long)]
    bless: bool,
    /// Compare lines even where a case has the whole text.
    #[arg(long)]
    lines: bool,
}

/// How to run cases.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Manner {
    /// How many at a time.
    pub(crate) jobs: u16,
    /// Whether to write into the files.
    pub(crate) bless: bool,
    /// Whether lines are enough.
    pub(crate) lines: bool,
}

/// What came of all of them.
#[derive(Debug, Default)]
struct Sums {
    refused: usize,
    passed: usize,
    blessed: usize,
    skipped: Vec<String>,
    failed: Vec<String>,
}

/// Runs the corpus; whether all is well.
pub(crate) async fn run(options: Options) -> Result<bool> {
    let entries = load(&options.cases, &options.filter)?;
    ensure!(
        !entries.is_empty(),
        "no case found in {} (filter {:?})",
        options.cases.display(),
        options.filter
    );
    let cluster = Cluster::connect().await?;
    let manner = Manner {
        jobs: options.jobs,
        bless: options.bless,
        lines: options.lines,
    };
    run_entries(&cluster, &entries, manner).await
}

/// Runs these cases; whether all is well.
pub(crate) async fn run_entries(cluster: &Cluster, entries: &[Entry], manner: Manner) -> Result<bool> {
    let mut groups = BTreeMap::<Settings, Vec<&Entry>>::new();
    for entry in entries {
        groups.entry(entry.document.settings()).or_default().push(entry);
    }
    let mut config = Config::read(cluster).await?;
    let mut sums = Sums::default();
    let result = until_signal(cluster, async {
        for (settings, entries) in groups {
            let changed = config.set(cluster, &settings).await?;
            let settled = Instant::now() + if changed { SETTLE } else { Duration::ZERO };
            run_group(cluster, &entries, settled, manner, &mut sums).await?;
        }
        Ok(())
    })
    .await;
    let restored = config.set(cluster, &Settings::default()).await;
    result?;
    restored?;
    Ok(sums.end())
}

async fn run_group(
    cluster: &Cluster,
    entries: &[&Entry],
    settled: Instant,
    manner: Manner,
    sums: &mut Sums,
) -> Result<()> {
    let namespace = format!("e2e-corpus-{}", random());
    let ready = Instant::now() + READY;
    cluster
        .create_namespace(&namespace, &NamespaceMeta::default(), ready)
        .await?;
    let loosely = manner.lines || manner.bless;
    let place = Place {
        cluster,
        namespace: &namespace,
        settled,
        loosely,
    };
    let place = &place;
    let mut verdicts = stream::iter(entries.iter().copied())
        .map(|entry| async move { (entry, run_one(place, entry).await) })
        .buffer_unordered(manner.jobs.max(1).into());
    while let Some((entry, verdict)) = verdicts.next().await {
        sums.add(entry, verdict, manner);
    }
    drop(verdicts);
    if let Err(error) = empty(cluster, &namespace).await {
        sums.failed.push(namespace.clone());
        line(&format!("FAIL {namespace}\n     {error:#}"));
    }
    cluster.delete_namespace(&namespace).await
}

/// What came of a case, or what it needs and the cluster has not.
async fn run_one(place: &Place<'_>, entry: &Entry) -> Result<Result<Verdict, String>> {
    for need in &entry.document.needs {
        if let Some(reason) = place.cluster.unmet(need).await? {
            return Ok(Err(reason));
        }
    }
    place.run(entry).await.map(Ok)
}

/// What was refused must not be there, and no Pod may have been made.
async fn empty(cluster: &Cluster, namespace: &str) -> Result<()> {
    let until = Instant::now() + READY;
    loop {
        let mut left = String::new();
        for (api_version, kind) in LEFT {
            for object in cluster.list(Some(api_version), kind, namespace).await? {
                let _ = write!(left, " {kind} {}", object["metadata"]["name"]);
            }
        }
        if left.is_empty() {
            return Ok(());
        }
        ensure!(Instant::now() < until, "left in the namespace:{left}");
        sleep(PAUSE).await;
    }
}

impl Sums {
    fn add(&mut self, entry: &Entry, verdict: Result<Result<Verdict, String>>, manner: Manner) {
        let failure = match verdict {
            Ok(Err(reason)) => {
                self.skipped.push(format!("{} needs {reason}", entry.path));
                return;
            }
            Ok(Ok(verdict)) if verdict.mismatches.is_empty() => match self.good(entry, &verdict, manner) {
                Ok(()) => return,
                Err(error) => Failure {
                    error: Some(error),
                    ..Failure::default()
                },
            },
            Ok(Ok(verdict)) => Failure {
                mismatches: verdict.mismatches,
                ..Failure::default()
            },
            Err(error) => Failure {
                error: Some(error),
                ..Failure::default()
            },
        };
        self.failed.push(entry.path.clone());
        let Entry { path, document, .. } = entry;
        let rule = document.rule.as_deref().unwrap_or("accepted");
        line(&format!(
            "FAIL {path} ({rule}): {}\n{}",
            document.description,
            indent(&failure.text(), "     ")
        ));
    }

    fn good(&mut self, entry: &Entry, verdict: &Verdict, manner: Manner) -> Result<()> {
        if entry.document.kind == Kind::Accepted {
            self.passed += 1;
            return Ok(());
        }
        if let Some(errors) = verdict.errors.as_ref().filter(|_| manner.bless)
            && bless::bless(&entry.file, errors)?
        {
            self.blessed += 1;
            line(&format!("blessed {}", entry.path));
        }
        self.refused += 1;
        Ok(())
    }

    fn end(&self) -> bool {
        for skipped in &self.skipped {
            line(&format!("skip {skipped}"));
        }
        if self.blessed > 0 {
            line(&format!("{} blessed", self.blessed));
        }
        line(&format!(
            "corpus: {} refused and {} let pass as they should be, {} failed, {} skipped",
            self.refused,
            self.passed,
            self.failed.len(),
            self.skipped.len()
        ));
        self.failed.is_empty() && self.refused + self.passed > 0
    }
}
