//! Fields with one name in v1beta1 and another in v1. No I/O.
//!
//! The two names change places, whatever stands under them. Mostly only one is there, and then it is
//! renamed. Where an object has both, the one that its version knows becomes the one that the other
//! version knows, and the other stays under a name that validation refuses; and twice changed is as
//! before, so a round trip loses nothing.

use super::Object;

/// Lets the values under two names change places.
pub(super) fn swap(object: &mut Object, one: &str, other: &str) {
    let first = object.remove(one);
    let second = object.remove(other);
    if let Some(value) = second {
        object.insert(one.to_owned(), value);
    }
    if let Some(value) = first {
        object.insert(other.to_owned(), value);
    }
}

/// A container's `resources` (v1beta1) and `computeResources` (v1), api.md appendix D row 1.
pub(super) fn compute_resources(object: &mut Object) {
    swap(object, "resources", "computeResources");
}
