package main

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"flag"
	"fmt"
	"net"
	"os"
	"strings"
	"time"

	"github.com/troupe-go/troupe/remote"
)

// settings are the flags.
type settings struct {
	listen, advertise  string
	tokenFile          string
	cert, key, ca      string
	serverName         string
	capacity           int
	drain, probeWithin time.Duration
	probe              string
}

// flags declares the flags of s, with their defaults.
func (s *settings) flags() *flag.FlagSet {
	f := flag.NewFlagSet("worker", flag.ContinueOnError)
	f.StringVar(&s.listen, "listen", "127.0.0.1:7000", "the `address` to listen at")
	f.StringVar(&s.advertise, "advertise", "", "the `address` that others reach the node at; empty: the bound one")
	f.StringVar(&s.tokenFile, "token-file", "", "a `file` with the secret that all nodes share")
	f.StringVar(&s.cert, "tls-cert", "", "a `file` with the node's certificate, for mutual TLS; needs -tls-key and -tls-ca")
	f.StringVar(&s.key, "tls-key", "", "a `file` with the key of the certificate")
	f.StringVar(&s.ca, "tls-ca", "", "a `file` with the certificates that the others' are signed by")
	f.StringVar(&s.serverName, "tls-name", "", "the `name` in the certificate of the node that -probe connects to; empty: the host of -advertise")
	f.IntVar(&s.capacity, "capacity", 0, "calls that run at once; 0: one per core")
	f.DurationVar(&s.drain, "drain", 25*time.Second, "how long calls may go on after SIGTERM")
	f.StringVar(&s.probe, "probe", "", "do not serve, but look whether the node at -listen is `ready` or alive")
	f.DurationVar(&s.probeWithin, "probe-within", 2*time.Second, "how long a probe waits")
	return f
}

// variable is the name of a flag in the environment.
func variable(flag string) string {
	return "WORKER_" + strings.ToUpper(strings.ReplaceAll(flag, "-", "_"))
}

// parse reads flags, and from the environment those that are not among args.
func parse(args []string, env func(string) (string, bool)) (settings, error) {
	var s settings
	f := s.flags()
	var faults []error
	f.VisitAll(func(known *flag.Flag) {
		if v, ok := env(variable(known.Name)); ok {
			if err := f.Set(known.Name, v); err != nil {
				faults = append(faults, fmt.Errorf("%s: %w", variable(known.Name), err))
			}
		}
	})
	if err := f.Parse(args); err != nil {
		return s, err
	}
	if f.NArg() > 0 {
		faults = append(faults, fmt.Errorf("unexpected argument %q", f.Arg(0)))
	}
	if s.drain < 0 || s.probeWithin <= 0 {
		faults = append(faults, errors.New("-drain must not be negative, and -probe-within be positive"))
	}
	if s.probe != "" && s.probe != ready && s.probe != alive {
		faults = append(faults, fmt.Errorf("-probe %q: want %s or %s", s.probe, ready, alive))
	}
	return s, errors.Join(faults...)
}

// config reads the files. What else may be wrong, remote.Start says.
func (s settings) config() (remote.Config, error) {
	cfg := remote.Config{Listen: s.listen, Advertise: s.advertise, Capacity: s.capacity}
	if s.tokenFile != "" {
		token, err := os.ReadFile(s.tokenFile)
		if err != nil {
			return cfg, fmt.Errorf("token: %w", err)
		}
		if cfg.Token = string(bytes.TrimSpace(token)); cfg.Token == "" {
			return cfg, fmt.Errorf("token: %s is empty", s.tokenFile)
		}
	}
	if s.cert == "" && s.key == "" && s.ca == "" {
		return cfg, nil
	}
	if s.cert == "" || s.key == "" || s.ca == "" {
		return cfg, errors.New("-tls-cert, -tls-key and -tls-ca are wanted together")
	}
	var err error
	cfg.TLS, err = s.mutual()
	return cfg, err
}

// mutual is TLS with which both sides show a certificate.
func (s settings) mutual() (*tls.Config, error) {
	own, err := tls.LoadX509KeyPair(s.cert, s.key)
	if err != nil {
		return nil, fmt.Errorf("certificate: %w", err)
	}
	text, err := os.ReadFile(s.ca)
	if err != nil {
		return nil, fmt.Errorf("certificates of others: %w", err)
	}
	others := x509.NewCertPool()
	if !others.AppendCertsFromPEM(text) {
		return nil, fmt.Errorf("certificates of others: none in %s", s.ca)
	}
	name := s.serverName
	if name == "" && s.advertise != "" {
		name, _, _ = net.SplitHostPort(s.advertise)
	}
	return &tls.Config{
		MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{own}, ServerName: name,
		RootCAs: others, ClientCAs: others, ClientAuth: tls.RequireAndVerifyClientCert,
	}, nil
}
