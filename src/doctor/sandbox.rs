//! What the kernel can enforce around a process that executes calls.

use super::{Check, Verdict};

/// What this machine can enforce.
#[must_use]
pub fn sandbox() -> Vec<Check> {
    vec![files(), ports(), calls()]
}

const OLDER: &str =
    "what it would enforce is left to the checks of the program itself; a kernel from";

/// Whether a process can give up files.
fn files() -> Check {
    match kernel::files() {
        Some(abi) => Check::new(
            "sandbox files",
            Verdict::Ok,
            format!("Landlock keeps a process to the files that it needs (ABI {abi} or later)"),
        ),
        None => Check::new(
            "sandbox files",
            Verdict::Warning,
            "not enforced: this kernel has no Landlock",
        )
        .fix(format!(
            "{OLDER} 5.13 with `landlock` among its `lsm` enforces it"
        )),
    }
}

/// Whether a process can give up ports.
fn ports() -> Check {
    if kernel::ports() {
        return Check::new(
            "sandbox ports",
            Verdict::Ok,
            "Landlock keeps a process to the TCP ports that it needs",
        );
    }
    Check::new(
        "sandbox ports",
        Verdict::Warning,
        "not enforced: this kernel's Landlock knows no ports",
    )
    .fix(format!("{OLDER} 6.7 enforces it"))
}

/// Whether a process can give up system calls.
fn calls() -> Check {
    let actions = std::fs::read_to_string("/proc/sys/kernel/seccomp/actions_avail");
    if actions.is_ok_and(|actions| {
        actions
            .split_ascii_whitespace()
            .any(|action| action == "errno")
    }) {
        return Check::new(
            "sandbox calls",
            Verdict::Ok,
            "seccomp keeps a process to the system calls that it needs",
        );
    }
    Check::new(
        "sandbox calls",
        Verdict::Warning,
        "not enforced: this kernel does not say that it has seccomp filters",
    )
    .fix("what they would enforce is left to the checks of the program itself")
}

#[cfg(target_os = "linux")]
mod kernel {
    use landlock::{
        ABI, Access as _, AccessFs, AccessNet, CompatLevel, Compatible as _, Ruleset,
        RulesetAttr as _,
    };

    /// The latest version of Landlock's rights on files that is there. A set of rules is made, and
    /// nothing is restricted by it.
    pub(super) fn files() -> Option<i32> {
        let versions = [(ABI::V5, 5), (ABI::V3, 3), (ABI::V2, 2), (ABI::V1, 1)];
        let found = versions.into_iter().find(|(abi, _)| {
            let rules = Ruleset::default().set_compatibility(CompatLevel::HardRequirement);
            let handled = rules.handle_access(AccessFs::from_all(*abi));
            handled.and_then(Ruleset::create).is_ok()
        });
        found.map(|(_, number)| number)
    }

    pub(super) fn ports() -> bool {
        let rules = Ruleset::default().set_compatibility(CompatLevel::HardRequirement);
        let handled = rules.handle_access(AccessNet::ConnectTcp);
        handled.and_then(Ruleset::create).is_ok()
    }
}

#[cfg(not(target_os = "linux"))]
mod kernel {
    pub(super) fn files() -> Option<i32> {
        None
    }

    pub(super) fn ports() -> bool {
        false
    }
}
