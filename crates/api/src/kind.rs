//! `apiVersion` and `kind` of the objects here: always written, never stored.

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Gives an object type its place in the API, and constant `apiVersion` and `kind` fields.
macro_rules! object_kind {
    ($type:ident, $module:ident, $version:literal, $plural:literal) => {
        mod $module {
            pub(super) const API_VERSION: &str = concat!("tekton.dev/", $version);
            pub(super) const KIND: &str = stringify!($type);
        }

        impl k8s_openapi::Resource for $type {
            const API_VERSION: &'static str = $module::API_VERSION;
            const GROUP: &'static str = crate::GROUP;
            const KIND: &'static str = $module::KIND;
            const VERSION: &'static str = $version;
            const URL_PATH_SEGMENT: &'static str = $plural;
            type Scope = k8s_openapi::NamespaceResourceScope;
        }

        impl k8s_openapi::Metadata for $type {
            type Ty = k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

            fn metadata(&self) -> &Self::Ty {
                &self.metadata
            }

            fn metadata_mut(&mut self) -> &mut Self::Ty {
                &mut self.metadata
            }
        }

        impl crate::kind::Fixed for $type {
            const API_VERSION: &'static str = $module::API_VERSION;
            const KIND: &'static str = $module::KIND;
        }
    };
}
pub(crate) use object_kind;

/// What [`ApiVersion`] and [`Kind`] print for a type.
pub trait Fixed {
    /// Group and version.
    const API_VERSION: &'static str;
    /// The kind's name.
    const KIND: &'static str;
}

/// The `apiVersion` field of `T`: prints the constant, reads anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ApiVersion<T>(std::marker::PhantomData<fn() -> T>);

/// The `kind` field of `T`: prints the constant, reads anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kind<T>(std::marker::PhantomData<fn() -> T>);

macro_rules! fixed_field {
    ($field:ident, $constant:ident) => {
        impl<T> Default for $field<T> {
            fn default() -> Self {
                Self(std::marker::PhantomData)
            }
        }

        impl<T: Fixed> Serialize for $field<T> {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(T::$constant)
            }
        }

        impl<'de, T> Deserialize<'de> for $field<T> {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                serde::de::IgnoredAny::deserialize(deserializer)?;
                Ok(Self::default())
            }
        }
    };
}
fixed_field!(ApiVersion, API_VERSION);
fixed_field!(Kind, KIND);
