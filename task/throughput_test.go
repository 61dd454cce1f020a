package task_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/troupe-go/troupe/actor"
	"github.com/troupe-go/troupe/limits"
	"github.com/troupe-go/troupe/task"
)

// api is a provider that allows so much in any window of a minute.
type api struct {
	requests, tokens int

	mu    sync.Mutex
	log   []arrival // of the last minute
	now   int       // tokens in log
	all   int       // tokens so far
	worst string    // the first window that was overrun
}

type arrival struct {
	at     time.Time
	tokens int
}

func (a *api) admit(tokens int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	now := time.Now()
	for len(a.log) > 0 && now.Sub(a.log[0].at) >= time.Minute {
		a.now -= a.log[0].tokens
		a.log = a.log[1:]
	}
	a.log = append(a.log, arrival{at: now, tokens: tokens})
	a.now += tokens
	a.all += tokens
	if a.worst == "" && (len(a.log) > a.requests || a.now > a.tokens) {
		a.worst = fmt.Sprintf("%d requests and %d tokens within a minute", len(a.log), a.now)
	}
}

// TestManyCallsUseNearlyAllThatIsAllowedAndNoMore has 100 calls of different
// lengths in flight, with requests and tokens limited at a time.
func TestManyCallsUseNearlyAllThatIsAllowedAndNoMore(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name    string
		mean    int // tokens of a call
		over    int // how many times too high they are estimated
		tighter string
		least   float64
	}{
		{"tokens are tighter", 450, 1, "tokens", 0.95},
		{"requests are tighter", 350, 1, "requests", 0.95},
		{"estimates twice too high", 450, 2, "tokens", 0.9},
		{"estimates four times too high", 450, 4, "tokens", 0.9},
	} {
		for _, algorithm := range []limits.Algorithm{limits.TokenBucket, limits.GCRA} {
			t.Run(tt.name+", "+algorithm.String(), func(t *testing.T) {
				t.Parallel()
				bubble(t, func(t *testing.T, sys *actor.System) {
					const calls = 5000
					provider := &api{requests: 500, tokens: 200_000}
					set := limits.MustNew(
						limits.Calls(480, time.Minute, algorithm, limits.Burst(20)),
						limits.Rate("tokens", 192_000, time.Minute, algorithm, limits.Burst(8_000)))
					tk := task.MustNew(func(ctx context.Context, tokens int) (int, error) {
						provider.admit(tokens)
						time.Sleep(time.Duration(tokens) * time.Millisecond)
						return tokens, limits.PermitFrom(ctx).Update("tokens", tokens)
					}, task.Workers(100), task.Limits(set), task.System(sys),
						task.Cost(func(tokens int) limits.Request { return limits.Request{"tokens": tt.over * tokens} }))
					defer tk.Stop()
					random := rand.New(rand.NewPCG(1, 2))
					in := make([]int, calls)
					for i := range in {
						in[i] = tt.mean/2 + random.IntN(tt.mean)
					}
					start := time.Now()
					if _, err := tk.MapSlice(t.Context(), in); err != nil {
						t.Fatal(err)
					}
					minutes := time.Since(start).Minutes()
					rate := float64(provider.all) / minutes / float64(provider.tokens)
					if tt.tighter == "requests" {
						rate = calls / minutes / float64(provider.requests)
					}
					t.Logf("%.1f %% of the %s", 100*rate, tt.tighter)
					if rate < tt.least {
						t.Errorf("used %.1f %% of the %s, want %.1f %%", 100*rate, tt.tighter, 100*tt.least)
					}
					if provider.worst != "" {
						t.Error("overrun: " + provider.worst)
					}
				})
			})
		}
	}
}
