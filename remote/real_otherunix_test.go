//go:build unix && !linux

package remote_test

import "syscall"

// diesWithParent leaves it to the end of stdin.
func diesWithParent() *syscall.SysProcAttr { return nil }
