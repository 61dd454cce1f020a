package remote_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"math/big"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/troupe-go/troupe/actor"
	"github.com/troupe-go/troupe/remote"
)

// authority signs certificates for 127.0.0.1.
type authority struct {
	t    *testing.T
	key  *ecdsa.PrivateKey
	cert *x509.Certificate
	pool *x509.CertPool
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	a := &authority{t: t, key: key, pool: x509.NewCertPool()}
	der := a.sign(&x509.Certificate{IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}, nil, key)
	if a.cert, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	a.pool.AddCert(a.cert)
	return a
}

func (a *authority) sign(c *x509.Certificate, parent *x509.Certificate, key *ecdsa.PrivateKey) []byte {
	a.t.Helper()
	c.SerialNumber, c.Subject = big.NewInt(time.Now().UnixNano()), pkix.Name{CommonName: "node"}
	c.NotBefore, c.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	if parent == nil {
		parent = c
	}
	der, err := x509.CreateCertificate(rand.Reader, c, parent, key.Public(), a.key)
	if err != nil {
		a.t.Fatal(err)
	}
	return der
}

// mutual is the TLS of a node that trusts who has a certificate of trusted.
func (a *authority) mutual(trusted *authority) *tls.Config {
	a.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		a.t.Fatal(err)
	}
	der := a.sign(&x509.Certificate{
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, KeyUsage: x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}, a.cert, key)
	return &tls.Config{
		Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}},
		RootCAs:      trusted.pool, ClientCAs: trusted.pool, ClientAuth: tls.RequireAndVerifyClientCert, MinVersion: tls.VersionTLS13,
	}
}

func TestNodesThatTrustEachOther(t *testing.T) {
	ca := newAuthority(t)
	for name, cfg := range map[string]func() remote.Config{
		"a token":          func() remote.Config { return remote.Config{Token: "secret"} },
		"certificates":     func() remote.Config { return remote.Config{TLS: ca.mutual(ca)} },
		"both":             func() remote.Config { return remote.Config{TLS: ca.mutual(ca), Token: "secret"} },
		"an insecure port": func() remote.Config { return remote.Config{Listen: "0.0.0.0:0", Advertise: "", AllowInsecure: true} },
	} {
		t.Run(name, func(t *testing.T) {
			b := serving(t, cfg(), "square", square)
			addr := strings.Replace(b.node.Addr(), "[::]", "127.0.0.1", 1)
			far := placedAt[int, int](newSite(t, cfg()), "square", nil, addr)
			ready(t, far)
			if v := value(t, far.Submit(t.Context(), 3)); v != 9 {
				t.Errorf("got %d", v)
			}
		})
	}
}

func TestNodesThatDoNotTrustEachOther(t *testing.T) {
	ours, theirs := newAuthority(t), newAuthority(t)
	for name, c := range map[string]struct{ serves, dials remote.Config }{
		"another token":             {remote.Config{Token: "one"}, remote.Config{Token: "two"}},
		"no token here":             {remote.Config{Token: "one"}, remote.Config{}},
		"no token there":            {remote.Config{}, remote.Config{Token: "one"}},
		"no TLS here":               {remote.Config{TLS: ours.mutual(ours)}, remote.Config{}},
		"no TLS there":              {remote.Config{}, remote.Config{TLS: ours.mutual(ours)}},
		"a stranger's certificate":  {remote.Config{TLS: ours.mutual(ours)}, remote.Config{TLS: theirs.mutual(ours)}},
		"a server nobody knows":     {remote.Config{TLS: ours.mutual(ours)}, remote.Config{TLS: ours.mutual(theirs)}},
		"TLS, and another token":    {remote.Config{TLS: ours.mutual(ours), Token: "one"}, remote.Config{TLS: ours.mutual(ours), Token: "two"}},
		"TLS without a certificate": {remote.Config{TLS: ours.mutual(ours)}, remote.Config{TLS: &tls.Config{RootCAs: ours.pool, MinVersion: tls.VersionTLS13}}},
	} {
		t.Run(name, func(t *testing.T) {
			b := serving(t, c.serves, "square", square)
			err := refusal(t, placed[int, int](newSite(t, c.dials), "square", nil, b))
			if !errors.Is(err, remote.ErrRefused) || !strings.Contains(err.Error(), b.node.Addr()) {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestAWrongConfigIsRefused(t *testing.T) {
	ca := newAuthority(t)
	public := ca.mutual(ca)
	public.ClientAuth = tls.NoClientCert
	for want, cfg := range map[string]remote.Config{
		"AllowInsecure":                    {Listen: "0.0.0.0:0"},
		`":0" is not the loopback`:         {Listen: ":0"},
		"RequireAndVerifyClientCert":       {Listen: "[::]:0", TLS: public},
		`Listen "nowhere"`:                 {Listen: "nowhere"},
		"Capacity -1":                      {Capacity: -1},
		"MaxPayload -1":                    {MaxPayload: -1},
		"MaxPayload 2147483648":            {MaxPayload: 2 << 30},
		"Heartbeat 1ms":                    {Heartbeat: time.Millisecond},
		`Advertise "here"`:                 {Advertise: "here"},
		"Capacity -2: want at least 1, or": {Capacity: -2, Heartbeat: -1, Listen: "x"},
	} {
		cfg.System = actor.NewSystem(actor.Logger(quiet))
		n, err := remote.Start(cfg)
		if err == nil {
			t.Errorf("%+v: no error", want)
			_ = n.Stop(t.Context())
			continue
		}
		if !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q in it", err, want)
		}
		if want == "Capacity -2: want at least 1, or" && (!strings.Contains(err.Error(), "Heartbeat") || !strings.Contains(err.Error(), "Listen")) {
			t.Errorf("%v does not name all faults", err)
		}
	}
}

func TestTheAddressOfANodeIsTaken(t *testing.T) {
	b := newSite(t, remote.Config{})
	if _, err := remote.Start(remote.Config{Listen: b.node.Addr(), System: actor.NewSystem(actor.Logger(quiet))}); err == nil || !strings.Contains(err.Error(), b.node.Addr()) {
		t.Errorf("got %v", err)
	}
}
