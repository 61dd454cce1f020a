//go:build !unix

package main

import (
	"errors"
	"fmt"
	"os/exec"
)

func freeze(int) error {
	return fmt.Errorf("freezing a process: %w", errors.ErrUnsupported)
}

func apart(*exec.Cmd) {}
