//! `rulectl audit prune`.

use anyhow::{Result, bail};

use crate::audit::{Doomed, Which, doomed};
use crate::cli::audit::{folder, open};
use crate::cli::output::{UsageError, out, out_json, talk_problems};
use crate::cli::progress::Meter;
use crate::cli::{Common, Exit, Format};
use crate::event::{Digest, Nanos};
use crate::pipeline::Progress;
use crate::policy;
use crate::redact::AuditSettings;
use crate::render::pruned;
use crate::world::World;

/// The words of the command.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Bodies that no record of this span names go, such as 90d; unless given, as `retention` in [audit] of the policy's routing.toml says, which is 90d unless given
    #[arg(long, value_name = "SPAN", value_parser = span)]
    older_than: Option<Nanos>,
    /// This body goes, however young it is
    #[arg(long, value_name = "SHA256", value_parser = digest, requires = "reason", conflicts_with = "older_than")]
    blob: Option<Digest>,
    /// Why; it is recorded
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
    /// Say what would go, and leave it
    #[arg(long)]
    dry_run: bool,
}

/// Runs the command.
pub fn prune(common: &Common, args: &Args) -> Result<Exit> {
    let Some(retention) = retention(common, args) else {
        return Ok(Exit::Broken);
    };
    let opened = if args.dry_run {
        None
    } else {
        Some(open(common)?)
    };
    let now = (World::live().now)();
    let which = match args.blob {
        Some(digest) => Which::One(digest),
        None => Which::Before(now.minus(retention)),
    };
    let meter = Meter::of("record", None);
    let mut events = 0;
    let found = doomed(&folder(common), which, now, &mut |_| {
        events += 1;
        meter.show(Progress { read: 0, events });
    })?;
    meter.finish(events);
    if let (Some(digest), 0) = (args.blob, found.count()) {
        bail!(UsageError(format!(
            "there is no body {digest}: it was pruned before, or never stored"
        )));
    }
    let reason = match &args.reason {
        Some(reason) => reason.clone(),
        None => format!("no record of the last {retention} names it"),
    };
    if let Some((_lock, audit)) = opened
        && found.count() > 0
    {
        audit.prune(&found, &reason)?;
        audit.close()?;
    }
    tell(common, &found, args.dry_run)?;
    Ok(Exit::Done)
}

/// How old bodies may be; nothing where the policy that says so is broken.
fn retention(common: &Common, args: &Args) -> Option<Nanos> {
    let is_policy = common.policy.join("routing.toml").exists();
    if let Some(given) = args.older_than {
        return Some(given);
    }
    if args.blob.is_some() || !is_policy {
        return Some(AuditSettings::default().retention);
    }
    let loaded = policy::load(&common.policy);
    if loaded.policy.is_none() {
        talk_problems(&loaded.problems);
    }
    loaded.policy.map(|policy| policy.audit.retention)
}

fn tell(common: &Common, found: &Doomed, is_dry: bool) -> Result<()> {
    if common.format == Format::Text {
        return out(&pruned(found, is_dry));
    }
    let digests: Vec<_> = found.named.iter().map(|stored| stored.digest).collect();
    out_json(&serde_json::json!({
        "removed": !is_dry,
        "bodies": digests,
        "orphans": found.orphans.len(),
        "bytes": found.bytes(),
    }))
}

fn span(text: &str) -> Result<Nanos, String> {
    Nanos::parse(text).ok_or_else(|| "expected a span such as 90d or 12h".to_owned())
}

fn digest(text: &str) -> Result<Digest, String> {
    Digest::try_from(text.to_owned())
}
