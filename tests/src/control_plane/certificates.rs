//! The certificate authority of one control plane, and what it signs.

use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};

use super::Error;

/// The object identifier of an organization. A name of rcgen holds each kind of attribute once; this is the
/// same attribute as a kind of its own, so a certificate can have two.
const ORGANIZATION: [u64; 4] = [2, 5, 4, 10];

/// A certificate and its key, both as PEM.
#[derive(Clone, Debug)]
pub struct Certificate {
    /// The certificate.
    pub pem: String,
    /// Its private key, PKCS #8.
    pub key_pem: String,
}

impl Certificate {
    /// Writes `NAME.crt` and `NAME.key`; only this user can read the key.
    pub(super) fn write(&self, folder: &Path, name: &str) -> Result<(), Error> {
        write_private(&folder.join(format!("{name}.crt")), &self.pem)?;
        write_private(&folder.join(format!("{name}.key")), &self.key_pem)
    }
}

/// Signs everything that one control plane trusts.
pub(super) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    /// Its certificate and key.
    pub(super) own: Certificate,
}

impl Authority {
    pub(super) fn generate() -> Result<Self, Error> {
        let key = KeyPair::generate()?;
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, "control plane of a test");
        params.key_usages =
            vec![KeyUsagePurpose::DigitalSignature, KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let own = Certificate { pem: params.self_signed(&key)?.pem(), key_pem: key.serialize_pem() };
        Ok(Self { issuer: Issuer::new(params, key), own })
    }

    /// A client certificate: the user is its common name, the groups its organizations.
    pub(super) fn client(&self, user: &str, groups: &[&str]) -> Result<Certificate, Error> {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, user);
        let kinds = [DnType::OrganizationName, DnType::CustomDnType(ORGANIZATION.to_vec())];
        if groups.len() > kinds.len() {
            return Err(Error::Options(format!("a certificate takes two groups at most, not {groups:?}")));
        }
        for (kind, group) in kinds.into_iter().zip(groups) {
            params.distinguished_name.push(kind, *group);
        }
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        self.sign(params)
    }

    /// A server certificate for these host names and addresses.
    pub(super) fn server(&self, name: &str, hosts: &[String]) -> Result<Certificate, Error> {
        let mut params = CertificateParams::new(hosts)?;
        params.distinguished_name.push(DnType::CommonName, name);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        self.sign(params)
    }

    fn sign(&self, mut params: CertificateParams) -> Result<Certificate, Error> {
        params.use_authority_key_identifier_extension = true;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        let key = KeyPair::generate()?;
        Ok(Certificate { pem: params.signed_by(&key, &self.issuer)?.pem(), key_pem: key.serialize_pem() })
    }
}

/// Writes the pair of keys that tokens of ServiceAccounts are signed and checked with: `NAME.key`,
/// `NAME.pub`.
pub(super) fn write_token_keys(folder: &Path, name: &str) -> Result<(), Error> {
    let key = KeyPair::generate()?;
    write_private(&folder.join(format!("{name}.key")), &key.serialize_pem())?;
    write_private(&folder.join(format!("{name}.pub")), &key.public_key_pem())
}

/// Writes a file that only this user can read.
pub(super) fn write_private(path: &Path, text: &str) -> Result<(), Error> {
    let open = OpenOptions::new().create(true).write(true).truncate(true).mode(0o600).open(path);
    open.and_then(|mut file| file.write_all(text.as_bytes())).map_err(Error::io(path.display().to_string()))
}
