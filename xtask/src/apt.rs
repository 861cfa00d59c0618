//! Debian packages.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Command,
};

use crate::command::{Outcome, answers, output, program, run};

/// Says whether a package may start its service when it is installed.
const POLICY: &str = "/usr/sbin/policy-rc.d";

/// Exit status 101 means no: the tests start servers of their own.
const NO: &str = "#!/bin/sh\nexit 101\n";

/// The command that installs them by hand.
pub(crate) fn by_hand(packages: &[&str]) -> String {
    format!("apt-get update && apt-get install -y --no-install-recommends {}", packages.join(" "))
}

/// Whether packages can be installed here; if not, the error says what to do by hand.
pub(crate) fn usable(packages: &[&str]) -> Outcome {
    let by_hand = by_hand(packages);
    if !answers("apt-get", "--version") {
        return Err(format!("there is no apt-get here: install the programs above by hand (on Debian: {by_hand})"));
    }
    if !output(program("id").arg("-u")).is_ok_and(|id| id.trim() == "0") {
        return Err(format!("only root may install packages: run `sudo sh -c '{by_hand}'`, then this again"));
    }
    Ok(())
}

pub(crate) fn update() -> Outcome {
    run(apt().arg("update"))
}

/// Installs packages; the services in them are not started.
pub(crate) fn install(packages: &[&str]) -> Outcome {
    let _quiet = Quiet::new(Path::new(POLICY))?;
    run(apt().args(["install", "-y", "--no-install-recommends"]).args(packages))
}

/// Asks nothing, and waits for another installation to end.
fn apt() -> Command {
    let mut apt = program("apt-get");
    apt.args(["-o", "DPkg::Lock::Timeout=120"]).env("DEBIAN_FRONTEND", "noninteractive");
    apt
}

/// While it lives, no installed service starts. A policy that is there already is left alone.
struct Quiet(Option<PathBuf>);

impl Quiet {
    fn new(policy: &Path) -> Outcome<Self> {
        if policy.exists() {
            return Ok(Self(None));
        }
        let written =
            fs::write(policy, NO).and_then(|()| fs::set_permissions(policy, fs::Permissions::from_mode(0o755)));
        written.map_err(|e| format!("cannot write {}: {e}", policy.display()))?;
        Ok(Self(Some(policy.to_owned())))
    }
}

impl Drop for Quiet {
    fn drop(&mut self) {
        if let Some(Err(e)) = self.0.take().map(fs::remove_file) {
            eprintln!("cannot remove {POLICY} ({e}): services will not start on this machine until you do");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn services_stay_quiet_for_the_time_of_an_installation() {
        let policy = std::env::temp_dir().join(format!("due-policy-{}", std::process::id()));
        let quiet = Quiet::new(&policy).unwrap();
        // Not started itself: the system refuses while a child of another test still has it open for writing.
        assert_eq!(Command::new("sh").arg(&policy).status().unwrap().code(), Some(101));
        assert_eq!(fs::metadata(&policy).unwrap().permissions().mode() & 0o777, 0o755);
        drop(Quiet::new(&policy).unwrap());
        assert!(policy.exists(), "one that was there stays");
        drop(quiet);
        assert!(!policy.exists());
    }
}
