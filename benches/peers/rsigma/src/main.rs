//! The crates of rsigma over a file of JSON lines: `rsigma-peer MODE RULES EVENTS OUT`.
//!
//! MODE is `each` (its command line: one event after the other), `batches` (its
//! daemon: a batch parsed and evaluated on all cores, `RAYON_NUM_THREADS` of
//! them) or `correlate` (its correlation engine, by `published`). OUT gets a
//! line of JSON for each result.

use std::fs::File;
use std::io::{BufRead, BufReader, BufWriter, Write};
use std::path::Path;

use rayon::prelude::*;
use rsigma_eval::event::JsonEvent;
use rsigma_eval::{CorrelationConfig, CorrelationEngine, Engine};
use serde_json::Value;

type Failed = Box<dyn std::error::Error>;

/// As many events as its daemon takes at once.
const BATCH: usize = 512;

fn main() -> Result<(), Failed> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [mode, rules, events, out] = words.as_slice() else {
        return Err("usage: rsigma-peer each|batches|correlate RULES EVENTS OUT".into());
    };
    let rules = rsigma_parser::parse_sigma_directory(Path::new(rules))?;
    let mut lines = BufReader::new(File::open(events)?).lines();
    let mut out = BufWriter::new(File::create(out)?);
    let mut write = |result: &_| -> Result<(), Failed> {
        serde_json::to_writer(&mut out, result)?;
        Ok(out.write_all(b"\n")?)
    };
    if mode == "correlate" {
        let mut config = CorrelationConfig {
            emit_detections: false,
            ..CorrelationConfig::default()
        };
        config.timestamp_fields.insert(0, "published".to_owned());
        let mut engine = CorrelationEngine::new(config);
        engine.add_collection(&rules)?;
        for line in lines {
            let event: Value = serde_json::from_str(&line?)?;
            engine
                .process_event(&JsonEvent::borrow(&event))
                .iter()
                .try_for_each(&mut write)?;
        }
        return Ok(());
    }
    let mut engine = Engine::new();
    engine.add_collection(&rules)?;
    let evaluate = |line: &String| {
        let event: Value = serde_json::from_str(line)?;
        Ok::<_, serde_json::Error>(engine.evaluate(&JsonEvent::borrow(&event)))
    };
    if mode == "each" {
        return lines.try_for_each(|line| evaluate(&line?)?.iter().try_for_each(&mut write));
    }
    loop {
        let batch = lines.by_ref().take(BATCH).collect::<Result<Vec<_>, _>>()?;
        if batch.is_empty() {
            return Ok(());
        }
        let results = batch
            .par_iter()
            .map(evaluate)
            .collect::<Result<Vec<_>, _>>()?;
        results.iter().flatten().try_for_each(&mut write)?;
    }
}
