package remote_test

import (
	"bytes"
	"context"
	"encoding/json"
	"reflect"
	"strings"
	"testing"

	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/troupe-go/troupe/remote"
	"github.com/troupe-go/troupe/task"
)

func TestPayloadsHaveABound(t *testing.T) {
	ran := make(chan int, 100)
	b := serving(t, remote.Config{MaxPayload: 1000}, "fill", func(_ context.Context, n []byte) ([]byte, error) {
		ran <- len(n)
		return bytes.Repeat(n, 3), nil
	})
	far := placed[[]byte, []byte](newSite(t, remote.Config{MaxPayload: 1000}), "fill", []task.Option{task.Retries(task.RetryPolicy{Max: 3, Backoff: task.Constant(0)})}, b)
	e := as[*remote.PayloadError](t, fault(t, far.Submit(t.Context(), make([]byte, 2000))))
	if e.Task != "fill" || e.Size < 2000 || e.Max != 1000 {
		t.Errorf("argument: got %+v", e)
	}
	if len(ran) != 0 {
		t.Errorf("the function has run %d times", len(ran))
	}
	e = as[*remote.PayloadError](t, fault(t, far.With(task.Retries(task.RetryPolicy{})).Submit(t.Context(), make([]byte, 500))))
	if e.Task != "fill" || e.Size < 1500 || e.Max != 1000 {
		t.Errorf("result: got %+v", e)
	}
	if out := value(t, far.Submit(t.Context(), make([]byte, 300))); len(out) != 900 {
		t.Errorf("got %d bytes", len(out))
	}
}

func TestLargePayloadsTravel(t *testing.T) {
	b := serving(t, remote.Config{Heartbeat: 5 * beat}, "echo", func(_ context.Context, in []byte) ([]byte, error) { return in, nil })
	far := placed[[]byte, []byte](newSite(t, remote.Config{Heartbeat: 5 * beat}), "echo", nil, b)
	in := make([]byte, 10<<20)
	for i := range in {
		in[i] = byte(i * 7 >> 3)
	}
	var fs []*task.Future[[]byte]
	for range 4 {
		fs = append(fs, far.Submit(t.Context(), in))
	}
	for _, f := range fs {
		if out := value(t, f); !bytes.Equal(in, out) {
			t.Errorf("got %d other bytes", len(out))
		}
	}
}

func TestManyCallsOf8KiBLoseNothing(t *testing.T) {
	b := serving(t, remote.Config{Heartbeat: 5 * beat}, "echo", func(_ context.Context, in []byte) ([]byte, error) { return in, nil })
	c := serving(t, remote.Config{Heartbeat: 5 * beat}, "echo", func(_ context.Context, in []byte) ([]byte, error) { return in, nil })
	far := placed[[]byte, []byte](newSite(t, remote.Config{Heartbeat: 5 * beat}), "echo", nil, b, c)
	var fs []*task.Future[[]byte]
	for i := range 2000 {
		fs = append(fs, far.Submit(t.Context(), bytes.Repeat([]byte{byte(i)}, 8<<10)))
	}
	for i, f := range fs {
		if out := value(t, f); !bytes.Equal(out, bytes.Repeat([]byte{byte(i)}, 8<<10)) {
			t.Fatalf("call %d came back as another", i)
		}
	}
}

func TestMessagesTravelAsProtobuf(t *testing.T) {
	b := serving(t, remote.Config{}, "label", func(_ context.Context, d *durationpb.Duration) (*wrapperspb.StringValue, error) {
		return wrapperspb.String(d.AsDuration().String()), nil
	})
	far := placed[*durationpb.Duration, *wrapperspb.StringValue](newSite(t, remote.Config{}), "label", nil, b)
	if v := value(t, far.Submit(t.Context(), &durationpb.Duration{Seconds: 90})); v.GetValue() != "1m30s" {
		t.Errorf("got %v", v)
	}
}

// jsonCodec is a codec of the user's.
type jsonCodec struct{}

func (jsonCodec) ID() string                         { return "json" }
func (jsonCodec) Marshal(v any) ([]byte, error)      { return json.Marshal(v) }
func (jsonCodec) Unmarshal(data []byte, v any) error { return json.Unmarshal(data, v) }

type purchase struct {
	Item string `json:"item"`
	N    int    `json:"n"`
}

func TestACodecOfTheUser(t *testing.T) {
	double := func(_ context.Context, o purchase) (purchase, error) { return purchase{o.Item, 2 * o.N}, nil }
	b := serving(t, remote.Config{Codec: jsonCodec{}}, "double", double)
	far := placed[purchase, purchase](newSite(t, remote.Config{Codec: jsonCodec{}}), "double", nil, b)
	if o := value(t, far.Submit(t.Context(), purchase{"apples", 3})); o != (purchase{"apples", 6}) {
		t.Errorf("got %+v", o)
	}
	c := serving(t, remote.Config{}, "double", double)
	other := placed[purchase, purchase](newSite(t, remote.Config{Codec: jsonCodec{}}), "double", nil, c)
	if err := fault(t, other.Submit(t.Context(), purchase{"apples", 3})); !strings.Contains(err.Error(), "json") {
		t.Errorf("a node without the codec: %v", err)
	}
}

func TestTypesThatCannotTravelAreErrorsOfNew(t *testing.T) {
	a := newSite(t, remote.Config{})
	_, err := task.New(func(context.Context, chan int) (int, error) { return 0, nil },
		task.Name("odd"), task.System(a.sys), task.On(remote.Nodes(a.node, "127.0.0.1:1")))
	if err == nil || !strings.Contains(err.Error(), reflect.TypeFor[chan int]().String()) {
		t.Errorf("got %v", err)
	}
}
