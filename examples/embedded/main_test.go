package main

import (
	"bufio"
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"regexp"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	proto "github.com/asynkron/protoactor-go/actor"
	"go.uber.org/goleak"
)

// TestMain is also the program itself, for the test of its signals.
func TestMain(m *testing.M) {
	if addr := os.Getenv("EMBEDDED_ADDR"); addr != "" {
		os.Args = []string{"embedded", "-addr", addr}
		main()
		return
	}
	goleak.VerifyTestMain(m)
}

func matches(t *testing.T, out string, patterns ...string) {
	t.Helper()
	for _, p := range patterns {
		if !regexp.MustCompile(p).MatchString(out) {
			t.Errorf("no %q in\n%s", p, out)
		}
	}
}

func TestABurstIsServedRefusedAndDrained(t *testing.T) {
	var out strings.Builder
	if err := run(t.Context(), nil, &out); err != nil {
		t.Fatal(err)
	}
	matches(t, out.String(), `(?m)^finished while draining: [1-9], cancelled: 0, never started: 0, abandoned: 0$`,
		`(?m)^answered: [1-9]\d*, refused: [1-9]\d*, clients that left: [01]$`, `(?m)^connections opened: 2, closed: 2$`)
}

func TestATermSignalDrains(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("windows cannot send SIGTERM to a process")
	}
	program := exec.CommandContext(t.Context(), os.Args[0])
	program.Env = append(os.Environ(), "EMBEDDED_ADDR=127.0.0.1:0")
	program.Stderr = os.Stderr
	stdout, err := program.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := program.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewReader(stdout)
	line, _ := lines.ReadString('\n')
	url := strings.TrimPrefix(strings.TrimSpace(line), "serving on ")
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	for path, want := range map[string]string{"/readyz": "", "/quote/tea": "tea costs 30\n"} {
		response, err := client.Get(url + path)
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(response.Body)
		response.Body.Close()
		if response.StatusCode != http.StatusOK || string(body) != want {
			t.Errorf("%s: got %s, %q, want 200, %q", path, response.Status, body, want)
		}
	}
	if err := program.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	rest, _ := io.ReadAll(lines)
	if err := program.Wait(); err != nil {
		t.Error(err)
	}
	matches(t, string(rest), `^draining\n`, `(?m)^answered: 1, refused: 0, clients that left: 0$`, `(?m)^connections opened: 2, closed: 2$`)
}

func TestHandlersTellWhatBecameOfACall(t *testing.T) {
	db, err := startDatabase()
	if err != nil {
		t.Fatal(err)
	}
	defer db.stop()
	system := proto.NewActorSystem()
	defer system.Shutdown()
	s, parent, err := newService(system, db)
	if err != nil {
		t.Fatal(err)
	}
	s.ready.Store(true)
	get := func(ctx context.Context, path string, want int) *httptest.ResponseRecorder {
		t.Helper()
		answer := httptest.NewRecorder()
		s.routes().ServeHTTP(answer, httptest.NewRequestWithContext(ctx, http.MethodGet, path, nil))
		if answer.Code != want {
			t.Errorf("%s: got %d, want %d", path, answer.Code, want)
		}
		return answer
	}
	get(t.Context(), "/readyz", http.StatusOK)
	get(t.Context(), "/quote/tea", http.StatusOK)
	gone, cancel := context.WithTimeout(t.Context(), latency/4)
	defer cancel()
	get(gone, "/quote/tea", statusClientLeft)

	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if report, err := s.drain(ctx); err != nil || report.Abandoned != 0 {
		t.Errorf("drain: %+v, %v", report, err)
	}
	get(t.Context(), "/readyz", http.StatusServiceUnavailable)
	if after := get(t.Context(), "/quote/tea", http.StatusServiceUnavailable).Header().Get("Retry-After"); after == "" {
		t.Error("no Retry-After")
	}
	if opened, closed := db.opened.Load(), db.closed.Load(); opened == 0 || opened != closed {
		t.Errorf("opened %d connections, closed %d", opened, closed)
	}
	_ = system.Root.StopFuture(parent).Wait()
}
