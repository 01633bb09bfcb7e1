//! Following references: a TaskRun is looked at together with its Task, a step together with its
//! StepAction, and names of ServiceAccounts and claims are looked up.
//!
//! What is compared comes from [`crate::known`]; nothing is refused on its word alone: the objects are
//! read afresh before. I/O: reads from the API server.

use std::{collections::HashMap, sync::Arc, time::Duration};

use clap::ValueEnum;
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, ServiceAccount};
use kube::{Api, Client};
use tektite_api::{StepAction, Task, TaskRun, TaskSpec};
use tektite_core::{
    config::Config,
    field_error::FieldErrors,
    validate::{pair, warnings},
};

use crate::{
    admit::{Judgement, Object},
    known::{Key, Known},
};

/// A read that takes longer says nothing; the object is let through, and the controller checks again.
const PATIENCE: Duration = Duration::from_secs(2);

/// What is done about an object that does not fit what it refers to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Mode {
    /// It is refused.
    #[default]
    Reject,
    /// It is stored, with a warning.
    Warn,
    /// Nobody looks.
    Ignore,
}

/// Follows references.
#[derive(Clone)]
pub struct References {
    client: Client,
    known: Arc<Known>,
    mode: Mode,
}

impl std::fmt::Debug for References {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("References")
            .field("mode", &self.mode)
            .finish_non_exhaustive()
    }
}

/// From where objects are taken.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Source {
    /// What is known; what is not known is read.
    Known,
    /// Read, all of it.
    Fresh,
}

/// What an object refers to, as far as it exists.
#[derive(Default)]
struct Found {
    task: Option<Arc<Task>>,
    actions: HashMap<String, Arc<StepAction>>,
}

/// A read that came to nothing.
#[derive(Debug, thiserror::Error)]
enum ReadError {
    #[error("{kind} \"{name}\" could not be read: {source}")]
    Kube {
        kind: &'static str,
        name: String,
        source: Box<kube::Error>,
    },
    #[error("{kind} \"{name}\" could not be read in time")]
    Late { kind: &'static str, name: String },
}

impl References {
    /// With what is known, as `mode` wants it.
    pub const fn new(client: Client, known: Arc<Known>, mode: Mode) -> Self {
        Self { client, known, mode }
    }

    /// Adds to `judgement` what is wrong with the references of its object.
    pub async fn follow(&self, judgement: &mut Judgement, namespace: &str, config: &Config) {
        let Some(object) = judgement.object.take().filter(|_| self.mode != Mode::Ignore) else {
            return;
        };
        match self.compare(&object, namespace, config, judgement).await {
            Ok(Ok(())) => {}
            Ok(Err(errors)) if self.mode == Mode::Reject => judgement.errors.extend(errors),
            Ok(Err(errors)) => judgement
                .warnings
                .extend(errors.to_string().lines().map(str::to_owned)),
            Err(error) => {
                tracing::warn!(%error, "references are not followed");
                judgement
                    .warnings
                    .push(format!("not compared with what it refers to: {error}"));
            }
        }
        if let Object::TaskRun(run) = &object {
            self.names(run, namespace, &mut judgement.warnings).await;
        }
    }

    async fn compare(
        &self,
        object: &Object,
        namespace: &str,
        config: &Config,
        judgement: &mut Judgement,
    ) -> Result<Result<(), FieldErrors>, ReadError> {
        let (task, spec) = match object {
            Object::Task(task) => (None, Some(&task.spec)),
            Object::TaskRun(run) => (local_task(run), run.spec.task_spec.as_ref()),
            Object::StepAction(_) => return Ok(Ok(())),
        };
        let actions = spec.map(local_actions).unwrap_or_default();
        let fits = |found: &Found| {
            let action = |name: &str| found.actions.get(name).map(|action| StepAction::clone(action));
            match object {
                Object::Task(task) => pair::task(task, &action, config),
                Object::TaskRun(run) => pair::task_run(run, found.task.as_deref(), &action, config),
                Object::StepAction(_) => Ok(()),
            }
        };
        let mut found = self.find(namespace, task, &actions, Source::Known).await?;
        let mut fit = fits(&found);
        if fit.is_err() {
            found = self.find(namespace, task, &actions, Source::Fresh).await?;
            fit = fits(&found);
        }
        if let Some(name) = task {
            match (&found.task, object) {
                (None, _) => judgement.warnings.push(format!(
                    "spec.taskRef.name: there is no Task \"{name}\" in namespace \"{namespace}\" yet"
                )),
                (Some(task), Object::TaskRun(run)) => {
                    judgement
                        .warnings
                        .extend(warnings::undeclared_params(run, &task.spec, name));
                }
                _ => {}
            }
        }
        for name in actions.iter().filter(|name| !found.actions.contains_key(**name)) {
            judgement.warnings.push(format!(
                "there is no StepAction \"{name}\" in namespace \"{namespace}\" yet"
            ));
        }
        Ok(fit)
    }

    async fn find(
        &self,
        namespace: &str,
        task: Option<&str>,
        actions: &[&str],
        source: Source,
    ) -> Result<Found, ReadError> {
        let mut found = Found::default();
        let key = |name: &str| Key::new(namespace, name);
        if let Some(name) = task {
            let known = self.known.task(&key(name)).filter(|_| source == Source::Known);
            found.task = match known {
                Some(known) => Some(known),
                None => self.read(namespace, name, "Task").await?.map(Arc::new),
            };
        }
        for name in actions {
            let known = self.known.action(&key(name)).filter(|_| source == Source::Known);
            let action = match known {
                Some(known) => Some(known),
                None => self.read(namespace, name, "StepAction").await?.map(Arc::new),
            };
            if let Some(action) = action {
                found.actions.insert((*name).to_owned(), action);
            }
        }
        Ok(found)
    }

    async fn read<T>(&self, namespace: &str, name: &str, kind: &'static str) -> Result<Option<T>, ReadError>
    where
        T: k8s_openapi::Resource<Scope = k8s_openapi::NamespaceResourceScope>
            + k8s_openapi::Metadata<Ty = k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta>
            + serde::de::DeserializeOwned
            + Clone
            + std::fmt::Debug,
    {
        let objects: Api<T> = Api::namespaced(self.client.clone(), namespace);
        in_time(kind, name, objects.get_opt(name)).await
    }

    /// A ServiceAccount or a claim that is not there yet.
    async fn names(&self, run: &TaskRun, namespace: &str, warnings: &mut Vec<String>) {
        let account = run.spec.service_account_name.as_str();
        if !account.is_empty()
            && self.known.lacks_account(&Key::new(namespace, account))
            && self
                .is_missing::<ServiceAccount>(namespace, account, "ServiceAccount")
                .await
        {
            warnings.push(format!(
                "spec.serviceAccountName: there is no ServiceAccount \"{account}\" in namespace \"{namespace}\" yet"
            ));
        }
        for (index, binding) in run.spec.workspaces.iter().enumerate() {
            let claim = binding
                .persistent_volume_claim
                .as_ref()
                .map(|claim| claim.claim_name.as_str());
            let Some(name) = claim.filter(|name| !name.is_empty() && !name.contains("$(")) else {
                continue;
            };
            if self.known.lacks_claim(&Key::new(namespace, name))
                && self
                    .is_missing::<PersistentVolumeClaim>(namespace, name, "PersistentVolumeClaim")
                    .await
            {
                warnings.push(format!(
                    "spec.workspaces[{index}].persistentVolumeClaim: there is no claim \"{name}\" in namespace \"{namespace}\" yet"
                ));
            }
        }
    }

    /// Only metadata is read: what is in the object is nobody's business here.
    async fn is_missing<T>(&self, namespace: &str, name: &str, kind: &'static str) -> bool
    where
        T: k8s_openapi::Resource<Scope = k8s_openapi::NamespaceResourceScope>
            + k8s_openapi::Metadata<Ty = k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta>
            + serde::de::DeserializeOwned
            + Clone
            + std::fmt::Debug,
    {
        let objects: Api<T> = Api::namespaced(self.client.clone(), namespace);
        matches!(
            in_time(kind, name, objects.get_metadata_opt(name)).await,
            Ok(None)
        )
    }
}

async fn in_time<T>(
    kind: &'static str,
    name: &str,
    read: impl Future<Output = Result<T, kube::Error>>,
) -> Result<T, ReadError> {
    match tokio::time::timeout(PATIENCE, read).await {
        Ok(Ok(read)) => Ok(read),
        Ok(Err(source)) => Err(ReadError::Kube {
            kind,
            name: name.to_owned(),
            source: Box::new(source),
        }),
        Err(_) => Err(ReadError::Late {
            kind,
            name: name.to_owned(),
        }),
    }
}

/// The Task that a run names in its own namespace. Names that cannot be any object's are told elsewhere.
fn local_task(run: &TaskRun) -> Option<&str> {
    let task_ref = run.spec.task_ref.as_ref()?;
    let name = task_ref.name.as_str();
    (task_ref.resolver.is_empty() && is_object_name(name)).then_some(name)
}

fn local_actions(spec: &TaskSpec) -> Vec<&str> {
    let mut names: Vec<&str> = spec
        .steps
        .iter()
        .filter_map(|step| step.step_ref.as_ref())
        .filter(|step_ref| step_ref.resolver.is_empty())
        .map(|step_ref| step_ref.name.as_str())
        .filter(|name| is_object_name(name))
        .collect();
    names.sort_unstable();
    names.dedup();
    names
}

fn is_object_name(name: &str) -> bool {
    tektite_core::validate::text::is_dns_subdomain(name)
}

#[cfg(test)]
mod tests;
