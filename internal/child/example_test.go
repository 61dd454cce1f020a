package child_test

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/troupe-go/troupe/internal/child"
)

// The two roles of one program. (It has no output here, and is not run: the
// test binary has its own main.)
func Example() {
	main := func() error {
		if c, ok := child.Role(); ok {
			return work(c)
		}
		p, err := child.Start(context.Background(), child.Config{
			Bootstrap:   []byte("secret"),
			MemoryLimit: 1 << 30,
			Log:         child.LogTo(slog.Default()),
		})
		if err != nil {
			return err
		}
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		addr, err := p.Ready(ctx)
		if err != nil {
			return err // says how it ended
		}
		fmt.Printf("process %d listens at %s\n", p.PID(), addr)
		return p.Stop(ctx)
	}
	if err := main(); err != nil {
		slog.Error(err.Error())
	}
}

func work(c *child.Child) error {
	secret, err := c.Bootstrap()
	if err != nil {
		return err
	}
	_ = secret // listen with it, and serve on another goroutine
	if err := c.Ready([]byte("127.0.0.1:7777")); err != nil {
		return err
	}
	<-c.Orphaned()
	return nil
}
