package link

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestForeignersThatCallAreNamed(t *testing.T) {
	for _, c := range []struct{ sent, want string }{
		{"GET / HTTP/1.1\r\n\r\n", "a web client (HTTP)"},
		{"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "as of a gRPC client"},
		{"SSH-2.0-OpenSSH_9.6\r\n", "SSH"},
		{"\x00\x00\x00\x00", `begins with "\x00\x00\x00\x00"`},
		{"hi", `begins with "hi"`},
		{"\x89tr!upe\n", `begins with "\x89tr!upe\n"`},
	} {
		client, server := sockets(t, "tcp")
		if _, err := io.WriteString(client, c.sent); err != nil {
			t.Fatal(err)
		}
		_ = client.(*net.TCPConn).CloseWrite()
		_, _, err := Accept(t.Context(), server, Config{}, answering(nil))
		if !errors.Is(err, ErrForeign) || errors.Is(err, ErrRefused) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q: got %v, want %q", c.sent, err, c.want)
		}
		client.Close()
	}
}

func TestForeignersThatAreCalledAreNamed(t *testing.T) {
	for _, c := range []struct{ sent, want string }{
		{"HTTP/1.1 400 Bad Request\r\n\r\n", "a web server (HTTP)"},
		{"\x00\x00\x06\x04\x00\x00\x00\x00\x00\x00\x05\x00\x00\x40\x00", "as of a gRPC server"},
		{"SSH-2.0-OpenSSH_9.6\r\n", "SSH"},
		{"220 mail.example.org ESMTP\r\n", `begins with "220 mail.example`},
	} {
		client, server := sockets(t, "tcp")
		if _, err := io.WriteString(server, c.sent); err != nil {
			t.Fatal(err)
		}
		_, _, err := Dial(t.Context(), client, Config{}, nil)
		if !errors.Is(err, ErrForeign) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q: got %v, want %q", c.sent, err, c.want)
		}
		server.Close()
	}
}

// One that says something foreign and then nothing is named when the time for
// the handshake is over.
func TestForeignersThatStopAreNamedInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, server := net.Pipe()
		go func() { _, _ = client.Write([]byte("x")) }()
		start := time.Now()
		_, _, err := Accept(t.Context(), server, Config{}, answering(nil))
		if !errors.Is(err, ErrForeign) || !strings.Contains(err.Error(), `begins with "x"`) || time.Since(start) != defaultHandshake {
			t.Errorf("%v after %v", err, time.Since(start))
		}
		client.Close()
	})
}

func TestPeersThatEndInThePreambleAreNotForeign(t *testing.T) {
	for n := range len(magic) + 2 {
		client, server := sockets(t, "tcp")
		p := newPreamble(Config{}, false)
		if _, err := client.Write(p[:n]); err != nil {
			t.Fatal(err)
		}
		client.Close()
		_, _, err := Accept(t.Context(), server, Config{}, answering(nil))
		want := io.ErrUnexpectedEOF
		if n == 0 {
			want = io.EOF
		}
		if errors.Is(err, ErrForeign) || !errors.Is(err, want) || !strings.Contains(err.Error(), "the other side ended the connection") {
			t.Errorf("after %d bytes: %v", n, err)
		}
	}
}

func TestAWebClientIsToldWhatThisIs(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	errs := make(chan error, 1)
	go func() {
		nc, err := l.Accept()
		if err != nil {
			errs <- err
			return
		}
		_, _, err = Accept(context.Background(), nc, Config{}, answering(nil))
		errs <- err
	}()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+l.Addr().String()+"/health", nil)
	if err != nil {
		t.Fatal(err)
	}
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	response, err := client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode != http.StatusBadRequest || !strings.Contains(string(body), "nodes of troupe") {
		t.Errorf("got %s, %q, %v", response.Status, body, err)
	}
	if err := <-errs; !errors.Is(err, ErrForeign) {
		t.Errorf("got %v", err)
	}
}

func TestAWebServerIsNamed(t *testing.T) {
	for want, start := range map[string]func(http.Handler) *httptest.Server{
		"a web server (HTTP)":                           httptest.NewServer,
		"without a word: it may speak another protocol": httptest.NewTLSServer,
	} {
		s := start(http.NotFoundHandler())
		s.Config.ErrorLog = log.New(io.Discard, "", 0)
		nc, err := net.Dial("tcp", s.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		_, _, err = Dial(t.Context(), nc, Config{Handshake: patience}, nil)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
		s.Close()
	}
}

// A server that speaks TLS and nothing of ours.
func TestTLSOfSomebodyElseIsNoTrust(t *testing.T) {
	s := httptest.NewTLSServer(http.NotFoundHandler())
	defer s.Close()
	nc, err := net.Dial("tcp", s.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	_, _, err = Dial(t.Context(), tls.Client(nc, &tls.Config{InsecureSkipVerify: true}), Config{Token: "a"}, nil)
	if !errors.Is(err, ErrForeign) {
		t.Errorf("got %v", err)
	}
}

func TestPreamblesOfNewerVersionsAreToldToBoth(t *testing.T) {
	newer := newPreamble(Config{}.must(), false)
	newer[len(magic)], newer[len(magic)+1] = 2, 3
	ours := newPreamble(Config{}.must(), false)
	for _, err := range []error{agree(&ours, &newer), agree(&newer, &ours)} {
		if err == nil || !strings.HasPrefix(err.Error(), "preamble: wire: no common protocol version") {
			t.Errorf("got %v", err)
		}
	}
	tiny := newPreamble(Config{}.must(), false)
	clear(tiny[len(magic)+8 : len(magic)+12])
	if err := agree(&ours, &tiny); err == nil || !strings.Contains(err.Error(), "takes frames of 0 bytes") {
		t.Errorf("got %v", err)
	}
	terminated := newPreamble(Config{}.must(), true)
	if err := agree(&ours, &terminated); !errors.Is(err, ErrRefused) || !strings.Contains(err.Error(), "something between them ends it") {
		t.Errorf("got %v", err)
	}
}

func (c Config) must() Config {
	c, err := c.filled()
	if err != nil {
		panic(err)
	}
	return c
}
