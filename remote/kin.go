package remote

import (
	"context"
	"crypto/rand"
	"fmt"
	"net"
	"os"
	"runtime"
	"strings"
)

// listenToParent listens where only processes of this machine get: on Linux at a
// name that is no file, which costs about half of what a loopback address does,
// and elsewhere, or where that is forbidden, at such an address.
func listenToParent() (net.Listener, error) {
	if runtime.GOOS == "linux" {
		name := fmt.Sprintf("@troupe-%d-%s", os.Getpid(), rand.Text())
		if l, err := net.Listen("unix", name); err == nil {
			return l, nil
		}
	}
	return net.Listen("tcp", "127.0.0.1:0")
}

// dialChild connects to what a child has said of listenToParent.
func dialChild(ctx context.Context, where string) (net.Conn, error) {
	network, addr, ok := strings.Cut(where, " ")
	if !ok {
		return nil, fmt.Errorf("remote: a child process listens at %q", where)
	}
	d := net.Dialer{Timeout: dialTimeout, KeepAlive: -1}
	return d.DialContext(ctx, network, addr)
}
