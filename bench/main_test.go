package main

import (
	"fmt"
	"os"
	"testing"

	"github.com/troupe-go/troupe/remote"
)

// TestMain lets the test program be a child process and a server, as main does.
func TestMain(m *testing.M) {
	remote.Main()
	if isServer() {
		os.Exit(runServer(os.Stdin, os.Stdout, os.Stderr))
	}
	if _, err := protoNode(); err != nil { // before anybody uses gRPC
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(m.Run())
}
