//go:build unix

package child

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"syscall"
)

// attach gives the two pipe ends to the child that cmd will start, and
// returns what their numbers will be there.
func attach(cmd *exec.Cmd, in, out *os.File) (inFD, outFD uintptr, err error) {
	cmd.ExtraFiles = []*os.File{in, out}
	return 3, 4, nil
}

// isolate puts the child into a process group of its own: what the terminal
// sends to this program's group, as Ctrl-C does, does not reach it, and what
// the child starts can be ended with it.
func isolate(cmd *exec.Cmd, dies bool) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if dies {
		dieWithParent(cmd.SysProcAttr)
	}
}

// kill ends a process that has not been waited for, and its group.
func kill(p *os.Process) {
	if p.Kill() == nil { // else it has ended, and its number may be anybody's
		killGroup(p.Pid)
	}
}

// killGroup fails only if nobody is left in the group.
func killGroup(pid int) { _ = syscall.Kill(-pid, syscall.SIGKILL) }

// endOf reads the exit status; byKill says that it is that of a killed one.
func endOf(state *os.ProcessState) (signal os.Signal, code int, byKill bool) {
	status, ok := state.Sys().(syscall.WaitStatus)
	if !ok || !status.Signaled() {
		return nil, state.ExitCode(), false
	}
	return status.Signal(), -1, status.Signal() == syscall.SIGKILL
}

func closeOnExec(fd uintptr) { syscall.CloseOnExec(int(fd)) }

// takeStdin returns the pipe that is stdin, and leaves an empty stdin behind,
// for this process and for whatever inherits it.
func takeStdin() (*os.File, error) {
	syscall.ForkLock.RLock()
	fd, err := syscall.Dup(0)
	if err == nil {
		syscall.CloseOnExec(fd)
	}
	syscall.ForkLock.RUnlock()
	if err != nil {
		return nil, fmt.Errorf("child: stdin: %w", err)
	}
	null, err := os.Open(os.DevNull)
	if err == nil {
		err = errors.Join(duplicate(int(null.Fd()), 0), null.Close())
	}
	if err == nil {
		err = syscall.SetNonblock(fd, true) // no thread need wait in it
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("child: stdin: %w", err), syscall.Close(fd))
	}
	return os.NewFile(uintptr(fd), "parent"), nil
}

// takeRest hands over what a pipe holds, without waiting for more.
func takeRest(f *os.File, buf []byte, write func([]byte)) {
	raw, err := f.SyscallConn()
	if err != nil {
		return
	}
	_ = raw.Read(func(fd uintptr) bool {
		// A pipe holds 1 MiB at most (what fs.pipe-max-size is by default):
		// somebody who goes on writing does not keep us here.
		for got := 0; got < 1<<20; {
			n, err := syscall.Read(int(fd), buf)
			if errors.Is(err, syscall.EINTR) {
				continue
			}
			if err != nil || n <= 0 {
				break
			}
			write(buf[:n])
			got += n
		}
		return true
	})
}
