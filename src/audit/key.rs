//! Keys that sign checkpoints: Ed25519, kept as PKCS#8 PEM.

use std::fmt;
use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use ed25519_dalek::pkcs8::spki::der::pem::LineEnding;
use ed25519_dalek::pkcs8::{
    DecodePrivateKey as _, DecodePublicKey as _, EncodePrivateKey as _, EncodePublicKey as _,
};
use ed25519_dalek::{Signature, Signer as _, SigningKey, VerifyingKey};

use crate::audit::disk::{above, for_owner};
use crate::event::Digest;
use crate::visible::reason;

/// A key file has at most so many bytes.
const MAX_FILE: u64 = 16 << 10;

/// A key cannot be had. Nothing of a file's content is ever part of it.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// A file failed.
    #[error("the key file `{}` cannot be used: {}", .path.display(), reason(.error))]
    Io {
        /// Which.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// It holds something else.
    #[error("`{}` is not {expected} in PEM; make one with `rulectl audit keygen`", .path.display())]
    NoKey {
        /// Which.
        path: PathBuf,
        /// What it should be.
        expected: &'static str,
    },
    /// A key is never overwritten.
    #[error("`{}` exists, and a key is never overwritten; name another file", .0.display())]
    Exists(PathBuf),
    /// The system gave no random bytes.
    #[error("the system gives no random bytes for a new key")]
    Random,
}

/// Signs checkpoints.
#[derive(Clone)]
pub struct Signer(SigningKey);

/// Checks signatures.
#[derive(Clone, Copy)]
pub struct PublicKey(VerifyingKey);

impl Signer {
    /// The key in a file.
    ///
    /// # Errors
    ///
    /// When the file cannot be read or is no private Ed25519 key.
    pub fn read(path: &Path) -> Result<Self, KeyError> {
        let key = SigningKey::from_pkcs8_pem(&text(path)?).map_err(|_| KeyError::NoKey {
            path: path.to_owned(),
            expected: "a private Ed25519 key (PKCS#8)",
        })?;
        Ok(Self(key))
    }

    /// Makes a new key in a file that only its owner may read, and its public half in `FILE.pub`.
    ///
    /// # Errors
    ///
    /// When one of the files exists or cannot be written.
    pub fn generate(path: &Path) -> Result<PublicKey, KeyError> {
        let mut seed = [0; 32];
        getrandom::fill(&mut seed).map_err(|_| KeyError::Random)?;
        let key = SigningKey::from_bytes(&seed);
        let public = PublicKey(key.verifying_key());
        let beside = public_file(path);
        if fs::symlink_metadata(&beside).is_ok() {
            return Err(KeyError::Exists(beside));
        }
        let pem = key
            .to_pkcs8_pem(LineEnding::LF)
            .map_err(|_| KeyError::Random)?;
        create(path, pem.as_bytes())?;
        create(&beside, public.pem().as_bytes())?;
        Ok(public)
    }

    /// Its public half.
    #[must_use]
    pub fn public(&self) -> PublicKey {
        PublicKey(self.0.verifying_key())
    }

    pub(super) fn sign(&self, text: &str) -> [u8; 64] {
        self.0.sign(text.as_bytes()).to_bytes()
    }
}

impl PublicKey {
    /// The key in a file.
    ///
    /// # Errors
    ///
    /// When the file cannot be read or is no public Ed25519 key.
    pub fn read(path: &Path) -> Result<Self, KeyError> {
        let key = VerifyingKey::from_public_key_pem(&text(path)?);
        key.map(Self).map_err(|_| KeyError::NoKey {
            path: path.to_owned(),
            expected: "a public Ed25519 key",
        })
    }

    /// What tells it from other keys: the first 16 digits of its SHA-256.
    #[must_use]
    pub fn id(&self) -> String {
        let digits = Digest::of(self.0.as_bytes()).to_string();
        digits.chars().take(16).collect()
    }

    /// As it stands in a file.
    #[must_use]
    pub fn pem(&self) -> String {
        let pem = self.0.to_public_key_pem(LineEnding::LF);
        pem.unwrap_or_default() // 32 bytes always have a text
    }

    pub(super) fn verifies(&self, text: &str, signature: &[u8]) -> bool {
        let signature = Signature::from_slice(signature);
        signature.is_ok_and(|it| self.0.verify_strict(text.as_bytes(), &it).is_ok())
    }
}

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Signer({})", self.public().id())
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({})", self.id())
    }
}

/// Where the public half of a key stands.
#[must_use]
pub fn public_file(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".pub");
    name.into()
}

/// Whether others than its owner may read a file.
#[must_use]
pub fn is_open_to_others(path: &Path) -> bool {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        fs::metadata(path).is_ok_and(|metadata| metadata.permissions().mode() & 0o077 != 0)
    }
    #[cfg(not(unix))]
    {
        let _ = path;
        false
    }
}

fn text(path: &Path) -> Result<String, KeyError> {
    use std::io::Read as _;
    let mut text = String::new();
    let read = fs::File::open(path).and_then(|it| it.take(MAX_FILE).read_to_string(&mut text));
    match read {
        Err(error) if error.kind() != io::ErrorKind::InvalidData => Err(failed(path)(error)),
        _ => Ok(text), // what is no text is no key
    }
}

fn create(path: &Path, bytes: &[u8]) -> Result<(), KeyError> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    for_owner(&mut options);
    let mut file = options.open(path).map_err(|error| match error.kind() {
        io::ErrorKind::AlreadyExists => KeyError::Exists(path.to_owned()),
        _ => failed(path)(error),
    })?;
    let write = |file: &mut fs::File| {
        file.write_all(bytes)?;
        file.sync_all()?;
        super::disk::Disk::sync_folder(&super::disk::RealDisk, above(path))
    };
    write(&mut file).map_err(failed(path))
}

fn failed(path: &Path) -> impl FnOnce(io::Error) -> KeyError {
    let path = path.to_owned();
    move |error| KeyError::Io { path, error }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_key_signs_what_its_public_half_verifies() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("audit.pem");
        let public = Signer::generate(&path).expect("a key");
        assert!(!is_open_to_others(&path));
        let signer = Signer::read(&path).expect("the key");
        let read = PublicKey::read(&public_file(&path)).expect("the public key");
        assert_eq!(public.id(), read.id());
        assert_eq!(public.id().len(), 16);
        let signature = signer.sign("text");
        assert!(read.verifies("text", &signature));
        assert!(!read.verifies("another", &signature));
        assert!(!read.verifies("text", &signature[..63]));
        let exists = Signer::generate(&path);
        assert!(matches!(exists, Err(KeyError::Exists(_))), "{exists:?}");
        assert_eq!(
            signer.public().id(),
            Signer::read(&path).expect("as it was").public().id()
        );
    }

    #[test]
    fn no_error_tells_what_a_key_file_holds() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("audit.pem");
        let public = Signer::generate(&path).expect("a key");
        let whole = fs::read_to_string(&path).expect("a text");
        let secret = whole.lines().nth(1).expect("a line").to_owned();
        let cut = whole.replace("END", "ENDE");
        fs::write(&path, cut).expect("written");
        let error = Signer::read(&path).expect_err("no key");
        assert!(!format!("{error:?} {error}").contains(&secret));
        fs::write(&path, whole).expect("written");
        let signer = Signer::read(&path).expect("a key");
        assert_eq!(format!("{signer:?}"), format!("Signer({})", public.id()));
        assert!(
            PublicKey::read(&path).is_err(),
            "a private key is no public one"
        );
        fs::write(&path, [0xff; 40]).expect("written");
        assert!(matches!(Signer::read(&path), Err(KeyError::NoKey { .. })));
        let nowhere = folder.path().join("nowhere");
        assert!(matches!(Signer::read(&nowhere), Err(KeyError::Io { .. })));
    }
}
