//go:build unix && !linux

package child

import "syscall"

func dieWithParent(*syscall.SysProcAttr) {}

func duplicate(from, to int) error { return syscall.Dup2(from, to) }
