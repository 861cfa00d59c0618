//! Values of settings held against their JSON schemas.

use axum::http::StatusCode;
use jsonschema::PatternOptions;
use serde_json::Value;

use crate::problem::Problem;

/// Most faults that are told.
const MOST: usize = 20;
/// Longest text of one.
const LONGEST: usize = 256;

/// Refuses a value that does not fit, with the place and the reason of each fault: `value/rooms/0`. Nothing is fetched for a
/// schema, and its patterns take time that rises with the text only.
pub(crate) fn check(schema: &str, value: &str) -> Result<(), Problem> {
    let bad =
        |why: String| Problem::new(StatusCode::CONFLICT, "bad_schema", format!("its schema cannot be used: {why}"));
    let schema: Value = serde_json::from_str(schema).map_err(|e| bad(e.to_string()))?;
    let options = jsonschema::options().with_pattern_options(PatternOptions::regex()).offline();
    let validator = options.build(&schema).map_err(|e| bad(shortened(&e.to_string())))?;
    let value: Value = serde_json::from_str(value)
        .map_err(|e| Problem::field("value", format!("it has a schema, and is not JSON: {e}")))?;
    let mut faults = validator.iter_errors(&value).take(MOST).map(|fault| {
        // Not the value itself: it may be long, or a secret.
        (format!("value{}", fault.instance_path()), shortened(&fault.masked().to_string()))
    });
    let Some((place, why)) = faults.next() else { return Ok(()) };
    let problem = Problem::field(&place, why);
    Err(faults.fold(problem, |problem, (place, why)| problem.and_field(place, why)))
}

fn shortened(text: &str) -> String {
    text.chars().take(LONGEST).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SCHEMA: &str = r#"{"type":"object","required":["rooms"],"additionalProperties":false,"properties":{
        "rooms":{"type":"integer","minimum":1,"maximum":100},"name":{"type":"string","pattern":"^[a-z]+$"},
        "prices":{"type":"array","items":{"type":"number"}}}}"#;

    #[track_caller]
    fn check_faults(value: &str, places: &[&str]) {
        let problem = check(SCHEMA, value).err();
        assert_eq!(problem.as_ref().map(Problem::fields).unwrap_or_default(), places, "{value}");
    }

    #[test]
    fn each_fault_is_named_with_its_place() {
        check_faults(r#"{"rooms":5,"name":"inn","prices":[1,2.5]}"#, &[]);
        check_faults(r#"{"rooms":101,"name":"INN"}"#, &["value/name", "value/rooms"]);
        check_faults(r#"{"rooms":1,"prices":[1,"x"]}"#, &["value/prices/1"]);
        check_faults("{}", &["value"]);
        check_faults("[]", &["value"]);
        check_faults("rooms = 5", &["value"]);
    }

    #[test]
    fn faults_are_bounded_and_do_not_repeat_the_value() {
        let many: Vec<String> = (0..1000).map(|n| format!("\"hunter2-{n}\"")).collect();
        let problem = check(SCHEMA, &format!("{{\"rooms\":1,\"prices\":[{}]}}", many.join(","))).unwrap_err();
        assert_eq!(problem.fields().len(), MOST);
        assert!(!format!("{problem:?}").contains("hunter2"), "{problem:?}");
    }

    #[test]
    fn a_schema_that_is_none_or_wants_something_fetched_is_refused() {
        let remote = r#"{"$ref":"http://127.0.0.1:9/x.json"}"#;
        for bad in ["{", r#"{"type":7}"#, r#"{"pattern":"("}"#, remote, r#"{"$ref":"file:///etc/passwd"}"#] {
            let problem = check(bad, "1").unwrap_err();
            assert_eq!((problem.status, problem.code), (409, "bad_schema"), "{bad}");
        }
    }
}
