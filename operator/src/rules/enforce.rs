//! Holds an expression to one value of a label: each selector in it gets a matcher.

use promql_parser::label::{MatchOp, Matcher};
use promql_parser::parser::{self, Expr, VectorSelector};

/// Why an expression cannot be held.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Unenforceable {
    /// It cannot be read, for a reason.
    Unread(String),
    /// What was made of it reads as something else.
    Unwritable,
}

/// The expression with a matcher for the label in each selector; other matchers for the label go.
///
/// # Errors
/// [`Unenforceable`] where that cannot be done for sure. Nothing is let through that was not read back as
/// what was meant.
pub(super) fn with_matcher(expr: &str, label: &str, value: &str) -> Result<String, Unenforceable> {
    let mut tree = parser::parse(expr)
        .map_err(|reason| Unenforceable::Unread(reason.split_whitespace().collect::<Vec<_>>().join(" ")))?;
    Enforcer { label, value }.walk(&mut tree)?;
    let text = tree.to_string();
    match parser::parse(&text) {
        Ok(again) if again == tree => Ok(text),
        _ => Err(Unenforceable::Unwritable),
    }
}

struct Enforcer<'a> {
    label: &'a str,
    value: &'a str,
}

impl Enforcer<'_> {
    fn hold(&self, selector: &mut VectorSelector) -> Result<(), Unenforceable> {
        // Alternatives are not PromQL: no Prometheus reads them.
        if !selector.matchers.or_matchers.is_empty() {
            return Err(Unenforceable::Unread("matchers joined by or".to_owned()));
        }
        let matchers = &mut selector.matchers.matchers;
        matchers.retain(|matcher| matcher.name != self.label);
        matchers.push(Matcher::new(MatchOp::Equal, self.label, self.value));
        Ok(())
    }

    fn walk(&self, expr: &mut Expr) -> Result<(), Unenforceable> {
        match expr {
            Expr::VectorSelector(selector) => self.hold(selector),
            Expr::MatrixSelector(selector) => self.hold(&mut selector.vs),
            Expr::Aggregate(aggregate) => {
                // The parameter can hold selectors too.
                aggregate.param.as_mut().map_or(Ok(()), |param| self.walk(param))?;
                self.walk(&mut aggregate.expr)
            }
            Expr::Unary(unary) => self.walk(&mut unary.expr),
            Expr::Binary(binary) => {
                self.walk(&mut binary.lhs)?;
                self.walk(&mut binary.rhs)
            }
            Expr::Paren(paren) => self.walk(&mut paren.expr),
            Expr::Subquery(subquery) => self.walk(&mut subquery.expr),
            Expr::Call(call) => call.args.args.iter_mut().try_for_each(|argument| self.walk(argument)),
            Expr::NumberLiteral(_) | Expr::StringLiteral(_) => Ok(()),
            Expr::Extension(_) => Err(Unenforceable::Unwritable),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_selector_is_held() {
        for (expr, want) in [
            ("up", r#"up{namespace="a"}"#),
            ("up == 0", r#"up{namespace="a"} == 0"#),
            (r#"{__name__="up"}"#, r#"{__name__="up",namespace="a"}"#),
            (r#"up{job="x", namespace="b"}"#, r#"up{job="x",namespace="a"}"#),
            (r#"up{namespace=~".*"}"#, r#"up{namespace="a"}"#),
            ("rate(x_total[5m])", r#"rate(x_total{namespace="a"}[5m])"#),
            ("a / on (pod) b", r#"a{namespace="a"} / on (pod) b{namespace="a"}"#),
            ("topk(scalar(n), a)", r#"topk(scalar(n{namespace="a"}), a{namespace="a"})"#),
            ("quantile(scalar(max(n)), a)", r#"quantile(scalar(max(n{namespace="a"})), a{namespace="a"})"#),
            ("max_over_time(a[5m:1m])", r#"max_over_time(a{namespace="a"}[5m:1m])"#),
            ("a offset 5m", r#"a{namespace="a"} offset 5m"#),
            ("-a", r#"-a{namespace="a"}"#),
            ("absent(a) or vector(1)", r#"absent(a{namespace="a"}) or vector(1)"#),
            ("1", "1"),
            (
                r#"label_replace(a, "x", "$1", "y", "(.*)")"#,
                r#"label_replace(a{namespace="a"}, "x", "$1", "y", "(.*)")"#,
            ),
        ] {
            assert_eq!(with_matcher(expr, "namespace", "a").as_deref(), Ok(want), "{expr}");
        }
    }

    #[test]
    fn what_cannot_be_held_for_sure_is_refused() {
        for expr in ["", "up{", "brand_new_function(up)", r#"{a="b" or namespace="c"}"#] {
            assert!(with_matcher(expr, "namespace", "a").is_err(), "{expr}");
        }
    }
}
