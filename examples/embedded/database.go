package main

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// conn is the state of one member of the stateful worker: a connection that it has to itself.
type conn struct {
	net.Conn
	answers *bufio.Reader
	db      *database
}

// query asks and waits for the answer, also if ctx ends: else the next query would read it. A connection that fails is of
// no use any more. The panic has the supervisor close it and open another one.
func (c *conn) query(_ context.Context, item string) (string, error) {
	_ = c.SetDeadline(time.Now().Add(5 * time.Second))
	if _, err := fmt.Fprintln(c, item); err != nil {
		panic(fmt.Errorf("query %q: %w", item, err))
	}
	line, err := c.answers.ReadString('\n')
	if err != nil {
		panic(fmt.Errorf("query %q: %w", item, err))
	}
	return line, nil
}

func (c *conn) Close() error {
	c.db.closed.Add(1)
	return c.Conn.Close()
}

// database stands for a real one: a server on loopback that takes its time for each line, and its clients' count of
// their connections.
type database struct {
	net.Listener
	served         sync.WaitGroup
	opened, closed atomic.Int32
}

func startDatabase() (*database, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	db := &database{Listener: listener}
	db.served.Go(func() {
		for {
			c, err := listener.Accept()
			if err != nil {
				return
			}
			db.served.Go(func() { serve(c) })
		}
	})
	return db, nil
}

func serve(c net.Conn) {
	defer c.Close()
	for lines := bufio.NewScanner(c); lines.Scan(); {
		time.Sleep(latency)
		fmt.Fprintf(c, "%s costs %d\n", lines.Text(), 10*len(lines.Text()))
	}
}

const latency = 50 * time.Millisecond

// open is the init of the worker.
func (db *database) open(ctx context.Context) (*conn, error) {
	var d net.Dialer
	c, err := d.DialContext(ctx, "tcp", db.Addr().String())
	if err != nil {
		return nil, err
	}
	db.opened.Add(1)
	return &conn{Conn: c, answers: bufio.NewReader(c), db: db}, nil
}

// stop waits for the end of all connections.
func (db *database) stop() {
	_ = db.Close()
	db.served.Wait()
}
