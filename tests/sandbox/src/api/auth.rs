//! Who a request comes from: bearer tokens, shaped as JWTs that the sandbox signs itself.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use serde_json::json;
use sha2::{Digest, Sha256};

/// Group of everybody who has a valid token.
pub(crate) const AUTHENTICATED: &str = "system:authenticated";
/// Group that may do everything.
pub(crate) const MASTERS: &str = "system:masters";

/// An authenticated client.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct User {
    pub(crate) name: String,
    pub(crate) uid: String,
    pub(crate) groups: Vec<String>,
}

impl User {
    /// Namespace and name, when the user is a service account.
    pub(crate) fn service_account(&self) -> Option<(&str, &str)> {
        self.name.strip_prefix("system:serviceaccount:")?.split_once(':')
    }

    /// Whoever shows no token.
    pub(crate) fn anonymous() -> Self {
        Self {
            name: "system:anonymous".to_owned(),
            uid: String::new(),
            groups: vec!["system:unauthenticated".to_owned()],
        }
    }

    /// A person or component with these groups.
    pub(crate) fn named(name: &str, groups: &[&str]) -> Self {
        let mut groups: Vec<String> = groups.iter().map(|g| (*g).to_owned()).collect();
        groups.push(AUTHENTICATED.to_owned());
        Self { name: name.to_owned(), uid: String::new(), groups }
    }

    /// A service account; an empty UID binds the token to the name alone.
    pub(crate) fn account(namespace: &str, name: &str, uid: &str) -> Self {
        Self {
            name: format!("system:serviceaccount:{namespace}:{name}"),
            uid: uid.to_owned(),
            groups: vec![
                "system:serviceaccounts".to_owned(),
                format!("system:serviceaccounts:{namespace}"),
                AUTHENTICATED.to_owned(),
            ],
        }
    }
}

#[derive(Serialize, Deserialize)]
struct Claims {
    iss: String,
    sub: String,
    aud: Vec<String>,
    iat: i64,
    exp: i64,
    uid: String,
    groups: Vec<String>,
}

/// Signs and checks tokens.
#[derive(Clone, Debug)]
pub(crate) struct Tokens {
    secret: Vec<u8>,
}

impl Tokens {
    pub(crate) fn new(secret: Vec<u8>) -> Self {
        Self { secret }
    }

    /// A token for a user; `seconds` is its life.
    pub(crate) fn issue(&self, user: &User, audiences: &[String], seconds: i64) -> String {
        let now = jiff::Timestamp::now().as_second();
        let audiences =
            if audiences.is_empty() { vec![super::AUDIENCE.to_owned()] } else { audiences.to_vec() };
        let claims = Claims {
            iss: super::AUDIENCE.to_owned(),
            sub: user.name.clone(),
            aud: audiences,
            iat: now,
            exp: now.saturating_add(seconds),
            uid: user.uid.clone(),
            groups: user.groups.clone(),
        };
        let header = URL_SAFE_NO_PAD.encode(json!({"alg": "HS256", "typ": "JWT"}).to_string());
        let body = URL_SAFE_NO_PAD.encode(serde_json::to_vec(&claims).unwrap_or_default());
        let signed = format!("{header}.{body}");
        let signature = URL_SAFE_NO_PAD.encode(self.sign(signed.as_bytes()));
        format!("{signed}.{signature}")
    }

    /// The user of a token that is ours, for this server, and not expired.
    pub(crate) fn check(&self, token: &str) -> Option<User> {
        self.check_for(token, &[]).map(|(user, _)| user)
    }

    /// The user of a token that is ours and not expired, and for which of these audiences it is; without any,
    /// whether it is for this server.
    pub(crate) fn check_for(&self, token: &str, audiences: &[String]) -> Option<(User, Vec<String>)> {
        let (signed, signature) = token.rsplit_once('.')?;
        let signature = URL_SAFE_NO_PAD.decode(signature).ok()?;
        let wanted = self.sign(signed.as_bytes());
        let same = signature.len() == wanted.len()
            && signature.iter().zip(&wanted).fold(0, |acc, (a, b)| acc | (a ^ b)) == 0;
        if !same {
            return None;
        }
        let (_, body) = signed.split_once('.')?;
        let claims: Claims = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(body).ok()?).ok()?;
        let live = claims.exp > jiff::Timestamp::now().as_second();
        let own = [super::AUDIENCE.to_owned()];
        let wanted = if audiences.is_empty() { &own[..] } else { audiences };
        let meant: Vec<String> =
            wanted.iter().filter(|wanted| claims.aud.contains(wanted)).cloned().collect();
        let user = User { name: claims.sub, uid: claims.uid, groups: claims.groups };
        (live && !meant.is_empty()).then_some((user, meant))
    }

    /// HMAC with SHA-256 (RFC 2104).
    fn sign(&self, message: &[u8]) -> Vec<u8> {
        let mut key = [0_u8; 64];
        if self.secret.len() > key.len() {
            key[..32].copy_from_slice(&Sha256::digest(&self.secret));
        } else {
            key[..self.secret.len()].copy_from_slice(&self.secret);
        }
        let pad = |byte: u8| key.iter().map(|k| k ^ byte).collect::<Vec<u8>>();
        let inner = Sha256::new().chain_update(pad(0x36)).chain_update(message).finalize();
        Sha256::new().chain_update(pad(0x5c)).chain_update(inner).finalize().to_vec()
    }
}
