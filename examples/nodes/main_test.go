package main

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"go.uber.org/goleak"
)

// TestMain is also the program itself, for the nodes that it starts.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "-serve" {
		main()
		return
	}
	// The race detector would let every node sleep for a second at its exit.
	os.Setenv("GORACE", "atexit_sleep_ms=0")
	goleak.VerifyTestMain(m)
}

func TestNothingIsLostButWhatMay(t *testing.T) {
	var out bytes.Buffer
	if err := run(t.Context(), []string{"-n", "400"}, nil, &out); err != nil {
		t.Fatalf("%v\n%s", err, &out)
	}
	for _, want := range []string{
		`(?m)^400 of 400 calls have their result, 0 were lost; 400 inputs were begun, [0-4] of them twice$`,
		`(?m)^39\d of 400 calls have their result, [1-5] were lost; (400|39\d) inputs were begun, 0 of them twice$`,
		`node 2 is lost, noticed \d+\.\d ms after the kill`, `node 2 takes calls again`,
		`a call has ended with: task "square": lost node 127\.0\.0\.1:\d+ after the call was sent`,
	} {
		if !regexp.MustCompile(want).MatchString(out.String()) {
			t.Errorf("no %q in\n%s", want, &out)
		}
	}
}

func TestAnInterruptedRunStopsItsNodes(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	interrupt := errors.New("interrupt")
	cancel(interrupt)
	var out bytes.Buffer
	if err := run(ctx, nil, nil, &out); !errors.Is(err, interrupt) {
		t.Errorf("got %v, want %v", err, interrupt)
	}
	if strings.Contains(out.String(), "all calls have ended") {
		t.Errorf("the batch went on:\n%s", &out)
	}
}

func TestWrongArgumentsAreRefused(t *testing.T) {
	for _, args := range [][]string{{"-n", "199"}, {"-serve"}, {"-serve", "127.0.0.1:0"}, {"something"}} {
		if err := run(t.Context(), args, nil, new(bytes.Buffer)); err == nil {
			t.Errorf("%q was accepted", args)
		}
	}
}

// journals makes three nodes that have begun these inputs; the second has lived twice.
func journals(t *testing.T, first, second, restarted, third string) []*process {
	t.Helper()
	dir := t.TempDir()
	write := func(name, inputs string) string {
		file := filepath.Join(dir, name)
		if err := os.WriteFile(file, []byte(inputs), 0o600); err != nil {
			t.Fatal(err)
		}
		return file
	}
	return []*process{
		{name: "node 1", journals: []string{write("1", first)}},
		{name: "node 2", journals: []string{write("2", second), write("2b", restarted)}},
		{name: "node 3", journals: []string{write("3", third)}},
	}
}

func TestTheCheckFindsWhatIsWrong(t *testing.T) {
	good := func() *batch { return &batch{n: 4, again: true, results: 4} }
	for name, c := range map[string]struct {
		change     func(*batch)
		restarted  string
		third      string
		complaints string // a part of them; empty: none
	}{
		"nothing":           {restarted: "2\n", third: "3\n"},
		"run again":         {restarted: "2\n", third: "3\n1\n"},
		"a lost call":       {change: func(b *batch) { b.lost, b.results = []int{3}, 3 }, restarted: "2\n", third: "3\n", complaints: "were lost"},
		"an unfit result":   {change: func(b *batch) { b.wrong = 1 }, restarted: "2\n", third: "3\n", complaints: "1 results are wrong"},
		"a missing result":  {change: func(b *batch) { b.results = 3 }, restarted: "2\n", third: "3\n", complaints: "3 results and 0 lost"},
		"a failure":         {change: func(b *batch) { b.failed = errors.New("no") }, restarted: "2\n", third: "3\n", complaints: "for another reason: no"},
		"never begun":       {restarted: "2\n", third: "", complaints: "input 3 was begun 0 times"},
		"three times":       {restarted: "2\n", third: "3\n1\n1\n", complaints: "input 1 was begun 3 times"},
		"an idle node":      {restarted: "", third: "2\n3\n", complaints: "has run nothing after it came back"},
		"a broken journal":  {restarted: "2\n", third: "x\n", complaints: `"x\n"`},
		"once, nobody lost": {change: func(b *batch) { b.again = false }, restarted: "2\n", third: "3\n", complaints: "0 calls were lost"},
		"once, begun twice": {change: func(b *batch) { b.again, b.lost, b.results = false, []int{1}, 3 }, restarted: "2\n", third: "3\n1\n", complaints: "input 1 was begun 2 times"},
		"once, as it may":   {change: func(b *batch) { b.again, b.lost, b.results = false, []int{3}, 3 }, restarted: "2\n", third: ""},
	} {
		t.Run(name, func(t *testing.T) {
			b := good()
			if c.change != nil {
				c.change(b)
			}
			var out bytes.Buffer
			b.out, b.fleet = &out, journals(t, "0\n", "1\n", c.restarted, c.third)
			err := b.check()
			if c.complaints == "" && err != nil || c.complaints != "" && (err == nil || !strings.Contains(err.Error(), c.complaints)) {
				t.Errorf("got %v, want %q\n%s", err, c.complaints, &out)
			}
		})
	}
}
