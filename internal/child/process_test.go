package child

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

func TestChildGetsItsBootstrapAndAnswers(t *testing.T) {
	t.Parallel()
	p, _ := started(t, "echo", Config{Bootstrap: []byte("a\x00secret\n")})
	if got, want := string(ready(t, p)), "a\x00secret\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if p.Err() != nil {
		t.Errorf("while it lives: %v", p.Err())
	}
	stop(t, p)
	if got, want := string(ready(t, p)), "a\x00secret\n"; got != want {
		t.Errorf("after the end: got %q, want %q", got, want)
	}
	if *p.exit != (ExitError{PID: p.pid, Reason: Stopped, Claimed: true, Ready: true}) {
		t.Errorf("got %+v", *p.exit)
	}
}

func TestBootstrapOfAMegabyte(t *testing.T) {
	t.Parallel()
	big := make([]byte, 1<<20)
	rand.Read(big)
	p, _ := started(t, "sum", Config{Bootstrap: big})
	if got, want := ready(t, p), sha256.Sum256(big); !bytes.Equal(got, want[:]) {
		t.Errorf("got %x, want %x", got, want)
	}
	stop(t, p)
}

func TestBootstrapNeedNotBeRead(t *testing.T) {
	t.Parallel()
	p, _ := started(t, "nobootstrap", Config{Bootstrap: make([]byte, 1<<20)})
	ready(t, p)
	stop(t, p)
}

func TestPrintsDoNotDisturbReady(t *testing.T) {
	t.Parallel()
	p, r := started(t, "noisy", Config{})
	if got, want := string(ready(t, p)), "quiet"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	stop(t, p)
	var out, stderr strings.Builder
	out.WriteString("begin")
	stderr.WriteString("! READY R\x00\x00\x00\x00")
	for i := range 1000 {
		fmt.Fprintln(&out, "noise", i)
		fmt.Fprintln(&stderr, "READY", i)
	}
	if got, want := r.text(Stdout), out.String(); got != want {
		t.Errorf("stdout: got %d bytes, want %d", len(got), len(want))
	}
	if got, want := r.text(Stderr), stderr.String(); got != want {
		t.Errorf("stderr: got %d bytes, want %d", len(got), len(want))
	}
	if got, want := p.exit.Stderr, stderr.String(); got != want[len(want)-maxTail:] {
		t.Errorf("tail of %d bytes is not the last of stderr", len(got))
	}
}

func TestReadyPayloadIsBounded(t *testing.T) {
	t.Parallel()
	p, r := started(t, "huge ready", Config{})
	if got, want := len(ready(t, p)), maxReady; got != want {
		t.Errorf("got %d bytes, want %d", got, want)
	}
	ended(t, p)
	if got := r.text(Stdout); !strings.Contains(got, "want at most") {
		t.Errorf("Ready with too much: %q", got)
	}
}

func TestRoleIsOneAndReadyIsOnce(t *testing.T) {
	t.Parallel()
	p, r := started(t, "twice", Config{})
	ready(t, p)
	ended(t, p)
	if got, want := r.text(Stdout), "child: Ready was called before\ntrue true\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestThisProcessIsNoChild(t *testing.T) {
	if c, ok := Role(); ok || c != nil {
		t.Errorf("Role: got %v, %v", c, ok)
	}
}

func TestArgumentsAreThoseOfTheParent(t *testing.T) {
	t.Parallel()
	p, _ := started(t, "flags", Config{})
	if got, want := string(ready(t, p)), strings.Join(os.Args, "\x00"); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestEnvAndDirReachTheChildAndTheMarkIsGone(t *testing.T) {
	t.Parallel()
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	p, _ := started(t, "getenv", Config{Env: []string{"CHILD_TEST_EXTRA=1", "CHILD_TEST_EXTRA=a=b"}, Dir: dir})
	if got, want := string(ready(t, p)), "a=b|"+dir+"|"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestStdinOfTheChildIsEmpty(t *testing.T) {
	t.Parallel()
	p, _ := started(t, "stdin", Config{})
	if got, want := string(ready(t, p)), "0 EOF"; got != want {
		t.Errorf("read: got %q, want %q", got, want)
	}
	stop(t, p)
}

func TestWaysToEnd(t *testing.T) {
	for _, test := range []struct {
		mode   string
		ready  bool
		want   ExitError
		stderr string // in the report
		text   string // in the error
	}{
		{"ready exit3", true, ExitError{ExitCode: 3}, "", "crashed: exit code 3"},
		{"ready exit0", true, ExitError{}, "", "crashed: exit code 0"},
		{"panic", true, ExitError{ExitCode: 2}, "goroutine 1", "exit code 2: panic: the sky falls"},
		{"overflow", true, ExitError{ExitCode: 2}, "fatal error: stack overflow\n...\n", ": fatal error: stack overflow"},
		{"map", true, ExitError{ExitCode: 2}, "fatal error: concurrent map writes", ": fatal error: concurrent map writes"},
		{"exit0", false, ExitError{}, "", "before it was ready: exit code 0"},
		{"exit3", false, ExitError{ExitCode: 3}, "", "before it was ready: exit code 3"},
		{"forgot", false, ExitError{Reason: MainMissing}, "", "remote.Main() must be the first line"},
		{"forgot fatal", false, ExitError{ExitCode: 1}, "address in use", "before it called remote.Main"},
		{"forgot start", false, ExitError{Reason: MainMissing}, "", "remote.Main() must be the first line"},
	} {
		t.Run(test.mode, func(t *testing.T) {
			t.Parallel()
			p, _ := started(t, test.mode, Config{})
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			_, err := p.Ready(ctx)
			if (err == nil) != test.ready {
				t.Fatalf("ready: %v", err)
			}
			got := ended(t, p)
			if !test.ready && !errors.Is(err, error(got)) {
				t.Errorf("ready: got %v, want %v", err, got)
			}
			if got.Reason != test.want.Reason || got.ExitCode != test.want.ExitCode && test.want.Reason == Crashed || got.Ready != test.ready ||
				got.Claimed == strings.HasPrefix(test.mode, "forgot") {
				t.Errorf("got %+v", got)
			}
			if errors.Is(p.Err(), ErrMainMissing) != (test.want.Reason == MainMissing) {
				t.Errorf("is it ErrMainMissing? %v", p.Err())
			}
			if !strings.Contains(got.Stderr, test.stderr) || len(got.Stderr) > maxTail {
				t.Errorf("stderr of %d bytes: %s", len(got.Stderr), got.Stderr)
			}
			if !strings.Contains(p.Err().Error(), test.text) {
				t.Errorf("got %q, want %q in it", p.Err(), test.text)
			}
			if err := p.Stop(ctx); err != nil {
				t.Errorf("Stop afterwards: %v", err)
			}
			p.Kill(Grace)
			if p.Err() != error(got) {
				t.Errorf("the reason changed to %v", p.Err())
			}
		})
	}
}

func TestNotReadyInTime(t *testing.T) {
	for mode, want := range map[string]Reason{"never": NotReady, "forgot hang": MainMissing} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			// Long enough for a child to claim its part on a busy machine,
			// which the first case needs.
			p, _ := started(t, mode, Config{ReadyTimeout: 3 * time.Second})
			if _, err := p.Ready(t.Context()); !errors.As(err, new(*ExitError)) {
				t.Errorf("ready: %v", err)
			}
			if got := ended(t, p); got.Reason != want || got.Claimed != (mode == "never") {
				t.Errorf("got %+v, want %v", got, want)
			}
		})
	}
}

// A program that forgot the line, and does not look at the error either.
func TestStartInAnUnclaimedChildIsRefused(t *testing.T) {
	t.Parallel()
	p, r := started(t, "forgot print", Config{ReadyTimeout: time.Hour})
	if got := ended(t, p); got.Reason != MainMissing {
		t.Errorf("got %+v", got)
	}
	// It may have been killed before it printed.
	if got := strings.TrimSpace(r.text(Stdout)); got != "" && got != ErrMainMissing.Error() {
		t.Errorf("Start said %q", got)
	}
}

// Somebody else has set the variable.
func TestForeignMarkIsNamed(t *testing.T) {
	t.Parallel()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), modeKey+"=foreign", markKey+"=yes")
	out, err := cmd.CombinedOutput()
	if want := `false child: the environment variable TROUPE_CHILD is "yes": it is reserved`; err != nil || string(out) != want {
		t.Errorf("got %q, %v, want %q", out, err, want)
	}
}

func TestChildrenOfChildrenEndSomewhere(t *testing.T) {
	t.Parallel()
	p, _ := started(t, "nest", Config{Bootstrap: []byte("1"), KillGrace: time.Minute})
	if got, want := string(ready(t, p)), fmt.Sprint(maxDepth, " child: this process is a child of a child, 4 deep: it may not have children"); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	stop(t, p)
}

func TestReadyAndWaitEndWithTheirContext(t *testing.T) {
	t.Parallel()
	p, _ := started(t, "never", Config{ReadyTimeout: time.Hour})
	cause := errors.New("enough")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(cause)
	if _, err := p.Ready(ctx); !errors.Is(err, cause) {
		t.Errorf("Ready: %v", err)
	}
	if err := p.Wait(ctx); !errors.Is(err, cause) || !strings.Contains(err.Error(), fmt.Sprint(p.PID())) {
		t.Errorf("Wait: %v", err)
	}
	if _, err := Start(ctx, Config{}); !errors.Is(err, cause) {
		t.Errorf("Start: %v", err)
	}
	// Stop goes on without its caller.
	if err := p.Stop(ctx); !errors.Is(err, cause) {
		t.Errorf("Stop: %v", err)
	}
	if got := ended(t, p); got.Reason != Stopped {
		t.Errorf("got %+v", got)
	}
	if _, err := p.Ready(t.Context()); err != error(p.exit) {
		t.Errorf("Ready after the end: %v", err)
	}
}

func TestStopBeforeTheChildHasClaimedItsPart(t *testing.T) {
	t.Parallel()
	p, _ := started(t, "forgot hang", Config{KillGrace: time.Hour, ReadyTimeout: time.Hour})
	if err := p.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := p.exit; got.Reason != Stopped || errors.Is(p.Err(), ErrMainMissing) || p.Err() == nil {
		t.Errorf("got %+v", got)
	}
}

func TestStopAndKillFromManyGoroutines(t *testing.T) {
	t.Parallel()
	for range 5 {
		p, _ := started(t, "work", Config{KillGrace: time.Hour})
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() {
				if err := p.Stop(t.Context()); err != nil {
					t.Error(err)
				}
			})
			wg.Go(func() { _, _ = p.Ready(t.Context()) })
		}
		wg.Go(func() { p.Kill(Recycle) })
		wg.Wait()
		if got := p.exit.Reason; got != Stopped && got != Recycle {
			t.Errorf("got %v", got)
		}
	}
}

func TestAllFaultsOfAConfig(t *testing.T) {
	_, err := Start(t.Context(), Config{
		Env:          []string{"ok=1", "none", "=x", markKey + "=1", "nul=\x00"},
		ReadyTimeout: -1,
		KillGrace:    -1,
		MemoryLimit:  -1,
	})
	for _, want := range []string{`"none"`, `"=x"`, markKey + " is reserved", `"nul=\x00"`, "ReadyTimeout", "KillGrace", "MemoryLimit"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not in %v", want, err)
		}
	}
}

func TestStartThatFailsLeavesNothing(t *testing.T) {
	_, err := Start(t.Context(), Config{Dir: filepath.Join(t.TempDir(), "none")})
	if !errors.Is(err, os.ErrNotExist) {
		t.Errorf("got %v", err)
	}
}

func TestOrphansOutliveTheirGrace(t *testing.T) {
	for grace, want := range map[time.Duration]time.Duration{
		time.Nanosecond: time.Second + 1, time.Hour: time.Hour + time.Second,
		math.MaxInt64: math.MaxInt64, math.MaxInt64 - time.Second: math.MaxInt64,
	} {
		if got := patienceAfter(grace); got != want {
			t.Errorf("after a grace of %v: got %v, want %v", grace, got, want)
		}
	}
}

// A grace of ever is one.
func TestAChildOfEndlessGraceEndsInOrder(t *testing.T) {
	t.Parallel()
	p, _ := started(t, "late words", Config{KillGrace: math.MaxInt64})
	ready(t, p)
	stop(t, p)
}

func TestManyChildrenAtOnce(t *testing.T) {
	const n = 20
	procs := make([]*Process, n)
	var wg sync.WaitGroup
	for i := range procs {
		p, _ := started(t, "echo", Config{Bootstrap: fmt.Append(nil, i), KillGrace: time.Minute, ReadyTimeout: time.Minute})
		procs[i] = p
		wg.Go(func() {
			if got, err := p.Ready(t.Context()); string(got) != fmt.Sprint(i) || err != nil {
				t.Errorf("child %d: got %q, %v", i, got, err)
			}
			if i%3 == 0 {
				p.Kill(Grace)
			}
			if err := p.Stop(t.Context()); err != nil {
				t.Error(err)
			}
			if got := p.exit.Reason; i%3 == 0 && got != Grace || i%3 != 0 && p.Err() != nil {
				t.Errorf("child %d: %v", i, p.Err())
			}
		})
	}
	wg.Wait()
}
