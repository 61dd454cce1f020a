package actor_test

import (
	"context"
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/troupe-go/troupe/actor"
	"github.com/troupe-go/troupe/task"
)

// lived returns a System in which a good deal has happened and one call runs,
// and what ends that call. It must be called in a bubble.
func lived(t *testing.T, opts ...actor.SystemOption) (*actor.System, chan<- struct{}) {
	t.Helper()
	sys, open := newSystem(append(opts, actor.Name("mine"))...), make(chan struct{})
	work := task.MustNew(func(ctx context.Context, x int) (int, error) {
		switch {
		case x == 0:
			panic("zero")
		case x < 0:
			return 0, errOwn
		case x > 100:
			<-open
		}
		time.Sleep(time.Duration(x) * time.Millisecond)
		return x, nil
	}, task.System(sys), task.Name("jobs"), task.Workers(2), task.Queue(3))
	ctx := t.Context()
	for _, x := range []int{5, 6, -1, 0} {
		_, _ = work.Submit(ctx, x).Result()
	}
	timed := work.With(task.Timeout(time.Millisecond), task.Retries(task.RetryPolicy{Max: 1, Backoff: task.Constant(time.Second)}))
	_, _ = timed.Submit(ctx, 50).Result()
	synctest.Wait()
	time.Sleep(time.Second) // for what was timed out to return
	work.Submit(ctx, 101)
	work.Submit(ctx, 102)
	synctest.Wait()
	for range 3 {
		work.Submit(ctx, 1)
	}
	_, _ = work.TrySubmit(ctx, 1) // refused
	return sys, open
}

func TestSnapshotShowsATask(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sys, open := lived(t)
		snap := sys.Snapshot()
		equal(t, "system", snap.Name, "mine")
		equal(t, "address", snap.Address, "nonhost")
		equal(t, "time", snap.Time.Equal(time.Now()), true)
		equal(t, "tasks", len(snap.Tasks), 1)
		got := snap.Tasks[0]
		for what, ok := range map[string]bool{
			"made":      !got.Made.IsZero() && got.Made.Before(snap.Time),
			"wait":      got.Wait.P50 >= 0 && got.Wait.Max >= got.Wait.P50,
			"run":       got.Run.P50 > 0 && got.Run.Max >= 50*time.Millisecond,
			"two busy":  len(got.Members) == 2 && got.Members[0].State == actor.WorkerBusy && got.Members[1].State == actor.WorkerBusy,
			"call":      got.Members[0].Call+got.Members[1].Call == 6+7,
			"total":     got.Members[0].Total+got.Members[1].Total == 8,
			"name":      got.Members[1].Name == "worker-1",
			"pid":       got.Members[1].PID == "nonhost/task/jobs/worker-1",
			"one each":  got.Members[0].Active == 1 && got.Members[1].Active == 1,
			"no limits": snap.Limits != nil && len(snap.Limits) == 0,
			"no trees":  snap.Trees != nil && len(snap.Trees) == 0,
		} {
			if !ok {
				t.Errorf("%s: got %+v", what, got)
			}
		}
		got.Made, got.Wait, got.Run, got.Members = time.Time{}, actor.Quantiles{}, actor.Quantiles{}, nil
		want := actor.TaskSnapshot{
			Name: "jobs", Kind: actor.KindTask, State: actor.TaskRunning, PID: "nonhost/task/jobs",
			Balance: "Shared", Size: 2, QueueBound: 3, Workers: 2, Busy: 2, Queued: 3,
			Submitted: 10, Finished: 2, Failed: 1, Panicked: 1, TimedOut: 1, Retries: 1, Rejected: 1,
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("task:\n got %+v\nwant %+v", got, want)
		}
		close(open)
		stop(t, sys)
		equal(t, "tasks after Stop", len(sys.Snapshot().Tasks), 0)
	})
}

func TestSnapshotSurvivesJSON(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sys, open := lived(t)
		addUnits(sys)
		task.MustNew(sq, task.System(sys), task.OnDemand(), task.Name("unused"))
		for _, want := range []actor.Snapshot{sys.Snapshot(), newSystem().Snapshot()} {
			text, err := json.Marshal(want)
			if err != nil {
				t.Fatal(err)
			}
			var got actor.Snapshot
			if err := json.Unmarshal(text, &got); err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(got, want) {
				t.Errorf("after a round trip:\n got %+v\nwant %+v", got, want)
			}
			if strings.Contains(string(text), "null") {
				t.Errorf("JSON: got %s, want no null", text)
			}
		}
		close(open)
		stop(t, sys)
	})
}

// addUnits adds what other packages register.
func addUnits(sys *actor.System) {
	for _, d := range []any{
		actor.LimitsSnapshot{
			Name: "api", PID: "nonhost/limits/api", Config: map[string]string{"region": "eu"},
			Keys: []actor.LimitSnapshot{
				{Key: "calls", Kind: "calls", Algorithm: "TokenBucket", Capacity: 10, Available: 3, Used: 7, Waiting: 2,
					Granted: 70, Refused: 1, PausedUntil: time.Now().Round(0).UTC()},
				{Key: "slots", Kind: "resource", Capacity: 4},
			},
		},
		actor.TreeSnapshot{Name: "root", State: "running", Restarts: 2, LastError: "boom",
			Children: []actor.TreeSnapshot{{Name: "leaf", State: "restarting"}}},
		"something else",
		nil,
	} {
		(&fake{describe: d}).add(sys)
	}
}

func TestSnapshotSortsUnitsByWhatTheyAre(t *testing.T) {
	sys := newSystem()
	addUnits(sys)
	snap := sys.Snapshot()
	if len(snap.Tasks) != 0 || len(snap.Limits) != 1 || len(snap.Trees) != 1 {
		t.Fatalf("got %+v, want one set of limits and one tree", snap)
	}
	equal(t, "limits", snap.Limits[0].Keys[0].Used, 7)
	equal(t, "tree", snap.Trees[0].Children[0].Name, "leaf")
	stop(t, sys)
}

func TestSnapshotFollowsATasksLife(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sys := newSystem()
		open := make(chan struct{})
		work := task.MustNew(func(context.Context, int) (int, error) { <-open; return 0, nil },
			task.System(sys), task.Balance(task.RoundRobin), task.Workers(3), task.Name("life"))
		state := func() string {
			s := sys.Snapshot().Tasks[0]
			line := fmt.Sprintf("%s size=%d workers=%d busy=%d queued=%d", s.State, s.Size, s.Workers, s.Busy, s.Queued)
			for _, m := range s.Members {
				line += fmt.Sprintf(" %s/%d", m.State, m.Active)
			}
			return line
		}
		equal(t, "new", state(), "idle size=3 workers=0 busy=0 queued=0")
		if err := work.Ready(t.Context()); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		equal(t, "ready", state(), "running size=3 workers=3 busy=0 queued=0 idle/0 idle/0 idle/0")
		for range 5 {
			work.Submit(t.Context(), 1)
		}
		synctest.Wait()
		equal(t, "at work", state(), "running size=3 workers=3 busy=3 queued=2 busy/2 busy/2 busy/1")
		if err := work.Resize(2); err != nil {
			t.Fatal(err)
		}
		equal(t, "resized", state(), "running size=2 workers=3 busy=3 queued=2 busy/2 busy/2 stopping/1")
		drained := make(chan error)
		go func() { _, err := work.Drain(t.Context()); drained <- err }()
		synctest.Wait()
		equal(t, "draining", state(), "draining size=2 workers=3 busy=3 queued=2 busy/2 busy/2 stopping/1")
		close(open)
		equal(t, "Drain", <-drained, nil)
	})
}

func TestSnapshotMayBeTakenAtAnyTime(t *testing.T) {
	sys := newSystem()
	for range 20 {
		work := task.MustNew(sq, task.System(sys), task.Workers(2))
		race(
			func() { _, _ = work.Submit(context.Background(), 1).Result() },
			func() { _ = work.Resize(3) },
			func() { stop(t, sys) },
			func() {
				for range 20 {
					for _, s := range sys.Snapshot().Tasks {
						if s.Name == "" || s.State == "" || s.Members == nil {
							t.Errorf("got %+v", s)
						}
					}
				}
			},
		)
	}
}
