//! What is known about each key, from the very lines that declare it.

/// The form of a key's value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// The id of an instance.
    Id,
    /// A name of letters, digits, `.`, `_` and `-`.
    Word,
    /// A list of names.
    Words,
    /// The address of a backend.
    Url,
    /// A list of addresses.
    Urls,
    /// How many threads.
    Shards,
    /// A number of 0 or more.
    Count,
    /// A duration.
    Span,
    /// True or false.
    Switch,
    /// Levels of the log by target.
    Levels,
    /// One of these words.
    Choice(&'static [&'static str]),
}

impl Form {
    /// The accepted form, for whoever wrote another.
    pub fn accepts(self) -> String {
        match self {
            Self::Id => "write 1 to 128 printable characters without `/` and spaces, in quotes".to_owned(),
            Self::Word => "write a name of 1 to 64 letters, digits, `.`, `_` or `-`, in quotes".to_owned(),
            Self::Words => "write a list of names: [\"gate\", \"node\"]".to_owned(),
            Self::Url => "write a URL: \"scheme://host:port/path?key=value\"".to_owned(),
            Self::Urls => "write a list of URLs: [\"ws://0.0.0.0:3653\"]".to_owned(),
            Self::Shards => "write \"per-core\" or a number of 1 to 1024".to_owned(),
            Self::Count => "write a number of 0 or more, without quotes".to_owned(),
            Self::Span => "write a duration: \"250ms\", \"10s\", \"1m30s\" or \"off\"".to_owned(),
            Self::Switch => "write true or false, without quotes".to_owned(),
            Self::Levels => "write levels with commas between them, others than the first one for targets: \
                             \"info,due_cluster=debug\"; levels are off, error, warn, info, debug, trace"
                .to_owned(),
            Self::Choice(words) => format!("write one of {}", words.join(", ")),
        }
    }
}

/// What is known about a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Key {
    /// Its name in its section.
    pub name: &'static str,
    /// The form of its value.
    pub form: Form,
    /// An example as TOML; the default where there is one.
    pub example: &'static str,
    /// What it does, line by line.
    pub docs: &'static [&'static str],
}

/// All keys by section: `""`, `log`, `gate.*`, `node.*`, `mesh.*`, where `*` is the name of a part.
pub const KEYS: &[(&str, &[Key])] = &[
    ("", super::SETTINGS),
    ("log", super::LOG),
    ("gate.*", super::GATE),
    ("node.*", super::NODE),
    ("mesh.*", super::MESH),
];

/// Declares a struct of optional settings and the table of its keys in one place.
macro_rules! settings {
    (
        $(#[doc = $head:literal])*
        $name:ident : $keys:ident {
            $(
                $(#[doc = $doc:literal])*
                $(#[serde($($serde:tt)*)])?
                $field:ident $key:literal : $type:ty = $form:expr, $example:literal;
            )*
        } and { $($more:tt)* }
    ) => {
        $(#[doc = $head])*
        #[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
        #[serde(default, deny_unknown_fields)]
        pub struct $name {
            $(
                $(#[doc = $doc])*
                #[serde(rename = $key $(, $($serde)*)?)]
                pub $field: Option<$type>,
            )*
            $($more)*
        }

        const $keys: &[Key] = &[$(Key { name: $key, form: $form, example: $example, docs: &[$($doc),*] }),*];
    };
}
pub(crate) use settings;
