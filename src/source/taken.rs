//! What the inputs were, byte for byte, for a record of what was read.

use std::sync::{Arc, Mutex, PoisonError};

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::event::Digest;

/// What was read of an input.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InputRead {
    /// What messages call it.
    pub name: String,
    /// How many bytes were read, before decompression.
    pub bytes: u64,
    /// Their SHA-256: what `sha256sum` says of a file that was read to its end.
    pub sha256: Digest,
}

/// The inputs that were read, in their order: each from when it is done with.
#[derive(Clone, Debug, Default)]
pub struct Taken(Arc<Mutex<Vec<InputRead>>>);

impl Taken {
    /// The inputs that were read so far.
    #[must_use]
    pub fn inputs(&self) -> Vec<InputRead> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

/// The digest of what is read of one input.
pub(super) struct Sum {
    name: String,
    bytes: u64,
    hash: Sha256,
    taken: Taken,
}

impl Sum {
    pub(super) fn new(name: String, taken: &Taken) -> Self {
        Self {
            name,
            bytes: 0,
            hash: Sha256::new(),
            taken: taken.clone(),
        }
    }

    pub(super) fn add(&mut self, read: &[u8]) {
        self.bytes += read.len() as u64;
        self.hash.update(read);
    }
}

impl Drop for Sum {
    fn drop(&mut self) {
        let hash = std::mem::take(&mut self.hash);
        let read = InputRead {
            name: std::mem::take(&mut self.name),
            bytes: self.bytes,
            sha256: Digest::of_bytes(hash.finalize().into()),
        };
        let mut inputs = self.taken.0.lock().unwrap_or_else(PoisonError::into_inner);
        inputs.push(read);
    }
}
