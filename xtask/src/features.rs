//! Every feature must build alone: what compiles only beside another feature breaks a user's build.

use serde_json::Value;

use crate::command::{Outcome, cargo, cargo_once, output, shown, told};

/// Packages whose features applications choose. The features of other crates are reached through these.
const CHOSEN: [&str; 2] = ["due", "due-sdk"];

/// Checks each of [`CHOSEN`] and all below it with no feature, the default, and each feature alone (`full` is one).
pub(crate) fn each() -> Outcome {
    let metadata = output(cargo().args(["metadata", "--no-deps", "--format-version", "1"]))?;
    let metadata: Value = serde_json::from_str(&metadata).map_err(|e| format!("cargo metadata: {e}"))?;
    for package in CHOSEN {
        check(package, &[])?;
        check(package, &["--no-default-features"])?;
        for feature in features(&metadata, package)? {
            check(package, &["--no-default-features", "--features", &feature])?;
        }
    }
    Ok(())
}

fn features(metadata: &Value, package: &str) -> Outcome<Vec<String>> {
    let packages = metadata["packages"].as_array().map_or(&[][..], Vec::as_slice);
    let found = packages.iter().find(|p| p["name"] == package).ok_or(format!("no package {package}"))?;
    let features = found["features"].as_object().into_iter().flatten();
    Ok(features.map(|(name, _)| name.clone()).filter(|name| name != "default").collect())
}

/// The compiler's own warnings: what clippy knows besides does not depend on features, and costs twice the time.
fn check(package: &str, features: &[&str]) -> Outcome {
    let mut check = cargo_once();
    check.args(["check", "--quiet", "--package", package]).args(features);
    match told(&mut check)? {
        told if told.is_empty() => Ok(()),
        told => Err(format!("`{}` warns:\n{told}", shown(&check))),
    }
}
