package remote_test

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/troupe-go/troupe/remote"
	"github.com/troupe-go/troupe/task"
)

// spoken is a codec that counts what goes through it.
type spoken struct {
	id         string
	sent, read atomic.Int32
}

func (s *spoken) ID() string { return s.id }

func (s *spoken) Marshal(v any) ([]byte, error) { s.sent.Add(1); return json.Marshal(v) }

func (s *spoken) Unmarshal(data []byte, into any) error {
	s.read.Add(1)
	return json.Unmarshal(data, into)
}

var shared = &spoken{id: "test-json"}

func init() { remote.RegisterCodec(shared) }

var shout = task.MustNew(func(_ context.Context, s string) (string, error) { return strings.ToUpper(s), nil }, task.Name("shout"))

func TestATaskMayHaveACodecOfItsOwn(t *testing.T) {
	far := shout.On(remote.WithCodec(remote.Processes(1), shared))
	defer far.Stop()
	sent, read := shared.sent.Load(), shared.read.Load()
	if v, err := far.Call(t.Context(), "ada"); v != "ADA" || err != nil {
		t.Fatalf("got %q, %v", v, err)
	}
	if shared.sent.Load() != sent+1 || shared.read.Load() != read+1 {
		t.Errorf("here %d arguments and %d results went through the codec, want 1 each", shared.sent.Load()-sent, shared.read.Load()-read)
	}
}

func TestACodecThatOneSideLacks(t *testing.T) {
	far := shout.On(remote.WithCodec(remote.Processes(1), &spoken{id: "nobody-knows"}))
	defer far.Stop()
	_, err := far.Call(t.Context(), "ada")
	if err == nil || !strings.Contains(err.Error(), "nobody-knows") || !strings.Contains(err.Error(), "shout") {
		t.Errorf("got %v, want an error that names codec and task", err)
	}
}

func TestCodecsThatCannotBe(t *testing.T) {
	for _, far := range []*task.Task[string, string]{
		shout.On(remote.WithCodec(nil, shared)),
		shout.On(remote.WithCodec(remote.Processes(1), nil)),
		shout.On(remote.WithCodec(remote.Processes(1), &spoken{id: "cbor"})),
	} {
		if _, err := far.Call(t.Context(), "ada"); err == nil || !strings.Contains(err.Error(), "WithCodec") {
			t.Errorf("got %v, want an error of WithCodec", err)
		}
	}
	defer func() {
		if r := recover(); !strings.Contains(fmt.Sprint(r), "test-json") {
			t.Errorf("a codec registered under an id that is taken: %v", r)
		}
	}()
	remote.RegisterCodec(&spoken{id: "test-json"})
}
