//! Which runs wait for room in a quota of their namespace, and whose turn it is when there is some. No I/O.

use std::{
    collections::{BTreeSet, HashMap},
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use jiff::Timestamp;
use tektite_api::{TaskRun, TaskRunStatus};
use tektite_core::lifecycle;
use tokio::time::Instant;

use crate::cache::Key;

/// How many try at once where there is room again; each that gets its Pod lets the next one try.
const TURNS: usize = 16;
/// For how long the API server may still count by the numbers from before.
const STALE: Duration = Duration::from_secs(3);
/// How soon one tries again that may have been refused by such numbers.
const SOON: Duration = Duration::from_secs(1);

/// Who waits, by namespace.
#[derive(Debug, Default)]
pub struct Room(Mutex<HashMap<String, Namespace>>);

#[derive(Debug, Default)]
struct Namespace {
    /// Oldest first.
    waiting: BTreeSet<(Option<Timestamp>, String)>,
    /// When there last was more room.
    grew: Option<Instant>,
}

/// What is to be done after a look at a run.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Turn {
    /// How soon this run should try again, if sooner than planned.
    pub again_in: Option<Duration>,
    /// Who may try now.
    pub next: Vec<Key>,
}

impl Room {
    /// Takes down whether `run` waits, now that its status is `status`.
    pub fn looked(&self, run: &TaskRun, status: &TaskRunStatus) -> Turn {
        let mut namespaces = self.lock();
        if !status.is_done() && lifecycle::awaits_quota(status) {
            let namespace = namespaces.entry(run.namespace().to_owned()).or_default();
            let created = run.metadata.creation_timestamp.as_ref().map(|time| time.0);
            let place = (created, run.name().to_owned());
            namespace.waiting.insert(place.clone());
            let has_turn = namespace.waiting.iter().take(TURNS).any(|one| *one == place);
            let is_stale = has_turn && namespace.grew.is_some_and(|grew| grew.elapsed() < STALE);
            return Turn {
                again_in: is_stale.then_some(SOON),
                next: Vec::new(),
            };
        }
        let next = if leave(&mut namespaces, run.namespace(), run.name()) {
            turns(&namespaces, run.namespace(), 1)
        } else {
            Vec::new()
        };
        Turn { again_in: None, next }
    }

    /// There is more room in `namespace`: who may try.
    pub fn grew(&self, namespace: &str) -> Vec<Key> {
        let mut namespaces = self.lock();
        if let Some(known) = namespaces.get_mut(namespace) {
            known.grew = Some(Instant::now());
        }
        turns(&namespaces, namespace, TURNS)
    }

    /// The run called `key` is no more.
    pub fn forget(&self, key: &Key) {
        leave(&mut self.lock(), &key.namespace, &key.name);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Namespace>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether it did wait.
fn leave(namespaces: &mut HashMap<String, Namespace>, namespace: &str, name: &str) -> bool {
    let Some(known) = namespaces.get_mut(namespace) else {
        return false;
    };
    let before = known.waiting.len();
    known.waiting.retain(|(_, waiting)| waiting != name);
    let did_wait = known.waiting.len() < before;
    if known.waiting.is_empty() {
        namespaces.remove(namespace);
    }
    did_wait
}

fn turns(namespaces: &HashMap<String, Namespace>, namespace: &str, number: usize) -> Vec<Key> {
    let waiting = namespaces.get(namespace).map(|known| known.waiting.iter());
    let names = waiting.into_iter().flatten().take(number);
    names
        .map(|(_, name)| Key::new(namespace, name.as_str()))
        .collect()
}

#[cfg(test)]
mod tests {
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
    use serde_json::json;

    use super::*;
    use crate::testing::{going_on, over, run};

    fn waiting() -> TaskRunStatus {
        serde_json::from_value(json!({"conditions": [
            {"type": "Succeeded", "status": "Unknown", "reason": "ExceededResourceQuota"}]}))
        .unwrap()
    }

    fn created(name: &str, second: i64) -> TaskRun {
        let mut run = run(name);
        run.metadata.creation_timestamp = Some(Time(Timestamp::from_second(second).unwrap()));
        run
    }

    fn names(keys: &[Key]) -> Vec<&str> {
        keys.iter().map(|key| key.name.as_str()).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn the_oldest_first_and_the_next_behind_it() {
        let room = Room::default();
        let (old, young) = (created("z-old", 1), created("a-young", 2));
        for run in [&young, &old] {
            assert_eq!(room.looked(run, &waiting()), Turn::default());
        }
        assert_eq!(names(&room.grew("n")), ["z-old", "a-young"]);
        assert!(room.grew("other").is_empty());
        // Refused at once, perhaps by old numbers; later, by new ones.
        assert_eq!(room.looked(&old, &waiting()).again_in, Some(SOON));
        tokio::time::advance(STALE).await;
        assert_eq!(room.looked(&old, &waiting()).again_in, None);
        // With a Pod, it lets the next one try, once.
        assert_eq!(names(&room.looked(&old, &going_on()).next), ["a-young"]);
        assert_eq!(room.looked(&old, &going_on()), Turn::default());
        assert_eq!(room.looked(&young, &over()), Turn::default());
        assert!(room.grew("n").is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn a_bounded_number_at_once() {
        let room = Room::default();
        for second in 0..40 {
            room.looked(&created(&format!("r-{second}"), second), &waiting());
        }
        let first = room.grew("n");
        assert_eq!(first.len(), TURNS);
        assert_eq!(first[0].name, "r-0");
        // Only whose turn it is tries again soon.
        for (second, again_in) in [(0, Some(SOON)), (15, Some(SOON)), (16, None), (39, None)] {
            let run = created(&format!("r-{second}"), second);
            assert_eq!(room.looked(&run, &waiting()).again_in, again_in, "{second}");
        }
        room.forget(&first[0]);
        assert_eq!(room.grew("n")[0].name, "r-1");
    }
}
