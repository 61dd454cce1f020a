package remote_test

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/troupe-go/troupe/remote"
)

func init() {
	deeds["hold"] = func(_ context.Context, o order) (string, error) {
		f, err := os.OpenFile(o.Arg, os.O_WRONLY, 0)
		if err == nil {
			kept = append(kept, f)
		}
		return "", err
	}
	otherLives["parent"] = func() int {
		far := deed.On(remote.Processes(2))
		fifo := os.Getenv("REMOTE_TEST_FIFO")
		for i := range 2 { // each child holds the pipe open, and is then busy
			far.Submit(context.Background(), order{Do: "hold and spin", N: i, Arg: fifo})
		}
		select {}
	}
	deeds["hold and spin"] = func(ctx context.Context, o order) (string, error) {
		if _, err := deeds["hold"](ctx, o); err != nil {
			return "", err
		}
		if _, err := fmt.Fprintln(kept[0], "held"); err != nil {
			return "", err
		}
		return deeds["spin"](ctx, o)
	}
}

var kept []*os.File

// pipe makes a FIFO and returns what reads it: its end comes when no process
// holds the other side any more.
func fifo(t *testing.T) (path string, r *bufio.Reader) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "fifo")
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return path, bufio.NewReader(f)
}

func TestChildrenDieWithAParentThatIsKilled(t *testing.T) {
	t.Parallel()
	path, r := fifo(t)
	own, err := os.OpenFile(path, os.O_WRONLY, 0) // keeps the end from coming before they are there
	if err != nil {
		t.Fatal(err)
	}
	defer own.Close()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), otherLife+"=parent", "REMOTE_TEST_FIFO="+path)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if _, err := r.ReadString('\n'); err != nil {
			t.Fatal(err)
		}
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	own.Close()
	if text, err := r.ReadString('\n'); err == nil {
		t.Errorf("there is more: %q", text)
	} // else the end: nobody holds it
}

func TestStopLeavesNoProcessAndNoThread(t *testing.T) {
	out, _ := run(t, "stops")
	if !strings.Contains(out, "nothing is left") {
		t.Errorf("it says\n%s", out)
	}
}

func init() {
	// A process of its own, since other tests have children, too.
	otherLives["stops"] = func() int {
		var before int
		for round := range 4 {
			far := deed.On(remote.Processes(3))
			if err := far.Ready(context.Background()); err != nil {
				fmt.Println(err)
				return 1
			}
			far.Stop()
			if left := childrenOf(os.Getpid()); len(left) > 0 {
				fmt.Println("processes are left:", left)
				return 1
			}
			if round == 1 {
				before = threads()
			}
		}
		if now := threads(); now > before+2 { // the runtime keeps what it has once needed
			fmt.Println("threads:", before, now)
			return 1
		}
		fmt.Println("nothing is left")
		return 0
	}
}

func threads() int {
	entries, err := os.ReadDir("/proc/self/task")
	if err != nil {
		panic(err)
	}
	return len(entries)
}

// childrenOf finds the processes, dead ones included, whose parent is pid.
func childrenOf(pid int) (found []int) {
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		panic(err)
	}
	for _, path := range stats {
		text, err := os.ReadFile(path)
		if err != nil {
			continue // it has ended meanwhile
		}
		_, rest, _ := strings.Cut(string(text), ") ")
		fields := strings.Fields(rest)
		if len(fields) > 1 && fields[1] == strconv.Itoa(pid) {
			id, _ := strconv.Atoi(filepath.Base(filepath.Dir(path)))
			found = append(found, id)
		}
	}
	return found
}
