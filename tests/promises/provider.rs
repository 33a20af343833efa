//! A provider of identities (OpenID Connect), honest or lying as it is told.
#![allow(clippy::wildcard_enum_match_arm, reason = "a lie changes one thing, all others leave it")]

use crate::browser::hub;
use crate::common::process::tool;
use crate::support::Hub;
use axum::extract::{RawForm, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use data_encoding::{BASE64, BASE64URL_NOPAD};
use ring::digest::{SHA256, digest};
use ring::hmac;
use ring::rand::SystemRandom;
use ring::rsa::{KeyPair as RsaKeyPair, PublicKeyComponents};
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair, RSA_PKCS1_SHA256};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

pub const CLIENT: &str = "qcloud-hub-7f";
const SECRET: &str = "a secret: of+two";
pub const NAME: &str = "Example Identity";

/// What a provider does that it should not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lie {
    Nothing,
    OtherDocument,
    TokenIssuer,
    AlgNone,
    Hs256,
    OtherKey,
    OtherKind,
    Expired,
    Future,
    Nonce,
    Audience,
    OtherParty,
    NobodyNamed,
    HugeKeys,
    SlowKeys,
    MovedKeys,
    NoToken,
    Inside,
}

struct Known {
    challenge: String,
    nonce: String,
    sub: String,
    redirect: String,
}

struct Shared {
    at: SocketAddr,
    lie: Mutex<Lie>,
    rsa: bool,
    codes: Mutex<BTreeMap<String, Known>>,
}

#[derive(Clone)]
pub struct Provider(Arc<Shared>);

fn rsa() -> &'static RsaKeyPair {
    static KEY: OnceLock<RsaKeyPair> = OnceLock::new();
    KEY.get_or_init(|| {
        let args = ["genpkey", "-quiet", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"];
        let pem = tool("openssl", args);
        let body: String = pem.lines().filter(|line| !line.starts_with('-')).collect();
        RsaKeyPair::from_pkcs8(&BASE64.decode(body.as_bytes()).expect("base64")).expect("a key")
    })
}

fn ec(which: usize) -> &'static EcdsaKeyPair {
    static KEYS: OnceLock<[EcdsaKeyPair; 2]> = OnceLock::new();
    let keys = KEYS.get_or_init(|| {
        [(); 2].map(|()| {
            let (kind, random) = (&ECDSA_P256_SHA256_FIXED_SIGNING, SystemRandom::new());
            let pkcs8 = EcdsaKeyPair::generate_pkcs8(kind, &random).expect("a key");
            EcdsaKeyPair::from_pkcs8(kind, pkcs8.as_ref(), &random).expect("a key")
        })
    });
    &keys[which]
}

fn text(bytes: impl AsRef<[u8]>) -> String {
    BASE64URL_NOPAD.encode(bytes.as_ref())
}

/// What a query or a form says.
pub fn pairs(query: &str) -> BTreeMap<String, String> {
    let decoded = |text: &str| {
        let mut parts = text.split('%');
        let mut out = parts.next().unwrap_or_default().as_bytes().to_vec();
        for part in parts {
            let (hex, rest) = part.split_at(2);
            out.push(u8::from_str_radix(hex, 16).expect("hex"));
            out.extend_from_slice(rest.as_bytes());
        }
        String::from_utf8(out).expect("text")
    };
    let pair = |pair: &str| pair.split_once('=').map(|(name, value)| (name.into(), decoded(value)));
    query.split('&').filter_map(pair).collect()
}

impl Provider {
    /// One that signs with RSA, or with P-256.
    pub async fn start(rsa: bool) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let at = listener.local_addr().expect("an address");
        let shared = Shared { at, lie: Mutex::new(Lie::Nothing), rsa, codes: Mutex::default() };
        let provider = Self(Arc::new(shared));
        let router = Router::new()
            .route("/.well-known/openid-configuration", get(document))
            .route("/keys", get(keys))
            .route("/moved", get(|| async { (StatusCode::FOUND, [(header::LOCATION, "/keys")]) }))
            .route("/token", post(token))
            .with_state(provider.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        provider
    }

    pub fn issuer(&self) -> String {
        format!("http://{}", self.0.at)
    }

    pub fn lies(&self, lie: Lie) {
        *self.0.lie.lock().expect("nobody panics here") = lie;
    }

    fn lie(&self) -> Lie {
        *self.0.lie.lock().expect("nobody panics here")
    }

    /// Somebody says yes at the provider: the way back.
    pub fn consents(&self, location: &str, sub: &str) -> String {
        let (endpoint, query) = location.split_once('?').expect("a query");
        assert_eq!(endpoint, format!("{}/authorize", self.issuer()));
        let asked = pairs(query);
        let is = |name: &str, value: &str| assert_eq!(asked[name], value, "{location}");
        is("response_type", "code");
        is("scope", "openid");
        is("client_id", CLIENT);
        is("code_challenge_method", "S256");
        let code = text(digest(&SHA256, asked["state"].as_bytes()));
        let known = Known {
            challenge: asked["code_challenge"].clone(),
            nonce: asked["nonce"].clone(),
            sub: sub.into(),
            redirect: asked["redirect_uri"].clone(),
        };
        self.0.codes.lock().expect("nobody panics here").insert(code.clone(), known);
        format!("/sign-in/oidc?code={code}&state={}", asked["state"])
    }
}

async fn document(State(provider): State<Provider>) -> Json<Value> {
    let issuer = provider.issuer();
    let keys = match provider.lie() {
        Lie::MovedKeys => format!("{issuer}/moved"),
        Lie::Inside => "http://localhost/keys".into(),
        _ => format!("{issuer}/keys"),
    };
    let said = match provider.lie() {
        Lie::OtherDocument => "https://accounts.example.org".into(),
        _ => issuer.clone(),
    };
    Json(json!({
        "issuer": said,
        "authorization_endpoint": format!("{issuer}/authorize"),
        "token_endpoint": format!("{issuer}/token"),
        "jwks_uri": keys,
    }))
}

async fn keys(State(provider): State<Provider>) -> Response {
    match provider.lie() {
        Lie::HugeKeys => return vec![b' '; 1 << 20].into_response(),
        Lie::SlowKeys => tokio::time::sleep(Duration::from_secs(60)).await,
        _ => {}
    }
    let point = ec(0).public_key().as_ref();
    let components: PublicKeyComponents<Vec<u8>> = rsa().public().into();
    Json(json!({"keys": [
        {"kty": "oct", "kid": "1", "k": "AAAA"},
        {"kty": "EC", "crv": "P-256", "kid": "1", "x": text(&point[1..33]), "y": text(&point[33..])},
        {"kty": "RSA", "kid": "2", "use": "sig", "alg": "RS256", "n": text(components.n), "e": text(components.e)},
    ]}))
    .into_response()
}

async fn token(
    State(provider): State<Provider>,
    headers: HeaderMap,
    RawForm(form): RawForm,
) -> Response {
    let form = pairs(std::str::from_utf8(&form).expect("text"));
    let known = provider.0.codes.lock().expect("nobody panics here").remove(&form["code"]);
    let escaped = "a%20secret%3A%20of%2Btwo";
    let basic = format!("Basic {}", BASE64.encode(format!("{CLIENT}:{escaped}").as_bytes()));
    let is_client = headers.get(header::AUTHORIZATION).is_some_and(|value| value == &basic);
    let verified = |known: &Known| {
        text(digest(&SHA256, form["code_verifier"].as_bytes())) == known.challenge
            && form["redirect_uri"] == known.redirect
    };
    let Some(known) = known.filter(|known| is_client && verified(known)) else {
        return (StatusCode::BAD_REQUEST, Json(json!({"error": "invalid_grant"}))).into_response();
    };
    if provider.lie() == Lie::NoToken {
        return Json(json!({"access_token": "x", "token_type": "Bearer"})).into_response();
    }
    let id_token = signed(&provider, &known);
    Json(json!({"access_token": "x", "token_type": "Bearer", "id_token": id_token})).into_response()
}

fn signed(provider: &Provider, known: &Known) -> String {
    let lie = provider.lie();
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let now = now.expect("a time").as_secs();
    let or = |is: Lie, lied: Value, honest: Value| if lie == is { lied } else { honest };
    let audience = match lie {
        Lie::Audience => json!("another-client"),
        Lie::OtherParty => json!([CLIENT, "another-client"]),
        _ => json!([CLIENT]),
    };
    let mut claims = json!({
        "iss": or(Lie::TokenIssuer, json!("https://accounts.example.org"), json!(provider.issuer())),
        "sub": or(Lie::NobodyNamed, json!(""), json!(known.sub)),
        "aud": audience,
        "exp": or(Lie::Expired, json!(now - 3600), json!(now + 300)),
        "iat": or(Lie::Future, json!(now + 3600), json!(now)),
        "nonce": or(Lie::Nonce, json!("AAAA"), json!(known.nonce)),
        "email": "anna.berg@mail.example.org",
    });
    if lie == Lie::OtherParty {
        claims["azp"] = json!("another-client");
    }
    let rsa_signs = provider.0.rsa != (lie == Lie::OtherKind);
    sealed(lie, rsa_signs, &claims)
}

/// The token of these claims.
fn sealed(lie: Lie, rsa_signs: bool, claims: &Value) -> String {
    let alg = match lie {
        Lie::AlgNone => "none",
        Lie::Hs256 => "HS256",
        Lie::OtherKind => {
            if rsa_signs {
                "ES256"
            } else {
                "RS256"
            }
        }
        _ => {
            if rsa_signs {
                "RS256"
            } else {
                "ES256"
            }
        }
    };
    let kid = if rsa_signs { "2" } else { "1" };
    let header = json!({"typ": "JWT", "alg": alg, "kid": kid});
    let message = format!("{}.{}", text(header.to_string()), text(claims.to_string()));
    let random = SystemRandom::new();
    let signature = match lie {
        Lie::AlgNone => Vec::new(),
        Lie::Hs256 => {
            let key = hmac::Key::new(hmac::HMAC_SHA256, ec(0).public_key().as_ref());
            hmac::sign(&key, message.as_bytes()).as_ref().to_vec()
        }
        Lie::OtherKey => {
            ec(1).sign(&random, message.as_bytes()).expect("a signature").as_ref().to_vec()
        }
        _ if rsa_signs => {
            let mut signature = vec![0; rsa().public().modulus_len()];
            let signed = rsa().sign(&RSA_PKCS1_SHA256, &random, message.as_bytes(), &mut signature);
            signed.expect("a signature");
            signature
        }
        _ => ec(0).sign(&random, message.as_bytes()).expect("a signature").as_ref().to_vec(),
    };
    format!("{message}.{}", text(signature))
}

/// Lets a hub know this provider.
pub fn known_to(mut hub: Hub, provider: &Provider) -> Hub {
    let secret = hub.dir.join("oidc.secret");
    std::fs::write(&secret, format!("{SECRET}\n")).expect("a secret");
    std::fs::set_permissions(&secret, PermissionsExt::from_mode(0o600)).expect("permissions");
    let path = hub.dir.join("hub.toml");
    let config = std::fs::read_to_string(&path).expect("a configuration");
    let issuer = provider.issuer();
    let secret = secret.display();
    let section = format!(
        "\n[[oidc]]\nname = \"{NAME}\"\nissuer = \"{issuer}\"\nclient_id = \"{CLIENT}\"\n\
         client_secret_file = \"{secret}\"\n"
    );
    std::fs::write(&path, config + &section).expect("a configuration");
    hub.crash();
    hub
}

/// A hub that knows it.
pub fn hub_of(provider: &Provider) -> Hub {
    known_to(hub(), provider)
}
