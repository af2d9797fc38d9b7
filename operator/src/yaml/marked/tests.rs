use serde_json::json;

use super::*;

fn one(text: &str) -> Node {
    let (mut documents, problems) = parse(text);
    assert!(problems.is_empty(), "{problems:?}");
    assert_eq!(documents.len(), 1);
    documents.remove(0)
}

#[test]
fn lines_are_right_in_blocks_flows_lists_and_later_documents() {
    let text = "\
# a comment
a: 1
---
%YAML-like: no
b:
  c:
  - x: 1
    y: |
      two
      lines
  - {x: 2,
     y: 3}
  'd.e': {f: [1,
    2]}
---
z:
  - last
";
    let (documents, problems) = parse(text.replace("%YAML-like: no\n", "k: v\n").as_str());
    assert!(problems.is_empty(), "{problems:?}");
    assert_eq!(documents.len(), 3);
    for (document, path, line) in [
        (0, "a", 2),
        (1, "b", 5),
        (1, "b.c", 6),
        (1, "b.c[0]", 7),
        (1, "b.c[0].y", 8),
        (1, "b.c[1]", 11),
        (1, "b.c[1].y", 12),
        (1, "b[\"d.e\"].f", 13),
        (1, "b[\"d.e\"].f[1]", 14),
        (1, "b.missing.deeper", 5),
        (1, "b.c[7]", 6),
        (2, "z[0]", 17),
    ] {
        assert_eq!(documents[document].line_of(path), line, "{document} {path}");
    }
}

#[test]
fn scalars_are_read_as_kubectl_reads_them() {
    let node = one(
        "[yes, 'yes', 0x1F, 012, 1_000, -3, 1.5, 1e3, ~, 15d, 1.2.3, '', !!str 5, 0.5.0, 08, -0, .5, on]",
    );
    let values = json!([
        true, "yes", 31, 10, 1000, -3, 1.5, 1000.0, null, "15d", "1.2.3", "", "5", "0.5.0", 8.0, 0, 0.5, true
    ]);
    assert_eq!(node.to_json(), values);
}

#[test]
fn json_is_yaml() {
    let node = one("{\n\t\"a\": [1, true, null, \"x\\n\"],\n\t\"b\": {}\n}");
    assert_eq!(node.to_json(), json!({ "a": [1, true, null, "x\n"], "b": {} }));
    assert_eq!(node.line_of("b"), 3);
}

#[test]
fn a_broken_document_hides_no_other() {
    let (documents, problems) = parse("a: [1\n---\nb: 2\n---\nc: {x: 1\nd: 3\n---\ne: 1\n");
    assert_eq!(documents.iter().map(Node::to_json).collect::<Vec<_>>(), [json!({"b": 2}), json!({"e": 1})]);
    assert_eq!(problems.len(), 2, "{problems:?}");
    assert!(problems.iter().all(|p| p.found.contains("broken YAML")));
}

#[test]
fn aliases_and_merge_keys_are_expanded() {
    let node = one("base: &b {x: 1, y: 2}\nuse: {<<: *b, y: 3}\nlist: [*b]\n");
    assert_eq!(node.to_json()["use"], json!({ "x": 1, "y": 3 }));
    assert_eq!(node.to_json()["list"], json!([{ "x": 1, "y": 2 }]));
}

#[test]
fn what_yaml_hides_is_a_problem() {
    for (text, found, line) in [
        ("a: 1\nb: 2\na: 3\n", "second time", 3),
        ("a: !secret x\n", "tag", 1),
        ("? [a]\n: 1\n", "no text", 1),
        ("a: &x [*x]\n", "alias", 1),
        ("a: *nobody\n", "broken YAML", 1),
        ("a:\n\t- x\n", "broken YAML", 2),
    ] {
        let (_, problems) = parse(text);
        assert_eq!(problems.len(), 1, "{text:?}: {problems:?}");
        assert!(problems[0].found.contains(found), "{text:?}: {problems:?}");
        assert_eq!(problems[0].line, line, "{text:?}");
    }
}

#[test]
fn bombs_do_not_go_off() {
    let mut laughs = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x]\n");
    for i in 1..9 {
        let row = vec![format!("*a{}", i - 1); 9].join(", ");
        laughs.push_str(&format!("a{i}: &a{i} [{row}]\n"));
    }
    let deep = format!("a: {}{}", "[".repeat(100), "]".repeat(100));
    for bomb in [laughs, deep] {
        let (_, problems) = parse(&bomb);
        assert_eq!(problems.len(), 1, "{problems:?}");
    }
}

#[test]
fn nothing_is_no_document() {
    for text in ["", "\n", "# only\n", "---\n", "---\n---\n# x\n", "%YAML 1.2\n---\n"] {
        let (documents, problems) = parse(text);
        assert!(documents.is_empty() && problems.is_empty(), "{text:?}: {documents:?} {problems:?}");
    }
}
