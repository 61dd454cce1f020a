package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/troupe-go/troupe/remote"
	"github.com/troupe-go/troupe/task"
)

const (
	capacity = 4                     // calls that a node runs at once
	duration = 10 * time.Millisecond // of every call
)

// square is what the nodes serve; main only places it there.
var square = task.MustNew(work, task.Name("square"))

// journal is where a node writes down what it begins: a kill does not take that back.
var journal *os.File

func work(ctx context.Context, x int) (int, error) {
	if _, err := fmt.Fprintln(journal, x); err != nil {
		return 0, err
	}
	select { // a request, a query, a long computation
	case <-time.After(duration):
		return x * x, nil
	case <-ctx.Done():
		return 0, context.Cause(ctx)
	}
}

// serve is a node's life: it says where it is and serves until nobody holds its stdin any more.
func serve(ctx context.Context, listen, file string, stdin io.Reader, out io.Writer) (err error) {
	if journal, err = os.OpenFile(file, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600); err != nil {
		return err
	}
	defer journal.Close()
	node, err := remote.Start(remote.Config{Listen: listen, Capacity: capacity})
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() { // ends with the process
		_, _ = io.Copy(io.Discard, stdin)
		cancel()
	}()
	fmt.Fprintln(out, node.Addr())
	if err := node.Serve(ctx); err != nil { // drains at the end of ctx
		return err
	}
	return node.Stop(context.Background())
}
