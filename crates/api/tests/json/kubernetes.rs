//! JSON of the core types that stand inside of ours: a few of each kind are enough, their own crate
//! tests the rest.

use k8s_openapi::api::core::v1::PodSpec;
use proptest::{collection, prelude::*, sample::select};
use serde_json::{Value, json};
use tektite_api::decode::fields_of;

use super::{Field, Json, any_of, any_text};

pub(crate) fn metadata() -> Json {
    any_of(vec![
        json!({}),
        json!({"name": "n", "namespace": "ns", "uid": "u", "resourceVersion": "7", "generation": 2,
            "creationTimestamp": "2026-01-02T03:04:05Z", "labels": {"a/b": ""}, "annotations": {"c": "{}"},
            "finalizers": ["f"], "ownerReferences": [{"apiVersion": "v1", "kind": "Pod", "name": "p", "uid": "x",
            "controller": true, "blockOwnerDeletion": false}],
            "managedFields": [{"manager": "m", "fieldsV1": {"f:spec": {".": {}}}}]}),
    ])
}

/// Amounts as people write them; they are kept to the letter.
fn quantity() -> Json {
    select(
        [
            "0", "1", "1.5", "500m", "1Gi", "1.50Gi", "1e3", "1E3", "-1", ".5", "1_000", "", "100n",
        ]
        .map(Value::from)
        .to_vec(),
    )
    .boxed()
}

pub(crate) fn resources() -> Json {
    let amounts = collection::btree_map(
        select(vec![
            "cpu".to_owned(),
            "memory".to_owned(),
            "example.com/x".to_owned(),
        ]),
        quantity(),
        0..3,
    );
    prop_oneof![
        Just(json!({})),
        Just(json!({"claims": [{"name": "c", "request": "r"}]})),
        amounts.clone().prop_map(|amounts| json!({"limits": amounts})),
        amounts.prop_map(|amounts| json!({"requests": amounts, "limits": amounts})),
    ]
    .boxed()
}

pub(crate) fn env() -> Json {
    let plain = (any_text(), any_text()).prop_map(|(name, value)| json!({"name": name, "value": value}));
    let others = any_of(vec![
        json!({"name": "A"}),
        json!({"name": "A", "valueFrom": {"secretKeyRef": {"key": "k", "name": "s", "optional": true}}}),
        json!({"name": "A", "valueFrom": {"configMapKeyRef": {"key": "k", "name": "c"}}}),
        json!({"name": "A", "valueFrom": {"fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.name"}}}),
        json!({"name": "A", "valueFrom": {"resourceFieldRef": {"resource": "limits.cpu", "divisor": "1m"}}}),
    ]);
    prop_oneof![plain, others].boxed()
}

pub(crate) fn env_from() -> Json {
    any_of(vec![
        json!({"configMapRef": {"name": "c"}}),
        json!({"prefix": "P_", "secretRef": {"name": "s", "optional": false}}),
    ])
}

pub(crate) fn mount() -> Json {
    let plain = (any_text(), any_text()).prop_map(|(name, path)| json!({"name": name, "mountPath": path}));
    let full = any_of(vec![
        json!({"name": "v", "mountPath": "/m", "subPath": "s", "subPathExpr": "e",
        "readOnly": true, "recursiveReadOnly": "Enabled", "mountPropagation": "None"}),
    ]);
    prop_oneof![plain, full].boxed()
}

pub(crate) fn device() -> Json {
    any_of(vec![json!({"name": "v", "devicePath": "/dev/x"})])
}

pub(crate) fn security() -> Json {
    any_of(vec![
        json!({}),
        json!({"runAsUser": 0, "runAsNonRoot": false, "privileged": true, "procMount": "Default",
            "capabilities": {"add": ["SYS_ADMIN"], "drop": []}, "seLinuxOptions": {"level": "l"},
            "seccompProfile": {"type": "Localhost", "localhostProfile": "p"},
            "appArmorProfile": {"type": "RuntimeDefault"}, "windowsOptions": {"hostProcess": false}}),
    ])
}

pub(crate) fn port() -> Json {
    any_of(vec![
        json!({"containerPort": 80}),
        json!({"containerPort": -1, "hostIP": "1.2.3.4", "hostPort": 8080, "name": "p", "protocol": "UDP"}),
    ])
}

pub(crate) fn probe() -> Json {
    any_of(vec![
        json!({}),
        json!({"httpGet": {"port": 8080, "path": "/", "httpHeaders": [{"name": "a", "value": "b"}]}}),
        json!({"httpGet": {"port": "named", "scheme": "HTTPS"}, "periodSeconds": 1, "timeoutSeconds": 2}),
        json!({"exec": {"command": ["c"]}, "failureThreshold": 0}),
        json!({"tcpSocket": {"port": 1}, "terminationGracePeriodSeconds": 5}),
        json!({"grpc": {"port": 1, "service": "s"}, "initialDelaySeconds": -1, "successThreshold": 1}),
    ])
}

pub(crate) fn lifecycle() -> Json {
    any_of(vec![
        json!({}),
        json!({"postStart": {"exec": {"command": ["c"]}}, "preStop": {"sleep": {"seconds": 5}}, "stopSignal": "SIGHUP"}),
    ])
}

pub(crate) fn volume() -> Json {
    any_of(vec![
        json!({"name": ""}),
        json!({"name": "v", "emptyDir": {"medium": "Memory", "sizeLimit": "1.50Gi"}}),
        json!({"name": "v", "configMap": {"name": "c", "defaultMode": 420, "items": [{"key": "k", "path": "p", "mode": 1}]}}),
        json!({"name": "v", "secret": {"secretName": "s", "optional": true}}),
        json!({"name": "v", "persistentVolumeClaim": {"claimName": "c", "readOnly": true}}),
        json!({"name": "v", "hostPath": {"path": "/", "type": ""}}),
        json!({"name": "v", "image": {"reference": "i", "pullPolicy": "Always"}}),
        json!({"name": "v", "ephemeral": {"volumeClaimTemplate": {"metadata": {}, "spec": {"accessModes": ["x"]}}}}),
        json!({"name": "v", "csi": {"driver": "d", "volumeAttributes": {"a": "$(params.a)"}}}),
        json!({"name": "v", "projected": {"sources": [{"serviceAccountToken": {"path": "p", "audience": "a",
            "expirationSeconds": 600}}, {"downwardAPI": {"items": [{"path": "p", "fieldRef": {"fieldPath": "f"}}]}}]}}),
    ])
}

pub(crate) fn workspace_sources() -> Vec<Field> {
    vec![
        (
            "volumeClaimTemplate",
            any_of(vec![
                json!({"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {}}),
                json!({"apiVersion": "v1", "kind": "PersistentVolumeClaim",
                    "metadata": {"name": "c", "labels": {"a": "b"}},
                    "spec": {"accessModes": ["ReadWriteOnce"], "storageClassName": "",
                        "resources": {"requests": {"storage": "1.5Gi"}}}}),
            ]),
        ),
        (
            "persistentVolumeClaim",
            any_of(vec![
                json!({"claimName": ""}),
                json!({"claimName": "c", "readOnly": false}),
            ]),
        ),
        ("emptyDir", any_of(vec![json!({}), json!({"sizeLimit": "1e3"})])),
        (
            "configMap",
            any_of(vec![json!({"name": "c"}), json!({"name": "c", "items": []})]),
        ),
        ("secret", any_of(vec![json!({}), json!({"secretName": "s"})])),
        (
            "projected",
            any_of(vec![json!({}), json!({"sources": [{"secret": {"name": "s"}}]})]),
        ),
        (
            "csi",
            any_of(vec![
                json!({"driver": "d", "fsType": "ext4", "nodePublishSecretRef": {"name": "s"}}),
            ]),
        ),
    ]
}

/// Every field of a Pod's spec that a podTemplate may have, and those that it is refused for.
fn pod_fields() -> Vec<(&'static str, Value)> {
    vec![
        ("activeDeadlineSeconds", json!(5)),
        (
            "affinity",
            json!({"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms":
                [{"matchExpressions": [{"key": "k", "operator": "In", "values": ["v"]}]}]}},
                "podAntiAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": [{"weight": 1,
                "podAffinityTerm": {"topologyKey": "t", "labelSelector": {"matchLabels": {"a": "b"}}}}]}}),
        ),
        ("automountServiceAccountToken", json!(false)),
        ("containers", json!([{"name": "c"}])),
        (
            "dnsConfig",
            json!({"nameservers": ["1.2.3.4"], "options": [{"name": "ndots", "value": "5"}]}),
        ),
        ("dnsPolicy", json!("None")),
        ("enableServiceLinks", json!(false)),
        ("ephemeralContainers", json!([{"name": "e"}])),
        (
            "evictionResponders",
            json!([{"name": "example.com/e", "priority": 7}]),
        ),
        ("hostAliases", json!([{"ip": "1.2.3.4", "hostnames": ["h"]}])),
        ("hostIPC", json!(true)),
        ("hostNetwork", json!(false)),
        ("hostPID", json!(true)),
        ("hostUsers", json!(false)),
        ("hostname", json!("h")),
        ("hostnameOverride", json!("o")),
        ("imagePullSecrets", json!([{"name": "s"}])),
        ("initContainers", json!([{"name": "i"}])),
        ("nodeName", json!("n")),
        ("nodeSelector", json!({"a": "b"})),
        ("os", json!({"name": "linux"})),
        ("overhead", json!({"cpu": "1.50"})),
        ("preemptionPolicy", json!("Never")),
        ("priority", json!(-5)),
        ("priorityClassName", json!("p")),
        ("readinessGates", json!([{"conditionType": "c"}])),
        ("resourceClaims", json!([{"name": "c", "resourceClaimName": "r"}])),
        ("resources", json!({"limits": {"cpu": "1"}})),
        ("restartPolicy", json!("Always")),
        ("runtimeClassName", json!("r")),
        ("schedulerName", json!("s")),
        ("schedulingGates", json!([{"name": "g"}])),
        ("schedulingGroup", json!({"podGroupName": "g"})),
        (
            "securityContext",
            json!({"runAsUser": 1001, "fsGroup": 0, "sysctls": [{"name": "n", "value": "v"}]}),
        ),
        ("serviceAccount", json!("a")),
        ("serviceAccountName", json!("a")),
        ("setHostnameAsFQDN", json!(true)),
        ("shareProcessNamespace", json!(true)),
        ("subdomain", json!("s")),
        ("terminationGracePeriodSeconds", json!(0)),
        (
            "tolerations",
            json!([{"key": "k", "operator": "Exists", "effect": "NoSchedule", "tolerationSeconds": 5}]),
        ),
        (
            "topologySpreadConstraints",
            json!([{"maxSkew": 1, "topologyKey": "t", "whenUnsatisfiable": "DoNotSchedule"}]),
        ),
        ("volumes", json!([{"name": "v", "emptyDir": {}}])),
    ]
}

pub(crate) fn pod_template() -> Json {
    let fields = pod_fields();
    let mut named: Vec<&str> = fields.iter().map(|(name, _)| *name).collect();
    let mut there = fields_of::<PodSpec>().to_vec();
    named.sort_unstable();
    there.sort_unstable();
    assert_eq!(
        named, there,
        "the fields of a Pod's spec and those that are generated"
    );
    let fields = fields
        .into_iter()
        .map(|(name, value)| (name, Just(value).boxed()));
    let env = collection::vec(env(), 1..3).prop_map(Value::from).boxed();
    let all: Vec<_> = fields
        .chain([("env", env)])
        .map(|(name, value)| {
            proptest::option::weighted(0.15, value)
                .prop_map(move |value| Some((name.to_owned(), value?)))
                .boxed()
        })
        .collect();
    all.prop_map(|fields| Value::Object(fields.into_iter().flatten().collect()))
        .boxed()
}
