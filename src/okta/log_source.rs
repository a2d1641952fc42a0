//! Which of Sigma's log sources are Okta's System Log.

/// Categories that name no product and that Okta's log may stand for.
const CATEGORIES: [&str; 2] = ["application", "authentication"];

/// The attribute of a log source, and its value, by which it is not Okta's
/// System Log. A rule that says `product: okta` is for it whatever else it
/// says; one that names no product is, unless its service or category is
/// somebody else's.
#[must_use]
pub fn not_ours<'s>(
    product: Option<&'s str>,
    category: Option<&'s str>,
    service: Option<&'s str>,
) -> Option<(&'static str, &'s str)> {
    let okta = |name: &str| name.eq_ignore_ascii_case("okta");
    if let Some(product) = product {
        return (!okta(product)).then_some(("product", product));
    }
    if let Some(service) = service {
        return (!okta(service)).then_some(("service", service));
    }
    let known = |name: &str| CATEGORIES.iter().any(|own| name.eq_ignore_ascii_case(own));
    let category = category.filter(|category| !known(category));
    category.map(|category| ("category", category))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_source_is_ours_or_says_why_not() {
        let cases = [
            ((Some("okta"), None, Some("okta")), None),
            ((Some("okta"), None, None), None),
            ((Some("Okta"), None, None), None),
            ((Some("okta"), Some("anything"), Some("system_log")), None),
            ((None, None, None), None),
            ((None, None, Some("okta")), None),
            ((None, Some("authentication"), None), None),
            ((None, Some("Application"), None), None),
            ((Some("windows"), None, None), Some(("product", "windows"))),
            (
                (Some("oktane"), None, Some("okta")),
                Some(("product", "oktane")),
            ),
            ((None, None, Some("sysmon")), Some(("service", "sysmon"))),
            (
                (None, Some("authentication"), Some("sshd")),
                Some(("service", "sshd")),
            ),
            (
                (None, Some("process_creation"), None),
                Some(("category", "process_creation")),
            ),
        ];
        for ((product, category, service), expected) in cases {
            assert_eq!(
                not_ours(product, category, service),
                expected,
                "{product:?} {category:?} {service:?}"
            );
        }
    }
}
