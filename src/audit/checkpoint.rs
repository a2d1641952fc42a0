//! Checkpoints: how long the log is and how it ends, signed where there is a key.
//!
//! A checkpoint is a record of the log. Its copy in `head.json` is to be kept elsewhere, as a pin:
//! against that, a log that was cut or written anew does not verify.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::audit::key::{PublicKey, Signer};
use crate::event::{Digest, Time};

/// What a log was when the checkpoint was written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Checkpoint {
    /// The hash of the last record before the checkpoint.
    pub head: Digest,
    /// The key that signed it: see [`PublicKey::id`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// The id of the log.
    pub log: Uuid,
    /// How many records stand before the checkpoint, which is also its own number.
    pub records: u64,
    /// The signature in base64.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signature: Option<String>,
    /// When it was written.
    pub time: Time,
}

/// What became of a signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signed {
    /// There is none.
    Not,
    /// It is by another key than the one given.
    ByAnother,
    /// It is the key's, and right.
    Right,
    /// It claims to be the key's, and is not.
    Wrong,
}

impl Checkpoint {
    /// A checkpoint behind so many records.
    pub(super) fn new(
        log: Uuid,
        records: u64,
        head: Digest,
        time: Time,
        signer: Option<&Signer>,
    ) -> Self {
        let mut checkpoint = Self {
            head,
            key: None,
            log,
            records,
            signature: None,
            time,
        };
        if let Some(signer) = signer {
            checkpoint.key = Some(signer.public().id());
            checkpoint.signature = Some(STANDARD.encode(signer.sign(&checkpoint.signed_text())));
        }
        checkpoint
    }

    /// The checkpoint that a record of that kind is.
    pub(super) fn of_record(body: &Value, time: Time) -> Option<Self> {
        let mut whole = body.clone();
        let members = whole.as_object_mut()?;
        if members.insert("time".to_owned(), json!(time)).is_some() {
            return None; // the record has the time
        }
        serde_json::from_value(whole).ok()
    }

    /// What its record says.
    pub(super) fn body(&self) -> Value {
        let mut body = json!({"head": self.head, "log": self.log, "records": self.records});
        if let (Some(key), Some(signature)) = (&self.key, &self.signature)
            && let Some(members) = body.as_object_mut()
        {
            members.insert("key".to_owned(), json!(key));
            members.insert("signature".to_owned(), json!(signature));
        }
        body
    }

    /// What of it can be kept on a slip of paper: `SEQ:HASH` of the last record before it.
    #[must_use]
    pub fn pin(&self) -> String {
        format!("{}:{}", self.records.saturating_sub(1), self.head)
    }

    /// Whether it is signed by a key.
    #[must_use]
    pub fn signed_by(&self, key: &PublicKey) -> Signed {
        let (Some(id), Some(signature)) = (&self.key, &self.signature) else {
            return Signed::Not;
        };
        if *id != key.id() {
            return Signed::ByAnother;
        }
        let bytes = STANDARD.decode(signature);
        match bytes.is_ok_and(|bytes| key.verifies(&self.signed_text(), &bytes)) {
            true => Signed::Right,
            false => Signed::Wrong,
        }
    }

    fn signed_text(&self) -> String {
        let Self {
            log,
            records,
            head,
            time,
            ..
        } = self;
        format!("rulectl-checkpoint/1\n{log}\n{records}\n{head}\n{time}\n")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_checkpoint_is_signed_as_a_whole() {
        let folder = tempfile::tempdir().expect("a folder");
        let make = |name: &str| {
            let path = folder.path().join(name);
            let public = Signer::generate(&path).expect("a key");
            (Signer::read(&path).expect("a key"), public)
        };
        let ((signer, public), (_, other)) = (make("one"), make("other"));
        let sign = |signer| Checkpoint::new(Uuid::nil(), 9, Digest::of(b"x"), Time(5), signer);
        let signed = sign(Some(&signer));
        assert_eq!(signed.signed_by(&public), Signed::Right);
        assert_eq!(signed.signed_by(&other), Signed::ByAnother);
        assert_eq!(sign(None).signed_by(&public), Signed::Not);
        let read = Checkpoint::of_record(&signed.body(), Time(5));
        assert_eq!(read.as_ref(), Some(&signed));
        let changes: [fn(&mut Checkpoint); 5] = [
            |it| it.records = 8,
            |it| it.head = Digest::of(b"y"),
            |it| it.time = Time(6),
            |it| it.log = Uuid::max(),
            |it| it.signature = Some("AAAA".to_owned()),
        ];
        for change in changes {
            let mut changed = signed.clone();
            change(&mut changed);
            assert_eq!(changed.signed_by(&public), Signed::Wrong, "{changed:?}");
        }
    }
}
