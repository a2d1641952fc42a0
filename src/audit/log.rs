//! Writing a log.

use std::collections::{BTreeMap, HashSet};
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, LazyLock, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Instant;

use serde_json::{Map, Value, json};
use uuid::Uuid;

use crate::audit::AuditError;
use crate::audit::blobs::{self, Body, MAX_BODY};
use crate::audit::canonical::canonical;
use crate::audit::checkpoint::Checkpoint;
use crate::audit::disk::{Append, Disk, RealDisk};
use crate::audit::key::Signer;
use crate::audit::read::Chain;
use crate::audit::record::{BATCH, FRAME, Head, is_kind, write_line};
use crate::audit::recover::{self, Recovery};
use crate::audit::segment::{Segment, date_of};
use crate::event::{Digest, Time};
use crate::visible::reason;

/// Kinds that nobody else may write.
const OWN: [&str; 5] = [
    "log.begun",
    "segment",
    "checkpoint",
    "recovered",
    "intent.unknown",
];

/// So many bodies are made durable at a time.
const AT_A_TIME: usize = 32;

/// So many digests of bodies are remembered as stored.
const REMEMBERED: usize = 1 << 16;

/// What time it is, by two clocks.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    /// The clock on the wall.
    pub now: fn() -> Time,
    /// Nanoseconds since some moment, by a clock that never steps back.
    pub mono: fn() -> u64,
}

impl Clock {
    /// The clocks of the system.
    #[must_use]
    pub fn live() -> Self {
        static START: LazyLock<Instant> = LazyLock::new(Instant::now);
        Self {
            now: || Time(chrono::Utc::now().timestamp_nanos_opt().unwrap_or(i64::MAX)),
            mono: || u64::try_from(START.elapsed().as_nanos()).unwrap_or(u64::MAX),
        }
    }
}

/// Who writes, and how.
#[derive(Clone, Debug)]
pub struct Options {
    /// What time it is.
    pub clock: Clock,
    /// The id of the run that writes.
    pub run: Uuid,
    /// Signs checkpoints.
    pub signer: Option<Signer>,
}

impl Options {
    /// A run by the clocks of the system, with a new id.
    #[must_use]
    pub fn live(signer: Option<Signer>) -> Self {
        Self {
            clock: Clock::live(),
            run: Uuid::new_v4(),
            signer,
        }
    }
}

/// A log that is open for writing. Threads may share it.
pub struct Audit {
    disk: Arc<dyn Disk>,
    folder: PathBuf,
    options: Options,
    /// The id of the log.
    log: Uuid,
    /// The monotonic clock when it was opened.
    opened: u64,
    state: Mutex<State>,
    /// Told when a batch was written.
    written: Condvar,
    /// Bodies that are known to be durable.
    stored: Mutex<HashSet<Digest>>,
}

/// An effect that was announced. What becomes of it is for [`Audit::conclude`].
#[derive(Debug)]
#[must_use = "an intent without an outcome is unknown for ever"]
pub struct Intent {
    seq: u64,
    kind: String,
}

impl Intent {
    /// The number of its record.
    #[must_use]
    pub fn seq(&self) -> u64 {
        self.seq
    }
}

struct State {
    chain: Chain,
    segment: Segment,
    /// `None` while a batch is being written.
    file: Option<Box<dyn Append>>,
    /// Lines that are not written yet.
    buffer: Vec<u8>,
    /// How many records are durable.
    durable: u64,
    intents: Intents,
    /// Why nothing is written any more.
    failed: Option<Arc<str>>,
}

type Guard<'a> = MutexGuard<'a, State>;

impl Audit {
    /// Opens the log of a folder, or begins one. The caller holds the lock of the data folder.
    ///
    /// What a crash left unfinished is set right and recorded: a torn tail is moved to `torn/` and
    /// cut, and intents without an outcome are closed as unknown.
    ///
    /// # Errors
    ///
    /// When the folder cannot be written, or what is damaged is no torn tail.
    pub fn open(folder: &Path, options: Options) -> Result<(Self, Recovery), AuditError> {
        Self::open_on(Arc::new(RealDisk), folder, options)
    }

    pub(super) fn open_on(
        disk: Arc<dyn Disk>,
        folder: &Path,
        options: Options,
    ) -> Result<(Self, Recovery), AuditError> {
        let found = recover::recover(&*disk, folder)?;
        let begins = found.end.is_none();
        let (state, log) = match found.end {
            Some(end) => {
                let file = disk.append(&end.segment.path);
                let file = file.map_err(AuditError::io(&end.segment.path))?;
                (
                    State::behind(end.chain, end.segment, file, end.intents),
                    end.log,
                )
            }
            None => {
                let segment = Segment::of(folder, &date_of((options.clock.now)()));
                let file = begin_file(&*disk, folder, &segment)?;
                let intents = Intents::default();
                (
                    State::behind(Chain::BEGIN, segment, file, intents),
                    Uuid::new_v4(),
                )
            }
        };
        let audit = Self {
            disk,
            folder: folder.to_owned(),
            log,
            opened: (options.clock.mono)(),
            options,
            state: Mutex::new(state),
            written: Condvar::new(),
            stored: Mutex::default(),
        };
        let recovery = audit.record_recovery(begins, found.torn)?;
        Ok((audit, recovery))
    }

    /// Records what opening the log found.
    fn record_recovery(
        &self,
        begins: bool,
        torn: Vec<recover::Torn>,
    ) -> Result<Recovery, AuditError> {
        if begins {
            self.add("log.begun", &json!({"format": 1, "log": self.log}))?;
        }
        for torn in &torn {
            self.add("recovered", &json!(torn))?;
        }
        let unknown = self.lock().intents.open();
        for unknown in &unknown {
            self.add("intent.unknown", &json!(unknown))?;
        }
        self.commit()?;
        Ok(Recovery {
            begun: begins,
            torn,
            unknown,
        })
    }

    /// The id of the log.
    #[must_use]
    pub fn log(&self) -> Uuid {
        self.log
    }

    /// Adds a record, which is durable after the next [`Audit::commit`], and gives its number.
    ///
    /// # Errors
    ///
    /// When the record cannot be written, now or since an earlier failure.
    pub fn append(&self, kind: &str, body: Value) -> Result<u64, AuditError> {
        if !is_kind(kind) || OWN.contains(&kind) {
            return Err(AuditError::Kind(kind.to_owned()));
        }
        self.add(kind, &body)
    }

    fn add(&self, kind: &str, body: &Value) -> Result<u64, AuditError> {
        let text = canonical(body).map_err(|reason| AuditError::Unwritable {
            kind: kind.to_owned(),
            reason,
        })?;
        let room = text.len() + FRAME;
        if room > BATCH {
            return Err(AuditError::TooLarge {
                what: format!("the body of a record of kind `{kind}`"),
                bytes: text.len() as u64,
                limit: (BATCH - FRAME) as u64,
            });
        }
        let mut state = self.lock();
        loop {
            state.check()?;
            let time = (self.options.clock.now)();
            let is_next_day = state.segment.is_over(time);
            let is_full = state.buffer.len() + room > BATCH;
            if !is_next_day && !is_full {
                let seq = state.chain.next;
                state.intents.note(seq, kind, body);
                self.seal(&mut state, kind, &text, time);
                return Ok(seq);
            }
            if state.file.is_none() {
                state = self.wait(state);
            } else if is_next_day {
                self.roll(&mut state, time)?;
            } else {
                self.flush(&mut state)?;
            }
        }
    }

    /// Makes every record durable that was appended before.
    ///
    /// # Errors
    ///
    /// When writing failed, now or before: what is durable is then not known, and nothing more is recorded.
    pub fn commit(&self) -> Result<(), AuditError> {
        let mut state = self.lock();
        let wanted = state.chain.next;
        loop {
            state.check()?;
            if state.durable >= wanted {
                return Ok(());
            }
            state = match state.file.take() {
                None => self.wait(state),
                Some(file) => self.lead(state, file),
            };
        }
    }

    /// Writes what is buffered while others go on appending.
    fn lead<'a>(&'a self, mut state: Guard<'a>, mut file: Box<dyn Append>) -> Guard<'a> {
        let batch = std::mem::take(&mut state.buffer);
        let (end, path) = (state.chain.next, state.segment.path.clone());
        drop(state);
        let written = file.write_all(&batch).and_then(|()| file.sync());
        let mut state = self.lock();
        match written {
            Ok(()) => state.durable = end,
            Err(error) => state.fail(&path, &error),
        }
        if state.buffer.is_empty() {
            state.buffer = batch;
            state.buffer.clear();
        }
        state.file = Some(file);
        self.written.notify_all();
        state
    }

    /// Stores a body durably and gives what names it. The same body is stored once.
    ///
    /// # Errors
    ///
    /// When it is too large or cannot be written; then nothing more is recorded.
    pub fn keep(&self, body: &[u8]) -> Result<Body, AuditError> {
        let name = Body::of(body);
        if name.bytes > MAX_BODY {
            return Err(AuditError::TooLarge {
                what: "a body".to_owned(),
                bytes: name.bytes,
                limit: MAX_BODY,
            });
        }
        self.lock().check()?;
        if self.stored().contains(&name.sha256) {
            return Ok(name);
        }
        if let Err(error) = blobs::write(&*self.disk, &self.folder, &name, body) {
            let path = blobs::place(&self.folder, &name.sha256);
            self.lock().fail(&path, &error);
            self.written.notify_all();
            return Err(AuditError::io(&path)(error));
        }
        let mut stored = self.stored();
        if stored.len() >= REMEMBERED {
            stored.clear();
        }
        stored.insert(name.sha256);
        Ok(name)
    }

    /// Stores bodies durably, several at a time: a disk takes about as long to make one durable as
    /// to make many.
    ///
    /// # Errors
    ///
    /// As [`Audit::keep`].
    pub fn keep_all(&self, bodies: &[Vec<u8>]) -> Result<(), AuditError> {
        let keep = |share: &[Vec<u8>]| share.iter().try_for_each(|body| self.keep(body).map(drop));
        if bodies.len() <= 1 {
            return keep(bodies);
        }
        let share = bodies.len().div_ceil(AT_A_TIME);
        let ended = |_| {
            Err(AuditError::Closed(
                "a thread that writes bodies ended".into(),
            ))
        };
        thread::scope(|scope| {
            let shares = bodies.chunks(share);
            let threads: Vec<_> = shares
                .map(|share| scope.spawn(move || keep(share)))
                .collect();
            let mut threads = threads.into_iter();
            threads.try_for_each(|thread| thread.join().unwrap_or_else(ended))
        })
    }

    fn stored(&self) -> MutexGuard<'_, HashSet<Digest>> {
        self.stored.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes bodies for gone.
    pub(super) fn forget(&self, gone: &[Digest]) {
        let mut stored = self.stored();
        for digest in gone {
            stored.remove(digest);
        }
    }

    /// Records, durably, that something is about to be done. Without this, it must not be done.
    ///
    /// The record has the kind with `.intended` behind it.
    ///
    /// # Errors
    ///
    /// When it could not be recorded.
    pub fn intend(&self, kind: &str, body: Value) -> Result<Intent, AuditError> {
        let seq = self.append(&format!("{kind}.intended"), body)?;
        self.commit()?;
        Ok(Intent {
            seq,
            kind: kind.to_owned(),
        })
    }

    /// Records what became of an intent, as `….done` or `….failed`, with its number under
    /// `intent`. An outcome that is no object stands under `outcome`. Durable after the next commit.
    ///
    /// # Errors
    ///
    /// When it cannot be recorded: it is then unknown what became of the intent.
    pub fn conclude(
        &self,
        intent: Intent,
        outcome: Result<Value, Value>,
    ) -> Result<u64, AuditError> {
        let (ending, outcome) = match outcome {
            Ok(outcome) => ("done", outcome),
            Err(outcome) => ("failed", outcome),
        };
        let mut body = match outcome {
            Value::Object(members) => members,
            other => Map::from_iter([("outcome".to_owned(), other)]),
        };
        body.insert("intent".to_owned(), json!(intent.seq));
        self.append(&format!("{}.{ending}", intent.kind), Value::Object(body))
    }

    /// Records how long the log is and how it ends, durably, and puts that into `head.json`.
    ///
    /// # Errors
    ///
    /// When it cannot be written.
    pub fn checkpoint(&self) -> Result<Checkpoint, AuditError> {
        let mut state = self.lock();
        loop {
            state.check()?;
            let time = (self.options.clock.now)();
            if state.file.is_none() {
                state = self.wait(state);
            } else if state.segment.is_over(time) {
                self.roll(&mut state, time)?;
            } else {
                return self.seal_checkpoint(&mut state, time);
            }
        }
    }

    /// Ends writing with a checkpoint: whoever shares it records nothing more.
    ///
    /// # Errors
    ///
    /// When it cannot be written.
    pub fn close(&self) -> Result<Checkpoint, AuditError> {
        let checkpoint = self.checkpoint()?;
        self.lock()
            .failed
            .get_or_insert_with(|| Arc::from("it was closed"));
        Ok(checkpoint)
    }

    fn lock(&self) -> Guard<'_> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait<'a>(&self, state: Guard<'a>) -> Guard<'a> {
        self.written
            .wait(state)
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts the line of a record into the buffer.
    fn seal(&self, state: &mut State, kind: &str, text: &str, time: Time) {
        let head = Head {
            kind,
            mono: (self.options.clock.mono)().saturating_sub(self.opened) / 1_000,
            prev: state.chain.head,
            run: Some(self.options.run),
            seq: state.chain.next,
            time,
        };
        state.chain = Chain {
            next: head.seq + 1,
            head: write_line(&head, text, &mut state.buffer),
        };
    }

    /// Records what nobody else can say: the body is always writable.
    fn seal_own(&self, state: &mut State, kind: &str, body: &Value, time: Time) {
        let text = canonical(body).unwrap_or_default();
        self.seal(state, kind, &text, time);
    }

    /// Writes what is buffered, while nobody else does.
    fn flush(&self, state: &mut State) -> Result<(), AuditError> {
        let batch = std::mem::take(&mut state.buffer);
        let Some(file) = state.file.as_mut().filter(|_| !batch.is_empty()) else {
            return Ok(());
        };
        let written = file.write_all(&batch).and_then(|()| file.sync());
        written.map_err(|error| self.give_up(state, error))?;
        state.durable = state.chain.next;
        self.written.notify_all();
        Ok(())
    }

    fn seal_checkpoint(&self, state: &mut State, time: Time) -> Result<Checkpoint, AuditError> {
        self.flush(state)?;
        let Chain { next, head } = state.chain;
        let checkpoint = Checkpoint::new(self.log, next, head, time, self.options.signer.as_ref());
        self.seal_own(state, "checkpoint", &checkpoint.body(), time);
        self.flush(state)?;
        let replaced = recover::replace_head(&*self.disk, &self.folder, &checkpoint);
        replaced.map_err(|error| self.give_up(state, error))?;
        Ok(checkpoint)
    }

    /// Seals the segment of a day that is over, and begins the next.
    fn roll(&self, state: &mut State, time: Time) -> Result<(), AuditError> {
        self.seal_checkpoint(state, time)?;
        let segment = Segment::of(&self.folder, &date_of(time));
        let file = begin_file(&*self.disk, &self.folder, &segment).inspect_err(|error| {
            state.failed = Some(error.to_string().into());
            self.written.notify_all();
        })?;
        state.file = Some(file);
        state.segment = segment;
        let body = json!({"log": self.log, "open": state.intents.open()});
        self.seal_own(state, "segment", &body, time);
        Ok(())
    }

    fn give_up(&self, state: &mut State, error: io::Error) -> AuditError {
        let path = state.segment.path.clone();
        state.fail(&path, &error);
        self.written.notify_all();
        AuditError::io(&path)(error)
    }
}

impl fmt::Debug for Audit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Audit({})", self.folder.display())
    }
}

impl State {
    fn behind(chain: Chain, segment: Segment, file: Box<dyn Append>, intents: Intents) -> Self {
        Self {
            chain,
            segment,
            file: Some(file),
            buffer: Vec::new(),
            durable: chain.next,
            intents,
            failed: None,
        }
    }

    fn check(&self) -> Result<(), AuditError> {
        match &self.failed {
            Some(why) => Err(AuditError::Closed(why.clone())),
            None => Ok(()),
        }
    }

    /// What failed first is what is told.
    fn fail(&mut self, path: &Path, error: &io::Error) {
        let why = format!("`{}`: {}", path.display(), reason(error));
        self.failed.get_or_insert_with(|| why.into());
    }
}

fn begin_file(
    disk: &dyn Disk,
    folder: &Path,
    segment: &Segment,
) -> Result<Box<dyn Append>, AuditError> {
    let file = disk.create(&segment.path);
    let file = file.map_err(AuditError::io(&segment.path))?;
    disk.sync_folder(folder).map_err(AuditError::io(folder))?;
    Ok(file)
}

/// The intents that have no outcome yet, by number.
#[derive(Debug, Default)]
pub(super) struct Intents(BTreeMap<u64, String>);

impl Intents {
    /// Takes a record into account.
    pub(super) fn note(&mut self, seq: u64, kind: &str, body: &Value) {
        if kind.ends_with(".intended") {
            self.0.insert(seq, kind.to_owned());
        } else if kind == "segment" {
            let open: Option<Vec<recover::Unknown>> =
                serde_json::from_value(body.get("open").cloned().unwrap_or_default()).ok();
            let open = open.into_iter().flatten().map(|it| (it.intent, it.kind));
            self.0 = open.collect();
        } else if kind == "intent.unknown" || kind.ends_with(".done") || kind.ends_with(".failed") {
            let intent = body.get("intent").and_then(Value::as_u64);
            intent.and_then(|intent| self.0.remove(&intent));
        }
    }

    pub(super) fn open(&self) -> Vec<recover::Unknown> {
        let open = self.0.iter().map(|(intent, kind)| recover::Unknown {
            intent: *intent,
            kind: kind.clone(),
        });
        open.collect()
    }
}
