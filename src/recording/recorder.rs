//! A model whose replies are kept.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use crate::llm::{About, Failure, Model, Reply, Request};
use crate::recording::file::folder_of;
use crate::recording::{Key, Recording};

/// While replies come, the file is written so often, so that a run that is killed loses few.
const EVERY: Duration = Duration::from_secs(2);

/// Asks another model and keeps what it answers. An equal request gets the same answer again: from
/// the recording, or from a call that is under way.
pub struct RecordingModel {
    model: Box<dyn Model>,
    file: PathBuf,
    taken: Mutex<Taken>,
    /// When the file was written last.
    written: Mutex<Instant>,
}

struct Taken {
    recording: Recording,
    under_way: BTreeMap<Key, Arc<OnceLock<Result<Reply, Failure>>>>,
    unanswered: u64,
}

impl RecordingModel {
    /// Adds to a recording, which is written to a file.
    ///
    /// # Errors
    ///
    /// When the folder of the file is not there and cannot be made.
    pub fn new(model: Box<dyn Model>, recording: Recording, file: &Path) -> io::Result<Self> {
        std::fs::create_dir_all(folder_of(file))?;
        Ok(Self {
            model,
            file: file.to_owned(),
            taken: Mutex::new(Taken {
                recording,
                under_way: BTreeMap::new(),
                unanswered: 0,
            }),
            written: Mutex::new(Instant::now()),
        })
    }

    /// How many replies are recorded, and how many calls got none.
    pub fn counts(&self) -> (usize, u64) {
        let taken = self.taken();
        (taken.recording.len(), taken.unanswered)
    }

    /// Writes the file.
    ///
    /// # Errors
    ///
    /// When that fails: the file is then what it was.
    pub fn write(&self) -> io::Result<()> {
        let mut written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
        self.write_now(&mut written)
    }

    fn write_now(&self, written: &mut Instant) -> io::Result<()> {
        let recording = self.taken().recording.clone();
        recording.write(&self.file)?;
        *written = Instant::now();
        Ok(())
    }

    fn taken(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn ask_anew(&self, key: &Key, request: &Request) -> Result<Reply, Failure> {
        let outcome = self.model.ask(request);
        let mut taken = self.taken();
        taken.under_way.remove(key);
        match &outcome {
            Ok(reply) => taken.recording.insert(key.clone(), reply.clone()),
            Err(_) => taken.unanswered += 1,
        }
        drop(taken);
        if let Ok(mut written) = self.written.try_lock()
            && written.elapsed() >= EVERY
        {
            // Where it cannot be written, the end of the run says so.
            let _later = self.write_now(&mut written);
        }
        outcome
    }
}

impl Model for RecordingModel {
    fn ask(&self, request: &Request) -> Result<Reply, Failure> {
        let key = Key::of(request);
        let call = {
            let mut taken = self.taken();
            if let Some(reply) = taken.recording.get(&key) {
                return Ok(reply.clone());
            }
            Arc::clone(taken.under_way.entry(key.clone()).or_default())
        };
        call.get_or_init(|| self.ask_anew(&key, request)).clone()
    }

    fn about(&self) -> About {
        self.model.about()
    }

    fn concurrency(&self) -> usize {
        self.model.concurrency()
    }
}
