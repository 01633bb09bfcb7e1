//! Removes finished runs whose time has come (docs/finished-runs.md); [`tektite_core::retention`] says
//! which. Each finished run is looked at by itself, so nothing is swept and nothing is listed.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
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
    known::{KnownRun, Over},
    queue::{Queue, Urgency},
};

/// The finished runs of each Task, for as long as the operator or one of them has them counted.
pub struct Retention {
    counted: Mutex<Counted>,
    queue: Arc<Queue>,
}

#[derive(Debug, Default)]
struct Counted {
    runs: History<Key, Key>,
    /// Whether all that have ended are among them.
    are_all: bool,
}

impl Counted {
    fn note(&mut self, key: &Key, run: &Finished, settings: &Settings) -> Noted<Key> {
        let Some(task) = run.counts_for() else {
            self.runs.forget(key);
            return Noted::Stays;
        };
        let task = Key::new(key.namespace.as_str(), task);
        self.runs
            .note(key, &task, run.at, run.keep_last, settings.keep_last)
    }
}

impl Retention {
    /// Nothing is counted yet. What has to be looked at anew goes to `queue`.
    pub fn new(queue: Arc<Queue>) -> Self {
        Self {
            counted: Mutex::default(),
            queue,
        }
    }

    /// The run called `key` is gone, or does not count.
    pub fn forget(&self, key: &Key) {
        let other = self.lock().runs.forget(key);
        if let Some(other) = other {
            self.queue.add_with(other, Urgency::Later);
        }
    }

    fn note(&self, context: &Context, key: &Key, run: &Finished, settings: &Settings) -> Noted<Key> {
        if run.counts_for().is_none() {
            self.forget(key);
            return Noted::Stays;
        }
        let mut counted = self.lock();
        let is_wanted = settings.keep_last.is_some() || run.keep_last.is_some();
        if !is_wanted && !counted.runs.has_deciders() {
            *counted = Counted::default();
            return Noted::Stays;
        }
        if !counted.are_all {
            counted.are_all = true;
            context.runs.for_each(|known| {
                if let KnownRun::Over(over) = known
                    && let Ok(Some(finished)) = &over.finished
                {
                    counted.note(&over.key, finished, settings);
                    self.queue.add_with(over.key.clone(), Urgency::Later);
                }
            });
        }
        counted.note(key, run, settings)
    }

    fn lock(&self) -> MutexGuard<'_, Counted> {
        self.counted.lock().unwrap_or_else(PoisonError::into_inner)
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
    let (why, others) = match context.retention.note(context, key, finished, settings) {
        Noted::TooMany(others) => (Some(Why::Number), others),
        Noted::PushesOut(others) => (None, others),
        Noted::Stays => (None, Vec::new()),
    };
    for other in others {
        context.queue.add(other);
    }
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
