//! The finished runs of each Task, oldest first. No I/O.

use std::{
    collections::{BTreeSet, HashMap},
    hash::Hash,
    num::NonZeroUsize,
};

use jiff::Timestamp;

/// The finished runs of each Task; `T` says which Task, `R` which run.
///
/// What is not known yet can only make more of them too many: whatever is told is right also before
/// all runs have been noted.
#[derive(Debug)]
pub struct History<T, R> {
    by_task: HashMap<T, BTreeSet<(Timestamp, R)>>,
    places: HashMap<R, (T, Timestamp)>,
}

/// What a run means for the others of its Task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Noted<R> {
    /// There is room for it.
    Stays,
    /// There is, if this one goes: the newest of those that are too many.
    PushesOut(R),
    /// It is one of those that are too many itself.
    TooMany,
}

impl<T, R> Default for History<T, R> {
    fn default() -> Self {
        Self {
            by_task: HashMap::new(),
            places: HashMap::new(),
        }
    }
}

impl<T: Clone + Eq + Hash, R: Clone + Eq + Hash + Ord> History<T, R> {
    /// `run` of `task` ended at this moment, and of that Task's runs `keep` stay.
    pub fn note(&mut self, run: &R, task: &T, at: Timestamp, keep: NonZeroUsize) -> Noted<R> {
        let is_known = self
            .places
            .get(run)
            .is_some_and(|(known, when)| known == task && *when == at);
        if !is_known {
            self.forget(run);
            self.places.insert(run.clone(), (task.clone(), at));
            let runs = self.by_task.entry(task.clone()).or_default();
            runs.insert((at, run.clone()));
        }
        let mut newest_first = self.by_task.get(task).into_iter().flatten().rev();
        match newest_first.nth(keep.get()) {
            None => Noted::Stays,
            Some((when, other)) if (at, run) > (*when, other) => Noted::PushesOut(other.clone()),
            Some(_) => Noted::TooMany,
        }
    }

    /// `run` is gone, or does not count.
    pub fn forget(&mut self, run: &R) {
        let Some((task, at)) = self.places.remove(run) else {
            return;
        };
        if let Some(runs) = self.by_task.get_mut(&task) {
            runs.remove(&(at, run.clone()));
            if runs.is_empty() {
                self.by_task.remove(&task);
            }
        }
    }

    /// Whether nothing is known.
    pub fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    /// Nothing counts any more.
    pub fn clear(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_are_too_many() {
        let at = |second| Timestamp::from_second(second).unwrap();
        let keep = NonZeroUsize::new(2).unwrap();
        let mut history = History::default();
        let note =
            |history: &mut History<_, _>, run, task, second| history.note(&run, &task, at(second), keep);
        // As they come, not as they ended.
        for (run, task, second, expected) in [
            ("c", "t", 3, Noted::Stays),
            ("a", "t", 1, Noted::Stays),
            ("x", "other", 0, Noted::Stays),
            ("b", "t", 2, Noted::PushesOut("a")),
            ("b", "t", 2, Noted::PushesOut("a")),
            ("a", "t", 1, Noted::TooMany),
            ("older", "t", 0, Noted::TooMany),
        ] {
            assert_eq!(note(&mut history, run, task, second), expected, "{run}");
        }
        history.forget(&"a");
        history.forget(&"older");
        assert_eq!(note(&mut history, "b", "t", 2), Noted::Stays);
        assert_eq!(
            note(&mut history, "d", "t", 3),
            Noted::PushesOut("b"),
            "of the same second, by name"
        );
        for run in ["b", "c", "d", "x", "never seen"] {
            history.forget(&run);
        }
        assert!(
            history.is_empty() && history.by_task.is_empty(),
            "nothing is kept"
        );
    }
}
