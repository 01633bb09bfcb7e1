//! What is known of the objects that others refer to: Tasks and StepActions whole, ServiceAccounts and
//! claims by name only. I/O: watches on the API server.

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, PoisonError, RwLock},
};

use futures::StreamExt as _;
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, ServiceAccount};
use kube::{
    Api, Client, Resource, ResourceExt as _,
    api::{ApiResource, DynamicObject},
    core::PartialObjectMeta,
    runtime::{
        WatchStreamExt as _,
        watcher::{self, Event, watcher},
    },
};
use serde::de::DeserializeOwned;
use serde_json::Value;
use tektite_api::{StepAction, Task, decode};

/// Namespace and name.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Key {
    namespace: String,
    name: String,
}

impl Key {
    /// Of an object.
    pub fn new(namespace: &str, name: &str) -> Self {
        Self {
            namespace: namespace.to_owned(),
            name: name.to_owned(),
        }
    }
}

/// One kind's objects. A new list is put in place as a whole, so that nothing is missing meanwhile.
#[derive(Debug)]
struct Shelf<T> {
    objects: RwLock<HashMap<Key, Arc<T>>>,
    coming: RwLock<HashMap<Key, Arc<T>>>,
}

impl<T> Default for Shelf<T> {
    fn default() -> Self {
        Self {
            objects: RwLock::default(),
            coming: RwLock::default(),
        }
    }
}

impl<T> Shelf<T> {
    fn get(&self, key: &Key) -> Option<Arc<T>> {
        self.objects
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .get(key)
            .map(Arc::clone)
    }

    fn take(&self, event: Event<(Key, Option<Arc<T>>)>) {
        let mut objects = self.objects.write().unwrap_or_else(PoisonError::into_inner);
        let mut coming = self.coming.write().unwrap_or_else(PoisonError::into_inner);
        match event {
            Event::Init => coming.clear(),
            Event::InitApply((key, Some(object))) => {
                coming.insert(key, object);
            }
            Event::InitApply((_, None)) => {}
            Event::InitDone => *objects = std::mem::take(&mut coming),
            Event::Apply((key, Some(object))) => {
                objects.insert(key, object);
            }
            // What cannot be read is not known.
            Event::Apply((key, None)) | Event::Delete((key, _)) => {
                objects.remove(&key);
            }
        }
    }
}

/// The names of one kind; nothing before they have been listed once.
#[derive(Debug, Default)]
struct Names {
    known: RwLock<Option<HashSet<Key>>>,
    coming: RwLock<HashSet<Key>>,
}

impl Names {
    fn lacks(&self, key: &Key) -> bool {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        known.as_ref().is_some_and(|known| !known.contains(key))
    }

    fn take(&self, event: Event<Key>) {
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        let mut coming = self.coming.write().unwrap_or_else(PoisonError::into_inner);
        match event {
            Event::Init => coming.clear(),
            Event::InitApply(key) => {
                coming.insert(key);
            }
            Event::InitDone => *known = Some(std::mem::take(&mut coming)),
            Event::Apply(key) => {
                known.get_or_insert_default().insert(key);
            }
            Event::Delete(key) => {
                if let Some(known) = known.as_mut() {
                    known.remove(&key);
                }
            }
        }
    }
}

/// Everything that is known.
#[derive(Debug, Default)]
pub struct Known {
    tasks: Shelf<Task>,
    actions: Shelf<StepAction>,
    accounts: Names,
    claims: Names,
}

impl Known {
    /// The Task, if it is known.
    pub fn task(&self, key: &Key) -> Option<Arc<Task>> {
        self.tasks.get(key)
    }

    /// The StepAction, if it is known.
    pub fn action(&self, key: &Key) -> Option<Arc<StepAction>> {
        self.actions.get(key)
    }

    /// Whether the ServiceAccounts are known and this one is not among them.
    pub fn lacks_account(&self, key: &Key) -> bool {
        self.accounts.lacks(key)
    }

    /// Whether the claims are known and this one is not among them.
    pub fn lacks_claim(&self, key: &Key) -> bool {
        self.claims.lacks(key)
    }

    /// Follows the cluster for as long as it is polled.
    pub async fn follow(self: Arc<Self>, client: Client) {
        tokio::join!(
            objects::<Task>(client.clone(), &self.tasks),
            objects::<StepAction>(client.clone(), &self.actions),
            names::<ServiceAccount>(client.clone(), &self.accounts),
            names::<PersistentVolumeClaim>(client, &self.claims),
        );
    }
}

/// Objects come untyped, so that one that does not fit its type hides no other.
async fn objects<T>(client: Client, shelf: &Shelf<T>)
where
    T: k8s_openapi::Resource + Resource<DynamicType = ()> + DeserializeOwned,
{
    let objects: Api<DynamicObject> = Api::all_with(client, &ApiResource::erase::<T>(&()));
    let mut events = watcher(objects, watcher::Config::default())
        .default_backoff()
        .boxed();
    while let Some(event) = events.next().await {
        match event {
            Ok(event) => shelf.take(mapped(event, typed)),
            Err(error) => {
                let kind = <T as k8s_openapi::Resource>::KIND;
                tracing::debug!(%error, kind, "a watch was interrupted");
            }
        }
    }
}

fn typed<T: DeserializeOwned>(object: DynamicObject) -> (Key, Option<Arc<T>>) {
    let key = key(&object);
    let mut tree = object.data;
    tree["metadata"] = serde_json::json!({
        "name": key.name, "namespace": key.namespace, "labels": object.metadata.labels.unwrap_or_default(),
    });
    let typed = decode::read_lenient(&tree as &Value).ok().map(Arc::new);
    (key, typed)
}

async fn names<T>(client: Client, names: &Names)
where
    T: Resource<DynamicType = ()> + Clone + DeserializeOwned + std::fmt::Debug + Send + 'static,
{
    let objects: Api<PartialObjectMeta<T>> = Api::all(client);
    let mut events = watcher(objects, watcher::Config::default())
        .default_backoff()
        .boxed();
    while let Some(event) = events.next().await {
        match event {
            Ok(event) => names.take(mapped(event, |object| key(&object))),
            Err(error) => tracing::debug!(%error, "a watch for names was interrupted"),
        }
    }
}

fn key<T: Resource>(object: &T) -> Key {
    Key::new(&object.namespace().unwrap_or_default(), &object.name_any())
}

fn mapped<T, U>(event: Event<T>, map: impl FnOnce(T) -> U) -> Event<U> {
    match event {
        Event::Init => Event::Init,
        Event::InitApply(object) => Event::InitApply(map(object)),
        Event::InitDone => Event::InitDone,
        Event::Apply(object) => Event::Apply(map(object)),
        Event::Delete(object) => Event::Delete(map(object)),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn task(name: &str, spec: Value) -> DynamicObject {
        serde_json::from_value(json!({"apiVersion": "tekton.dev/v1", "kind": "Task",
            "metadata": {"name": name, "namespace": "n"}, "spec": spec}))
        .unwrap()
    }

    #[test]
    fn a_list_replaces_what_was_there_as_a_whole() {
        let shelf: Shelf<Task> = Shelf::default();
        let has = |name: &str| shelf.get(&Key::new("n", name)).is_some();
        let good = json!({"steps": [{"image": "i"}]});
        for event in [
            Event::Init,
            Event::InitApply(task("a", good.clone())),
            Event::InitApply(task("broken", json!({"steps": 5}))),
            Event::InitDone,
        ] {
            shelf.take(mapped(event, typed));
        }
        assert!(has("a") && !has("broken"));
        for event in [Event::Init, Event::InitApply(task("b", good.clone()))] {
            shelf.take(mapped(event, typed));
        }
        assert!(has("a") && !has("b"));
        shelf.take(Event::InitDone);
        assert!(!has("a") && has("b"));
        shelf.take(mapped(Event::Apply(task("b", json!({"steps": 5}))), typed));
        assert!(!has("b"));
    }

    #[test]
    fn names_are_missed_only_once_they_have_been_listed() {
        let names = Names::default();
        let (there, gone) = (Key::new("n", "there"), Key::new("n", "gone"));
        assert!(!names.lacks(&gone));
        for event in [Event::Init, Event::InitApply(there.clone()), Event::InitDone] {
            names.take(event);
        }
        assert!(names.lacks(&gone) && !names.lacks(&there));
        names.take(Event::Delete(there.clone()));
        assert!(names.lacks(&there));
    }
}
