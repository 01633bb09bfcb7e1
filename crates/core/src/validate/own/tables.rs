//! What the API server wants of the types of core/v1 that users write, table by table. No I/O.

use std::sync::LazyLock;

use super::{
    forms::Form,
    schema::{
        Check::{self, Amount, AtMost, Form as F, Needs, NotEmpty, One, OneOf, Range},
        Schema, Table,
    },
};

const MODE: Check = Range(0, 0o777);
const ANY: i64 = i64::MAX;
const ID: Check = Range(0, 2_147_483_647);
const SECONDS: Check = Range(0, 2_147_483_647);
const PULL: Check = OneOf(&["Always", "IfNotPresent", "Never"]);

/// What stands behind a volume, or a workspace.
const SOURCES: Table = &[
    ("configMap.name", F(Form::Subdomain)),
    ("configMap.defaultMode", MODE),
    ("configMap.items[]", Needs(&["key", "path"])),
    ("configMap.items[].key", F(Form::ConfigKey)),
    ("configMap.items[].path", F(Form::InsidePath)),
    ("configMap.items[].mode", MODE),
    ("secret.secretName", F(Form::Subdomain)),
    ("secret.defaultMode", MODE),
    ("secret.items[]", Needs(&["key", "path"])),
    ("secret.items[].key", F(Form::ConfigKey)),
    ("secret.items[].path", F(Form::InsidePath)),
    ("secret.items[].mode", MODE),
    ("persistentVolumeClaim.claimName", F(Form::Subdomain)),
    ("emptyDir.medium", F(Form::Medium)),
    ("emptyDir.sizeLimit", Amount),
    ("csi.driver", F(Form::Subdomain)),
    ("csi.nodePublishSecretRef", Needs(&["name"])),
    ("projected.defaultMode", MODE),
    (
        "projected.sources[]",
        One(&[
            "secret",
            "configMap",
            "downwardAPI",
            "serviceAccountToken",
            "clusterTrustBundle",
            "podCertificate",
        ]),
    ),
    ("projected.sources[].secret", Needs(&["name"])),
    ("projected.sources[].secret.name", F(Form::Subdomain)),
    ("projected.sources[].secret.items[]", Needs(&["key", "path"])),
    ("projected.sources[].secret.items[].path", F(Form::InsidePath)),
    ("projected.sources[].configMap", Needs(&["name"])),
    ("projected.sources[].configMap.name", F(Form::Subdomain)),
    ("projected.sources[].configMap.items[]", Needs(&["key", "path"])),
    ("projected.sources[].configMap.items[].path", F(Form::InsidePath)),
    ("projected.sources[].serviceAccountToken", Needs(&["path"])),
    (
        "projected.sources[].serviceAccountToken.path",
        F(Form::InsidePath),
    ),
    (
        "projected.sources[].serviceAccountToken.expirationSeconds",
        Range(600, 1 << 32),
    ),
    ("projected.sources[].clusterTrustBundle", Needs(&["path"])),
    ("projected.sources[].downwardAPI.items[]", Needs(&["path"])),
    (
        "projected.sources[].downwardAPI.items[]",
        One(&["fieldRef", "resourceFieldRef"]),
    ),
    (
        "projected.sources[].downwardAPI.items[].path",
        F(Form::InsidePath),
    ),
    (
        "projected.sources[].downwardAPI.items[].fieldRef.fieldPath",
        F(Form::FileField),
    ),
];

/// What only volumes have, or have to have.
const VOLUME: Table = &[
    ("", Needs(&["name"])),
    ("name", F(Form::Label)),
    ("configMap", Needs(&["name"])),
    ("secret", Needs(&["secretName"])),
    ("persistentVolumeClaim", Needs(&["claimName"])),
    ("csi", Needs(&["driver"])),
    ("hostPath", Needs(&["path"])),
    ("hostPath.path", F(Form::NoParent)),
    (
        "hostPath.type",
        OneOf(&[
            "DirectoryOrCreate",
            "Directory",
            "FileOrCreate",
            "File",
            "Socket",
            "CharDevice",
            "BlockDevice",
        ]),
    ),
    ("nfs", Needs(&["server", "path"])),
    ("nfs.path", F(Form::AbsolutePath)),
    ("downwardAPI.defaultMode", MODE),
    ("downwardAPI.items[]", Needs(&["path"])),
    ("downwardAPI.items[]", One(&["fieldRef", "resourceFieldRef"])),
    ("downwardAPI.items[].path", F(Form::InsidePath)),
    ("downwardAPI.items[].fieldRef.fieldPath", F(Form::FileField)),
    (
        "downwardAPI.items[].resourceFieldRef",
        Needs(&["containerName", "resource"]),
    ),
    (
        "downwardAPI.items[].resourceFieldRef.resource",
        F(Form::ResourceField),
    ),
    ("ephemeral", Needs(&["volumeClaimTemplate"])),
    ("image", Needs(&["reference"])),
    ("image.reference", F(Form::Image)),
    ("image.pullPolicy", PULL),
    ("iscsi", Needs(&["targetPortal", "iqn"])),
    ("gitRepo", Needs(&["repository"])),
    ("awsElasticBlockStore", Needs(&["volumeID"])),
    ("gcePersistentDisk", Needs(&["pdName"])),
    ("rbd", Needs(&["monitors", "image"])),
    ("cephfs", Needs(&["monitors"])),
    ("glusterfs", Needs(&["endpoints", "path"])),
    ("azureFile", Needs(&["secretName", "shareName"])),
    ("azureDisk", Needs(&["diskName", "diskURI"])),
    ("cinder", Needs(&["volumeID"])),
    ("vsphereVolume", Needs(&["volumePath"])),
    ("flexVolume", Needs(&["driver"])),
];

/// A claim to be made.
const CLAIM: Table = &[
    ("metadata.name", F(Form::Subdomain)),
    ("metadata.labels{k}", F(Form::QualifiedName)),
    ("metadata.labels{}", F(Form::LabelValue)),
    ("metadata.annotations{k}", F(Form::QualifiedName)),
    ("", Needs(&["spec"])),
    ("spec", Needs(&["accessModes"])),
    (
        "spec.accessModes[]",
        OneOf(&[
            "ReadWriteOnce",
            "ReadOnlyMany",
            "ReadWriteMany",
            "ReadWriteOncePod",
        ]),
    ),
    ("spec.volumeMode", OneOf(&["Filesystem", "Block"])),
    ("spec.storageClassName", F(Form::Subdomain)),
    ("spec.resources.requests{}", Amount),
    ("spec.resources.limits{}", Amount),
    ("spec.selector.matchLabels{k}", F(Form::QualifiedName)),
    ("spec.selector.matchLabels{}", F(Form::LabelValue)),
    ("spec.dataSource", Needs(&["kind", "name"])),
];

const SECCOMP: &[&str] = &["Unconfined", "RuntimeDefault", "Localhost"];

/// Of every container: environment, and security.
const CONTAINER: Table = &[
    ("imagePullPolicy", PULL),
    ("env[].valueFrom.configMapKeyRef.name", F(Form::Subdomain)),
    ("env[].valueFrom.configMapKeyRef.key", F(Form::ConfigKey)),
    ("env[].valueFrom.secretKeyRef.name", F(Form::Subdomain)),
    ("env[].valueFrom.secretKeyRef.key", F(Form::ConfigKey)),
    ("env[].valueFrom.fieldRef.apiVersion", OneOf(&["v1"])),
    ("env[].valueFrom.fieldRef.fieldPath", F(Form::EnvField)),
    ("env[].valueFrom.resourceFieldRef", Needs(&["resource"])),
    (
        "env[].valueFrom.resourceFieldRef.resource",
        F(Form::ResourceField),
    ),
    ("envFrom[].prefix", F(Form::EnvPrefix)),
    ("envFrom[].configMapRef.name", F(Form::Subdomain)),
    ("envFrom[].secretRef.name", F(Form::Subdomain)),
    ("volumeMounts[]", Needs(&["name", "mountPath"])),
    ("volumeMounts[].subPath", F(Form::InsidePath)),
    ("volumeMounts[].subPathExpr", F(Form::InsidePath)),
    (
        "volumeMounts[].mountPropagation",
        OneOf(&["None", "HostToContainer", "Bidirectional"]),
    ),
    (
        "volumeMounts[].recursiveReadOnly",
        OneOf(&["Disabled", "IfPossible", "Enabled"]),
    ),
    ("volumeDevices[]", Needs(&["name", "devicePath"])),
    ("securityContext.runAsUser", ID),
    ("securityContext.runAsGroup", ID),
    ("securityContext.procMount", OneOf(&["Default", "Unmasked"])),
    ("securityContext.seccompProfile", Needs(&["type"])),
    ("securityContext.seccompProfile.type", OneOf(SECCOMP)),
    ("securityContext.appArmorProfile.type", OneOf(SECCOMP)),
    ("securityContext.capabilities.add[]", F(Form::Capability)),
    ("securityContext.capabilities.drop[]", F(Form::Capability)),
];

/// What only sidecars have.
const SIDECAR: Table = &[
    ("ports[].containerPort", Range(1, 65_535)),
    ("ports[].hostPort", Range(0, 65_535)),
    ("ports[].hostIP", F(Form::Ip)),
    ("ports[].name", F(Form::PortName)),
    ("ports[].protocol", OneOf(&["TCP", "UDP", "SCTP"])),
    ("restartPolicy", OneOf(&["Always", "OnFailure", "Never"])),
    (
        "terminationMessagePolicy",
        OneOf(&["File", "FallbackToLogsOnError"]),
    ),
    (
        "lifecycle.postStart",
        One(&["exec", "httpGet", "tcpSocket", "sleep"]),
    ),
    (
        "lifecycle.preStop",
        One(&["exec", "httpGet", "tcpSocket", "sleep"]),
    ),
    ("lifecycle.stopSignal", F(Form::Signal)),
    ("livenessProbe.successThreshold", Range(0, 1)),
    ("startupProbe.successThreshold", Range(0, 1)),
    ("livenessProbe.terminationGracePeriodSeconds", Range(1, ANY)),
    ("startupProbe.terminationGracePeriodSeconds", Range(1, ANY)),
];

/// What a probe or a hook does.
const HANDLER: Table = &[
    ("exec", Needs(&["command"])),
    ("httpGet.port", F(Form::Port)),
    ("httpGet.scheme", OneOf(&["HTTP", "HTTPS"])),
    ("httpGet.httpHeaders[].name", F(Form::Header)),
    ("tcpSocket.port", F(Form::Port)),
    ("sleep.seconds", SECONDS),
];

const PROBE: Table = &[
    ("", One(&["exec", "grpc", "httpGet", "tcpSocket"])),
    ("grpc.port", Range(1, 65_535)),
    ("initialDelaySeconds", SECONDS),
    ("periodSeconds", SECONDS),
    ("timeoutSeconds", SECONDS),
    ("successThreshold", SECONDS),
    ("failureThreshold", SECONDS),
];

const SELECTOR: Table = &[
    ("matchLabels{k}", F(Form::QualifiedName)),
    ("matchLabels{}", F(Form::LabelValue)),
    ("matchExpressions[].key", F(Form::QualifiedName)),
    (
        "matchExpressions[].operator",
        OneOf(&["In", "NotIn", "Exists", "DoesNotExist"]),
    ),
];

const NODE_TERM: Table = &[
    ("matchExpressions[].key", F(Form::QualifiedName)),
    (
        "matchExpressions[].operator",
        OneOf(&["In", "NotIn", "Exists", "DoesNotExist", "Gt", "Lt"]),
    ),
    ("matchFields[].key", OneOf(&["metadata.name"])),
    ("matchFields[].operator", OneOf(&["In", "NotIn"])),
];

/// A podTemplate.
const POD: Table = &[
    ("nodeSelector{k}", F(Form::QualifiedName)),
    ("nodeSelector{}", F(Form::LabelValue)),
    ("tolerations[].key", F(Form::QualifiedName)),
    ("tolerations[].value", F(Form::LabelValue)),
    ("tolerations[].operator", OneOf(&["Exists", "Equal", "Lt", "Gt"])),
    (
        "tolerations[].effect",
        OneOf(&["NoSchedule", "PreferNoSchedule", "NoExecute"]),
    ),
    (
        "topologySpreadConstraints[]",
        Needs(&["topologyKey", "whenUnsatisfiable"]),
    ),
    ("topologySpreadConstraints[].maxSkew", Range(1, ANY)),
    ("topologySpreadConstraints[].minDomains", Range(1, ANY)),
    ("topologySpreadConstraints[].topologyKey", F(Form::QualifiedName)),
    (
        "topologySpreadConstraints[].whenUnsatisfiable",
        OneOf(&["DoNotSchedule", "ScheduleAnyway"]),
    ),
    (
        "topologySpreadConstraints[].nodeAffinityPolicy",
        OneOf(&["Honor", "Ignore"]),
    ),
    (
        "topologySpreadConstraints[].nodeTaintsPolicy",
        OneOf(&["Honor", "Ignore"]),
    ),
    (
        "dnsPolicy",
        OneOf(&["ClusterFirst", "ClusterFirstWithHostNet", "Default", "None"]),
    ),
    ("dnsConfig.nameservers", AtMost(3)),
    ("dnsConfig.nameservers[]", F(Form::Ip)),
    ("dnsConfig.searches", AtMost(32)),
    ("dnsConfig.options[]", Needs(&["name"])),
    ("hostAliases[]", Needs(&["ip"])),
    ("hostAliases[].ip", F(Form::Ip)),
    ("hostAliases[].hostnames[]", F(Form::Subdomain)),
    ("imagePullSecrets[].name", F(Form::Subdomain)),
    ("runtimeClassName", F(Form::Subdomain)),
    ("priorityClassName", F(Form::Subdomain)),
    ("schedulerName", F(Form::Subdomain)),
    ("nodeName", F(Form::Subdomain)),
    ("serviceAccountName", F(Form::Subdomain)),
    ("preemptionPolicy", OneOf(&["Never", "PreemptLowerPriority"])),
    ("os.name", OneOf(&["linux"])),
    ("hostname", F(Form::Label)),
    ("subdomain", F(Form::Label)),
    ("securityContext.runAsUser", ID),
    ("securityContext.runAsGroup", ID),
    ("securityContext.fsGroup", ID),
    ("securityContext.supplementalGroups[]", ID),
    (
        "securityContext.fsGroupChangePolicy",
        OneOf(&["Always", "OnRootMismatch"]),
    ),
    (
        "securityContext.supplementalGroupsPolicy",
        OneOf(&["Merge", "Strict"]),
    ),
    (
        "securityContext.seLinuxChangePolicy",
        OneOf(&["MountOption", "Recursive"]),
    ),
    ("securityContext.sysctls[]", Needs(&["name"])),
    ("securityContext.sysctls[].name", F(Form::Sysctl)),
    ("securityContext.seccompProfile", Needs(&["type"])),
    ("securityContext.seccompProfile.type", OneOf(SECCOMP)),
    ("securityContext.appArmorProfile.type", OneOf(SECCOMP)),
    (
        "affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms",
        NotEmpty,
    ),
    (
        "affinity.nodeAffinity.preferredDuringSchedulingIgnoredDuringExecution[].weight",
        Range(1, 100),
    ),
    (
        "affinity.podAffinity.requiredDuringSchedulingIgnoredDuringExecution[]",
        Needs(&["topologyKey"]),
    ),
    (
        "affinity.podAntiAffinity.requiredDuringSchedulingIgnoredDuringExecution[]",
        Needs(&["topologyKey"]),
    ),
    (
        "affinity.podAffinity.preferredDuringSchedulingIgnoredDuringExecution[].weight",
        Range(1, 100),
    ),
    (
        "affinity.podAntiAffinity.preferredDuringSchedulingIgnoredDuringExecution[].weight",
        Range(1, 100),
    ),
    (
        "affinity.podAffinity.preferredDuringSchedulingIgnoredDuringExecution[].podAffinityTerm",
        Needs(&["topologyKey"]),
    ),
    (
        "affinity.podAntiAffinity.preferredDuringSchedulingIgnoredDuringExecution[].podAffinityTerm",
        Needs(&["topologyKey"]),
    ),
    ("env[].valueFrom.fieldRef.fieldPath", F(Form::EnvField)),
    (
        "env[].valueFrom.resourceFieldRef.resource",
        F(Form::ResourceField),
    ),
];

/// Volumes.
pub(super) static VOLUMES: LazyLock<Schema> =
    LazyLock::new(|| Schema::new(&[SOURCES, VOLUME]).with("ephemeral.volumeClaimTemplate", &[CLAIM]));

/// Workspaces that a TaskRun binds.
pub(super) static BINDINGS: LazyLock<Schema> =
    LazyLock::new(|| Schema::new(&[SOURCES]).with("volumeClaimTemplate", &[CLAIM]));

/// Steps, and what is merged into them.
pub(super) static STEPS: LazyLock<Schema> = LazyLock::new(|| Schema::new(&[CONTAINER]));

/// Sidecars.
pub(super) static SIDECARS: LazyLock<Schema> = LazyLock::new(|| {
    let mut schema = Schema::new(&[CONTAINER, SIDECAR]);
    for probe in ["livenessProbe", "readinessProbe", "startupProbe"] {
        schema = schema.with(probe, &[PROBE, HANDLER]);
    }
    schema
        .with("lifecycle.postStart", &[HANDLER])
        .with("lifecycle.preStop", &[HANDLER])
});

/// podTemplates.
pub(super) static PODS: LazyLock<Schema> = LazyLock::new(|| {
    let mut schema = Schema::new(&[POD]).with("topologySpreadConstraints[].labelSelector", &[SELECTOR]);
    for term in [
        "affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms[]",
        "affinity.nodeAffinity.preferredDuringSchedulingIgnoredDuringExecution[].preference",
    ] {
        schema = schema.with(term, &[NODE_TERM]);
    }
    for selector in [
        "affinity.podAffinity.requiredDuringSchedulingIgnoredDuringExecution[].labelSelector",
        "affinity.podAntiAffinity.requiredDuringSchedulingIgnoredDuringExecution[].labelSelector",
        "affinity.podAffinity.preferredDuringSchedulingIgnoredDuringExecution[].podAffinityTerm.labelSelector",
        "affinity.podAntiAffinity.preferredDuringSchedulingIgnoredDuringExecution[].podAffinityTerm.labelSelector",
    ] {
        schema = schema.with(selector, &[SELECTOR]);
    }
    schema.with("volumes[]", &[SOURCES, VOLUME])
});
