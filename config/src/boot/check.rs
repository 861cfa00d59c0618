//! Which keys there are, and whether values have the form of their keys.

use std::{fmt, path::PathBuf};

use due_core::{
    Error, Result, Url,
    boot::{Form, KEYS, Key, LogLevels, ShardCount},
    units,
};
use figment::value::{Dict, Value};

use super::{
    nearest::nearest,
    tree::{Item, Tree},
};

/// The section of the program itself.
pub(super) const APP: &str = "app";

/// Where a value was found.
#[derive(Clone, Debug)]
pub(super) enum Place {
    /// A line of a file; 0 if it is not known.
    File(PathBuf, usize),
    /// A variable of the environment.
    Variable(String),
    /// An argument of the command line.
    Argument(String),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path, 0) => write!(f, "{}", path.display()),
            Self::File(path, line) => write!(f, "{}:{line}", path.display()),
            Self::Variable(name) => write!(f, "the variable {name}"),
            Self::Argument(name) => f.write_str(name),
        }
    }
}

/// Checks the table of a section and what is below it.
pub(super) fn table(path: &str, items: Vec<Item>, place: &dyn Fn(usize) -> Place) -> Result<Dict> {
    let mut dict = Dict::new();
    for Item { key, line, value } in items {
        let full = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
        let place_of = place(line);
        let checked = match value {
            Tree::Table(inner) if path.is_empty() && key == APP => Value::from(free_table(inner)),
            Tree::Table(inner) if is_section(&full) => Value::from(table(&full, inner, place)?),
            other if full == APP || is_section(&full) => {
                return Err(Error::config(format!(
                    "{place_of}: `{full}` = {other}: write a table: [{}]",
                    shown(&full)
                )));
            }
            other => checked(find(&full, &place_of)?.form, &full, other, &place_of)?,
        };
        dict.insert(key, checked);
    }
    Ok(dict)
}

/// Checks one value that was written as plain text.
pub(super) fn text(path: &str, text: &str, place: &Place) -> Result<Value> {
    if path.strip_prefix(APP).is_some_and(|rest| rest.starts_with('.')) {
        return text.parse().map_err(|e| Error::config(format!("{place}: {e}")));
    }
    let key = find(path, place)?;
    checked(key.form, path, untyped(key.form, text), place)
}

/// A value of whatever form, for the program's own section.
fn free_table(items: Vec<Item>) -> Dict {
    items.into_iter().map(|item| (item.key, free(item.value))).collect()
}

fn free(value: Tree) -> Value {
    match value {
        Tree::Nothing => Value::from(figment::value::Empty::None),
        Tree::Switch(b) => Value::from(b),
        Tree::Int(n) => Value::from(n),
        Tree::Float(n) => Value::from(n),
        Tree::Text(text) => Value::from(text),
        Tree::Other(what) => Value::from(what),
        Tree::List(list) => Value::from(list.into_iter().map(free).collect::<Vec<_>>()),
        Tree::Table(items) => Value::from(free_table(items)),
    }
}

/// Is this a table that holds keys or parts?
fn is_section(path: &str) -> bool {
    KEYS.iter().any(|(section, _)| match section.split_once('.') {
        Some((kind, _)) => path == kind || path.strip_prefix(kind).is_some_and(is_part),
        None => !section.is_empty() && path == *section,
    })
}

/// A dot and the name of a part.
fn is_part(rest: &str) -> bool {
    rest.strip_prefix('.').is_some_and(|name| is_word(name) && !name.contains('.'))
}

fn keys_of(section: &str) -> Option<&'static [Key]> {
    let kind = section.split_once('.').map_or(section, |(kind, _)| kind);
    let named = |known: &str| known == section || known.strip_suffix(".*").is_some_and(|k| k == kind && k != section);
    KEYS.iter().find(|(known, _)| named(known)).map(|(_, keys)| *keys)
}

fn find(path: &str, place: &Place) -> Result<&'static Key> {
    let (section, name) = path.rsplit_once('.').unwrap_or(("", path));
    let section_ok = section.is_empty() || is_section(section);
    let found = keys_of(section).filter(|_| section_ok).and_then(|keys| keys.iter().find(|k| k.name == name));
    found.ok_or_else(|| Error::config(format!("{place}: there is no key `{path}`{}", advice(section, name))))
}

/// What the writer of an unknown key may have meant.
fn advice(section: &str, name: &str) -> String {
    let tables = KEYS.iter().map(|(known, _)| known.trim_end_matches(".*")).filter(|known| !known.is_empty());
    let here = keys_of(section).unwrap_or_default().iter().map(|k| k.name);
    let near = match section {
        "" => nearest(name, here.chain(tables).chain([APP])),
        _ => nearest(name, here),
    };
    if let Some(near) = near {
        let dot = if section.is_empty() { "" } else { "." };
        return format!("; did you mean `{section}{dot}{near}`?");
    }
    let has = |section: &str, name: &str| keys_of(section).is_some_and(|keys| keys.iter().any(|key| key.name == name));
    if let Some((section, name)) = name.split_once('-').filter(|(section, name)| has(section, name)) {
        return format!("; did you mean `{section}.{name}`, as a variable {}__{}?", upper(section), upper(name));
    }
    let elsewhere = KEYS.iter().find(|(_, keys)| keys.iter().any(|k| k.name == name));
    match elsewhere {
        Some((known, _)) => format!("; `{name}` belongs into {}", shown_section(known)),
        None => format!("; the program's own keys belong into [{APP}]"),
    }
}

/// As a part of the name of a variable.
fn upper(name: &str) -> String {
    name.to_uppercase().replace('-', "_")
}

fn shown_section(section: &str) -> String {
    if section.is_empty() { "the top of the file".to_owned() } else { format!("[{}]", section.replace('*', "NAME")) }
}

/// The table that belongs where another value was found.
fn shown(path: &str) -> String {
    let kind = path.split('.').next().unwrap_or(path);
    let single = kind == APP || KEYS.iter().any(|(section, _)| *section == kind);
    if single { kind.to_owned() } else { format!("{kind}.NAME") }
}

/// The value as the settings take it.
fn checked(form: Form, path: &str, value: Tree, place: &Place) -> Result<Value> {
    let secret = matches!(form, Form::Url | Form::Urls);
    let seen = if secret { String::new() } else { format!(" = {value}") };
    let wrong = |why: &str| Error::config(format!("{place}: `{path}`{seen}: {why}{}", form.accepts()));
    let fits = match (form, value) {
        (Form::Id, Tree::Text(text)) => is_id(&text).then(|| Value::from(text)),
        (Form::Word, Tree::Text(text)) => is_word(&text).then(|| Value::from(text)),
        (Form::Words, Tree::List(list)) => texts(list).filter(|all| all.iter().all(|t| is_word(t))).map(Value::from),
        (Form::Url, Tree::Text(text)) => {
            Url::parse(&text).map_err(|e| wrong(&format!("{}; ", e.text())))?;
            Some(Value::from(text))
        }
        (Form::Urls, Tree::List(list)) => {
            let urls = texts(list).ok_or_else(|| wrong(""))?;
            let bad = urls.iter().find_map(|url| Url::parse(url).err());
            bad.map_or(Ok(()), |e| Err(wrong(&format!("{}; ", e.text()))))?;
            Some(Value::from(urls))
        }
        (Form::Shards, Tree::Text(text)) => ShardCount::parse(&text).is_ok().then(|| Value::from(text)),
        (Form::Shards, Tree::Int(n)) => ShardCount::parse(&n.to_string()).is_ok().then(|| Value::from(n.to_string())),
        (Form::Count, Tree::Int(n)) => u32::try_from(n).ok().map(Value::from),
        (Form::Span, Tree::Text(text)) => units::duration(&text).is_ok().then(|| Value::from(text)),
        (Form::Switch, Tree::Switch(b)) => Some(Value::from(b)),
        (Form::Levels, Tree::Text(text)) => {
            LogLevels::parse(&text).map_err(|e| Error::config(format!("{place}: `{path}`{seen}: {}", e.text())))?;
            Some(Value::from(text))
        }
        (Form::Choice(words), Tree::Text(text)) => words.contains(&text.as_str()).then(|| Value::from(text)),
        _ => None,
    };
    fits.ok_or_else(|| wrong(""))
}

/// What a text stands for where a key of this form is expected.
fn untyped(form: Form, text: &str) -> Tree {
    let list = |parts: Vec<String>| Tree::List(parts.into_iter().map(Tree::Text).collect());
    match form {
        Form::Words => list(text.split(',').map(|part| part.trim().to_owned()).collect()),
        Form::Urls => list(urls(text)),
        Form::Count => text.parse().map_or_else(|_| Tree::Text(text.to_owned()), Tree::Int),
        Form::Switch => match text {
            "on" | "true" | "1" => Tree::Switch(true),
            "off" | "false" | "0" => Tree::Switch(false),
            _ => Tree::Text(text.to_owned()),
        },
        _ => Tree::Text(text.to_owned()),
    }
}

/// Splits at the commas that a new scheme follows: others separate the hosts of one URL.
fn urls(text: &str) -> Vec<String> {
    let mut all: Vec<String> = Vec::new();
    for part in text.split(',') {
        match all.last_mut() {
            Some(last) if !part.contains("://") => {
                last.push(',');
                last.push_str(part);
            }
            _ => all.push(part.trim().to_owned()),
        }
    }
    all
}

fn texts(list: Vec<Tree>) -> Option<Vec<String>> {
    let text = |tree| match tree {
        Tree::Text(text) => Some(text),
        _ => None,
    };
    list.into_iter().map(text).collect()
}

fn is_id(text: &str) -> bool {
    (1..=128).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic() && b != b'/')
}

fn is_word(text: &str) -> bool {
    (1..=64).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b))
}
