package child

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestHogIsKilledAboveItsMemoryLimit(t *testing.T) {
	t.Parallel()
	const limit = 200 << 20
	p, _ := started(t, "hog", Config{MemoryLimit: limit})
	if got, want := string(ready(t, p)), fmt.Sprint(limit/10*9); got != want {
		t.Errorf("limit of the collector: got %s, want %s", got, want)
	}
	if got := ended(t, p); got.Reason != Memory || got.Signal != syscall.SIGKILL {
		t.Errorf("got %+v", got)
	}
	if got := p.Err().Error(); !strings.Contains(got, "memory limit") {
		t.Errorf("got %q", got)
	}
}

func TestCollectorLimitIsNotOverruled(t *testing.T) {
	t.Parallel()
	for env, want := range map[string]string{"GOMEMLIMIT=100GiB": fmt.Sprint(int64(100 << 30)), "OTHER=1": fmt.Sprint(900 << 20)} {
		p, _ := started(t, "hog", Config{
			MemoryLimit: 1000 << 20,
			Env:         []string{env},
			Bootstrap:   []byte("sit"),
			KillGrace:   time.Minute,
		})
		if got := string(ready(t, p)); got != want {
			t.Errorf("%s: got %s, want %s", env, got, want)
		}
		stop(t, p)
	}
}

func TestSuspendedChildIsStopped(t *testing.T) {
	t.Parallel()
	p, _ := started(t, "work", Config{KillGrace: 50 * time.Millisecond})
	ready(t, p)
	if err := syscall.Kill(p.PID(), syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	// The signal takes its time to reach all threads.
	until(t, "it is suspended", func() bool {
		stat, err := os.ReadFile(fmt.Sprint("/proc/", p.PID(), "/stat"))
		return err != nil || bytes.Contains(stat, []byte(") T "))
	})
	if err := p.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := p.exit; got.Reason != Grace || got.Signal != syscall.SIGKILL {
		t.Errorf("got %+v", got)
	}
}

// fifo makes the path that a child holds open for as long as it lives.
func fifo(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "alive")
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestChildDiesWithItsKilledParent has this process start a middle one, which
// starts a child and is killed.
func TestChildDiesWithItsKilledParent(t *testing.T) {
	for name, test := range map[string]struct {
		bootstrap string // of the middle one
		within    time.Duration
	}{
		// It ignores the end of stdin, and its grace is an hour: only the
		// kernel can have ended it.
		"by the kernel": {"silent", 5 * time.Second},
		// The kernel is not asked.
		"by the end of stdin":                 {"holding alone", 5 * time.Second},
		"by itself, though its main lives on": {"silent alone", 10 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := fifo(t)
			alive, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
			if err != nil {
				t.Fatal(err)
			}
			defer alive.Close()
			p, r := started(t, "middle", Config{
				Bootstrap: []byte(test.bootstrap),
				Env:       []string{"CHILD_TEST_FIFO=" + path},
			})
			grandchild := string(ready(t, p))
			if err := alive.SetReadDeadline(time.Now().Add(test.within)); err != nil {
				t.Fatal(err)
			}
			if err := syscall.Kill(p.PID(), syscall.SIGKILL); err != nil {
				t.Fatal(err)
			}
			begin := time.Now()
			if n, err := alive.Read(make([]byte, 1)); n != 0 || errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("process %s is still there: %d, %v; it says %q", grandchild, n, err, r.text(Stderr))
			}
			t.Logf("gone after %v", time.Since(begin))
			if got := ended(t, p); got.Signal != syscall.SIGKILL {
				t.Errorf("the middle: %+v", got)
			}
		})
	}
}

// The kernel takes the end of the thread that started a child for the death
// of the parent.
func TestChildOutlivesTheThreadThatCalledStart(t *testing.T) {
	var p *Process
	tid := make(chan int)
	var start func()
	start = func() {
		runtime.LockOSThread() // and ends with the goroutine
		if syscall.Gettid() == syscall.Getpid() {
			// The main thread does not end. Keep it, to get another one.
			defer runtime.UnlockOSThread()
			done := make(chan struct{})
			go func() { defer close(done); start() }()
			<-done
			return
		}
		p, _ = started(t, "work", Config{KillGrace: time.Minute})
		tid <- syscall.Gettid()
	}
	go start()
	thread := fmt.Sprint("/proc/self/task/", <-tid)
	until(t, "the thread ends", func() bool {
		_, err := os.Stat(thread)
		return err != nil
	})
	ready(t, p)
	stop(t, p)
}

// until waits for what nothing announces.
func until(t *testing.T, what string, is func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !is(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("in vain: %s", what)
		}
	}
}

func TestWhatTheChildHasStartedEndsWithIt(t *testing.T) {
	t.Parallel()
	p, r := started(t, "stayer", Config{})
	pid := string(ready(t, p))
	ended(t, p)
	// It has no parent that waits for it, but may be a zombie for a moment.
	until(t, "process "+pid+" ends", func() bool {
		stat, err := os.ReadFile("/proc/" + pid + "/stat")
		return err != nil || bytes.Contains(stat, []byte(") Z "))
	})
	if got := r.text(Stdout); got != "left\n" {
		t.Errorf("output: %q", got)
	}
}

func TestWhatTheChildExecutesInheritsNoPipe(t *testing.T) {
	t.Parallel()
	p, _ := started(t, "listing", Config{KillGrace: time.Minute})
	// What this process was given by its own parent goes through.
	want, err := exec.Command("ls", "/proc/self/fd").Output()
	if got, want := string(ready(t, p)), string(fmt.Append(want, err)); got != want {
		t.Errorf("open files: got %q, want %q", got, want)
	}
	stop(t, p)
}

func TestFileOfTheProgramMayBeDeleted(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "copy")
	if err := os.WriteFile(path, text, 0o700); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(path)
	cmd.Env = append(os.Environ(), modeKey+"=deleted")
	// Another thread may be about to execute something while it still holds
	// the copy open for writing: the kernel then says "text file busy".
	out, err := cmd.CombinedOutput()
	for errors.Is(err, syscall.ETXTBSY) {
		cmd = exec.Command(path)
		cmd.Env = append(os.Environ(), modeKey+"=deleted")
		out, err = cmd.CombinedOutput()
	}
	if want := "it may not have children <nil> <nil> <nil>"; err != nil || !strings.HasSuffix(string(out), want) {
		t.Errorf("got %q, %v, want %q at its end", out, err, want)
	}
}

func init() { modes["unwaited"] = unwaited }

// unwaited is no child: it lets the kernel wait for its children, and says how
// they ended and what is left of them.
func unwaited() {
	signal.Ignore(syscall.SIGCHLD)
	for range 3 {
		p, err := Start(context.Background(), Config{Env: []string{modeKey + "=ready exit3"}})
		if err != nil {
			fmt.Println(err)
			return
		}
		_ = p.Wait(context.Background())
		p.Kill(Recycle)
		fmt.Print(p.exit.Reason, " ", p.exit.ExitCode, "\n")
	}
	links, err := filepath.Glob("/proc/self/fd/*")
	for _, link := range links {
		if to, _ := os.Readlink(link); strings.Contains(to, "pidfd") {
			fmt.Println("left open:", to)
		}
	}
	fmt.Println(err)
}

func TestHowAnUnwaitedChildEndedIsUnknown(t *testing.T) {
	t.Parallel()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), modeKey+"=unwaited")
	out, err := cmd.Output()
	if want := strings.Repeat("crashed -1\n", 3) + "<nil>\n"; err != nil || string(out) != want {
		t.Errorf("got %q, %v, want %q", out, err, want)
	}
}

func files(t *testing.T) int {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(entries)
}

// zombies counts children of this process that nobody has waited for.
func zombies(t *testing.T) (n int) {
	t.Helper()
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range stats {
		stat, err := os.ReadFile(path)
		if err != nil {
			continue
		}
		fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
		if fields[0] == "Z" && fields[1] == strconv.Itoa(os.Getpid()) {
			n++
		}
	}
	return n
}

func TestNothingIsLeft(t *testing.T) {
	round := func() {
		var all []*Process
		for _, mode := range []string{"work", "exit3", "panic", "forgot", "never", "forgot start", "work"} {
			p, _ := started(t, mode, Config{
				Bootstrap:   make([]byte, 200<<10),
				MemoryLimit: 1 << 40,
				KillGrace:   time.Minute,
			})
			all = append(all, p)
		}
		for i, p := range all {
			if i%2 == 0 {
				p.Kill(Recycle)
			}
			if err := p.Stop(t.Context()); err != nil {
				t.Error(err)
			}
		}
		if _, err := Start(t.Context(), Config{Dir: "/none"}); err == nil {
			t.Error("started in a directory that is not there")
		}
	}
	round()
	files1, goroutines := files(t), runtime.NumGoroutine()
	for range 3 {
		round()
	}
	if got := files(t); got != files1 {
		t.Errorf("open files: got %d, want %d", got, files1)
	}
	// A goroutine counts for a moment after its last line.
	until(t, fmt.Sprint("no more than ", goroutines, " goroutines"), func() bool { return runtime.NumGoroutine() <= goroutines })
	if n := zombies(t); n != 0 {
		t.Errorf("%d zombies", n)
	}
	watching.mu.Lock()
	defer watching.mu.Unlock()
	if watching.timer != nil || len(watching.procs) != 0 || spawning.users != 0 {
		t.Errorf("memory watch %v %v, users of the spawner %d", watching.timer, watching.procs, spawning.users)
	}
}

func TestLossIsNoticedAtOnce(t *testing.T) {
	var took []time.Duration
	for range 5 {
		p, _ := started(t, "work", Config{})
		ready(t, p)
		begin := time.Now()
		if err := syscall.Kill(p.PID(), syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		<-p.Done()
		took = append(took, time.Since(begin))
	}
	slices.Sort(took) // the machine may be busy with something else
	if t.Logf("noticed after %v", took); took[2] > 100*time.Millisecond {
		t.Errorf("noticed after %v", took)
	}
}

func TestSpawnerKeepsOneThread(t *testing.T) {
	var s spawner
	threads := make(map[int]bool)
	s.acquire()
	for range 10 {
		s.acquire()
		if err := s.run(t.Context(), func() { threads[syscall.Gettid()] = true }); err != nil {
			t.Fatal(err)
		}
		s.release()
	}
	if len(threads) != 1 {
		t.Errorf("jobs ran on %d threads", len(threads))
	}
	ended := s.ended
	s.release()
	select {
	case <-ended:
	default:
		t.Error("its goroutine lives on")
	}
	s.acquire() // again
	defer s.release()
	busy, free := make(chan struct{}), make(chan struct{})
	go func() { _ = s.run(context.Background(), func() { close(busy); <-free }) }()
	<-busy
	cause := errors.New("enough")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(cause)
	if err := s.run(ctx, func() { t.Error("it ran") }); !errors.Is(err, cause) {
		t.Errorf("got %v", err)
	}
	close(free)
}
