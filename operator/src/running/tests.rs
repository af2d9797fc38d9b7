use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::names::{Role, StackId};

fn fragment(key: &str, content: &str) -> Fragment {
    Fragment { key: key.into(), path: format!("rules/{key}.yaml"), bytes: content.as_bytes().to_vec() }
}

fn main_file(content: &str) -> Fragment {
    Fragment { key: "main".into(), path: "prometheus.yaml".into(), bytes: content.into() }
}

fn build(fragments: Vec<Fragment>) -> Generation {
    Generation::build(Engine::Prometheus, fragments).unwrap()
}

fn read(generation: &Generation) -> Result<BTreeMap<String, String>, ReadError> {
    let stack = StackId { namespace: "monitoring".into(), name: "main".into() };
    let secret = pointer_secret(&stack, Role::Metrics, Which::Candidate, Slot::A, generation).unwrap();
    let pointer = Pointer::parse(&secret.data.unwrap()[POINTER_KEY].0).unwrap();
    let parts: BTreeMap<String, Vec<u8>> = secrets(&stack, Role::Metrics, Slot::A, generation)
        .into_iter()
        .map(|s| (s.metadata.name.unwrap(), s.data.unwrap()[PART_KEY].0.clone()))
        .collect();
    pointer.files(|part| parts.get(&part.secret).cloned())
}

/// Bytes that do not compress, from a seed.
fn noise(seed: &str, len: usize) -> String {
    let mut text = String::with_capacity(len + 64);
    let mut block = digest(seed.as_bytes());
    while text.len() < len {
        text.push_str(&block);
        block = digest(block.as_bytes());
    }
    text
}

#[test]
fn what_is_packed_is_read_back_with_the_digest_in_the_main_file_only() {
    let generation = build(vec![main_file(&generation_glob()), fragment("mine", GENERATION_PLACEHOLDER)]);
    let files = read(&generation).unwrap();
    assert_eq!(generation_in(&files["prometheus.yaml"]), Some(generation.digest.as_str()));
    assert_eq!(files["rules/mine.yaml"], GENERATION_PLACEHOLDER);
    assert_eq!(generation.file("prometheus.yaml").unwrap(), files["prometheus.yaml"]);
    assert_eq!(generation_in("rule_files: [/obstack-generation/xyz]"), None);
    assert_eq!(generation_in("rule_files: []"), None);
}

/// The names of generations and the bytes of parts are a contract between versions of the operator and of
/// the reloader: an upgrade that moves them rewrites every Secret of every stack.
#[test]
fn the_bytes_are_those_of_every_other_process() {
    let generation = build(vec![main_file("global: {}\n"), fragment("a", "groups: []\n")]);
    assert_eq!(generation.digest, "9c7fa82e903d1a21452298751494e1643958fea341c74460a6367aff6849b1b4");
    assert_eq!(
        digest(&generation.parts[0].gzip),
        "492af5a3d6bf1522b44bd38917c9d17112d53cc44600bff33d015b9612387957"
    );
}

#[test]
fn parts_double_until_all_fit() {
    let half = MAX_PART_COMPRESSED * 2 / 3;
    let one = build(vec![main_file(""), fragment("a", &noise("a", half))]);
    assert_eq!(one.parts.len(), 1);
    let fragments: Vec<_> = (0..6)
        .map(|i| fragment(&format!("f{i}"), &noise(&i.to_string(), half)))
        .chain([main_file("")])
        .collect();
    let many = build(fragments.clone());
    assert!(many.parts.len() > 1 && many.parts.len().is_power_of_two());
    assert!(many.parts.iter().all(|p| p.gzip.len() <= MAX_PART_COMPRESSED));
    let files = read(&many).unwrap();
    assert_eq!(files.len(), 7);
    for f in fragments {
        assert_eq!(files[&f.path].as_bytes(), f.bytes);
    }
}

#[test]
fn what_fits_nowhere_is_named_with_its_numbers() {
    let huge = fragment("huge", &noise("x", MAX_PART_COMPRESSED * 3));
    let error = Generation::build(Engine::Prometheus, vec![main_file(""), huge]).unwrap_err();
    let PackError::TooLarge { compressed, ref largest, largest_size, .. } = error else {
        panic!("{error:?}")
    };
    assert!(compressed > MAX_PART_COMPRESSED);
    assert_eq!((largest.as_str(), largest_size >= MAX_PART_COMPRESSED * 3), ("huge", true));
    assert!(error.to_string().contains("700000"));
}

#[test]
fn sources_that_collide_or_escape_are_refused() {
    let refuse = |fragments: Vec<Fragment>| Generation::build(Engine::Prometheus, fragments).unwrap_err();
    assert_eq!(refuse(vec![fragment("a", "1"), fragment("a", "2")]), PackError::Twice("a".into()));
    let same_path = Fragment { key: "b".into(), ..fragment("a", "") };
    assert_eq!(refuse(vec![fragment("a", ""), same_path]), PackError::Twice("rules/a.yaml".into()));
    for path in ["../x", "/etc/passwd", "a//b", "a/./b", "", "a/../b", "a b", "a/"] {
        let escape = Fragment { path: path.into(), ..fragment("a", "") };
        assert_eq!(refuse(vec![escape]), PackError::Path(path.into()));
    }
    let binary = Fragment { bytes: vec![0xff], ..fragment("a", "") };
    assert_eq!(refuse(vec![binary]), PackError::NotText("rules/a.yaml".into()));
}

#[test]
fn another_part_than_the_one_named_is_never_used() {
    let old = build(vec![main_file("old"), fragment("a", "1")]);
    let new = build(vec![main_file("new"), fragment("a", "1")]);
    let pointer = Pointer::to(&new, Slot::A, |i| format!("s-{i}"));
    let error = pointer.files(|_| Some(old.parts[0].gzip.clone())).unwrap_err();
    assert!(matches!(error, ReadError::Digest { index: 0, .. }) && error.may_pass());
    assert_eq!(pointer.files(|_| None).unwrap_err(), ReadError::Missing(0));
    assert!(pointer.files(|_| Some(b"not gzip".to_vec())).unwrap_err().may_pass());
    let cut = &new.parts[0].gzip[..new.parts[0].gzip.len() - 9];
    assert!(pointer.files(|_| Some(cut.to_vec())).unwrap_err().may_pass());
}

#[test]
fn a_bomb_is_read_no_further_than_the_pointer_says() {
    use std::io::Write;
    let generation = build(vec![main_file("")]);
    let pointer = Pointer::to(&generation, Slot::A, |i| format!("s-{i}"));
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(&vec![b' '; 8 << 20]).unwrap();
    let bomb = encoder.finish().unwrap();
    assert!(matches!(pointer.files(|_| Some(bomb.clone())), Err(ReadError::Digest { .. })));
}

#[test]
fn a_pointer_out_of_bounds_is_refused() {
    let generation = build(vec![main_file("")]);
    let good = Pointer::to(&generation, Slot::A, |i| format!("s-{i}"));
    let parse = |p: &Pointer| Pointer::parse(&serde_json::to_vec(p).unwrap());
    assert_eq!(parse(&good).unwrap(), good);
    let part = good.parts[0].clone();
    let bad = [
        Pointer { version: 2, ..good.clone() },
        Pointer { generation: digest(b"other"), ..good.clone() },
        Pointer { parts: vec![], ..good.clone() },
        Pointer { parts: vec![part.clone(); 3], ..good.clone() },
        Pointer { parts: vec![PartRef { index: 1, ..part.clone() }], ..good.clone() },
        Pointer { parts: vec![PartRef { digest: "../x".into(), ..part.clone() }], ..good.clone() },
        Pointer { parts: vec![PartRef { size: MAX_PART_BYTES + 1, ..part.clone() }], ..good.clone() },
        Pointer { parts: vec![PartRef { secret: "../../x".into(), ..part }], ..good.clone() },
    ];
    for pointer in bad {
        assert!(matches!(parse(&pointer), Err(ReadError::Malformed { .. })), "{pointer:?}");
    }
    assert!(matches!(Pointer::parse(&vec![b' '; MAX_POINTER_BYTES + 1]), Err(ReadError::TooLarge { .. })));
    assert!(matches!(Pointer::parse(b"{}"), Err(ReadError::Malformed { .. })));
}

/// Fragments with distinct keys, large enough together to need several parts now and then.
fn some_fragments() -> impl Strategy<Value = BTreeMap<String, String>> {
    prop::collection::btree_map("[a-z0-9]{1,12}", "[ -~\n]{0,64}", 1..40)
}

/// Packed as if parts were much smaller, so that the properties speak of many parts.
fn digests(fragments: &[Fragment], count: usize) -> Vec<String> {
    let mut sorted = fragments.to_vec();
    sorted.sort_by(|a, b| a.key.cmp(&b.key));
    super::generation::pack(&sorted, count).unwrap().into_iter().map(|p| p.digest).collect()
}

proptest! {
    #[test]
    fn order_of_input_never_matters(map in some_fragments(), seed in any::<u64>()) {
        let mut fragments: Vec<_> = map.iter().map(|(k, v)| fragment(k, v)).collect();
        let straight = build(fragments.clone());
        fragments.sort_by_key(|f| digest(format!("{seed}{}", f.key).as_bytes()));
        prop_assert_eq!(straight, build(fragments));
    }

    #[test]
    fn one_changed_fragment_changes_one_part(
        map in some_fragments(), pick in any::<prop::sample::Index>(), count in prop::sample::select(vec![1, 2, 4, 8, 16])
    ) {
        let mut fragments: Vec<_> = map.iter().map(|(k, v)| fragment(k, v)).collect();
        let before = digests(&fragments, count);
        let changed = pick.index(fragments.len());
        fragments[changed].bytes.push(b'x');
        let after = digests(&fragments, count);
        prop_assert_eq!(before.iter().zip(&after).filter(|(a, b)| a != b).count(), 1);
        fragments.remove(changed);
        let removed = digests(&fragments, count);
        prop_assert_eq!(before.iter().zip(&removed).filter(|(a, b)| a != b).count(), 1);
    }

    #[test]
    fn noise_never_panics_a_reader(bytes in prop::collection::vec(any::<u8>(), 0..256)) {
        let _ = Pointer::parse(&bytes);
        let part = PartRef { index: 0, secret: "s".into(), digest: digest(b"x"), size: 64 };
        prop_assert!(part.read(&bytes).is_err());
    }
}
