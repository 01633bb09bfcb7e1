//! The objects as far as we know them, by namespace and name. No I/O.
//!
//! Filled by a watch, and by the answers to our own writes ([`Cache::assume`]): the watch tells of
//! them some milliseconds later, and a decision made in between would be made twice. Unlike kube's
//! reflector store, a change is handed out with what was there before, so that whoever asks can
//! tell whether it matters.

use std::{
    collections::{HashMap, VecDeque},
    fmt,
    sync::{Arc, PoisonError, RwLock, RwLockWriteGuard},
};

use k8s_openapi::{
    api::core::v1::{LimitRange, ResourceQuota},
    apimachinery::pkg::apis::meta::v1::ObjectMeta,
};
use tektite_api::TaskRun;
use tektite_core::pod_view::PodView;

/// Which object.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

impl Key {
    /// The object `name` in `namespace`.
    pub fn new(namespace: impl Into<String>, name: impl Into<String>) -> Self {
        Self {
            namespace: namespace.into(),
            name: name.into(),
        }
    }

    /// The object with this metadata.
    pub fn of(metadata: &ObjectMeta) -> Self {
        Self::new(
            metadata.namespace.clone().unwrap_or_default(),
            metadata.name.clone().unwrap_or_default(),
        )
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

/// What can be remembered.
pub trait Cached {
    /// Which object it is.
    fn key(&self) -> Key;
    /// Its UID.
    fn uid(&self) -> Option<&str>;
    /// Its version.
    fn version(&self) -> Option<&str>;
}

macro_rules! cached {
    ($($kind:ty),*) => {
        $(impl Cached for $kind {
            fn key(&self) -> Key {
                Key::of(&self.metadata)
            }

            fn uid(&self) -> Option<&str> {
                self.metadata.uid.as_deref()
            }

            fn version(&self) -> Option<&str> {
                self.metadata.resource_version.as_deref()
            }
        })*
    };
}

cached! { TaskRun, PodView, LimitRange, ResourceQuota }

/// What is known to have become of an object.
#[derive(Clone, Debug, PartialEq)]
pub struct Change<T> {
    /// Which object.
    pub key: Key,
    /// As it was known before.
    pub before: Option<Arc<T>>,
    /// As it is known now.
    pub after: Option<Arc<T>>,
}

/// How many deleted objects are remembered.
const GRAVES: usize = 256;

type Objects<T> = HashMap<Key, Arc<T>>;

struct State<T> {
    objects: Objects<T>,
    /// What the list that is being read has brought so far.
    listing: Option<Objects<T>>,
    /// UIDs of objects deleted last: an answer to our own write can come after the news of its end.
    graves: VecDeque<String>,
}

/// The objects as far as we know them.
pub struct Cache<T>(RwLock<State<T>>);

impl<T> Default for Cache<T> {
    fn default() -> Self {
        Self(RwLock::new(State {
            objects: HashMap::new(),
            listing: None,
            graves: VecDeque::new(),
        }))
    }
}

impl<T: Cached> Cache<T> {
    /// The object called `key`.
    pub fn get(&self, key: &Key) -> Option<Arc<T>> {
        let state = self.0.read().unwrap_or_else(PoisonError::into_inner);
        state.objects.get(key).cloned()
    }

    /// All objects of a namespace.
    pub fn in_namespace(&self, namespace: &str) -> Vec<Arc<T>> {
        let state = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let objects = state.objects.iter();
        objects
            .filter(|(key, _)| key.namespace == namespace)
            .map(|(_, object)| Arc::clone(object))
            .collect()
    }

    /// The object called `key` need not be remembered any more, though it is there.
    pub fn forget(&self, key: &Key) {
        self.write().objects.remove(key);
    }

    /// Shows all objects to `look`, which must be quick: nothing changes meanwhile.
    pub fn for_each(&self, mut look: impl FnMut(&T)) {
        let state = self.0.read().unwrap_or_else(PoisonError::into_inner);
        state.objects.values().for_each(|object| look(object));
    }

    /// How many objects are known.
    pub fn len(&self) -> usize {
        let state = self.0.read().unwrap_or_else(PoisonError::into_inner);
        state.objects.len()
    }

    /// Whether none is known.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// A list begins, which will replace all that is known.
    pub fn begin_list(&self) {
        self.write().listing = Some(HashMap::new());
    }

    /// The list has `object`.
    pub fn list_item(&self, object: T) {
        let key = object.key();
        if let Some(listing) = &mut self.write().listing {
            listing.insert(key, Arc::new(object));
        }
    }

    /// The list is complete.
    pub fn end_list(&self) -> Vec<Change<T>> {
        let mut state = self.write();
        let Some(listing) = state.listing.take() else {
            return Vec::new();
        };
        let mut old = std::mem::replace(&mut state.objects, listing);
        let mut changes: Vec<_> = state
            .objects
            .iter()
            .filter_map(|(key, object)| {
                let before = old.remove(key);
                let same = before
                    .as_ref()
                    .is_some_and(|before| before.version().is_some() && same_version(&**before, &**object));
                (!same).then(|| Change {
                    key: key.clone(),
                    before,
                    after: Some(Arc::clone(object)),
                })
            })
            .collect();
        changes.extend(old.into_iter().map(|(key, before)| Change {
            key,
            before: Some(before),
            after: None,
        }));
        changes
    }

    /// The watch has `object` as new or changed. No change where it is known already.
    pub fn apply(&self, object: impl Into<T>) -> Option<Change<T>> {
        let object = object.into();
        let key = object.key();
        let mut state = self.write();
        let before = state.objects.get(&key).cloned();
        if before
            .as_ref()
            .is_some_and(|before| !is_newer(&object, &**before))
        {
            return None;
        }
        let after = Arc::new(object);
        state.objects.insert(key.clone(), Arc::clone(&after));
        Some(Change {
            key,
            before,
            after: Some(after),
        })
    }

    /// The watch says that the object with this metadata is gone.
    pub fn delete(&self, metadata: &ObjectMeta) -> Option<Change<T>> {
        let key = Key::of(metadata);
        let mut state = self.write();
        if let Some(uid) = &metadata.uid {
            if state.graves.len() == GRAVES {
                state.graves.pop_front();
            }
            state.graves.push_back(uid.clone());
        }
        let before = state.objects.remove(&key)?;
        Some(Change {
            key,
            before: Some(before),
            after: None,
        })
    }

    /// The API server has answered a write of ours with `object`. `replaces` is the version that
    /// was written over, `None` for a new object. Where the watch was faster, nothing happens.
    pub fn assume(&self, object: impl Into<T>, replaces: Option<&str>) {
        let object = object.into();
        let key = object.key();
        let mut state = self.write();
        let known = state.objects.get(&key).and_then(|known| known.version());
        let mut graves = state.graves.iter();
        let buried = object.uid().is_some_and(|uid| graves.any(|buried| buried == uid));
        if known == replaces && !buried {
            state.objects.insert(key, Arc::new(object));
        }
    }

    fn write(&self) -> RwLockWriteGuard<'_, State<T>> {
        self.0.write().unwrap_or_else(PoisonError::into_inner)
    }
}

fn same_version(a: &impl Cached, b: &impl Cached) -> bool {
    a.uid() == b.uid() && a.version() == b.version()
}

/// Whether `new` is something else than `old` and not older. Versions of one object can be compared
/// as numbers; where they are none, the later news counts.
fn is_newer<T: Cached>(new: &T, old: &T) -> bool {
    if same_version(new, old) {
        return new.version().is_none();
    }
    let number = |object: &T| object.version().and_then(|text| text.parse::<u64>().ok());
    match (number(new), number(old)) {
        (Some(new_version), Some(old_version)) if new.uid() == old.uid() => new_version > old_version,
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pod(name: &str, uid: &str, version: &str) -> PodView {
        PodView {
            metadata: ObjectMeta {
                name: Some(name.to_owned()),
                namespace: Some("n".to_owned()),
                uid: Some(uid.to_owned()),
                resource_version: Some(version.to_owned()),
                ..ObjectMeta::default()
            },
            ..PodView::default()
        }
    }

    fn known(cache: &Cache<PodView>, name: &str) -> Option<String> {
        cache.get(&Key::new("n", name))?.metadata.resource_version.clone()
    }

    #[test]
    fn news_in_and_out_of_order() {
        let cache: Cache<PodView> = Cache::default();
        assert!(cache.apply(pod("a", "1", "5")).unwrap().before.is_none());
        assert!(cache.apply(pod("a", "1", "5")).is_none(), "known already");
        assert!(cache.apply(pod("a", "1", "4")).is_none(), "older");
        assert!(cache.apply(pod("a", "1", "10")).unwrap().before.is_some());
        assert!(
            cache.apply(pod("a", "2", "3")).is_some(),
            "another object of the name"
        );
        let gone = cache.delete(&pod("a", "2", "11").metadata).unwrap();
        assert!(gone.before.is_some() && gone.after.is_none());
        assert!(cache.delete(&pod("a", "2", "11").metadata).is_none());
    }

    #[test]
    fn a_list_replaces_everything_at_its_end() {
        let cache = Cache::default();
        for name in ["gone", "same", "changed"] {
            cache.apply(pod(name, name, "1"));
        }
        cache.begin_list();
        cache.list_item(pod("same", "same", "1"));
        cache.list_item(pod("changed", "changed", "2"));
        cache.list_item(pod("new", "new", "3"));
        assert_eq!(known(&cache, "gone").as_deref(), Some("1"), "not before its end");
        let mut changes = cache.end_list();
        changes.sort_by(|a, b| a.key.cmp(&b.key));
        let names: Vec<_> = changes.iter().map(|change| change.key.name.as_str()).collect();
        assert_eq!(names, ["changed", "gone", "new"]);
        assert_eq!(known(&cache, "gone"), None);
        assert_eq!(cache.len(), 3);
        // A list that was broken off and begun again leaves nothing of the first try.
        cache.begin_list();
        cache.list_item(pod("half", "half", "9"));
        cache.begin_list();
        cache.end_list();
        assert!(cache.is_empty());
    }

    #[test]
    fn own_writes_are_known_at_once_and_never_against_the_watch() {
        let cache = Cache::default();
        cache.assume(pod("a", "1", "5"), None);
        assert_eq!(known(&cache, "a").as_deref(), Some("5"));
        assert!(cache.apply(pod("a", "1", "5")).is_none(), "the echo is no news");
        cache.assume(pod("a", "1", "7"), Some("5"));
        assert_eq!(known(&cache, "a").as_deref(), Some("7"));
        assert!(
            cache.apply(pod("a", "1", "6")).is_none(),
            "an echo on the way is none either"
        );
        cache.apply(pod("a", "1", "9"));
        cache.assume(pod("a", "1", "8"), Some("7"));
        assert_eq!(known(&cache, "a").as_deref(), Some("9"), "the watch was faster");
        // Created and deleted before the answer to the creation came.
        cache.delete(&pod("b", "2", "11").metadata);
        cache.assume(pod("b", "2", "10"), None);
        assert_eq!(known(&cache, "b"), None);
    }
}
