//! A document with the line of each key.

use std::fmt;

use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, SeqAccess, Visitor},
};
use serde_saphyr::Spanned;

use crate::format::{Format, line_of};

/// A value of a document.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Tree {
    Nothing,
    Switch(bool),
    Int(i64),
    Float(f64),
    Text(String),
    /// Of a kind that no setting has.
    Other(&'static str),
    List(Vec<Tree>),
    Table(Vec<Item>),
}

/// A key of a table.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Item {
    pub(super) key: String,
    /// From 1; 0 if it is not known.
    pub(super) line: usize,
    pub(super) value: Tree,
}

/// Reads a document. The error names the line where the format knows it.
pub(super) fn read(format: Format, text: &str) -> Result<Tree, String> {
    match format {
        Format::Toml => {
            // Checks what the parser with lines leaves to others, as numbers out of range.
            format.check(text.as_bytes())?;
            let table = toml::de::DeTable::parse(text).map_err(|e| e.message().to_owned())?;
            Ok(from_toml(text, table.get_ref()))
        }
        Format::Json => {
            let plain: serde_json::Value = format.decode(text.as_bytes())?;
            let plain = from_json(plain);
            // The YAML reader knows lines. Where it sees another document, there are none.
            let lined = Format::Yaml.decode(text.as_bytes()).ok().filter(|lined| same(lined, &plain));
            Ok(lined.unwrap_or(plain))
        }
        other => other.decode(text.as_bytes()),
    }
}

impl fmt::Display for Tree {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nothing => f.write_str("nothing"),
            Self::Switch(b) => b.fmt(f),
            Self::Int(n) => n.fmt(f),
            Self::Float(n) => n.fmt(f),
            Self::Text(text) => write!(f, "{:?}", text.chars().take(64).collect::<String>()),
            Self::Other(what) => f.write_str(what),
            Self::List(_) => f.write_str("a list"),
            Self::Table(_) => f.write_str("a table"),
        }
    }
}

fn same(a: &Tree, b: &Tree) -> bool {
    match (a, b) {
        (Tree::List(a), Tree::List(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b)),
        (Tree::Table(a), Tree::Table(b)) => {
            let found = |item: &Item| b.iter().any(|other| other.key == item.key && same(&item.value, &other.value));
            a.len() == b.len() && a.iter().all(found)
        }
        (a, b) => a == b,
    }
}

fn from_toml(text: &str, table: &toml::de::DeTable<'_>) -> Tree {
    let item = |(key, value): (&toml::Spanned<_>, &toml::Spanned<_>)| {
        let name: &std::borrow::Cow<'_, str> = key.get_ref();
        Item { key: name.to_string(), line: line_of(text, key.span().start), value: toml_value(text, value.get_ref()) }
    };
    Tree::Table(table.iter().map(item).collect())
}

fn toml_value(text: &str, value: &toml::de::DeValue<'_>) -> Tree {
    use toml::de::DeValue;
    match value {
        DeValue::String(s) => Tree::Text(s.to_string()),
        DeValue::Integer(n) => {
            i64::from_str_radix(n.as_str(), n.radix()).map_or(Tree::Other("a number out of range"), Tree::Int)
        }
        DeValue::Float(n) => n.as_str().parse().map_or(Tree::Other("a number out of range"), Tree::Float),
        DeValue::Boolean(b) => Tree::Switch(*b),
        DeValue::Datetime(_) => Tree::Other("a date"),
        DeValue::Array(list) => Tree::List(list.iter().map(|v| toml_value(text, v.get_ref())).collect()),
        DeValue::Table(table) => from_toml(text, table),
    }
}

fn from_json(value: serde_json::Value) -> Tree {
    use serde_json::Value;
    match value {
        Value::Null => Tree::Nothing,
        Value::Bool(b) => Tree::Switch(b),
        Value::Number(n) => match (n.as_i64(), n.as_f64()) {
            (Some(n), _) => Tree::Int(n),
            (None, Some(n)) => Tree::Float(n),
            (None, None) => Tree::Other("a number out of range"),
        },
        Value::String(s) => Tree::Text(s),
        Value::Array(list) => Tree::List(list.into_iter().map(from_json).collect()),
        Value::Object(map) => {
            let item = |(key, value)| Item { key, line: 0, value: from_json(value) };
            Tree::Table(map.into_iter().map(item).collect())
        }
    }
}

impl<'de> Deserialize<'de> for Tree {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(Reader)
    }
}

struct Reader;

impl<'de> Visitor<'de> for Reader {
    type Value = Tree;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a setting")
    }

    fn visit_unit<E>(self) -> Result<Tree, E> {
        Ok(Tree::Nothing)
    }

    fn visit_none<E>(self) -> Result<Tree, E> {
        Ok(Tree::Nothing)
    }

    fn visit_bool<E>(self, b: bool) -> Result<Tree, E> {
        Ok(Tree::Switch(b))
    }

    fn visit_i64<E>(self, n: i64) -> Result<Tree, E> {
        Ok(Tree::Int(n))
    }

    fn visit_u64<E>(self, n: u64) -> Result<Tree, E> {
        Ok(i64::try_from(n).map_or(Tree::Float(n as f64), Tree::Int))
    }

    fn visit_f64<E>(self, n: f64) -> Result<Tree, E> {
        Ok(Tree::Float(n))
    }

    fn visit_str<E>(self, text: &str) -> Result<Tree, E> {
        Ok(Tree::Text(text.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Tree, A::Error> {
        let mut list = Vec::new();
        while let Some(value) = seq.next_element()? {
            list.push(value);
        }
        Ok(Tree::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Tree, A::Error> {
        let mut items = Vec::new();
        while let Some(key) = map.next_key::<Spanned<String>>()? {
            let line = usize::try_from(key.referenced.line()).unwrap_or(0);
            items.push(Item { key: key.value, line, value: map.next_value()? });
        }
        Ok(Tree::Table(items))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(format: Format, text: &str) {
        let Tree::Table(top) = read(format, text).unwrap() else { panic!("no table") };
        let [a, b] = &top[..] else { panic!("{top:?}") };
        assert_eq!((a.key.as_str(), a.line, &a.value), ("a", 2, &Tree::Text("x".into())), "{text}");
        let Tree::Table(inner) = &b.value else { panic!("no table") };
        let lines: Vec<_> = inner.iter().map(|item| (item.key.as_str(), item.line, item.value.to_string())).collect();
        assert_eq!(lines, [("c", 5, "1".to_owned()), ("d", 6, "a list".to_owned())], "{text}");
    }

    #[test]
    fn lines_are_known_in_each_format() {
        check(Format::Toml, "\na = 'x'\n\n[b]\nc = 1\nd = [true]\n");
        check(Format::Yaml, "\na: x\n\nb:\n  c: 1\n  d: [true]\n");
        check(Format::Json, "{\n\"a\": \"x\",\n\n\"b\": {\n\"c\": 1,\n\"d\": [true]}}\n");
    }

    #[test]
    fn json_that_yaml_reads_otherwise_has_no_lines() {
        let Tree::Table(top) = read(Format::Json, "{\"a\":\n\"\\ud83d\\ude00\"}").unwrap() else { panic!("no table") };
        assert_eq!(top[0].value, Tree::Text("😀".into()));
    }
}
