package pool

import (
	"errors"
	"testing"

	"github.com/troupe-go/troupe/internal/place"
	"github.com/troupe-go/troupe/supervisor"
)

// The members of places that are lost in the same moment come in any order.
func TestAPolicyIsAskedOnceAboutAPlaceThatIsLost(t *testing.T) {
	var asked []error
	policy := supervisor.Policy{MaxRestarts: -1, Decide: func(err error) supervisor.Directive {
		asked = append(asked, err)
		return supervisor.Restart
	}}
	p := &Pool{cfg: Config{Policy: &policy}}
	a, b := &place.Loss{Err: errors.New("a is gone")}, &place.Loss{Err: errors.New("b is gone")}
	for _, loss := range []error{a, b, a, b, &place.Loss{Err: errors.New("c drains"), Free: true}, a} {
		if v := p.verdict(loss); v.Directive != supervisor.Restart {
			t.Errorf("after %q: got %v, want a restart", loss, v.Directive)
		}
	}
	if len(asked) != 2 {
		t.Errorf("the policy was asked about %v, want once about a and once about b", asked)
	}
	if p.verdict(errors.New("a panic")); len(asked) != 3 {
		t.Errorf("the policy was asked %d times, want 3: what is no loss is a failure of its own", len(asked))
	}
}

func TestOfLossesOnlyTheLatestAreRemembered(t *testing.T) {
	p := &Pool{cfg: Config{Policy: &supervisor.Policy{MaxRestarts: -1}}}
	for range 3 * mostDecided {
		p.verdict(&place.Loss{Err: errors.New("gone")})
	}
	if got := len(p.losses); got != mostDecided {
		t.Errorf("got %d losses remembered, want %d", got, mostDecided)
	}
}
