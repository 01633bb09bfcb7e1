//! What was known before, while its registry is of no use.

use super::*;

#[tokio::test]
async fn a_registry_without_head_is_asked_for_the_whole() {
    let fake = Fake::start().await;
    fake.image("1", "amd64", "/e");
    let (registries, queue) = registries();
    found(ask(&registries, &queue, &fake.reference()).await);
    fake.change(|content| content.no_head = true);
    let digest = fake.image("1", "amd64", "/new");
    skip(TTL).await;
    fake.log();
    let image = found(ask(&registries, &queue, &fake.reference()).await);
    assert_eq!(image.digest.as_str(), digest);
    let log = fake.log();
    assert!(
        log[0].starts_with("HEAD ") && log[1].starts_with("GET "),
        "{log:?}"
    );
}

#[tokio::test]
async fn an_image_that_is_known_outlives_a_broken_registry_and_not_its_own_end() {
    for (status, is_kept) in [(400, true), (418, true), (503, true), (404, false), (403, false)] {
        let fake = Fake::start().await;
        fake.image("1", "amd64", "/e");
        let (registries, queue) = registries();
        let before = found(ask(&registries, &queue, &fake.reference()).await);
        fake.refuse(status, Vec::new());
        skip(TTL).await;
        let answer = ask(&registries, &queue, &fake.reference()).await;
        if is_kept {
            assert_eq!(found(answer), before, "{status}");
        } else {
            never(answer);
        }
    }
}

#[tokio::test]
async fn an_image_that_has_become_useless_is_not_run_in_its_old_form() {
    let fake = Fake::start().await;
    fake.image("1", "amd64", "/e");
    let (registries, queue) = registries();
    found(ask(&registries, &queue, &fake.reference()).await);
    let config = fake.blob(&json!({"os": "windows", "architecture": "amd64"}));
    fake.manifest("1", MANIFEST, &json!({"config": {"digest": config}}));
    skip(TTL).await;
    let why = never(ask(&registries, &queue, &fake.reference()).await);
    assert!(why.contains("only for windows/amd64"), "{why}");
}

#[tokio::test]
async fn a_look_up_that_panics_is_an_answer() {
    let reference = Reference::parse("r.io/tool").unwrap();
    let panics = async { panic!("of a test") };
    let Err(Failure::Passing { why, after: None }) = answer(&reference, panics).await else {
        panic!("it is to be tried again");
    };
    let expected = "image \"r.io/tool:latest\": the look-up panicked, which is a bug of the controller";
    assert_eq!(why, expected);
}

#[tokio::test(start_paused = true)]
async fn a_look_up_that_does_not_end_is_an_answer() {
    let reference = Reference::parse("r.io/tool").unwrap();
    let failure = answer(&reference, std::future::pending()).await.unwrap_err();
    let expected = "image \"r.io/tool:latest\": the look-up has not ended within 30s";
    assert_eq!(failure.to_string(), expected);
}
