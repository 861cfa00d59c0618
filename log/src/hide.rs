//! Secrets that came into a text in spite of everything: passwords in URLs, values behind a telling name.
//!
//! Whoever writes a line has to keep secrets out of it: this is the net below.

use std::ops::Range;

const HIDDEN: &str = "***";

/// Names whose values are secret.
const NAMES: [&str; 9] =
    ["password", "passwd", "secret", "token", "authorization", "api_key", "api-key", "access_key", "private_key"];

/// Schemes of the header `authorization`; what follows is the secret.
const SCHEMES: [&str; 2] = ["bearer", "basic"];

/// Is the value of a field of this name secret, if it is a text?
pub(crate) fn is_secret(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    NAMES.iter().any(|secret| name.contains(secret))
}

/// The text of a field that [`is_secret`].
pub(crate) fn hidden() -> String {
    HIDDEN.to_owned()
}

/// The text without its secrets. `cut`: its end was cut off, and may have been what tells.
pub(crate) fn hide(text: String, cut: bool) -> String {
    if !text.contains(['=', ':']) {
        return text;
    }
    let mut spots = users(&text, cut);
    values(&text, &mut spots);
    if spots.is_empty() {
        return text;
    }
    spots.sort_by_key(|spot| spot.start);
    let mut out = String::with_capacity(text.len());
    let mut from = 0;
    for spot in spots {
        if spot.start >= from {
            out.push_str(text.get(from..spot.start).unwrap_or_default());
            out.push_str(HIDDEN);
        }
        from = from.max(spot.end);
    }
    out.push_str(text.get(from..).unwrap_or_default());
    out
}

/// What stands before the `@` of URLs.
fn users(text: &str, cut: bool) -> Vec<Range<usize>> {
    let mut spots = Vec::new();
    for (at, mark) in text.match_indices("://") {
        let start = at + mark.len();
        let rest = text.get(start..).unwrap_or_default();
        let end = rest.find(|c: char| c.is_whitespace() || "\"'<>?".contains(c));
        let url = rest.get(..end.unwrap_or(rest.len())).unwrap_or_default();
        match url.rfind('@') {
            Some(user) => spots.push(start..start + user),
            None if cut && end.is_none() => spots.push(start..text.len()),
            None => {}
        }
    }
    spots
}

/// What follows secret names and `=`; or `:` and a quote, as in JSON and in what `Debug` prints.
fn values(text: &str, spots: &mut Vec<Range<usize>>) {
    let lower = text.to_ascii_lowercase();
    for name in NAMES {
        for (at, _) in lower.match_indices(name) {
            spots.extend(value(&lower, at + name.len(), name));
        }
    }
}

/// Where the value lies, if there is one. The text is in lower case, which moves nothing: only ASCII letters changed.
fn value(text: &str, from: usize, name: &str) -> Option<Range<usize>> {
    let rest = text.get(from..)?;
    // The name may go on, and may stand in quotes: `token_file=`, `"password":`.
    let after = rest.trim_start_matches(|c: char| c.is_ascii_alphanumeric() || "_-".contains(c));
    let unquoted = after.trim_start_matches(['"', '\'', '\\']);
    let spaced = unquoted.trim_start();
    let sign = spaced.chars().next().filter(|c| "=:".contains(*c))?;
    let inner = spaced.get(1..)?;
    // `?secret= to` has no value, `secret = x` has one.
    let open = sign == ':' || spaced.len() < unquoted.len();
    let inner = if open { inner.trim_start() } else { inner };
    let inner = inner.strip_prefix("some(").unwrap_or(inner);
    let plain = inner.trim_start_matches(['"', '\'', '\\']);
    let telling = sign == '=' || plain.len() < inner.len() || name == "authorization";
    if !telling {
        return None;
    }
    let scheme = SCHEMES.iter().find_map(|scheme| plain.strip_prefix(scheme)?.strip_prefix(' '));
    let value = scheme.map_or(plain, str::trim_start);
    let quoted = plain.len() < inner.len();
    let ends = |c: char| if quoted { "\"'\\".contains(c) } else { c.is_whitespace() || ",;&)}]\"'".contains(c) };
    let len = value.find(ends).unwrap_or(value.len());
    let start = text.len() - value.len();
    (len > 0).then(|| start..start + len)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, shown: &str) {
        assert_eq!(hide(text.to_owned(), false), shown);
    }

    #[test]
    fn users_of_urls_are_hidden() {
        check("no link to redis://root:hunter2@a:1/0; trying", "no link to redis://***@a:1/0; trying");
        check("url (http://u:p@a:1,http://u:p@b:2)", "url (http://***@b:2)");
        check("ws://127.0.0.1:3653 is open", "ws://127.0.0.1:3653 is open");
        check("\"amqp://u:p/w@h\"", "\"amqp://***@h\"");
        check("nats://u:hé@h", "nats://***@h");
    }

    #[test]
    fn values_behind_secret_names_are_hidden() {
        check("GET /kv?token=hunter2&dc=a", "GET /kv?token=***&dc=a");
        check("{\"password\":\"hunter2\",\"a\":1}", "{\"password\":\"***\",\"a\":1}");
        check("Login { user: \"a\", password: Some(\"hun ter2\") }", "Login { user: \"a\", password: Some(\"***\") }");
        check("Authorization: Bearer hunter2, x", "Authorization: Bearer ***, x");
        check("X-Auth-Token=hunter2 é", "X-Auth-Token=*** é");
        check("SECRET = hunter2", "SECRET = ***");
        check("client_secret='hunter2'", "client_secret='***'");
    }

    #[test]
    fn other_texts_stay() {
        for text in [
            "the secret is missing: add ?secret= to the URL",
            "unexpected token: expected a comma",
            "node game-1 at 10.0.0.1:7000, weight=2",
            "a token was renewed",
            "",
        ] {
            check(text, text);
        }
    }

    #[test]
    fn a_url_without_its_end_is_hidden() {
        assert_eq!(hide("at redis://root:hunt".to_owned(), true), "at redis://***");
        assert_eq!(hide("at redis://a:1 and more".to_owned(), true), "at redis://a:1 and more");
    }

    #[test]
    fn names_of_fields_tell() {
        for name in ["password", "auth_token", "Secret"] {
            assert!(is_secret(name), "{name}");
        }
        for name in ["key", "route", "error"] {
            assert!(!is_secret(name), "{name}");
        }
    }
}
