//! Scenario files: what an emulated tenant holds, in YAML. A key that does not exist is an error,
//! with its line and column. Everything may be left out:
//!
//! ```yaml
//! org: Example Robotics
//! engine: identity                      # or classic
//! tokens: [{name: rulectl, user: alice@robotics.example, created: -40d, expires: +30d}]
//! clients: [{client_id: 0oaService, pem: "…", scopes: [okta.logs.read], dpop: true}]
//! users:
//!   - {login: alice@robotics.example, first_name: Alice, last_login: -3d, profile: {department: IT}}
//!   - {login: bob@robotics.example, status: SUSPENDED}
//! groups: [{name: IT, members: [alice@robotics.example]}]
//! apps: [{name: slack, label: Slack, groups: [IT], users: [bob@robotics.example]}]
//! factors: [{user: alice@robotics.example, type: push}]
//! roles: [{user: alice@robotics.example, type: SUPER_ADMIN}, {group: IT, type: HELP_DESK_ADMIN}]
//! policies: [{type: PASSWORD, name: Default Policy, rules: [{name: Default Rule}]}]
//! zones: [{name: Offices, gateways: [198.51.100.0/24]}]
//! rate_limits: {window: 60, concurrency: 35, buckets: {/api/v1/logs: 50}}
//! log:
//!   files: [events.ndjson]              # from the scenario's folder
//!   duplicates: 0.01
//!   late: {share: 0.02, most: 90s}
//!   later: {share: 0.001, by: 2h}
//!   shift_to_now: true
//!   release: as_time_goes_on            # or all
//! faults: [server-error=0.05, "hostile-next=loop:0.1"]
//! ```

mod builtin;
mod events;
mod resources;
mod settings;

use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::log::Written;

pub use resources::{
    App, AuthorizationServer, Behavior, Device, Domain, EventHook, Factor, Group, Idp, LogStream,
    Policy, Role, Rule, TrustedOrigin, User, Zone,
};
pub use settings::{
    Client, Engine, LateSettings, LaterSettings, LogSettings, Moment, RateSettings, Release, Span,
    Token,
};

/// What a tenant holds and how it behaves.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Scenario {
    /// The name of the organization.
    pub org: String,
    /// Whether it is of Identity Engine or of Classic Engine.
    pub engine: Engine,
    /// API tokens, for `Authorization: SSWS`.
    pub tokens: Vec<Token>,
    /// Service applications, for the client credentials grant.
    pub clients: Vec<Client>,
    /// How long an access token is valid, in seconds.
    pub access_token_lifetime: u32,
    /// People.
    pub users: Vec<User>,
    /// Groups, with their members.
    pub groups: Vec<Group>,
    /// Applications, with what is assigned to them.
    pub apps: Vec<App>,
    /// Enrolled factors.
    pub factors: Vec<Factor>,
    /// Assigned administrator roles.
    pub roles: Vec<Role>,
    /// Policies, with their rules.
    pub policies: Vec<Policy>,
    /// Network zones.
    pub zones: Vec<Zone>,
    /// Devices.
    pub devices: Vec<Device>,
    /// Identity providers.
    pub idps: Vec<Idp>,
    /// Custom authorization servers.
    pub authorization_servers: Vec<AuthorizationServer>,
    /// Event hooks.
    pub event_hooks: Vec<EventHook>,
    /// Behaviours that Okta watches for.
    pub behaviors: Vec<Behavior>,
    /// Log streams.
    pub log_streams: Vec<LogStream>,
    /// Trusted origins.
    pub trusted_origins: Vec<TrustedOrigin>,
    /// Custom domains.
    pub domains: Vec<Domain>,
    /// Rate limits.
    pub rate_limits: RateSettings,
    /// The System Log.
    pub log: LogSettings,
    /// Faults that are on from the beginning, such as `server-error=0.1`.
    pub faults: Vec<String>,
}

impl Default for Scenario {
    fn default() -> Self {
        Self {
            org: "Example".to_owned(),
            engine: Engine::Identity,
            tokens: Vec::new(),
            clients: Vec::new(),
            access_token_lifetime: 3600,
            users: Vec::new(),
            groups: Vec::new(),
            apps: Vec::new(),
            factors: Vec::new(),
            roles: Vec::new(),
            policies: Vec::new(),
            zones: Vec::new(),
            devices: Vec::new(),
            idps: Vec::new(),
            authorization_servers: Vec::new(),
            event_hooks: Vec::new(),
            behaviors: Vec::new(),
            log_streams: Vec::new(),
            trusted_origins: Vec::new(),
            domains: Vec::new(),
            rate_limits: RateSettings::default(),
            log: LogSettings::default(),
            faults: Vec::new(),
        }
    }
}

/// Why there is no scenario.
#[derive(Debug, thiserror::Error)]
pub enum ScenarioError {
    /// A file cannot be read.
    #[error("`{path}` cannot be read: {error}")]
    Read {
        /// The file.
        path: String,
        /// Why not.
        error: std::io::Error,
    },
    /// The scenario is not shaped as one; the text has line and column.
    #[error("the scenario cannot be read: {0}")]
    Shape(String),
    /// A line of a log is no JSON object.
    #[error("`{path}`, line {line}: {cause}")]
    Event {
        /// The file.
        path: String,
        /// Its line, from 1.
        line: usize,
        /// Why not.
        cause: String,
    },
    /// Something names what the scenario does not hold.
    #[error("{0}")]
    Meaning(String),
}

impl Scenario {
    /// The scenario that is built in: some 40 people, 10 groups, 12 applications, and a day of plain
    /// events.
    #[must_use]
    pub fn built_in(seed: u64) -> Self {
        builtin::scenario(super::seed::Seed(seed))
    }

    /// Reads a scenario from YAML; files that it names are found from the working folder.
    ///
    /// # Errors
    ///
    /// Where the text is no scenario, with line and column.
    pub fn read(yaml: &str) -> Result<Self, ScenarioError> {
        let options = serde_yaml::options! { with_snippet: false };
        serde_yaml::from_str_with_options(yaml, options)
            .map_err(|error| ScenarioError::Shape(error.to_string()))
    }

    /// Reads a scenario from a file; files that it names are found from the file's folder.
    ///
    /// # Errors
    ///
    /// Where the file cannot be read or is no scenario.
    pub fn open(path: &Path) -> Result<Self, ScenarioError> {
        let yaml = text_of(path)?;
        let mut scenario = Self::read(&yaml).map_err(|error| match error {
            ScenarioError::Shape(what) => {
                ScenarioError::Shape(format!("`{}`: {what}", path.display()))
            }
            other => other,
        })?;
        let folder = path.parent().map(PathBuf::from).unwrap_or_default();
        for file in &mut scenario.log.files {
            *file = folder.join(&file);
        }
        Ok(scenario)
    }

    /// The events of the log, in the order of its files, before any is late or doubled.
    ///
    /// # Errors
    ///
    /// Where a file cannot be read or a line is no JSON object.
    pub fn events(&self, seed: u64, now: i64) -> Result<Vec<Written>, ScenarioError> {
        let mut events = Vec::new();
        if self.log.built_in {
            let day = events::plain_day(self, super::seed::Seed(seed), now);
            events.extend(day.iter().map(Written::of));
        }
        for path in &self.log.files {
            let text = text_of(path)?;
            for (line, text) in text.lines().enumerate() {
                if !text.trim().is_empty() {
                    events.push(event(path, line + 1, text)?);
                }
            }
        }
        Ok(events)
    }
}

fn text_of(path: &Path) -> Result<String, ScenarioError> {
    std::fs::read_to_string(path).map_err(|error| ScenarioError::Read {
        path: path.display().to_string(),
        error,
    })
}

fn event(path: &Path, line: usize, text: &str) -> Result<Written, ScenarioError> {
    Written::read(text).map_err(|error| ScenarioError::Event {
        path: path.display().to_string(),
        line,
        cause: error.to_string(),
    })
}
