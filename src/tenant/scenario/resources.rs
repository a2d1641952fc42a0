//! What a tenant holds, as a scenario writes it. People are named by their login and everything
//! else by its name; ids are made from the seed where none is given. What becomes of each in an
//! answer is in `directory`.

use serde::Deserialize;
use serde_json::{Map, Value};

use super::settings::Moment;

/// A person.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct User {
    /// The id, `00u…`.
    pub id: Option<String>,
    /// The login, which is also the address of mail.
    pub login: String,
    /// The given name.
    #[serde(default)]
    pub first_name: String,
    /// The family name.
    #[serde(default)]
    pub last_name: String,
    /// `ACTIVE`, unless it is one of Okta's other statuses.
    pub status: Option<String>,
    /// When the account was made; a year before the start where it is not given.
    pub created: Option<Moment>,
    /// When the person signed in last, if ever.
    pub last_login: Option<Moment>,
    /// When the status changed last.
    pub status_changed: Option<Moment>,
    /// When the password changed last.
    pub password_changed: Option<Moment>,
    /// Further attributes of the profile, by Okta's names.
    #[serde(default)]
    pub profile: Map<String, Value>,
}

/// A group.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Group {
    /// The id, `00g…`.
    pub id: Option<String>,
    /// The name.
    pub name: String,
    /// What it is for.
    #[serde(default)]
    pub description: String,
    /// `OKTA_GROUP`, unless it is `APP_GROUP` or `BUILT_IN`.
    #[serde(rename = "type")]
    pub kind: Option<String>,
    /// The logins of its members.
    #[serde(default)]
    pub members: Vec<String>,
}

/// An application.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct App {
    /// The id, `0oa…`.
    pub id: Option<String>,
    /// Okta's name of its kind, such as `salesforce`.
    pub name: String,
    /// What people see.
    pub label: String,
    /// `ACTIVE`, unless it is `INACTIVE`.
    pub status: Option<String>,
    /// `SAML_2_0`, unless it is another of Okta's.
    pub sign_on_mode: Option<String>,
    /// The logins of users to whom it is assigned one by one.
    #[serde(default)]
    pub users: Vec<String>,
    /// The names of groups to which it is assigned.
    #[serde(default)]
    pub groups: Vec<String>,
}

/// An enrolled factor.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Factor {
    /// The login of the user.
    pub user: String,
    /// `push`, `token:software:totp`, `webauthn`, `sms`, `email`, `question` or another of Okta's.
    #[serde(rename = "type")]
    pub kind: String,
    /// `OKTA` or `FIDO` by the type, unless it is given.
    pub provider: Option<String>,
    /// `ACTIVE`, unless it is another.
    pub status: Option<String>,
    /// When it was enrolled.
    pub created: Option<Moment>,
}

/// An assigned administrator role; of a user or of a group.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Role {
    /// The login of the user.
    pub user: Option<String>,
    /// The name of the group.
    pub group: Option<String>,
    /// `SUPER_ADMIN`, `HELP_DESK_ADMIN`, … or `CUSTOM`.
    #[serde(rename = "type")]
    pub kind: String,
    /// The name of a custom role, which is then listed among the roles of the organization.
    pub label: Option<String>,
}

/// A policy.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Policy {
    /// `OKTA_SIGN_ON`, `PASSWORD`, `MFA_ENROLL`, `ACCESS_POLICY`, …
    #[serde(rename = "type")]
    pub kind: String,
    /// The name.
    pub name: String,
    /// What it is for.
    #[serde(default)]
    pub description: String,
    /// `ACTIVE`, unless it is `INACTIVE`.
    pub status: Option<String>,
    /// Whether Okta made it.
    #[serde(default)]
    pub system: bool,
    /// Okta's conditions.
    pub conditions: Option<Value>,
    /// Okta's settings.
    pub settings: Option<Value>,
    /// Its rules, by priority.
    #[serde(default)]
    pub rules: Vec<Rule>,
}

/// A rule of a policy.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// The name.
    pub name: String,
    /// `ACTIVE`, unless it is `INACTIVE`.
    pub status: Option<String>,
    /// Okta's conditions.
    pub conditions: Option<Value>,
    /// Okta's actions.
    pub actions: Option<Value>,
}

/// A network zone.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Zone {
    /// The name.
    pub name: String,
    /// `IP`, unless it is `DYNAMIC` or `DYNAMIC_V2`.
    #[serde(rename = "type")]
    pub kind: Option<String>,
    /// `POLICY`, unless it is `BLOCKLIST`.
    pub usage: Option<String>,
    /// `ACTIVE`, unless it is `INACTIVE`.
    pub status: Option<String>,
    /// Networks, as CIDR or as ranges.
    #[serde(default)]
    pub gateways: Vec<String>,
}

/// A device.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Device {
    /// Its name.
    pub name: String,
    /// `MACOS`, `WINDOWS`, `IOS` or `ANDROID`.
    pub platform: String,
    /// The version of its system.
    pub os_version: Option<String>,
    /// Whether it is managed.
    #[serde(default)]
    pub managed: bool,
    /// `ACTIVE`, unless it is `SUSPENDED` or `DEACTIVATED`.
    pub status: Option<String>,
    /// The logins of its users.
    #[serde(default)]
    pub users: Vec<String>,
}

/// An identity provider.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Idp {
    /// The name.
    pub name: String,
    /// `SAML2`, `OIDC`, `GOOGLE`, …
    #[serde(rename = "type")]
    pub kind: String,
    /// `ACTIVE`, unless it is `INACTIVE`.
    pub status: Option<String>,
}

/// A custom authorization server.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AuthorizationServer {
    /// The name.
    pub name: String,
    /// Its audiences.
    #[serde(default)]
    pub audiences: Vec<String>,
    /// The names of its scopes.
    #[serde(default)]
    pub scopes: Vec<String>,
    /// The names of its policies.
    #[serde(default)]
    pub policies: Vec<String>,
}

/// An event hook.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EventHook {
    /// The name.
    pub name: String,
    /// Where it sends events.
    pub url: String,
    /// The types of events that it sends.
    #[serde(default)]
    pub events: Vec<String>,
    /// `ACTIVE`, unless it is `INACTIVE`.
    pub status: Option<String>,
}

/// A behaviour that Okta watches for.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Behavior {
    /// The name.
    pub name: String,
    /// `ANOMALOUS_LOCATION`, `ANOMALOUS_DEVICE`, `ANOMALOUS_IP`, `ANOMALOUS_ASN` or `VELOCITY`.
    #[serde(rename = "type")]
    pub kind: String,
    /// `ACTIVE`, unless it is `INACTIVE`.
    pub status: Option<String>,
}

/// A log stream to EventBridge.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LogStream {
    /// The name.
    pub name: String,
    /// `ACTIVE`, unless it is `INACTIVE`.
    pub status: Option<String>,
}

/// A trusted origin.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrustedOrigin {
    /// The name.
    pub name: String,
    /// The origin.
    pub origin: String,
    /// `CORS`, `REDIRECT`, `IFRAME_EMBED`.
    #[serde(default)]
    pub scopes: Vec<String>,
}

/// A custom domain.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Domain {
    /// The domain.
    pub domain: String,
}
