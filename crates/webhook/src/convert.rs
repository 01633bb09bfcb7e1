//! Conversion reviews: the API server asks for stored objects in another version (api.md appendix D).
//! No I/O.
//!
//! One object is taken apart at a time, the others stay the bytes they came as: a review may hold a
//! whole list.

use kube::core::response::Status;
use serde::{Deserialize, Serialize};
use serde_json::{
    Value,
    value::{RawValue, to_raw_value},
};
use tektite_api::decode::plain_from_str;
use tektite_core::{
    convert::{ConvertError, convert},
    field_error::{LONGEST_TEXT, clipped},
};

/// The version of reviews that the CRDs ask for.
const REVIEW_VERSION: &str = "apiextensions.k8s.io/v1";
const REVIEW_KIND: &str = "ConversionReview";

/// Why a review gets no answer at all.
#[derive(Debug, thiserror::Error)]
pub enum ReviewError {
    /// It is something else.
    #[error("the body is no ConversionReview: {0}")]
    Shape(#[source] serde_json::Error),
    /// A review as some other API server writes it.
    #[error("the body is no ConversionReview of {REVIEW_VERSION} but \"{kind}\" of \"{api_version}\"")]
    Version {
        /// The kind found.
        kind: String,
        /// The version found.
        api_version: String,
    },
    /// Nothing is asked.
    #[error("the ConversionReview has no request")]
    NoRequest,
    /// The answer cannot be written, which says nothing about the objects.
    #[error("the answer cannot be written: {0}")]
    Answer(#[source] serde_json::Error),
}

/// Why one object of a review is not converted.
#[derive(Debug, thiserror::Error)]
enum ObjectError {
    #[error("cannot convert object {index} to {desired}: {error}")]
    Json {
        index: usize,
        desired: String,
        error: serde_json::Error,
    },
    #[error(transparent)]
    Convert(#[from] ConvertError),
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Question<'a> {
    #[serde(default)]
    api_version: String,
    #[serde(default)]
    kind: String,
    #[serde(borrow)]
    request: Option<Request<'a>>,
}

#[derive(Deserialize)]
struct Request<'a> {
    uid: String,
    #[serde(rename = "desiredAPIVersion")]
    desired: String,
    /// An empty list may come as null.
    #[serde(borrow)]
    objects: Option<Vec<&'a RawValue>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Answer {
    api_version: &'static str,
    kind: &'static str,
    response: Response,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Response {
    uid: String,
    converted_objects: Vec<Box<RawValue>>,
    result: Status,
}

/// Answers a review: all of its objects in the version asked for, or none and why (api.md appendix D).
///
/// # Errors
/// The body is no review, so that there is nothing to answer to.
pub fn answer(body: &[u8]) -> Result<Vec<u8>, ReviewError> {
    let question: Question<'_> = serde_json::from_slice(body).map_err(ReviewError::Shape)?;
    if question.api_version != REVIEW_VERSION || question.kind != REVIEW_KIND {
        return Err(ReviewError::Version {
            kind: question.kind,
            api_version: question.api_version,
        });
    }
    let request = question.request.ok_or(ReviewError::NoRequest)?;
    let objects = request.objects.unwrap_or_default();
    let converted: Result<_, _> = objects
        .into_iter()
        .enumerate()
        .map(|(index, object)| one(index, object, &request.desired))
        .collect();
    let (converted_objects, result) = match converted {
        Ok(objects) => (objects, Status::success()),
        Err(error) => {
            let message = clipped(error.to_string(), LONGEST_TEXT);
            tracing::info!(desired = request.desired, message, "not converted");
            (Vec::new(), Status::failure(&message, "BadRequest").with_code(400))
        }
    };
    serde_json::to_vec(&Answer {
        api_version: REVIEW_VERSION,
        kind: REVIEW_KIND,
        response: Response {
            uid: request.uid,
            converted_objects,
            result,
        },
    })
    .map_err(ReviewError::Answer)
}

fn one(index: usize, object: &RawValue, desired: &str) -> Result<Box<RawValue>, ObjectError> {
    let json = |error| ObjectError::Json {
        index,
        desired: desired.to_owned(),
        error,
    };
    let mut object: Value = plain_from_str(object.get()).map_err(json)?;
    convert(&mut object, desired)?;
    to_raw_value(&object).map_err(json)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn ask(desired: &str, objects: &Value) -> Value {
        let review = json!({"apiVersion": REVIEW_VERSION, "kind": REVIEW_KIND,
            "request": {"uid": "u-1", "desiredAPIVersion": desired, "objects": objects}});
        let answer: Value = serde_json::from_slice(&answer(review.to_string().as_bytes()).unwrap()).unwrap();
        assert_eq!(answer["apiVersion"], REVIEW_VERSION);
        assert_eq!(answer["kind"], REVIEW_KIND);
        assert_eq!(answer["response"]["uid"], "u-1");
        assert!(answer.get("request").is_none());
        answer["response"].clone()
    }

    fn task(version: &str, field: &str) -> Value {
        json!({"apiVersion": version, "kind": "Task",
            "metadata": {"name": "t", "namespace": "n", "uid": "x", "generation": 3, "managedFields": [{"a": 1}]},
            "spec": {"steps": [{"image": "i", field: {"limits": {"cpu": 1}}}]}})
    }

    #[test]
    fn all_objects_come_back_in_order() {
        let action =
            |version: &str| json!({"apiVersion": version, "kind": "StepAction", "spec": {"image": "i"}});
        let (beta, v1) = ("tekton.dev/v1beta1", "tekton.dev/v1");
        let response = ask(
            v1,
            &json!([
                task(beta, "resources"),
                action(beta),
                task(v1, "computeResources")
            ]),
        );
        assert_eq!(response["result"], json!({"status": "Success"}));
        assert_eq!(
            response["convertedObjects"],
            json!([
                task(v1, "computeResources"),
                action(v1),
                task(v1, "computeResources")
            ])
        );
        let response = ask(beta, &json!([task(v1, "computeResources")]));
        assert_eq!(response["convertedObjects"], json!([task(beta, "resources")]));
    }

    #[test]
    fn numbers_keep_their_values() {
        for number in [
            "31.245270191439438",
            "1.5",
            "9223372036854775807",
            "-9223372036854775808",
            "1e21",
        ] {
            let review = format!(
                r#"{{"apiVersion":"{REVIEW_VERSION}","kind":"{REVIEW_KIND}","request":{{"uid":"u","desiredAPIVersion":
                "tekton.dev/v1","objects":[{{"apiVersion":"tekton.dev/v1beta1","kind":"Task","spec":{{"x":{number}}}}}]}}}}"#
            );
            let answer = String::from_utf8(answer(review.as_bytes()).unwrap()).unwrap();
            let expected = number.replace("1e21", "1e+21");
            assert!(answer.contains(&format!("\"x\":{expected}}}")), "{answer}");
        }
    }

    #[test]
    fn nothing_asked_is_nothing_done() {
        for objects in [json!([]), json!(null)] {
            let response = ask("tekton.dev/v1", &objects);
            assert_eq!(response["result"]["status"], "Success");
            assert_eq!(response["convertedObjects"], json!([]));
        }
    }

    #[test]
    fn one_bad_object_fails_the_review_by_name() {
        let beta = "tekton.dev/v1beta1";
        for (desired, bad, message) in [
            (
                "tekton.dev/v3",
                task(beta, "resources"),
                "cannot convert Task n/t from tekton.dev/v1beta1 to tekton.dev/v3: \
                 no version \"tekton.dev/v3\" of this kind is known, only v1, v1beta1",
            ),
            (
                "tekton.dev/v1",
                json!({"apiVersion": beta, "kind": "Pipeline", "metadata": {"namespace": "n", "name": "p"}}),
                "cannot convert Pipeline n/p to tekton.dev/v1: \
                 no kind \"Pipeline\" of \"tekton.dev/v1beta1\" is known",
            ),
            (
                "tekton.dev/v1",
                json!("text"),
                "cannot convert to tekton.dev/v1: what is given is no object",
            ),
        ] {
            let response = ask(desired, &json!([bad, task(beta, "resources")]));
            assert_eq!(response["convertedObjects"], json!([]));
            assert_eq!(
                response["result"],
                json!({"status": "Failure", "code": 400, "reason": "BadRequest", "message": message})
            );
        }
    }

    #[test]
    fn what_is_no_review_has_no_answer() {
        for (body, message) in [
            ("{", "the body is no ConversionReview: EOF"),
            ("[]", "the body is no ConversionReview: "),
            (
                r#"{"apiVersion":"apiextensions.k8s.io/v1beta1","kind":"ConversionReview"}"#,
                "the body is no ConversionReview of apiextensions.k8s.io/v1 but \
                 \"ConversionReview\" of \"apiextensions.k8s.io/v1beta1\"",
            ),
            (
                r#"{"apiVersion":"apiextensions.k8s.io/v1","kind":"ConversionReview"}"#,
                "the ConversionReview has no request",
            ),
            (
                r#"{"apiVersion":"apiextensions.k8s.io/v1","kind":"ConversionReview","request":{"uid":"u"}}"#,
                "the body is no ConversionReview: missing field `desiredAPIVersion`",
            ),
        ] {
            let error = answer(body.as_bytes()).unwrap_err().to_string();
            assert!(error.starts_with(message), "{error}");
        }
    }
}
