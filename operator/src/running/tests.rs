use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::names::{Role, StackId};

fn fragment(key: &str, content: &str) -> Fragment {
    Fragment::new(key, format!("rules/{key}.yaml"), content.as_bytes())
}

fn main_file(content: &str) -> Fragment {
    Fragment::new("main", "prometheus.yaml", content.as_bytes())
}

fn build(fragments: Vec<Fragment>) -> Generation {
    Generation::build(Engine::Prometheus, fragments).unwrap()
}

fn read(generation: &Generation) -> Result<BTreeMap<String, String>, ReadError> {
    let stack = StackId { namespace: "monitoring".into(), name: "main".into() };
    let to = Pointer::to(generation, |index| (Slot::A, part_secret(&stack, Role::Metrics, Slot::A, index)));
    let secret = pointer_object(&stack, Role::Metrics, Which::Candidate, &to).unwrap();
    let pointer = Pointer::parse(&secret.data.unwrap()[POINTER_KEY].0).unwrap();
    let parts: BTreeMap<String, Vec<u8>> = generation
        .parts
        .iter()
        .map(|part| part_object(&stack, Role::Metrics, Slot::A, part))
        .map(|s| (s.metadata.name.unwrap(), s.data.unwrap()[PART_KEY].0.clone()))
        .collect();
    pointer.files(|part| parts.get(&part.secret).cloned())
}

fn first(generation: &Generation) -> Pointer {
    Pointer::to(generation, |i| (Slot::A, format!("s-{i}")))
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
    assert_eq!(generation.digest, "0a3e2405b2708282165fbe1d0b0420ca7f2d22c83a44edb7afeb7cf70403cfa8");
    assert_eq!(
        digest(&generation.parts[0].gzip),
        "18849ca463fc59654ee14c6f001702c214d8cac0232006aef01c4918d41ab227"
    );
}

#[test]
fn parts_double_until_all_fit() {
    let half = MAX_PART_COMPRESSED * 2 / 3;
    let one = build(vec![main_file(""), fragment("a", &noise("a", TARGET_PART_BYTES / 2))]);
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
        assert_eq!(files[&f.path].as_bytes(), &*f.bytes);
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
}

#[test]
fn a_content_need_not_be_text() {
    let binary = Fragment { bytes: vec![0xff, b'\n', 0].into(), ..fragment("a", "") };
    let generation = build(vec![main_file(""), binary.clone()]);
    let read = first(&generation).parts[0].read(&generation.parts[0].gzip).unwrap();
    assert_eq!(read.iter().find(|file| file.path == binary.path).unwrap().content, &*binary.bytes);
}

#[test]
fn another_part_than_the_one_named_is_never_used() {
    let old = build(vec![main_file("old"), fragment("a", "1")]);
    let new = build(vec![main_file("new"), fragment("a", "1")]);
    let pointer = first(&new);
    let error = pointer.files(|_| Some(old.parts[0].gzip.to_vec())).unwrap_err();
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
    let pointer = first(&generation);
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(&vec![b' '; 8 << 20]).unwrap();
    let bomb = encoder.finish().unwrap();
    assert!(matches!(pointer.files(|_| Some(bomb.clone())), Err(ReadError::Digest { .. })));
}

#[test]
fn a_pointer_out_of_bounds_is_refused() {
    let generation = build(vec![main_file("")]);
    let good = first(&generation);
    let parse = |p: &Pointer| Pointer::parse(&serde_json::to_vec(p).unwrap());
    assert_eq!(parse(&good).unwrap(), good);
    let part = good.parts[0].clone();
    let bad = [
        Pointer { version: 1, ..good.clone() },
        Pointer { generation: digest(b"other"), ..good.clone() },
        Pointer { parts: vec![], ..good.clone() },
        Pointer { parts: vec![part.clone(); 3], ..good.clone() },
        Pointer { parts: vec![PartRef { index: 1, ..part.clone() }], ..good.clone() },
        Pointer { parts: vec![PartRef { digest: "../x".into(), ..part.clone() }], ..good.clone() },
        Pointer { parts: vec![PartRef { size: MAX_PART_BYTES + 1, ..part.clone() }], ..good.clone() },
        Pointer { parts: vec![PartRef { secret: "../../x".into(), ..part }], ..good.clone() },
        Pointer { before: Some(Box::new(Pointer { version: 1, ..good.clone() })), ..good.clone() },
        Pointer {
            before: Some(Box::new(Pointer { before: Some(Box::new(good.clone())), ..good.clone() })),
            ..good.clone()
        },
        Pointer { kept_out: vec![KeptOut { reason: "x".repeat(513), ..kept_out("a", "") }], ..good.clone() },
        Pointer { kept_out: vec![kept_out("a", ""); MAX_KEPT_OUT + 1], ..good.clone() },
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

fn kept_out(key: &str, content: &str) -> KeptOut {
    KeptOut::new(key, digest(content.as_bytes()), &format!("rules/{key}.yaml"), "no").unwrap()
}

/// As large as it takes for this many parts at least.
fn padding(count: usize) -> Vec<Fragment> {
    let text = "y".repeat(TARGET_PART_BYTES / 4);
    (0..count * 3).map(|i| fragment(&format!("pad{i}"), &text)).collect()
}

fn digests(fragments: &[Fragment]) -> Vec<String> {
    build(fragments.to_vec()).parts.into_iter().map(|p| p.digest).collect()
}

#[test]
fn what_did_not_change_is_taken_from_the_generation_before() {
    let mut fragments = padding(8);
    fragments.push(main_file(""));
    let before = build(fragments.clone());
    assert!(before.parts.len() >= 8);
    fragments[3] = fragment("pad3", "changed");
    let next = Generation::build_on(Engine::Prometheus, fragments.clone(), Some(&before), &[]).unwrap();
    assert_eq!(next, build(fragments), "it is the same as packed anew");
    let pairs = before.parts.iter().zip(&next.parts);
    let kept = pairs.filter(|(old, new)| std::sync::Arc::ptr_eq(&old.gzip, &new.gzip)).count();
    assert_eq!(kept, before.parts.len() - 1, "all but one part are the same memory");
}

#[test]
fn files_that_are_kept_are_packed_like_those_that_are_not() {
    let main = || vec![main_file("")];
    let mut kept: Files = padding(8).iter().collect();
    let built = |files: &Files, before: Option<&Generation>, out: &[KeptOut]| {
        Generation::build_with(Engine::Prometheus, main(), files, before, out).unwrap()
    };
    let before = built(&kept, None, &[]);
    assert_eq!(before.parts, build(padding(8).into_iter().chain(main()).collect()).parts);
    kept.remove(&padding(8)[3]);
    kept.add(&fragment("pad3", "changed"));
    let next = built(&kept, Some(&before), &[]);
    assert_eq!(next, built(&kept, None, &[]), "it is the same as packed anew");
    let pairs = before.parts.iter().zip(&next.parts);
    let same = pairs.filter(|(old, new)| std::sync::Arc::ptr_eq(&old.gzip, &new.gzip)).count();
    assert_eq!(same, before.parts.len() - 1, "all but one part are the same memory");
    let without = built(&kept, Some(&next), &[kept_out("pad3", "changed")]);
    assert_eq!((without.fragments().count(), without.kept_out.len()), (24, 1));
    assert_eq!(kept.len(), 24, "what is left out of one generation is still there for the next");

    let refused = |files: &[Fragment]| {
        let files = files.iter().collect();
        Generation::build_with(Engine::Prometheus, vec![fragment("a", "1")], &files, None, &[]).unwrap_err()
    };
    assert_eq!(refused(&[fragment("a", "2")]), PackError::Twice("a".into()));
    let same_path = Fragment { key: "b".into(), ..fragment("a", "") };
    assert_eq!(refused(&[same_path]), PackError::Twice("rules/a.yaml".into()));
    let escape = Fragment { path: "../x".into(), ..fragment("b", "") };
    assert_eq!(refused(&[escape]), PackError::Path("../x".into()));
}

#[test]
fn the_number_of_parts_does_not_go_back_and_forth() {
    let sized = |count: usize, before: Option<&Generation>| {
        let mut fragments = padding(count);
        fragments.push(main_file(""));
        Generation::build_on(Engine::Prometheus, fragments, before, &[]).unwrap()
    };
    let large = sized(8, None);
    let smaller = sized(5, Some(&large));
    assert_eq!(smaller.parts.len(), large.parts.len(), "a little less changes nothing");
    assert!(sized(5, None).parts.len() < large.parts.len());
    assert_eq!(sized(1, Some(&large)).parts.len(), 1, "much less does");
}

#[test]
fn what_was_refused_is_left_out_until_it_changes() {
    let on = |content: &str, out: &[KeptOut]| {
        let fragments = vec![main_file(""), fragment("a", content), fragment("b", "")];
        Generation::build_on(Engine::Prometheus, fragments, None, out).unwrap()
    };
    let out = [kept_out("a", "bad"), KeptOut { path: "prometheus.yaml".into(), ..kept_out("main", "") }];
    let without = on("bad", &out);
    assert_eq!(without.paths(), ["prometheus.yaml", "rules/b.yaml"]);
    assert_eq!(without.kept_out, out[..1]);
    let again = on("good", &out);
    assert_eq!(again.paths().len(), 3);
    assert!(again.kept_out.is_empty());
}

#[test]
fn a_limit_is_told_from_80_percent_of_it_on() {
    let with = |bytes: usize| build(vec![main_file(""), fragment("big", &noise("big", bytes))]);
    // Hexadecimal digits are half of what they take.
    assert_eq!(with(MAX_PART_COMPRESSED).near_limit(), None);
    let told = with(MAX_PART_COMPRESSED * 8 / 5).near_limit().unwrap();
    assert!(told.contains("700000") && told.contains("\"big\"") && told.contains("prometheus"), "{told}");
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
        map in some_fragments(), pick in any::<prop::sample::Index>(), count in prop::sample::select(vec![0, 1, 3, 7])
    ) {
        let mut fragments: Vec<_> = map.iter().map(|(k, v)| fragment(k, v)).collect();
        let named = fragments.len();
        fragments.extend(padding(count));
        let before = digests(&fragments);
        let changed = pick.index(named);
        fragments[changed] = Fragment { bytes: b"something else".as_slice().into(), ..fragments[changed].clone() };
        let after = digests(&fragments);
        prop_assert_eq!(before.iter().zip(&after).filter(|(a, b)| a != b).count(), 1);
        fragments.remove(changed);
        let removed = digests(&fragments);
        prop_assert_eq!(before.iter().zip(&removed).filter(|(a, b)| a != b).count(), 1);
    }

    #[test]
    fn noise_never_panics_a_reader(bytes in prop::collection::vec(any::<u8>(), 0..256)) {
        let _ = Pointer::parse(&bytes);
        let part = PartRef { index: 0, slot: Slot::A, secret: "s".into(), digest: digest(b"x"), size: 64 };
        prop_assert!(part.read(&bytes).is_err());
    }
}
