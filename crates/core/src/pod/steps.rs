//! Step containers: the step's own container with our entrypoint before its command (runtime.md 1.7).

use k8s_openapi::api::core::v1::{Container, EnvVar, ResourceRequirements, Volume};
use tektite_api::{
    Step, TaskSpec,
    task::{StepOutputConfig, WhenExpression},
};
use tektite_protocol::{
    When,
    flags::{OnError, ResultsFrom, StepFlags},
    log::LogFlags,
    paths, termination,
};

use super::{
    BuildError,
    credentials::Credentials,
    debug::Breakpoints,
    delivery::Scripts,
    log,
    look_up::{self, LookedUp},
    volumes, working_dirs,
};
use crate::{
    delivery::Delivery,
    image::{Answers, command::Words},
    names,
};

/// What step containers are made from.
pub(super) struct Input<'a> {
    /// The spec, template merged in.
    pub(super) spec: &'a TaskSpec,
    /// Scripts by step.
    pub(super) scripts: &'a Scripts,
    /// What steps may log in with.
    pub(super) credentials: &'a Credentials,
    /// How they get in.
    pub(super) form: Delivery,
    /// The podTemplate's environment.
    pub(super) env: &'a [EnvVar],
    /// What is known of images.
    pub(super) images: &'a Answers,
    /// Volumes that are not the engine's own.
    pub(super) volumes: &'a [Volume],
    /// How much the kubelet keeps of each step's message.
    pub(super) message_limit: usize,
    /// How results get to the controller.
    pub(super) results_from: ResultsFrom,
    /// Whether the first step waits for the Pod's other containers.
    pub(super) first: First,
    /// How much the entrypoint says.
    pub(super) log: &'a LogFlags,
    /// Where steps pause.
    pub(super) breakpoints: Breakpoints<'a>,
}

/// When the first step begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum First {
    /// With its container.
    AtOnce,
    /// When the controller says that all other containers are ready.
    OnceReady,
}

/// One container per step, in order.
pub(super) fn containers(input: &Input<'_>) -> Result<Vec<Container>, BuildError> {
    let each = input.spec.steps.iter().enumerate();
    let mut containers = each
        .map(|(index, step)| container(input, step, index))
        .collect::<Result<Vec<_>, _>>()?;
    working_dirs::make(&mut containers, input.volumes);
    Ok(containers)
}

fn container(input: &Input<'_>, step: &Step, index: usize) -> Result<Container, BuildError> {
    let base = names::step_base(step, index);
    let looked_up = look_up::of(step, index, input.images)?;
    let mut flags = flags(input, step, index, &base, looked_up.as_ref())?;
    let mut mounts = volumes::mounts(input, step, index);
    mounts.extend(input.breakpoints.mounts(index));
    // On equal names the last one counts, so the podTemplate's come last.
    let commands = looked_up
        .as_ref()
        .and_then(|found| look_up::variable(&found.words));
    let env: Vec<EnvVar> = step
        .env
        .iter()
        .chain(&commands)
        .chain(input.env)
        .cloned()
        .collect();
    flags.log = log::with_secrets(input.log, &env, &step.env_from, &mounts, input.volumes);
    let resources = &step.compute_resources;
    Ok(Container {
        name: names::container(&base),
        image: Some(looked_up.map_or_else(|| step.image.clone(), |found| found.image)),
        image_pull_policy: Some(step.image_pull_policy.clone()).filter(|policy| !policy.is_empty()),
        command: Some(vec![paths::ENTRYPOINT.to_owned()]),
        args: Some(flags.to_args()),
        working_dir: volumes::working_dir(step),
        env: Some(env).filter(|env| !env.is_empty()),
        env_from: Some(step.env_from.clone()).filter(|sources| !sources.is_empty()),
        resources: Some(resources.clone()).filter(|resources| *resources != ResourceRequirements::default()),
        volume_mounts: Some(mounts),
        volume_devices: Some(step.volume_devices.clone()).filter(|devices| !devices.is_empty()),
        security_context: step.security_context.clone(),
        termination_message_path: Some(paths::TERMINATION_FILE.to_owned()),
        ..Container::default()
    })
}

fn flags(
    input: &Input<'_>,
    step: &Step,
    index: usize,
    base: &str,
    looked_up: Option<&LookedUp>,
) -> Result<StepFlags, BuildError> {
    let script = input.scripts.of(index);
    let command = match looked_up.map(|found| &found.words) {
        Some(Words::Same(words)) => words.as_slice(),
        // The entrypoint takes its own from the variable.
        Some(Words::ByPlatform(_)) => &[],
        None => step.command.as_slice(),
    };
    let (entrypoint, args) = match (script, command.split_first()) {
        (Some(script), _) => (script.path.clone(), step.args.clone()),
        (None, Some((program, first))) if !program.is_empty() => {
            (program.clone(), [first, step.args.as_slice()].concat())
        }
        (None, None) if looked_up.is_some() => (String::new(), step.args.clone()),
        (None, _) => return Err(BuildError::EmptyCommand(format!("steps[{index}]"))),
    };
    let on_error = match step.on_error.as_str() {
        "" => None,
        "continue" => Some(OnError::Continue),
        "stopAndFail" => Some(OnError::StopAndFail),
        other => return Err(BuildError::OnError(other.to_owned())),
    };
    let declared = &input.spec.results;
    let results: Vec<String> = declared
        .iter()
        .filter(|result| result.value.is_none())
        .map(|result| result.name.clone())
        .collect();
    let (wait_files, wait_file_content) = match (index.checked_sub(1), input.first) {
        (Some(before), _) => (vec![paths::post_file(before)], false),
        (None, First::OnceReady) => (vec![paths::READY_FILE.to_owned()], true),
        (None, First::AtOnce) => (Vec::new(), false),
    };
    // Where there is no init container, each step makes its own links and its own script.
    let by_itself = input.form == Delivery::ImageVolume;
    Ok(StepFlags {
        wait_files,
        wait_file_content,
        post_file: paths::post_file(index),
        termination_path: paths::TERMINATION_FILE.to_owned(),
        step_metadata_dir: paths::metadata_dir(index),
        step_links: if by_itself {
            vec![base.to_owned(), index.to_string()]
        } else {
            Vec::new()
        },
        message_limit: Some(input.message_limit).filter(|limit| *limit < termination::MAX_BYTES),
        results_from: input.results_from,
        credentials: input.credentials.flags.clone(),
        on_error,
        timeout: step.timeout,
        stdout_path: tee(step.stdout_config.as_ref()),
        stderr_path: tee(step.stderr_config.as_ref()),
        step_results: step.results.iter().map(|result| result.name.clone()).collect(),
        when: step.when.iter().map(when).collect(),
        results: (!declared.is_empty()).then_some(results),
        breakpoints: input.breakpoints.of_step(&step.name),
        log: input.log.clone(),
        script: script.filter(|_| by_itself).cloned(),
        entrypoint,
        args,
    })
}

fn when(expression: &WhenExpression) -> When {
    let WhenExpression {
        input,
        operator,
        values,
        cel,
    } = expression.clone();
    When {
        input,
        operator,
        values,
        cel,
    }
}

fn tee(config: Option<&StepOutputConfig>) -> String {
    config.map(|config| config.path.clone()).unwrap_or_default()
}
