//! What is known of images, what is being asked, and when to ask again. No I/O; the clock is tokio's.
//!
//! Rules, in their order:
//!
//! - A question that is under way is not asked twice; everybody who asks is told when it is answered.
//! - A digest means the same for ever; what a tag means is believed for a while ([`HOLD`] at least, so that
//!   those who waited for an answer get it).
//! - After a failure that passes, nothing is asked for a time that doubles each time, or that the registry
//!   wants; meanwhile what was known before is good enough. A registry that is asked too often is left alone
//!   for everybody.
//! - After one that lasts, the answer is the failure for [`HOLD`]; then it is asked again. What was known
//!   before is good enough here, too, unless it is what the failure is about: an image that is gone, closed,
//!   or another one now.
//!
//! Answers belong to the credentials that they were given to: nobody sees what only another may see.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
    time::Duration,
};

use tektite_core::image::{Answer, Image, Reference, Version, keyring::Fingerprint};
use tokio::time::Instant;

use super::failure::Failure;
use crate::cache::Key;

/// How long any answer is held.
pub(super) const HOLD: Duration = Duration::from_secs(5);
/// How long what is known is better than nothing.
const MOST_STALE: Duration = Duration::from_hours(24);
/// The most images to know.
const MOST_KNOWN: usize = 1024;
/// The most questions under way.
const MOST_FLIGHTS: usize = 256;
/// The most registries to leave alone.
const MOST_SHUT: usize = 1024;
/// The wait after the first failure, and the longest one.
const WAITS: (Duration, Duration) = (Duration::from_secs(1), Duration::from_mins(1));

/// Whose question about what.
pub(super) type Id = (Reference, Fingerprint);

/// What to do about a question.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// This is the answer.
    Known(Answer, Source),
    /// It is being asked, since then.
    UnderWay(Instant),
    /// It has to be asked; what was known before may save a part of it.
    Ask(Option<Arc<Image>>),
}

/// Where an answer comes from, for metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Source {
    /// It was known.
    Hit,
    /// It was known before, and may have changed.
    Stale,
    /// It is a failure of a moment ago.
    Failure,
}

#[derive(Default)]
struct Slot {
    known: Option<(Arc<Image>, Instant)>,
    failed: Option<Failed>,
    flight: Option<Flight>,
    used: Option<Instant>,
}

struct Failed {
    failure: Failure,
    /// When it may be asked again.
    due: Instant,
    /// How many in a row.
    times: u32,
}

struct Flight {
    since: Instant,
    waiting: Vec<Key>,
}

/// Everything that is known.
#[derive(Default)]
pub(super) struct Slots {
    slots: HashMap<Id, Slot>,
    /// Registries that want to be left alone: until when, and what they said.
    shut: BTreeMap<String, (Instant, String)>,
    flights: usize,
}

impl Slots {
    /// What to do about the question of `asker`; where it is to ask, the question is under way from now on.
    pub(super) fn ask(&mut self, id: &Id, asker: &Key, ttl: Duration, now: Instant) -> Next {
        let shut = self.shut_until(id.0.registry_name(), now);
        let flights = self.flights;
        // What is not asked gets no slot: there may be any number of names.
        let mut none = Slot::default();
        let slot = self.slots.get_mut(id).unwrap_or(&mut none);
        slot.used = Some(now);
        if let Some(flight) = &mut slot.flight {
            if !flight.waiting.contains(asker) {
                flight.waiting.push(asker.clone());
            }
            return Next::UnderWay(flight.since);
        }
        let known = slot.known.as_ref();
        let is_fixed = matches!(id.0.version(), Version::Digest(_));
        if let Some((image, at)) = known
            && (is_fixed || now.duration_since(*at) < ttl.max(HOLD))
        {
            return Next::Known(Answer::Found(Arc::clone(image)), Source::Hit);
        }
        let not_yet = |why: String, due: Instant| Answer::NotYet {
            why,
            again_in: due.duration_since(now),
        };
        let failed = slot.failed.as_ref().filter(|failed| now < failed.due);
        let instead = match (failed, shut) {
            (Some(failed), shut) => match &failed.failure {
                Failure::Passing { why, .. } => {
                    let due = failed.due.max(shut.map_or(now, |(until, _)| until));
                    Some(not_yet(why.clone(), due))
                }
                lasting => Some(Answer::Never(lasting.to_string())),
            },
            (None, Some((until, why))) => Some(not_yet(why, until)),
            (None, None) if flights >= MOST_FLIGHTS => {
                let why = format!("image \"{}\": too many other images are being looked up", id.0);
                Some(not_yet(why, now + WAITS.0))
            }
            (None, None) => None,
        };
        match (instead, known) {
            (Some(_), Some((image, at))) if now.duration_since(*at) < MOST_STALE => {
                Next::Known(Answer::Found(Arc::clone(image)), Source::Stale)
            }
            (Some(answer), _) => Next::Known(answer, Source::Failure),
            (None, known) => {
                let before = known.map(|(image, _)| Arc::clone(image));
                let slot = self.slots.entry(id.clone()).or_default();
                slot.used = Some(now);
                slot.flight = Some(Flight {
                    since: now,
                    waiting: vec![asker.clone()],
                });
                self.flights += 1;
                self.make_room();
                Next::Ask(before)
            }
        }
    }

    /// The question is answered. Returns who waits for it.
    pub(super) fn answered(
        &mut self,
        id: &Id,
        answer: Result<Arc<Image>, Failure>,
        now: Instant,
    ) -> Vec<Key> {
        let slot = self.slots.entry(id.clone()).or_default();
        let flight = slot.flight.take();
        if flight.is_some() {
            self.flights -= 1;
        }
        match answer {
            Ok(image) => {
                slot.known = Some((image, now));
                slot.failed = None;
            }
            Err(failure) => {
                let times = slot
                    .failed
                    .as_ref()
                    .map_or(0, |failed| failed.times)
                    .saturating_add(1);
                let due = match &failure {
                    Failure::Passing { why, after } => {
                        if let Some(after) = after
                            && self.shut.len() < MOST_SHUT
                        {
                            let until = now + *after;
                            self.shut
                                .insert(id.0.registry_name().to_owned(), (until, why.clone()));
                        }
                        let doubled = WAITS.0.saturating_mul(1 << times.saturating_sub(1).min(10));
                        now + doubled.min(WAITS.1).max(after.unwrap_or_default())
                    }
                    Failure::Lasting(_) => now + HOLD,
                    Failure::Denied(_) | Failure::Missing(_) | Failure::Unusable(_) => {
                        // What is refused now is not what was known before.
                        slot.known = None;
                        now + HOLD
                    }
                };
                slot.failed = Some(Failed { failure, due, times });
            }
        }
        flight.map(|flight| flight.waiting).unwrap_or_default()
    }

    fn shut_until(&mut self, registry: &str, now: Instant) -> Option<(Instant, String)> {
        self.shut.retain(|_, (until, _)| now < *until);
        self.shut.get(registry).cloned()
    }

    /// Forgets what was not asked about for the longest time.
    fn make_room(&mut self) {
        while self.slots.len() > MOST_KNOWN {
            let idle = self.slots.iter().filter(|(_, slot)| slot.flight.is_none());
            let Some(oldest) = idle.min_by_key(|(_, slot)| slot.used).map(|(id, _)| id.clone()) else {
                return;
            };
            self.slots.remove(&oldest);
        }
    }
}

#[cfg(test)]
mod tests {
    use tektite_core::image::Digest;

    use super::*;

    const TTL: Duration = Duration::from_secs(30);

    fn id(name: &str) -> Id {
        (Reference::parse(name).unwrap(), Fingerprint::of(&[]))
    }

    fn image() -> Arc<Image> {
        Arc::new(Image {
            digest: Digest::of(b""),
            commands: BTreeMap::new(),
        })
    }

    fn key(name: &str) -> Key {
        Key::new("n", name)
    }

    fn passing(after: Option<u64>) -> Failure {
        Failure::Passing {
            why: "busy".to_owned(),
            after: after.map(Duration::from_secs),
        }
    }

    /// A clock, and what is known by it.
    struct Test {
        slots: Slots,
        now: Instant,
    }

    impl Test {
        fn new() -> Self {
            Self {
                slots: Slots::default(),
                now: Instant::now(),
            }
        }

        fn after(&mut self, seconds: u64) -> &mut Self {
            self.now += Duration::from_secs(seconds);
            self
        }

        fn ask(&mut self, name: &str) -> Next {
            self.slots.ask(&id(name), &key("r"), TTL, self.now)
        }

        fn answered(&mut self, name: &str, answer: Result<Arc<Image>, Failure>) -> Vec<Key> {
            self.slots.answered(&id(name), answer, self.now)
        }
    }

    fn hit(source: Source) -> Next {
        Next::Known(Answer::Found(image()), source)
    }

    fn late(seconds: u64) -> Next {
        let answer = Answer::NotYet {
            why: "busy".to_owned(),
            again_in: Duration::from_secs(seconds),
        };
        Next::Known(answer, Source::Failure)
    }

    #[test]
    fn a_question_under_way_wakes_each_who_waits_once() {
        let mut test = Test::new();
        assert_eq!(test.ask("i"), Next::Ask(None));
        let since = test.now;
        assert_eq!(test.after(1).ask("i"), Next::UnderWay(since));
        let other = test.slots.ask(&id("i"), &key("s"), TTL, test.now);
        assert_eq!(other, Next::UnderWay(since));
        assert_eq!(test.answered("i", Ok(image())), [key("r"), key("s")]);
        assert_eq!(test.answered("i", Ok(image())), []);
        assert_eq!(test.slots.flights, 0);
    }

    #[test]
    fn tags_are_believed_for_a_while_and_digests_for_ever() {
        let digest = format!("i@{}", Digest::of(b""));
        for (name, ttl, seconds, expected) in [
            ("i", 30, 29, hit(Source::Hit)),
            ("i", 30, 30, Next::Ask(Some(image()))),
            ("i", 0, 4, hit(Source::Hit)),
            ("i", 0, 5, Next::Ask(Some(image()))),
            (&digest, 0, 1_000_000, hit(Source::Hit)),
        ] {
            let mut test = Test::new();
            test.ask(name);
            test.answered(name, Ok(image()));
            let now = test.after(seconds).now;
            let next = test
                .slots
                .ask(&id(name), &key("r"), Duration::from_secs(ttl), now);
            assert_eq!(next, expected, "{name} {ttl} {seconds}");
        }
    }

    #[test]
    fn the_wait_doubles_and_ends_with_success() {
        let mut test = Test::new();
        for wait in [1, 2, 4, 8, 16, 32, 60, 60] {
            assert_eq!(test.ask("i"), Next::Ask(None));
            test.answered("i", Err(passing(None)));
            assert_eq!(test.ask("i"), late(wait));
            test.after(wait);
        }
        test.ask("i");
        test.answered("i", Ok(image()));
        test.after(30).ask("i");
        test.answered("i", Err(passing(None)));
        assert_eq!(test.ask("i"), hit(Source::Stale));
        assert_eq!(test.after(1).ask("i"), Next::Ask(Some(image())));
    }

    #[test]
    fn what_is_too_old_is_not_good_enough() {
        let mut test = Test::new();
        test.ask("i");
        test.answered("i", Ok(image()));
        test.after(24 * 60 * 60).ask("i");
        test.answered("i", Err(passing(None)));
        assert_eq!(test.ask("i"), late(1));
    }

    #[test]
    fn a_registry_that_is_asked_too_often_is_left_alone() {
        let mut test = Test::new();
        test.ask("r.io/a");
        test.answered("r.io/a", Err(passing(Some(100))));
        assert_eq!(test.ask("r.io/a"), late(100));
        assert_eq!(test.ask("r.io/b"), late(100));
        assert_eq!(test.ask("q.io/b"), Next::Ask(None));
        assert_eq!(test.after(99).ask("r.io/b"), late(1));
        assert_eq!(test.after(1).ask("r.io/b"), Next::Ask(None));
        assert_eq!(test.ask("r.io/a"), Next::Ask(None));
    }

    #[test]
    fn what_lasts_is_held_a_moment_and_hides_what_was_known_if_it_is_about_that() {
        for (failure, hides) in [
            (Failure::Denied("no".to_owned()), true),
            (Failure::Missing("no".to_owned()), true),
            (Failure::Unusable("no".to_owned()), true),
            (Failure::Lasting("no".to_owned()), false),
        ] {
            let no = Next::Known(Answer::Never("no".to_owned()), Source::Failure);
            let mut test = Test::new();
            test.ask("i");
            test.answered("i", Err(failure.clone()));
            assert_eq!(test.ask("i"), no, "{failure:?}");

            test.after(5).ask("i");
            test.answered("i", Ok(image()));
            test.after(30).ask("i");
            test.answered("i", Err(failure.clone()));
            let (answer, before) = if hides {
                (no, None)
            } else {
                (hit(Source::Stale), Some(image()))
            };
            assert_eq!(test.ask("i"), answer, "{failure:?}");
            assert_eq!(test.after(4).ask("i"), answer, "{failure:?}");
            assert_eq!(test.after(1).ask("i"), Next::Ask(before), "{failure:?}");
        }
    }

    #[test]
    fn questions_to_a_registry_that_is_left_alone_are_not_kept() {
        let mut test = Test::new();
        test.ask("r.io/a");
        test.answered("r.io/a", Err(passing(Some(100))));
        for number in 0..MOST_KNOWN {
            assert_eq!(test.ask(&format!("r.io/b{number}")), late(100));
        }
        assert_eq!(test.slots.slots.len(), 1);
        for number in 0..=MOST_SHUT {
            let name = format!("r{number}.io/a");
            test.ask(&name);
            test.answered(&name, Err(passing(Some(100))));
        }
        assert_eq!(test.slots.shut.len(), MOST_SHUT);
    }

    #[test]
    fn answers_belong_to_those_who_were_given_them() {
        use tektite_core::image::keyring::Credential;
        let credential = Credential {
            username: "u".to_owned(),
            password: "p".to_owned(),
        };
        let mine = (Reference::parse("i").unwrap(), Fingerprint::of(&[credential]));
        let mut test = Test::new();
        test.slots.ask(&mine, &key("r"), TTL, test.now);
        test.slots.answered(&mine, Ok(image()), test.now);
        assert_eq!(test.slots.ask(&mine, &key("r"), TTL, test.now), hit(Source::Hit));
        assert_eq!(test.ask("i"), Next::Ask(None));
    }

    #[test]
    fn there_is_an_end_to_what_is_known_and_to_what_is_asked() {
        let mut test = Test::new();
        for number in 0..MOST_KNOWN + 10 {
            let name = format!("i{number}");
            assert_eq!(test.after(1).ask(&name), Next::Ask(None));
            test.answered(&name, Ok(image()));
        }
        assert_eq!(test.slots.slots.len(), MOST_KNOWN);
        assert!(!test.slots.slots.contains_key(&id("i0")), "the oldest goes first");
        let mut test = Test::new();
        for number in 0..MOST_FLIGHTS {
            assert_eq!(test.ask(&format!("i{number}")), Next::Ask(None));
        }
        assert!(matches!(
            test.ask("one-more"),
            Next::Known(Answer::NotYet { .. }, _)
        ));
    }
}
