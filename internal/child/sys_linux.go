package child

import (
	"bytes"
	"os"
	"strconv"
	"syscall"
	"unsafe"
)

const watchesMemory = true

// dieWithParent makes the kernel kill the child when the thread that starts
// it ends.
func dieWithParent(attr *syscall.SysProcAttr) { attr.Pdeathsig = syscall.SIGKILL }

// runningImage is the program that this process runs, even if its file was
// replaced or deleted.
func runningImage() string { return "/proc/self/exe" }

func duplicate(from, to int) error { return syscall.Dup3(from, to, 0) }

// awaitEnd returns when the process has ended, and leaves it to be waited
// for: until then neither its PID nor its process group can belong to anybody
// else. It reports whether that is so.
func awaitEnd(pid int) bool {
	const pPID = 1     // P_PID
	var info [128]byte // siginfo_t
	options := uintptr(syscall.WEXITED | syscall.WNOWAIT)
	for {
		_, _, errno := syscall.Syscall6(syscall.SYS_WAITID, pPID, uintptr(pid),
			uintptr(unsafe.Pointer(&info)), options, 0, 0)
		if errno != syscall.EINTR {
			return errno == 0
		}
	}
}

// residentSet returns the bytes of memory that a process has in use, and
// false if that is unknown.
func residentSet(pid int) (int64, bool) {
	text, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/statm")
	if err != nil {
		return 0, false
	}
	fields := bytes.Fields(text)
	if len(fields) < 2 {
		return 0, false
	}
	pages, err := strconv.ParseInt(string(fields[1]), 10, 64)
	return pages * int64(os.Getpagesize()), err == nil
}
