use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;
use crate::running::{Engine, Fragment, MAX_PARTS};

fn name(slot: Slot, index: usize) -> String {
    format!("main-metrics-{}-{index}", slot.as_str())
}

/// Enough text for some parts, and a fragment for each of the versions given.
fn generation(versions: &[u32]) -> Generation {
    let fragment = |(i, version): (usize, &u32)| {
        // As long as it takes for four parts.
        let text = format!("# {version}\n{}", "x".repeat(200_000));
        Fragment::new(format!("f{i}"), format!("rules/f{i}.yaml"), text.into_bytes())
    };
    let main = Fragment::new("main", "prometheus.yaml", b"global: {}\n".to_vec());
    let fragments = versions.iter().enumerate().map(fragment).chain([main]).collect();
    Generation::build(Engine::Prometheus, fragments).unwrap()
}

/// The Secrets of a cluster, with everything that was ever in them.
#[derive(Clone, Default)]
struct Cluster {
    held: Held,
    writes: usize,
}

impl Cluster {
    fn write(&mut self, wanted: &Generation, write: &Write) {
        self.writes += 1;
        match write {
            Write::Part(slot, index) => {
                let digest = wanted.parts[*index].digest.clone();
                for pointer in self.held.pointers() {
                    let named = names(pointer, *slot, *index);
                    assert!(
                        named.is_none_or(|named| named.digest == digest),
                        "{slot:?}-{index} is named and overwritten"
                    );
                }
                self.held.parts.insert((*slot, *index), digest);
            }
            Write::Pointer(which, pointer) => {
                let bytes = serde_json::to_vec(pointer).unwrap();
                assert_eq!(Pointer::parse(&bytes).as_ref(), Ok(pointer), "a reader takes what is written");
                for part in &pointer.parts {
                    assert!(
                        self.held.holds(part.slot, part.index, &part.digest),
                        "it names what is not there"
                    );
                    assert_eq!(part.secret, name(part.slot, part.index));
                }
                let place = match which {
                    Which::Candidate => &mut self.held.candidate,
                    Which::Proven => &mut self.held.proven,
                };
                if *which == Which::Proven {
                    assert!(pointer.parts.iter().all(|part| Slot::MOUNTED.contains(&part.slot)));
                }
                assert!(place.as_ref().is_none_or(|old| old.revision < pointer.revision));
                *place = Some(pointer.clone());
            }
        }
    }
}

/// A pod: what its engine runs, and its two mounts, each Secret of which is synced by itself.
#[derive(Clone, Default)]
struct Pod {
    ready: bool,
    parts: BTreeMap<(Slot, usize), String>,
    /// The proven pointer as each mount shows it.
    proven: [Option<Pointer>; 2],
    confirmed: Option<String>,
    /// A candidate that it has begun to fetch, and what it has of it.
    reading: Option<(Pointer, BTreeSet<usize>)>,
}

impl Pod {
    fn sync(&mut self, cluster: &Cluster, what: usize) {
        let mounted = 2 * MAX_PARTS;
        match what % (mounted + 2) {
            pointer @ (0 | 1) => self.proven[pointer] = cluster.held.proven.clone(),
            part => {
                let key = (Slot::MOUNTED[part % 2], (part - 2) / 2);
                match cluster.held.parts.get(&key) {
                    Some(digest) => self.parts.insert(key, digest.clone()),
                    None => self.parts.remove(&key),
                };
            }
        }
    }

    fn sync_all(&mut self, cluster: &Cluster) {
        (0..2 * MAX_PARTS + 2).for_each(|what| self.sync(cluster, what));
    }

    fn has(&self, pointer: &Pointer) -> bool {
        pointer.parts.iter().all(|part| self.parts.get(&(part.slot, part.index)) == Some(&part.digest))
    }

    /// The newest proven generation in its mounts, where it is complete.
    fn mounted(&self) -> Option<String> {
        let newest = self.proven.iter().flatten().max_by_key(|pointer| pointer.revision)?;
        self.has(newest).then(|| newest.generation.clone())
    }

    /// Whether a cold start without the API finds something proven.
    fn can_start(&self) -> bool {
        let pointers = self.proven.iter().flatten();
        pointers.flat_map(|p| [Some(p), p.before.as_deref()]).flatten().any(|pointer| self.has(pointer))
    }

    fn replica(&self) -> Replica {
        Replica { ready: self.ready, confirmed: self.confirmed.clone(), mounted: self.mounted() }
    }

    /// One request: the pointer, or one part that it names. Where a part is another one, the reader begins
    /// again with the pointer.
    fn read(&mut self, cluster: &Cluster, known: &BTreeSet<String>) {
        let Some((pointer, have)) = &mut self.reading else {
            self.reading = cluster.held.candidate.clone().map(|pointer| (pointer, BTreeSet::new()));
            return;
        };
        let missing = pointer.parts.iter().find(|part| !have.contains(&part.index));
        match missing {
            Some(part) if cluster.held.holds(part.slot, part.index, &part.digest) => {
                have.insert(part.index);
            }
            Some(_) => self.reading = None,
            None => {
                assert!(known.contains(&pointer.generation), "a set that nobody wanted was put together");
                self.confirmed = Some(pointer.generation.clone());
                self.ready = true;
                self.reading = None;
            }
        }
    }
}

fn plan(cluster: &Cluster, wanted: &Generation, pods: &[Pod]) -> Next {
    let replicas: Vec<Replica> = pods.iter().map(Pod::replica).collect();
    next(wanted, &cluster.held, &replicas, name)
}

/// Lets everything come to rest, and says how many writes it took.
fn settle(cluster: &mut Cluster, wanted: &Generation, pods: &mut [Pod]) -> usize {
    let known = BTreeSet::from([wanted.digest.clone()]);
    let before = cluster.writes;
    for _ in 0..8 {
        for write in plan(cluster, wanted, pods).writes {
            cluster.write(wanted, &write);
        }
        for pod in pods.iter_mut() {
            pod.reading = None;
            (0..wanted.parts.len() + 2).for_each(|_| pod.read(cluster, &known));
            pod.sync_all(cluster);
        }
    }
    let rest = plan(cluster, wanted, pods);
    assert_eq!(rest, Next::default(), "it is at rest");
    for pointer in [&cluster.held.candidate, &cluster.held.proven] {
        assert_eq!(pointer.as_ref().map(|p| &p.generation), Some(&wanted.digest));
    }
    cluster.writes - before
}

#[test]
fn one_changed_part_costs_four_writes_and_rest_none() {
    let (mut cluster, mut pods) = (Cluster::default(), vec![Pod::default(); 2]);
    let mut versions = [0; 6];
    let first = generation(&versions);
    assert!(first.parts.len() >= 4);
    // Every part, and both pointers: what is delivered first is in a mount already.
    assert_eq!(settle(&mut cluster, &first, &mut pods), first.parts.len() + 2);
    for change in 1..20 {
        versions[change % versions.len()] = change as u32;
        let wanted = generation(&versions);
        assert_eq!(settle(&mut cluster, &wanted, &mut pods), 4, "change {change}");
        assert_eq!(settle(&mut cluster, &wanted, &mut pods), 0);
    }
}

#[test]
fn the_first_generation_is_in_a_mount_and_the_candidate_goes_before_its_proof() {
    let wanted = generation(&[0]);
    let next = next(&wanted, &Held::default(), &[], name);
    let [Write::Part(Slot::A, 0), Write::Pointer(Which::Candidate, pointer)] = next.writes.as_slice() else {
        panic!("{:?}", next.writes)
    };
    assert_eq!(pointer.generation, wanted.digest);
    assert!(next.waits.is_some());
}

#[test]
fn until_something_is_proven_a_change_is_mounted_too() {
    let (mut cluster, wanted) = (Cluster::default(), generation(&[0]));
    plan(&cluster, &wanted, &[]).writes.iter().for_each(|write| cluster.write(&wanted, write));
    let changed = generation(&[1]);
    let writes = plan(&cluster, &changed, &[]).writes;
    assert!(matches!(writes[0], Write::Part(Slot::B, 0)), "{writes:?}");
}

#[test]
fn what_a_hand_changed_is_put_back() {
    let (mut cluster, mut pods) = (Cluster::default(), vec![Pod::default()]);
    let (old, wanted) = (generation(&[0; 6]), generation(&[1, 0, 0, 0, 0, 0]));
    settle(&mut cluster, &old, &mut pods);
    settle(&mut cluster, &wanted, &mut pods);
    let named: BTreeSet<(Slot, usize)> =
        cluster.held.pointers().flat_map(|p| &p.parts).map(|part| (part.slot, part.index)).collect();
    for (slot, index) in named {
        for digest in [None, Some("0".repeat(64))] {
            let mut damaged = cluster.clone();
            match digest {
                Some(digest) => damaged.held.parts.insert((slot, index), digest),
                None => damaged.held.parts.remove(&(slot, index)),
            };
            assert_eq!(plan(&damaged, &wanted, &pods).writes, [Write::Part(slot, index)]);
        }
    }
    for which in Which::ALL {
        let mut damaged = cluster.clone();
        match which {
            Which::Candidate => damaged.held.candidate = None,
            Which::Proven => damaged.held.proven = None,
        }
        let writes = plan(&damaged, &wanted, &pods).writes;
        assert!(matches!(writes.as_slice(), [Write::Pointer(written, _)] if *written == which), "{writes:?}");
    }
}

#[test]
fn nothing_is_proven_by_nobody_nor_by_some() {
    let (mut cluster, wanted) = (Cluster::default(), generation(&[0]));
    let mut pods = vec![Pod::default(); 2];
    plan(&cluster, &wanted, &[]).writes.iter().for_each(|write| cluster.write(&wanted, write));
    let idle = |cluster: &Cluster, pods: &[Pod]| {
        let next = plan(cluster, &wanted, pods);
        assert!(next.writes.is_empty() && next.waits.is_some(), "{next:?}");
    };
    idle(&cluster, &[]);
    pods.iter_mut().for_each(|pod| pod.ready = true);
    pods[0].confirmed = Some(wanted.digest.clone());
    idle(&cluster, &pods);
    pods[1].confirmed = Some(generation(&[1]).digest);
    idle(&cluster, &pods);
    // One that is not ready does not count against it.
    pods[1].ready = false;
    assert_eq!(plan(&cluster, &wanted, &pods).writes.len(), 1);
}

#[test]
fn a_mount_that_lags_holds_up_the_proof_and_not_the_candidate() {
    let (mut cluster, mut pods) = (Cluster::default(), vec![Pod::default(); 2]);
    settle(&mut cluster, &generation(&[0; 6]), &mut pods);
    let second = generation(&[1, 0, 0, 0, 0, 0]);
    settle(&mut cluster, &second, &mut pods);
    pods[1].proven = [None, None];
    let third = generation(&[2, 0, 0, 0, 0, 0]);
    plan(&cluster, &third, &pods).writes.iter().for_each(|write| cluster.write(&third, write));
    assert_eq!(cluster.held.candidate.as_ref().unwrap().generation, third.digest);
    pods.iter_mut().for_each(|pod| pod.confirmed = Some(third.digest.clone()));
    let next = plan(&cluster, &third, &pods);
    assert!(next.writes.is_empty() && next.waits.unwrap().contains("mounts"));
}

#[test]
fn a_proven_set_that_is_broken_protects_nobody() {
    let (mut cluster, mut pods) = (Cluster::default(), vec![Pod::default()]);
    settle(&mut cluster, &generation(&[0]), &mut pods);
    let second = generation(&[1]);
    let part = cluster.held.proven.as_ref().unwrap().parts[0].clone();
    cluster.held.parts.remove(&(part.slot, 0));
    pods[0].sync_all(&cluster);
    assert!(settle(&mut cluster, &second, &mut pods) > 0);
}

/// What happens in a run.
#[derive(Clone, Debug)]
enum Act {
    /// Somebody changes a source.
    Change(usize, u32),
    /// The operator looks, and gets as far as this many writes.
    Operate(usize),
    /// A pod reads over the API, once.
    Read(usize),
    /// A kubelet syncs one Secret of a pod.
    Sync(usize, usize),
    /// A kubelet syncs all of a pod.
    SyncAll(usize),
    /// A pod is replaced.
    Replace(usize),
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        2 => (0usize..4, 0u32..3).prop_map(|(i, v)| Act::Change(i, v)),
        6 => (0usize..7).prop_map(Act::Operate),
        8 => (0usize..3).prop_map(Act::Read),
        3 => (0usize..3, 0usize..18).prop_map(|(p, what)| Act::Sync(p, what)),
        3 => (0usize..3).prop_map(Act::SyncAll),
        1 => (0usize..3).prop_map(Act::Replace),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    #[test]
    fn whatever_happens_no_set_is_mixed_and_a_proven_one_is_always_mounted(
        acts in prop::collection::vec(act(), 1..160)
    ) {
        let mut made: BTreeMap<[u32; 4], Generation> = BTreeMap::new();
        let mut versions = [0; 4];
        let mut wanted = made.entry(versions).or_insert_with(|| generation(&[0; 4])).clone();
        let mut known = BTreeSet::from([wanted.digest.clone()]);
        let (mut cluster, mut pods) = (Cluster::default(), vec![Pod::default(); 3]);
        let mut started = [false; 3];
        for act in acts {
            match act {
                Act::Change(source, version) => {
                    versions[source] = version;
                    wanted = made.entry(versions).or_insert_with(|| generation(&versions)).clone();
                    known.insert(wanted.digest.clone());
                }
                Act::Operate(most) => {
                    for write in plan(&cluster, &wanted, &pods).writes.iter().take(most) {
                        cluster.write(&wanted, write);
                    }
                }
                Act::Read(pod) => pods[pod].read(&cluster, &known),
                Act::Sync(pod, what) => pods[pod].sync(&cluster, what),
                Act::SyncAll(pod) => pods[pod].sync_all(&cluster),
                Act::Replace(pod) => {
                    // A new pod's mounts are filled before it starts.
                    pods[pod] = Pod::default();
                    pods[pod].sync_all(&cluster);
                    started[pod] = false;
                }
            }
            for (pod, started) in pods.iter().zip(&mut started) {
                *started |= pod.mounted().is_some();
                prop_assert!(!*started || pod.can_start(), "nothing proven is complete in a mount");
            }
        }
        settle(&mut cluster, &wanted, &mut pods);
    }
}
