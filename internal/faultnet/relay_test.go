package faultnet

import (
	"io"
	"net"
	"testing"
)

// The relay is aborted while its dial succeeds: too early to be among what
// abort resets.
func TestAbortDuringTheDialResetsTheTarget(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	p, err := NewProxy(l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	r := &relay{proxy: p, cancel: func() {}}
	r.abort()
	if c, err := r.dial(t.Context()); err == nil {
		c.Close()
		t.Fatal("dial of an aborted relay succeeded")
	}
	served, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer served.Close()
	if n, err := served.Read(make([]byte, 1)); err == nil || err == io.EOF {
		t.Errorf("the target read %d bytes, %v; want a reset", n, err)
	}
}
