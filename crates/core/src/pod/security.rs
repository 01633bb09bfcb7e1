//! Security contexts of the user's containers, where the operator wants them filled in
//! (`step-security-context`, departures.md).
//!
//! What a user writes stands, and what would contradict it is left out: such a container does not pass
//! the `restricted` level, and says so in the API server's words.

use k8s_openapi::api::core::v1::{Capabilities, Container, PodSecurityContext, SeccompProfile};

/// Fills in what the `restricted` level of Pod security asks of a container and neither it nor its Pod
/// says.
pub(super) fn restrict(container: &mut Container, pod: Option<&PodSecurityContext>) {
    let context = container.security_context.get_or_insert_default();
    let capabilities = context.capabilities.get_or_insert_default();
    let added = capabilities.add.iter().flatten();
    let is_admin = added
        .map(|added| added.trim_start_matches("CAP_"))
        .any(|added| matches!(added, "SYS_ADMIN" | "ALL"));
    let is_privileged = context.privileged == Some(true);
    // The API server refuses the contradiction for any namespace.
    if context.allow_privilege_escalation.is_none() && !is_privileged && !is_admin {
        context.allow_privilege_escalation = Some(false);
    }
    if capabilities.drop.is_none() && !is_privileged {
        capabilities.drop = Some(vec!["ALL".to_owned()]);
    }
    if *capabilities == Capabilities::default() {
        context.capabilities = None;
    }
    let user = context.run_as_user.or_else(|| pod?.run_as_user);
    let said = context.run_as_non_root.or_else(|| pod?.run_as_non_root);
    if said.is_none() && user != Some(0) {
        context.run_as_non_root = Some(true);
    }
    if context.seccomp_profile.is_none() && pod.is_none_or(|pod| pod.seccomp_profile.is_none()) {
        context.seccomp_profile = Some(SeccompProfile {
            type_: "RuntimeDefault".to_owned(),
            ..SeccompProfile::default()
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn restricted(own: Value, pod: Value) -> Value {
        let mut container: Container =
            serde_json::from_value(json!({"name": "c", "securityContext": own})).unwrap();
        let pod: Option<PodSecurityContext> = serde_json::from_value(pod).unwrap();
        restrict(&mut container, pod.as_ref());
        serde_json::to_value(container.security_context).unwrap()
    }

    #[test]
    fn what_is_not_said_is_filled_in() {
        let everything = json!({
            "allowPrivilegeEscalation": false,
            "capabilities": {"drop": ["ALL"]},
            "runAsNonRoot": true,
            "seccompProfile": {"type": "RuntimeDefault"},
        });
        assert_eq!(restricted(Value::Null, Value::Null), everything);
        let pod = json!({"runAsNonRoot": true, "runAsUser": 1000, "seccompProfile": {"type": "Localhost", "localhostProfile": "p"}});
        assert_eq!(
            restricted(json!({}), pod),
            json!({"allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}})
        );
    }

    #[test]
    fn what_is_said_stands() {
        for (own, pod, expected) in [
            (
                json!({"privileged": true}),
                Value::Null,
                json!({"privileged": true, "runAsNonRoot": true, "seccompProfile": {"type": "RuntimeDefault"}}),
            ),
            (
                json!({"capabilities": {"add": ["CAP_SYS_ADMIN"], "drop": ["NET_RAW"]}, "runAsUser": 0,
                    "seccompProfile": {"type": "Unconfined"}}),
                Value::Null,
                json!({"capabilities": {"add": ["CAP_SYS_ADMIN"], "drop": ["NET_RAW"]}, "runAsUser": 0,
                    "seccompProfile": {"type": "Unconfined"}}),
            ),
            (
                json!({"allowPrivilegeEscalation": true, "runAsNonRoot": false,
                    "capabilities": {"add": ["NET_BIND_SERVICE"]}}),
                json!({"seccompProfile": {"type": "RuntimeDefault"}}),
                json!({"allowPrivilegeEscalation": true, "runAsNonRoot": false,
                    "capabilities": {"add": ["NET_BIND_SERVICE"], "drop": ["ALL"]}}),
            ),
            (
                json!({}),
                json!({"runAsUser": 0, "seccompProfile": {"type": "RuntimeDefault"}}),
                json!({"allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}}),
            ),
        ] {
            assert_eq!(restricted(own.clone(), pod), expected, "{own}");
        }
    }
}
