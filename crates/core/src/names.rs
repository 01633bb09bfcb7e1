//! Names that the engine computes and that tools compute too (runtime.md 1.2, 1.7.1, 1.13, 1.14).

use md5::{Digest as _, Md5};
use sha2::Sha256;
use tektite_api::Step;

/// Our own init container.
pub const PREPARE: &str = "prepare";

/// The longest name of a Pod or container.
const MAX: usize = 63;
/// How much of a long parent's name, with the suffix, stands before the hash.
const HASHED_HEAD: usize = 31;

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// The longest head of `text` that has at most `max` bytes and ends between characters.
fn head(text: &str, max: usize) -> &str {
    let mut end = max.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

/// The name of an object that belongs to `parent`. Suffixes here are shorter than 31 bytes.
pub fn child(parent: &str, suffix: &str) -> String {
    if parent.len() + suffix.len() <= MAX {
        return format!("{parent}{suffix}");
    }
    let kept = head(parent, HASHED_HEAD.saturating_sub(suffix.len()));
    format!("{kept}{}{suffix}", hex(&Md5::digest(parent)))
}

/// The name of the Pod of attempt `attempt`, the first one being 0.
pub fn pod(task_run: &str, attempt: usize) -> String {
    match attempt {
        0 => child(task_run, "-pod"),
        retry => child(task_run, &format!("-pod-retry{retry}")),
    }
}

/// What a step is called where its full name counts: `step-<name>` or `step-unnamed-<index>`.
pub fn step_base(step: &Step, index: usize) -> String {
    if step.name.is_empty() {
        format!("step-unnamed-{index}")
    } else {
        format!("step-{}", step.name)
    }
}

/// `base` as a container's name: cut to what Kubernetes takes.
pub fn container(base: &str) -> String {
    head(base, MAX)
        .trim_end_matches(|c: char| !c.is_ascii_alphanumeric())
        .to_owned()
}

/// The first `digits` hexadecimal digits of FNV-1a 32 over `text`, filled up with zeros behind.
fn fnv(text: &str, digits: usize) -> String {
    let hash = text.bytes().fold(0x811c_9dc5_u32, |hash, byte| {
        (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193)
    });
    let mut hex = format!("{hash:x}");
    hex.truncate(digits);
    format!("{hex:0<digits$}")
}

/// Names of one kind of volume in one Pod, all different: a hash of what each is for, hashed again
/// on a collision.
#[derive(Debug)]
pub struct VolumeNames {
    prefix: &'static str,
    digits: usize,
    taken: Vec<String>,
}

impl VolumeNames {
    /// Names of workspace volumes: `ws-` and five digits.
    pub const fn workspaces() -> Self {
        Self {
            prefix: "ws-",
            digits: 5,
            taken: Vec::new(),
        }
    }

    /// Names of volumes with credentials: `tekton-creds-` and eight digits.
    pub const fn credentials() -> Self {
        Self {
            prefix: "tekton-creds-",
            digits: 8,
            taken: Vec::new(),
        }
    }

    /// The next name, for something called `what`.
    pub fn next(&mut self, what: &str) -> String {
        let mut name = format!("{}{}", self.prefix, fnv(what, self.digits));
        while self.taken.contains(&name) {
            name = format!("{}{}", self.prefix, fnv(&format!("{name}$"), self.digits));
        }
        self.taken.push(name.clone());
        name
    }
}

/// The name of the claim made for workspace `workspace` from a template called `template`.
pub fn claim(template: Option<&str>, workspace: &str, run_uid: &str) -> String {
    let template = template.filter(|name| !name.is_empty()).unwrap_or("pvc");
    let hash = hex(&Sha256::digest(format!("{workspace}{run_uid}")));
    format!("{template}-{}", &hash[..10])
}

/// Five characters that tell a run's script files apart from those of other runs, the same for the
/// same run at each attempt.
pub fn script_suffix(run_uid: &str, attempt: usize, index: usize) -> String {
    const ALPHABET: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";
    let digest = Sha256::digest(format!("{run_uid}/{attempt}/{index}"));
    digest
        .iter()
        .take(5)
        .map(|byte| char::from(ALPHABET[usize::from(*byte) % ALPHABET.len()]))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn appendix_e2_pods() {
        for (run, attempt, name) in [
            ("build", 0, "build-pod"),
            ("build", 2, "build-pod-retry2"),
            (
                "task-run-0123456789-0123456789-0123456789-0123456789-0123456789-0123456789",
                0,
                "task-run-0123456789-01234560d38957287bb0283c59440df14069f59-pod",
            ),
            (
                &"a".repeat(60),
                0,
                "aaaaaaaaaaaaaaaaaaaaaaaaaaacc7ed669cf88f201c3297c6a91e1d18d-pod",
            ),
        ] {
            assert_eq!(pod(run, attempt), name);
        }
        assert_eq!(pod(&"a".repeat(59), 0), format!("{}-pod", "a".repeat(59)));
    }

    #[test]
    fn appendix_e2_volumes_and_claims() {
        for (workspace, name) in [
            ("source", "ws-1bcf2"),
            ("data", "ws-d872e"),
            ("shared-data", "ws-15d7d"),
            ("cache", "ws-265da"),
            ("custom", "ws-20573"),
        ] {
            assert_eq!(VolumeNames::workspaces().next(workspace), name);
        }
        let mut names = VolumeNames::workspaces();
        let first = names.next("source");
        assert_ne!(names.next("source"), first);
        assert_eq!(
            claim(None, "data", "11111111-2222-3333-4444-555555555555"),
            "pvc-9fde4a2444"
        );
        for (secret, name) in [
            ("multi-creds", "tekton-creds-8e736f4e"),
            ("regcred", "tekton-creds-453e4b91"),
            ("ssh-key", "tekton-creds-e9002a53"),
        ] {
            assert_eq!(VolumeNames::credentials().next(secret), name);
        }
    }

    #[test]
    fn container_names_are_cut() {
        let step = |name: &str| Step {
            name: name.to_owned(),
            ..Step::default()
        };
        assert_eq!(container(&step_base(&step("build"), 3)), "step-build");
        assert_eq!(container(&step_base(&step(""), 3)), "step-unnamed-3");
        let long = step(&format!("{}-x{}", "a".repeat(57), "b".repeat(4)));
        assert_eq!(
            container(&step_base(&long, 0)),
            format!("step-{}", "a".repeat(57))
        );
    }

    #[test]
    fn script_suffixes_differ_by_step_and_attempt() {
        let of = |attempt, index| script_suffix("uid", attempt, index);
        assert_eq!(of(0, 0).len(), 5);
        assert_eq!(of(0, 0), of(0, 0));
        assert_ne!(of(0, 0), of(0, 1));
        assert_ne!(of(0, 0), of(1, 0));
    }
}
