//! A synthetic exporter: a fixed number of series with as many labels as asked, some still, some counting, some
//! wandering, each replaced by a new one after its life. The same second gives the same text to every engine.

use std::fmt::Write;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Query, State};
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use axum::routing::get;
use serde::Deserialize;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use super::Workload;

/// Series of one target, at most: few real ones have more.
pub const PART: usize = 5_000;
/// Most distinct values of a label that is not the series' own.
const VALUES: u64 = 50;

/// A running exporter; it ends when it is dropped.
pub struct Exporter {
    /// Where it listens.
    pub address: SocketAddr,
    server: JoinHandle<()>,
}

struct Load {
    /// Name and labels of each series, up to the label that tells its life.
    heads: Vec<String>,
    life: u64,
    interval: Duration,
    begun: Instant,
    /// The last page of each part: several engines ask for the same.
    pages: Vec<Mutex<(u64, Bytes)>>,
}

#[derive(Deserialize)]
struct Part {
    part: usize,
}

impl Exporter {
    /// Starts one for a load.
    ///
    /// # Panics
    /// When no port is free.
    pub async fn start(workload: &Workload) -> Self {
        let load = Load {
            heads: (0..workload.series).map(|series| head(series as u64, workload.labels)).collect(),
            life: workload.life,
            interval: workload.interval,
            begun: Instant::now(),
            pages: (0..workload.series.div_ceil(PART)).map(|_| Mutex::default()).collect(),
        };
        let app = Router::new().route("/metrics", get(metrics)).with_state(Arc::new(load));
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let server = tokio::spawn(async move {
            let _ = axum::serve(listener, app).await;
        });
        Self { address, server }
    }
}

impl Drop for Exporter {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn metrics(State(load): State<Arc<Load>>, Query(part): Query<Part>) -> impl IntoResponse {
    // From 1 on, so that no page is the empty one of the begin.
    let tick = 1 + (load.begun.elapsed().as_millis() / load.interval.as_millis().max(1)) as u64;
    let text = load.pages.get(part.part).map_or_else(Bytes::new, |kept| {
        let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.0 != tick {
            *kept = (tick, page(&load, part.part, tick).into());
        }
        kept.1.clone()
    });
    ([(CONTENT_TYPE, "text/plain; version=0.0.4")], text)
}

fn page(load: &Load, part: usize, tick: u64) -> String {
    let from = part.saturating_mul(PART).min(load.heads.len());
    let to = from.saturating_add(PART).min(load.heads.len());
    let mut text = String::with_capacity((to - from) * 256);
    for (index, head) in load.heads[from..to].iter().enumerate() {
        let series = (from + index) as u64;
        // Lives begin one after the other, as pods of many workloads do.
        let life = series.checked_rem(load.life).map_or(0, |offset| (tick + offset) / load.life);
        text.push_str(head);
        let _ = writeln!(text, "{life}\"}} {}", value(series, tick));
    }
    text
}

/// What series of real targets do: of ten, four stay as they are, three count something that happens now and then,
/// two count something that happens all the time, and one wanders.
fn value(series: u64, tick: u64) -> u64 {
    match series % 10 {
        0..=3 => mix(series) % 5,
        4..=6 => (tick + series % 31) / (5 + series % 29),
        7 | 8 => tick * (1 + series % 97) + mix(series ^ (tick << 32)) % (1 + series % 13),
        _ => 10_000 + mix(series) % 50_000 + mix(series ^ ((tick / 3) << 32)) % 200,
    }
}

fn head(series: u64, labels: usize) -> String {
    let mut text = format!("load_metric_{}_total{{series=\"{series:07}\"", series % 200);
    for label in 0..labels.saturating_sub(2) as u64 {
        let value = mix(series * 31 + label) % VALUES;
        let _ = write!(text, ",label_{label}=\"some-value-{value}\"");
    }
    text.push_str(",life=\"");
    text
}

/// Spreads bits: the same input gives the same output, on every machine.
fn mix(value: u64) -> u64 {
    let value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(life: u64) -> Load {
        Load {
            heads: (0..7_000).map(|series| head(series, 6)).collect(),
            life,
            interval: Duration::from_secs(1),
            begun: Instant::now(),
            pages: Vec::new(),
        }
    }

    fn names(text: &str) -> std::collections::BTreeSet<&str> {
        text.lines().filter_map(|line| line.split_once("} ")).map(|(name, _)| name).collect()
    }

    #[test]
    fn parts_hold_all_series_once_each_with_its_labels() {
        let load = load(0);
        let (first, second) = (page(&load, 0, 5), page(&load, 1, 5));
        assert_eq!((names(&first).len(), names(&second).len()), (5_000, 2_000));
        assert!(names(&first).is_disjoint(&names(&second)));
        assert_eq!(page(&load, 2, 5), "");
        let line = first.lines().next().unwrap();
        assert_eq!(line.matches("=\"").count(), 6, "{line}");
        // Counters do not go back.
        assert!((0..500).all(|tick| value(4, tick) <= value(4, tick + 1)));
        assert!((0..500).all(|tick| value(17, tick) < value(17, tick + 1) + 13));
    }

    #[test]
    fn each_series_is_replaced_once_in_a_life() {
        let load = load(10);
        let at = |tick| page(&load, 0, tick);
        let (before, next, after) = (at(0), at(1), at(10));
        assert_eq!(names(&before).intersection(&names(&next)).count(), 4_500);
        assert!(names(&before).is_disjoint(&names(&after)));
        let still = Load { life: 0, ..load };
        assert_eq!(names(&page(&still, 0, 0)), names(&page(&still, 0, 900)));
    }
}
