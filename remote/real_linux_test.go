package remote_test

import "syscall"

// diesWithParent also ends a process that is frozen, which does not see the end
// of its stdin.
func diesWithParent() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
}
