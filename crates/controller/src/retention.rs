//! Removes finished runs whose time has come (docs/finished-runs.md); [`tektite_core::retention`] says
//! which. Each finished run is looked at by itself, so nothing is swept and nothing is listed.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use jiff::Timestamp;
use tektite_api::TaskRun;
use tektite_core::{
    lifecycle::Severity,
    retention::{Fate, Finished, History, Noted, Settings},
};

use crate::{
    cache::Key,
    context::Context,
    error::Error,
    events::{self, Note},
    known::Over,
};

/// The finished runs of each Task, for as long as the operator has them counted.
#[derive(Debug, Default)]
pub struct Retention(Mutex<History<Key, Key>>);

impl Retention {
    /// The run called `key` is gone.
    pub fn forget(&self, key: &Key) {
        self.lock().forget(key);
    }

    fn note(&self, key: &Key, run: &Finished, settings: &Settings) -> Noted<Key> {
        let mut history = self.lock();
        let Some(keep) = settings.keep_last else {
            history.clear();
            return Noted::Stays;
        };
        let Some(task) = run.counts_for() else {
            history.forget(key);
            return Noted::Stays;
        };
        history.note(key, &Key::new(key.namespace.as_str(), task), run.at, keep)
    }

    fn lock(&self) -> MutexGuard<'_, History<Key, Key>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Why a finished run goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Why {
    Age,
    Number,
}

impl Why {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Age => "age",
            Self::Number => "number",
        }
    }
}

/// Removes the finished run `over` if its time has come. Else says when that will be, where it will.
///
/// # Errors
/// It should go, and the API server did not do it.
pub async fn look(context: &Context, over: &Over) -> Result<Option<Duration>, Error> {
    let key = &over.key;
    let finished = match &over.finished {
        Ok(Some(finished)) => finished,
        Ok(None) => {
            context.retention.forget(key);
            return Ok(None);
        }
        Err(unreadable) => {
            context.retention.forget(key);
            context.events.emit(Note {
                about: events::reference::<TaskRun>(&over.metadata()),
                severity: Severity::Warning,
                reason: "InvalidAnnotation",
                message: unreadable.to_string(),
            });
            return Ok(None);
        }
    };
    let config = context.config.load_full();
    let settings = &config.defaults.retention;
    let why = match context.retention.note(key, finished, settings) {
        Noted::TooMany => Some(Why::Number),
        Noted::PushesOut(other) => {
            context.queue.add(other);
            None
        }
        Noted::Stays => None,
    };
    let why = match (why, finished.fate(settings)) {
        (Some(why), _) => why,
        (None, Fate::Stays) => return Ok(None),
        (None, Fate::GoesAt(moment)) => {
            let left = Duration::try_from(moment.duration_since(Timestamp::now())).unwrap_or_default();
            if !left.is_zero() {
                return Ok(Some(left));
            }
            Why::Age
        }
    };
    match context.cluster.delete_run(&over.metadata()).await {
        Ok(()) => {
            tracing::info!(why = why.as_str(), "finished TaskRun removed");
            context.metrics.removed(why.as_str());
        }
        Err(error) if error.is_not_found() => {}
        Err(error) => return Err(error),
    }
    Ok(None)
}
