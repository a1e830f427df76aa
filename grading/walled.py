"""Gives its process limits and rules, and becomes a command: walled.py RULES COMMAND...

Seccomp takes away what no notebook needs: processes of its own, network, signals, memory that
counts as nobody's, the kernel's rarer doors. RULES is a JSON object, empty behind a wall of
namespaces; with "read", "list" and "write", Landlock leaves these paths open alone.
"""

import ctypes
import errno
import json
import os
import resource
import signal
import sys

FILE = 128 * 2**20  # bytes of one file: half of what all may have, so that its own cell fails
OPEN = 512  # files at a time
NO_MORE = """
    fork vfork socket bind listen connect sendto sendmsg kill pidfd_send_signal pidfd_open ptrace
    process_vm_readv process_vm_writev process_madvise kcmp add_key request_key keyctl bpf
    perf_event_open userfaultfd io_uring_setup io_uring_enter io_uring_register mount umount2
    pivot_root chroot setns unshare fsopen fsmount move_mount open_tree mount_setattr
    open_by_handle_at name_to_handle_at init_module finit_module delete_module kexec_load reboot
    swapon swapoff acct quotactl syslog memfd_create memfd_secret shmget
""".split()
END_WITH_PARENT = 1  # PR_SET_PDEATHSIG
THREAD = 0x10000  # of clone's flags
DEVICES = ["/dev/null", "/dev/zero", "/dev/urandom", "/dev/random"]
PROC = ["self", "cpuinfo", "meminfo", "stat", "filesystems", "version", "sys/vm", "sys/kernel"]


def main():
    """Limits this process and executes the command; never returns."""
    rules, command = json.loads(sys.argv[1]), sys.argv[2:]
    for what, most in (
        (resource.RLIMIT_FSIZE, FILE),
        (resource.RLIMIT_NOFILE, OPEN),
        (resource.RLIMIT_CORE, 0),
    ):
        resource.setrlimit(what, (most, most))
    ctypes.CDLL(None).prctl(END_WITH_PARENT, signal.SIGKILL)
    _close_doors()
    if rules:
        _leave_open(**rules)
    os.execv(command[0], command)


def _leave_open(read, list, write):
    """Restricts this process to reading some paths, listing some folders, writing below one."""
    from landlockpy import AccessFS, Ruleset, Scope, abi_version, fs_for_abi

    reading = AccessFS.READ_FILE | AccessFS.EXECUTE
    rights = {path: reading | AccessFS.READ_DIR for path in [*read, "/sys/devices/system/cpu"]}
    rights |= {f"/proc/{name}": reading | AccessFS.READ_DIR for name in PROC}
    rights |= dict.fromkeys(list, AccessFS.READ_DIR)
    rights |= dict.fromkeys(DEVICES, AccessFS.READ_FILE | AccessFS.WRITE_FILE)
    rights[write] = fs_for_abi(abi_version())
    with Ruleset(scoped=Scope.SIGNAL | Scope.ABSTRACT_UNIX_SOCKET) as ruleset:
        for path, right in rights.items():
            if os.path.exists(path):
                folder = os.path.isdir(path)
                ruleset.allow_path(path, right if folder else right & ~AccessFS.READ_DIR)
        ruleset.restrict()


def _close_doors():
    """Lets the kernel refuse what is not needed; threads may start, processes may not."""
    import pyseccomp

    refuse = pyseccomp.ERRNO(errno.EPERM)
    rules = pyseccomp.SyscallFilter(pyseccomp.ALLOW)
    for name in NO_MORE:
        rules.add_rule(refuse, name)
    rules.add_rule(refuse, "clone", pyseccomp.Arg(0, pyseccomp.MASKED_EQ, THREAD, 0))
    rules.add_rule(pyseccomp.ERRNO(errno.ENOSYS), "clone3")  # so that libc asks for clone
    rules.load()


if __name__ == "__main__":
    main()
