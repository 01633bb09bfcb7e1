//! One look-up from its question to its answer: which place, as whom, which manifests. Does I/O.

use std::{collections::BTreeMap, sync::Arc};

use futures::{StreamExt as _, TryStreamExt as _};
use tektite_core::image::{
    Command, Digest, Image, Platform, Reference, Version,
    keyring::{Credential, Fingerprint, Keyring},
    manifest::{self, Listed, Manifest},
    settings::{Endpoint, LookUpSettings},
};

use super::{failure::Failure, http_client::HttpClient, reach::Named, session::Session};

/// How many requests one look-up may have under way.
const AT_ONCE: usize = 4;
/// How many credentials are tried: each of them is a failed log-in for the registry.
const MOST_CREDENTIALS: usize = 5;

/// A place that may answer, with the credentials for it, the best first.
#[derive(Clone, Debug)]
pub(super) struct Place {
    endpoint: Endpoint,
    credentials: Vec<Credential>,
}

/// A look-up that is to be made.
#[derive(Clone, Debug)]
pub(super) struct Job {
    /// The image.
    pub(super) reference: Reference,
    /// Where to ask, in order.
    pub(super) places: Vec<Place>,
    /// Hosts that may be anywhere.
    pub(super) named: Named,
    /// What is wrong with the pull secrets.
    pub(super) problems: Vec<String>,
    /// The image that was found last time.
    pub(super) before: Option<Arc<Image>>,
}

impl Job {
    /// The look-up of `reference` for a run with these secrets.
    pub(super) fn new(reference: Reference, keyring: &Keyring, settings: &LookUpSettings) -> Self {
        let places = settings.endpoints(reference.registry_name()).into_iter();
        let mut places: Vec<Place> = places
            .map(|endpoint| {
                // A mirror gets what is meant for it, never what is meant for the registry behind it.
                let mut credentials = keyring.at(&endpoint.host, reference.repository());
                credentials.truncate(MOST_CREDENTIALS);
                Place {
                    endpoint,
                    credentials,
                }
            })
            .collect();
        if let Some(origin) = places.last_mut() {
            origin.credentials = keyring.matching(&reference);
            origin.credentials.truncate(MOST_CREDENTIALS);
        }
        Self {
            reference,
            places,
            named: Arc::new(settings.named()),
            problems: keyring.problems().to_vec(),
            before: None,
        }
    }

    /// What tells apart the users that it is made for.
    pub(super) fn fingerprint(&self) -> Fingerprint {
        let all: Vec<Credential> = self
            .places
            .iter()
            .flat_map(|place| place.credentials.clone())
            .collect();
        Fingerprint::of(&all)
    }
}

/// Makes the look-up.
///
/// # Errors
/// No place has given an answer: what the registry itself said, or the one place that may do better later.
pub(super) async fn fetch(client: &HttpClient, job: &Job) -> Result<Arc<Image>, Failure> {
    let mut last = Failure::Lasting("there is no place to ask".to_owned());
    for place in &job.places {
        match at(client, place, job).await {
            Ok(image) => return Ok(image),
            // A mirror that may do better later counts for more than a registry that cannot be reached
            // without it.
            Err(_) if matches!(last, Failure::Passing { .. }) => {}
            Err(failure) => last = failure,
        }
    }
    Err(told(last, job).about(&job.reference.to_string()))
}

/// A refusal with what may be behind it.
fn told(failure: Failure, job: &Job) -> Failure {
    let asked = job
        .places
        .last()
        .is_some_and(|place| !place.credentials.is_empty());
    let how = if asked {
        "the credentials of the pull secrets do not open it, or it does not exist"
    } else {
        "no pull secret is for it; it may be private, or not exist"
    };
    let more = job.problems.iter().map(|problem| format!("; {problem}"));
    let more: String = more.collect();
    match failure {
        Failure::Denied(why) => Failure::Denied(format!("{why}: {how}{more}")),
        Failure::Missing(why) => Failure::Missing(format!("{why}: it does not exist there{more}")),
        other => other,
    }
}

async fn at(client: &HttpClient, place: &Place, job: &Job) -> Result<Arc<Image>, Failure> {
    let anonymous = [None];
    let users: Vec<Option<&Credential>> = if place.credentials.is_empty() {
        anonymous.to_vec()
    } else {
        place.credentials.iter().map(Some).collect()
    };
    let mut last = Failure::Denied(String::new());
    for user in users {
        let session = Session::new(
            client,
            &job.named,
            &place.endpoint,
            job.reference.repository(),
            user,
        );
        match as_user(&session, job).await {
            // Another user may see more.
            Err(failure @ (Failure::Denied(_) | Failure::Missing(_))) => last = failure,
            answer => return answer,
        }
    }
    Err(last)
}

async fn as_user(session: &Session<'_>, job: &Job) -> Result<Arc<Image>, Failure> {
    let version = job.reference.version();
    if let Some(before) = &job.before
        && matches!(version, Version::Tag(_))
        && digest(session, version).await? == Some(before.digest.clone())
    {
        return Ok(Arc::clone(before));
    }
    let found = session.manifest(version).await?;
    let commands = match Manifest::read(&found.body, &found.media_type)? {
        Manifest::Image(config) => [one(session, &config).await?].into(),
        Manifest::Index(listed) => all(session, &listed).await?,
    };
    Ok(Arc::new(Image {
        digest: found.digest,
        commands,
    }))
}

/// The digest that the tag has now; nothing where the registry answers everything but this.
async fn digest(session: &Session<'_>, version: &Version) -> Result<Option<Digest>, Failure> {
    match session.digest(version).await {
        Err(Failure::Lasting(_)) => Ok(None),
        answer => answer,
    }
}

async fn one(session: &Session<'_>, config: &Digest) -> Result<(Platform, Command), Failure> {
    let config = session.config(config).await?;
    Ok(manifest::read_config(&config)?)
}

/// What all images of an index run. Those that the registry does not hold are left out: many mirrors copy
/// what they need.
async fn all(session: &Session<'_>, listed: &[Listed]) -> Result<BTreeMap<Platform, Command>, Failure> {
    let found: Vec<Result<(Platform, Command), Failure>> = futures::stream::iter(listed.to_vec())
        .map(|listed| async move {
            match listed_one(session, &listed).await {
                Err(failure @ Failure::Passing { .. }) => Err(failure),
                answer => Ok(answer),
            }
        })
        .buffered(AT_ONCE)
        .try_collect()
        .await?;
    let mut commands = BTreeMap::new();
    let mut first = None;
    for answer in found {
        match answer {
            Ok((platform, command)) => {
                commands.entry(platform).or_insert(command);
            }
            Err(failure) => {
                first.get_or_insert(failure);
            }
        }
    }
    match first {
        Some(failure) if commands.is_empty() => Err(failure),
        _ => Ok(commands),
    }
}

async fn listed_one(session: &Session<'_>, listed: &Listed) -> Result<(Platform, Command), Failure> {
    let found = session.manifest(&Version::Digest(listed.digest.clone())).await?;
    let Manifest::Image(config) = Manifest::read(&found.body, &found.media_type)? else {
        let why = format!("{} is an index in an index", listed.digest);
        return Err(Failure::Unusable(why));
    };
    let (platform, command) = one(session, &config).await?;
    Ok((listed.platform.clone().unwrap_or(platform), command))
}
