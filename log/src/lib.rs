//! Log set-up for programs on due: console, file, json.
