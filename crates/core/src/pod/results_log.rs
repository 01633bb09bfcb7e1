//! The sidecar that writes results to its log, for `results-from: sidecar-logs` (runtime.md 4.1, 4.2,
//! departures.md): ours, whatever the Task's own sidecars are.

use k8s_openapi::api::core::v1::{Container, PodSpec, VolumeMount};
use tektite_api::TaskSpec;
use tektite_protocol::{
    flags::ResultsFrom,
    log_results::{self, Afterwards, LogResultsFlags, StepArtifacts, StepResults},
    paths,
};

use super::{delivery, volumes};
use crate::{lifecycle::DeliverySettings, names, sidecars::Form};

/// What the container is made from.
pub(super) struct Input<'a> {
    /// The spec.
    pub(super) spec: &'a TaskSpec,
    /// Which image the entrypoint is in.
    pub(super) delivery: DeliverySettings<'a>,
    /// How sidecars run.
    pub(super) form: Form,
    /// The podTemplate.
    pub(super) template: &'a PodSpec,
    /// How results travel.
    pub(super) from: ResultsFrom,
}

/// How the results of `spec` travel, and its artifacts with them: as the operator wants it, where there can be
/// any.
pub(super) fn way(spec: &TaskSpec, wanted: ResultsFrom) -> ResultsFrom {
    if wanted == ResultsFrom::Message {
        return wanted;
    }
    let results =
        task_results(spec).next().is_some() || spec.steps.iter().any(|step| !step.results.is_empty());
    if results || leaves_artifacts(spec) {
        wanted
    } else {
        ResultsFrom::Message
    }
}

/// Whether any step names the file that artifacts are written to; variables are replaced by now.
fn leaves_artifacts(spec: &TaskSpec) -> bool {
    let file = format!("artifacts/{}", paths::PROVENANCE_FILE);
    serde_json::to_string(&spec.steps).is_ok_and(|text| text.contains(&file))
}

/// Those that steps write as the Task's.
fn task_results(spec: &TaskSpec) -> impl Iterator<Item = &str> {
    let own = spec.results.iter().filter(|result| result.value.is_none());
    own.map(|result| result.name.as_str())
}

/// The container, where results travel that way.
pub(super) fn container(input: &Input<'_>) -> Option<Container> {
    let ResultsFrom::Log { most } = input.from else {
        return None;
    };
    let steps = input.spec.steps.iter().enumerate();
    let with_results = steps.clone().filter(|(_, step)| !step.results.is_empty());
    let flags = LogResultsFlags {
        stop_file: paths::post_file(input.spec.steps.len().saturating_sub(1)),
        afterwards: match input.form {
            Form::Native => Afterwards::Stay,
            Form::Classic => Afterwards::End,
        },
        most,
        results: task_results(input.spec).map(str::to_owned).collect(),
        steps: with_results
            .map(|(index, step)| StepResults {
                container: names::container(&names::step_base(step, index)),
                directory: format!("{}/results", paths::metadata_dir(index)),
                names: step.results.iter().map(|result| result.name.clone()).collect(),
            })
            .collect(),
        artifacts: steps
            .map(|(index, step)| StepArtifacts {
                container: names::container(&names::step_base(step, index)),
                directory: format!("{}/artifacts", paths::metadata_dir(index)),
            })
            .collect(),
    };
    let mount = |name: &str, path: &str| VolumeMount {
        name: name.to_owned(),
        mount_path: path.to_owned(),
        read_only: Some(true),
        ..VolumeMount::default()
    };
    let mut mounts = vec![
        mount(volumes::RESULTS, paths::RESULTS_DIR),
        mount(volumes::ARTIFACTS, paths::ARTIFACTS_DIR),
    ];
    let runs = 0..input.spec.steps.len();
    mounts.extend(runs.map(|index| mount(&volumes::run_volume(index), &paths::run_dir(index))));
    Some(Container {
        name: log_results::CONTAINER.to_owned(),
        args: Some(flags.to_args()),
        volume_mounts: Some(mounts),
        restart_policy: (input.form == Form::Native).then(|| "Always".to_owned()),
        ..delivery::own_container(input.delivery, input.template)
    })
}
