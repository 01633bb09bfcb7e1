//! Steps without a command: what to ask the registries for them, and how they are built from the answer
//! (runtime.md 2.1, 2.2).

use std::time::Duration;

use k8s_openapi::api::core::v1::EnvVar;
use tektite_api::Step;
use tektite_protocol::platform::COMMANDS_VARIABLE;

use super::{Input, merge_template, service_account};
use crate::{
    account::each_once,
    image::{Answer, Answers, Question, Reference, ReferenceError, command::Words},
};

/// The most that the commands of one image may have, in bytes: they travel in one variable or in a few
/// arguments, and Linux takes 128 KiB of each.
const MOST_BYTES: usize = 96 * 1024;

/// Why a step without a command cannot be built.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LookUpError {
    /// An image that no registry can be asked for.
    #[error("{path} has neither command nor script, and its image cannot be looked up: {error}")]
    Name {
        /// The step.
        path: String,
        /// What is wrong with the name.
        error: ReferenceError,
    },
    /// The registry gives no answer that is of use.
    #[error(
        "{path} has neither command nor script, and what its image runs cannot be looked up: {why}; \
         mend that, or give the step a command"
    )]
    Failed {
        /// The step.
        path: String,
        /// Why, with the image.
        why: String,
    },
    /// Nobody has asked.
    #[error("{path} has neither command nor script, and its image \"{image}\" has not been looked up")]
    NotAsked {
        /// The step.
        path: String,
        /// Its image.
        image: String,
    },
    /// The image runs nothing by itself.
    #[error(
        "{path} has neither command nor script, and its image \"{image}\" has neither ENTRYPOINT nor CMD; \
         give the step a command"
    )]
    Silent {
        /// The step.
        path: String,
        /// Its image.
        image: String,
    },
    /// The image's command is too long.
    #[error(
        "{path}: ENTRYPOINT and CMD of image \"{image}\" have {bytes} bytes over all platforms; at most {MOST_BYTES} \
         are possible; give the step a command"
    )]
    TooLong {
        /// The step.
        path: String,
        /// Its image.
        image: String,
        /// How long they are.
        bytes: usize,
    },
}

/// What a step without a command becomes.
pub(super) struct LookedUp {
    /// The image, pinned to what was looked up.
    pub(super) image: String,
    /// What runs before the step's arguments.
    pub(super) words: Words,
}

/// Whether only its image knows what a step runs.
fn is_wanted(step: &Step) -> bool {
    step.script.is_empty() && step.command.is_empty()
}

/// What stands between a run and its Pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Missing {
    /// The registries have to be asked.
    Answer(Question),
    /// They have been asked, and the answer is not there now.
    Patience {
        /// Why, in a few sentences.
        why: String,
        /// When to ask again.
        again_in: Duration,
    },
}

/// What has to be known of images before the Pod can be built; nothing where all is.
///
/// # Errors
/// An image's name that cannot be read, or an image of which nothing can be known.
pub fn missing(input: &Input<'_>) -> Result<Option<Missing>, LookUpError> {
    let template = input.spec.step_template.as_ref();
    let mut images = Vec::new();
    let mut reasons = Vec::new();
    let mut first = Duration::MAX;
    let mut asks = false;
    for (index, step) in input.spec.steps.iter().enumerate() {
        let mut step = step.clone();
        if let Some(template) = template {
            merge_template(&mut step, template);
        }
        if !is_wanted(&step) {
            continue;
        }
        let reference = reference(&step, index)?;
        if images.contains(&reference) {
            continue;
        }
        match input.images.get(&reference) {
            Some(Answer::Found(_)) => {}
            Some(Answer::NotYet { why, again_in }) => {
                reasons.push(why.as_str());
                first = first.min(*again_in);
            }
            Some(Answer::Never(why)) => return Err(failed(index, why)),
            None => asks = true,
        }
        images.push(reference);
    }
    if asks {
        return Ok(Some(Missing::Answer(ask(input, images))));
    }
    if reasons.is_empty() {
        return Ok(None);
    }
    Ok(Some(Missing::Patience {
        why: reasons.join("; "),
        again_in: first,
    }))
}

fn ask(input: &Input<'_>, images: Vec<Reference>) -> Question {
    let mut template = input.run.spec.pod_template.clone().unwrap_or_default();
    crate::substitute::pod_template(&mut template, input.variables);
    let account = service_account(input.run, &template, input.config);
    let secrets = template.pod.image_pull_secrets.unwrap_or_default();
    Question {
        images,
        pull_secrets: each_once(secrets.into_iter().map(|secret| secret.name)),
        service_account: if account.is_empty() {
            "default".to_owned()
        } else {
            account
        },
    }
}

fn failed(index: usize, why: &str) -> LookUpError {
    LookUpError::Failed {
        path: path(index),
        why: why.to_owned(),
    }
}

fn reference(step: &Step, index: usize) -> Result<Reference, LookUpError> {
    Reference::parse(&step.image).map_err(|error| LookUpError::Name {
        path: path(index),
        error,
    })
}

fn path(index: usize) -> String {
    format!("steps[{index}]")
}

/// What `step`, template merged in, becomes; nothing where it says itself what it runs.
pub(super) fn of(step: &Step, index: usize, answers: &Answers) -> Result<Option<LookedUp>, LookUpError> {
    if !is_wanted(step) {
        return Ok(None);
    }
    let reference = reference(step, index)?;
    let image = match answers.get(&reference) {
        Some(Answer::Found(image)) => image,
        Some(Answer::Never(why) | Answer::NotYet { why, .. }) => return Err(failed(index, why)),
        None => {
            return Err(LookUpError::NotAsked {
                path: path(index),
                image: step.image.clone(),
            });
        }
    };
    let words = image.words(&step.args).ok_or_else(|| LookUpError::Silent {
        path: path(index),
        image: step.image.clone(),
    })?;
    let bytes = words.bytes();
    if bytes > MOST_BYTES {
        return Err(LookUpError::TooLong {
            path: path(index),
            image: step.image.clone(),
            bytes,
        });
    }
    // An image that is only on the node is there under its tag: a digest would not be found.
    let image = if step.image_pull_policy == "Never" {
        step.image.clone()
    } else {
        reference.pinned(&image.digest).to_string()
    };
    Ok(Some(LookedUp { image, words }))
}

/// The variable with the commands of the platforms, for a step that does not run the same on all.
pub(super) fn variable(words: &Words) -> Option<EnvVar> {
    let Words::ByPlatform(commands) = words else {
        return None;
    };
    Some(EnvVar {
        name: COMMANDS_VARIABLE.to_owned(),
        // Texts alone: they have a JSON form.
        value: Some(serde_json::to_string(commands).unwrap_or_default()),
        ..EnvVar::default()
    })
}
