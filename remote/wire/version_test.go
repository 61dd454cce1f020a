package wire_test

import (
	"errors"
	"testing"

	"github.com/troupe-go/troupe/remote/wire"
)

func versions(low, high uint32) *wire.Versions { return &wire.Versions{Min: low, Max: high} }

func TestNegotiateFindsTheHighestCommonVersionOnBothSides(t *testing.T) {
	for name, c := range map[string]struct {
		a, b *wire.Versions
		want uint32 // 0: none
	}{
		"same":             {versions(1, 1), versions(1, 1), 1},
		"newer other":      {versions(1, 2), versions(2, 5), 2},
		"much in common":   {versions(1, 9), versions(3, 7), 7},
		"nothing":          {versions(1, 2), versions(3, 4), 0},
		"empty range":      {versions(1, 5), versions(4, 3), 0},
		"missing":          {versions(1, 5), nil, 0},
		"zero is none":     {versions(0, 5), versions(0, 5), 0},
		"the highest ever": {versions(1, 1<<32-1), versions(1<<32-1, 1<<32-1), 1<<32 - 1},
	} {
		t.Run(name, func(t *testing.T) {
			for _, pair := range [][2]*wire.Versions{{c.a, c.b}, {c.b, c.a}} {
				got, err := wire.Negotiate(pair[0], pair[1])
				if got != c.want {
					t.Errorf("Negotiate(%v, %v) = %d, want %d", pair[0], pair[1], got, c.want)
				}
				var fault *wire.VersionError
				if (c.want == 0) != errors.As(err, &fault) {
					t.Errorf("Negotiate(%v, %v): error %v", pair[0], pair[1], err)
				}
			}
		})
	}
}

func TestVersionErrorNamesBothSides(t *testing.T) {
	_, err := wire.Negotiate(versions(1, 2), versions(7, 7))
	want := "wire: no common protocol version: we speak 1 to 2, the other side 7"
	if err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}
