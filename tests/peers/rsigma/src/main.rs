//! What RSigma finds in a log: `peer-rsigma detect|correlate RULES EVENTS`.
//!
//! One line of JSON for each match (`rule`, `event`), each hit of a correlation
//! (`rule`, `event`, `group`) and each rule that is refused (`file`, `refused`).

use std::error::Error;
use std::io::{BufRead, BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};

use rsigma_eval::event::JsonEvent;
use rsigma_eval::{CorrelationConfig, CorrelationEngine, Engine, EvaluationResult};
use rsigma_parser::{SigmaCollection, parse_sigma_file};
use serde_json::{Value, json};

type Outcome<T> = Result<T, Box<dyn Error>>;

fn main() -> Outcome<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [mode, rules, events] = arguments.as_slice() else {
        return Err("usage: peer-rsigma detect|correlate RULES EVENTS".into());
    };
    let mut out = BufWriter::new(std::io::stdout().lock());
    match mode.as_str() {
        "detect" => detect(Path::new(rules), events, &mut out)?,
        "correlate" => correlate(Path::new(rules), events, &mut out)?,
        other => return Err(format!("`{other}` is neither `detect` nor `correlate`").into()),
    }
    Ok(out.flush()?)
}

/// Rules are added one by one, so that one that is refused does not take the others with it.
fn detect(rules: &Path, events: &str, out: &mut impl Write) -> Outcome<()> {
    let mut engine = Engine::new();
    for file in rule_files(rules)? {
        if let Err(reason) = read(&file).and_then(|read| Ok(engine.add_collection(&read)?)) {
            let name = file.file_name().unwrap_or_default().to_string_lossy();
            writeln!(
                out,
                "{}",
                json!({"file": name, "refused": reason.to_string()})
            )?;
        }
    }
    each_event(events, |event| {
        for found in engine.evaluate(&JsonEvent::borrow(event)) {
            writeln!(out, "{}", line(&found, event))?;
        }
        Ok(())
    })
}

/// Without suppression: one line for each event at which a correlation holds.
fn correlate(rules: &Path, events: &str, out: &mut impl Write) -> Outcome<()> {
    let mut config = CorrelationConfig::default();
    config.timestamp_fields.insert(0, "published".into());
    let mut engine = CorrelationEngine::new(config);
    for file in rule_files(rules)? {
        engine.add_collection(&read(&file)?)?;
    }
    each_event(events, |event| {
        for found in engine.process_event(&JsonEvent::borrow(event)) {
            writeln!(out, "{}", line(&found, event))?;
        }
        Ok(())
    })
}

fn rule_files(folder: &Path) -> Outcome<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        files.push(entry?.path());
    }
    files.retain(|file| file.extension().is_some_and(|end| end == "yml"));
    files.sort();
    Ok(files)
}

fn read(file: &Path) -> Outcome<SigmaCollection> {
    let collection = parse_sigma_file(file)?.into_result();
    collection.map_err(|problems| {
        let reasons: Vec<String> = problems.iter().map(ToString::to_string).collect();
        reasons.join("; ").into()
    })
}

fn each_event(events: &str, mut see: impl FnMut(&Value) -> Outcome<()>) -> Outcome<()> {
    for record in BufReader::new(std::fs::File::open(events)?).lines() {
        see(&serde_json::from_str(&record?)?)?;
    }
    Ok(())
}

fn line(found: &EvaluationResult, event: &Value) -> Value {
    let group = found.as_correlation().map(|body| body.group_key.clone());
    json!({"rule": found.header.rule_id, "event": event["uuid"], "group": group})
}
