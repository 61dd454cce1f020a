package link

import (
	"errors"
	"net"
	"testing"
)

// What was damaged on the way says nothing about trust: the node is worth
// another try.
func TestDamageIsNoRefusal(t *testing.T) {
	for text, refusal := range map[string]bool{
		"tls: bad record MAC":                false,
		"tls: error decoding message":        false,
		"tls: unexpected message":            false,
		"tls: record overflow":               false,
		"tls: bad certificate":               true,
		"tls: unknown certificate authority": true,
		"tls: certificate required":          true,
	} {
		err := &net.OpError{Op: "remote error", Err: errors.New(text)}
		if alert(err) != refusal || unreachable(err) == refusal {
			t.Errorf("%q: alert %v, unreachable %v; want it to be a refusal: %v", text, alert(err), unreachable(err), refusal)
		}
	}
}
