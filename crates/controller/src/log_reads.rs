//! Since when the logs with results are being read. No I/O.
//!
//! It is not the steps' end that counts: a controller that was away, or an API server, must not cost a run
//! its results. A controller that takes over begins anew.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use jiff::Timestamp;

use crate::cache::Key;

/// Runs whose log is being read, with the moment of the first try.
#[derive(Debug, Default)]
pub struct LogReads(Mutex<HashMap<Key, Timestamp>>);

impl LogReads {
    /// The log of `key` is being read: since when.
    pub fn since(&self, key: &Key, now: Timestamp) -> Timestamp {
        *self.lock().entry(key.clone()).or_insert(now)
    }

    /// The log of `key` is not, or not any more.
    pub fn forget(&self, key: &Key) {
        self.lock().remove(key);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Key, Timestamp>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_try_counts_until_it_is_over() {
        let at = |second| Timestamp::from_second(second).unwrap();
        let (reads, key) = (LogReads::default(), Key::new("n", "r"));
        assert_eq!(reads.since(&key, at(1)), at(1));
        assert_eq!(reads.since(&key, at(9)), at(1));
        assert_eq!(reads.since(&Key::new("n", "other"), at(9)), at(9));
        reads.forget(&key);
        assert_eq!(reads.since(&key, at(20)), at(20));
    }
}
