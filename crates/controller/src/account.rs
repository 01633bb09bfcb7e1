//! ServiceAccounts and Secrets of runs: read by name at the moment that a Pod needs them, never
//! watched, never kept. What does not exist is an answer.

use futures::future::try_join_all;
use tektite_core::{
    account::{Account, Secret, Secrets, ServiceAccount, each_once},
    image::Question,
};

use crate::{cluster::Cluster, error::Error};

/// The ServiceAccount called `name`; nothing where there is none.
///
/// # Errors
/// The API server would not say.
pub async fn service_account(
    cluster: &Cluster,
    namespace: &str,
    name: &str,
) -> Result<Option<ServiceAccount>, Error> {
    found(cluster.get_service_account(namespace, name).await)
}

/// The Secret called `name`; nothing where there is none.
///
/// # Errors
/// The API server would not say.
pub async fn secret(cluster: &Cluster, namespace: &str, name: &str) -> Result<Option<Secret>, Error> {
    found(cluster.get_secret(namespace, name).await)
}

/// The Secrets with these names, all asked for at the same time.
///
/// # Errors
/// The API server would not say.
pub async fn secrets(cluster: &Cluster, namespace: &str, names: &[String]) -> Result<Secrets, Error> {
    let answers = try_join_all(names.iter().map(|name| secret(cluster, namespace, name))).await?;
    let mut secrets = Secrets::default();
    for (name, answer) in names.iter().zip(answers) {
        match answer {
            Some(secret) => secrets.found.push(secret),
            None => secrets.missing.push(name.clone()),
        }
    }
    Ok(secrets)
}

/// The ServiceAccount called `name` with what its `secrets` name.
///
/// # Errors
/// The API server would not say.
pub async fn account(cluster: &Cluster, namespace: &str, name: &str) -> Result<Account, Error> {
    let Some(account) = service_account(cluster, namespace, name).await? else {
        return Ok(Account::Missing(name.to_owned()));
    };
    let secrets = secrets(cluster, namespace, &account.secrets).await?;
    Ok(Account::Found { account, secrets })
}

/// The Secrets that images of a Pod are pulled with: those that it names, then those of its account, which
/// is read if it is not the `known` one. That one of them, or the account, does not exist is no error: the
/// kubelet sees it the same way.
///
/// # Errors
/// The API server would not say.
pub async fn pull_secrets(
    cluster: &Cluster,
    namespace: &str,
    question: &Question,
    known: &Account,
) -> Result<Secrets, Error> {
    let name = &question.service_account;
    let of_account = match known {
        Account::Found { account, .. } if account.name == *name => account.image_pull_secrets.clone(),
        Account::Missing(missing) if missing == name => Vec::new(),
        _ => {
            let account = service_account(cluster, namespace, name).await?;
            account.unwrap_or_default().image_pull_secrets
        }
    };
    let all = question.pull_secrets.iter().cloned().chain(of_account);
    secrets(cluster, namespace, &each_once(all)).await
}

fn found<T>(answer: Result<T, Error>) -> Result<Option<T>, Error> {
    match answer {
        Ok(object) => Ok(Some(object)),
        Err(error) if error.is_not_found() => Ok(None),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use http::Method;
    use serde_json::json;

    use super::*;
    use crate::testing::context;

    const ACCOUNT: &str = "/api/v1/namespaces/n/serviceaccounts/builder";

    #[tokio::test]
    async fn an_account_comes_with_the_secrets_that_exist() {
        let mut test = context();
        let cluster = test.context.cluster.clone();
        let asking = tokio::spawn(async move { account(&cluster, "n", "builder").await });
        let asked = test.server.expect(Method::GET, ACCOUNT).await;
        asked.with(&json!({
            "metadata": {"name": "builder"},
            "secrets": [{"name": "gone"}, {"name": "git"}],
            "imagePullSecrets": [{"name": "pull"}],
        }));
        let asked = test
            .server
            .expect(Method::GET, "/api/v1/namespaces/n/secrets/gone")
            .await;
        asked.refuse(404, "NotFound");
        let asked = test
            .server
            .expect(Method::GET, "/api/v1/namespaces/n/secrets/git")
            .await;
        asked.with(&json!({"metadata": {"name": "git"}, "type": "kubernetes.io/ssh-auth"}));
        let Account::Found { account, secrets } = asking.await.unwrap().unwrap() else {
            panic!("it exists");
        };
        assert_eq!(account.image_pull_secrets, ["pull"]);
        assert_eq!(secrets.missing, ["gone"]);
        let names: Vec<&str> = secrets.found.iter().map(|secret| secret.name.as_str()).collect();
        assert_eq!(names, ["git"]);
        test.server.expect_nothing().await;
    }

    #[tokio::test]
    async fn what_is_not_there_is_an_answer_and_a_refusal_is_none() {
        let mut test = context();
        for (code, reason, missing) in [(404, "NotFound", true), (403, "Forbidden", false)] {
            let cluster = test.context.cluster.clone();
            let asking = tokio::spawn(async move { account(&cluster, "n", "builder").await });
            let asked = test.server.expect(Method::GET, ACCOUNT).await;
            asked.refuse(code, reason);
            match asking.await.unwrap() {
                Ok(answer) => {
                    assert!(missing);
                    assert_eq!(answer, Account::Missing("builder".to_owned()));
                }
                Err(error) => {
                    assert!(!missing);
                    assert_eq!(error.to_string(), "failed to get ServiceAccount: because");
                }
            }
        }
    }

    #[tokio::test]
    async fn the_account_is_read_for_pull_secrets_unless_it_is_known() {
        let mut test = context();
        let with = |name: &str, pull: &str| Account::Found {
            account: ServiceAccount {
                name: name.to_owned(),
                image_pull_secrets: vec![pull.to_owned()],
                ..ServiceAccount::default()
            },
            secrets: Secrets::default(),
        };
        for (known, reads, asked) in [
            (with("builder", "known"), false, &["named", "known"][..]),
            (Account::Missing("builder".to_owned()), false, &["named"]),
            (with("other", "known"), true, &["named", "read"]),
            (Account::NotRead, true, &["named", "read"]),
        ] {
            let cluster = test.context.cluster.clone();
            let question = Question {
                images: Vec::new(),
                pull_secrets: vec!["named".to_owned()],
                service_account: "builder".to_owned(),
            };
            let asking = tokio::spawn(async move { pull_secrets(&cluster, "n", &question, &known).await });
            if reads {
                let account =
                    json!({"metadata": {"name": "builder"}, "imagePullSecrets": [{"name": "read"}]});
                test.server.expect(Method::GET, ACCOUNT).await.with(&account);
            }
            for name in asked {
                let path = format!("/api/v1/namespaces/n/secrets/{name}");
                test.server
                    .expect(Method::GET, &path)
                    .await
                    .refuse(404, "NotFound");
            }
            assert_eq!(asking.await.unwrap().unwrap().missing, asked);
        }
        test.server.expect_nothing().await;
    }
}
