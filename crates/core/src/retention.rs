//! Which finished runs go, and when: keys of `config-defaults`, and annotations of a run
//! (docs/finished-runs.md). No I/O.
//!
//! A run that carries an annotation about its time is governed by that alone; one about the number of runs
//! is about all that are counted with it. A run that has an owner is the owner's: nothing here touches it.

mod history;

use std::{collections::BTreeMap, num::NonZeroUsize, time::Duration};

use jiff::Timestamp;
use tektite_api::{ConditionStatus, TaskRun, labels};

pub use history::{History, Noted};

use crate::config::ConfigError;

/// How long a run stays that ended well.
const AFTER_SUCCESS: &str = "ttl-seconds-after-success";
/// How long a run stays that ended otherwise.
const AFTER_FAILURE: &str = "ttl-seconds-after-failure";
/// How many finished runs of a Task stay.
const KEEP_LAST: &str = "keep-last-runs";

/// The keys, for those who know them all.
pub const KEYS: [&str; 3] = [AFTER_SUCCESS, AFTER_FAILURE, KEEP_LAST];

/// The word of an annotation for a run that stays.
const NEVER: &str = "never";
/// The word of an annotation for runs that all stay.
const ALL: &str = "all";

/// What finished runs are granted. By default all stay.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    /// `ttl-seconds-after-success`.
    pub after_success: Option<Duration>,
    /// `ttl-seconds-after-failure`.
    pub after_failure: Option<Duration>,
    /// `keep-last-runs`, for each Task.
    pub keep_last: Option<NonZeroUsize>,
}

impl Settings {
    /// Reads the keys; an empty value is as good as none.
    ///
    /// # Errors
    /// The first key whose value cannot be read.
    pub fn parse(data: &BTreeMap<String, String>) -> Result<Self, ConfigError> {
        let get = |key: &str| {
            data.get(key)
                .map(|value| value.trim())
                .filter(|value| !value.is_empty())
        };
        let bad = |key: &'static str, value: &str, allowed: &str| ConfigError::Default {
            key,
            value: value.to_owned(),
            allowed: allowed.to_owned(),
        };
        let seconds = |key: &'static str| {
            let read = |value| {
                seconds(value).ok_or_else(|| {
                    bad(
                        key,
                        value,
                        "write whole seconds, 0 or more, or leave it out to keep such runs",
                    )
                })
            };
            get(key).map(read).transpose()
        };
        let keep_last = get(KEEP_LAST).map(|value| {
            value.parse().map_err(|_| {
                bad(
                    KEEP_LAST,
                    value,
                    "write a whole number, 1 or more, or leave it out to keep all",
                )
            })
        });
        Ok(Self {
            after_success: seconds(AFTER_SUCCESS)?,
            after_failure: seconds(AFTER_FAILURE)?,
            keep_last: keep_last.transpose()?,
        })
    }
}

fn seconds(value: &str) -> Option<Duration> {
    value
        .parse::<u32>()
        .ok()
        .map(|seconds| Duration::from_secs(seconds.into()))
}

/// An annotation of a run that says how long it stays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wish {
    /// Until somebody deletes it.
    Never,
    /// So long.
    After(Duration),
}

impl Wish {
    /// What an annotation may hold, for messages.
    pub const ALLOWED: &str = "write whole seconds, or never";

    /// Reads the value of an annotation.
    pub fn parse(value: &str) -> Option<Self> {
        if value == NEVER {
            return Some(Self::Never);
        }
        seconds(value).map(Self::After)
    }
}

/// An annotation of a run that says how many finished runs of its Task stay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeepLast {
    /// However many there are.
    All,
    /// So many.
    Last(NonZeroUsize),
}

impl KeepLast {
    /// What an annotation may hold, for messages.
    pub const ALLOWED: &str = "write a whole number, 1 or more, or all";

    /// Reads the value of an annotation.
    pub fn parse(value: &str) -> Option<Self> {
        if value == ALL {
            return Some(Self::All);
        }
        value.parse().ok().map(Self::Last)
    }

    /// How many stay; nothing for all.
    pub const fn limit(self) -> Option<NonZeroUsize> {
        match self {
            Self::All => None,
            Self::Last(number) => Some(number),
        }
    }
}

/// What the annotation `key` may hold, where it is one of those that are looked at and `value` says nothing.
pub fn misread(key: &str, value: &str) -> Option<&'static str> {
    match key {
        labels::TTL_AFTER_SUCCESS | labels::TTL_AFTER_FAILURE | labels::TTL_AFTER_FINISHED => {
            Wish::parse(value).is_none().then_some(Wish::ALLOWED)
        }
        labels::KEEP_LAST_RUNS => KeepLast::parse(value).is_none().then_some(KeepLast::ALLOWED),
        _ => None,
    }
}

/// An annotation that says nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("annotation \"{key}\": \"{value}\" is not allowed; {allowed}. The run stays.")]
pub struct Unreadable {
    /// Its key.
    pub key: &'static str,
    /// What it holds.
    pub value: String,
    /// What it may hold.
    pub allowed: &'static str,
}

/// What becomes of a finished run by its age.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It stays.
    Stays,
    /// It goes at this moment.
    GoesAt(Timestamp),
}

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Well.
    Success,
    /// Otherwise, also by cancellation.
    Failure,
}

/// A finished run that nobody owns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finished {
    /// When it ended.
    pub at: Timestamp,
    /// How it ended.
    pub outcome: Outcome,
    /// What its annotations say of it; of two, the one for its outcome.
    pub wish: Option<Wish>,
    /// What its annotation says of all that are counted with it.
    pub keep_last: Option<KeepLast>,
    /// The Task that it ran; nothing for an inline one, which is nobody else's.
    pub task: Option<String>,
}

impl Finished {
    /// Reads `run`: nothing where it has not ended, goes already, or has an owner.
    ///
    /// # Errors
    /// An annotation says nothing; the run stays then.
    pub fn read(run: &TaskRun) -> Result<Option<Self>, Unreadable> {
        let metadata = &run.metadata;
        let is_owned = metadata
            .owner_references
            .as_ref()
            .is_some_and(|owners| !owners.is_empty());
        let is_free = run.is_done() && metadata.deletion_timestamp.is_none() && !is_owned;
        let Some(status) = run.status.as_ref().filter(|_| is_free) else {
            return Ok(None);
        };
        let succeeded = status.succeeded();
        let transition = || succeeded?.last_transition_time.clone();
        let Some(at) = status.completion_time.clone().or_else(transition) else {
            return Ok(None);
        };
        let (outcome, key) = match succeeded.map(|condition| condition.status) {
            Some(ConditionStatus::True) => (Outcome::Success, labels::TTL_AFTER_SUCCESS),
            _ => (Outcome::Failure, labels::TTL_AFTER_FAILURE),
        };
        Ok(Some(Self {
            at: at.0,
            outcome,
            wish: said(run, &[key, labels::TTL_AFTER_FINISHED], Wish::parse)?,
            keep_last: said(run, &[labels::KEEP_LAST_RUNS], KeepLast::parse)?,
            task: task(run),
        }))
    }

    /// What becomes of it by its age.
    pub fn fate(&self, settings: &Settings) -> Fate {
        let granted = match self.outcome {
            Outcome::Success => settings.after_success,
            Outcome::Failure => settings.after_failure,
        };
        let after = match self.wish {
            Some(Wish::Never) => None,
            Some(Wish::After(after)) => Some(after),
            None => granted,
        };
        // What lies beyond the end of all clocks never comes.
        after
            .and_then(|after| self.at.checked_add(after).ok())
            .map_or(Fate::Stays, Fate::GoesAt)
    }

    /// The Task among whose last runs it is counted; nothing where it is not.
    pub fn counts_for(&self) -> Option<&str> {
        self.task.as_deref().filter(|_| self.wish.is_none())
    }
}

/// What the first of the annotations says that `run` has.
fn said<T>(
    run: &TaskRun,
    keys: &[&'static str],
    read: impl Fn(&str) -> Option<T>,
) -> Result<Option<T>, Unreadable> {
    let mut said = keys.iter().filter_map(|key| Some((*key, run.annotation(key)?)));
    let Some((key, value)) = said.next() else {
        return Ok(None);
    };
    read(value).map(Some).ok_or_else(|| Unreadable {
        key,
        value: value.to_owned(),
        allowed: misread(key, value).unwrap_or_default(),
    })
}

fn task(run: &TaskRun) -> Option<String> {
    let label = || run.metadata.labels.as_ref()?.get(labels::TASK).cloned();
    let task_ref = run.spec.task_ref.as_ref()?;
    let name = label().unwrap_or_else(|| task_ref.name.clone());
    (!name.is_empty()).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    const END: i64 = 1_800_000_000;

    fn settings(pairs: &[(&str, &str)]) -> Result<Settings, String> {
        let data = pairs
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
        Settings::parse(&data.collect()).map_err(|error| error.to_string())
    }

    fn run(status: &str, annotations: Value) -> Value {
        json!({
            "metadata": {"name": "r", "namespace": "n", "annotations": annotations},
            "spec": {"taskRef": {"name": "t"}},
            "status": {
                "completionTime": Timestamp::from_second(END).unwrap().to_string(),
                "conditions": [{"type": "Succeeded", "status": status, "reason": "x"}],
            },
        })
    }

    #[test]
    fn keys() {
        assert_eq!(settings(&[]), Ok(Settings::default()));
        assert_eq!(
            settings(&[("keep-last-runs", " ")]),
            Ok(Settings::default()),
            "empty is off"
        );
        let read = settings(&[
            ("ttl-seconds-after-success", "0"),
            ("ttl-seconds-after-failure", "86400"),
            ("keep-last-runs", "5"),
        ]);
        let expected = Settings {
            after_success: Some(Duration::ZERO),
            after_failure: Some(Duration::from_hours(24)),
            keep_last: NonZeroUsize::new(5),
        };
        assert_eq!(read, Ok(expected));
        for (key, value, allowed) in [
            (AFTER_SUCCESS, "1h", "write whole seconds, 0 or more"),
            (AFTER_FAILURE, "-1", "write whole seconds, 0 or more"),
            (KEEP_LAST, "0", "write a whole number, 1 or more"),
            (KEEP_LAST, "all", "write a whole number, 1 or more"),
        ] {
            let error = settings(&[(key, value)]).unwrap_err();
            let begin =
                format!("failed parsing default config \"{key}\": \"{value}\" is not allowed; {allowed}");
            assert!(error.starts_with(&begin), "{error}");
        }
    }

    #[test]
    fn fates() {
        let day = settings(&[
            ("ttl-seconds-after-success", "60"),
            ("ttl-seconds-after-failure", "600"),
        ])
        .unwrap();
        let off = Settings::default();
        let goes = |after: i64| Fate::GoesAt(Timestamp::from_second(END + after).unwrap());
        let counts = Some("t");
        for (settings, status, annotations, fate, counts_for) in [
            (&off, "True", json!({}), Fate::Stays, counts),
            (&day, "True", json!({}), goes(60), counts),
            (&day, "False", json!({}), goes(600), counts),
            (
                &off,
                "True",
                json!({"tektite.dev/ttl-seconds-after-finished": "5"}),
                goes(5),
                None,
            ),
            (
                &day,
                "True",
                json!({"tektite.dev/ttl-seconds-after-finished": "never"}),
                Fate::Stays,
                None,
            ),
            (
                &day,
                "False",
                json!({"tektite.dev/ttl-seconds-after-finished": "never", "tektite.dev/ttl-seconds-after-failure": "0"}),
                goes(0),
                None,
            ),
            (
                &day,
                "True",
                json!({"tektite.dev/ttl-seconds-after-failure": "0"}),
                goes(60),
                counts,
            ),
            (
                &day,
                "True",
                json!({"tektite.dev/keep-last-runs": "2"}),
                goes(60),
                counts,
            ),
        ] {
            let run = serde_json::from_value(run(status, annotations.clone())).unwrap();
            let finished = Finished::read(&run).unwrap().unwrap();
            assert_eq!(finished.fate(settings), fate, "{status} {annotations}");
            assert_eq!(finished.counts_for(), counts_for, "{status} {annotations}");
        }
    }

    #[test]
    fn whose_runs_are_left_alone() {
        let read = |path: &str, value: Value| {
            let mut run = run("True", json!({}));
            *run.pointer_mut(path).unwrap() = value;
            Finished::read(&serde_json::from_value(run).unwrap())
        };
        let metadata = |more: Value| {
            let mut metadata = json!({"name": "r", "namespace": "n"});
            metadata
                .as_object_mut()
                .unwrap()
                .extend(more.as_object().unwrap().clone());
            metadata
        };
        let owner = json!({"ownerReferences": [{"apiVersion": "v1", "kind": "PipelineRun", "name": "p", "uid": "u"}]});
        assert_eq!(read("/metadata", metadata(owner)), Ok(None), "somebody else's");
        let going = json!({"deletionTimestamp": "2026-01-02T03:04:05Z"});
        assert_eq!(read("/metadata", metadata(going)), Ok(None), "going already");
        assert_eq!(
            read("/status/conditions/0/status", json!("Unknown")),
            Ok(None),
            "not over"
        );
        let inline = read("/spec", json!({"taskSpec": {"steps": []}}))
            .unwrap()
            .unwrap();
        assert_eq!(inline.counts_for(), None, "its Task is its own");
    }

    #[test]
    fn annotations_that_say_nothing() {
        for (key, value, allowed) in [
            (
                "tektite.dev/ttl-seconds-after-success",
                "1d",
                "write whole seconds, or never",
            ),
            (
                "tektite.dev/ttl-seconds-after-finished",
                "",
                "write whole seconds, or never",
            ),
            (
                "tektite.dev/keep-last-runs",
                "0",
                "write a whole number, 1 or more, or all",
            ),
            (
                "tektite.dev/keep-last-runs",
                "never",
                "write a whole number, 1 or more, or all",
            ),
        ] {
            let run = serde_json::from_value(run("True", json!({key: value}))).unwrap();
            assert_eq!(
                Finished::read(&run).unwrap_err().to_string(),
                format!("annotation \"{key}\": \"{value}\" is not allowed; {allowed}. The run stays.")
            );
            assert_eq!(misread(key, value), Some(allowed));
        }
        for (key, value) in [
            ("tektite.dev/ttl-seconds-after-failure", "never"),
            ("tektite.dev/keep-last-runs", "all"),
            ("tektite.dev/keep-last-runs", "3"),
            ("example.com/keep-last-runs", "0"),
        ] {
            let run = serde_json::from_value(run("True", json!({key: value}))).unwrap();
            assert!(Finished::read(&run).is_ok(), "{key} {value}");
            assert_eq!(misread(key, value), None);
        }
    }
}
