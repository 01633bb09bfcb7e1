//! Which TaskRuns want a look, and when. No I/O; the clock is tokio's.
//!
//! First in, first out, the urgent before the others; a key waits once however often it is added, and is
//! never handed out while somebody works on it. kube's scheduler does neither the first nor count failures.

use std::{
    collections::{BTreeSet, HashMap, VecDeque},
    hash::{DefaultHasher, Hash, Hasher},
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{sync::Notify, time::Instant};

use crate::cache::Key;

/// The wait after the first failure.
const FIRST_WAIT: Duration = Duration::from_secs(1);
/// The longest wait after failures.
const LONGEST_WAIT: Duration = Duration::from_mins(5);
/// The shortest wait that a worker may ask for: nothing may spin.
const SHORTEST_WAIT: Duration = Duration::from_millis(100);

/// So many in a row are taken from the lanes before one, where they have any, until that has its turn.
const MORE_URGENT_IN_A_ROW: u32 = 16;

/// How soon a key wants its look: a lane of the queue each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Urgency {
    /// Somebody waits for what comes of it: a Pod, or an end.
    #[default]
    Now,
    /// It goes on, and its status shall say how far it has got.
    Soon,
    /// Nobody waits: the run has ended.
    Later,
}

const LANES: usize = 3;

/// What shall become of a key that was worked on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Nothing until it is added again.
    Rest,
    /// Another look after this time.
    After(Duration),
    /// Another try, the later the more tries have failed in a row.
    Retry,
}

#[derive(Default)]
struct Slot {
    /// In which lane it waits.
    waiting: Option<Urgency>,
    working: bool,
    /// Added while somebody worked on it, so urgently.
    again: Option<Urgency>,
    due: Option<Instant>,
    failures: u32,
}

impl Slot {
    const fn is_idle(&self) -> bool {
        self.waiting.is_none() && !self.working && self.due.is_none() && self.failures == 0
    }
}

/// Those that are equally urgent.
#[derive(Default)]
struct Lane {
    /// Also keys that have moved to a more urgent lane meanwhile: `moved` of them.
    keys: VecDeque<Key>,
    moved: usize,
    /// How many were taken from lanes before this one since it had its turn.
    passed_over: u32,
}

impl Lane {
    fn len(&self) -> usize {
        self.keys.len() - self.moved
    }

    fn one_moved(&mut self) {
        self.moved += 1;
        if self.len() == 0 {
            self.keys.clear();
            self.moved = 0;
        }
    }
}

#[derive(Default)]
struct State {
    /// Takes nothing in.
    closed: bool,
    lanes: [Lane; LANES],
    timers: BTreeSet<(Instant, Key)>,
    slots: HashMap<Key, Slot>,
}

/// Which TaskRuns want a look, and when.
#[derive(Default)]
pub struct Queue {
    state: Mutex<State>,
    wake: Notify,
}

impl Queue {
    /// A queue that takes nothing in until it is opened: what nobody takes out would grow for ever.
    pub fn closed() -> Self {
        let queue = Self::default();
        queue.lock().closed = true;
        queue
    }

    /// Takes in what is added from now on.
    pub fn open(&self) {
        self.lock().closed = false;
    }

    /// Whether it takes anything in.
    pub fn is_open(&self) -> bool {
        !self.lock().closed
    }

    /// `key` wants a look as soon as possible.
    pub fn add(&self, key: Key) {
        self.add_with(key, Urgency::Now);
    }

    /// `key` wants a look.
    pub fn add_with(&self, key: Key, urgency: Urgency) {
        self.lock().add(key, urgency);
        self.wake.notify_one();
    }

    /// Waits for the key whose turn it is. Everybody who takes one has to [`Self::finish`] it.
    /// There must be one caller only.
    pub async fn next(&self) -> Key {
        loop {
            let due = {
                let mut state = self.lock();
                state.promote(Instant::now());
                if let Some(key) = state.take() {
                    return key;
                }
                state.timers.first().map(|(due, _)| *due)
            };
            match due {
                Some(due) => tokio::select! {
                    () = self.wake.notified() => {}
                    () = tokio::time::sleep_until(due) => {}
                },
                None => self.wake.notified().await,
            }
        }
    }

    /// The work on `key` is over. Says after how many failures in a row, and how long it waits.
    pub fn finish(&self, key: &Key, next: Next) -> (u32, Option<Duration>) {
        let answer = self.lock().finish(key, next, Instant::now());
        self.wake.notify_one();
        answer
    }

    /// `key` is gone: what was planned for it is void.
    pub fn forget(&self, key: &Key) {
        self.lock().forget(key);
    }

    /// How many keys could be worked on now.
    pub fn depth(&self) -> usize {
        self.lock().lanes.iter().map(Lane::len).sum()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn add(&mut self, key: Key, urgency: Urgency) {
        if self.closed {
            return;
        }
        let slot = self.slots.entry(key.clone()).or_default();
        if slot.working {
            slot.again = Some(slot.again.map_or(urgency, |before| before.min(urgency)));
            return;
        }
        if let Some(before) = slot.waiting {
            if before <= urgency {
                return;
            }
            self.lanes[before as usize].one_moved();
        }
        slot.waiting = Some(urgency);
        self.lanes[urgency as usize].keys.push_back(key);
    }

    fn promote(&mut self, now: Instant) {
        while self.timers.first().is_some_and(|(due, _)| *due <= now) {
            if let Some((_, key)) = self.timers.pop_first() {
                if let Some(slot) = self.slots.get_mut(&key) {
                    slot.due = None;
                }
                self.add(key, Urgency::Now);
            }
        }
    }

    fn take(&mut self) -> Option<Key> {
        let lane = self.turn()?;
        for after in &mut self.lanes[lane + 1..] {
            after.passed_over += u32::from(after.len() > 0);
        }
        self.lanes[lane].passed_over = 0;
        let key = self.take_from(lane)?;
        self.clear_timer(&key);
        if let Some(slot) = self.slots.get_mut(&key) {
            slot.waiting = None;
            slot.working = true;
        }
        Some(key)
    }

    /// The lane whose turn it is: the last that was passed over too often, or the most urgent.
    fn turn(&self) -> Option<usize> {
        let waits = |lane: &usize| self.lanes[*lane].len() > 0;
        let overdue = |lane: &usize| self.lanes[*lane].passed_over >= MORE_URGENT_IN_A_ROW;
        (0..LANES)
            .rev()
            .find(|lane| waits(lane) && overdue(lane))
            .or_else(|| (0..LANES).find(waits))
    }

    fn take_from(&mut self, number: usize) -> Option<Key> {
        let lane = &mut self.lanes[number];
        while let Some(key) = lane.keys.pop_front() {
            let waits = self.slots.get(&key).and_then(|slot| slot.waiting);
            if waits.is_some_and(|urgency| urgency as usize == number) {
                return Some(key);
            }
            lane.moved -= 1;
        }
        None
    }

    fn finish(&mut self, key: &Key, next: Next, now: Instant) -> (u32, Option<Duration>) {
        let Some(slot) = self.slots.get_mut(key) else {
            return (0, None);
        };
        slot.working = false;
        slot.failures = match next {
            Next::Retry => slot.failures.saturating_add(1),
            Next::Rest | Next::After(_) => 0,
        };
        let failures = slot.failures;
        let wait = match next {
            Next::Rest => None,
            Next::After(wait) => Some(wait.max(SHORTEST_WAIT)),
            Next::Retry => Some(back_off(failures, key)),
        };
        if let Some(urgency) = slot.again.take() {
            self.add(key.clone(), urgency);
            return (failures, Some(Duration::ZERO));
        }
        // A wait past the end of the clock is no wait for anything.
        slot.due = wait.and_then(|wait| now.checked_add(wait));
        if let Some(due) = slot.due {
            self.timers.insert((due, key.clone()));
        }
        self.drop_if_idle(key);
        (failures, wait)
    }

    fn forget(&mut self, key: &Key) {
        self.clear_timer(key);
        if let Some(slot) = self.slots.get_mut(key) {
            slot.failures = 0;
        }
        self.drop_if_idle(key);
    }

    fn clear_timer(&mut self, key: &Key) {
        if let Some(due) = self.slots.get_mut(key).and_then(|slot| slot.due.take()) {
            self.timers.remove(&(due, key.clone()));
        }
    }

    fn drop_if_idle(&mut self, key: &Key) {
        if self.slots.get(key).is_some_and(Slot::is_idle) {
            self.slots.remove(key);
        }
    }
}

/// 1 s, 2 s, 4 s and so on to 5 min, up to a fifth less, so that what failed together does not come
/// back together.
fn back_off(failures: u32, key: &Key) -> Duration {
    let doublings = failures.saturating_sub(1).min(16);
    let whole = FIRST_WAIT
        .saturating_mul(1_u32.checked_shl(doublings).unwrap_or(u32::MAX))
        .min(LONGEST_WAIT);
    let mut hasher = DefaultHasher::new();
    (key, failures).hash(&mut hasher);
    let permille = u32::try_from(hasher.finish() % 200).unwrap_or_default();
    whole * (1000 - permille) / 1000
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    fn key(name: &str) -> Key {
        Key::new("n", name)
    }

    async fn next(queue: &Queue) -> String {
        queue.next().await.name
    }

    async fn is_empty(queue: &Queue) -> bool {
        tokio::time::timeout(Duration::from_millis(1), queue.next())
            .await
            .is_err()
    }

    #[test]
    fn back_off_grows_to_its_limit() {
        for (failures, at_most) in [(1, 1), (2, 2), (3, 4), (9, 256), (10, 300), (40, 300)] {
            let wait = back_off(failures, &key("a"));
            let at_most = Duration::from_secs(at_most);
            assert!(
                wait <= at_most && wait > at_most * 79 / 100,
                "{failures}: {wait:?}"
            );
        }
        assert_ne!(back_off(5, &key("a")), back_off(5, &key("b")));
    }

    #[tokio::test(start_paused = true)]
    async fn in_order_and_once() {
        let queue = Queue::default();
        for name in ["a", "b", "a", "c"] {
            queue.add(key(name));
        }
        assert_eq!(queue.depth(), 3);
        assert_eq!(
            [next(&queue).await, next(&queue).await, next(&queue).await],
            ["a", "b", "c"]
        );
        assert!(is_empty(&queue).await);
    }

    #[tokio::test(start_paused = true)]
    async fn who_goes_on_comes_before_who_has_ended() {
        let queue = Queue::default();
        for name in ["old", "moved", "older"] {
            queue.add_with(key(name), Urgency::Later);
        }
        queue.add(key("new"));
        queue.add(key("moved"));
        queue.add_with(key("new"), Urgency::Later);
        assert_eq!(queue.depth(), 4);
        for expected in ["new", "moved", "old", "older"] {
            assert_eq!(next(&queue).await, expected);
            queue.finish(&key(expected), Next::Rest);
        }
        assert!(is_empty(&queue).await);
        assert_eq!((queue.depth(), queue.lock().slots.len()), (0, 0));
        // Nor do they wait for ever.
        queue.add_with(key("old"), Urgency::Later);
        for number in 0..100 {
            queue.add(key(&number.to_string()));
        }
        let mut place = 0;
        while next(&queue).await != "old" {
            place += 1;
        }
        assert!(place <= MORE_URGENT_IN_A_ROW, "{place}");
    }

    #[tokio::test(start_paused = true)]
    async fn each_lane_has_its_turn_and_a_key_moves_up() {
        let queue = Queue::default();
        for number in 0..400 {
            queue.add(key(&format!("now-{number}")));
            queue.add_with(key(&format!("soon-{number}")), Urgency::Soon);
            queue.add_with(key(&format!("later-{number}")), Urgency::Later);
        }
        let mut taken = HashMap::<String, u32>::new();
        for _ in 0..170 {
            let name = next(&queue).await;
            let lane = name.split('-').next().unwrap_or_default().to_owned();
            *taken.entry(lane).or_default() += 1;
        }
        assert!(
            taken["now"] > 140 && taken["soon"] >= 9 && taken["later"] >= 9,
            "{taken:?}"
        );
        // Up, once each, and nothing stays behind.
        let queue = Queue::default();
        for urgency in [Urgency::Later, Urgency::Soon, Urgency::Now, Urgency::Later] {
            queue.add_with(key("a"), urgency);
        }
        assert_eq!(queue.depth(), 1);
        assert!(
            queue.lock().lanes[1..].iter().all(|lane| lane.keys.is_empty()),
            "the lanes that it left are empty"
        );
        let a = queue.next().await;
        queue.add_with(a.clone(), Urgency::Later);
        queue.add_with(a.clone(), Urgency::Soon);
        queue.add(key("b"));
        queue.finish(&a, Next::Rest);
        assert_eq!([next(&queue).await, next(&queue).await], ["b", "a"]);
    }

    #[tokio::test(start_paused = true)]
    async fn nothing_is_kept_before_it_opens() {
        let queue = Queue::closed();
        queue.add(key("a"));
        assert_eq!((queue.depth(), queue.lock().slots.len()), (0, 0));
        queue.open();
        queue.add(key("b"));
        assert_eq!(next(&queue).await, "b");
    }

    #[tokio::test(start_paused = true)]
    async fn never_twice_at_the_same_time() {
        let queue = Queue::default();
        queue.add(key("a"));
        let taken = queue.next().await;
        queue.add(key("a"));
        assert!(is_empty(&queue).await);
        queue.finish(&taken, Next::Rest);
        assert_eq!(next(&queue).await, "a");
        queue.finish(&taken, Next::Rest);
        assert!(is_empty(&queue).await);
        assert!(queue.lock().slots.is_empty(), "nothing is kept");
    }

    #[tokio::test(start_paused = true)]
    async fn timers_and_what_overrides_them() {
        let queue = Arc::new(Queue::default());
        queue.add(key("a"));
        let a = queue.next().await;
        queue.finish(&a, Next::After(Duration::from_secs(30)));
        let start = Instant::now();
        assert_eq!(next(&queue).await, "a");
        assert_eq!(start.elapsed().as_secs(), 30);
        queue.finish(&a, Next::After(Duration::from_secs(30)));
        queue.add(key("a"));
        assert_eq!(next(&queue).await, "a", "news comes before the time");
        queue.finish(&a, Next::Rest);
        assert!(
            tokio::time::timeout(Duration::from_mins(1), queue.next())
                .await
                .is_err(),
            "and the last word about the next look counts"
        );
        queue.add(key("a"));
        assert_eq!(next(&queue).await, "a");
        queue.finish(&a, Next::After(Duration::from_secs(30)));
        queue.forget(&a);
        assert!(queue.lock().slots.is_empty() && queue.lock().timers.is_empty());
        queue.add(key("a"));
        assert_eq!(next(&queue).await, "a");
        queue.finish(&a, Next::After(Duration::MAX));
        assert!(is_empty(&queue).await);
    }

    #[tokio::test(start_paused = true)]
    async fn failures_are_counted_until_a_success() {
        let queue = Queue::default();
        queue.add(key("a"));
        for expected in 1..=3 {
            let taken = queue.next().await;
            let (failures, wait) = queue.finish(&taken, Next::Retry);
            assert_eq!(failures, expected);
            assert!(wait.unwrap() >= Duration::from_millis(800));
        }
        let taken = queue.next().await;
        assert_eq!(queue.finish(&taken, Next::Rest), (0, None));
        queue.add(key("a"));
        let taken = queue.next().await;
        assert_eq!(queue.finish(&taken, Next::Retry).0, 1);
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_fails_holds_nobody_up() {
        let queue = Queue::default();
        queue.add(key("bad"));
        queue.add(key("good"));
        let bad = queue.next().await;
        queue.finish(&bad, Next::Retry);
        assert_eq!(next(&queue).await, "good");
    }
}
