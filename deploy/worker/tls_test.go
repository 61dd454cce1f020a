//go:build unix

package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/troupe-go/troupe/remote"
)

// certificate writes a certificate for node.test that is its own authority, and returns the variables that name it.
func certificate(t *testing.T) (env []string, cert, key string) {
	t.Helper()
	dir := t.TempDir()
	cert, key = filepath.Join(dir, "cert"), filepath.Join(dir, "key")
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "node.test"}, DNSNames: []string{"node.test"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
		KeyUsage:    x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	public, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	for file, block := range map[string]*pem.Block{cert: {Type: "CERTIFICATE", Bytes: public}, key: {Type: "PRIVATE KEY", Bytes: secret}} {
		if err := os.WriteFile(file, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return []string{"WORKER_TLS_CERT=" + cert, "WORKER_TLS_KEY=" + key, "WORKER_TLS_CA=" + cert, "WORKER_TLS_NAME=node.test"}, cert, key
}

func TestNodesShowEachOtherTheirCertificates(t *testing.T) {
	env, cert, key := certificate(t)
	s := newSite(t)
	close(s.open)
	w := launch(t, env)
	w.passes(true, "-probe=ready")
	w.passes(false, "-probe=ready", "-tls-name=other.test")
	_, otherCert, otherKey := certificate(t)
	w.passes(false, "-probe=alive", "-tls-cert="+otherCert, "-tls-key="+otherKey)
	w.passes(false, "-probe=alive", "-tls-cert=", "-tls-key=", "-tls-ca=")

	cfg, err := settings{cert: cert, key: key, ca: cert, advertise: "node.test:7000"}.config()
	if err != nil {
		t.Fatal(err)
	}
	far := caller(t, remote.Config{TLS: cfg.TLS}, w.addr)
	if got, err := far.Call(within(t), s.url+"/x"); err != nil || got != s.page("/x") {
		t.Errorf("got %+v, %v", got, err)
	}
	far.Stop()
	w.terminate()
	if code, log := w.end(); code != 0 {
		t.Errorf("ended with %d\n%s", code, log)
	}
}

func TestAnAuthorityWithoutCertificatesIsAnError(t *testing.T) {
	_, cert, key := certificate(t)
	for ca, want := range map[string]string{key: "none in " + key, filepath.Join(t.TempDir(), "none"): "certificates of others: open"} {
		if _, err := (settings{cert: cert, key: key, ca: ca}).config(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
}
