//! Events shown one by one to who wants to look at them, on several threads.

use crate::event::Event;
use crate::json::Wanted;
use crate::okta::Records;
use crate::pipeline::scan::Scanned;
use crate::pipeline::{Counts, Rejected, RunError, Settings, parallel};
use crate::source::{Chunk, Input, Place, Reader, SourceError};

/// What is seen of the events of a chunk.
pub trait Look: Default + Send {
    /// The next event, and where it stands.
    fn at(&mut self, event: &Event<'_>, place: Place, context: &Self::Context);
    /// A stretch of an input, by its place among them, that is no event.
    fn rejected(&mut self, _: &Rejected, _: u32, _: &Self::Context) {}
    /// What each look needs.
    type Context: Sync;
}

/// Looks at the events of inputs that lie in the time range, and hands on what was seen, chunk by
/// chunk, in the order of the inputs. Those that fail are reported in the answer.
///
/// # Errors
///
/// When a record is no event, and the settings tolerate none such.
pub fn look<L: Look>(
    inputs: Vec<Input>,
    settings: &Settings,
    wanted: &Wanted,
    context: &L::Context,
    mut take: impl FnMut(L),
) -> Result<(Counts, Vec<SourceError>), RunError> {
    let names: Vec<String> = inputs.iter().map(Input::name).collect();
    let mut counts = Counts::default();
    let mut failed = Vec::new();
    parallel::map_in_order(
        Reader::new(inputs),
        settings.threads,
        || Records::with(settings.mapping, wanted, &settings.databases),
        |records, chunk: Result<Chunk, SourceError>| {
            chunk.map(|chunk| look_at::<L>(records, &chunk, settings, context, &names))
        },
        |seen| {
            match seen {
                Ok((seen, scanned)) => {
                    let rejected = scanned.rejected.first().filter(|_| settings.strict);
                    if let Some(rejected) = rejected {
                        return Err(RunError::rejected(rejected));
                    }
                    counts.add(&scanned);
                    take(seen);
                }
                Err(error) => failed.push(error),
            }
            Ok(())
        },
    )?;
    Ok((counts, failed))
}

fn look_at<L: Look>(
    records: &mut Records,
    chunk: &Chunk,
    settings: &Settings,
    context: &L::Context,
    names: &[String],
) -> (L, Scanned) {
    let (mut seen, mut scanned) = (L::default(), Scanned::default());
    scanned.counts.bytes = chunk.bytes();
    for record in chunk.records() {
        let read = records.read(record.bytes, &mut |event, kind| {
            if scanned.event(event, kind, settings) {
                seen.at(event, record.place, context);
            }
        });
        if let Err(reason) = read {
            let rejected = Rejected::record(&record, names, reason.to_string());
            seen.rejected(&rejected, record.place.input, context);
            scanned.counts.rejected += 1;
            scanned.rejected.push(rejected);
        }
    }
    for reject in chunk.rejects() {
        scanned.counts.rejected += 1;
        let rejected = Rejected::stretch(reject, names);
        seen.rejected(&rejected, reject.place.input, context);
        scanned.rejected.push(rejected);
    }
    scanned.rejected.sort_by_key(|rejected| rejected.line);
    (seen, scanned)
}
