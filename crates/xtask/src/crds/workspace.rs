//! Workspaces: declared by a Task, bound by a TaskRun, used by a step (api.md 1.5).

use k8s_openapi::api::core::v1::{
    CSIVolumeSource, ConfigMapVolumeSource, EmptyDirVolumeSource, PersistentVolumeClaim,
    PersistentVolumeClaimVolumeSource, ProjectedVolumeSource, SecretVolumeSource,
};
use serde_json::{Value, json};

use super::core_types::core;
use super::schema::{boolean, list, object, open_object, string};

/// What a Task declares.
pub(super) fn declarations() -> Value {
    list(
        "Directories that a TaskRun puts a volume behind; every step sees them unless steps list them.",
        object(
            "One directory that the steps work in.",
            json!({
                "name": string("What variables call it, as in $(workspaces.name.path)."),
                "description": string("Tells users what the directory should hold."),
                "mountPath": string("Where steps find it; /workspace/ and the name unless said otherwise."),
                "readOnly": boolean("Whether the steps can only read it."),
                "optional": boolean("Whether a TaskRun may leave it out; $(workspaces.name.bound) then says false."),
            }),
        ),
    )
}

/// What a TaskRun puts behind them.
pub(super) fn bindings() -> Value {
    let mut claim = core::<PersistentVolumeClaim>(
        "A claim made for this run alone and deleted with it; its spec says size and class.",
    );
    claim["properties"]["status"] = open_object("Means nothing here.");
    list(
        "The volumes behind the Task's workspaces, each with one source.",
        object(
            "One workspace with the volume behind it: a name and exactly one source.",
            json!({
                "name": string("The workspace as the Task declares it."),
                "subPath": string("A directory inside the volume to show instead of its root."),
                "volumeClaimTemplate": claim,
                "persistentVolumeClaim": core::<PersistentVolumeClaimVolumeSource>(
                    "A claim that exists in the run's namespace, for data that outlives the run."),
                "emptyDir": core::<EmptyDirVolumeSource>("An empty directory that ends with the Pod."),
                "configMap": core::<ConfigMapVolumeSource>("The keys of a ConfigMap as files."),
                "secret": core::<SecretVolumeSource>("The keys of a Secret as files."),
                "projected": core::<ProjectedVolumeSource>("Several sources in one directory."),
                "csi": core::<CSIVolumeSource>("A volume that a CSI driver makes for the Pod."),
            }),
        ),
    )
}

/// What a step or sidecar lists.
pub(super) fn usages() -> Value {
    list(
        "Workspaces for this container: whatever any container lists is hidden from those that do not.",
        object(
            "One workspace of the Task.",
            json!({
                "name": string("The workspace as the Task declares it."),
                "mountPath": string("Where this container finds it, if not where the Task says."),
            }),
        ),
    )
}
