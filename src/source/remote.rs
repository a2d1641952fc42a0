//! What comes from elsewhere: a text that somebody fetches as it is read.

use std::fmt;
use std::io::{self, Read};
use std::sync::{Arc, Mutex, PoisonError};

/// A text from elsewhere. It can be read once.
#[derive(Clone)]
pub struct Remote {
    name: String,
    text: Arc<Mutex<Option<Box<dyn Read + Send>>>>,
}

impl Remote {
    /// A text, and what messages call it.
    #[must_use]
    pub fn new(name: String, text: Box<dyn Read + Send>) -> Self {
        Self {
            name,
            text: Arc::new(Mutex::new(Some(text))),
        }
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// The text; an error where it was taken before.
    pub(super) fn take(&self) -> io::Result<Box<dyn Read + Send>> {
        let mut text = self.text.lock().unwrap_or_else(PoisonError::into_inner);
        let taken = || io::Error::other("it can be read once only");
        text.take().ok_or_else(taken)
    }
}

impl fmt::Debug for Remote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Remote({})", self.name)
    }
}

impl PartialEq for Remote {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.text, &other.text)
    }
}

impl Eq for Remote {}
