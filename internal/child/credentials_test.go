package child

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"slices"
	"testing"
	"time"
)

// pair is what a parent and one of its children have.
type pair struct{ parent, child *tls.Config }

func newPair(t testing.TB) pair {
	t.Helper()
	parent, text, err := Credentials()
	if err != nil {
		t.Fatal(err)
	}
	child, err := ParseCredentials(text)
	if err != nil {
		t.Fatal(err)
	}
	return pair{parent: parent, child: child}
}

// shake returns the error of each end of a connection, over which one byte
// went both ways.
func shake(t testing.TB, server, client *tls.Config) (serverErr, clientErr error) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	errs := make(chan error, 1)
	go func() { errs <- serve(l, server) }()
	conn, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(patience))
	c := tls.Client(conn, client)
	_, clientErr = c.Write([]byte{1})
	if clientErr == nil {
		_, clientErr = io.ReadFull(c, make([]byte, 1))
	}
	conn.Close()
	return <-errs, clientErr
}

func serve(l net.Listener, server *tls.Config) error {
	conn, err := l.Accept()
	if err != nil {
		return err
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(patience))
	c := tls.Server(conn, server)
	if _, err := c.Read(make([]byte, 1)); err != nil {
		return err
	}
	_, err = c.Write([]byte{1})
	return err
}

func TestParentAndChildTrustEachOtherEitherWay(t *testing.T) {
	p := newPair(t)
	for _, err := range []func() (error, error){
		func() (error, error) { return shake(t, p.child, p.parent) },
		func() (error, error) { return shake(t, p.parent, p.child) },
		func() (error, error) { return shake(t, p.parent.Clone(), p.child.Clone()) },
	} {
		if s, c := err(); s != nil || c != nil {
			t.Errorf("server %v, client %v", s, c)
		}
	}
}

func TestNobodyElseIsTrusted(t *testing.T) {
	one, two := newPair(t), newPair(t)
	authorities.mu.Lock()
	authorities.current = nil
	authorities.mu.Unlock()
	foreign := newPair(t)
	bare := one.child.Clone()
	bare.Certificates = nil
	old := one.child.Clone()
	old.MinVersion, old.MaxVersion = tls.VersionTLS12, tls.VersionTLS12
	for name, test := range map[string]struct{ server, client *tls.Config }{
		"the parent dials another child":           {two.child, one.parent},
		"another child dials the parent":           {one.parent, two.child},
		"a child dials another child":              {one.child, two.child},
		"a child dials itself":                     {one.child, one.child},
		"the parent of another authority":          {one.child, foreign.parent},
		"the child of another authority":           {one.parent, foreign.child},
		"no certificate":                           {one.parent, bare},
		"TLS 1.2":                                  {one.parent, old},
		"a client that checks nothing, as a child": {one.parent, trusting(two.child)},
		"a client without the authority":           {one.parent, trusting(foreign.child)},
		"a server that checks nothing":             {trusting(two.child), one.parent},
	} {
		if s, c := shake(t, test.server, test.client); s == nil || c == nil {
			t.Errorf("%s: server %v, client %v", name, s, c)
		}
	}
	if s, _ := shake(t, one.parent, trusting(two.child)); !errors.Is(s, ErrWrongPeer) {
		t.Errorf("got %v, want %v", s, ErrWrongPeer)
	}
	if _, c := shake(t, trusting(two.child), one.parent); !errors.As(c, new(x509.HostnameError)) {
		t.Errorf("got %v", c)
	}
}

// trusting shows its certificate to everybody and asks for none.
func trusting(c *tls.Config) *tls.Config {
	c = c.Clone()
	c.InsecureSkipVerify, c.VerifyConnection, c.ClientAuth = true, nil, tls.NoClientCert
	return c
}

func TestCertificatesAreShortLivedAndDistinct(t *testing.T) {
	one, two := newPair(t), newPair(t)
	leaf := func(c *tls.Config) *x509.Certificate {
		cert, err := x509.ParseCertificate(c.Certificates[0].Certificate[0])
		if err != nil {
			t.Fatal(err)
		}
		return cert
	}
	a, b := leaf(one.child), leaf(two.child)
	if a.SerialNumber.Cmp(b.SerialNumber) == 0 || slices.Equal(a.DNSNames, b.DNSNames) {
		t.Errorf("%v %v, %v %v", a.SerialNumber, a.DNSNames, b.SerialNumber, b.DNSNames)
	}
	if life := a.NotAfter.Sub(a.NotBefore); life > 2*time.Hour {
		t.Errorf("valid for %v", life)
	}
	if a.IsCA {
		t.Error("a child may issue")
	}
}

func TestAuthorityIsUsedUntilItIsOldOrTheClockIsSet(t *testing.T) {
	var c authorityCache
	at := func(now time.Time) *authority {
		a, err := c.at(now)
		if err != nil {
			t.Fatal(err)
		}
		return a
	}
	now := time.Now()
	first := at(now)
	if at(now.Add(certValidity/3)) != first {
		t.Error("it was replaced early")
	}
	second := at(now.Add(certValidity))
	if second == first {
		t.Error("it was not replaced")
	}
	if at(now.Add(-time.Hour)) == second {
		t.Error("it issues for a time before its own")
	}
}

func TestSpoiledCredentialsAreErrors(t *testing.T) {
	_, text, err := Credentials()
	if err != nil {
		t.Fatal(err)
	}
	for name, bad := range map[string][]byte{
		"none":     nil,
		"half":     text[:len(text)/2],
		"too much": append(slices.Clone(text), 0),
	} {
		if c, err := ParseCredentials(bad); err == nil || c != nil {
			t.Errorf("%s: got %v, %v", name, c, err)
		}
	}
}

func TestDamagedCredentialsNeverPanic(t *testing.T) {
	_, text, err := Credentials()
	if err != nil {
		t.Fatal(err)
	}
	for i := range text {
		for _, bits := range []byte{0x01, 0x80, 0xff} {
			bad := slices.Clone(text)
			bad[i] ^= bits
			if c, err := ParseCredentials(bad); (c == nil) == (err == nil) {
				t.Errorf("byte %d: got %v, %v", i, c, err)
			}
		}
	}
}
