package task_test

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/troupe-go/troupe/actor"
	"github.com/troupe-go/troupe/internal/place"
	"github.com/troupe-go/troupe/supervisor"
	"github.com/troupe-go/troupe/task"
)

// nowhere is a placement that never has room, and remembers what was placed.
type nowhere struct {
	jobs  []place.Job
	fault error
	place.Site
}

func (n *nowhere) String() string { return "nowhere" }
func (n *nowhere) Place(job place.Job) (place.Site, error) {
	n.jobs = append(n.jobs, job)
	return n, n.fault
}
func (n *nowhere) Start(place.Pool)                {}
func (n *nowhere) Stop()                           {}
func (n *nowhere) Ready(ctx context.Context) error { <-ctx.Done(); return context.Cause(ctx) }
func (n *nowhere) Missing() string                 { return "waiting for Godot" }
func (n *nowhere) Stats() []place.Stat             { return nil }
func (n *nowhere) Open(ctx context.Context) (place.Member, error) {
	<-ctx.Done()
	return nil, context.Cause(ctx)
}

func TestAPlacementThatDoesNotFitIsAnErrorOfNew(t *testing.T) {
	sys := newSystem()
	var none *nowhere
	for want, opts := range map[string][]task.Option{
		"On(nil)":         {task.Name("x"), task.On(nil)},
		"On(nil): ":       {task.Name("x"), task.On(none)},
		"Inline":          {task.Name("x"), task.On(&nowhere{}), task.Inline()},
		"want Name":       {task.On(&nowhere{})},
		"no such place":   {task.Name("x"), task.On(&nowhere{fault: errors.New("no such place")})},
		"Workers(0)":      {task.Name("x"), task.On(&nowhere{}), task.Workers(0)},
		"Concurrent":      {task.Name("x"), task.On(&nowhere{}), task.Concurrent(2)},
		"Balance":         {task.Name("x"), task.On(&nowhere{}), task.OnDemand(), task.Balance(task.RoundRobin)},
		"Queue(0)":        {task.Name("x"), task.On(&nowhere{}), task.Queue(0)},
		"Reject":          {task.Name("x"), task.On(&nowhere{}), task.Reject()},
		"Supervise":       {task.Name("x"), task.On(&nowhere{}), task.Supervise(supervisor.Policy{MaxRestarts: -2})},
		"the other side ": {task.On(&nowhere{})},
	} {
		_, err := task.New(func(_ context.Context, x int) (int, error) { return x, nil }, append(opts, task.System(sys))...)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q in it", err, want)
		}
	}
	if _, err := task.NewWorker(func(context.Context) (int, error) { return 0, nil }, task.System(sys), task.On(&nowhere{})); err == nil {
		t.Error("a worker without a name was placed")
	}
}

func TestATopLevelFunctionHasAName(t *testing.T) {
	at := &nowhere{}
	far := task.MustNew(sq, task.System(newSystem()), task.On(at))
	if want := "github.com/troupe-go/troupe/task_test.sq"; far.Name() != want || at.jobs[0].Name != want {
		t.Errorf("got %q, placed as %q", far.Name(), at.jobs[0].Name)
	}
}

func TestOnSharesTheNameAndIsStoppedOnItsOwn(t *testing.T) {
	sys := newSystem()
	local := task.MustNew(sq, task.Name("sq"), task.System(sys), task.Workers(3), task.Balance(task.Random))
	at := &nowhere{}
	far, farther := local.On(at), local.On(at, task.Workers(7), task.Idempotent(), task.Balance(task.LeastTotal))
	equal(t, "the name", far.Name(), "sq")
	equal(t, "the other name", farther.Name(), "sq")
	equal(t, "Workers", at.jobs[0].Workers, 0) // that of local was about local
	equal(t, "Balance", at.jobs[0].Balance, int(task.Shared))
	equal(t, "Workers", at.jobs[1].Workers, 7)
	equal(t, "Idempotent", at.jobs[1].Idempotent, true)
	equal(t, "Balance", at.jobs[1].Balance, int(task.LeastTotal))

	waits := far.Submit(context.Background(), 1)
	local.Stop()
	is(t, "local", failure(local.Submit(context.Background(), 1)), task.ErrStopped)
	if done(waits) {
		t.Error("a call far away ended with the pool here")
	}
	far.Stop()
	is(t, "far", failure(waits), task.ErrStopped)
	again := farther.Submit(context.Background(), 1)
	if done(again) {
		t.Error("a call of one pool ended with another")
	}
	farther.Stop()
	is(t, "farther", failure(again), task.ErrStopped)
}

func TestOnWithWrongOptionsIsTheErrorOfEveryCall(t *testing.T) {
	unnamed := task.MustNew(func(_ context.Context, x int) (int, error) { return x, nil }, task.System(newSystem()))
	named := task.MustNew(sq, task.Name("sq"), task.System(newSystem()))
	for want, far := range map[string]*task.Task[int, int]{
		"On(nil)":       named.On(nil),
		"Workers(0)":    named.On(&nowhere{}, task.Workers(0)),
		"no such place": named.On(&nowhere{fault: errors.New("no such place")}),
		"Priority":      named.On(&nowhere{}, task.Priority(func(string) int { return 0 })),
		"Until":         named.On(&nowhere{}).With(task.Until(func(string) error { return nil })),
		"Timeout":       named.On(&nowhere{}).With(task.Timeout(-1)),
		"name":          unnamed.On(&nowhere{}),
	} {
		for what, err := range map[string]error{
			"Submit": failure(far.Submit(context.Background(), 1)),
			"Call":   second(far.Call(context.Background(), 1)),
			"Map":    second(far.MapSlice(context.Background(), []int{1})),
		} {
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%s: %s: got %v", want, what, err)
			}
		}
	}
	equal(t, "a call of the task itself", result(t, named.Submit(context.Background(), 3)), 9)
	named.Stop()
	unnamed.Stop()
}

func second[T any](_ T, err error) error { return err }

func TestOnOfAWorker(t *testing.T) {
	sys := newSystem()
	local := task.MustNewWorker(func(context.Context) (io.Reader, error) { return nil, nil }, task.Name("w"), task.System(sys), task.Workers(3))
	at := &nowhere{}
	far := local.On(at, task.Workers(2))
	equal(t, "the name", far.Name(), "w")
	equal(t, "Workers", at.jobs[0].Workers, 2)
	equal(t, "Kind", at.jobs[0].Kind, place.KindWorker)
	ctx, cancel := context.WithCancelCause(context.Background())
	cancel(errCause)
	err := far.Ready(ctx)
	is(t, "Ready", err, errCause)
	if !strings.Contains(err.Error(), "waiting for Godot") {
		t.Errorf("Ready = %v", err)
	}
	wrong := local.On(at, task.Workers(0))
	if err := failure(task.Do(context.Background(), wrong, func(io.Reader, context.Context) (int, error) { return 0, nil })); err == nil || !strings.Contains(err.Error(), "Workers(0)") {
		t.Errorf("got %v", err)
	}
	far.Stop()
	local.Stop()
}

func TestAPlacedTaskTellsWhereItIs(t *testing.T) {
	sys := newSystem()
	local := task.MustNew(sq, task.Name("sq"), task.System(sys))
	far := local.On(&nowhere{})
	far.PID()
	var kinds []string
	for _, s := range sys.Snapshot().Tasks {
		kinds = append(kinds, s.Name)
	}
	if len(kinds) != 2 {
		t.Errorf("the snapshot has %v", kinds)
	}
	far.Stop()
	local.Stop()
	var _ *actor.PID = far.PID()
}
