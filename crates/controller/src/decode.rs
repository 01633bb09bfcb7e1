//! Decoding that one bad object cannot stop. No I/O.
//!
//! A list or a watch is decoded as a whole: with the plain type, one object that does not fit would
//! hide all others for ever. [`Decoded`] keeps what is left of such an object. kube's own
//! `DeserializeGuard` cannot be used: it goes through `serde_value`, and a parameter's number, kept
//! as `RawValue`, cannot.

use k8s_openapi::{
    api::core::v1::{LimitRange, ResourceQuota},
    apimachinery::pkg::apis::meta::v1::ObjectMeta,
};
use serde::{Deserialize, Deserializer, de::DeserializeOwned};
use serde_json::value::RawValue;
use tektite_api::{TaskRun, decode, labels};
use tektite_core::{pod_view::PodView, validate::unknown};

/// An object, or what is left of one that does not fit its type.
#[derive(Clone, Debug)]
pub enum Decoded<T> {
    /// It fits.
    Whole(Box<T>),
    /// It does not.
    Broken(Box<Broken>),
}

/// What is left of an object that does not fit its type.
#[derive(Clone, Debug, Default)]
pub struct Broken {
    /// At least name, namespace, UID and version.
    pub metadata: ObjectMeta,
    /// `spec.managedBy`, so that other controllers' objects are none of our business.
    pub managed_by: Option<String>,
    /// Why it does not fit.
    pub error: String,
}

impl Broken {
    fn read(raw: &str, error: &serde_json::Error) -> Self {
        let tree: serde_json::Value = serde_json::from_str(raw).unwrap_or_default();
        let text = |pointer: &str| tree.pointer(pointer)?.as_str().map(str::to_owned);
        Self {
            metadata: ObjectMeta {
                name: text("/metadata/name"),
                namespace: text("/metadata/namespace"),
                uid: text("/metadata/uid"),
                resource_version: text("/metadata/resourceVersion"),
                ..ObjectMeta::default()
            },
            managed_by: text("/spec/managedBy"),
            error: error.to_string(),
        }
    }
}

/// What can be read from a list or a watch.
pub trait Readable: DeserializeOwned + k8s_openapi::Metadata<Ty = ObjectMeta> {
    /// A second look at an object, by a reader that names all that it does not understand.
    #[must_use]
    fn again(self, raw: &str) -> Self {
        let _ = raw;
        self
    }

    /// What is left of an object that does not fit.
    fn mended(raw: &str) -> Option<Self> {
        let _ = raw;
        None
    }
}

impl Readable for PodView {}

impl Readable for LimitRange {}

impl Readable for ResourceQuota {}

/// A run that admission never saw fails with what admission would have said.
impl Readable for TaskRun {
    fn again(self, raw: &str) -> Self {
        // One that has begun has been looked at.
        let begun = self
            .status
            .as_ref()
            .is_some_and(|status| !status.conditions.is_empty());
        if begun {
            return self;
        }
        Self::mended(raw)
            .filter(|read| read.misread.is_some())
            .unwrap_or(self)
    }

    fn mended(raw: &str) -> Option<Self> {
        let tree: serde_json::Value = serde_json::from_str(raw).ok()?;
        let reading: decode::Reading<Self> = decode::read(&tree);
        let mut run = reading.object;
        run.metadata.name.as_ref()?;
        let problems = unknown::report(&reading.misfits, &reading.unknown);
        run.misread = Some(problems).filter(|problems| !problems.is_empty());
        Some(run)
    }
}

impl<'de, T: Readable> Deserialize<'de> for Decoded<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = Box::<RawValue>::deserialize(deserializer)?;
        let read = serde_json::from_str::<T>(raw.get()).map(|object| object.again(raw.get()));
        let read = read.or_else(|error| T::mended(raw.get()).ok_or(error));
        Ok(match read {
            Ok(mut object) => {
                prune(object.metadata_mut());
                Self::Whole(Box::new(object))
            }
            Err(error) => Self::Broken(Box::new(Broken::read(raw.get(), &error))),
        })
    }
}

/// Drops what nobody here reads; it is often more than half of an object.
pub fn prune(metadata: &mut ObjectMeta) {
    metadata.managed_fields = None;
    if let Some(annotations) = &mut metadata.annotations {
        annotations.remove(labels::LAST_APPLIED);
    }
}

impl<T: k8s_openapi::Resource> k8s_openapi::Resource for Decoded<T> {
    const API_VERSION: &'static str = T::API_VERSION;
    const GROUP: &'static str = T::GROUP;
    const KIND: &'static str = T::KIND;
    const VERSION: &'static str = T::VERSION;
    const URL_PATH_SEGMENT: &'static str = T::URL_PATH_SEGMENT;
    type Scope = T::Scope;
}

impl<T: k8s_openapi::Metadata<Ty = ObjectMeta>> k8s_openapi::Metadata for Decoded<T> {
    type Ty = ObjectMeta;

    fn metadata(&self) -> &ObjectMeta {
        match self {
            Self::Whole(object) => object.metadata(),
            Self::Broken(broken) => &broken.metadata,
        }
    }

    fn metadata_mut(&mut self) -> &mut ObjectMeta {
        match self {
            Self::Whole(object) => object.metadata_mut(),
            Self::Broken(broken) => &mut broken.metadata,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kube::core::{ObjectList, WatchEvent};

    const GOOD: &str = r#"{"apiVersion":"tekton.dev/v1","kind":"TaskRun","metadata":{"name":"good","namespace":"n",
        "annotations":{"kubectl.kubernetes.io/last-applied-configuration":"{}","a":"b"},
        "managedFields":[{"manager":"kubectl"}]},
        "spec":{"params":[{"name":"n","value":1.50}],"taskRef":{"name":"t"}}}"#;
    const BAD: &str = r#"{"apiVersion":"tekton.dev/v1","kind":"TaskRun",
        "metadata":{"name":"bad","namespace":"n","uid":"u","resourceVersion":"7","labels":{"x":5}},
        "spec":{"managedBy":"other","retries":"many"}}"#;

    #[test]
    fn one_bad_object_leaves_the_others() {
        let text = format!(
            r#"{{"apiVersion":"tekton.dev/v1","kind":"TaskRunList","metadata":{{"resourceVersion":"9"}},"items":[{GOOD},{BAD}]}}"#
        );
        let list: ObjectList<Decoded<TaskRun>> = serde_json::from_str(&text).unwrap();
        let [Decoded::Whole(good), Decoded::Whole(bad)] = &list.items[..] else {
            panic!("{:?}", list.items)
        };
        assert_eq!(good.metadata.managed_fields, None);
        assert_eq!(good.metadata.annotations.as_ref().unwrap().len(), 1);
        assert_eq!(bad.metadata.name.as_deref(), Some("bad"));
        assert_eq!(bad.metadata.resource_version.as_deref(), Some("7"));
        assert_eq!(bad.spec.managed_by.as_deref(), Some("other"));
        assert_eq!(good.misread, None);
        let misread = bad.misread.as_deref().unwrap();
        assert!(
            misread.contains("spec.retries: a whole number is wanted, given \"many\""),
            "{misread}"
        );
    }

    #[test]
    fn what_is_left_of_a_broken_object_is_kept() {
        let text = r#"{"metadata":{"name":"p","namespace":"n","resourceVersion":"7"},"status":5}"#;
        let Decoded::Broken(broken) = serde_json::from_str::<Decoded<PodView>>(text).unwrap() else {
            panic!()
        };
        assert_eq!(broken.metadata.resource_version.as_deref(), Some("7"));
        assert!(broken.error.contains("line"), "{}", broken.error);
    }

    #[test]
    fn a_misspelt_field_is_told_until_the_run_begins() {
        let read = |status: &str| {
            let text = format!(r#"{{"metadata":{{"name":"r"}},"spec":{{"retrys":3}},"status":{status}}}"#);
            let Decoded::Whole(run) = serde_json::from_str::<Decoded<TaskRun>>(&text).unwrap() else {
                panic!()
            };
            run.misread
        };
        assert!(read("{}").unwrap().starts_with("json: unknown field \"retrys\""));
        assert_eq!(
            read(r#"{"conditions":[{"type":"Succeeded","status":"Unknown"}]}"#),
            None
        );
    }

    #[test]
    fn watch_events_reach_the_raw_text() {
        // An adjacently tagged enum: its content is only read directly when the tag comes first, as
        // the API server writes it.
        let text = format!(r#"{{"type":"ADDED","object":{GOOD}}}"#).replace('\n', "");
        let event: WatchEvent<Decoded<TaskRun>> = serde_json::from_str(&text).unwrap();
        let WatchEvent::Added(Decoded::Whole(run)) = event else {
            panic!("{event:?}")
        };
        assert_eq!(run.spec.params.len(), 1);
    }
}
