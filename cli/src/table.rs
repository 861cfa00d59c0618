//! Answers as tables for people.

use serde_json::Value;

use crate::print::escaped;

/// A column: its head, and where its value stands in an item.
pub(crate) type Column = (&'static str, &'static str);

/// One line for each item, under heads, columns as wide as what is in them.
pub(crate) fn table(items: &[Value], columns: &[Column]) -> String {
    let mut rows = vec![columns.iter().map(|(head, _)| (*head).to_owned()).collect::<Vec<_>>()];
    rows.extend(items.iter().map(|item| columns.iter().map(|(_, at)| cell(item.pointer(at))).collect()));
    let widths: Vec<usize> = (0..columns.len())
        .map(|i| rows.iter().filter_map(|r| r.get(i)).map(|c| c.chars().count()).max().unwrap_or(0))
        .collect();
    let line = |row: &Vec<String>| {
        let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}"));
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    rows.iter().map(line).collect::<Vec<_>>().join("\n")
}

/// One line for each value of an object, also of those within.
pub(crate) fn list(value: &Value) -> String {
    let mut lines = Vec::new();
    gather(String::new(), value, &mut lines);
    let width = lines.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0);
    lines.iter().map(|(name, value)| format!("{name:<width$}  {value}")).collect::<Vec<_>>().join("\n")
}

fn gather(name: String, value: &Value, lines: &mut Vec<(String, String)>) {
    match value {
        Value::Object(all) if !all.is_empty() => {
            for (key, value) in all {
                let key = escaped(key);
                gather(if name.is_empty() { key } else { format!("{name}.{key}") }, value, lines);
            }
        }
        Value::Array(all) if all.iter().any(Value::is_object) => {
            for (i, value) in all.iter().enumerate() {
                gather(format!("{name}.{i}"), value, lines);
            }
        }
        Value::Null => {}
        value => lines.push((name, cell(Some(value)))),
    }
}

fn cell(value: Option<&Value>) -> String {
    match value {
        None | Some(Value::Null) => "-".to_owned(),
        Some(Value::String(text)) => escaped(text),
        Some(Value::Array(all)) => all.iter().map(|v| cell(Some(v))).collect::<Vec<_>>().join(","),
        Some(Value::Object(all)) => {
            all.iter().map(|(name, v)| format!("{}={}", escaped(name), cell(Some(v)))).collect::<Vec<_>>().join(",")
        }
        Some(value) => value.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_table_is_as_wide_as_what_is_in_it() {
        let items = [json!({"id": "gate-1", "labels": {"region": "eu"}}), json!({"id": "n", "up": ["a", "b"]})];
        let text = table(&items, &[("ID", "/id"), ("LABELS", "/labels"), ("UP", "/up")]);
        assert_eq!(text, "ID      LABELS     UP\ngate-1  region=eu  -\nn       -          a,b");
    }

    #[test]
    fn a_list_names_what_is_within() {
        let value = json!({"a": {"b": 1, "c": "x\u{7}"}, "d": [{"e": true}], "f": null, "g": []});
        assert_eq!(list(&value), "a.b    1\na.c    x\\u{7}\nd.0.e  true\ng      ");
    }
}
