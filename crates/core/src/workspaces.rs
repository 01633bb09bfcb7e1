//! Workspaces of a run: whether what is bound fits what is declared, and which volumes and mounts
//! come of it (api.md 1.5, runtime.md 1.14).

use std::collections::HashSet;

use k8s_openapi::api::core::v1::{
    PersistentVolumeClaim, PersistentVolumeClaimVolumeSource, Volume, VolumeMount,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use tektite_api::{TaskRun, TaskSpec, WorkspaceBinding, WorkspaceDeclaration};

use crate::{config::Coschedule, names, names::VolumeNames};

/// Why a run's workspaces do not fit its Task.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WorkspaceError {
    /// A binding without a source, or with several.
    #[error("binding \"{name}\" is invalid: expected exactly one, got {got}: {paths}")]
    NotOneSource {
        /// The workspace.
        name: String,
        /// `neither` or `both`.
        got: &'static str,
        /// The sources that it may have.
        paths: &'static str,
    },
    /// A workspace that the Task needs.
    #[error("declared workspace \"{0}\" is required but has not been bound")]
    Unbound(String),
    /// A binding for nothing.
    #[error("workspace binding \"{0}\" does not match any declared workspace")]
    Undeclared(String),
    /// Two claims might lie on different nodes.
    #[error("more than one PersistentVolumeClaim is bound")]
    SeveralClaims,
}

/// A binding whose claim, if it had only a template, has a name, together with the Pod's volume.
#[derive(Clone, Debug, PartialEq)]
pub struct Bound {
    /// What is bound, a claim template replaced by its claim.
    pub binding: WorkspaceBinding,
    /// The name of the Pod's volume.
    pub volume: String,
    /// The claim to make, where the run brought a template.
    pub claim: Option<PersistentVolumeClaim>,
}

const SOURCES: &str =
    "configmap, csi, emptydir, persistentvolumeclaim, projected, secret, volumeclaimtemplate";

/// Declares the workspaces that an inline spec uses without saying so.
pub fn propagate(spec: &mut TaskSpec, run: &TaskRun) {
    let mut declared: HashSet<String> = spec.workspaces.iter().map(|one| one.name.clone()).collect();
    for binding in &run.spec.workspaces {
        if declared.insert(binding.name.clone()) {
            let name = binding.name.clone();
            spec.workspaces.push(WorkspaceDeclaration {
                name,
                ..WorkspaceDeclaration::default()
            });
        }
    }
}

/// Binds what the Task needs and the run leaves unbound to what the operator has for that.
pub fn bind_by_default(run: &mut TaskRun, spec: &TaskSpec, default: &WorkspaceBinding) {
    let bound: HashSet<String> = run.spec.workspaces.iter().map(|one| one.name.clone()).collect();
    let declared = spec.workspaces.iter();
    let open = declared.filter(|declared| !declared.optional && !bound.contains(&declared.name));
    run.spec.workspaces.extend(open.map(|declared| WorkspaceBinding {
        name: declared.name.clone(),
        ..default.clone()
    }));
}

/// Checks the run's bindings against the declarations.
///
/// # Errors
/// See [`WorkspaceError`]; the first one counts.
pub fn check(spec: &TaskSpec, run: &TaskRun, coschedule: Coschedule) -> Result<(), WorkspaceError> {
    let bindings = &run.spec.workspaces;
    for binding in bindings {
        let sources = [
            binding.volume_claim_template.is_some(),
            binding.persistent_volume_claim.is_some(),
            binding.empty_dir.is_some(),
            binding.config_map.is_some(),
            binding.secret.is_some(),
            binding.projected.is_some(),
            binding.csi.is_some(),
        ];
        let count = sources.into_iter().filter(|set| *set).count();
        if count != 1 {
            return Err(WorkspaceError::NotOneSource {
                name: binding.name.clone(),
                got: if count == 0 { "neither" } else { "both" },
                paths: SOURCES,
            });
        }
    }
    let bound: HashSet<&str> = bindings.iter().map(|binding| binding.name.as_str()).collect();
    for declared in spec.workspaces.iter().filter(|declared| !declared.optional) {
        if !bound.contains(declared.name.as_str()) {
            return Err(WorkspaceError::Unbound(declared.name.clone()));
        }
    }
    let declared: HashSet<&str> = spec
        .workspaces
        .iter()
        .map(|declared| declared.name.as_str())
        .collect();
    for binding in bindings {
        if !declared.contains(binding.name.as_str()) {
            return Err(WorkspaceError::Undeclared(binding.name.clone()));
        }
    }
    if coschedule == Coschedule::Workspaces && claims(bindings).len() > 1 {
        return Err(WorkspaceError::SeveralClaims);
    }
    Ok(())
}

/// The different claims that bindings need, those to be made by their workspace's name.
pub(crate) fn claims(bindings: &[WorkspaceBinding]) -> Vec<&str> {
    let mut claims: Vec<&str> = bindings
        .iter()
        .filter_map(
            |binding| match (&binding.persistent_volume_claim, &binding.volume_claim_template) {
                (Some(claim), _) => Some(claim.claim_name.as_str()),
                (None, Some(_)) => Some(binding.name.as_str()),
                (None, None) => None,
            },
        )
        .collect();
    claims.sort_unstable();
    claims.dedup();
    claims
}

/// Names volumes and claims for the bindings, whose variables have been replaced.
pub fn bind(bindings: &[WorkspaceBinding], run: &TaskRun, owner: &OwnerReference) -> Vec<Bound> {
    let mut volume_names = VolumeNames::workspaces();
    let mut bound: Vec<Bound> = Vec::with_capacity(bindings.len());
    for binding in bindings {
        let mut binding = binding.clone();
        let claim = binding.volume_claim_template.take().map(|template| {
            let mut claim = template;
            let name = names::claim(claim.metadata.name.as_deref(), &binding.name, run.uid());
            claim.metadata.name = Some(name.clone());
            claim.metadata.namespace = Some(run.namespace().to_owned());
            claim.metadata.owner_references = Some(vec![owner.clone()]);
            claim.status = None;
            binding.persistent_volume_claim = Some(PersistentVolumeClaimVolumeSource {
                claim_name: name,
                read_only: None,
            });
            claim
        });
        let claim_name = |binding: &WorkspaceBinding| {
            binding
                .persistent_volume_claim
                .as_ref()
                .map(|source| source.claim_name.clone())
        };
        // One claim is one volume, however many workspaces lie on it.
        let known = bound.iter().find(|other| {
            claim_name(&binding).is_some() && claim_name(&other.binding) == claim_name(&binding)
        });
        let volume = known.map_or_else(|| volume_names.next(&binding.name), |other| other.volume.clone());
        bound.push(Bound {
            binding,
            volume,
            claim,
        });
    }
    bound
}

/// The Pod's volumes for the bindings, each once.
pub fn volumes(bound: &[Bound]) -> Vec<Volume> {
    let mut volumes: Vec<Volume> = Vec::new();
    for Bound { binding, volume, .. } in bound {
        if volumes.iter().any(|known| known.name == *volume) {
            continue;
        }
        volumes.push(Volume {
            name: volume.clone(),
            persistent_volume_claim: binding.persistent_volume_claim.clone(),
            empty_dir: binding.empty_dir.clone(),
            config_map: binding.config_map.clone(),
            secret: binding.secret.clone(),
            projected: binding.projected.clone(),
            csi: binding.csi.clone(),
            ..Volume::default()
        });
    }
    volumes
}

/// Adds the mounts: to the containers that list a workspace where any does, else to all steps
/// (through the step template) and to the sidecars that have nothing at that path.
pub fn mount(spec: &mut TaskSpec, bound: &[Bound]) {
    for Bound { binding, volume, .. } in bound {
        let Some(declared) = spec
            .workspaces
            .iter()
            .find(|declared| declared.name == binding.name)
        else {
            continue;
        };
        let path = declared.path();
        let read_only = declared.read_only.then_some(true);
        let mount = |path: &str| VolumeMount {
            name: volume.clone(),
            mount_path: path.to_owned(),
            sub_path: Some(binding.sub_path.clone()).filter(|path| !path.is_empty()),
            read_only,
            ..VolumeMount::default()
        };
        let mut isolated = false;
        let steps = spec
            .steps
            .iter_mut()
            .map(|step| (&step.workspaces, &mut step.volume_mounts));
        let sidecars = spec
            .sidecars
            .iter_mut()
            .map(|sidecar| (&sidecar.workspaces, &mut sidecar.volume_mounts));
        for (usages, mounts) in steps.chain(sidecars) {
            for usage in usages.iter().filter(|usage| usage.name == binding.name) {
                isolated = true;
                mounts.push(mount(if usage.mount_path.is_empty() {
                    &path
                } else {
                    &usage.mount_path
                }));
            }
        }
        if isolated {
            continue;
        }
        spec.step_template
            .get_or_insert_default()
            .volume_mounts
            .push(mount(&path));
        for sidecar in &mut spec.sidecars {
            if sidecar.volume_mounts.iter().all(|known| known.mount_path != path) {
                sidecar.volume_mounts.push(mount(&path));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn run(workspaces: serde_json::Value) -> TaskRun {
        serde_json::from_value(json!({
            "metadata": {"name": "tr", "namespace": "ns", "uid": "11111111-2222-3333-4444-555555555555"},
            "spec": {"workspaces": workspaces},
        }))
        .unwrap()
    }

    fn spec(value: serde_json::Value) -> TaskSpec {
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn bindings_that_do_not_fit() {
        let declared = json!({"workspaces": [{"name": "w"}, {"name": "opt", "optional": true}]});
        for (bindings, text) in [
            (
                json!([]),
                "declared workspace \"w\" is required but has not been bound",
            ),
            (
                json!([{"name": "w", "emptyDir": {}}, {"name": "x", "emptyDir": {}}]),
                "workspace binding \"x\" does not match any declared workspace",
            ),
            (
                json!([{"name": "w"}]),
                "binding \"w\" is invalid: expected exactly one, got neither: ",
            ),
            (
                json!([{"name": "w", "emptyDir": {}, "secret": {"secretName": "s"}}]),
                "binding \"w\" is invalid: expected exactly one, got both: ",
            ),
            (
                json!([
                    {"name": "w", "persistentVolumeClaim": {"claimName": "a"}},
                    {"name": "opt", "volumeClaimTemplate": {"spec": {}}},
                ]),
                "more than one PersistentVolumeClaim is bound",
            ),
        ] {
            let error = check(&spec(declared.clone()), &run(bindings), Coschedule::Workspaces).unwrap_err();
            assert!(error.to_string().starts_with(text), "{error}");
        }
        let same = json!([
            {"name": "w", "persistentVolumeClaim": {"claimName": "a"}},
            {"name": "opt", "persistentVolumeClaim": {"claimName": "a"}},
        ]);
        assert_eq!(check(&spec(declared), &run(same), Coschedule::Workspaces), Ok(()));
    }

    #[test]
    fn one_claim_is_one_volume_and_templates_become_claims() {
        let run = run(json!([
            {"name": "source", "persistentVolumeClaim": {"claimName": "a"}, "subPath": "x"},
            {"name": "cache", "persistentVolumeClaim": {"claimName": "a"}},
            {"name": "data", "volumeClaimTemplate": {"metadata": {"labels": {"l": "v"}}, "spec": {}}},
        ]));
        let bound = bind(&run.spec.workspaces, &run, &OwnerReference::default());
        let volumes: Vec<_> = volumes(&bound).into_iter().map(|volume| volume.name).collect();
        assert_eq!(volumes, ["ws-1bcf2", "ws-d872e"]);
        let claim = bound[2].claim.as_ref().unwrap();
        assert_eq!(claim.metadata.name.as_deref(), Some("pvc-9fde4a2444"));
        assert_eq!(
            bound[2]
                .binding
                .persistent_volume_claim
                .as_ref()
                .unwrap()
                .claim_name,
            "pvc-9fde4a2444"
        );
    }

    #[test]
    fn mounts_are_shared_or_isolated() {
        let run = run(json!([{"name": "w", "emptyDir": {}, "subPath": "d"}, {"name": "v", "emptyDir": {}}]));
        let mut spec = spec(json!({
            "workspaces": [{"name": "w", "readOnly": true}, {"name": "v"}],
            "steps": [{"name": "a", "workspaces": [{"name": "v", "mountPath": "/own"}]}, {"name": "b"}],
            "sidecars": [{"name": "s", "volumeMounts": [{"name": "x", "mountPath": "/workspace/w"}]}, {"name": "t"}],
        }));
        let bound = bind(&run.spec.workspaces, &run, &OwnerReference::default());
        mount(&mut spec, &bound);
        let shared = &spec.step_template.as_ref().unwrap().volume_mounts;
        assert_eq!(shared.len(), 1);
        assert_eq!(shared[0].mount_path, "/workspace/w");
        assert_eq!(
            (shared[0].read_only, shared[0].sub_path.as_deref()),
            (Some(true), Some("d"))
        );
        assert_eq!(spec.steps[0].volume_mounts[0].mount_path, "/own");
        assert!(spec.steps[1].volume_mounts.is_empty());
        assert_eq!(spec.sidecars[0].volume_mounts.len(), 1);
        assert_eq!(spec.sidecars[1].volume_mounts[0].mount_path, "/workspace/w");
    }

    #[test]
    fn inline_specs_need_not_declare() {
        let mut spec = spec(json!({}));
        propagate(&mut spec, &run(json!([{"name": "w", "emptyDir": {}}])));
        assert_eq!(spec.workspaces[0].path(), "/workspace/w");
    }
}
