package main

import (
	"encoding/json"
	"fmt"
	"hash/fnv"
	"io"
	"math"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"time"
)

// quota is what a region of the provider allows in any window.
type quota struct {
	requests, tokens int
	window           time.Duration
}

type answer struct {
	Label  string
	Tokens int // really used
}

const (
	charsPerToken = 4
	longestAnswer = 60 // tokens
)

// estimate is what the client can tell beforehand: the length of the text, and of the longest answer.
func estimate(text string) int { return len(text)/charsPerToken + longestAnswer }

// texts returns n of different lengths, always the same.
func texts(n int) []string {
	random := rand.New(rand.NewPCG(1, 2))
	all := make([]string, n)
	for i := range all {
		all[i] = strings.Repeat("so it goes. ", 30+random.IntN(200))[random.IntN(12):]
	}
	return all
}

// provider is one region: a server on loopback that looks at every window, answers 429 to what is too much and 500 to
// one request in 200, and takes longer for longer texts.
type provider struct {
	*httptest.Server
	allowed quota

	mu      sync.Mutex
	log     []arrival // of the last window
	tokens  int       // in log
	total   struct{ requests, tokens, refused, broken int }
	fullest float64 // part of the quota that was used at most in a window
}

type arrival struct {
	at     time.Time
	tokens int
}

func startProvider(allowed quota) *provider {
	p := &provider{allowed: allowed}
	p.Server = httptest.NewServer(p)
	return p
}

func (p *provider) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	now := time.Now()
	text, err := io.ReadAll(r.Body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	h := fnv.New32()
	_, _ = h.Write(text)
	used := len(text)/charsPerToken + 10 + int(h.Sum32()%(longestAnswer-10))
	number, wait := p.admit(now, used)
	switch {
	case wait > 0:
		w.Header().Set("Retry-After", fmt.Sprint(math.Ceil(wait.Seconds())))
		http.Error(w, "slow down", http.StatusTooManyRequests)
		return
	case number%200 == 199:
		http.Error(w, "try again", http.StatusInternalServerError)
		return
	}
	time.Sleep(10*time.Millisecond + time.Duration(used)*(70*time.Microsecond))
	_ = json.NewEncoder(w).Encode(answer{Label: [...]string{"praise", "blame", "news"}[h.Sum32()%3], Tokens: used})
}

// admit charges a request to the quota, and tells its number, or how long to wait if the window is full.
func (p *provider) admit(now time.Time, tokens int) (number int, wait time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for len(p.log) > 0 && now.Sub(p.log[0].at) >= p.allowed.window {
		p.tokens -= p.log[0].tokens
		p.log = p.log[1:]
	}
	if len(p.log) >= p.allowed.requests || p.tokens+tokens > p.allowed.tokens {
		p.total.refused++
		return 0, p.allowed.window
	}
	p.log = append(p.log, arrival{at: now, tokens: tokens})
	p.tokens += tokens
	p.fullest = max(p.fullest, float64(len(p.log))/float64(p.allowed.requests), float64(p.tokens)/float64(p.allowed.tokens))
	p.total.requests++
	p.total.tokens += tokens
	if p.total.requests%200 == 199 {
		p.total.broken++
	}
	return p.total.requests, 0
}

// report tells what the providers have seen.
func report(out io.Writer, providers []*provider, took time.Duration) {
	rate := func(n, allowed int) string {
		per := func(n float64) float64 { return n / took.Seconds() }
		most := float64(allowed*len(providers)) / providers[0].allowed.window.Seconds()
		return fmt.Sprintf("%.0f/s, %.1f %% of %.0f/s", per(float64(n)), 100*per(float64(n))/most, most)
	}
	requests, tokens, refused, broken, fullest := 0, 0, 0, 0, 0.0
	for _, p := range providers {
		p.mu.Lock()
		defer p.mu.Unlock()
		requests, tokens = requests+p.total.requests, tokens+p.total.tokens
		refused, broken = refused+p.total.refused, broken+p.total.broken
		fullest = max(fullest, p.fullest)
	}
	allowed := providers[0].allowed
	fmt.Fprintf(out, "%d requests in %.1f s, %d answered with 500, %d with 429\n", requests, took.Seconds(), broken, refused)
	fmt.Fprintf(out, "tokens: %s; requests: %s; fullest window %.1f %%\n",
		rate(tokens, allowed.tokens), rate(requests, allowed.requests), 100*fullest)
}
