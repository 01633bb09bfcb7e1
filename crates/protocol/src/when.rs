//! A guard of a step, as it travels in the step's command line: one that does not hold leaves the
//! step out (runtime.md 3.7). No I/O.

use serde::{Deserialize, Serialize};

/// Either `input`, `operator` and `values`, or `cel`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct When {
    /// The text to look for.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub input: String,
    /// `in`; every other word, and none, means that the text is not to be found.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub operator: String,
    /// The texts to look in.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub values: Vec<String>,
    /// A condition.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub cel: String,
}
