package remote_test

import (
	"errors"
	"log/slog"
	"math/rand/v2"
	"os"
	"slices"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/troupe-go/troupe/actor"
	"github.com/troupe-go/troupe/remote"
	"github.com/troupe-go/troupe/task"
)

// inFamily makes the pool of errands in n children. At the end of the test
// nothing of it may be left.
func inFamily(t *testing.T, n int, opts ...task.Option) *task.Task[errand, report] {
	t.Helper()
	before := goleak.IgnoreCurrent()
	sys := actor.NewSystem(actor.Logger(slog.New(slog.DiscardHandler)))
	far := errands.On(remote.Processes(n), append([]task.Option{task.System(sys), patient}, opts...)...)
	t.Cleanup(func() {
		far.Stop()
		if err := sys.Stop(soon(t.Context(), t)); err != nil {
			t.Error(err)
		}
		goleak.VerifyNone(t, before)
		if left := childrenOf(os.Getpid()); len(left) > 0 {
			t.Errorf("processes are left: %v", left)
		}
	})
	ready(t, far)
	return far
}

func TestChildrenThatAreKilledAtRandom(t *testing.T) {
	for name, c := range map[string]struct {
		seed       uint64
		idempotent bool
	}{
		"plain":      {seed: 1},
		"idempotent": {seed: 2, idempotent: true},
	} {
		t.Run(name, func(t *testing.T) {
			const calls, kills = 500, 10
			var opts []task.Option
			if c.idempotent {
				opts = append(opts, task.Idempotent())
			}
			far, log := inFamily(t, 4, opts...), newLedger(t)
			r := rand.New(rand.NewPCG(c.seed, 0))
			home := follow(t, far, errandsFrom(0, calls, errand{Log: string(log), Work: 2 * time.Millisecond}))
			dead := make(map[int]bool)
			for range kills {
				// Enough for one that is run again, which is the next, to end: the
				// loss of a second child would be the end of it.
				due := min(calls-kills, far.Stats().Finished+20+uint64(r.IntN(25)))
				until(t, "more errands", func() bool { return far.Stats().Finished >= due })
				if pid := victim(t, log, r, dead); pid != 0 {
					dead[pid] = true
				}
			}
			outcomes := home()
			ran, failed := log.read(t), 0
			for n, o := range outcomes {
				begun := ran[n].begun
				switch crash := (*task.CrashError)(nil); {
				case c.idempotent || o.err == nil:
					checkOutcome(t, n, o, false, "")
				case !errors.As(o.err, &crash) || crash.Signal != syscall.SIGKILL || o.times.Load() != 1:
					t.Errorf("errand %d ended %d times: %v", n, o.times.Load(), o.err)
				case len(begun) == 1 && !dead[begun[0]]: // without any it was the next to begin
					t.Errorf("errand %d, begun in %v, was lost, and only %v were killed", n, begun, dead)
				default:
					failed++
				}
				if len(begun) > 1 && (!c.idempotent || !dead[begun[0]] || len(begun) > 2) {
					t.Errorf("errand %d began in %v, killed were %v", n, begun, dead)
				}
			}
			t.Logf("%d children were killed, %d of %d errands lost", len(dead), failed, calls)
			if len(dead) < kills/2 || failed > len(dead) {
				t.Errorf("%d children were killed, %d errands lost: want one for each at most", len(dead), failed)
			}
		})
	}
}

// victim kills a child that is not at an errand which has cost one already, and
// returns its pid; 0 if there is none.
func victim(t *testing.T, log ledger, r *rand.Rand, dead map[int]bool) int {
	t.Helper()
	all := childrenOf(os.Getpid())
	slices.Sort(all)
	for _, run := range log.read(t) {
		if len(run.begun) > 1 && run.ended == 0 {
			all = slices.DeleteFunc(all, func(pid int) bool { return slices.Contains(run.begun, pid) })
		}
	}
	all = slices.DeleteFunc(all, func(pid int) bool { return dead[pid] })
	if len(all) == 0 {
		return 0
	}
	pid := all[r.IntN(len(all))]
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	return pid
}

func TestTheDeathOfAChildIsNoticedAtOnce(t *testing.T) {
	far, log := inFamily(t, 1), newLedger(t)
	var took []time.Duration
	for n := range 5 {
		g := newGate(t)
		home := follow(t, far, errandsFrom(n, 1, errand{Log: string(log), Gate: g.addr}))
		pid := g.gathers(t, 1)[n]
		began := time.Now()
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		o := home()[0]
		wantCrash(t, o.err, func(e *task.CrashError) bool { return e.Signal == syscall.SIGKILL })
		took = append(took, o.at.Sub(began))
	}
	slices.Sort(took)
	t.Logf("noticed after %v", took)
	if took[len(took)/2] > noticed {
		t.Errorf("noticed after %v", took)
	}
}
