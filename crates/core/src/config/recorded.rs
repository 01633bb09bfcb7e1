//! The flags as a run's status keeps them: which ones were in force when it ran (api.md 1.13). No I/O.

use serde_json::{Map, Value};

use super::{Data, boolean};

/// What `status.provenance.featureFlags` shows; nothing where it shall not be shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recorded(Option<Map<String, Value>>);

/// The name there of `keep-pod-on-cancel`.
pub const KEEP_POD: &str = "enableKeepPodOnCancel";

/// Switches: the flag, its name in the status, and what holds where it is not set.
const SWITCHES: [(&str, &str, bool); 18] = [
    ("disable-creds-init", "disableCredsInit", false),
    (
        "running-in-environment-with-injected-sidecars",
        "runningInEnvWithInjectedSidecars",
        true,
    ),
    (
        "require-git-ssh-secret-known-hosts",
        "requireGitSSHSecretKnownHosts",
        false,
    ),
    ("enable-tekton-oci-bundles", "enableTektonOCIBundles", false),
    ("send-cloudevents-for-runs", "sendCloudEventsForRuns", true),
    ("await-sidecar-readiness", "awaitSidecarReadiness", true),
    ("keep-pod-on-cancel", KEEP_POD, true),
    ("enable-provenance-in-status", "enableProvenanceInStatus", true),
    ("set-security-context", "setSecurityContext", true),
    (
        "set-security-context-read-only-root-filesystem",
        "setSecurityContextReadOnlyRootFilesystem",
        false,
    ),
    ("enable-cel-in-whenexpression", "enableCELInWhenExpression", false),
    ("enable-step-actions", "enableStepActions", true),
    ("enable-param-enum", "enableParamEnum", false),
    ("enable-artifacts", "enableArtifacts", false),
    (
        "enable-concise-resolver-syntax",
        "enableConciseResolverSyntax",
        false,
    ),
    ("enable-kubernetes-sidecar", "enableKubernetesSidecar", true),
    (
        "enable-wait-exponential-backoff",
        "enableWaitExponentialBackoff",
        false,
    ),
    (
        "enable-termination-message-compression",
        "enableTerminationMessageCompression",
        false,
    ),
];

/// The same for words.
const WORDS: [(&str, &str, &str); 6] = [
    ("enable-api-fields", "enableAPIFields", "beta"),
    ("enforce-nonfalsifiability", "enforceNonfalsifiability", "none"),
    (
        "trusted-resources-verification-no-match-policy",
        "verificationNoMatchPolicy",
        "ignore",
    ),
    ("results-from", "resultExtractionMethod", "termination-message"),
    ("coschedule", "coschedule", "workspaces"),
    ("disable-inline-spec", "disableInlineSpec", ""),
];

const MAX_RESULT_SIZE: i64 = 4096;

impl Recorded {
    /// What is kept of `data`, which has been read before.
    pub(super) fn of(data: &Data) -> Self {
        let switch = |key: &str, standard| data.get(key).and_then(|word| boolean(word)).unwrap_or(standard);
        if !switch("enable-provenance-in-status", true) {
            return Self(None);
        }
        let switches = SWITCHES
            .iter()
            .filter(|(key, _, standard)| switch(key, *standard));
        let switches = switches.map(|(_, name, _)| ((*name).to_owned(), Value::Bool(true)));
        let words = WORDS.iter().filter_map(|(key, name, standard)| {
            let word = data.get(*key).map_or(*standard, String::as_str);
            (!word.is_empty()).then(|| ((*name).to_owned(), Value::from(word.to_ascii_lowercase())))
        });
        let size = data.get("max-result-size").and_then(|size| size.parse().ok());
        let size = (
            "maxResultSize".to_owned(),
            Value::from(size.unwrap_or(MAX_RESULT_SIZE)),
        );
        Self(Some(switches.chain(words).chain([size]).collect()))
    }

    /// As the status shows it.
    pub fn shown(&self) -> Option<&Map<String, Value>> {
        self.0.as_ref()
    }
}

impl Default for Recorded {
    fn default() -> Self {
        Self::of(&Data::new())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_off_or_empty_is_left_out() {
        let of = |pairs: &[(&str, &str)]| {
            let data = pairs
                .iter()
                .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
            serde_json::to_value(Recorded::of(&data.collect()).shown()).unwrap()
        };
        assert_eq!(
            of(&[]),
            json!({
                "runningInEnvWithInjectedSidecars": true, "sendCloudEventsForRuns": true, "awaitSidecarReadiness": true,
                "enableKeepPodOnCancel": true, "enableProvenanceInStatus": true, "setSecurityContext": true,
                "enableStepActions": true, "enableKubernetesSidecar": true, "enableAPIFields": "beta",
                "enforceNonfalsifiability": "none", "verificationNoMatchPolicy": "ignore",
                "resultExtractionMethod": "termination-message", "coschedule": "workspaces", "maxResultSize": 4096,
            })
        );
        let changed = of(&[
            ("keep-pod-on-cancel", "false"),
            ("enable-api-fields", "ALPHA"),
            ("running-in-environment-with-injected-sidecars", "auto"),
            ("max-result-size", "8192"),
            ("enable-param-enum", "true"),
        ]);
        assert_eq!(changed["enableKeepPodOnCancel"], Value::Null);
        assert_eq!(changed["enableAPIFields"], "alpha");
        assert_eq!(changed["runningInEnvWithInjectedSidecars"], true);
        assert_eq!(changed["maxResultSize"], 8192);
        assert_eq!(changed["enableParamEnum"], true);
        assert_eq!(of(&[("enable-provenance-in-status", "false")]), Value::Null);
    }
}
