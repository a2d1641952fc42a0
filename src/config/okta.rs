//! The settings of the tenant: one row each, wherever they are written.

use std::time::Duration;

use crate::config::codes;
use crate::config::key;
use crate::config::layer::Layer;
use crate::config::setting::{Name, OKTA_KEY, OKTA_TOKEN, Setting, count, proxy_url, time};
use crate::diag::{Problems, Span};
use crate::document::codes::BAD_VALUE;
use crate::document::{Kind, Node};
use crate::okta::client::{Credentials, Origin, Reach, ServiceApp, Settings};

/// What the System Log asks of a service app.
const LOGS_SCOPE: &str = "okta.logs.read";

/// How a tenant is asked.
#[derive(Clone, Debug)]
pub struct OktaSettings {
    /// How its API is asked.
    pub client: Settings,
    /// The System Log is asked so often for what is new.
    pub poll: Duration,
    /// So many events make a page of the System Log.
    pub page: u32,
}

/// What is said of a tenant, by whichever layer.
#[derive(Clone, Debug, Default)]
pub(super) struct Said {
    org_url: Option<(String, Span)>,
    domain: Option<(String, Span)>,
    client_id: Option<(String, Span)>,
    key_id: Option<String>,
    scopes: Option<Vec<String>>,
    is_private: bool,
    share: Option<f64>,
    timeout: Option<Duration>,
    connect_timeout: Option<Duration>,
    retries: Option<u32>,
    max_wait: Option<Duration>,
    max_body: Option<usize>,
    warn_share: Option<f64>,
    poll: Option<Duration>,
    page: Option<u32>,
    proxy: Option<String>,
}

const fn name(key: &'static str, variable: &'static str, is_number: bool) -> Name {
    Name {
        table: "okta",
        key,
        variable,
        is_number,
    }
}

/// All of them.
#[rustfmt::skip]
pub(super) const SETTINGS: [Setting<Said>; 16] = [
    Setting { name: name("org_url", "OKTA_ORG_URL", false), set: org_url },
    Setting { name: name("domain", "OKTA_DOMAIN", false), set: domain },
    Setting { name: name("client_id", "OKTA_CLIENT_ID", false), set: client_id },
    Setting { name: name("key_id", "OKTA_KEY_ID", false), set: key_id },
    Setting { name: name("scopes", "OKTA_SCOPES", false), set: scopes },
    Setting { name: name("allow_private", "OKTA_ALLOW_PRIVATE", false), set: allow_private },
    Setting { name: name("share", "OKTA_SHARE", true), set: share },
    Setting { name: name("timeout", "OKTA_TIMEOUT", true), set: timeout },
    Setting { name: name("connect_timeout", "OKTA_CONNECT_TIMEOUT", true), set: connect_timeout },
    Setting { name: name("retries", "OKTA_RETRIES", true), set: retries },
    Setting { name: name("max_wait", "OKTA_MAX_WAIT", true), set: max_wait },
    Setting { name: name("max_body_mib", "OKTA_MAX_BODY_MIB", true), set: max_body },
    Setting { name: name("warn_share", "OKTA_WARN_SHARE", true), set: warn_share },
    Setting { name: name("poll", "OKTA_POLL", true), set: poll },
    Setting { name: name("page", "OKTA_PAGE", true), set: page },
    Setting { name: name("proxy", "OKTA_PROXY", false), set: proxy },
];

/// What the layers say of a tenant; reports what they say wrongly. Nothing, where none is named.
pub(super) fn read(layers: &[Layer], problems: &mut Problems) -> Option<OktaSettings> {
    let mut said = Said::default();
    for layer in layers {
        for setting in &SETTINGS {
            let node = layer.get(setting.name.variable);
            // What is wrong is reported, and the setting stays as it was.
            let _set = node.and_then(|node| (setting.set)(&mut said, node, problems));
        }
    }
    let credentials = credentials(&said, layers, problems);
    let (address, span) = said.org_url.as_ref().or(said.domain.as_ref())?;
    let reach = match said.is_private {
        true => Reach::Private,
        false => Reach::Public,
    };
    match Origin::parse(address, reach) {
        Ok(origin) => Some(said.settings(Settings::new(origin, reach, credentials))),
        Err(wrong) => {
            problems.error(BAD_VALUE, *span, wrong.to_string());
            None
        }
    }
}

impl Said {
    fn settings(&self, mut client: Settings) -> OktaSettings {
        client.share = self.share.unwrap_or(client.share);
        client.timeout = self.timeout.unwrap_or(client.timeout);
        client.connect_timeout = self.connect_timeout.unwrap_or(client.connect_timeout);
        client.retries = self.retries.unwrap_or(client.retries);
        client.max_wait = self.max_wait.unwrap_or(client.max_wait);
        client.max_body = self.max_body.unwrap_or(client.max_body);
        client.warn_share = self.warn_share.unwrap_or(client.warn_share);
        client.proxy.clone_from(&self.proxy);
        OktaSettings {
            client,
            poll: self.poll.unwrap_or(Duration::from_secs(15)),
            page: self.page.unwrap_or(1000),
        }
    }
}

/// Who asks: an API token, or a service app with its key.
fn credentials(said: &Said, layers: &[Layer], problems: &mut Problems) -> Option<Credentials> {
    let token = key::find(layers, &OKTA_TOKEN, problems);
    let key = key::find(layers, &OKTA_KEY, problems);
    match (token, &said.client_id, key) {
        (Some(_), Some((_, span)), _) => {
            problems
                .error(
                    codes::KEY,
                    *span,
                    "both an API token and a service app are configured",
                )
                .help("keep `OKTA_API_TOKEN`, or `OKTA_CLIENT_ID` with `OKTA_PRIVATE_KEY_FILE`");
            None
        }
        (Some((token, span)), None, _) => {
            if token.expose().contains(char::is_whitespace) {
                problems
                    .error(codes::KEY, span, "white space stands in the API token")
                    .help("write the token alone, in one line and without `SSWS` before it");
            }
            Some(Credentials::Token(token))
        }
        (None, Some((client_id, _)), Some((key, _))) => Some(Credentials::ServiceApp(ServiceApp {
            client_id: client_id.clone(),
            key,
            key_id: said.key_id.clone(),
            scopes: said
                .scopes
                .clone()
                .unwrap_or_else(|| vec![LOGS_SCOPE.to_owned()]),
        })),
        (None, Some((_, span)), None) if problems.counts().0 == 0 => {
            problems
                .error(codes::KEY, *span, "a service app without its private key")
                .help("name a file that holds it in PEM in `OKTA_PRIVATE_KEY_FILE`");
            None
        }
        (None, ..) => None,
    }
}

fn text(node: &Node, problems: &mut Problems) -> Option<(String, Span)> {
    Some((node.text(problems)?.to_owned(), node.span))
}

fn org_url(said: &mut Said, node: &Node, problems: &mut Problems) -> Option<()> {
    said.org_url = Some(text(node, problems)?);
    Some(())
}

fn domain(said: &mut Said, node: &Node, problems: &mut Problems) -> Option<()> {
    said.domain = Some(text(node, problems)?);
    Some(())
}

fn client_id(said: &mut Said, node: &Node, problems: &mut Problems) -> Option<()> {
    said.client_id = Some(text(node, problems)?);
    Some(())
}

fn key_id(said: &mut Said, node: &Node, problems: &mut Problems) -> Option<()> {
    said.key_id = Some(node.text(problems)?.to_owned());
    Some(())
}

/// Texts, or one text with spaces or commas between them.
fn scopes(said: &mut Said, node: &Node, problems: &mut Problems) -> Option<()> {
    let words: Vec<String> = match &node.kind {
        Kind::Text(text) => {
            let words = text.split([' ', ',']).filter(|word| !word.is_empty());
            words.map(str::to_owned).collect()
        }
        _ => {
            let texts = node.texts(problems).into_iter();
            texts.map(|(text, _)| text.to_owned()).collect()
        }
    };
    let is_scope = |word: &String| word.bytes().all(|byte| byte.is_ascii_graphic());
    if words.is_empty() || !words.iter().all(is_scope) {
        problems
            .error(BAD_VALUE, node.span, "no scopes")
            .help("write such as `okta.logs.read okta.users.read`");
        return None;
    }
    said.scopes = Some(words);
    Some(())
}

fn allow_private(said: &mut Said, node: &Node, problems: &mut Problems) -> Option<()> {
    said.is_private = match &node.kind {
        Kind::Text(text) if text == "true" => true,
        Kind::Text(text) if text == "false" => false,
        _ => node.boolean(problems)?,
    };
    Some(())
}

fn share(said: &mut Said, node: &Node, problems: &mut Problems) -> Option<()> {
    said.share = Some(node.number(0.01, 1.0, problems)?);
    Some(())
}

fn warn_share(said: &mut Said, node: &Node, problems: &mut Problems) -> Option<()> {
    said.warn_share = Some(node.number(0.0, 1.0, problems)?);
    Some(())
}

fn timeout(said: &mut Said, node: &Node, problems: &mut Problems) -> Option<()> {
    said.timeout = Some(time(node, problems)?);
    Some(())
}

fn connect_timeout(said: &mut Said, node: &Node, problems: &mut Problems) -> Option<()> {
    said.connect_timeout = Some(time(node, problems)?);
    Some(())
}

fn max_wait(said: &mut Said, node: &Node, problems: &mut Problems) -> Option<()> {
    said.max_wait = Some(time(node, problems)?);
    Some(())
}

fn poll(said: &mut Said, node: &Node, problems: &mut Problems) -> Option<()> {
    said.poll = Some(time(node, problems)?);
    Some(())
}

fn retries(said: &mut Said, node: &Node, problems: &mut Problems) -> Option<()> {
    said.retries = u32::try_from(count(node, 0, 20, problems)?).ok();
    Some(())
}

fn max_body(said: &mut Said, node: &Node, problems: &mut Problems) -> Option<()> {
    let mib = usize::try_from(count(node, 1, 256, problems)?).ok()?;
    said.max_body = Some(mib << 20);
    Some(())
}

fn page(said: &mut Said, node: &Node, problems: &mut Problems) -> Option<()> {
    said.page = u32::try_from(count(node, 1, 1000, problems)?).ok();
    Some(())
}

fn proxy(said: &mut Said, node: &Node, problems: &mut Problems) -> Option<()> {
    said.proxy = Some(proxy_url(node, problems)?);
    Some(())
}
