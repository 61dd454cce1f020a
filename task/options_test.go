package task_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/troupe-go/troupe/actor"
	"github.com/troupe-go/troupe/supervisor"
	"github.com/troupe-go/troupe/task"
)

// wrongOptions holds a wrong value for every option that can have one, and
// words that its error must have.
var wrongOptions = []struct {
	opt  task.Option
	want []string
}{
	{task.Name(""), []string{"Name"}},
	{task.Workers(0), []string{"Workers(0)"}},
	{task.Workers(-3), []string{"Workers(-3)"}},
	{task.IdleTimeout(0), []string{"IdleTimeout(0s)"}},
	{task.IdleTimeout(-time.Second), []string{"IdleTimeout(-1s)"}},
	{task.Balance(-1), []string{"Balance(Balancing(-1))"}},
	{task.Balance(task.Random + 1), []string{"Balance(Balancing(5))"}},
	{task.Queue(0), []string{"Queue(0)"}},
	{task.Queue(-1), []string{"Queue(-1)"}},
	{task.StopGrace(-1), []string{"StopGrace(-1ns)"}},
	{task.Timeout(0), []string{"Timeout(0s)"}},
	{task.Timeout(-1), []string{"Timeout(-1ns)"}},
	{task.QueueTimeout(0), []string{"QueueTimeout(0s)"}},
	{task.QueueTimeout(-1), []string{"QueueTimeout(-1ns)"}},
	{task.Retries(task.RetryPolicy{Max: -1}), []string{"Retries", "Max", "-1"}},
	{task.Retries(task.RetryPolicy{MaxElapsed: -1}), []string{"Retries", "MaxElapsed", "-1ns"}},
	{task.Retries(task.RetryPolicy{Backoff: task.Constant(-1)}), []string{"Retries", "Backoff", "-1ns"}},
	{task.Retries(task.RetryPolicy{Backoff: task.Exponential(2, 1)}), []string{"Retries", "Backoff", "2ns", "1ns"}},
	{task.Retries(task.RetryPolicy{Backoff: task.Linear(2, 1)}), []string{"Retries", "Backoff"}},
	{task.Retries(task.RetryPolicy{Backoff: task.Fibonacci(-2, 1)}), []string{"Retries", "Backoff"}},
	{task.Until[int](nil), []string{"Until(nil)"}},
	{task.Priority[int](nil), []string{"Priority(nil)"}},
	{task.Supervise(supervisor.Policy{MaxRestarts: -2}), []string{"Supervise", "MaxRestarts", "-2"}},
	{task.System(nil), []string{"System(nil)"}},
	{nil, []string{"option 1 is nil"}},
}

func TestEveryWrongOptionIsAnErrorOfNewThatNamesIt(t *testing.T) {
	t.Parallel()
	for _, tt := range wrongOptions {
		t.Run(strings.Join(tt.want, " "), func(t *testing.T) {
			t.Parallel()
			got, err := task.New(sq, tt.opt)
			if err == nil || got != nil {
				t.Fatalf("got %v, %v, want no task and an error", got, err)
			}
			for _, word := range tt.want {
				if !strings.Contains(err.Error(), word) {
					t.Errorf("error %q does not name %q", err, word)
				}
			}
		})
	}
}

func TestFaultsOfAllOptionsAreJoined(t *testing.T) {
	t.Parallel()
	var opts []task.Option
	for _, tt := range wrongOptions {
		opts = append(opts, tt.opt)
	}
	var fn func(context.Context, int) (int, error)
	_, err := task.New(fn, append(opts, task.Reject())...)
	if err == nil {
		t.Fatal("got no error")
	}
	for _, tt := range wrongOptions[:len(wrongOptions)-1] {
		for _, word := range tt.want {
			if !strings.Contains(err.Error(), word) {
				t.Errorf("the joined error does not name %q", word)
			}
		}
	}
	for _, word := range []string{"nil function", fmt.Sprintf("option %d is nil", len(wrongOptions)), "Reject needs Queue"} {
		if !strings.Contains(err.Error(), word) {
			t.Errorf("the joined error does not say %q", word)
		}
	}
}

func TestOptionsThatConflictAreAnErrorOfNew(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		opts []task.Option
		want []string
	}{
		{[]task.Option{task.Inline(), task.OnDemand()}, []string{"Inline", "OnDemand"}},
		{[]task.Option{task.Inline(), task.Workers(2)}, []string{"Inline", "Workers(2)"}},
		{[]task.Option{task.Inline(), task.Queue(1)}, []string{"Inline", "Queue"}},
		{[]task.Option{task.Inline(), task.IdleTimeout(1)}, []string{"Inline", "IdleTimeout"}},
		{[]task.Option{task.Inline(), task.Balance(task.Shared)}, []string{"Inline", "Balance"}},
		{[]task.Option{task.Inline(), task.Balance(task.Random)}, []string{"Inline", "Balance"}},
		{[]task.Option{task.OnDemand(), task.IdleTimeout(1)}, []string{"OnDemand", "IdleTimeout"}},
		{[]task.Option{task.OnDemand(), task.Balance(task.RoundRobin)}, []string{"OnDemand", "Balance"}},
		{[]task.Option{task.Reject()}, []string{"Reject", "Queue"}},
	} {
		t.Run(strings.Join(tt.want, " "), func(t *testing.T) {
			t.Parallel()
			_, err := task.New(sq, tt.opts...)
			if err == nil {
				t.Fatal("got no error")
			}
			for _, word := range tt.want {
				if !strings.Contains(err.Error(), word) {
					t.Errorf("error %q does not name %q", err, word)
				}
			}
		})
	}
}

func TestOptionsAtTheEdgeOfTheirRangeAreTaken(t *testing.T) {
	t.Parallel()
	for name, opts := range map[string][]task.Option{
		"smallest":     {task.Workers(1), task.Queue(1), task.Reject(), task.StopGrace(0), task.IdleTimeout(1), task.Timeout(1), task.QueueTimeout(1), task.Idempotent()},
		"no retry":     {task.Retries(task.RetryPolicy{})},
		"no delay":     {task.Retries(task.RetryPolicy{Backoff: task.Constant(0)})},
		"level delays": {task.Retries(task.RetryPolicy{Backoff: task.Exponential(1, 1)})},
		"inline alone": {task.Inline(), task.Workers(1)},
		"on demand":    {task.OnDemand(), task.Workers(2), task.Queue(1), task.Reject()},
		"last wins":    {task.Workers(3), task.Workers(2)},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p, err := task.New(sq, opts...)
			if err != nil {
				t.Fatal(err)
			}
			p.Stop()
		})
	}
}

func TestOptionTypedForAnotherTaskIsAnErrorOfNew(t *testing.T) {
	t.Parallel()
	for name, opt := range map[string]task.Option{
		"Priority": task.Priority(func(string) int { return 0 }),
		"Until":    task.Until(func(string) error { return nil }),
	} {
		_, err := task.New(sq, opt)
		if err == nil || !strings.Contains(err.Error(), name) || !strings.Contains(err.Error(), "string") {
			t.Errorf("%s of strings on a task of ints: got error %v, want one that names it and the type", name, err)
		}
	}
}

func TestOneWrongOptionMakesNoTaskAtAll(t *testing.T) {
	t.Parallel()
	sys := newSystem()
	name := task.Name("one wrong option")
	if _, err := task.New(sq, name, task.Workers(0), task.System(sys)); err == nil {
		t.Fatal("got no error")
	}
	p, err := task.New(sq, name, task.System(sys))
	if err != nil {
		t.Fatalf("the name is not free after a failed New: %v", err)
	}
	p.Stop()
}

func TestNilFunctionIsAnErrorOfNew(t *testing.T) {
	t.Parallel()
	for name, fn := range map[string]func(context.Context, int) (int, error){
		"function": nil,
		"Func":     task.Func[int, int](nil),
		"FuncErr":  task.FuncErr[int, int](nil),
	} {
		if _, err := task.New(fn); err == nil || !strings.Contains(err.Error(), "nil function") {
			t.Errorf("nil %s: got error %v", name, err)
		}
	}
	if _, err := task.New(task.Action[int](nil)); err == nil {
		t.Error("nil Action: got no error")
	}
}

func TestAdaptersRunTheFunctionTheyAreGiven(t *testing.T) {
	t.Parallel()
	bg := context.Background()
	double := task.MustNew(task.Func(func(x int) int { return 2 * x }))
	defer double.Stop()
	if v, err := double.Call(bg, 4); v != 8 || err != nil {
		t.Errorf("Func: got %v, %v, want 8", v, err)
	}
	fails := task.MustNew(task.FuncErr(func(x int) (int, error) { return x, errBoom }))
	defer fails.Stop()
	_, err := fails.Call(bg, 4)
	equal(t, "FuncErr", err, errBoom)
	act := task.MustNew(task.Action(func(ctx context.Context, _ int) error { return errBoom }))
	defer act.Stop()
	v, err := act.Call(bg, 4)
	equal(t, "Action", err, errBoom)
	equal(t, "Action", v, struct{}{})
}

func TestMustNewPanicsWhereNewFails(t *testing.T) {
	t.Parallel()
	defer func() {
		err, _ := recover().(error)
		if err == nil || !strings.Contains(err.Error(), "Workers(0)") {
			t.Errorf("got panic %v, want the error of New", err)
		}
	}()
	task.MustNew(sq, task.Workers(0))
}

func TestNilContextIsAnErrorEverywhere(t *testing.T) {
	t.Parallel()
	p := task.MustNew(sq)
	defer p.Stop()
	var none context.Context
	_, tried := p.TrySubmit(none, 1)
	if !tried {
		t.Error("TrySubmit with a nil ctx reports a full queue")
	}
	f, _ := p.TrySubmit(none, 1)
	_, called := p.Call(none, 1)
	_, drained := p.Drain(none)
	_, awaited := p.Submit(context.Background(), 1).Await(none)
	_, sliced := p.MapSlice(none, []int{1})
	for what, err := range map[string]error{
		"Submit":       failure(p.Submit(none, 1)),
		"TrySubmit":    failure(f),
		"SubmitFuture": failure(p.SubmitFuture(none, actor.Completed(1, nil))),
		"Call":         called,
		"Ready":        p.Ready(none),
		"Drain":        drained,
		"Await":        awaited,
		"MapSlice":     sliced,
	} {
		if err == nil || !strings.Contains(err.Error(), "nil context") {
			t.Errorf("%s: got error %v, want one about the nil context", what, err)
		}
	}
	if got := task.Info(none); got != (task.CallInfo{}) {
		t.Errorf("Info: got %v, want nothing", got)
	}
	if v, err := p.Call(context.Background(), 3); v != 9 || err != nil {
		t.Errorf("a good call after the bad ones: got %v, %v", v, err)
	}
}

func TestNilFutureIsTheErrorOfSubmitFuture(t *testing.T) {
	t.Parallel()
	p := task.MustNew(sq)
	defer p.Stop()
	err := failure(p.SubmitFuture(context.Background(), nil))
	if err == nil || !strings.Contains(err.Error(), "nil future") {
		t.Errorf("got error %v, want one about the nil future", err)
	}
}

func TestWrongSettingOfAViewIsTheErrorOfEachOfItsCalls(t *testing.T) {
	t.Parallel()
	p := task.MustNew(sq)
	defer p.Stop()
	bg := context.Background()
	bad := p.With(task.Timeout(-1), nil, task.Until(func(string) error { return nil }))
	f, ok := bad.TrySubmit(bg, 1)
	if !ok {
		t.Fatal("TrySubmit reports a full queue")
	}
	_, called := bad.Call(bg, 1)
	_, sliced := bad.MapSlice(bg, []int{1})
	for what, err := range map[string]error{
		"Submit":         failure(bad.Submit(bg, 1)),
		"TrySubmit":      failure(f),
		"Call":           called,
		"MapSlice":       sliced,
		"SubmitFuture":   failure(bad.SubmitFuture(bg, actor.Completed(1, nil))),
		"a further With": failure(bad.With(task.Timeout(time.Second)).Submit(bg, 1)),
	} {
		for _, word := range []string{"Timeout(-1ns)", "option 2 is nil", "Until"} {
			if err == nil || !strings.Contains(err.Error(), word) {
				t.Errorf("%s: got error %v, want one that names %q", what, err, word)
			}
		}
	}
	if v, err := p.Call(bg, 3); v != 9 || err != nil {
		t.Errorf("the task itself: got %v, %v, want 9", v, err)
	}
	equal(t, "Submitted", p.Stats().Submitted, 1)
}

func TestViewIsOnTheSamePool(t *testing.T) {
	t.Parallel()
	p := task.MustNew(sq)
	view := p.With(task.Timeout(time.Minute))
	if v, err := view.Call(context.Background(), 3); v != 9 || err != nil {
		t.Fatalf("got %v, %v, want 9", v, err)
	}
	equal(t, "name", view.Name(), p.Name())
	equal(t, "Submitted of the task", p.Stats().Submitted, 1)
	view.Stop()
	is(t, "call after Stop of the view", failure(p.Submit(context.Background(), 1)), task.ErrStopped)
}

func TestNameIsUniqueInItsSystemWhileTheTaskLives(t *testing.T) {
	t.Parallel()
	one, other := newSystem(), newSystem()
	a, err := task.New(sq, task.Name("adder"), task.System(one))
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "name", a.Name(), "adder")
	if b, err := task.New(sq, task.Name("adder"), task.System(one)); err == nil || b != nil || !strings.Contains(err.Error(), `Name("adder")`) {
		t.Errorf("second of that name: got %v, %v, want an error that names it", b, err)
	}
	elsewhere, err := task.New(sq, task.Name("adder"), task.System(other))
	if err != nil {
		t.Errorf("in another system: got error %v", err)
	}
	elsewhere.Stop()
	if v, err := a.Call(context.Background(), 2); v != 4 || err != nil {
		t.Errorf("got %v, %v, want 4", v, err)
	}
	a.Stop()
	again, err := task.New(sq, task.Name("adder"), task.System(one))
	if err != nil {
		t.Fatalf("after Stop: got error %v", err)
	}
	if v, err := again.Call(context.Background(), 3); v != 9 || err != nil {
		t.Errorf("under the name used again: got %v, %v, want 9", v, err)
	}
	again.Stop()
}

type counter struct{}

func (counter) add(_ context.Context, x int) (int, error) { return x + 1, nil }

func generic[T any](_ context.Context, x T) (T, error) { return x, nil }

func TestDefaultNameIsTheSymbolOfATopLevelFunction(t *testing.T) {
	t.Parallel()
	sys := newSystem()
	open := func(fn func(context.Context, int) (int, error)) string {
		p := task.MustNew(fn, task.System(sys))
		t.Cleanup(func() { p.Stop() })
		return p.Name()
	}
	symbol := "github.com/troupe-go/troupe/task_test.sq"
	local := func(_ context.Context, x int) (int, error) { return x, nil }
	equal(t, "top-level function", open(sq), symbol)
	equal(t, "the same again", open(sq), symbol+"-2")
	equal(t, "and again", open(sq), symbol+"-3")
	equal(t, "function literal", open(local), "task-1")
	equal(t, "function literal again", open(local), "task-2")
	equal(t, "method value", open(counter{}.add), "task-3")
	equal(t, "generic function", open(generic[int]), "task-4")
	equal(t, "adapter", open(task.Func(func(x int) int { return x })), "task-5")
	equal(t, "literal at package level", open(packageLevel), "task-6")
}

var packageLevel = func(_ context.Context, x int) (int, error) { return x, nil }

func TestDefaultNameAvoidsTakenOnes(t *testing.T) {
	t.Parallel()
	sys := newSystem()
	taken := task.MustNew(sq, task.Name("task-1"), task.System(sys))
	defer taken.Stop()
	p := task.MustNew(func(context.Context, int) (int, error) { return 0, nil }, task.System(sys))
	defer p.Stop()
	if p.Name() == "task-1" {
		t.Errorf("two tasks are named %q", p.Name())
	}
	if v, err := p.Call(context.Background(), 1); v != 0 || err != nil {
		t.Errorf("got %v, %v", v, err)
	}
}

// Not parallel: it counts goroutines and memory.
func TestNewCostsNoGoroutineAndNoActorSystem(t *testing.T) {
	var before, after runtime.MemStats
	goroutines := runtime.NumGoroutine()
	runtime.ReadMemStats(&before)
	sys := newSystem()
	p := task.MustNew(sq, task.Workers(1000), task.Balance(task.RoundRobin), task.System(sys), task.IdleTimeout(time.Hour))
	view := p.With(task.Timeout(time.Hour))
	runtime.ReadMemStats(&after)
	if got := runtime.NumGoroutine(); got > goroutines {
		t.Errorf("%d goroutines more after New", got-goroutines)
	}
	// An ActorSystem alone has megabytes.
	if got := after.TotalAlloc - before.TotalAlloc; got > 100_000 {
		t.Errorf("New allocated %d bytes, want none of an actor system", got)
	}
	equal(t, "workers", view.Stats().Workers, 0)
	equal(t, "report of a task never used", p.Stop(), task.Report{})
	equal(t, "report of a task never used, again", view.Stop(), task.Report{})
}

func TestStringsOfTheEnums(t *testing.T) {
	t.Parallel()
	for want, v := range map[string]fmt.Stringer{
		"Shared": task.Shared, "RoundRobin": task.RoundRobin, "LeastActive": task.LeastActive,
		"LeastTotal": task.LeastTotal, "Random": task.Random, "Balancing(9)": task.Balancing(9),
		"QueueWait": task.QueueWait, "AttemptRun": task.AttemptRun, "TimeoutKind(9)": task.TimeoutKind(9),
	} {
		equal(t, "String", v.String(), want)
	}
}

func TestSentinelsAreDistinct(t *testing.T) {
	t.Parallel()
	all := []error{task.ErrPanicked, task.ErrStopped, task.ErrQueueFull, task.ErrWouldDeadlock, task.ErrGoexit, task.ErrFailed}
	for i, a := range all {
		for j, b := range all {
			if i != j && errors.Is(a, b) {
				t.Errorf("%v is %v", a, b)
			}
		}
	}
	equal(t, "ErrFailed", task.ErrFailed, supervisor.ErrFailed)
}
