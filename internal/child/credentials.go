package child

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/hex"
	"errors"
	"fmt"
	"math/big"
	"sync"
	"time"
)

// ErrWrongPeer says that a certificate is valid and somebody else's: that of
// another child, or of the parent where the child was expected.
var ErrWrongPeer = errors.New("child: the peer is not the process that these credentials are for")

// Certificates are good for certValidity from certSlack before their issue.
const (
	certValidity = time.Hour
	certSlack    = time.Minute
)

// Credentials makes what a parent and one child need to trust each other and
// nobody else: the configuration of the parent, and the text of the child's,
// which [ParseCredentials] reads there. The text holds a private key: send it
// as a part of the bootstrap.
//
// Both configurations serve for either end of a connection. They speak TLS
// 1.3 only, and accept a peer only if its certificate was issued by an
// authority that this process made for itself and never stored, and names
// that very peer; else the handshake fails with [ErrWrongPeer] or an error of
// crypto/x509. The certificates are short-lived, but the two processes judge
// them as of the moment of their issue, not by the clock: the pair works for
// as long as both processes live, whatever is done to the clock meanwhile.
//
// Safe for concurrent use. It takes about 0.2 ms; the authority is used for
// half an hour.
func Credentials() (parent *tls.Config, child []byte, err error) {
	now := time.Now()
	a, err := authorities.at(now)
	if err != nil {
		return nil, nil, fmt.Errorf("child: credentials: %w", err)
	}
	name, err := randomName("child")
	if err != nil {
		return nil, nil, fmt.Errorf("child: credentials: %w", err)
	}
	cert, key, err := a.issue(name, now)
	if err != nil {
		return nil, nil, fmt.Errorf("child: credentials: %w", err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, nil, fmt.Errorf("child: credentials: %w", err)
	}
	child, err = asn1.Marshal(credentials{
		Authority: a.cert.Raw,
		Cert:      cert,
		Key:       keyDER,
		Peer:      a.parentName,
		Issued:    now.Unix(),
	})
	if err != nil {
		return nil, nil, fmt.Errorf("child: credentials: %w", err)
	}
	return mutual(a.parent, a.cert, name, now), child, nil
}

// ParseCredentials returns the child's configuration.
func ParseCredentials(text []byte) (*tls.Config, error) {
	var c credentials
	rest, err := asn1.Unmarshal(text, &c)
	if err != nil {
		return nil, fmt.Errorf("child: credentials: %w", err)
	}
	if len(rest) > 0 {
		return nil, fmt.Errorf("child: credentials: %d bytes too many", len(rest))
	}
	authority, err := x509.ParseCertificate(c.Authority)
	if err != nil {
		return nil, fmt.Errorf("child: credentials: %w", err)
	}
	key, err := x509.ParsePKCS8PrivateKey(c.Key)
	if err != nil {
		return nil, fmt.Errorf("child: credentials: %w", err)
	}
	own := tls.Certificate{Certificate: [][]byte{c.Cert}, PrivateKey: key}
	return mutual(own, authority, c.Peer, time.Unix(c.Issued, 0)), nil
}

// credentials is what the child gets.
type credentials struct {
	Authority, Cert, Key []byte
	Peer                 string `asn1:"utf8"`
	Issued               int64
}

func mutual(own tls.Certificate, authority *x509.Certificate, peer string, issued time.Time) *tls.Config {
	pool := x509.NewCertPool()
	pool.AddCert(authority)
	return &tls.Config{
		Certificates: []tls.Certificate{own},
		RootCAs:      pool,
		ClientCAs:    pool,
		ClientAuth:   tls.RequireAndVerifyClientCert,
		ServerName:   peer,
		MinVersion:   tls.VersionTLS13,
		Time:         func() time.Time { return issued },
		// A ticket would stand for a handshake, under a clock that stands.
		SessionTicketsDisabled: true,
		// crypto/tls compares the name of servers only.
		VerifyConnection: func(state tls.ConnectionState) error {
			if len(state.PeerCertificates) == 0 || state.PeerCertificates[0].VerifyHostname(peer) != nil {
				return ErrWrongPeer
			}
			return nil
		},
	}
}

// authority issues certificates for this process and its children.
type authority struct {
	cert       *x509.Certificate
	key        *ecdsa.PrivateKey
	parent     tls.Certificate
	parentName string
}

// authorities keeps one authority for as long as it can issue.
var authorities authorityCache

type authorityCache struct {
	mu      sync.Mutex
	current *authority
}

func (c *authorityCache) at(now time.Time) (*authority, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.current != nil && c.current.covers(now) {
		return c.current, nil
	}
	a, err := newAuthority(now)
	if err == nil {
		c.current = a
	}
	return a, err
}

// covers reports whether a certificate that is issued now is valid along with
// that of the authority. The clock may have been set, either way.
func (a *authority) covers(now time.Time) bool {
	return now.After(a.cert.NotBefore) && now.Before(a.cert.NotAfter.Add(-certValidity/2))
}

func newAuthority(now time.Time) (*authority, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	name, err := randomName("authority")
	if err != nil {
		return nil, err
	}
	template, err := template(name, now)
	if err != nil {
		return nil, err
	}
	template.IsCA = true
	template.BasicConstraintsValid = true
	template.MaxPathLenZero = true
	template.KeyUsage = x509.KeyUsageCertSign
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, err
	}
	a := &authority{key: key}
	if a.cert, err = x509.ParseCertificate(der); err != nil {
		return nil, err
	}
	if a.parentName, err = randomName("parent"); err != nil {
		return nil, err
	}
	cert, parentKey, err := a.issue(a.parentName, now)
	a.parent = tls.Certificate{Certificate: [][]byte{cert}, PrivateKey: parentKey}
	return a, err
}

// issue makes a certificate for either end of connections.
func (a *authority) issue(name string, now time.Time) (der []byte, key *ecdsa.PrivateKey, err error) {
	if key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
		return nil, nil, err
	}
	template, err := template(name, now)
	if err != nil {
		return nil, nil, err
	}
	template.DNSNames = []string{name}
	template.KeyUsage = x509.KeyUsageDigitalSignature
	template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}
	der, err = x509.CreateCertificate(rand.Reader, template, a.cert, key.Public(), a.key)
	return der, key, err
}

func template(name string, now time.Time) (*x509.Certificate, error) {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return nil, err
	}
	return &x509.Certificate{
		SerialNumber: serial.Add(serial, big.NewInt(1)),
		Subject:      pkix.Name{CommonName: name},
		NotBefore:    now.Add(-certSlack),
		NotAfter:     now.Add(certValidity),
	}, nil
}

func randomName(role string) (string, error) {
	var b [12]byte
	if _, err := rand.Read(b[:]); err != nil {
		return "", err
	}
	return role + "-" + hex.EncodeToString(b[:]) + ".troupe.internal", nil
}
