//! Manifests, indexes and configurations of images, as far as they matter for what an image runs. No I/O.

use serde::Deserialize;

use super::{Command, Digest, Platform};

/// The media types that can be read, for a request's `Accept`.
pub const MEDIA_TYPES: [&str; 4] = [INDEX, DOCKER_LIST, IMAGE, DOCKER_IMAGE];
const INDEX: &str = "application/vnd.oci.image.index.v1+json";
const IMAGE: &str = "application/vnd.oci.image.manifest.v1+json";
const DOCKER_LIST: &str = "application/vnd.docker.distribution.manifest.list.v2+json";
const DOCKER_IMAGE: &str = "application/vnd.docker.distribution.manifest.v2+json";

/// The most images that an index may list: each of them costs two requests.
pub const MOST_IMAGES: usize = 64;

/// Why what a registry sent is of no use.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ManifestError {
    /// No JSON, or of another form.
    #[error("the {what} cannot be read: {why}")]
    Unreadable {
        /// What it should be.
        what: &'static str,
        /// What is wrong.
        why: String,
    },
    /// Another kind of thing than an image.
    #[error("it is no image but \"{0}\"; only OCI and Docker (schema 2) images are")]
    NotAnImage(String),
    /// A digest that none is.
    #[error("its manifest refers to something by what is no sha256 digest")]
    Digest,
    /// No image in an index can run here.
    #[error("it has no image for Linux, only for {0}")]
    NoLinux(String),
    /// An index that is too long.
    #[error("its index lists {0} images for Linux; at most {MOST_IMAGES} are possible")]
    TooMany(usize),
}

/// What a reference leads to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Manifest {
    /// One image, whose configuration has this digest.
    Image(Digest),
    /// Several; those that may run on Linux, the first of each platform.
    Index(Vec<Listed>),
}

/// An image in an index.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// Its manifest.
    pub digest: Digest,
    /// What the index says that it runs on; nothing where only its configuration does.
    pub platform: Option<Platform>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct AnyManifest {
    #[serde(default)]
    media_type: String,
    config: Option<Descriptor>,
    manifests: Option<Vec<Descriptor>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Descriptor {
    #[serde(default)]
    media_type: String,
    #[serde(default)]
    digest: String,
    platform: Option<Words>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Words {
    os: String,
    architecture: String,
    variant: String,
}

impl Words {
    fn platform(&self) -> Option<Platform> {
        Platform::linux(&self.os, &self.architecture, &self.variant)
    }

    /// Whether it is one of the things that build tools put beside images.
    fn is_unknown(&self) -> bool {
        self.os == "unknown" || self.architecture == "unknown"
    }
}

impl Manifest {
    /// Reads what came under `media_type`; what the document itself says counts more.
    ///
    /// # Errors
    /// See [`ManifestError`].
    pub fn read(body: &[u8], media_type: &str) -> Result<Self, ManifestError> {
        let manifest: AnyManifest = read("manifest", body)?;
        let header = media_type.split(';').next().unwrap_or_default().trim();
        let kind = match manifest.media_type.as_str() {
            "" => header,
            own => own,
        };
        match (kind, manifest.config, manifest.manifests) {
            (INDEX | DOCKER_LIST, _, Some(listed)) => index(listed),
            (IMAGE | DOCKER_IMAGE, Some(config), _) => Ok(Self::Image(digest(&config.digest)?)),
            // Some registries send plain JSON types: what is in it tells.
            (kind, None, Some(listed)) if !kind.contains("vnd.") => index(listed),
            (kind, Some(config), None) if !kind.contains("vnd.") => Ok(Self::Image(digest(&config.digest)?)),
            (kind, _, _) => Err(ManifestError::NotAnImage(word(kind))),
        }
    }
}

fn index(listed: Vec<Descriptor>) -> Result<Manifest, ManifestError> {
    let mut images: Vec<Listed> = Vec::new();
    let mut others = Vec::new();
    for descriptor in listed {
        // An index in an index, a signature: nothing that a container runs from.
        if !matches!(descriptor.media_type.as_str(), "" | IMAGE | DOCKER_IMAGE) {
            continue;
        }
        let platform = match &descriptor.platform {
            None => None,
            Some(words) if words.is_unknown() => continue,
            // Some tools write the key and leave it empty.
            Some(words) if words.os.is_empty() && words.architecture.is_empty() => None,
            Some(words) => match words.platform() {
                Some(platform) => Some(platform),
                None => {
                    others.push(format!("{}/{}", word(&words.os), word(&words.architecture)));
                    continue;
                }
            },
        };
        // The first that matches is the one that runs.
        if platform.is_none() || images.iter().all(|image| image.platform != platform) {
            images.push(Listed {
                digest: digest(&descriptor.digest)?,
                platform,
            });
        }
    }
    match images.len() {
        0 => Err(no_linux(others)),
        count if count > MOST_IMAGES => Err(ManifestError::TooMany(count)),
        _ => Ok(Manifest::Index(images)),
    }
}

/// What an image is for and what it runs, by its configuration.
///
/// # Errors
/// It cannot be read, or is not for Linux.
pub fn read_config(body: &[u8]) -> Result<(Platform, Command), ManifestError> {
    #[derive(Deserialize)]
    struct Config {
        #[serde(flatten)]
        platform: Words,
        config: Option<Run>,
    }
    #[derive(Default, Deserialize)]
    #[serde(default, rename_all = "PascalCase")]
    struct Run {
        entrypoint: Option<Vec<String>>,
        cmd: Option<Vec<String>>,
    }
    let read: Config = read("configuration", body)?;
    if read.platform.os.is_empty() {
        return Err(ManifestError::Unreadable {
            what: "configuration",
            why: "it names no platform".to_owned(),
        });
    }
    let platform = read.platform.platform();
    let platform = platform.ok_or_else(|| {
        no_linux(vec![format!(
            "{}/{}",
            word(&read.platform.os),
            word(&read.platform.architecture)
        )])
    })?;
    let run = read.config.unwrap_or_default();
    let command = Command {
        entrypoint: run.entrypoint.unwrap_or_default(),
        cmd: run.cmd.unwrap_or_default(),
    };
    Ok((platform, command))
}

fn no_linux(mut others: Vec<String>) -> ManifestError {
    others.sort();
    others.dedup();
    if others.is_empty() {
        others.push("nothing".to_owned());
    }
    ManifestError::NoLinux(others.join(", "))
}

fn digest(text: &str) -> Result<Digest, ManifestError> {
    Digest::parse(text).ok_or(ManifestError::Digest)
}

/// `text`, if it is such a word as stands in manifests. Whatever else an answer holds, which may come from
/// where only the controller gets, is told to nobody.
fn word(text: &str) -> String {
    const MOST: usize = 100;
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"./+-_".contains(&byte);
    if text.len() <= MOST && text.bytes().all(is_plain) {
        text.to_owned()
    } else {
        "something else".to_owned()
    }
}

fn read<'a, T: Deserialize<'a>>(what: &'static str, body: &'a [u8]) -> Result<T, ManifestError> {
    serde_json::from_slice(body).map_err(|error| ManifestError::Unreadable {
        what,
        // Where, and not what: the parser quotes what it has read.
        why: format!(
            "line {}, column {} is not as it should be",
            error.line(),
            error.column()
        ),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn sha(digit: &str) -> String {
        format!("sha256:{}", digit.repeat(64))
    }

    fn manifest(document: &Value, media_type: &str) -> Result<Manifest, ManifestError> {
        Manifest::read(document.to_string().as_bytes(), media_type)
    }

    #[test]
    fn one_image() {
        let document = json!({"schemaVersion": 2, "config": {"digest": sha("a")}, "layers": []});
        let expected = Manifest::Image(Digest::parse(&sha("a")).unwrap());
        for media_type in [
            IMAGE,
            DOCKER_IMAGE,
            "application/json",
            "",
            &format!("{IMAGE}; charset=utf-8"),
        ] {
            assert_eq!(
                manifest(&document, media_type),
                Ok(expected.clone()),
                "{media_type}"
            );
        }
        let mut typed = document.clone();
        typed["mediaType"] = json!(DOCKER_IMAGE);
        assert_eq!(manifest(&typed, "text/plain"), Ok(expected));
    }

    #[test]
    fn an_index_keeps_the_first_of_each_platform_of_linux() {
        let entry = |digit: &str, os: &str, architecture: &str, variant: &str| {
            json!({"mediaType": IMAGE, "digest": sha(digit),
                "platform": {"os": os, "architecture": architecture, "variant": variant}})
        };
        let document = json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": [
            entry("1", "linux", "amd64", ""),
            entry("2", "unknown", "unknown", ""),
            entry("3", "windows", "amd64", ""),
            entry("4", "linux", "arm64", "v8"),
            entry("5", "linux", "arm64", ""),
            entry("6", "linux", "arm", "v7"),
            {"digest": sha("7")},
            {"mediaType": IMAGE, "digest": sha("8"), "platform": {}},
            {"mediaType": INDEX, "digest": sha("9")},
        ]});
        let Ok(Manifest::Index(images)) = manifest(&document, INDEX) else {
            panic!("an index");
        };
        let images: Vec<String> = images
            .iter()
            .map(|image| {
                let platform = image
                    .platform
                    .as_ref()
                    .map_or("?".to_owned(), Platform::to_string);
                format!("{} {platform}", &image.digest.as_str()[7..8])
            })
            .collect();
        assert_eq!(
            images,
            ["1 linux/amd64", "4 linux/arm64", "6 linux/arm/v7", "7 ?", "8 ?"]
        );
    }

    #[test]
    fn what_is_of_no_use() {
        let windows = json!({"digest": sha("1"), "platform": {"os": "windows", "architecture": "amd64"}});
        let many: Vec<Value> = (0..=MOST_IMAGES).map(|_| json!({"digest": sha("1")})).collect();
        for (document, media_type, part) in [
            (json!([]), IMAGE, "the manifest cannot be read"),
            (
                json!({"schemaVersion": 1, "fsLayers": []}),
                "application/vnd.docker.distribution.manifest.v1+prettyjws",
                "it is no image but \"application/vnd.docker.distribution.manifest.v1+prettyjws\"",
            ),
            (
                json!({"config": {"digest": "x"}}),
                IMAGE,
                "by what is no sha256 digest",
            ),
            (json!({"manifests": [windows]}), INDEX, "only for windows/amd64"),
            (json!({"manifests": []}), INDEX, "only for nothing"),
            (json!({"manifests": many}), INDEX, "lists 65 images"),
        ] {
            let error = manifest(&document, media_type).unwrap_err().to_string();
            assert!(error.contains(part), "{error}");
        }
    }

    #[test]
    fn configurations() {
        let full = json!({"os": "linux", "architecture": "arm64", "variant": "v8", "config": {
            "Entrypoint": ["/e"], "Cmd": ["c"], "Env": ["A=b"]}, "rootfs": {}});
        let (platform, command) = read_config(full.to_string().as_bytes()).unwrap();
        assert_eq!(platform.to_string(), "linux/arm64");
        assert_eq!(
            (command.entrypoint, command.cmd),
            (vec!["/e".to_owned()], vec!["c".to_owned()])
        );
        for nothing in [
            json!({"config": {"Cmd": null}}),
            json!({"config": null}),
            json!({}),
        ] {
            let mut document = nothing;
            document["os"] = json!("linux");
            document["architecture"] = json!("amd64");
            let (_, command) = read_config(document.to_string().as_bytes()).unwrap();
            assert_eq!(command, Command::default());
        }
        let windows = json!({"os": "windows", "architecture": "amd64"});
        let error = read_config(windows.to_string().as_bytes()).unwrap_err();
        assert_eq!(error, ManifestError::NoLinux("windows/amd64".to_owned()));
        assert!(read_config(b"{").is_err());
    }
}
