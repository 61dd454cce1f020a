package task_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/troupe-go/troupe/task"
)

func sq(_ context.Context, x int) (int, error) { return x * x, nil }

func TestSmoke(t *testing.T) {
	sqr := task.MustNew(sq, task.Workers(4))
	bg := context.Background()
	if v, err := sqr.Submit(bg, 10).Await(bg); v != 100 || err != nil {
		t.Fatal(v, err)
	}
	for i := range 100000 {
		if v, err := sqr.Call(bg, i); v != i*i || err != nil {
			t.Fatal(v, err)
		}
		if v, err := sqr.Submit(bg, i).Await(bg); v != i*i || err != nil {
			t.Fatal(v, err)
		}
	}
	var fs []*task.Future[int]
	for i := range 100000 {
		fs = append(fs, sqr.Submit(bg, i))
	}
	for i, f := range fs {
		if v, err := f.Await(bg); v != i*i || err != nil {
			t.Fatal(v, err)
		}
	}
	in := make([]int, 100000)
	for i := range in {
		in[i] = i
	}
	i := 0
	for v, err := range sqr.Map(bg, slices.Values(in)) {
		if v != i*i || err != nil {
			t.Fatal(i, v, err)
		}
		i++
	}
	if i != len(in) {
		t.Fatal(i)
	}
	out, err := sqr.MapSlice(bg, in)
	if err != nil {
		t.Fatal(err)
	}
	for i := range out {
		if out[i] != i*i {
			t.Fatal(i, out[i])
		}
	}
	t.Logf("%+v", sqr.Stats())
	t.Log(sqr.Stop(), sqr.Name())
	_, err = sqr.Call(bg, 1)
	if !errors.Is(err, task.ErrStopped) {
		t.Fatal(err)
	}
	time.Sleep(time.Millisecond)
}
