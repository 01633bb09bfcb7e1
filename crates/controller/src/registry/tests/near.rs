//! Places near the controller, which a registry, or whoever names one, would have it ask.

use super::*;

/// What is told of a place that is not asked.
fn refused(host: &str, address: &str) -> String {
    format!("registry \"{host}\" is not asked: {address} is the controller's own address; ")
}

#[tokio::test]
async fn only_what_the_operator_names_is_asked_there() {
    let (registries, queue) = registries();
    let fake = Fake::start().await;
    fake.image("1", "amd64", "/e");
    let port = fake.host.rsplit_once(':').unwrap().1;
    // As an address, and as a name that leads to it.
    for host in [fake.host.clone(), format!("localhost:{port}")] {
        let reference = Reference::parse(&format!("{host}/team/tool:1")).unwrap();
        let settings = LookUpSettings::default();
        let keyring = Keyring::default();
        let why = never(ask_with(&registries, &queue, &reference, &keyring, &settings).await);
        assert!(
            why.contains(&format!("registry \"{host}\" is not asked: ")),
            "{why}"
        );
        assert!(why.contains(" is the controller's own address; "), "{why}");
        assert!(why.contains("image-look-up-insecure-registries"), "{why}");
    }
    assert_eq!(fake.log(), Vec::<String>::new());
    skip(HOLD).await;
    found(ask(&registries, &queue, &fake.reference()).await);
}

#[tokio::test]
async fn a_registry_sends_nobody_there() {
    let (registry, inside) = (Fake::start().await, Fake::start().await);
    let secret = Page {
        status: 200,
        body: br#"{"token": "hunter2", "config": {"digest": "hunter2"}}"#.to_vec(),
        ..Page::default()
    };
    for path in ["/secret", "/secret?scope=repository:team/tool:pull"] {
        inside.put(path, secret.clone());
    }
    let location = format!("http://{}/secret", inside.host);
    let (registries, queue) = registries();
    let rows: [(u16, &'static str, String); 2] = [
        (307, "location", location.clone()),
        (401, "www-authenticate", format!("Bearer realm=\"{location}\"")),
    ];
    for (status, header, value) in rows {
        registry.refuse(status, vec![(header, value)]);
        let why = never(ask(&registries, &queue, &registry.reference()).await);
        assert!(why.contains(&refused(&inside.host, "127.0.0.1")), "{why}");
        assert!(!why.contains("/secret"), "{why}");
        skip(HOLD).await;
    }
    assert_eq!(inside.log(), Vec::<String>::new());
}

#[tokio::test]
async fn of_an_answer_from_elsewhere_nothing_is_told() {
    let (registry, inside) = (Fake::start().await, Fake::start().await);
    registry.refuse(307, vec![("location", format!("http://{}/page", inside.host))]);
    let settings = near(&[&registry.host, &inside.host]);
    for (body, media_type) in [
        (&b"hunter2"[..], "text/html"),
        (br#""hunter2""#, MANIFEST),
        (br#"{"config": "hunter2"}"#, MANIFEST),
        (br#"{"config": {"digest": "hunter2"}}"#, MANIFEST),
        (br#"{"mediaType": "hunter2, and more"}"#, MANIFEST),
        (b"{}", "hunter2; of=\"a header\""),
    ] {
        let page = Page {
            status: 200,
            headers: vec![("content-type", media_type.to_owned())],
            body: body.to_vec(),
            ..Page::default()
        };
        inside.put("/page", page);
        let (registries, queue) = registries();
        let reference = registry.reference();
        let keyring = Keyring::default();
        let why = never(ask_with(&registries, &queue, &reference, &keyring, &settings).await);
        let is_shown = why.contains("hunter2");
        // A media type is what somebody has to know to mend it.
        assert_eq!(is_shown, body == b"{}", "{why}");
    }
}
