//! What a process gives up that asks a tenant and does nothing else: defence in depth around checks
//! that are made before.
//!
//! What the kernel cannot enforce is told and not hidden: the checks hold without it.

use serde::{Deserialize, Serialize};

/// One thing that was given up, or could not be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Given {
    /// `limits`, `files`, `ports` or `calls`.
    pub what: String,
    /// Whether the kernel enforces it from here on.
    pub is_enforced: bool,
}

impl Given {
    fn new(what: &str, is_enforced: bool) -> Self {
        Self {
            what: what.to_owned(),
            is_enforced,
        }
    }
}

/// Gives up, for good, all but reading what TLS and names need and connecting to these TCP ports.
/// To be called before there is a second thread.
#[must_use]
pub fn enter(ports: &[u16], max_seconds: u64) -> Vec<Given> {
    let mut given = vec![Given::new("limits", limits(max_seconds))];
    let (files, connections) = kernel::files_and_ports(ports);
    given.push(Given::new("files", files));
    given.push(Given::new("ports", connections));
    given.push(Given::new("calls", kernel::calls()));
    given
}

/// Time, memory, open files; nothing is written into a file.
#[cfg(unix)]
fn limits(max_seconds: u64) -> bool {
    use rlimit::Resource;
    const MEMORY: u64 = 4 << 30;
    let wanted = [
        (Resource::CPU, max_seconds),
        (Resource::AS, MEMORY),
        (Resource::NOFILE, 128),
        (Resource::FSIZE, 0),
        (Resource::CORE, 0),
    ];
    let set = wanted.map(|(resource, most)| resource.set(most, most).is_ok());
    set.iter().all(|set| *set)
}

#[cfg(not(unix))]
fn limits(_: u64) -> bool {
    false
}

#[cfg(target_os = "linux")]
mod kernel {
    use std::collections::BTreeMap;

    use landlock::{
        ABI, Access as _, AccessFs, AccessNet, CompatLevel, Compatible as _, NetPort, Ruleset,
        RulesetAttr as _, RulesetCreatedAttr as _, RulesetError, path_beneath_rules,
    };
    use seccompiler::{BpfProgram, SeccompAction, SeccompFilter};

    /// What TLS and the resolution of names read.
    const READ: [&str; 14] = [
        "/etc/ssl",
        "/etc/pki",
        "/etc/ca-certificates",
        "/usr/share/ca-certificates",
        "/usr/local/share/ca-certificates",
        "/etc/resolv.conf",
        "/etc/hosts",
        "/etc/host.conf",
        "/etc/nsswitch.conf",
        "/etc/gai.conf",
        "/run/systemd/resolve",
        "/usr/lib",
        "/lib",
        "/lib64",
    ];

    /// Whether files are given up, and whether ports are.
    pub(super) fn files_and_ports(ports: &[u16]) -> (bool, bool) {
        let has_ports = files(ports, true).is_ok();
        let has_files = has_ports || files(ports, false).is_ok();
        (has_files, has_ports)
    }

    fn files(ports: &[u16], with_ports: bool) -> Result<(), RulesetError> {
        let abi = ABI::V3;
        let mut rules = Ruleset::default().set_compatibility(CompatLevel::HardRequirement);
        rules = rules.handle_access(AccessFs::from_all(abi))?;
        if with_ports {
            rules = rules.handle_access(AccessNet::ConnectTcp | AccessNet::BindTcp)?;
        }
        let there: Vec<&str> = READ
            .into_iter()
            .filter(|path| std::fs::metadata(path).is_ok())
            .collect();
        let read = AccessFs::ReadFile | AccessFs::ReadDir;
        // A single file has no entries to read.
        let rules = rules.set_compatibility(CompatLevel::BestEffort);
        let mut created = rules.create()?.add_rules(path_beneath_rules(there, read))?;
        for port in ports.iter().filter(|_| with_ports) {
            created = created.add_rule(NetPort::new(*port, AccessNet::ConnectTcp))?;
        }
        created.restrict_self()?;
        Ok(())
    }

    /// Whether starting programs, listening and looking into other processes are given up.
    pub(super) fn calls() -> bool {
        const GIVEN_UP: [i64; 22] = [
            libc::SYS_execve,
            libc::SYS_execveat,
            libc::SYS_ptrace,
            libc::SYS_process_vm_readv,
            libc::SYS_process_vm_writev,
            libc::SYS_listen,
            libc::SYS_accept,
            libc::SYS_accept4,
            libc::SYS_mount,
            libc::SYS_umount2,
            libc::SYS_pivot_root,
            libc::SYS_chroot,
            libc::SYS_unshare,
            libc::SYS_setns,
            libc::SYS_bpf,
            libc::SYS_perf_event_open,
            libc::SYS_kexec_load,
            libc::SYS_init_module,
            libc::SYS_finit_module,
            libc::SYS_keyctl,
            libc::SYS_io_uring_setup,
            libc::SYS_userfaultfd,
        ];
        let rules: BTreeMap<i64, Vec<_>> = GIVEN_UP
            .into_iter()
            .map(|call| (call, Vec::new()))
            .collect();
        let denied = u32::try_from(libc::EPERM).unwrap_or(1);
        let Ok(arch) = std::env::consts::ARCH.try_into() else {
            return false;
        };
        let filter = SeccompFilter::new(
            rules,
            SeccompAction::Allow,
            SeccompAction::Errno(denied),
            arch,
        );
        let program = filter
            .ok()
            .and_then(|filter| BpfProgram::try_from(filter).ok());
        program.is_some_and(|program| seccompiler::apply_filter(&program).is_ok())
    }
}

#[cfg(not(target_os = "linux"))]
mod kernel {
    pub(super) fn files_and_ports(_: &[u16]) -> (bool, bool) {
        (false, false)
    }

    pub(super) fn calls() -> bool {
        false
    }
}
