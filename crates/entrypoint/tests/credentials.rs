//! Credentials from Secrets, in a step's home or beside it, and steps without a network.

// Helpers of tests are tests too; clippy only knows functions marked so.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

mod common;

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::Path,
    process::{Command, Stdio},
};

use common::{Done, Pod, binary};
use nix::unistd::geteuid;
use tektite_protocol::{
    breakpoint::Breakpoint,
    credentials::{Credential, CredentialKind},
    flags::StepFlags,
    termination::key,
};

const PASSWORD: &str = "hunter2";

/// A Pod with a Secret of each kind.
fn pod() -> Pod {
    let pod = Pod::new();
    for (secret, key, value) in [
        ("basic", "username", "me\n"),
        ("basic", "password", PASSWORD),
        ("key", "ssh-privatekey", "-----KEY hunter2-----"),
        ("key", "known_hosts", "git.example ssh-rsa AAAA"),
        (
            "config",
            ".dockerconfigjson",
            r#"{"auths": {"r": {"auth": "aHVudGVyMg=="}}}"#,
        ),
    ] {
        let dir = pod.path(&format!("tekton/creds-secrets/{secret}"));
        fs::create_dir_all(&dir).unwrap();
        fs::write(dir.join(key), value).unwrap();
    }
    fs::create_dir_all(pod.path("tekton/creds")).unwrap();
    fs::create_dir_all(pod.path("home")).unwrap();
    pod
}

fn all() -> Vec<Credential> {
    [
        (CredentialKind::BasicGit, "basic", "https://git.example"),
        (CredentialKind::SshGit, "key", "git.example/org/repo"),
        (CredentialKind::DockerConfig, "config", ""),
    ]
    .map(|(kind, secret, url)| Credential {
        kind,
        secret: secret.to_owned(),
        url: url.to_owned(),
    })
    .to_vec()
}

/// A container's environment.
fn surround(command: &mut Command, pod: &Pod, home: &str) {
    for name in ["DOCKER_CONFIG", "GIT_SSH", "GIT_SSH_COMMAND", "GIT_CONFIG_COUNT"] {
        command.env_remove(name);
    }
    command.env("HOME", pod.path(home));
}

fn run(pod: &Pod, credentials: Vec<Credential>, home: &str, script: &str) -> Done {
    let flags = StepFlags {
        credentials,
        ..pod.sh(script)
    };
    let mut command = pod.command(&flags);
    surround(&mut command, pod, home);
    let done = pod.start_as(command, &flags).wait();
    assert!(!done.log.contains(PASSWORD), "never printed: {}", done.log);
    done
}

#[test]
fn they_are_in_the_home_and_for_its_owner_only() {
    let pod = pod();
    let done = run(
        &pod,
        all(),
        "home",
        "env; stat -c '%a %n' .git* .docker .docker/* .ssh/* | sort",
    );
    assert_eq!(done.exit, 0, "{}", done.log);
    assert_eq!(
        pod.read("home/.git-credentials"),
        "https://me:hunter2@git.example\n"
    );
    assert_eq!(
        pod.read("home/.docker/config.json"),
        r#"{"auths":{"r":{"auth": "aHVudGVyMg=="}}}"#
    );
    assert_eq!(pod.read("home/.ssh/known_hosts"), "git.example ssh-rsa AAAA\n");
    let identity = format!("IdentityFile {}/.ssh/id_key", pod.text("tekton/creds"));
    assert!(pod.read("home/.ssh/config").contains(&identity));
    for (path, mode) in [
        ("home/.docker", 0o700),
        ("home/.ssh", 0o700),
        ("home/.ssh/id_key", 0o600),
        ("home/.git-credentials", 0o600),
        ("home/.gitconfig", 0o644),
        ("tekton/creds/.gitconfig", 0o600),
        ("tekton/creds/.ssh/id_key", 0o600),
    ] {
        let found = fs::metadata(pod.path(path)).unwrap().permissions().mode() & 0o7777;
        assert_eq!(found, mode, "{path}");
    }
    // Where they are in the home, nothing else is needed; ssh looks elsewhere than in HOME.
    for (name, is_set) in [
        ("DOCKER_CONFIG=", false),
        ("GIT_CONFIG_COUNT=", false),
        ("GIT_SSH_COMMAND=ssh -F ", true),
    ] {
        assert_eq!(done.stdout.contains(name), is_set, "{name}");
    }
}

#[test]
fn a_home_that_cannot_be_written_is_no_obstacle() {
    let pod = pod();
    // A file where a directory would have to be: not even root can write below it.
    fs::write(pod.path("nowhere"), "").unwrap();
    let done = run(&pod, all(), "nowhere", "env");
    assert_eq!(done.exit, 0, "{}", done.log);
    let own = pod.text("tekton/creds");
    for line in [
        format!("DOCKER_CONFIG={own}/.docker\n"),
        format!("GIT_SSH_COMMAND=ssh -F {own}/.ssh/all\n"),
        "GIT_CONFIG_COUNT=3\n".to_owned(),
        format!("GIT_CONFIG_VALUE_0={own}/.gitconfig\n"),
        "GIT_CONFIG_VALUE_1=\n".to_owned(),
        format!("GIT_CONFIG_VALUE_2=store --file={own}/.git-credentials\n"),
    ] {
        assert!(done.stdout.contains(&line), "{line} in {}", done.stdout);
    }
    assert!(
        done.log.contains("nowhere/.gitconfig: Not a directory"),
        "{}",
        done.log
    );
}

#[test]
fn whoever_debugs_has_the_commands_variables() {
    // One that the step has itself stays as it is, and another is counted on from.
    let own = [
        ("DOCKER_CONFIG", "/own"),
        ("GIT_CONFIG_COUNT", "1"),
        ("GIT_CONFIG_KEY_0", "user.name"),
        ("GIT_CONFIG_VALUE_0", "a=b"),
    ];
    for (home, own, count) in [
        ("nowhere", &[][..], 9),
        ("nowhere", &own, 11),
        // Only ssh looks elsewhere than in HOME.
        ("home", &[], 1),
    ] {
        let pod = pod();
        fs::write(pod.path("nowhere"), "").unwrap();
        fs::create_dir_all(pod.path("tekton/debug/info/0")).unwrap();
        fs::create_dir(pod.path("bin")).unwrap();
        let script = "env | grep -E '^(DOCKER_CONFIG|GIT_CONFIG_|GIT_SSH)' | sort";
        fs::write(pod.path("bin/bash"), format!("#!/bin/sh\n{script}\n")).unwrap();
        fs::set_permissions(pod.path("bin/bash"), fs::Permissions::from_mode(0o755)).unwrap();
        let flags = StepFlags {
            credentials: all(),
            breakpoints: vec![Breakpoint::BeforeStep],
            ..pod.sh(script)
        };
        let mut command = pod.command(&flags);
        surround(&mut command, &pod, home);
        command.envs(own.iter().copied());
        let step = pod.start_as(command, &flags);
        step.says("level=error msg=\"paused ");
        let debug = |word: &str| {
            let mut command = Command::new(binary());
            command.args(["-root", &pod.text(""), "debug", word]);
            surround(&mut command, &pod, home);
            command.envs(own.iter().copied());
            command.env("PATH", format!("{}:/usr/bin:/bin", pod.text("bin")));
            command.output().unwrap()
        };
        let shell = String::from_utf8(debug("shell").stdout).unwrap();
        assert!(debug("continue").status.success());
        let done = step.wait();
        assert_eq!(done.exit, 0, "{}", done.log);
        assert_eq!(shell, done.stdout);
        assert_eq!(shell.lines().count(), count, "{shell}");
    }
}

#[test]
fn git_takes_them_from_either_place() {
    let asked = "protocol=https\nhost=git.example\n\n";
    for home in ["home", "nowhere"] {
        let pod = pod();
        fs::write(pod.path("nowhere"), "").unwrap();
        fs::write(pod.path("asked"), asked).unwrap();
        // Without `-q` git would say who it is asking; GIT_ASKPASS is for when nothing is found.
        let script = "GIT_TERMINAL_PROMPT=0 GIT_ASKPASS=true git credential fill < asked > answer; \
                      git config --get-urlmatch credential.username https://git.example >> answer";
        let done = run(&pod, all(), home, script);
        assert_eq!(done.exit, 0, "{}", done.log);
        let answer = pod.read("answer");
        assert!(
            answer.contains("username=me\npassword=hunter2\n"),
            "{home}: {answer}"
        );
        assert!(answer.ends_with("\nme\n"), "{home}: {answer}");
    }
}

#[test]
fn a_secret_without_its_key_is_said_and_fails_nothing() {
    let pod = pod();
    fs::remove_file(pod.path("tekton/creds-secrets/basic/password")).unwrap();
    let mut credentials = all();
    credentials.push(Credential {
        kind: CredentialKind::BasicGit,
        secret: "basic".to_owned(),
        url: "github.com".to_owned(),
    });
    let done = run(&pod, credentials, "home", "true");
    assert_eq!((done.exit, done.released()), (0, true));
    assert!(
        done.log
            .contains("Secret \"basic\" cannot be used for basic-git: password: No such file"),
        "{}",
        done.log
    );
    assert!(!pod.has("home/.git-credentials"));
    assert!(pod.has("home/.docker/config.json"));
}

#[test]
fn what_the_image_or_an_earlier_step_left_stays() {
    let pod = pod();
    fs::create_dir(pod.path("home/.docker")).unwrap();
    fs::write(
        pod.path("home/.docker/config.json"),
        r#"{"auths": {"mine": {"auth": "eA=="}}}"#,
    )
    .unwrap();
    fs::write(pod.path("home/.gitconfig"), "[user]\n\tname = Me\n").unwrap();
    for _ in 0..2 {
        let done = run(&pod, all(), "home", "rm -rf tekton/run/0; mkdir -p tekton/run/0");
        for name in ["docker", "git"] {
            let placed = format!("credentials for {name} are in {}", pod.text("home"));
            assert!(done.log.contains(&placed), "{}", done.log);
        }
    }
    assert_eq!(
        pod.read("home/.docker/config.json"),
        r#"{"auths":{"mine":{"auth": "eA=="},"r":{"auth": "aHVudGVyMg=="}}}"#
    );
    let config = pod.read("home/.gitconfig");
    assert!(
        config.starts_with("[user]\n\tname = Me\n[credential]\n"),
        "{config}"
    );
    assert_eq!(config.matches("[credential]").count(), 1);
}

/// Whether this machine and this user may make the namespaces at all.
fn namespaces_are_allowed(user: &[&str]) -> bool {
    let words = [
        user,
        &["unshare", "--user", "--map-current-user", "--net", "true"],
    ]
    .concat();
    let mut command = Command::new(words[0]);
    command.args(&words[1..]).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

#[test]
fn a_hermetic_step_has_no_network_but_a_loopback() {
    let root: &[&str] = &[];
    let other: &[&str] = &["setpriv", "--reuid=1234", "--regid=1234", "--clear-groups"];
    for user in [root, other] {
        if !user.is_empty() && !geteuid().is_root() || !namespaces_are_allowed(user) {
            println!("note: no namespaces for {user:?}, so nothing was checked");
            continue;
        }
        let pod = Pod::new();
        let open = fs::Permissions::from_mode(0o777);
        for path in ["", "tekton", "tekton/results", "tekton/links", "tekton/run"] {
            fs::set_permissions(pod.path(path), open.clone()).unwrap();
        }
        let flags =
            pod.sh("id -u; id -g; readlink /proc/self/ns/net; tail -n +3 /proc/net/dev | cut -d: -f1");
        let done_by = |hermetic: &str| {
            let mut command = pod.wrapped(user, &flags);
            command.env("TEKTON_HERMETIC", hermetic);
            let done = pod.start_as(command, &flags).wait();
            assert_eq!(done.exit, 0, "{}", done.log);
            done.stdout
        };
        let (plain, hermetic) = (done_by("0"), done_by("1"));
        let [plain, hermetic]: [Vec<&str>; 2] = [plain.lines().collect(), hermetic.lines().collect()];
        assert_eq!(plain[..2], hermetic[..2], "the same ids");
        assert_ne!(plain[2], hermetic[2]);
        assert_eq!(hermetic[3..], ["    lo"]);
    }
}

#[test]
fn a_step_that_cannot_be_hermetic_does_not_run() {
    // A process that has changed its root may not make a user namespace; neither may it here, where
    // one may not make any.
    if !geteuid().is_root() || Command::new("chroot").arg("--version").output().is_err() {
        println!("note: not root, so nothing was checked");
        return;
    }
    let pod = Pod::new();
    let tree = pod.path("tree");
    fs::create_dir(&tree).unwrap();
    let mounted = Command::new("unshare").args(["--mount", "true"]).status();
    if !mounted.is_ok_and(|status| status.success()) {
        println!("note: no mounts, so nothing was checked");
        return;
    }
    let flags = pod.step(0, &["touch", &pod.text("ran")]);
    let script = "mount --rbind / \"$0\" && exec chroot \"$0\" \"$@\"";
    let tree = tree.to_str().unwrap();
    let mut command = pod.wrapped(&["unshare", "--mount", "sh", "-c", script, tree], &flags);
    command.env("TEKTON_HERMETIC", "1");
    let done = pod.start_as(command, &flags).wait();
    assert_eq!((done.exit, done.released()), (1, false), "{}", done.log);
    let sentence = done.internal(key::MESSAGE).unwrap();
    assert!(
        sentence
            .starts_with("this step has to run without a network, but making the namespaces failed (Operation not permitted"),
        "{sentence}"
    );
    assert!(!Path::new(&pod.text("ran")).exists());
}
