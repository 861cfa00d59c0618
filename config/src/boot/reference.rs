//! The reference of all keys, made from the declarations.

use std::fmt::Write;

use due_core::boot::{KEYS, Key};

const HEAD: &str = "\
# What a program of due reads at start. Every key can be left out. Also as .yaml or .json.
#
# A key can be set in this file, over it by a variable (DUE_REGISTRY, DUE_NODE__GAME__WEIGHT),
# over that on the command line (--registry URL, --set node.game.weight=2).
";

const APP: &str = "
# The program's own keys.
# [app]
";

/// All keys as a `due.toml`, each with what it does and an example, which is the default where there is one.
pub fn reference() -> String {
    let mut text = HEAD.to_owned();
    for (section, keys) in KEYS {
        if !section.is_empty() {
            let kind = section.trim_end_matches(".*");
            let (name, what) = match kind {
                "gate" => ("gate.lobby", "The gate of this name."),
                "mesh" => ("mesh.dice", "The mesh of this name."),
                "node" => ("node.game", "The node of this name."),
                single => (single, "What is logged, and where to."),
            };
            let _ = write!(text, "\n# {what}\n# [{name}]\n");
        }
        keys.iter().for_each(|key| describe(key, &mut text));
    }
    text + APP
}

fn describe(key: &Key, text: &mut String) {
    text.push('\n');
    for line in key.docs {
        let _ = writeln!(text, "#{line}");
    }
    let _ = writeln!(text, "# {} = {}", key.name, key.example);
}
