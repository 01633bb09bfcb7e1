//! Build: the Pod of one attempt (runtime.md section 1, api.md appendix A, departures.md).
//!
//! Everything that can be wrong with a run has been checked before, or becomes a [`BuildError`]
//! that names the field; nothing is left out in silence.

mod affinity;
mod credentials;
mod debug;
mod delivery;
mod log;
mod look_up;
mod merge;
mod results_log;
mod security;
mod sidecars;
mod steps;
mod volumes;
mod working_dirs;

use std::collections::BTreeMap;

use k8s_openapi::{
    api::core::v1::{EnvVar, Pod, PodSpec, Volume},
    apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference},
};
use tektite_api::{GoDuration, PodTemplate, TaskRun, TaskSpec, labels};
use tektite_protocol::termination;

pub use credentials::CredentialError;
use credentials::Credentials;

use self::{debug::Breakpoints, steps::First};
use crate::{
    account::Account,
    config::{ApiFields, Clock, Config, LifecycleSettings, StepSecurity},
    convert,
    delivery::Delivery,
    image::Answers,
    lifecycle::DeliverySettings,
    limit_range::Limits,
    names, resources,
    resources::ResourceError,
    sidecars::{Form, Surroundings},
    substitute::Variables,
    workspaces,
    workspaces::Bound,
};

/// What a Pod is made from.
#[derive(Clone, Debug)]
pub struct Input<'a> {
    /// The run, with its defaults.
    pub run: &'a TaskRun,
    /// What it runs, variables replaced, template not merged yet.
    pub spec: &'a TaskSpec,
    /// Its workspaces.
    pub bound: &'a [Bound],
    /// What the podTemplate may refer to.
    pub variables: &'a Variables,
    /// The account whose Secrets its steps may use.
    pub account: &'a Account,
    /// The operator's settings.
    pub config: &'a Config,
    /// How the entrypoint gets in.
    pub delivery: DeliverySettings<'a>,
    /// What this build calls itself.
    pub revision: &'a str,
    /// How many attempts came before.
    pub attempt: usize,
    /// What the cluster does to the Pod.
    pub around: Surroundings,
    /// What the namespace's LimitRanges say.
    pub limits: &'a Limits,
    /// What is known of the images that [`missing`] asks for.
    pub images: &'a Answers,
}

/// Why no Pod can be made. No further try helps.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BuildError {
    /// A Task without steps.
    #[error("no steps specified")]
    NoSteps,
    /// A command whose first word is empty.
    #[error("{0}.command[0] is empty; write a program, or leave command out to run what the image runs")]
    EmptyCommand(String),
    /// A step with neither command nor script, whose image does not help.
    #[error(transparent)]
    LookUp(#[from] LookUpError),
    /// An `onError` that is neither of the two words after its variables are replaced.
    #[error(
        "task step onError must be either \"continue\" or \"stopAndFail\" but it is set to an invalid value \"{0}\""
    )]
    OnError(String),
    /// A script with a byte that no argument can carry.
    #[error("{0}.script contains a NUL character, which no command line can carry")]
    NulInScript(String),
    /// Too much text.
    #[error(
        "the scripts of this run have {bytes} bytes together ({sizes}); at most {limit} bytes are possible"
    )]
    ScriptsTooLarge {
        /// All of them.
        bytes: usize,
        /// Each of them.
        sizes: String,
        /// The most that goes.
        limit: usize,
    },
    /// Two volumes of one name.
    #[error("multiple volumes with same name \"{name}\": [{index}].name")]
    VolumeTwice {
        /// The name.
        name: String,
        /// The place of the second one.
        index: usize,
    },
    /// A field whose meaning this version does not have.
    #[error("{path} is not supported by this version")]
    NotSupported {
        /// The field.
        path: String,
    },
    /// An annotation with a word that means nothing.
    #[error("annotation {key}: \"{value}\" is not allowed; {allowed}")]
    Annotation {
        /// The annotation.
        key: &'static str,
        /// What it holds.
        value: String,
        /// What it may hold.
        allowed: &'static str,
    },
    /// Credentials that cannot be used.
    #[error(transparent)]
    Credentials(#[from] CredentialError),
    /// Resources that cannot be worked out.
    #[error(transparent)]
    Resources(#[from] ResourceError),
}

/// The most script text that one run may bring.
pub const MAX_SCRIPT_BYTES: usize = 512 * 1024;

/// The reference that makes everything that belongs to a run go with it.
pub fn owner(run: &TaskRun) -> OwnerReference {
    OwnerReference {
        api_version: <TaskRun as k8s_openapi::Resource>::API_VERSION.to_owned(),
        kind: <TaskRun as k8s_openapi::Resource>::KIND.to_owned(),
        name: run.name().to_owned(),
        uid: run.uid().to_owned(),
        controller: Some(true),
        block_owner_deletion: Some(true),
    }
}

/// Makes the Pod.
///
/// # Errors
/// See [`BuildError`].
pub fn build(input: &Input<'_>) -> Result<Pod, BuildError> {
    let mut spec = input.spec.clone();
    if spec.steps.is_empty() {
        return Err(BuildError::NoSteps);
    }
    workspaces::mount(&mut spec, input.bound);
    crate::substitute::credentials_path(&mut spec);
    if let Some(template) = spec.step_template.take() {
        for step in &mut spec.steps {
            merge_template(step, &template);
        }
    }
    resources::apply(&mut spec.steps, input.run)?;
    sidecars::override_resources(&mut spec.sidecars, input.run);

    let mut template = input.run.spec.pod_template.clone().unwrap_or_default();
    crate::substitute::pod_template(&mut template, input.variables);
    let env = pod_env(input.run, &template, input.config);
    let credentials = Credentials::of(input.account, &spec, &env, &input.config.flags)?;
    let scripts = delivery::Scripts::collect(&spec, input.run, input.attempt)?;
    let bound_volumes = workspaces::volumes(input.bound);
    let template_volumes = template.pod.volumes.take().unwrap_or_default();
    let own_volumes: Vec<Volume> = spec
        .volumes
        .iter()
        .cloned()
        .chain(bound_volumes)
        .chain(template_volumes)
        .collect();
    let init = usize::from(input.delivery.form == Delivery::InitContainer);
    let settings = input.config.flags.sidecars;
    let form = settings.form_on(input.around.kubernetes);
    let first = if settings.first_step_waits(spec.sidecars.len(), input.around) {
        First::OnceReady
    } else {
        First::AtOnce
    };
    let results_from = results_log::way(&spec, input.config.flags.results_from);
    let results_log = results_log::container(&results_log::Input {
        spec: &spec,
        delivery: input.delivery,
        form,
        template: &template.pod,
        from: results_from,
    });
    let own = spec.steps.len() + spec.sidecars.len() + init + usize::from(results_log.is_some());
    let all = own + input.around.foreign.count();
    let breakpoints = Breakpoints::of(input.run, input.config);
    let step_input = steps::Input {
        message_limit: termination::limit(all),
        results_from,
        first,
        spec: &spec,
        scripts: &scripts,
        credentials: &credentials,
        form: input.delivery.form,
        env: &env,
        images: input.images,
        volumes: &own_volumes,
        log: &log::of(input.run, input.config, breakpoints)?,
        breakpoints,
    };
    let mut containers = steps::containers(&step_input)?;
    let mut sidecars = sidecars::containers(&sidecars::Input {
        spec: &spec,
        scripts: &scripts,
        delivery: input.delivery.form,
        form,
        readiness: input.config.flags.sidecars.readiness,
        log: step_input.log,
        volumes: &own_volumes,
    });
    sidecars.extend(results_log);
    let volumes = volumes::all(
        &spec,
        &scripts,
        &credentials,
        breakpoints,
        input.delivery,
        own_volumes,
    )?;
    let mut init_containers = match input.delivery.form {
        Delivery::ImageVolume => Vec::new(),
        Delivery::InitContainer => vec![delivery::init_container(
            &spec,
            &scripts,
            input.delivery,
            &template.pod,
        )],
    };
    match form {
        Form::Native => init_containers.extend(sidecars),
        Form::Classic => containers.extend(sidecars),
    }
    let service_account = service_account(input.run, &template, input.config);
    let mut pod = PodSpec {
        containers,
        init_containers: Some(init_containers).filter(|containers| !containers.is_empty()),
        volumes: Some(volumes),
        restart_policy: Some("Never".to_owned()),
        active_deadline_seconds: Some(deadline(
            input.run.spec.timeout.unwrap_or_default(),
            input.config.defaults.lifecycle,
        )),
        service_account_name: Some(service_account).filter(|name| !name.is_empty()),
        // The old name of the same field; the API server copies it.
        service_account: None,
        ..template.pod
    };
    finish(&mut pod, input);
    Ok(Pod {
        metadata: metadata(input, first),
        spec: Some(pod),
        status: None,
    })
}

/// What depends on the whole Pod: what containers get that say nothing, and the node.
fn finish(pod: &mut PodSpec, input: &Input<'_>) {
    let init = pod.init_containers.iter_mut().flatten();
    for container in pod.containers.iter_mut().chain(init) {
        input.config.defaults.container_resources.apply(container);
        if input.config.flags.step_security == StepSecurity::Restricted {
            security::restrict(container, pod.security_context.as_ref());
        }
    }
    input.limits.apply(pod);
    let assistant = input
        .run
        .annotation(labels::AFFINITY_ASSISTANT)
        .unwrap_or_default();
    if !assistant.is_empty() {
        affinity::follow(pod, assistant);
    }
}

/// What every step has in its environment: the podTemplate's without the names that the operator
/// forbids, and whether its command gets namespaces of its own.
fn pod_env(run: &TaskRun, template: &PodTemplate, config: &Config) -> Vec<EnvVar> {
    let forbidden = &config.defaults.forbidden_env;
    let allowed = template.env.iter().filter(|env| !forbidden.contains(&env.name));
    let mut env: Vec<EnvVar> = allowed.cloned().collect();
    let is_hermetic = run.annotation(labels::EXECUTION_MODE) == Some(labels::HERMETIC);
    if is_hermetic && config.flags.api_fields == ApiFields::Alpha {
        env.push(EnvVar {
            name: tektite_protocol::env::HERMETIC.to_owned(),
            value: Some(tektite_protocol::env::HERMETIC_VALUE.to_owned()),
            ..EnvVar::default()
        });
    }
    env
}

/// The account of a run that has its defaults. A podTemplate's beats one that only a default put there.
pub(crate) fn service_account(run: &TaskRun, template: &PodTemplate, config: &Config) -> String {
    let own = &run.spec.service_account_name;
    let defaulted = own.is_empty() || *own == config.defaults.service_account;
    let pod = &template.pod;
    let names = [&pod.service_account_name, &pod.service_account];
    match names.into_iter().flatten().find(|name| !name.is_empty()) {
        Some(name) if defaulted => name.clone(),
        _ => own.clone(),
    }
}

/// The kubelet's own limit, for when the controller is away: half as long again as ours. The kubelet counts
/// from when it has heard of the Pod, so it has to wait for the first step as long as we do.
fn deadline(timeout: GoDuration, settings: LifecycleSettings) -> i64 {
    const NO_LIMIT: i64 = 2_147_483_647;
    let waits = match settings.clock {
        Clock::FirstStep if settings.pending_timeout.is_zero() => return NO_LIMIT,
        Clock::FirstStep => settings.pending_timeout,
        Clock::Start => GoDuration::ZERO,
    };
    if timeout.is_zero() {
        return NO_LIMIT;
    }
    let nanos = i128::from(timeout.as_nanos()) * 3 / 2 + i128::from(waits.as_nanos());
    i64::try_from(nanos / 1_000_000_000)
        .unwrap_or(NO_LIMIT)
        .clamp(1, NO_LIMIT)
}

fn metadata(input: &Input<'_>, first: First) -> ObjectMeta {
    let run = input.run;
    let mut own_labels = run.metadata.labels.clone().unwrap_or_default();
    own_labels.insert(labels::TASK_RUN.to_owned(), run.name().to_owned());
    own_labels.insert(labels::TASK_RUN_UID.to_owned(), run.uid().to_owned());
    own_labels.insert(
        labels::MANAGED_BY.to_owned(),
        input.config.defaults.managed_by.clone(),
    );
    let mut annotations: BTreeMap<String, String> = run.metadata.annotations.clone().unwrap_or_default();
    annotations.retain(|key, _| {
        key != labels::MANAGED_BY && key != labels::LAST_APPLIED && !convert::is_carrier(key)
    });
    annotations.insert(labels::RELEASE.to_owned(), input.revision.to_owned());
    // The run's own would tell the first step what is not so yet.
    annotations.remove(labels::READY);
    if first == First::AtOnce {
        annotations.insert(labels::READY.to_owned(), labels::READY_VALUE.to_owned());
    }
    annotations.insert(
        labels::DELIVERY.to_owned(),
        input.delivery.form.as_str().to_owned(),
    );
    ObjectMeta {
        name: Some(names::pod(run.name(), input.attempt)),
        namespace: run.metadata.namespace.clone(),
        labels: Some(own_labels),
        annotations: Some(annotations),
        owner_references: Some(vec![owner(run)]),
        ..ObjectMeta::default()
    }
}

#[cfg(test)]
mod tests;

pub use look_up::{LookUpError, Missing, missing};
pub(crate) use merge::merge as merge_template;
