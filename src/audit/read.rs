//! Reading a log from its beginning, each record checked against the chain.

use std::path::Path;
use std::sync::Arc;

use crate::audit::AuditError;
use crate::audit::disk::{Disk, RealDisk};
use crate::audit::record::{Line, NOTHING, Record};
use crate::audit::recover::read_head;
use crate::audit::segment::{Found, Lines, Segment, segments};
use crate::event::Digest;

/// Where the chain stands: what the next record must say of the one before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Chain {
    /// The number of the next record.
    pub next: u64,
    /// The hash of the last one.
    pub head: Digest,
}

impl Chain {
    /// Before the first record.
    pub const BEGIN: Self = Self {
        next: 0,
        head: Digest::of_bytes(NOTHING),
    };

    /// Why a line does not go on with the chain, or the chain behind it.
    ///
    /// # Errors
    ///
    /// What is wrong with the line.
    pub fn step(self, line: &Line) -> Result<Self, String> {
        if line.digest() != line.hash {
            return Err("its hash is not that of its content: it was changed".to_owned());
        }
        if line.seq != self.next {
            return Err(format!(
                "its number is {}, expected {}",
                line.seq, self.next
            ));
        }
        if line.prev != self.head {
            return Err("it does not name the hash of the record before it".to_owned());
        }
        Ok(Self::behind(line))
    }

    /// The chain behind a line, whatever was before it.
    #[must_use]
    pub fn behind(line: &Line) -> Self {
        Self {
            next: line.seq + 1,
            head: line.hash,
        }
    }
}

/// The records of a log, from the first on. The first thing that is wrong is the last item.
///
/// # Errors
///
/// When there is no log, or its folder cannot be read.
pub fn read(
    folder: &Path,
) -> Result<impl Iterator<Item = Result<Record, AuditError>> + use<>, AuditError> {
    Records::new(Arc::new(RealDisk), folder)
}

/// How many records of a log were durable when it was closed last, as its `head.json` says; nothing
/// where there is none.
///
/// # Errors
///
/// When it cannot be read.
pub fn durable(folder: &Path) -> Result<Option<u64>, AuditError> {
    let head = read_head(&RealDisk, folder)?;
    // The checkpoint is a record itself.
    Ok(head.map(|head| head.records + 1))
}

/// See [`read`].
pub(super) struct Records {
    disk: Arc<dyn Disk>,
    left: std::vec::IntoIter<Segment>,
    current: Option<(Segment, Lines, usize)>,
    chain: Chain,
}

impl Records {
    pub(super) fn new(disk: Arc<dyn Disk>, folder: &Path) -> Result<Self, AuditError> {
        let found = segments(&*disk, folder)?;
        if found.is_empty() {
            return Err(AuditError::NoLog(folder.to_owned()));
        }
        Ok(Self {
            disk,
            left: found.into_iter(),
            current: None,
            chain: Chain::BEGIN,
        })
    }

    fn step(&mut self) -> Result<Option<Record>, AuditError> {
        loop {
            let Some((segment, lines, number)) = &mut self.current else {
                let Some(segment) = self.left.next() else {
                    return Ok(None);
                };
                let file = self.disk.open(&segment.path);
                let file = file.map_err(AuditError::io(&segment.path))?;
                self.current = Some((segment, Lines::new(file), 0));
                continue;
            };
            *number += 1;
            let damaged = |reason: String| AuditError::damaged(&segment.path, *number, reason);
            match lines.next().map_err(AuditError::io(&segment.path))? {
                None => self.current = None,
                Some(Found::Open(_)) => {
                    let reason = "it has no end".to_owned();
                    return Err(AuditError::Damaged {
                        path: segment.path.clone(),
                        line: *number,
                        reason,
                        is_tail: self.left.as_slice().is_empty(),
                    });
                }
                Some(Found::Line(line)) => {
                    let line = Line::read(line).map_err(|fault| damaged(fault.to_string()))?;
                    self.chain = self.chain.step(&line).map_err(damaged)?;
                    return Ok(Some(line.record()));
                }
            }
        }
    }
}

impl Iterator for Records {
    type Item = Result<Record, AuditError>;

    fn next(&mut self) -> Option<Self::Item> {
        let record = self.step();
        if record.is_err() {
            self.left = Vec::new().into_iter();
            self.current = None;
        }
        record.transpose()
    }
}
