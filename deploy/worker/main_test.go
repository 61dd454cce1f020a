package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/troupe-go/troupe/actor"
	"github.com/troupe-go/troupe/remote"
	"github.com/troupe-go/troupe/task"
)

// asProgram makes the test binary the program itself, with the arguments that it is given.
const asProgram = "TEST_BINARY_IS_THE_WORKER"

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" {
		main()
		return
	}
	goleak.VerifyTestMain(m)
}

// forEver is how long a test waits for what has to happen.
const forEver = 30 * time.Second

func within(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), forEver)
	t.Cleanup(cancel)
	return ctx
}

func await[T any](t *testing.T, what string, c <-chan T) (v T) {
	t.Helper()
	select {
	case v = <-c:
	case <-time.After(forEver):
		t.Fatalf("%s did not come", what)
	}
	return v
}

// site is a web site whose pages come when it is opened.
type site struct {
	url   string
	asked chan string
	open  chan struct{}
}

func newSite(t *testing.T) *site {
	s := &site{asked: make(chan string, 1000), open: make(chan struct{})}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.asked <- r.URL.Path
		select {
		case <-s.open:
			_, _ = io.WriteString(w, "the page "+r.URL.Path)
		case <-r.Context().Done():
		}
	}))
	t.Cleanup(server.Close)
	s.url = server.URL
	return s
}

// page is what fetch has to find.
func (s *site) page(path string) Page {
	text := "the page " + path
	hash := sha256.Sum256([]byte(text))
	return Page{Status: http.StatusOK, Size: int64(len(text)), SHA256: hex.EncodeToString(hash[:])}
}

// caller places the worker's task at addr, as another program would.
func caller(t *testing.T, cfg remote.Config, addr string) *task.Task[string, Page] {
	t.Helper()
	return place(t, cfg, "pages", fetch, addr)
}

func place[In, Out any](t *testing.T, cfg remote.Config, name string, fn func(context.Context, In) (Out, error), addr string) *task.Task[In, Out] {
	t.Helper()
	cfg.System = actor.NewSystem(actor.Logger(slog.New(slog.DiscardHandler)))
	cfg.Listen = "127.0.0.1:0"
	node, err := remote.Start(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := cfg.System.Stop(within(t)); err != nil {
			t.Error(err)
		}
	})
	far, err := task.New(fn, task.Name(name), task.System(cfg.System), task.On(remote.Nodes(node, addr)))
	if err != nil {
		t.Fatal(err)
	}
	return far
}
