//! The finished runs of each Task, oldest first. No I/O.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    hash::Hash,
    num::NonZeroUsize,
};

use jiff::Timestamp;

use super::KeepLast;

/// The finished runs of each Task; `T` says which Task, `R` which run.
///
/// All that have ended have to be noted before anything is done about one: the last of them may have all of
/// them stay.
#[derive(Debug)]
pub struct History<T, R> {
    by_task: HashMap<T, Group<R>>,
    places: HashMap<R, (T, Timestamp)>,
    /// How many runs say how many stay.
    deciders: usize,
}

/// Those of one Task.
#[derive(Debug)]
struct Group<R> {
    runs: BTreeSet<(Timestamp, R)>,
    /// Those of them that say how many stay: the last decides for all.
    deciders: BTreeMap<(Timestamp, R), KeepLast>,
    /// How many stayed when one was noted last; nothing for all.
    stay: Option<NonZeroUsize>,
}

/// What a run means for the others of its Task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Noted<R> {
    /// There is room for it.
    Stays,
    /// There is, if these go: the newest of those that are too many, and where fewer may stay than before, all.
    PushesOut(Vec<R>),
    /// It is one of those that are too many itself; where fewer may stay than before, so are these.
    TooMany(Vec<R>),
}

impl<T, R> Default for History<T, R> {
    fn default() -> Self {
        Self {
            by_task: HashMap::new(),
            places: HashMap::new(),
            deciders: 0,
        }
    }
}

impl<R> Default for Group<R> {
    fn default() -> Self {
        Self {
            runs: BTreeSet::new(),
            deciders: BTreeMap::new(),
            stay: None,
        }
    }
}

impl<T: Clone + Eq + Hash, R: Clone + Eq + Hash + Ord> History<T, R> {
    /// `run` of `task` ended at this moment and has `decides` to say; where no run of that Task has anything to
    /// say, `keep` of them stay.
    pub fn note(
        &mut self,
        run: &R,
        task: &T,
        at: Timestamp,
        decides: Option<KeepLast>,
        keep: Option<NonZeroUsize>,
    ) -> Noted<R> {
        let is_known = self
            .places
            .get(run)
            .is_some_and(|(known, when)| known == task && *when == at);
        if !is_known {
            self.forget(run);
            self.places.insert(run.clone(), (task.clone(), at));
        }
        let group = self.by_task.entry(task.clone()).or_default();
        let place = (at, run.clone());
        let before = match decides {
            Some(decides) => group.deciders.insert(place.clone(), decides),
            None => group.deciders.remove(&place),
        };
        self.deciders += usize::from(decides.is_some());
        self.deciders -= usize::from(before.is_some());
        group.runs.insert(place.clone());
        group.noted(&place, keep)
    }

    /// `run` is gone, or does not count. Where it had something to say, another one of its Task wants to be noted
    /// anew: this.
    pub fn forget(&mut self, run: &R) -> Option<R> {
        let (task, at) = self.places.remove(run)?;
        let group = self.by_task.get_mut(&task)?;
        let place = (at, run.clone());
        group.runs.remove(&place);
        let decided = group.deciders.remove(&place);
        self.deciders -= usize::from(decided.is_some());
        let newest = group.runs.last().map(|(_, run)| run.clone());
        if newest.is_none() {
            self.by_task.remove(&task);
        }
        newest.filter(|_| decided.is_some())
    }

    /// Whether any run has something to say of how many stay.
    pub const fn has_deciders(&self) -> bool {
        self.deciders > 0
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

impl<R: Clone + Ord> Group<R> {
    fn noted(&mut self, place: &(Timestamp, R), keep: Option<NonZeroUsize>) -> Noted<R> {
        let decides = self.deciders.last_key_value();
        let stay = decides.map_or(keep, |(_, decides)| decides.limit());
        let before = std::mem::replace(&mut self.stay, stay);
        let Some(stay) = stay else {
            return Noted::Stays;
        };
        let are_fewer = before.is_none_or(|before| stay < before);
        let mut too_many = self.runs.iter().rev().skip(stay.get()).peekable();
        match too_many.peek() {
            None => Noted::Stays,
            Some(newest) if *newest >= place => {
                let others = too_many.filter(|other| are_fewer && *other != place);
                Noted::TooMany(others.map(|(_, other)| other.clone()).collect())
            }
            // Each of the others was told of when it was pushed out itself.
            Some((_, other)) if !are_fewer => Noted::PushesOut(vec![other.clone()]),
            Some(_) => Noted::PushesOut(too_many.map(|(_, other)| other.clone()).collect()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Runs = History<&'static str, &'static str>;

    fn number(number: usize) -> Option<NonZeroUsize> {
        NonZeroUsize::new(number)
    }

    fn note(
        history: &mut Runs,
        run: &'static str,
        second: i64,
        says: &str,
        keep: usize,
    ) -> Noted<&'static str> {
        let at = Timestamp::from_second(second).unwrap();
        let task = if run.starts_with('x') { "other" } else { "t" };
        history.note(&run, &task, at, KeepLast::parse(says), number(keep))
    }

    fn pushes_out(runs: &[&'static str]) -> Noted<&'static str> {
        Noted::PushesOut(runs.to_vec())
    }

    #[test]
    fn the_oldest_are_too_many() {
        let mut history = Runs::default();
        // As they come, not as they ended.
        for (run, second, expected) in [
            ("c", 3, Noted::Stays),
            ("a", 1, Noted::Stays),
            ("x", 0, Noted::Stays),
            ("b", 2, pushes_out(&["a"])),
            ("b", 2, pushes_out(&["a"])),
            ("a", 1, Noted::TooMany(vec![])),
            ("older", 0, Noted::TooMany(vec![])),
        ] {
            assert_eq!(note(&mut history, run, second, "", 2), expected, "{run}");
        }
        history.forget(&"a");
        history.forget(&"older");
        assert_eq!(note(&mut history, "b", 2, "", 2), Noted::Stays);
        assert_eq!(
            note(&mut history, "d", 3, "", 2),
            pushes_out(&["b"]),
            "of the same second, by name"
        );
        assert_eq!(
            note(&mut history, "d", 3, "", 1),
            pushes_out(&["c", "b"]),
            "fewer than before"
        );
        for run in ["b", "c", "d", "x", "never seen"] {
            assert_eq!(history.forget(&run), None);
        }
        assert!(
            history.is_empty() && history.by_task.is_empty(),
            "nothing is kept"
        );
    }

    #[test]
    fn the_last_that_has_something_to_say_decides() {
        let mut history = Runs::default();
        for (run, second, says, keep, expected) in [
            ("a", 1, "", 0, Noted::Stays),
            ("b", 2, "", 0, Noted::Stays),
            ("c", 3, "2", 0, pushes_out(&["a"])),
            ("x", 0, "", 1, Noted::Stays),
            ("d", 4, "", 9, pushes_out(&["b"])),
            ("e", 5, "all", 1, Noted::Stays),
            ("a", 1, "", 1, Noted::Stays),
            // An earlier one is not asked.
            ("c", 3, "1", 1, Noted::Stays),
            ("f", 6, "", 1, Noted::Stays),
            // It was changed, and then has nothing to say any more.
            ("e", 5, "3", 1, pushes_out(&["c", "b", "a"])),
            ("e", 5, "", 9, Noted::TooMany(vec!["d", "c", "b", "a"])),
        ] {
            assert_eq!(
                note(&mut history, run, second, says, keep),
                expected,
                "{run} {says}"
            );
        }
        assert!(history.has_deciders());
        assert_eq!(history.forget(&"e"), None, "nothing changes for the others");
        assert_eq!(history.forget(&"c"), Some("f"), "who says now how many stay");
        assert!(!history.has_deciders());
        assert_eq!(note(&mut history, "f", 6, "", 0), Noted::Stays);
    }
}
