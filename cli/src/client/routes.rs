//! Names of routes. A client's frames carry numbers only, so whoever wants names says what they mean: one by one, or with
//! a file.

use std::{collections::BTreeMap, fs, path::Path};

use due_core::RouteId;
use serde_json::Value;

use crate::failure::{Failure, Outcome};

/// Routes by name and by number.
#[derive(Debug, Default)]
pub(crate) struct Routes {
    by_name: BTreeMap<String, RouteId>,
    by_number: BTreeMap<RouteId, String>,
}

impl Routes {
    /// Adds `NAME=NUMBER`.
    pub(crate) fn add_text(&mut self, text: &str) -> Outcome {
        let wrong = || Failure::new(format!("--route {text:?} is not NAME=NUMBER, such as echo=1"));
        let (name, number) = text.split_once('=').ok_or_else(wrong)?;
        self.add(name.trim(), number.trim().parse().map_err(|_| wrong())?)
    }

    /// Adds those of a file: `{"echo": 1}`, or a list of objects with `id` and `name`, which may stand in an object's
    /// `items`, as the master's `/api/v1/routes` answers.
    pub(crate) fn add_file(&mut self, path: &Path) -> Outcome {
        let at = |e: &dyn std::fmt::Display| Failure::new(format!("routes in {}: {e}", path.display()));
        let text = fs::read(path).map_err(|e| at(&e))?;
        let value: Value = serde_json::from_slice(&text).map_err(|e| at(&e))?;
        self.add_value(&value).map_err(|e| at(&e))
    }

    fn add_value(&mut self, value: &Value) -> Outcome {
        let listed = value.as_array().or_else(|| value.get("items").and_then(Value::as_array));
        if let Some(list) = listed {
            return list.iter().try_for_each(|route| self.add_object(route));
        }
        let pairs = value.as_object().ok_or_else(|| Failure::new("neither an object of numbers nor a list"))?;
        for (name, number) in pairs {
            let number = number.as_i64().and_then(|n| i32::try_from(n).ok());
            self.add(name, number.ok_or_else(|| Failure::new(format!("{name:?} has no number of 32 bits")))?)?;
        }
        Ok(())
    }

    fn add_object(&mut self, route: &Value) -> Outcome {
        let number = route.get("id").and_then(Value::as_i64).and_then(|n| i32::try_from(n).ok());
        match (route.get("name").and_then(Value::as_str), number) {
            (Some(name), Some(number)) => self.add(name, number),
            _ => Err(Failure::new(format!("{route} has no `name` or no `id` of 32 bits"))),
        }
    }

    fn add(&mut self, name: &str, number: i32) -> Outcome {
        let id = RouteId(number);
        if let Some(other) = self.by_name.insert(name.to_owned(), id).filter(|other| *other != id) {
            return Err(Failure::new(format!("{name:?} is route {} and route {number}", other.0)));
        }
        self.by_number.insert(id, name.to_owned());
        Ok(())
    }

    /// The route that a word means: a name that is known, or a number.
    pub(crate) fn find(&self, word: &str) -> Outcome<RouteId> {
        let named = self.by_name.get(word).copied();
        named.or_else(|| word.parse().ok().map(RouteId)).ok_or_else(|| {
            Failure::new(format!(
                "no route is called {word:?}: give its number, --route {word}=NUMBER, or --routes FILE"
            ))
        })
    }

    pub(crate) fn name(&self, id: RouteId) -> Option<&str> {
        self.by_number.get(&id).map(String::as_str)
    }

    pub(crate) fn all(&self) -> impl Iterator<Item = (&str, RouteId)> {
        self.by_name.iter().map(|(name, id)| (name.as_str(), *id))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn names_come_as_pairs_objects_and_lists() {
        let mut routes = Routes::default();
        routes.add_text("echo=1").unwrap();
        routes.add_value(&json!({"news": 101})).unwrap();
        routes.add_value(&json!({"items": [{"id": -7, "name": "odd", "stateful": true}]})).unwrap();
        routes.add_value(&json!([{"id": 1, "name": "echo"}])).unwrap();
        let found = ["echo", "news", "odd", "12", "-3"].map(|word| routes.find(word).unwrap().0);
        assert_eq!(found, [1, 101, -7, 12, -3]);
        assert_eq!(routes.name(RouteId(101)), Some("news"));
    }

    #[test]
    fn what_is_wrong_is_named() {
        let mut routes = Routes::default();
        let texts = ["echo", "echo=x", "echo=99999999999"].map(|t| routes.add_text(t).unwrap_err().to_string());
        assert!(texts.iter().all(|t| t.contains("NAME=NUMBER")), "{texts:?}");
        for value in [json!(3), json!({"a": "b"}), json!([{"id": 1}]), json!([{"id": 1u64 << 40, "name": "x"}])] {
            assert!(routes.add_value(&value).is_err(), "{value}");
        }
        routes.add_text("echo=1").unwrap();
        assert!(routes.add_text("echo=2").unwrap_err().to_string().contains("route 1 and route 2"));
        assert!(routes.find("nothing").unwrap_err().to_string().contains("--route nothing=NUMBER"));
    }
}
