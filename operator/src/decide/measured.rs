//! What was measured on a running engine, for decisions to take in the place of the catalog's figures.

use serde::{Deserialize, Serialize};

/// Measured values of one stack's engine, each rounded to two digits. A value that is none was not measured, or
/// not for long enough: the catalog's figure stays.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
pub struct Measurements {
    /// Active series of the fullest replica.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub active_series: Option<f64>,
    /// Bytes of resident memory for each active series.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bytes_per_series: Option<f64>,
    /// Bytes of disk for each sample in blocks.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bytes_per_sample: Option<f64>,
    /// New series a day for each active series.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub series_churn_per_day: Option<f64>,
    /// Queries a second.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub queries_per_second: Option<f64>,
}
