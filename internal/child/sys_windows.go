package child

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"syscall"
)

// attach gives the two pipe ends to the child that cmd will start. A handle
// has the same value there. Making it inheritable leaks it to nobody else:
// Go names the handles that a process inherits one by one.
func attach(cmd *exec.Cmd, in, out *os.File) (inFD, outFD uintptr, err error) {
	for _, f := range []*os.File{in, out} {
		h := syscall.Handle(f.Fd())
		if err := syscall.SetHandleInformation(h, syscall.HANDLE_FLAG_INHERIT, syscall.HANDLE_FLAG_INHERIT); err != nil {
			return 0, 0, fmt.Errorf("child: SetHandleInformation: %w", err)
		}
		cmd.SysProcAttr.AdditionalInheritedHandles = append(cmd.SysProcAttr.AdditionalInheritedHandles, h)
	}
	return in.Fd(), out.Fd(), nil
}

// isolate keeps Ctrl-C in this program's console from the child.
func isolate(cmd *exec.Cmd, _ bool) {
	cmd.SysProcAttr = &syscall.SysProcAttr{CreationFlags: syscall.CREATE_NEW_PROCESS_GROUP}
}

func kill(p *os.Process) { _ = p.Kill() } // fails only if it has ended

func killGroup(int) {}

// endOf reads the exit status: a killed process ends with code 1.
func endOf(state *os.ProcessState) (signal os.Signal, code int, byKill bool) {
	return nil, state.ExitCode(), state.ExitCode() == 1
}

func closeOnExec(fd uintptr) {
	// Fails only if the handle is none, which its first use will tell.
	_ = syscall.SetHandleInformation(syscall.Handle(fd), syscall.HANDLE_FLAG_INHERIT, 0)
}

// takeStdin returns the pipe that is stdin, and leaves an empty os.Stdin
// behind.
func takeStdin() (*os.File, error) {
	null, err := os.Open(os.DevNull)
	if err != nil {
		return nil, fmt.Errorf("child: stdin: %w", err)
	}
	stdin := os.Stdin
	os.Stdin = null
	if stdin == nil {
		return nil, errors.New("child: there is no stdin")
	}
	return stdin, nil
}

// takeRest does nothing: a reader that was waiting has read all there was.
func takeRest(*os.File, []byte, func([]byte)) {}
