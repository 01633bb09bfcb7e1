//! Look-ups against a registry that answers as it is told, over real connections.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{
    Router,
    body::Body,
    extract::{Request, State},
    response::Response,
};
use serde_json::{Value, json};
use tektite_core::{
    account::{Secret, SecretType, Secrets},
    image::{Answer, Digest, Image, Reference, command::Words, keyring::Keyring, settings::LookUpSettings},
};

use super::{slots::HOLD, *};
use crate::testing;

mod kept;
mod near;
mod tls;

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const INDEX: &str = "application/vnd.oci.image.index.v1+json";
/// How long an answer is waited for.
const PATIENCE: Duration = Duration::from_secs(20);
/// How long a tag is believed.
const TTL: Duration = Duration::from_secs(30);

#[derive(Clone, Default)]
struct Page {
    status: u16,
    headers: Vec<(&'static str, String)>,
    body: Vec<u8>,
    /// The only `Authorization` that is let in; the challenge for all others.
    guard: Option<(String, String)>,
}

#[derive(Default)]
struct Content {
    pages: BTreeMap<String, Page>,
    /// Method, path and authorization of each request.
    log: Vec<String>,
    hangs: bool,
    no_head: bool,
}

#[derive(Clone, Default)]
struct Fake {
    content: Arc<Mutex<Content>>,
    host: String,
}

async fn serve(State(content): State<Arc<Mutex<Content>>>, request: Request) -> Response {
    let path = request
        .uri()
        .path_and_query()
        .map_or("", |path| path.as_str())
        .to_owned();
    let sent = request
        .headers()
        .get("authorization")
        .and_then(|value| value.to_str().ok())
        .unwrap_or("-");
    let (page, hangs, no_head) = {
        let mut content = content.lock().unwrap();
        content.log.push(format!("{} {path} {sent}", request.method()));
        (content.pages.get(&path).cloned(), content.hangs, content.no_head)
    };
    if no_head && request.method() == http::Method::HEAD {
        return Response::builder().status(405).body(Body::empty()).unwrap();
    }
    if hangs {
        std::future::pending::<()>().await;
    }
    let Some(page) = page else {
        return Response::builder().status(404).body(Body::empty()).unwrap();
    };
    if let Some((allowed, challenge)) = page.guard.filter(|(allowed, _)| allowed != sent) {
        let _ = allowed;
        return Response::builder()
            .status(401)
            .header("www-authenticate", challenge)
            .body(Body::empty())
            .unwrap();
    }
    let mut response = Response::builder().status(page.status);
    for (name, value) in page.headers {
        response = response.header(name, value);
    }
    response.body(Body::from(page.body)).unwrap()
}

impl Fake {
    async fn start() -> Self {
        let content = Arc::<Mutex<Content>>::default();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address: SocketAddr = listener.local_addr().unwrap();
        let router = Router::new().fallback(serve).with_state(Arc::clone(&content));
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self {
            content,
            host: address.to_string(),
        }
    }

    fn change(&self, change: impl FnOnce(&mut Content)) {
        change(&mut self.content.lock().unwrap());
    }

    fn put(&self, path: &str, page: Page) {
        self.change(|content| drop(content.pages.insert(path.to_owned(), page)));
    }

    fn guard(&self, allowed: &str, challenge: &str) {
        let guard = (allowed.to_owned(), challenge.to_owned());
        self.change(|content| {
            for (path, page) in &mut content.pages {
                if path.starts_with("/v2/") {
                    page.guard = Some(guard.clone());
                }
            }
        });
    }

    /// The requests so far, and forgets them.
    fn log(&self) -> Vec<String> {
        std::mem::take(&mut self.content.lock().unwrap().log)
    }

    fn blob(&self, document: &Value) -> String {
        let body = document.to_string().into_bytes();
        let digest = Digest::of(&body).to_string();
        let page = Page {
            status: 200,
            body,
            ..Page::default()
        };
        self.put(&format!("/v2/team/tool/blobs/{digest}"), page);
        digest
    }

    /// Puts a manifest there under its digest and under `tag`.
    fn manifest(&self, tag: &str, media_type: &str, document: &Value) -> String {
        let body = document.to_string().into_bytes();
        let digest = Digest::of(&body).to_string();
        let page = Page {
            status: 200,
            headers: vec![
                ("content-type", media_type.to_owned()),
                ("docker-content-digest", digest.clone()),
            ],
            body,
            ..Page::default()
        };
        for name in [tag, &digest] {
            self.put(&format!("/v2/team/tool/manifests/{name}"), page.clone());
        }
        digest
    }

    fn image(&self, tag: &str, architecture: &str, entrypoint: &str) -> String {
        let config = self.blob(&json!({"os": "linux", "architecture": architecture,
            "config": {"Entrypoint": [entrypoint], "Cmd": ["c"]}}));
        self.manifest(
            tag,
            MANIFEST,
            &json!({"schemaVersion": 2, "config": {"digest": config}}),
        )
    }

    fn refuse(&self, status: u16, headers: Vec<(&'static str, String)>) {
        let page = Page {
            status,
            headers,
            ..Page::default()
        };
        self.put("/v2/team/tool/manifests/1", page);
    }

    fn reference(&self) -> Reference {
        Reference::parse(&format!("{}/team/tool:1", self.host)).unwrap()
    }
}

fn registries() -> (Registries, Arc<Queue>) {
    let queue = Arc::new(Queue::default());
    let registries = Registries::new("/nonexistent".into(), Arc::clone(&queue), testing::metrics());
    (registries, queue)
}

fn key(name: &str) -> Key {
    Key::new("n", name)
}

fn keyring(host: &str, users: &[&str]) -> Keyring {
    let secret = |user: &&str| {
        let auths = json!({"auths": {host: {"username": user, "password": "p"}}});
        Secret {
            name: (*user).to_owned(),
            secret_type: SecretType::DockerConfigJson,
            values: [(".dockerconfigjson".to_owned(), auths.to_string().into_bytes())]
                .into_iter()
                .collect(),
            ..Secret::default()
        }
    };
    Keyring::new(&Secrets {
        found: users.iter().map(secret).collect(),
        missing: Vec::new(),
    })
}

/// The settings of an operator who knows that these registries are on this machine.
fn near(hosts: &[&str]) -> LookUpSettings {
    LookUpSettings {
        insecure: hosts.iter().map(|host| (*host).to_owned()).collect(),
        ttl: TTL,
        ..LookUpSettings::default()
    }
}

/// Lets time pass, for everything but the network.
async fn skip(time: Duration) {
    tokio::time::pause();
    tokio::time::advance(time).await;
    tokio::time::resume();
}

/// Asks, waits to be woken, and asks again.
async fn ask_as(registries: &Registries, queue: &Queue, reference: &Reference, keyring: &Keyring) -> Answer {
    let settings = near(&[reference.registry_name()]);
    ask_with(registries, queue, reference, keyring, &settings).await
}

async fn ask_with(
    registries: &Registries,
    queue: &Queue,
    reference: &Reference,
    keyring: &Keyring,
    settings: &LookUpSettings,
) -> Answer {
    let images = std::slice::from_ref(reference);
    let asker = key("r");
    let first = registries.ask(&asker, images, keyring, settings);
    if first.quiet.is_none() {
        return first.answers[reference].clone();
    }
    let woken = tokio::time::timeout(PATIENCE, queue.next()).await.unwrap();
    assert_eq!(woken, asker);
    queue.finish(&woken, crate::queue::Next::Rest);
    let second = registries.ask(&asker, images, keyring, settings);
    assert_eq!(second.quiet, None);
    second.answers[reference].clone()
}

async fn ask(registries: &Registries, queue: &Queue, reference: &Reference) -> Answer {
    ask_as(registries, queue, reference, &Keyring::default()).await
}

fn found(answer: Answer) -> Arc<Image> {
    match answer {
        Answer::Found(image) => image,
        other => panic!("{other:?}"),
    }
}

fn never(answer: Answer) -> String {
    match answer {
        Answer::Never(why) => why,
        other => panic!("{other:?}"),
    }
}

fn not_yet(answer: Answer) -> (String, Duration) {
    match answer {
        Answer::NotYet { why, again_in } => (why, again_in),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn an_image_is_asked_once_for_all_who_want_it() {
    let fake = Fake::start().await;
    let digest = fake.image("1", "amd64", "/e");
    let (registries, queue) = registries();
    let images = [fake.reference()];
    let (keyring, settings) = (Keyring::default(), near(&[&fake.host]));
    for number in 0..50 {
        let asked = registries.ask(&key(&format!("r{number}")), &images, &keyring, &settings);
        assert!(asked.quiet.is_some());
    }
    let mut woken = std::collections::BTreeSet::new();
    for _ in 0..50 {
        woken.insert(
            tokio::time::timeout(PATIENCE, queue.next())
                .await
                .unwrap()
                .name
                .clone(),
        );
    }
    assert_eq!(woken.len(), 50);
    let image = found(ask(&registries, &queue, &images[0]).await);
    assert_eq!(image.digest.as_str(), digest);
    let words = |args: &[&str]| {
        let args: Vec<String> = args.iter().map(|word| (*word).to_owned()).collect();
        image.words(&args)
    };
    assert_eq!(
        words(&[]),
        Some(Words::Same(vec!["/e".to_owned(), "c".to_owned()]))
    );
    assert_eq!(words(&["a"]), Some(Words::Same(vec!["/e".to_owned()])));
    let log = fake.log();
    assert_eq!(log.len(), 2, "{log:?}");
}

#[tokio::test]
async fn all_platforms_of_an_index_that_are_there() {
    let fake = Fake::start().await;
    let amd64 = fake.image("x", "amd64", "/a");
    let arm64 = fake.image("y", "arm64", "/b");
    let entry = |digest: &str, architecture: &str| json!({"mediaType": MANIFEST, "digest": digest, "platform": {"os": "linux", "architecture": architecture}});
    let index = json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": [
        entry(&amd64, "amd64"), entry(&arm64, "arm64"), entry(Digest::of(b"gone").as_str(), "s390x"),
        {"mediaType": MANIFEST, "digest": Digest::of(b"signature").as_str(), "platform": {"os": "unknown", "architecture": "unknown"}},
    ]});
    let digest = fake.manifest("1", INDEX, &index);
    let (registries, queue) = registries();
    let image = found(ask(&registries, &queue, &fake.reference()).await);
    assert_eq!(image.digest.as_str(), digest);
    let platforms: Vec<String> = image.commands.keys().map(ToString::to_string).collect();
    assert_eq!(platforms, ["linux/amd64", "linux/arm64"]);
    assert!(matches!(image.words(&[]), Some(Words::ByPlatform(_))));
}

#[tokio::test]
async fn passwords_and_tokens() {
    let fake = Fake::start().await;
    fake.image("1", "amd64", "/e");
    let (registries, queue) = registries();
    let reference = fake.reference();
    // cmlnaHQ6cA== is right:p.
    fake.guard("Basic cmlnaHQ6cA==", "Basic realm=\"r\"");
    let text = never(ask(&registries, &queue, &reference).await);
    let expected = format!(
        "image \"{reference}\": registry \"{}\" answers 401 Unauthorized: no pull secret is for it; it may be private, or not exist",
        fake.host
    );
    assert_eq!(text, expected);
    let wrong = keyring(&fake.host, &["wrong"]);
    let text = never(ask_as(&registries, &queue, &reference, &wrong).await);
    assert!(
        text.ends_with("the credentials of the pull secrets do not open it, or it does not exist"),
        "{text}"
    );
    let both = keyring(&fake.host, &["wrong", "right"]);
    found(ask_as(&registries, &queue, &reference, &both).await);
    // What one may see, others may not.
    never(ask(&registries, &queue, &reference).await);

    let page = Page {
        status: 200,
        body: json!({"token": "t"}).to_string().into_bytes(),
        guard: Some(("Basic cmlnaHQ6cA==".to_owned(), "Basic realm=\"r\"".to_owned())),
        ..Page::default()
    };
    fake.put("/token?service=s&scope=repository:team/tool:pull", page);
    fake.guard(
        "Bearer t",
        &format!("Bearer realm=\"http://{}/token\",service=\"s\"", fake.host),
    );
    let right = keyring(&fake.host, &["right"]);
    fake.log();
    found(ask_as(&registries, &queue, &reference, &right).await);
    let log = fake.log();
    assert_eq!(
        log.iter().filter(|line| line.contains("/token")).count(),
        1,
        "{log:?}"
    );
}

#[tokio::test]
async fn what_passes_is_waited_for_and_what_was_known_is_good_enough() {
    let fake = Fake::start().await;
    let (registries, queue) = registries();
    let reference = fake.reference();
    fake.refuse(429, vec![("retry-after", "600".to_owned())]);
    let (why, again_in) = not_yet(ask(&registries, &queue, &reference).await);
    assert!(why.ends_with("answers 429 Too Many Requests"), "{why}");
    assert!(
        again_in > Duration::from_secs(590) && again_in <= Duration::from_mins(10),
        "{again_in:?}"
    );
    // The whole registry is left alone for as long as it wants, also for others.
    fake.log();
    let other = Reference::parse(&format!("{}/team/other", fake.host)).unwrap();
    not_yet(ask(&registries, &queue, &other).await);
    not_yet(ask(&registries, &queue, &reference).await);
    assert_eq!(fake.log(), Vec::<String>::new());
}

type Arrange<'a> = &'a dyn Fn(&Fake);

#[tokio::test]
async fn what_cannot_be_used_is_told() {
    let config = |fake: &Fake, document: &Value| {
        let digest = fake.blob(document);
        fake.manifest("1", MANIFEST, &json!({"config": {"digest": digest}}));
    };
    let rows: [(&str, Arrange<'_>); 6] = [
        ("answers 404 Not Found: it does not exist there", &|_| {}),
        ("answers 400 Bad Request", &|fake| fake.refuse(400, Vec::new())),
        ("only for windows/amd64", &|fake| {
            config(fake, &json!({"os": "windows", "architecture": "amd64"}));
        }),
        ("it names no platform", &|fake| config(fake, &json!({"a": 1}))),
        ("sends more than 4194304 bytes", &|fake| {
            let page = Page {
                status: 200,
                body: vec![b' '; 5_000_000],
                ..Page::default()
            };
            fake.put("/v2/team/tool/manifests/1", page);
        }),
        ("sends something else for sha256:", &|fake| {
            let digest = Digest::of(b"right");
            let page = Page {
                status: 200,
                body: b"wrong".to_vec(),
                ..Page::default()
            };
            fake.put(&format!("/v2/team/tool/blobs/{digest}"), page);
            fake.manifest("1", MANIFEST, &json!({"config": {"digest": digest.as_str()}}));
        }),
    ];
    for (part, arrange) in rows {
        let fake = Fake::start().await;
        arrange(&fake);
        let (registries, queue) = registries();
        let why = never(ask(&registries, &queue, &fake.reference()).await);
        assert!(why.contains(part), "{why}");
    }
}

#[tokio::test]
async fn a_mirror_comes_first_and_gets_no_other_registrys_password() {
    let (origin, mirror) = (Fake::start().await, Fake::start().await);
    origin.image("1", "amd64", "/origin");
    let settings = LookUpSettings::parse(
        &[(
            "image-look-up-mirrors".to_owned(),
            format!("\"{}\": [\"http://{}\"]", origin.host, mirror.host),
        )]
        .into(),
    )
    .unwrap();
    let settings = LookUpSettings {
        insecure: vec![origin.host.clone()],
        ..settings
    };
    let (registries, queue) = registries();
    let keyring = keyring(&origin.host, &["right"]);
    let reference = origin.reference();
    mirror.guard("", "Basic realm=\"m\"");
    found(ask_with(&registries, &queue, &reference, &keyring, &settings).await);
    let log = mirror.log();
    assert!(
        !log.is_empty() && log.iter().all(|line| line.ends_with(" -")),
        "{log:?}"
    );
    assert!(!origin.log().is_empty());
}

#[tokio::test]
async fn a_blob_elsewhere_is_fetched_without_the_password() {
    let (registry, storage) = (Fake::start().await, Fake::start().await);
    registry.image("1", "amd64", "/e");
    let page = registry
        .content
        .lock()
        .unwrap()
        .pages
        .iter()
        .find(|(path, _)| path.contains("/blobs/"))
        .map(|(path, page)| (path.clone(), page.clone()));
    let (path, page) = page.unwrap();
    storage.put("/stored", page);
    let there = Page {
        status: 307,
        headers: vec![("location", format!("http://{}/stored", storage.host))],
        ..Page::default()
    };
    registry.put(&path, there);
    registry.guard("Basic cmlnaHQ6cA==", "Basic realm=\"r\"");
    let (registries, queue) = registries();
    let right = keyring(&registry.host, &["right"]);
    let (reference, settings) = (registry.reference(), near(&[&registry.host, &storage.host]));
    found(ask_with(&registries, &queue, &reference, &right, &settings).await);
    assert_eq!(storage.log(), ["GET /stored -"]);
}

#[tokio::test]
async fn a_registry_that_does_not_answer_holds_up_nobody_else() {
    let (dead, alive) = (Fake::start().await, Fake::start().await);
    dead.change(|content| content.hangs = true);
    alive.image("1", "amd64", "/e");
    let (registries, queue) = registries();
    let (keyring, settings) = (Keyring::default(), near(&[&dead.host]));
    for number in 0..100 {
        let image = Reference::parse(&format!("{}/team/tool{number}", dead.host)).unwrap();
        let asked = registries.ask(&key("dead"), &[image], &keyring, &settings);
        assert!(asked.quiet.is_some());
    }
    found(ask(&registries, &queue, &alive.reference()).await);
    assert!(dead.log().len() <= AT_ONCE);
}
