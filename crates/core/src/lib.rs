//! The pure steps from a TaskRun to its Pod, and from the Pod back to a status.
//!
//! One direction, one module per step:
//!
//! | step | module | does |
//! |---|---|---|
//! | convert | [`convert`] | changes the version of a stored object, for the API server |
//! | default | [`defaults`] | fills in what the object leaves out |
//! | validate | [`validate`] | refuses what cannot run |
//! | gather | [`lifecycle`] says what is needed, the controller fetches it |
//! | resolve | [`resolve`] | finds the TaskSpec |
//! | resolve | [`step_action`] | merges a StepAction into its step |
//! | bind | [`params`], [`workspaces`] | checks values against declarations |
//! | look up | [`image`] | says what registries are asked, and reads what they say |
//! | substitute | [`substitute`] | replaces variables |
//! | build | [`pod`] | makes the Pod |
//! | observe | [`observe`] | reads the Pod into a status |
//! | decide | [`lifecycle`] | puts the above in order and says what to do |
//! | tell | [`cloud_event`] | says what other programs hear of it |
//! | retain | [`retention`] | says which finished runs go |
//!
//! No client, no clock, no async runtime: values in, values out. Time is a parameter.

/// What this build calls itself in the release annotation: the short hash of the source it was made from.
pub const REVISION: &str = match option_env!("TEKTITE_REVISION") {
    Some(revision) => revision,
    None => "unknown",
};

pub mod account;
pub mod cloud_event;
pub mod condition;
pub mod config;
pub mod container_defaults;
pub mod convert;
pub mod defaults;
pub mod delivery;
pub mod election;
pub mod field_error;
pub mod image;
pub mod lifecycle;
pub mod limit_range;
pub mod names;
pub mod observe;
pub mod params;
pub mod pod;
pub mod pod_view;
pub mod quantity;
pub mod reason;
pub mod resolve;
pub mod resources;
pub mod retention;
pub mod sidecars;
pub mod step_action;
pub mod substitute;
pub mod validate;
pub mod workspaces;
pub mod yaml;
