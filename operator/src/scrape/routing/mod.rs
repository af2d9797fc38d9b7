//! Pure: AlertmanagerConfig objects of `monitoring.coreos.com` become Alertmanager's configuration.
//!
//! - [`build_routing`] makes of one object its own part, which depends on nothing but the settings, the object
//!   and the contents that it names, so that it can be kept until one of them changes.
//! - [`Base::from_yaml`] and [`Base::from_object`] make what the parts are added to; [`Base::merge`] adds them.
//! - [`sanitize`] fits configuration to a version of Alertmanager.
//!
//! An object at fault is a [`Rejection`] with what to write instead; the others go on.

mod check;
mod convert;
mod fields;
mod gates;
mod global;
mod hide;
mod http;
pub(crate) mod place;
#[cfg(test)]
mod properties;
mod route;
mod sanitize;
#[cfg(test)]
mod tests;
mod times;
mod url;
mod version;

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use crate::scrape::assets::Assets;
use crate::scrape::judge::{self, Rejection};
use crate::validate::{Fault, quoted};

use convert::Converter;
use place::Place;
use route::Names;
use sanitize::Sanitizer;

pub use version::Version;

/// Group and versions of the API in which the kind is read.
pub const API_VERSIONS: [&str; 2] = ["monitoring.coreos.com/v1alpha1", "monitoring.coreos.com/v1beta1"];
/// The kind.
pub const KIND: &str = "AlertmanagerConfig";
/// Where prometheus-operator mounts certificates.
pub const PEER_TLS_DIR: &str = "/etc/alertmanager/certs";

/// What holds for every object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The version of Alertmanager that reads the configuration.
    pub version: Version,
    /// Which alerts the routes of an object get.
    pub strategy: Strategy,
    /// Namespace of the Alertmanager, for [`Strategy::OnNamespaceExceptForAlertmanagerNamespace`].
    pub alertmanager_namespace: String,
    /// Folder in which the configuration finds certificates and keys, without a slash at its end.
    pub tls_dir: String,
    /// Who puts them there.
    pub files: FilesFrom,
    /// Whether contents of Secrets are written as `<secret>`: for showing a configuration, never for running
    /// it.
    pub hide_secrets: bool,
    /// What the base gives to receivers that leave it out.
    pub defaults: Defaults,
}

/// Which alerts the routes and inhibit rules of an object get.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Strategy {
    /// Those with the label `namespace` of the object's namespace.
    #[default]
    OnNamespace,
    /// As `OnNamespace`; objects in the namespace of the Alertmanager get all.
    OnNamespaceExceptForAlertmanagerNamespace,
    /// All.
    None,
}

impl Strategy {
    /// Reads `type` of `alertmanagerConfigMatcherStrategy`; what is not known is the strictest.
    pub fn from_type(text: &str) -> Self {
        match text {
            "None" => Self::None,
            "OnNamespaceExceptForAlertmanagerNamespace" => Self::OnNamespaceExceptForAlertmanagerNamespace,
            _ => Self::OnNamespace,
        }
    }
}

/// Who puts certificates and keys where the configuration finds them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FilesFrom {
    /// We do: contents are looked up, judged, and given in [`Built::files`].
    Assets,
    /// Others do: only the paths are written.
    Others,
}

/// What the global part of a base says, as far as receivers may leave it out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Defaults(BTreeSet<String>);

impl Defaults {
    /// Whether there is one, in plain text or as a file.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.0.contains(name)
    }

    /// What a configuration's global part says.
    pub fn of(config: &Value) -> Self {
        let global = config.get("global").and_then(Value::as_object).into_iter().flatten();
        let said = global.filter(|(_, value)| value.as_str().is_none_or(|text| !text.is_empty()));
        Self(said.map(|(name, _)| name.strip_suffix("_file").unwrap_or(name).to_owned()).collect())
    }
}

/// The part of one object.
#[derive(Clone, Default, PartialEq)]
pub struct Built {
    /// `namespace/name`: parts are merged in this order.
    pub id: String,
    route: Option<Value>,
    receivers: Vec<Value>,
    inhibit_rules: Vec<Value>,
    mute_time_intervals: Vec<Value>,
    /// Certificates and keys that the part names, by path.
    pub files: BTreeMap<String, Vec<u8>>,
    /// What was left out because the version of Alertmanager does not know it.
    pub notes: Vec<String>,
}

impl std::fmt::Debug for Built {
    /// Without configuration and files: they hold secrets.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Built").field("id", &self.id).field("notes", &self.notes).finish_non_exhaustive()
    }
}

/// Namespace and name of an object.
fn identity(object: &Value) -> (&str, &str) {
    let about = |key: &str| object["metadata"][key].as_str().unwrap_or_default();
    (about("namespace"), about("name"))
}

/// The rejection of an object, by its fault. It never repeats a content of a Secret.
pub(crate) fn rejected(kind: &'static str, object: &Value) -> impl FnOnce(Fault) -> Rejection {
    move |fault| judge::fault(&fault.path, fault.found, fault.write).of_object(kind, object)
}

/// The part of one AlertmanagerConfig, of either version of the API.
///
/// # Errors
/// [`Rejection`] where the object cannot be part of a configuration that Alertmanager takes.
pub fn build_routing(settings: &Settings, object: &Value, assets: &dyn Assets) -> Result<Built, Rejection> {
    build(settings, object, assets, false).map_err(rejected(KIND, object))
}

fn build(settings: &Settings, object: &Value, assets: &dyn Assets, is_base: bool) -> Result<Built, Fault> {
    let root = Place::root("spec");
    let spec = object.get("spec").filter(|spec| !spec.is_null());
    let empty = Value::Object(Map::new());
    let spec = spec.unwrap_or(&empty);
    place::check_size(spec)?;
    let fields = place::object(spec, &root)?;
    let (namespace, name) = identity(object);
    let mut converter = Converter::new(settings, assets, namespace);

    let is_beta = object["apiVersion"].as_str().is_some_and(|version| version.ends_with("/v1beta1"));
    let intervals_key = if is_beta { "timeIntervals" } else { "muteTimeIntervals" };
    let receivers = place::list(fields, "receivers", &root)?;
    let intervals = place::list(fields, intervals_key, &root)?;
    let names = Names {
        receivers: names_of(receivers, &root.key("receivers"))?,
        intervals: names_of(intervals, &root.key(intervals_key))?,
        prefix: format!("{namespace}/{name}"),
    };
    let enforced = match settings.strategy {
        _ if is_base => None,
        Strategy::None => None,
        Strategy::OnNamespaceExceptForAlertmanagerNamespace
            if namespace == settings.alertmanager_namespace =>
        {
            None
        }
        _ => Some(namespace),
    };

    let mut built = Built { id: names.prefix.clone(), ..Built::default() };
    let list_at = root.key("receivers");
    for (index, receiver) in receivers.iter().enumerate() {
        let at = list_at.index(index);
        let full = names.full(receiver["name"].as_str().unwrap_or_default());
        built.receivers.push(converter.receiver(receiver, full, &at)?);
    }
    let list_at = root.key(intervals_key);
    for (index, interval) in intervals.iter().enumerate() {
        let full = names.full(interval["name"].as_str().unwrap_or_default());
        built.mute_time_intervals.push(times::build(interval, full, &list_at.index(index))?);
    }
    let list_at = root.key("inhibitRules");
    for (index, rule) in place::list(fields, "inhibitRules", &root)?.iter().enumerate() {
        built.inhibit_rules.push(route::inhibit_rule(settings, rule, enforced, &list_at.index(index))?);
    }
    if let Some(route) = place::get(fields, "route") {
        let mut route = route::build(settings, route, &names, &root.key("route"), true)?;
        if !is_base {
            route::to_first_level(settings, &mut route, enforced);
        }
        built.route = Some(Value::Object(route));
    }
    built.files = std::mem::take(&mut converter.files);
    built.sanitize(settings.version)?;
    Ok(built)
}

/// The names that a list gives, each once.
fn names_of<'v>(items: &'v [Value], at: &Place<'_>) -> Result<BTreeSet<&'v str>, Fault> {
    let mut names = BTreeSet::new();
    for (index, item) in items.iter().enumerate() {
        let at = at.index(index);
        let name = place::text(place::object(item, &at)?, "name", &at)?;
        if name.is_empty() {
            return Err(at.key("name").fault("no name", "a name that no other of the object has"));
        }
        if !names.insert(name) {
            let found = format!("{} a second time", quoted(name));
            return Err(at.key("name").fault(found, "a name that no other of the object has"));
        }
    }
    Ok(names)
}

impl Built {
    /// SHA-256 of the part as it is merged, in hexadecimal.
    pub fn digest(&self) -> String {
        let files: BTreeMap<&String, String> =
            self.files.iter().map(|(path, bytes)| (path, crate::running::digest(bytes))).collect();
        let all = serde_json::json!([
            self.route,
            self.receivers,
            self.inhibit_rules,
            self.mute_time_intervals,
            files
        ]);
        crate::running::digest(all.to_string().as_bytes())
    }

    fn sanitize(&mut self, version: Version) -> Result<(), Fault> {
        let mut sanitizer = Sanitizer::new(version);
        let root = Place::root("spec");
        let at = root.key("receivers");
        for (index, receiver) in self.receivers.iter_mut().enumerate() {
            sanitizer.receiver(receiver, &at.index(index))?;
        }
        let at = root.key("inhibitRules");
        for (index, rule) in self.inhibit_rules.iter_mut().enumerate() {
            sanitizer.inhibit_rule(rule, &at.index(index))?;
        }
        if version < Version::minor(22) && !self.mute_time_intervals.is_empty() {
            self.mute_time_intervals.clear();
            let note =
                format!("{}: left out: Alertmanager {version} has none", root.key("muteTimeIntervals"));
            sanitizer.notes.push(note);
        }
        if let Some(route) = &mut self.route {
            sanitizer.route(route, &root.key("route"))?;
        }
        self.notes.append(&mut sanitizer.notes);
        Ok(())
    }
}

/// What the parts of objects are added to.
#[derive(Clone, PartialEq)]
pub struct Base {
    config: Map<String, Value>,
    /// Certificates and keys that it names, by path.
    pub files: BTreeMap<String, Vec<u8>>,
    /// What was left out because the version of Alertmanager does not know it.
    pub notes: Vec<String>,
}

impl std::fmt::Debug for Base {
    /// Without configuration and files: they hold secrets.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Base").field("notes", &self.notes).finish_non_exhaustive()
    }
}

/// Most bytes of a base: what a Secret holds.
const MAX_BASE_BYTES: usize = 1 << 20;

impl Base {
    /// A base from a configuration of our own, which is written for the version that reads it.
    pub(crate) fn own(config: Value) -> Self {
        let config = match config {
            Value::Object(config) => config,
            _ => Map::new(),
        };
        Self { config, files: BTreeMap::new(), notes: Vec::new() }
    }

    /// A base from a configuration as somebody wrote it.
    ///
    /// # Errors
    /// A fault where it is no YAML, too large, or not Alertmanager's.
    pub fn from_yaml(text: &str, version: Version) -> Result<Self, Fault> {
        let root = Place::root("config");
        if text.len() > MAX_BASE_BYTES {
            return Err(root.fault(format!("more than {MAX_BASE_BYTES} bytes"), "less"));
        }
        // The reader's budgets end what unfolds into more than it looks like.
        let config: Value = serde_saphyr::from_str(text)
            .map_err(|error| root.fault(first_line(&error.to_string()), "YAML that can be read"))?;
        Self::from_config(config, version)
    }

    /// A base from a configuration.
    ///
    /// # Errors
    /// A fault where it is not Alertmanager's.
    pub fn from_config(mut config: Value, version: Version) -> Result<Self, Fault> {
        let root = Place::root("config");
        place::check_size(&config)?;
        let mut sanitizer = Sanitizer::new(version);
        sanitizer.config(&mut config)?;
        let Value::Object(mut config) = config else {
            return Err(root.fault("no object", "Alertmanager's configuration"));
        };
        check_root_route(config.get("route"), &root.key("route"))?;
        config.entry("templates").or_insert_with(|| Value::Array(Vec::new()));
        Ok(Self { config, files: BTreeMap::new(), notes: sanitizer.notes })
    }

    /// A base from one AlertmanagerConfig (`spec.alertmanagerConfiguration.name` of an Alertmanager) and the
    /// global part beside it. No namespace is enforced.
    ///
    /// # Errors
    /// [`Rejection`] where it cannot be a configuration that Alertmanager takes.
    pub fn from_object(
        settings: &Settings,
        object: &Value,
        global: Option<&Value>,
        assets: &dyn Assets,
    ) -> Result<Self, Rejection> {
        let make = || {
            let (namespace, _) = identity(object);
            let mut config = Map::new();
            let mut files = BTreeMap::new();
            let root = Place::root("global");
            if let Some(global) = global.filter(|global| !global.is_null()) {
                place::check_size(global)?;
                let mut converter = Converter::new(settings, assets, namespace);
                config.insert("global".to_owned(), Value::Object(converter.global(global, &root)?));
                files.append(&mut converter.files);
            }
            let defaults = Defaults::of(&Value::Object(config.clone()));
            let settings = Settings { defaults, ..settings.clone() };
            let mut built = build(&settings, object, assets, true)?;
            files.append(&mut built.files);
            let lists = [
                ("inhibit_rules", built.inhibit_rules),
                ("receivers", built.receivers),
                ("mute_time_intervals", built.mute_time_intervals),
            ];
            for (name, items) in lists.into_iter().filter(|(_, items)| !items.is_empty()) {
                config.insert(name.to_owned(), Value::Array(items));
            }
            if let Some(route) = built.route {
                config.insert("route".to_owned(), route);
            }
            let mut base = Self::from_config(Value::Object(config), settings.version)?;
            base.files = files;
            base.notes.append(&mut built.notes);
            Ok(base)
        };
        make().map_err(rejected(KIND, object))
    }

    /// The same base to be shown, with `<secret>` in place of what Alertmanager holds secret.
    #[must_use]
    pub fn without_secrets(mut self) -> Self {
        for (name, value) in &mut self.config {
            hide::hide(value, name);
        }
        self.files.clear();
        self
    }

    /// What its global part gives to receivers.
    pub fn defaults(&self) -> Defaults {
        self.config
            .get("global")
            .map_or_else(Defaults::default, |global| Defaults::of(&serde_json::json!({ "global": global })))
    }

    /// The configuration with the parts of objects, in the order of their ids whatever order they come in.
    /// Their routes stand before those of the base: they go on to the next, so that an alert still finds its
    /// way there.
    pub fn merge<'b>(&self, parts: impl IntoIterator<Item = &'b Built>) -> Value {
        let mut parts: Vec<&Built> = parts.into_iter().collect();
        parts.sort_by(|a, b| a.id.cmp(&b.id));
        let mut config = self.config.clone();
        let mut append = |name: &str, items: Vec<Value>| {
            if items.is_empty() {
                return;
            }
            match config.get_mut(name).and_then(Value::as_array_mut) {
                Some(list) => list.extend(items),
                None => {
                    config.insert(name.to_owned(), Value::Array(items));
                }
            }
        };
        append("inhibit_rules", parts.iter().flat_map(|part| &part.inhibit_rules).cloned().collect());
        // Without a route nothing leads to receivers, and nobody names intervals.
        let routed = || parts.iter().filter(|part| part.route.is_some());
        append("receivers", routed().flat_map(|part| &part.receivers).cloned().collect());
        let intervals = routed().flat_map(|part| &part.mute_time_intervals).cloned().collect();
        append("mute_time_intervals", intervals);
        let mut routes: Vec<Value> = parts.iter().filter_map(|part| part.route.clone()).collect();
        if !routes.is_empty()
            && let Some(route) = config.get_mut("route").and_then(Value::as_object_mut)
        {
            if let Some(Value::Array(own)) = route.remove("routes") {
                routes.extend(own);
            }
            route.insert("routes".to_owned(), Value::Array(routes));
        }
        Value::Object(config)
    }
}

/// What Alertmanager asks of the route that every alert starts at.
fn check_root_route(route: Option<&Value>, at: &Place<'_>) -> Result<(), Fault> {
    let Some(route) = route.filter(|route| !route.is_null()) else {
        return Err(at.fault("no route", "a route with a receiver"));
    };
    let fields = place::object(route, at)?;
    if place::text(fields, "receiver", at)?.is_empty() {
        return Err(at.key("receiver").fault("no receiver", "the name of one: the first route needs it"));
    }
    if place::flag(fields, "continue", at)? == Some(true) {
        return Err(at.key("continue").fault("true", "false: nothing comes after the first route"));
    }
    let not_here = ["match", "match_re", "matchers", "mute_time_intervals", "active_time_intervals"];
    for name in not_here {
        let empty = |value: &Value| match value {
            Value::Array(items) => items.is_empty(),
            Value::Object(fields) => fields.is_empty(),
            _ => false,
        };
        if place::get(fields, name).is_some_and(|value| !empty(value)) {
            let found = format!("{name} in the first route, which gets every alert");
            return Err(at.key(name).fault(found, "it in a route below"));
        }
    }
    Ok(())
}

/// Fits a part of a configuration to a version: what it does not know is left out, each with a note.
///
/// `kind` is the name that prometheus-operator has for the part's type, such as `route` or `httpClientConfig`;
/// `alertmanagerConfig` is all of it.
///
/// # Errors
/// A fault where leaving out would lose messages.
pub fn sanitize(kind: &str, part: &mut Value, version: Version) -> Result<Vec<String>, Fault> {
    place::check_size(part)?;
    let mut sanitizer = Sanitizer::new(version);
    sanitizer.part(kind, part)?;
    Ok(sanitizer.notes)
}

/// `httpConfig` of a receiver as `http_config`.
///
/// # Errors
/// A fault where it is none.
pub fn build_http_config(
    settings: &Settings,
    http: &Value,
    namespace: &str,
    assets: &dyn Assets,
) -> Result<Value, Fault> {
    place::check_size(http)?;
    let root = Place::root("httpConfig");
    let mut out = Value::Object(Converter::new(settings, assets, namespace).http(http, &root)?);
    Sanitizer::new(settings.version).http(&mut out, &root)?;
    Ok(out)
}

fn first_line(text: &str) -> String {
    quoted(text.lines().next().unwrap_or_default())
}
