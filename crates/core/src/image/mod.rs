//! Images of steps without a command: what has to be looked up for them, and what becomes of the
//! answer (runtime.md section 2, W-11 to W-16). No I/O: the controller's `registry` asks the registries.
//!
//! One look-up's way through it: [`Reference`] says where to ask, [`keyring`] as whom, [`manifest`] reads
//! what comes back, [`Image`] holds it, and [`command`] makes a step's words of it.

pub mod command;
pub mod keyring;
pub mod manifest;
mod platform;
mod reference;
pub mod settings;

use std::{collections::BTreeMap, sync::Arc, time::Duration};

pub use command::Command;
pub use platform::Platform;
pub use reference::{Digest, Reference, ReferenceError, Version};

/// An image as its registry describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Image {
    /// The digest of what the reference leads to: of the index, where it has one.
    pub digest: Digest,
    /// What it runs on each platform of Linux.
    pub commands: BTreeMap<Platform, Command>,
}

/// What the registries have to be asked about one run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Question {
    /// The images, each once.
    pub images: Vec<Reference>,
    /// The Secrets that the podTemplate names for pulling, in order.
    pub pull_secrets: Vec<String>,
    /// The account whose `imagePullSecrets` come after them.
    pub service_account: String,
}

/// What is known of an image that was asked about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Here it is.
    Found(Arc<Image>),
    /// Not known now.
    NotYet {
        /// Why, as a sentence without its end.
        why: String,
        /// When to ask again.
        again_in: Duration,
    },
    /// It cannot be known before somebody changes something; why.
    Never(String),
}

/// What is known, by image.
pub type Answers = BTreeMap<Reference, Answer>;
