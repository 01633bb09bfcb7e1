//! What a run's account means for its life: when it is read, how long one that is missing is waited
//! for, and what is said about Secrets that nobody made (runtime.md 1.13).

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use tektite_api::{TaskRun, task_run::RequestedStatus};

use super::{Event, Fetched, Severity, wanted::is_held};
use crate::{account::Account, config::Config, defaults, params, pod, resolve, substitute};

/// How long an account may be missing. A new namespace gets its own a moment later, and objects that
/// are applied together come in any order.
const GRACE_SECONDS: i64 = 10;

/// The account that the controller has to fetch for a run without a Pod, with the defaults that the run
/// will have. Its name may be a param's value, and so depend on the Task.
pub fn wanted_account(run: &TaskRun, fetched: &Fetched, config: &Config) -> Option<String> {
    let status = run.status.as_ref();
    let has_pod = status.is_some_and(|status| !status.pod_name.is_empty());
    let needs_none = run.is_done() || run.spec.status == RequestedStatus::Cancelled || is_held(run, status);
    if has_pod || needs_none || config.flags.creds_init_disabled {
        return None;
    }
    let mut run = run.clone();
    defaults::task_run(&mut run, config);
    let mut template = run.spec.pod_template.take().unwrap_or_default();
    let names = [&template.pod.service_account_name, &template.pod.service_account];
    if names.into_iter().flatten().any(|name| name.contains("$(")) {
        // Without a spec there will be no Pod.
        let resolved = resolve::resolve(&run, fetched).ok()?;
        let table = params::table(&resolved.spec, &run);
        substitute::pod_template(&mut template, &substitute::binding_variables(&table));
    }
    Some(pod::service_account(&run, &template, config)).filter(|name| !name.is_empty())
}

/// What the run waits for, while its account may still come.
pub(super) fn awaited(account: &Account, started: Option<&Time>, now: Timestamp) -> Option<String> {
    let Account::Missing(name) = account else {
        return None;
    };
    let is_fresh = now.duration_since(started?.0).as_secs() < GRACE_SECONDS;
    is_fresh.then(|| format!("waiting for ServiceAccount \"{name}\", which does not exist yet"))
}

/// Secrets that the account names and nobody has made.
pub(super) fn missing_secrets(account: &Account) -> Option<Event> {
    let Account::Found { secrets, .. } = account else {
        return None;
    };
    let missing = secrets.missing.join(", ");
    (!missing.is_empty()).then(|| Event {
        severity: Severity::Warning,
        reason: "FailedToRetrieveSecret",
        message: format!(
            "Unable to retrieve some secrets ({missing}); attempting to use them may not succeed."
        ),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::{
        account::{Secrets, ServiceAccount},
        lifecycle::{
            Gathered, plan,
            testing::{at, gathered},
        },
    };

    #[test]
    fn the_account_is_read_once_and_under_its_last_name() {
        let config = Config::default();
        let mut disabled = Config::default();
        disabled.flags.creds_init_disabled = true;
        let template = json!({"podTemplate": {"serviceAccountName": "t"}});
        let by_param = |spec: Value| {
            let mut run = json!({"podTemplate": {"serviceAccountName": "$(params.account)"}});
            run.as_object_mut()
                .unwrap()
                .extend(spec.as_object().unwrap().clone());
            run
        };
        let task = json!({"metadata": {"name": "t"},
            "spec": {"params": [{"name": "account", "default": "of-task"}], "steps": [{"image": "i"}]}});
        let fetched = Fetched::Task(Box::new(serde_json::from_value(task).unwrap()));
        for (spec, status, config, expected) in [
            (json!({}), json!({}), &config, Some("default")),
            (
                json!({"serviceAccountName": "own"}),
                json!({}),
                &config,
                Some("own"),
            ),
            (template, json!({}), &config, Some("t")),
            (
                by_param(json!({"taskRef": {"name": "t"}})),
                json!({}),
                &config,
                Some("of-task"),
            ),
            (
                by_param(
                    json!({"taskRef": {"name": "t"}, "params": [{"name": "account", "value": "of-run"}]}),
                ),
                json!({}),
                &config,
                Some("of-run"),
            ),
            (
                by_param(json!({"taskSpec": {"params": [{"name": "account", "default": "inline"}]}})),
                json!({}),
                &config,
                Some("inline"),
            ),
            (by_param(json!({})), json!({}), &config, None),
            (json!({}), json!({"podName": "p"}), &config, None),
            (json!({"status": "TaskRunCancelled"}), json!({}), &config, None),
            (json!({"status": "TaskRunPending"}), json!({}), &config, None),
            (json!({}), json!({}), &disabled, None),
        ] {
            let run = json!({"spec": spec, "status": status});
            let run: TaskRun = serde_json::from_value::<Value>(run)
                .and_then(serde_json::from_value)
                .unwrap();
            assert_eq!(
                wanted_account(&run, &fetched, config).as_deref(),
                expected,
                "{run:?}"
            );
        }
    }

    #[test]
    fn a_missing_account_is_waited_for_a_little() {
        let missing = Account::Missing("builder".to_owned());
        for (account, second, waits) in [
            (&missing, 0, true),
            (&missing, 9, true),
            (&missing, 10, false),
            (&Account::NotRead, 0, false),
        ] {
            let message = awaited(account, Some(&Time(at(0))), at(second));
            assert_eq!(message.is_some(), waits, "{account:?} {second}");
        }
    }

    #[test]
    fn missing_secrets_are_one_event() {
        let of = |missing: &[&str]| Account::Found {
            account: ServiceAccount::default(),
            secrets: Secrets {
                found: Vec::new(),
                missing: missing.iter().map(|name| (*name).to_owned()).collect(),
            },
        };
        assert_eq!(missing_secrets(&of(&[])), None);
        let event = missing_secrets(&of(&["a", "b"])).unwrap();
        assert_eq!(event.reason, "FailedToRetrieveSecret");
        assert_eq!(
            event.message,
            "Unable to retrieve some secrets (a, b); attempting to use them may not succeed."
        );
    }

    #[test]
    fn a_key_without_known_hosts_fails_validation_where_they_are_required() {
        let wire = json!({"metadata": {"name": "key"}, "type": "kubernetes.io/ssh-auth"});
        let wire: k8s_openapi::api::core::v1::Secret = serde_json::from_value(wire).unwrap();
        let account = Account::Found {
            account: ServiceAccount::default(),
            secrets: Secrets {
                found: vec![wire.into()],
                missing: Vec::new(),
            },
        };
        let mut config = Config::default();
        config.flags.ssh_known_hosts_required = true;
        let run = json!({"metadata": {"name": "r", "namespace": "n", "uid": "u"},
            "spec": {"taskSpec": {"steps": [{"image": "i", "command": ["c"]}]}}});
        let run = serde_json::from_value(run).unwrap();
        let plan = plan(&Gathered {
            account: &account,
            ..gathered(&run, None, &config)
        });
        let condition = plan.status.succeeded().unwrap();
        assert_eq!(condition.reason, "TaskRunValidationFailed");
        assert!(
            condition
                .message
                .starts_with("TaskRun validation failed. Secret \"key\""),
            "{condition:?}"
        );
        assert!(plan.effects.is_empty());
    }
}
