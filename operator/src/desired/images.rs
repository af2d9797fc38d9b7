//! Which image and which version each engine runs.

use obstack_crds::workload::Image;

use super::workload::knobs;
use crate::names::Role;
use crate::validate::Valid;

/// Repository and tag of a role's engine in a set of defaults. A set never changes once it was released: a
/// newer engine comes with a new set.
pub fn default_image(_defaults_version: u32, role: Role) -> (&'static str, &'static str) {
    match role {
        Role::Metrics => ("quay.io/prometheus/prometheus", "v3.5.0"),
        Role::Alerting => ("quay.io/prometheus/alertmanager", "v0.28.1"),
        Role::Dashboards => ("docker.io/grafana/grafana", "12.2.1"),
    }
}

/// The image of a role's engine, the stack's own wish included.
pub(super) fn image(valid: &Valid, role: Role) -> String {
    let (repository, tag) = default_image(valid.defaults_version, role);
    let wish = knobs(valid, role).image.clone().unwrap_or_default();
    let repository = wish.repository.as_deref().unwrap_or(repository);
    match (&wish.tag, &wish.digest) {
        (None, Some(digest)) => format!("{repository}@{digest}"),
        (Some(tag), Some(digest)) => format!("{repository}:{tag}@{digest}"),
        (wished, None) => format!("{repository}:{}", wished.as_deref().unwrap_or(tag)),
    }
}

/// The version that a role's engine is to say of itself, without a leading `v`; none where the image is given
/// by digest alone, or by a tag that is no version.
pub fn wanted_version(valid: &Valid, role: Role) -> Option<String> {
    let tag = match knobs(valid, role).image.clone().unwrap_or_default() {
        Image { tag: Some(tag), .. } => tag,
        Image { tag: None, digest: Some(_), .. } => return None,
        _ => default_image(valid.defaults_version, role).1.to_owned(),
    };
    let version = tag.strip_prefix('v').unwrap_or(&tag);
    let plain = version.split('.').count() == 3 && version.split('.').all(|n| n.parse::<u32>().is_ok());
    plain.then(|| version.to_owned())
}
