//! What a registry wants to see before it answers: nothing, a user and a password, or a token that another
//! place gives for them (distribution specification, "token authentication"). Does I/O.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use http::{
    HeaderMap, HeaderValue, Method, Uri,
    header::{AUTHORIZATION, WWW_AUTHENTICATE},
};
use jiff::Timestamp;
use serde::Deserialize;
use tektite_core::image::keyring::Credential;

use super::{failure::Failure, http_client::HttpClient, reach::Named};

/// The most that a token's answer may have.
const MOST_BYTES: usize = 64 * 1024;

/// How the registry was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Transport {
    /// With TLS: what is secret must not leave it.
    Tls,
    /// Without.
    Plain,
}

/// How a registry wants to be asked.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Wish {
    Basic,
    Token { realm: String, query: String },
}

/// What has to be sent with every request to a registry that has refused one with `headers`; nothing where
/// there is nothing to send.
///
/// # Errors
/// A token is not given.
pub(super) async fn answer(
    client: (&HttpClient, &Named),
    headers: &HeaderMap,
    repository: &str,
    credential: Option<&Credential>,
    transport: Transport,
) -> Result<Option<HeaderValue>, Failure> {
    match (wish(headers, repository), credential) {
        (Some(Wish::Token { realm, query }), _) => {
            let uri = address(&realm, &query, transport)?;
            token(client, uri, credential).await.map(Some)
        }
        (Some(Wish::Basic), Some(credential)) => Ok(basic(credential)),
        (Some(Wish::Basic) | None, _) => Ok(None),
    }
}

fn basic(credential: &Credential) -> Option<HeaderValue> {
    let pair = format!("{}:{}", credential.username, credential.password);
    secret(&format!("Basic {}", STANDARD.encode(pair)))
}

fn secret(text: &str) -> Option<HeaderValue> {
    let mut value = HeaderValue::from_str(text).ok()?;
    value.set_sensitive(true);
    Some(value)
}

/// What the registry asks for: a token, if that is possible.
fn wish(headers: &HeaderMap, repository: &str) -> Option<Wish> {
    let mut basic = None;
    for header in headers.get_all(WWW_AUTHENTICATE) {
        let Ok(challenges) = http_auth::parse_challenges(header.to_str().unwrap_or_default()) else {
            continue;
        };
        for challenge in challenges {
            let param = |name: &str| {
                let found = challenge
                    .params
                    .iter()
                    .find(|(key, _)| key.eq_ignore_ascii_case(name));
                found.map(|(_, value)| value.to_unescaped())
            };
            if challenge.scheme.eq_ignore_ascii_case("bearer") {
                let realm = param("realm")?;
                let scope = param("scope").unwrap_or_else(|| format!("repository:{repository}:pull"));
                let service = param("service").map(|service| format!("service={}&", escaped(&service)));
                let query = format!("{}scope={}", service.unwrap_or_default(), escaped(&scope));
                return Some(Wish::Token { realm, query });
            }
            if challenge.scheme.eq_ignore_ascii_case("basic") {
                basic = Some(Wish::Basic);
            }
        }
    }
    basic
}

/// As it may stand in a query.
fn escaped(text: &str) -> String {
    let each = |byte: u8| {
        if byte.is_ascii_alphanumeric() || b"-._~:/,".contains(&byte) {
            char::from(byte).to_string()
        } else {
            format!("%{byte:02X}")
        }
    };
    text.bytes().map(each).collect()
}

/// Where the token is to be had.
fn address(realm: &str, query: &str, transport: Transport) -> Result<Uri, Failure> {
    let joint = if realm.contains('?') { '&' } else { '?' };
    // Of the address only the host is told: the rest may be what only we are told.
    let uri: Uri = format!("{realm}{joint}{query}").parse().map_err(|_| {
        Failure::Lasting("the registry names something for tokens that is no address".to_owned())
    })?;
    if transport == Transport::Tls && uri.scheme_str() != Some("https") {
        let host = uri.host().unwrap_or_default();
        return Err(Failure::Lasting(format!(
            "the registry names \"{host}\" for tokens without TLS; after TLS only an https address is asked"
        )));
    }
    Ok(uri)
}

async fn token(
    (client, named): (&HttpClient, &Named),
    uri: Uri,
    credential: Option<&Credential>,
) -> Result<HeaderValue, Failure> {
    #[derive(Default, Deserialize)]
    #[serde(default)]
    struct Given {
        token: String,
        access_token: String,
    }
    let host = uri.host().unwrap_or_default().to_owned();
    let mut headers = HeaderMap::new();
    if let Some(value) = credential.and_then(basic) {
        headers.insert(AUTHORIZATION, value);
    }
    let answer = client
        .request(Method::GET, uri, &headers, MOST_BYTES, named)
        .await?;
    if !answer.status.is_success() {
        return Err(Failure::of_status(
            &host,
            answer.status,
            &answer.headers,
            Timestamp::now(),
        ));
    }
    // The parser's own words quote what it has read.
    let given: Given = serde_json::from_slice(&answer.body)
        .map_err(|_| Failure::Lasting(format!("\"{host}\" gives no token that can be read")))?;
    let token = if given.token.is_empty() {
        given.access_token
    } else {
        given.token
    };
    secret(&format!("Bearer {token}"))
        .filter(|_| !token.is_empty())
        .ok_or_else(|| Failure::Lasting(format!("\"{host}\" gives no token that can be sent")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_does_not_leave_tls() {
        let get = |realm, transport| address(realm, "scope=x", transport).map(|uri| uri.to_string());
        let plain = get("http://auth.io/token?a=b", Transport::Plain);
        assert_eq!(plain, Ok("http://auth.io/token?a=b&scope=x".to_owned()));
        let secure = get("https://auth.io/token", Transport::Tls);
        assert_eq!(secure, Ok("https://auth.io/token?scope=x".to_owned()));
        for realm in ["http://auth.io/token", "/token", "no address"] {
            let refused = get(realm, Transport::Tls);
            assert!(
                matches!(refused, Err(Failure::Lasting(_))),
                "{realm}: {refused:?}"
            );
        }
    }

    #[test]
    fn wishes() {
        let realm = || "https://auth.io/token".to_owned();
        for (headers, expected) in [
            (&[][..], None),
            (&["Basic realm=\"registry\""], Some(Wish::Basic)),
            (&["Negotiate", "basic realm=x"], Some(Wish::Basic)),
            (
                &["Bearer realm=\"https://auth.io/token\",service=\"a b\",scope=\"repository:x/y:pull\""],
                Some(Wish::Token {
                    realm: realm(),
                    query: "service=a%20b&scope=repository:x/y:pull".to_owned(),
                }),
            ),
            (
                &["Basic realm=\"r\"", "Bearer realm=\"https://auth.io/token\""],
                Some(Wish::Token {
                    realm: realm(),
                    query: "scope=repository:team/tool:pull".to_owned(),
                }),
            ),
            (&["Bearer service=x"], None),
        ] {
            let mut map = HeaderMap::new();
            for header in headers {
                map.append(WWW_AUTHENTICATE, header.parse().unwrap());
            }
            assert_eq!(wish(&map, "team/tool"), expected, "{headers:?}");
        }
    }

    #[test]
    fn passwords_are_not_printed() {
        let credential = Credential {
            username: "u".to_owned(),
            password: "p".to_owned(),
        };
        let header = basic(&credential).unwrap();
        assert_eq!(header.to_str().unwrap(), "Basic dTpw");
        assert_eq!(format!("{header:?}"), "Sensitive");
    }
}
