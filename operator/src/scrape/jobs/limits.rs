//! What one scrape may bring: what the object asks for, bounded by what the engine enforces.

use super::{Job, Yaml, there};
use crate::scrape::judge::names::byte_size;
use crate::scrape::objects::{Histograms, Limits};

impl Job<'_> {
    pub(crate) fn limits(&self, y: &mut Yaml, limits: &Limits) {
        let spec = &self.settings().spec;
        // Each with the first version that knows it; a list, so that none is forgotten.
        for (name, own, enforced, since) in [
            ("sample_limit", limits.sample_limit, spec.enforced_sample_limit, (2, 0)),
            ("target_limit", limits.target_limit, spec.enforced_target_limit, (2, 21)),
            ("label_limit", limits.label_limit, spec.enforced_label_limit, (2, 27)),
            (
                "label_name_length_limit",
                limits.label_name_length_limit,
                spec.enforced_label_name_length_limit,
                (2, 27),
            ),
            (
                "label_value_length_limit",
                limits.label_value_length_limit,
                spec.enforced_label_value_length_limit,
                (2, 27),
            ),
            (
                "keep_dropped_targets",
                limits.keep_dropped_targets,
                spec.enforced_keep_dropped_targets,
                (2, 47),
            ),
        ] {
            if self.client.at_least(since.0, since.1) {
                y.plain_if(name, self.effective(own, enforced));
            }
        }
    }

    /// Zero is no limit. From 2.45 on an engine applies the limit of its global section by itself.
    fn effective(&self, own: Option<u64>, enforced: Option<u64>) -> Option<u64> {
        let Some(enforced) = enforced.filter(|limit| *limit > 0) else { return own };
        match own.filter(|limit| *limit > 0) {
            Some(own) => Some(own.min(enforced)),
            None => (!self.client.at_least(2, 45)).then_some(enforced),
        }
    }

    pub(crate) fn body_size(&self, y: &mut Yaml, own: Option<&str>) {
        let enforced = there(&self.settings().spec.enforced_body_size_limit);
        let limit = match (own.and_then(there), enforced) {
            (Some(own), Some(enforced)) if byte_size(own) > byte_size(enforced) => Some(enforced),
            (own, enforced) => own.or(enforced),
        };
        if self.client.at_least(2, 28) {
            y.text_if("body_size_limit", limit);
        }
    }

    pub(crate) fn histograms(&self, y: &mut Yaml, histograms: &Histograms) {
        if self.client.at_least(3, 8) {
            y.plain_if("scrape_native_histograms", histograms.scrape_native_histograms);
        }
        if self.client.at_least(2, 45) {
            y.plain_if("native_histogram_bucket_limit", histograms.native_histogram_bucket_limit);
            let name = match self.settings().version.major {
                2 => "scrape_classic_histograms",
                _ => "always_scrape_classic_histograms",
            };
            y.plain_if(name, histograms.scrape_classic_histograms);
        }
        if self.client.at_least(2, 50) {
            let factor = histograms.native_histogram_min_bucket_factor.as_ref().and_then(|f| f.value());
            y.plain_if("native_histogram_min_bucket_factor", factor);
        }
        if self.client.at_least(3, 0) {
            y.plain_if("convert_classic_histograms_to_nhcb", histograms.convert_classic_histograms_to_nhcb);
        }
    }
}
