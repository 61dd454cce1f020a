//go:build unix

package main

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"
)

// keeperVariable makes a process of this test program one that has a server,
// and a call there that reports to the address it holds.
const keeperVariable = "TROUPE_BENCH_KEEPER"

func init() {
	addr := os.Getenv(keeperVariable)
	if addr == "" || isServer() {
		return
	}
	f, err := netRPCPeer().open(context.Background(), farOrder{Servers: 1, Function: "hold", InFlight: 1})
	if err == nil {
		_, err = f.Call(context.Background(), []byte(addr))
	}
	fmt.Fprintln(os.Stderr, "the call is over:", err)
	os.Exit(1)
}

func TestFrozenServerEndsWithWhoStartedIt(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	keeper := exec.Command(os.Args[0])
	keeper.Env = append(os.Environ(), keeperVariable+"="+l.Addr().String())
	keeper.Stderr = t.Output()
	if err := keeper.Start(); err != nil {
		t.Fatal(err)
	}
	_ = l.(*net.TCPListener).SetDeadline(time.Now().Add(time.Minute))
	nc, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	_ = nc.SetReadDeadline(time.Now().Add(time.Minute))
	r := bufio.NewReader(nc)
	line, err := r.ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	id, err := strconv.Atoi(strings.TrimSpace(line))
	if err != nil {
		t.Fatal(err)
	}
	if err := freeze(id); err != nil {
		t.Fatal(err)
	}
	_ = keeper.Process.Kill()
	_ = keeper.Wait() // tells that it was killed
	if _, err := r.ReadByte(); os.IsTimeout(err) {
		t.Errorf("the server %d is still there", id)
		_ = kill(id)
	}
}
