//go:build unix

package main

import (
	"os/exec"
	"syscall"
)

// freeze stops a process as it is: it keeps its connections and says nothing.
func freeze(id int) error { return syscall.Kill(id, syscall.SIGSTOP) }

// apart gives a process a group of its own. When the one that has started it
// dies, that group is orphaned, and the system hangs up on those in it that are
// frozen: they could not see the end of their input.
func apart(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} }
