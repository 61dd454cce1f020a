package remote

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"time"

	"github.com/troupe-go/troupe/actor"
	"github.com/troupe-go/troupe/internal/child"
	"github.com/troupe-go/troupe/internal/host"
	"github.com/troupe-go/troupe/internal/link"
	"github.com/troupe-go/troupe/internal/place"
	"github.com/troupe-go/troupe/remote/wire"
)

// Main must be the first line of main, and of TestMain in tests, of a program
// that uses [Processes]:
//
//	func main() {
//		remote.Main()
//		...
//	}
//
// In a child process it runs the calls of the parent until that ends, and does
// not return. In any other process it does nothing. The tasks that are placed in
// children must exist by then: in variables of packages.
func Main() {
	c, ok := child.Role()
	if !ok {
		return
	}
	if err := workFor(c); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

// bootstrap is what a child is given by its parent.
type bootstrap struct {
	Credentials []byte
	Name        string
	MaxPayload  int
	Capacity    int // calls of one member at once
	Heartbeat   time.Duration
}

func (b bootstrap) encode() ([]byte, error) { return json.Marshal(b) }

// workFor is the life of a child.
func workFor(c *child.Child) error {
	text, err := c.Bootstrap()
	if err != nil {
		return err
	}
	var b bootstrap
	if err := json.Unmarshal(text, &b); err != nil {
		return fmt.Errorf("remote: bootstrap: %w", err)
	}
	trust, err := child.ParseCredentials(b.Credentials)
	if err != nil {
		return err
	}
	codecs, err := knownCodecs()
	if err != nil {
		return err
	}
	h := &house{
		name: fmt.Sprintf("process-%d", os.Getpid()), worker: b.Name, codecs: codecs, maxPayload: b.MaxPayload, capacity: b.Capacity, serial: true,
		find: functionsAnywhere, log: actor.Default().Log,
	}
	h.open()
	cfg := Config{MaxPayload: b.MaxPayload, Heartbeat: b.Heartbeat}.link(h.name, "", wire.NewIncarnation())
	l, err := listenToParent()
	if err != nil {
		return fmt.Errorf("remote: %w", err)
	}
	if err := c.Ready([]byte(l.Addr().Network() + " " + l.Addr().String())); err != nil {
		return err
	}
	go func() {
		<-c.Orphaned()
		os.Exit(0)
	}()
	return h.serveParent(l, trust, cfg)
}

// serveParent serves the one connection that proves to be the parent's.
func (h *house) serveParent(l net.Listener, trust *tls.Config, cfg link.Config) error {
	type arrival struct {
		conn  *link.Conn
		hello *wire.Hello
	}
	arrived := make(chan arrival)
	go func() {
		for {
			nc, err := l.Accept()
			if err != nil {
				return // closed
			}
			go func() {
				conn, hello, err := link.Accept(context.Background(), tls.Server(nc, trust), cfg, func(hello *wire.Hello) *wire.Welcome {
					return h.welcome(schemas(hello))
				})
				if err != nil {
					_ = nc.Close() // somebody else
					return
				}
				arrived <- arrival{conn, hello}
			}()
		}
	}()
	a := <-arrived
	_ = l.Close()
	err := h.receive(a.conn, a.hello)
	if errors.Is(err, link.ErrSilent) {
		return fmt.Errorf("remote: a child process lost its parent: %w", err)
	}
	return nil
}

// functionsAnywhere returns what this program has of a name, in any System.
func functionsAnywhere(name string) (found []*place.Function) {
	for _, units := range host.Registries() {
		found = append(found, functionsOf(units, name)...)
	}
	return found
}
